"""Knows network errors of other libraries by name, so that a user's function may raise any and none is imported."""

import socket
import ssl

# (top-level module, class): what their subclasses mean, another attempt may mend.
_NAMES = frozenset(
    {
        ("requests", "ConnectionError"),
        ("requests", "Timeout"),
        ("requests", "ChunkedEncodingError"),
        ("urllib3", "HTTPError"),
        ("httpx", "TransportError"),
        ("httpx2", "TransportError"),
        ("httpcore", "NetworkError"),
        ("httpcore", "TimeoutException"),
        ("aiohttp", "ClientConnectionError"),
        ("openai", "APIConnectionError"),
        ("anthropic", "APIConnectionError"),
    }
)


def is_network_error(error: BaseException) -> bool:
    """Whether an exception says that the network failed, not the request."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror | ssl.SSLError):
        return True
    return any((cls.__module__.partition(".")[0], cls.__name__) in _NAMES for cls in type(error).__mro__)
