"""One connection of the fast transport: bytes go to the reader of whoever has it, and news to whoever waits.

Nothing is awaited in here. A connection belongs to one exchange at a time; between two of them nothing is to come, and
what comes then ends it: it would be taken for the next reply. What comes before the first one is its reply: there are
servers that turn a client away at once; but one that has waited for its first exchange is not used after that.
"""

import asyncio
import contextlib
import contextvars
import socket
from collections.abc import Callable, Hashable
from typing import Any, Protocol, cast

from llmnet.net.sockets import AT_ONCE, Age, poller
from llmnet.transports.aio.idle import Resting
from llmnet.transports.aio.watch import Alarm

# Bytes of a body that wait for their reader before the server is kept waiting.
_MOST = 256 * 1024


class Reader(Protocol):
    """Takes what comes over a connection."""

    @property
    def buffered(self) -> int:
        """Bytes that nobody has taken yet."""

    def feed(self, data: bytes) -> None:
        """Take bytes."""

    def eof(self, *, failed: bool = False) -> None:
        """Take note that the connection has ended, or has failed."""


class Connection(asyncio.Protocol, Resting):
    """A connection and its state.

    Attributes:
        alarm: the timer of whoever waits for it.
        below: asyncio's transport of the TCP connection.
        origin: the origin that it leads to, once it is connected.
        transport: the one that is spoken over: the same, or above TLS.
        lost: whether it has ended.
        failure: what it has ended with, if that was no end in order.
        is_full: whether so much waits to be sent that no more is to be written.
        served: whether it has served an exchange.
    """

    alarm: Alarm
    below: asyncio.Transport
    origin: Hashable
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.lost = self.is_full = self.served = self._paused = self._has_begun = False
        self._early = b""
        self.failure: Exception | None = None
        self._reader: Reader | None = None
        self._wake: Callable[[], None] | None = None
        self._age = Age()

    # -- what asyncio calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self.below, self.alarm = cast("asyncio.Transport", transport), Alarm(asyncio.get_running_loop())
        self._readable = poller(transport.get_extra_info("socket"), read=True)
        self.speak(self.below)

    def speak(self, transport: asyncio.Transport) -> None:
        """Speak over a transport from now on."""
        self.transport = transport
        transport.set_write_buffer_limits(high=AT_ONCE)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        reader = self._reader
        if reader is None:
            self._early += data
            if self._has_begun or len(self._early) > AT_ONCE:
                self.abort()
            return
        reader.feed(data)
        if reader.buffered > _MOST:
            self._paused = True
            self.transport.pause_reading()
        elif len(data) > AT_ONCE:  # uvloop would read on, megabytes in one turn of the loop, and no timer would fire
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)
        self._tell()

    def _read_on(self) -> None:
        if not (self._paused or self.lost or self.transport.is_closing()):
            self.transport.resume_reading()

    def eof_received(self) -> None:
        """The other side sends no more; what is still to be sent has nobody to answer it."""
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._end(exc)
        self.alarm.end()

    def pause_writing(self) -> None:
        """The other side takes less than is sent."""
        self.is_full = True

    def resume_writing(self) -> None:
        """There is room again."""
        self.is_full = False
        self._tell()

    def _end(self, failure: Exception | None) -> None:
        if not self.lost:
            self.lost, self.failure = True, failure
            if self._reader is not None:
                self._reader.eof(failed=failure is not None)
            self._tell()

    def _tell(self) -> None:
        if self._wake is not None:
            self._wake()

    # -- what its exchange does ---------------------------------------------------------------------------------------

    def begin(self, wake: Callable[[], None], reader: Reader) -> None:
        """Serve an exchange, or a step before one: from now on its reader gets what comes, and news wakes it."""
        self._wake, self._reader, self._has_begun = wake, reader, True
        if self._early:
            reader.feed(self._early)
            self._early = b""
        if self.lost:
            reader.eof(failed=self.failure is not None)

    def resume(self) -> None:
        """The reader has room again."""
        if self._paused:
            self._paused = False
            contextvars.Context().run(self._read_on)  # else this caller's lived as long as the connection

    def renew(self) -> None:
        """Be as new for TLS that begins: its server may speak first, and what came without it is not its word."""
        self._early, self._has_begun = b"", False

    def rest(self) -> None:
        """Serve nobody, from now on."""
        self._wake = self._reader = None
        self.alarm.rest()
        self.begin_rest()
        if self._paused:
            self.resume()

    def abort(self) -> None:
        """End it at once, whatever still waits to be sent; who waits for it hears of that."""
        self._end(ConnectionAbortedError("the connection was closed on this side"))
        self._wake = self._reader = None
        self.alarm.end()
        with contextlib.suppress(RuntimeError):  # of a loop that is closed, which leaves the socket to the collector
            self.transport.abort()

    @property
    def usable(self) -> bool:
        """Whether it may serve one more exchange."""
        return not (self.lost or self.is_full or self._early or self._age.over or self.transport.is_closing())

    @property
    def is_followed(self) -> bool:
        """Whether something has come that the loop had no turn to read: its end, or what nobody has asked for."""
        return bool(self._readable(0.0))


class Salvage(asyncio.Protocol):
    """Keeps what had come before a connection broke, for as long as a request is being sent.

    A server may answer, and hang up, before it has read the whole request. asyncio closes the socket of a failed write
    at once, and the answer with it; a second handle on the socket still has it. It stands below the protocol of a
    transport, be it TLS or not.

    Args:
        transport: asyncio's of the TCP connection.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._inner: Any = transport.get_protocol()  # of either kind; uvloop's are of no class of asyncio's
        self._handle: socket.socket = transport.get_extra_info("socket").dup()
        self._handle.setblocking(False)
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Pass on what comes."""
        inner = self._inner
        if not hasattr(inner, "get_buffer"):
            inner.data_received(data)
            return
        while data:
            room = inner.get_buffer(len(data))
            size = min(len(room), len(data))
            room[:size] = data[:size]
            inner.buffer_updated(size)
            data = data[size:]

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return cast("bool | None", self._inner.eof_received())

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Read what had come, and only then say that the connection is gone."""
        with contextlib.suppress(OSError):
            while data := self._handle.recv(65536):
                self.data_received(data)
        self._handle.close()
        self._inner.connection_lost(exc)

    def end(self) -> None:
        """The request is answered, or its connection done with."""
        self._handle.close()
        if not self._transport.is_closing():
            self._transport.set_protocol(self._inner)
