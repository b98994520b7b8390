"""A TCP stream of the async front keeps what had come before it broke.

A server may answer, and hang up, before it has read the whole request. asyncio closes the socket of a failed write at
once, and the answer with it; a second handle on the socket still has it, and with TLS above it is none the wiser.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.abc


class Keeping(anyio.abc.ByteStream):
    """A stream of anyio's around another one."""

    def __init__(self, inner: anyio.abc.ByteStream) -> None:
        self._inner = inner
        self._raw = inner.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - no Django
        self._handle: socket.socket | None = None
        self._asked = False

    async def send(self, item: bytes) -> None:
        """Send; an answer to what was sent before is kept, and where there is one it counts.

        Raises:
            anyio.BrokenResourceError: it was not sent whole, of which the stream below says nothing yet.
        """
        if self._asked and self._handle is None and self._raw.fileno() >= 0:
            self._handle = socket.fromfd(self._raw.fileno(), self._raw.family, self._raw.type)
            self._handle.setblocking(False)
        self._asked = True
        try:
            await self._inner.send(item)
            broken = self._raw.fileno() < 0
        except anyio.BrokenResourceError:
            broken = True
        if broken and not self._kept(1, socket.MSG_PEEK):
            raise anyio.BrokenResourceError

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Receive; once the stream is broken, what was kept.

        Raises:
            anyio.BrokenResourceError: it is broken, and nothing was kept.
        """
        try:
            data = await self._inner.receive(max_bytes)
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
        """What the stream below knows."""
        return self._inner.extra_attributes
