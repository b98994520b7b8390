"""Peers that are worse than any server: their kernel takes part in TCP, and nobody behind it does."""

import contextlib
import socket
from collections.abc import Iterator

_MANY = 4096


@contextlib.contextmanager
def mute_peer(window: int | None = None) -> Iterator[int]:
    """A port on loopback where connections are accepted and nothing is ever read.

    Args:
        window: bytes that the kernel takes of what is sent; `None`: as many as it likes.
    """
    with socket.socket() as listener:
        if window is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        listener.bind(("127.0.0.1", 0))
        listener.listen(_MANY)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def full_peer(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port whose backlog is full: no handshake of TCP ever ends there."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]
