"""The options of every socket, whichever library opened it; how long a connection is used, and how it is ended."""

import contextlib
import os
import select
import socket
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from llmnet.core.forks import register_after_fork

# A level, the names of an option of which the first that the platform knows is taken, and its value. A reply may be
# silent for minutes; the probes keep NAT tables from forgetting the connection, and find a dead peer in 3.5 minutes.
_WANTED: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("SOL_SOCKET", ("SO_KEEPALIVE",), 1),
    ("IPPROTO_TCP", ("TCP_KEEPIDLE", "TCP_KEEPALIVE"), 60),  # the second is its name on macOS
    ("IPPROTO_TCP", ("TCP_KEEPINTVL",), 30),
    ("IPPROTO_TCP", ("TCP_KEEPCNT",), 5),
    ("IPPROTO_TCP", ("TCP_NODELAY",), 1),
)


def _options(known: Mapping[str, int]) -> list[tuple[int, int, int]]:
    """The wanted options as far as a platform knows them."""
    return [
        (known[level], known[name], value)
        for level, names, value in _WANTED
        for name in [name for name in names if name in known][:1]
    ]


TCP_OPTIONS: list[tuple[int, int, int]] = _options(vars(socket))
"""`(level, option, value)` of every TCP socket, as `setsockopt` takes them."""


AT_ONCE = 65536
"""Bytes that a kernel takes at once: so few do not break while they are written."""

MAX_AGE = 600.0
"""Seconds after which a connection serves no further call."""

PATIENCE = 60.0
"""Seconds that a connection is kept idle."""

HOSTS = 256
"""Hosts whose idle connections are kept: those asked last, for a process may go from host to host for ever."""

WAYS = 16
"""Proxies whose connections are kept, likewise: there are some that take a new user for each session."""


class Age:
    """How old a connection is: one that is never idle long enough to be closed would never follow a name that moves."""

    clock = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._since = self.clock()

    @property
    def over(self) -> bool:
        """Whether the connection has served for long enough; what it carries goes on to its end."""
        return self.clock() - self._since >= MAX_AGE


class _Connected:
    """The sockets of this process; a forked child closes them, or the server would not notice when the parent does."""

    def __init__(self) -> None:
        # Added to in one step of the interpreter, by any thread; read in a forked child, where only one thread runs.
        self.sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def after_fork(self) -> None:
        for sock in list(self.sockets):
            with contextlib.suppress(OSError):
                os.close(sock.detach())


_CONNECTED = register_after_fork(_Connected())


def close_after_fork(sock: socket.socket) -> None:
    """Have a socket closed in every forked child."""
    _CONNECTED.sockets.add(sock)


def poller(sock: Any, *, read: bool = False, write: bool = False) -> Callable[[float], object]:
    """Waits so many seconds for a socket to have something to read, or room; whether it does."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN * read | select.POLLOUT * write)
        return lambda seconds: poll.poll(seconds * 1000)
    return lambda seconds: any(select.select([sock] * read, [sock] * write, [], seconds))  # Windows


def shutdown(sock: socket.socket) -> None:
    """End a connection in both directions, so that whoever is blocked on it wakes at once; any thread may call it.

    The plain method is called on a TLS socket too: `SSLSocket.shutdown` drops the TLS object under its reader.
    """
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
