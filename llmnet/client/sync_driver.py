"""Drives one call, blocking; a test holds it and `aio_driver.py` to one text."""

import contextlib
from collections.abc import Iterator
from typing import Any

from llmnet.core.call import Call
from llmnet.core.interrupts import surely
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.transport import OpenReply, Transport
from llmnet.transports.sync import wait
from llmnet.transports.sync.reply import ERROR_BODY, last_bytes


class Driver:
    """Waits for a call's turn, asks for its key, sends and reads it; what fails is judged, and repeated or raised.

    Once the reply is read to its end, the call is `over`, and `value` is what came of it.
    """

    def __init__(self, transport: Transport, waits: wait.SyncWait, call: Call) -> None:
        self.call, self._transport, self._waits = call, transport, waits
        self._reply: OpenReply | None = None
        self._body: Iterator[bytes] | None = None
        self.value: Any = None
        self.over = False

    @property
    def is_open(self) -> bool:
        """Whether a reply is there to be read."""
        return self._body is not None

    def run(self) -> Any:
        """Drive the call to its end; its value."""
        try:
            while not self.over:
                self.step()
        except BaseException as error:
            self.end(error)
            raise
        return self.value

    def step(self) -> list[Any]:
        """Send or, where that is done, read once; the chunks that are complete by now."""
        try:
            self.call.enter()
            if self._body is None:
                self._send()
                return []
            exchange, data = self.call.current, None
            if not exchange.reply.done:
                exchange.between()
                try:
                    data = next(self._body)
                except StopIteration:
                    data = None
            chunks = self._read(exchange.reply, data)
            if self.over:
                self.leave()
        except AttemptError as failure:
            self.leave()
            self.call.judge(failure)
            return []
        return chunks

    def _send(self) -> None:
        call = self.call
        self._waits.enter(call.admission, call.interruption)
        key = call.route.key
        exchange = call.begin(wait.ask_key(key, call.interruption) if callable(key) else key)
        reply = self._reply = self._transport.send(exchange, call.bounds)
        body = self._body = iter(reply)
        if exchange.head(reply.status, reply.headers) == "error":
            raise AttemptError(Outcome(exchange.reply.fail(last_bytes(body, exchange, *ERROR_BODY))))

    def _read(self, reader: ReplyReader, data: bytes | None) -> list[Any]:
        chunks = reader.end() if data is None else reader.feed(data)
        if chunks and reader.stream:
            self.call.mark_delivered()
        # Where all of the body has been read, nothing need be asked for once more.
        if data is not None and not reader.stream and not reader.behind and getattr(self._reply, "ended", False):
            reader.end()
            data = None
        if data is None:
            self.value = self.call.succeed()
            self.over = True
        return chunks

    def leave(self) -> None:
        """Give connection and slot of an attempt back."""
        reply, self._reply, self._body = self._reply, None, None
        try:
            if reply is not None:
                with contextlib.suppress(AttemptError):  # of the attempt nothing is left to be judged
                    reply.close()
        finally:
            self.call.leave()

    def end(self, error: BaseException | None) -> None:
        """Give back what the call holds, and note what has ended it."""
        try:
            self.leave()
        finally:
            self.call.end(error)

    def __del__(self) -> None:
        # Nobody listens any more; the open reply, if there is one, is closed by its own finalizer.
        if not getattr(self, "over", True):  # a Ctrl-C may have come as it was made
            surely(self._drop)

    def _drop(self) -> None:
        self.call.leave()
        self.call.end(late=True)
