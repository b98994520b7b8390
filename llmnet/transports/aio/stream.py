"""How httpcore reaches a server: over connections of our own, which it finds made, proxy and TLS included."""

import asyncio
from typing import Any

import httpcore

from llmnet.core.http import answers
from llmnet.net.sockets import AT_ONCE
from llmnet.transports.aio.connect import Connector, Incoming
from llmnet.transports.aio.connection import Connection, Salvage
from llmnet.transports.aio.goaway import Frames

# What stands in so much, as a thousand informational heads, is read before the loop has another turn.
_READ_AT_ONCE = 16 * 1024
# Of all loops. A loop may be closed under its tasks; httpcore, which looks for one that runs, would complain of the
# collector that ends them.
_WAITING: set[asyncio.Task[Any] | None] = set()


class Dialler(httpcore.AsyncNetworkBackend):
    """A backend of httpcore, whose own would resolve names in an executor that is joined at exit.

    Args:
        connector: makes its connections.
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> "Stream":
        """Connect to a server."""
        return Stream(await self._connector.connect(host, port))


class Stream(httpcore.AsyncNetworkStream):
    """A connection as httpcore reads and writes it.

    Attributes:
        frames: those of HTTP/2, if TLS has chosen that.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._incoming, self._news = connection, Incoming(), asyncio.Event()
        self._salvage: Salvage | None = None
        self._asked = self._given_up = False
        secure = connection.transport.get_extra_info("ssl_object")
        self.frames = Frames() if secure and secure.selected_alpn_protocol() == "h2" else None
        connection.begin(self._news.set, self._incoming)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come since the last time, or comes next; nothing at the end.

        Raises:
            httpcore.ReadError: the connection has failed.
        """
        while data := await self._next():
            if data := self.frames.received(data) if self.frames else data:
                return data
        return b""

    async def _next(self) -> bytes:
        connection, incoming = self._connection, self._incoming
        await asyncio.sleep(0)
        while not incoming.data and not connection.lost:
            await self._wait()
        if not incoming.data and connection.failure is not None:
            raise httpcore.ReadError(str(connection.failure)) from connection.failure
        self._end_salvage()
        data = incoming.take(_READ_AT_ONCE)
        if not incoming.data:
            connection.resume()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send, until it is answered: by then nobody may take any more of it, and the answer counts.

        Raises:
            httpcore.WriteError: it was not sent whole; httpcore reads on.
        """
        connection = self._connection
        if self.frames:
            self.frames.sent(buffer)
        if self._asked and self._salvage is None and not connection.transport.is_closing():
            self._salvage = Salvage(connection.below)
        self._asked = True
        for at in range(0, len(buffer), AT_ONCE):
            if at:
                await asyncio.sleep(0)
            if self._is_answered or connection.transport.is_closing():
                self._given_up = True
                break
            connection.transport.write(buffer[at : at + AT_ONCE])
            while connection.is_full and not (self._is_answered or connection.lost):
                await self._wait()
        while connection.transport.is_closing() and not connection.lost:
            await self._wait()
        self._given_up |= connection.is_full or connection.lost
        # Of HTTP/2 others may still have what was read before; whoever reads on hears of the end.
        if self._given_up and not self.frames:
            raise httpcore.WriteError(str(connection.failure or "nobody takes the rest of the request"))

    @property
    def _is_answered(self) -> bool:
        return any(map(answers, bytes(self._incoming.data).split(b"\r\n\r\n")))

    async def _wait(self) -> None:
        task = asyncio.current_task()
        _WAITING.add(task)
        try:
            await self._news.wait()
            self._news.clear()
        finally:
            _WAITING.discard(task)

    def _end_salvage(self) -> None:
        self._asked = False
        if self._salvage is not None:
            self._salvage.end()
            self._salvage = None

    async def aclose(self) -> None:
        """End the connection at once."""
        self._end_salvage()
        self._connection.abort()

    async def start_tls(self, *_: Any, **__: Any) -> "Stream":
        """TLS is there already."""
        return self

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows; one that something has come over, or that is full, serves nobody else."""
        connection = self._connection
        if info == "is_readable":
            return self._given_up or self._incoming.buffered or not connection.usable or connection.is_followed
        return connection.transport.get_extra_info(info)
