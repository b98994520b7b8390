"""A server that is faster than its clients: HTTP/1.1 with keep-alive, prepared replies, as little parsing as possible.

`python -m benchmarks.server` prints its port, and ends when its input does.
"""

import asyncio
import gc
import re
import sys
from collections.abc import Iterator
from time import monotonic_ns

from benchmarks.content import DIGITS, MARK, Pace, stamp
from benchmarks.replies import CHAT, COUNTED_STREAM, MESSAGE, MESSAGE_STREAM, STREAM, Form, Paced

_BACKLOG = 4096  # thousands of clients connect at once
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
NUMBER = re.compile(MARK.encode() + rb"(\d{%d})" % DIGITS)
_STREAMED = re.compile(rb'"stream": ?true')
_MESSAGES = re.compile(rb"POST \S*/messages[ ?]")
_PACE = re.compile(rb"POST /(\d+)-(\d+)-(\d+)/")
_MISSING = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"


def asked(request: bytes) -> Pace:
    """How the reply is to be sent: the beginning of the path."""
    found = _PACE.match(request)
    return Pace(*map(int, found.groups())) if found else Pace()


def chosen(request: bytes) -> Form:
    """The reply to a request, by its path and its body."""
    streamed = _STREAMED.search(request) is not None
    if _MESSAGES.match(request):
        return MESSAGE_STREAM if streamed else MESSAGE
    if streamed:
        return COUNTED_STREAM if b'"include_usage"' in request else STREAM
    return CHAT


class _Connection(asyncio.Protocol):
    """Sends a stream one write per turn of the loop, not faster than the client reads; or one by one, by the clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._seen = transport, b""
        self._left: Iterator[bytes] = iter(())
        self._paused, self._loop = False, asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while (head := self._seen.find(b"\r\n\r\n") + 4) > 3:
            length = _LENGTH.search(self._seen, 0, head)
            end = head + (int(length[1]) if length else 0)
            if len(self._seen) < end:
                return
            request, self._seen = self._seen[:end], self._seen[end:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        number = NUMBER.search(request)
        if number is None:
            self._transport.write(_MISSING)
            return
        pace, form = asked(request), chosen(request)
        if pace.wait:
            self._loop.call_later(pace.wait / 1000, self._begin, form, pace, number[1])
        else:
            self._begin(form, pace, number[1])

    def _begin(self, form: Form, pace: Pace, number: bytes) -> None:
        if form.paced is not None and pace.deltas:
            self._transport.write(form.paced.opening)
            self._step(form.paced, pace.deltas, pace.every / 1000, self._loop.time())
            return
        reply = form.reply
        self._transport.write(b"".join((reply.before, number, reply.after)))
        self._left = iter(reply.more)
        self._soon()

    def _step(self, paced: Paced, left: int, every: float, due: float) -> None:
        """Send a delta, and the next one so long after this one was due."""
        if self._transport.is_closing():
            return
        ends = paced.closing if left == 1 else b""
        self._transport.write(b"".join((paced.before, stamp(monotonic_ns()).encode(), paced.after, ends)))
        if left > 1:
            self._loop.call_at(due + every, self._step, paced, left - 1, every, due + every)

    def _soon(self) -> None:
        if not self._paused:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if data := next(self._left, b""):
            self._transport.write(data)
            self._soon()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._soon()

    def connection_lost(self, error: Exception | None) -> None:
        self._left = iter(())


async def serve() -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=_BACKLOG)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    gc.disable()  # there are no cycles here, and a pause of the server would count for a client
    asyncio.run(serve())
