"""A TCP stream of the async front keeps what had come before it broke.

A server may answer, and hang up, before it has read the whole request. asyncio closes the socket of a failed write at
once, and the answer with it; a second handle on the socket still has it, and with TLS above it is none the wiser.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anyio
import anyio.abc

from llmnet.core.http import answers
from llmnet.net.sockets import AT_ONCE
from llmnet.transports.aio.wait import scope_here

# What stands in so much, as a thousand informational heads, is read before the loop has another turn.
_READ_AT_ONCE = 16 * 1024


class Keeping(anyio.abc.ByteStream):
    """A stream of anyio's around another one."""

    def __init__(self, inner: anyio.abc.ByteStream) -> None:
        self._inner = inner
        self._raw = inner.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - no Django
        self._handle: socket.socket | None = None
        self._asked = self._given_up = False

    async def send(self, item: bytes) -> None:
        """Send; an answer to what was sent before is kept, and where there is one it counts.

        Raises:
            anyio.BrokenResourceError: it was not sent whole, of which the stream below says nothing yet.
        """
        if self._asked and self._handle is None and self._raw.fileno() >= 0:
            self._handle = socket.fromfd(self._raw.fileno(), self._raw.family, self._raw.type)
            self._handle.setblocking(False)
        self._asked = True
        if self._given_up:
            return
        try:
            if self._handle is None or len(item) <= AT_ONCE:
                await self._inner.send(item)
            else:
                await self._upload(item, self._handle)
            broken = self._raw.fileno() < 0
        except anyio.BrokenResourceError:
            broken = True
        if broken and not self._kept(1, socket.MSG_PEEK):
            raise anyio.BrokenResourceError

    async def _upload(self, item: bytes, handle: socket.socket) -> None:
        """Send what the kernel does not take at once, until it is answered: by then nobody may take any more of it.

        Then, and where its bound expires, it is given up as if it had been sent, so that what has come is read.

        Raises:
            anyio.BrokenResourceError: the connection has ended.
        """
        with anyio.CancelScope() as sending, _giving_up(sending.cancel), _watched(handle, sending.cancel):
            await self._inner.send(item)
        self._given_up = sending.cancelled_caught
        if self._given_up and _peeked(handle) == b"":
            raise anyio.BrokenResourceError

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Receive; once the stream is broken, what was kept.

        Raises:
            anyio.BrokenResourceError: it is broken, and nothing was kept.
        """
        try:
            data = await self._inner.receive(min(max_bytes, _READ_AT_ONCE))
        except anyio.BrokenResourceError:
            if kept := self._kept(max_bytes):
                return kept
            raise
        self._let_go()
        return data

    def _kept(self, size: int, flags: int = 0) -> bytes:
        try:
            return self._handle.recv(size, flags) if self._handle else b""
        except OSError:
            return b""

    def _let_go(self) -> None:
        self._asked = False
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    async def send_eof(self) -> None:
        """Send the end."""
        await self._inner.send_eof()

    async def aclose(self) -> None:
        """Close both handles."""
        self._let_go()
        await self._inner.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """What the stream below knows; without a socket httpcore takes it for closed, and sends nothing else on it."""
        known = self._inner.extra_attributes
        return {**known, anyio.abc.SocketAttribute.raw_socket: lambda: None} if self._given_up else known


def _peeked(handle: socket.socket) -> bytes | None:
    """The first bytes of what has come, none at the end of the connection; `None` where nothing has."""
    try:
        return handle.recv(12, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError:
        return b""


@contextlib.contextmanager
def _giving_up(stop: Callable[[], object]) -> Iterator[None]:
    """Have the wait that this is a step of break it off before it ends itself."""
    scope = scope_here()
    if scope is None:
        yield
        return
    scope.give_up = stop
    try:
        yield
    finally:
        scope.give_up = None


@contextlib.contextmanager
def _watched(handle: socket.socket, answered: Callable[[], object]) -> Iterator[None]:
    """Look at what comes: a final reply, or the end of the connection; of what is TLS the first bytes tell nothing."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        head = _peeked(handle)
        if head == b"" or (head is not None and answers(head)):
            answered()
        elif head is not None:
            loop.remove_reader(handle)

    with contextlib.suppress(NotImplementedError):  # Windows' loop has none: there it is seen at the bound
        loop.add_reader(handle, look)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.remove_reader(handle)
