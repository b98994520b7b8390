"""How httpcore reaches a server: over connections of our own, which it finds made, proxy and TLS included.

A GOAWAY of HTTP/2 ends no request that its server still answers (RFC 9113, 6.8). h2 and httpcore take it for the end of
all streams of its connection. Here, below them, it is put into words that they know: a stream that will not be answered
is refused, and the connection tells whoever asks that it takes no new one.
"""

import asyncio
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import httpcore

from llmnet.core.http import answers
from llmnet.net.sockets import AT_ONCE
from llmnet.transports.aio.connect import Connector, Incoming
from llmnet.transports.aio.connection import Connection, Salvage

# What stands in so much, as a thousand informational heads, is read before the loop has another turn.
_READ_AT_ONCE = 16 * 1024
# Of all loops. A loop may be closed under its tasks; httpcore, which looks for one that runs, would complain of the
# collector that ends them.
_WAITING: set[asyncio.Task[Any] | None] = set()

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD, _HEADERS, _SETTINGS, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 9, 1, 4, 7, 8, 9
_END_HEADERS = 4
_LONGEST = 16384  # h2 allows no more
_REFUSED = b"\x00\x00\x04\x03\x00%b\x00\x00\x00\x07"  # RST_STREAM with REFUSED_STREAM
_NOTHING = b"\x00\x00\x00\xff\x00\x00\x00\x00\x00"  # of a type that nobody knows: it is passed over


class Dialler(httpcore.AsyncNetworkBackend):
    """A backend of httpcore, whose own would resolve names in an executor that is joined at exit."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> "Stream":
        """Connect to a server."""
        return Stream(await self._connector.connect(host, port))


class Stream(httpcore.AsyncNetworkStream):
    """A connection as httpcore reads and writes it, in frames where TLS has chosen HTTP/2."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._incoming, self._news = connection, Incoming(), asyncio.Event()
        self._salvage: Salvage | None = None
        self._asked = self._given_up = False
        secure = connection.transport.get_extra_info("ssl_object")
        self._frames = Frames() if secure and secure.selected_alpn_protocol() == "h2" else None
        self._told = weakref.WeakSet[Any]()
        connection.begin(self._news.set, self._incoming)

    @property
    def is_leaving(self) -> bool:
        """Whether the server takes no new stream."""
        return self._frames is not None and self._frames.leaving

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come since the last time, or comes next; nothing at the end.

        Raises:
            httpcore.ReadError: the connection has failed.
        """
        frames = self._frames
        if frames is None:
            return await self._next()
        # Who waits for room to send may find that another task has read of it: what else is to come may wait for him.
        data = _NOTHING if self._is_untold(frames) else b""
        while not data and (come := await self._next()):
            data = frames.received(come)
        if frames.has_made_room:
            self._told.clear()
            frames.has_made_room = False
        self._told.add(asyncio.current_task())
        return data

    def _is_untold(self, frames: "Frames") -> bool:
        told = frames.is_in_head or not frames.has_spoken or asyncio.current_task() in self._told
        return not (told or self._incoming.data or self._connection.lost)

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
        if self._frames:
            self._frames.sent(buffer)
        if self._asked and self._salvage is None and not connection.transport.is_closing():
            self._salvage = Salvage(connection.below)
        self._asked = True
        # Frames go out whole, whoever is cancelled: others speak over the same connection.
        most = max(AT_ONCE, len(buffer)) if self._frames else AT_ONCE
        for at in range(0, len(buffer), most):
            if at:
                await asyncio.sleep(0)
            if self._is_answered or connection.transport.is_closing():
                self._given_up = True
                break
            connection.transport.write(buffer[at : at + most])
            while connection.is_full and not (self._is_answered or connection.lost):
                await self._wait()
        while connection.transport.is_closing() and not connection.lost:
            await self._wait()
        self._given_up |= connection.is_full or connection.lost
        # Of HTTP/2 others may still have what was read before; whoever reads on hears of the end.
        if self._given_up and not self._frames:
            raise httpcore.WriteError(str(connection.failure or "nobody takes the rest of the request"))

    @property
    def _is_answered(self) -> bool:
        return not self._frames and any(map(answers, bytes(self._incoming.data).split(b"\r\n\r\n")))

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


class Frames:
    """The frames of one connection, as its client sees them.

    Attributes:
        leaving: whether the server takes no new stream.
        has_spoken: whether any frame has come.
        has_made_room: whether one has that may let more be sent.
        is_in_head: whether the next one goes on with a head.
    """

    def __init__(self) -> None:
        self.leaving = self.has_spoken = self.has_made_room = self.is_in_head = False
        self._held = b""
        self._newest, self._unanswered = 0, 1 << 31

    def sent(self, data: bytes) -> None:
        """Note which streams are opened; what is written are whole frames."""
        for frame in _whole(data.removeprefix(_PREFACE)):
            if frame[3] == _HEADERS:
                self._newest = _number(frame[5:9])

    def received(self, data: bytes) -> bytes:
        """The frames that are whole by now, a farewell in other words; there may be none."""
        self._held += data
        frames = list(_whole(self._held))
        self._held = self._held[sum(map(len, frames)) :]
        for frame in frames:
            self.has_spoken = True
            self.has_made_room |= frame[3] in {_SETTINGS, _WINDOW_UPDATE}
            self.is_in_head = frame[3] in {_HEADERS, _CONTINUATION} and not frame[4] & _END_HEADERS
        return b"".join([*itertools.filterfalse(self._is_farewell, frames), *self._refusals()])

    def _is_farewell(self, frame: bytes) -> bool:
        """Take note of a GOAWAY for no fault; one for a fault does end all."""
        if frame[3] != _GOAWAY or len(frame) < _HEAD + 8 or _number(frame[13:17]) != 0:
            return False
        self.leaving = True
        self._unanswered = (_number(frame[9:13]) + 1) | 1  # the streams of a client have odd numbers
        return True

    def _refusals(self) -> Iterator[bytes]:
        """A refusal for each stream that will not be answered, also of those that are opened too late."""
        for stream in range(self._unanswered, self._newest + 1, 2):
            yield _REFUSED % stream.to_bytes(4)
            self._unanswered = stream + 2


def _whole(data: bytes) -> Iterator[bytes]:
    """Cut at the ends of frames; one that is too long is given as it is, for h2 to complain of."""
    at = 0
    while len(data) >= at + _HEAD:
        size = _number(b"\x00" + data[at : at + 3])
        end = at + _HEAD + size
        if end > len(data) and size <= _LONGEST:
            return
        yield data[at:end]
        at = end


def _number(data: bytes) -> int:
    """A number of four bytes, of which the first bit is reserved."""
    return int.from_bytes(data) & 0x7FFFFFFF
