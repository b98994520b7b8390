"""One connection of a client: reads requests as they arrive, takes the steps of each reply; makes no decisions."""

import asyncio
import socket
import struct
import sys
from collections.abc import Generator, Iterator
from typing import cast
from urllib.parse import parse_qsl

from llmnet.testing.reply_steps import Action, Step
from llmnet.testing.script import Headers, Received
from llmnet.testing.server_state import FakeServerState

# SO_LINGER of zero seconds makes a close a reset; its two numbers are shorts on Windows.
_LINGER_ZERO = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(asyncio.Protocol):
    """Plays one reply at a time, without a task: whatever a step waits for calls `_play` at its end."""

    def __init__(self, state: FakeServerState, members: set["Connection"]) -> None:
        self._state = state
        self._members = members
        self._buffer = bytearray()
        self._steps: Generator[Step, None, None] | None = None
        self._since = 0
        self._received_any = False
        self._paused = False
        self._blocked = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read; a step is done when the kernel has its bytes, so the transport must not keep any."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=1)
        self._requests = read_requests(self._buffer, self._state.accept())
        self._members.add(self)
        self._begin(self._state.before_request("accept"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the rest of the reply."""
        self._members.discard(self)
        if self._timer:
            self._timer.cancel()
        if self._steps:
            self._steps.close()
            self._steps = None

    def data_received(self, data: bytes) -> None:
        """Keep the bytes, and begin with the next request unless one is being answered."""
        if not self._received_any and not self._steps:
            self._received_any = True
            self._begin(self._state.before_request("hello"))
        self._buffer += data
        self._next()

    def pause_writing(self) -> None:
        """Wait before the next write: the client reads more slowly than the server writes."""
        self._paused = True

    def resume_writing(self) -> None:
        """Continue the reply, if a step had to wait."""
        self._paused = False
        if self._blocked:
            self._blocked = False
            self._play()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def _next(self) -> None:
        if self._steps or self._transport.is_closing():
            return
        try:
            while isinstance(found := next(self._requests), bytes):
                self._transport.write(found)
        except ValueError:
            self._transport.write(BAD_REQUEST)
            self._transport.close()
            return
        if found:
            self._begin(self._state.answer(found))

    def _begin(self, steps: Generator[Step, None, None]) -> None:
        self._since = self._state.releases
        self._steps = steps
        self._play()

    def _play(self) -> None:
        """Take steps until one has to wait; when none is left, look for the next request."""
        for step in self._steps or ():
            match step:
                case bytes():
                    self._transport.write(step)
                    if self._transport.is_closing():
                        return  # the client has left; an endless reply would not let the loop report it
                    if self._paused:
                        self._blocked = True
                        return
                case float():
                    self._timer = asyncio.get_running_loop().call_later(step, self._play)
                    return
                case Action.HOLD if self._state.hold(self._play, self._since):
                    return
                case Action.STALL:
                    return
                case Action.CLOSE | Action.ABORT | Action.RESET:
                    self._disconnect(step)
                    return
        self._steps = None
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._next)

    def _disconnect(self, action: Action) -> None:
        if action is Action.RESET:
            raw: socket.socket = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        if action is Action.CLOSE:
            self._transport.close()
        else:
            self._transport.abort()


# -- requests from bytes: no socket, no clock -------------------------------------------------------------------------

Reading = Generator[None, None, bytes]
"""Yields None while more bytes are needed; returns the bytes found."""


def read_requests(buffer: bytearray, connection: int) -> Iterator[Received | bytes | None]:
    """Take one request after another from the front of a growing buffer.

    Yields:
        A request; or bytes to send to the client at once; or None when more bytes are needed.

    Raises:
        ValueError: the bytes are not HTTP.
    """
    while True:
        method, target, version, headers = _parse_head((yield from _until(buffer, b"\r\n\r\n")))
        chunked = "chunked" in headers.get("transfer-encoding", "")
        length = int(headers.get("content-length", 0))
        if headers.get("expect", "").lower() == "100-continue" and not buffer:
            yield CONTINUE
        body = yield from (_chunks(buffer) if chunked else _exactly(buffer, length))
        path, _, query = target.partition("?")
        parsed = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        yield Received(method, path, parsed, headers, body, connection, version)


def _parse_head(block: bytes) -> tuple[str, str, str, Headers]:
    first, *lines = block.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    fields = (line.partition(":") for line in lines)
    return method, target, version, Headers([(name, value.strip()) for name, _, value in fields])


def _until(buffer: bytearray, delimiter: bytes) -> Reading:
    while (end := buffer.find(delimiter)) < 0:
        yield
    found = bytes(buffer[:end])
    del buffer[: end + len(delimiter)]
    return found


def _exactly(buffer: bytearray, size: int) -> Reading:
    while len(buffer) < size:
        yield
    with memoryview(buffer) as view:  # one copy instead of two: bodies of 64 MB are expected
        found = bytes(view[:size])
    del buffer[:size]
    return found


def _chunks(buffer: bytearray) -> Reading:
    body = bytearray()
    while size := int((yield from _until(buffer, b"\r\n")).partition(b";")[0], 16):
        body += yield from _exactly(buffer, size)
        yield from _exactly(buffer, 2)
    while (yield from _until(buffer, b"\r\n")):
        pass  # trailers
    return bytes(body)
