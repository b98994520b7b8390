"""Drives one call, blocking; `aio_driver.py` is the same text, awaited, and a test holds the two to that."""

from collections.abc import Iterator
from typing import Any

from llmnet.core.call import Call
from llmnet.core.chat import StreamChunk
from llmnet.core.finalizer import surely
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.transport import OpenReply, Transport
from llmnet.transports.sync import wait
from llmnet.transports.sync.reply import ERROR_BODY, last_bytes


class Driver:
    """Waits for a call's turn, asks for its key, sends and reads it; what fails is judged, and repeated or raised.

    Attributes:
        call: the call.
        over: whether its reply was read to the end.
        value: what came of it.
    """

    def __init__(self, transport: Transport, waits: wait.SyncWait, call: Call) -> None:
        self.call, self._transport, self._waits = call, transport, waits
        self._open: tuple[OpenReply, Iterator[bytes]] | None = None
        self.value: Any = None
        self.over = False

    @property
    def is_open(self) -> bool:
        """Whether a reply is there to be read."""
        return self._open is not None

    def run(self) -> Any:
        """Drive the call to its end; its value.

        Raises:
            LLMNetError: the call failed.
        """
        try:
            while not self.over:
                self.step()
        except BaseException as error:
            self.end(error)
            raise
        return self.value

    def step(self) -> list[StreamChunk]:
        """Send or, where that is done, read once; the chunks that are complete by now.

        Raises:
            LLMNetError: the call failed.
        """
        try:
            self.call.enter()
            if self._open is not None:
                return self._read(self._open[1])
            self._send()
        except AttemptError as failure:
            self.leave()
            self.call.judge(failure)
        return []

    def _send(self) -> None:
        call = self.call
        self._waits.enter(call.admission, call.interruption)
        exchange = call.begin(wait.ask_key(call.route.key, call.interruption))
        reply = self._transport.send(exchange, call.bounds)
        body = iter(reply)
        self._open = reply, body
        if exchange.head(reply.status, reply.headers) == "error":
            raise AttemptError(Outcome(exchange.reply.fail(last_bytes(body, exchange, *ERROR_BODY))))

    def _read(self, body: Iterator[bytes]) -> list[StreamChunk]:
        reader = self.call.current.reply
        data = None if reader.done else next(body, None)
        chunks = reader.end() if data is None else reader.feed(data)
        if chunks and reader.stream:
            self.call.mark_delivered()
        if data is None:
            self.value = self.call.succeed()
            self.over = True
            self.leave()
        return chunks

    def leave(self) -> None:
        """Give connection and slot of an attempt back."""
        was_open, self._open = self._open, None
        try:
            if was_open is not None:
                was_open[0].close()
        finally:
            self.call.leave()

    def end(self, error: BaseException | None) -> None:
        """Nobody goes on with the call: give back what it holds, and note what has ended it."""
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
