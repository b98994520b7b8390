"""Which servers run in this process: nothing but the process itself reaches them, so no proxy is asked for them.

`SERVERS` holds host and port of each. All threads share it without a lock: to add, to discard and to look up are single
steps of a set.
"""

from urllib.parse import urlsplit

SERVERS: set[tuple[str, int]] = set()
_LOOPBACK = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "")  # noqa: S104 - a server at all addresses is here, too


def is_here(url: str) -> bool:
    """Whether a URL is the address of such a server, however loopback is called in it."""
    if not SERVERS:
        return False
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    names = _LOOPBACK if host in _LOOPBACK else (host,)
    return port is not None and any((name, port) in SERVERS for name in names)
