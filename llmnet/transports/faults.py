"""Tells from an exception and its causes what failed and in which phase, for both fronts; it judges nothing.

The HTTP libraries wrap the operating system's errors several times over. What counts is found by walking all causes.
"""

import errno
import re
import socket
import ssl
from collections.abc import Iterator

from llmnet.core.call import Call
from llmnet.core.errors import APIConnectionError, IncompleteStreamError, LLMNetError, Phase
from llmnet.core.outcome import Outcome
from llmnet.transports.tls import certificate_hint

# Nothing that the server or the network could mend.
_LOCAL = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
_NO_SUCH_NAME = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL") if hasattr(socket, name)
)
# What the server said is no HTTP: a slip that another attempt may be spared, or a head that it would send again.
# An empty size of a chunk is none of it: there the connection has ended.
_SLIPS = re.compile(r"BadStatusLine|illegal status line|illegal chunk header|base 16: b'[^']")
_VIOLATIONS = ("LineTooLong", "InvalidHeader", "Receive buffer too long", "conflicting Content-Length")
# A proxy that refuses will refuse again; one that cannot reach the server may reach it later.
_PROXY_TRANSIENT = ("502", "503", "504", "closed", "reset", "refused", "timed out", "Cannot connect")


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it was made from, whichever way a library keeps it."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), getattr(one, "original_error", None)]
        waiting += list(one.args)


def outcome_of(error: BaseException, call: Call, *, proxied: bool = False) -> Outcome:
    """What a failed attempt produced.

    Args:
        error: what the library raised.
        call: the call that failed.
        proxied: the library says that the proxy failed.
    """
    chain = list(causes(error))
    ours = call.stopped or next((e for e in chain if isinstance(e, LLMNetError)), None)
    if ours is not None:
        return Outcome(ours)
    if _timed_out(chain, call):
        return Outcome(_from(call.expired(), error))
    stale = call.reused and not call.heard and not proxied
    once = call.sent and _SLIPS.search(said(error, chain)) is not None
    return Outcome(_from(_lost(error, chain, call, proxied=proxied), error), stale=stale, once=once)


def _timed_out(chain: list[BaseException], call: Call) -> bool:
    """A timeout of ours, told from the operating system's ETIMEDOUT by the bound that has expired."""
    named = any("timed out" in str(e).lower() or isinstance(e, TimeoutError) for e in chain)
    return named and call.bounds.left()[1] <= 0.001


def _from(ours: LLMNetError, theirs: BaseException) -> LLMNetError:
    ours.__cause__ = theirs
    return ours


def _lost(error: BaseException, chain: list[BaseException], call: Call, *, proxied: bool) -> LLMNetError:
    text = said(error, chain)
    if proxied:
        return _connection(
            f"the proxy failed: {text}", "proxy", final=not any(sign in text for sign in _PROXY_TRANSIENT)
        )
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            why = getattr(one, "verify_message", one)  # a program may have made the error by hand
            text = f"the server's certificate is not trusted: {why}; {certificate_hint(one)}"
            return _connection(text, "tls", final=True)
        if isinstance(one, socket.gaierror):
            return _connection(f"the name cannot be resolved: {one}", "dns", final=one.errno in _NO_SUCH_NAME)
        if isinstance(one, OSError) and one.errno in _LOCAL:
            return _connection(f"this machine has run out of a resource: {one}", "connect", final=True)
    if any(isinstance(one, ssl.SSLError) for one in chain) and not call.sent:
        return _connection(f"the TLS handshake failed: {text}", "tls", final=_no_tls(chain))
    return _broken(text, call)


def _broken(text: str, call: Call) -> LLMNetError:
    exchange = call.exchange
    if not call.sent:
        return _connection(f"the connection could not be made: {text}", "connect")
    if exchange is None or exchange.kind is None:
        broken = any(sign in text for sign in _VIOLATIONS)
        return _connection(f"the connection was lost before the reply: {text}", "response", final=broken)
    if exchange.kind == "events":
        return IncompleteStreamError(f"the stream was lost after {exchange.arrived} bytes: {text}")
    return _connection(f"the connection was lost after {exchange.arrived} bytes of the body: {text}", "body")


def _connection(message: str, phase: Phase, *, final: bool = False) -> APIConnectionError:
    return APIConnectionError(message, phase=phase, retryable=not final)


def _no_tls(chain: list[BaseException]) -> bool:
    """The server speaks no TLS at all: it will not learn it for the next attempt."""
    signs = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "wrong version number")
    return any(sign in str(one) for one in chain for sign in signs)


def said(error: BaseException, chain: list[BaseException]) -> str:
    """The root cause in its own words, with its class."""
    root = next((one for one in chain if isinstance(one, OSError) and one.errno), error)
    deepest = root if root is not error else chain[-1]
    return f"{type(deepest).__name__}: {str(deepest)[:300]}"
