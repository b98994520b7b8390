"""Tells from an exception and its causes what failed and in which phase, for both fronts.

It also says whether the server never began with the request (`stale`), whether one more attempt is worth it but not two
(`once`), and whether another one can help at all (`retryable`). What is done about that `core.judge` decides.

The HTTP libraries wrap the operating system's errors several times over. What counts is found by walking all causes.
"""

import errno
import re
import socket
import ssl

from llmnet.core.errors import APIConnectionError, IncompleteStreamError, InvalidResponseError, LLMNetError
from llmnet.core.exchange import Exchange
from llmnet.core.outcome import Outcome
from llmnet.core.preview import cut
from llmnet.core.tracebacks import reachable
from llmnet.net.proxy import ProxyRefusedError
from llmnet.net.sockets import AT_ONCE
from llmnet.net.tls import certificate_hint
from llmnet.transports.http1_reader import GarbledBodyError, RefusedHeadError

# What this machine lacks: nothing that the server or the network could mend; ports come back by themselves.
_PORTS = errno.EADDRNOTAVAIL
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, _PORTS})
_NO_SUCH_NAME = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL") if hasattr(socket, name)
)
# What says that the server speaks no TLS at all: it will not learn it for the next attempt.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "wrong version number")
# In HTTP/2 a stream ends by itself, and its code says whether the request was begun (RFC 9113, 8.7).
_RESET = r"StreamReset .*error_code:(?:ErrorCodes\.)?(\w+)"
_REFUSED = ("7", "REFUSED_STREAM")
# A proxy that refuses will refuse again; one that cannot reach the server may reach it later. Our own connections have
# a class for it, of the libraries' there are but words.
_PROXY_REFUSES = r"(failed|ProxyError): (?!50[234])\d{3}|authentication|not allowed"


def outcome_of(error: BaseException, exchange: Exchange, *, proxied: bool = False) -> Outcome:
    """What a failed attempt produced.

    Args:
        error: what the library raised.
        exchange: the attempt that failed.
        proxied: the library says that the proxy failed.
    """
    chain = [*reachable(error, exchange.outer)]
    ours = exchange.stopped or next((e for e in chain if isinstance(e, LLMNetError)), None)
    if ours is not None:
        return Outcome(ours)
    outcome = _outcome(error, chain, exchange, proxied=proxied)
    outcome.error.__cause__ = error
    return outcome


def _outcome(error: BaseException, chain: list[BaseException], exchange: Exchange, *, proxied: bool) -> Outcome:
    if _timed_out(chain, exchange):
        return Outcome(exchange.expired())
    wrong = None if proxied else next(filter(_breaks_rules, chain), None)
    if wrong is not None and exchange.reply.kind is None:  # one more attempt is worth it: such a head would come again
        said = f"the head of the reply breaks the rules of HTTP: {cut(str(wrong), 300)}"
        return Outcome(InvalidResponseError(said, retryable=True), once=True)
    text = _root_cause(error, chain)
    stale = _not_begun(text, exchange) and not (exchange.received or proxied)
    once = exchange.sent and (wrong is not None or _cut_short(exchange))
    return Outcome(_lost(text, chain, exchange, proxied=proxied), stale=stale, once=once)


def _breaks_rules(error: BaseException) -> bool:
    """Whether it says that what has come is no HTTP; h11, in httpx's own engine, so calls an early end, too."""
    return isinstance(error, RefusedHeadError | GarbledBodyError) or (
        (type(error).__module__.partition(".")[0], type(error).__name__) == ("h11", "RemoteProtocolError")
        and not str(error).startswith("peer closed connection")
    )


def _not_begun(text: str, exchange: Exchange) -> bool:
    """Whether the server has not begun with the request: it says so, or the connection was dead before."""
    reset = re.search(_RESET, text)
    return reset[1] in _REFUSED if reset else exchange.reused and "inside the head" not in text


def _cut_short(exchange: Exchange) -> bool:
    """Whether the request was lost while it was sent; a small one is sent at once, whatever becomes of it."""
    return exchange.uploading and len(exchange.request.body or b"") > AT_ONCE


def _timed_out(chain: list[BaseException], exchange: Exchange) -> bool:
    """A timeout of ours, told from the operating system's ETIMEDOUT by the bound that has expired."""
    named = any("timed out" in str(e).lower() or isinstance(e, TimeoutError) for e in chain)
    return named and exchange.bounds.remaining()[1] <= 0.001


def _lost(text: str, chain: list[BaseException], exchange: Exchange, *, proxied: bool) -> LLMNetError:
    known = _known(chain, text, exchange)
    if proxied and (known is None or known.phase != "connect"):
        retryable = known.retryable if known else re.search(_PROXY_REFUSES, text, re.IGNORECASE) is None
        said = f"{f'the proxy {exchange.proxy}'.rstrip()} failed: {known.message if known else text}"
        return APIConnectionError(said, phase="proxy", retryable=retryable)
    return known or _broken(text, exchange)


def _known(chain: list[BaseException], text: str, exchange: Exchange) -> APIConnectionError | None:
    """What needs no guess from words: it has a class or a number of its own."""
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            why = getattr(one, "verify_message", one)  # a program may have made the error by hand
            text = f"the certificate is not trusted: {why}; {certificate_hint(one)}"
            return APIConnectionError(text, phase="tls", retryable=False)
        if isinstance(one, socket.gaierror):
            text = f"the name cannot be resolved: {one}"
            return APIConnectionError(text, phase="dns", retryable=one.errno not in _NO_SUCH_NAME)
        if isinstance(one, ProxyRefusedError):
            return APIConnectionError(text, phase="proxy", retryable=one.retryable)
        if isinstance(one, OSError) and one.errno in _LOCAL:
            text = f"this machine has run out of a resource: {one}"
            return APIConnectionError(text, phase="connect", retryable=one.errno == _PORTS)
    if any(isinstance(one, ssl.SSLError) for one in chain) and not exchange.sent:
        speaks_no_tls = any(sign in str(one) for one in chain for sign in _NO_TLS)
        return APIConnectionError(f"the TLS handshake failed: {text}", phase="tls", retryable=not speaks_no_tls)
    return None


def _broken(text: str, exchange: Exchange) -> LLMNetError:
    reply = exchange.reply
    if not exchange.sent:
        return APIConnectionError(f"the connection could not be made: {text}", phase="connect")
    if reply.kind is None:
        if _cut_short(exchange):
            return APIConnectionError(f"the connection was lost while the request was sent: {text}", phase="send")
        return APIConnectionError(f"the connection was lost before the reply: {text}", phase="response")
    if reply.kind == "events":
        return IncompleteStreamError(f"the stream was lost after {reply.arrived} bytes: {text}")
    return APIConnectionError(f"the connection was lost after {reply.arrived} bytes of the body: {text}", phase="body")


def _root_cause(error: BaseException, chain: list[BaseException]) -> str:
    """The root cause in its own words, with its class."""
    root = next((one for one in chain if isinstance(one, OSError) and one.errno), error)
    deepest = root if root is not error else chain[-1]
    return f"{type(deepest).__name__}: {cut(str(deepest), 300)}"
