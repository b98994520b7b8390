"""What the errors and responses of other libraries say: by names and attributes, so that none is imported."""

import errno
import socket
import ssl
from datetime import timedelta
from typing import Any

from llmnet.core.errors import APIStatusError, LLMNetError
from llmnet.core.exchange import Exchange
from llmnet.core.http import Headers
from llmnet.core.retry_after import parse_retry_after
from llmnet.transports.classify import outcome_of
from llmnet.transports.generic import GenericCall

# Top-level module: classes that, with their subclasses, say that the network failed.
_NETWORK = {
    "requests": {"ConnectionError", "Timeout", "ChunkedEncodingError"},
    "urllib3": {"TimeoutError", "ProtocolError", "ProxyError", "SSLError", "MaxRetryError"},
    "httpx": {"TransportError"},
    "httpx2": {"TransportError"},
    "httpcore": {"NetworkError", "TimeoutException", "RemoteProtocolError", "ProxyError"},
    "aiohttp": {"ClientConnectionError", "ClientPayloadError"},
    "openai": {"APIConnectionError"},
    "anthropic": {"APIConnectionError"},
    "urllib": {"URLError"},
    "http": {"IncompleteRead"},
    "asyncio": {"IncompleteReadError"},
}
# Those of httpx's among them that blame the request.
_REQUEST = {"UnsupportedProtocol", "LocalProtocolError"}
_PYTHONS_OWN = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ETIMEDOUT}


def failure(error: Exception, call: GenericCall, *, listed: bool) -> LLMNetError | None:
    """What an exception means, as an error that the call can judge; `None` where no repetition would help.

    It is left as it is; one that is *listed* the caller wants to be repeated, whatever it says.
    """
    if isinstance(error, LLMNetError) and error.repeated:
        return None
    # What a server advises by `x-should-retry` outweighs a status, but not the caller.
    exchange = call.foreign(Headers() if listed else _headers_of(error))
    if listed:
        return _refused(error, call, throttled=True)
    if isinstance(error, LLMNetError) and getattr(error, "status", True):
        return _twin(error)
    if status := _status_of(error):
        return _refused(error, call, status=status, http_status=status)
    if getattr(error, "retry_after", None) is not None:
        return _refused(error, call, throttled=True)
    return _network_error(error, exchange)


def refusal(response: object, call: GenericCall) -> LLMNetError | None:
    """What the error status of a response means."""
    call.foreign(_headers_of(response))
    status = _status_of(response)
    return _refused(response, call, status=status, http_status=status) if status else None


def _refused(thing: object, call: GenericCall, **facts: Any) -> LLMNetError:
    return APIStatusError(retry_after=_retry_after(thing, call), **facts)


def _network_error(error: Exception, exchange: Exchange) -> LLMNetError | None:
    """What a network error means to our own transports."""
    pythons_own = isinstance(error, _PYTHONS_OWN) or (isinstance(error, OSError) and error.errno in _UNREACHABLE)
    classes = type(error).__mro__
    names = [(cls.__module__.partition(".")[0], cls.__name__) for cls in classes]
    listed = any(name in _NETWORK.get(module, ()) for module, name in names)
    blames = any(name in _REQUEST and module in {"httpx", "httpx2"} for module, name in names)
    if blames or not (pythons_own or listed):
        return None
    ours = outcome_of(error, exchange, proxied=any(name == "ProxyError" for _, name in names)).error
    return None if ours.repeated else _twin(ours)


def _twin(error: LLMNetError) -> LLMNetError:
    """A copy to be judged, which adds facts to it; made without asking how a subclass is made."""
    twin = type(error).__new__(type(error))
    twin.__dict__.update(vars(error))
    return twin


def _status_of(thing: object) -> int | None:
    """The error status of a response, or of an exception that has or holds one."""
    for place in (thing, getattr(thing, "response", None)):
        for name in ("status_code", "status"):
            value = getattr(place, name, None)
            if isinstance(value, int) and 400 <= value <= 999:
                return int(value)
    return None


def _headers_of(thing: object) -> Headers:
    """Its headers, likewise."""
    for place in (getattr(thing, "response", None), thing, getattr(thing, "meta", None)):
        headers: Any = getattr(place, "headers", None)
        if hasattr(headers, "items"):
            return Headers([(str(name), str(value)) for name, value in headers.items()])
    return Headers()


def _retry_after(thing: object, call: GenericCall) -> float | None:
    """The wait that it asks for by its `retry_after`, whatever its form, or by a header."""
    own, now = getattr(thing, "retry_after", None), call.now()
    if isinstance(own, timedelta):
        own = own.total_seconds()
    hint = None if own is None else parse_retry_after({"retry-after": str(own)}, now)
    return parse_retry_after(_headers_of(thing), now) if hint is None else hint
