"""Ports whose kernel takes part in TCP while no program accepts, reads or answers."""

import contextlib
import socket
from collections.abc import Iterator

_BACKLOG = 4096


@contextlib.contextmanager
def mute_peer(window: int | None = None) -> Iterator[int]:
    """A port on loopback where connections are accepted and nothing is ever read.

    Args:
        window: bytes that the kernel accepts from the sender; `None` leaves its default.
    """
    with socket.socket() as listener:
        if window is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        listener.bind(("127.0.0.1", 0))
        listener.listen(_BACKLOG)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def full_peer(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port whose backlog is full: no TCP handshake ever completes there."""
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
