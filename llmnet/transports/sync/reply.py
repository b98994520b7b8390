"""The open reply of the sync transport: raw bytes of a body under the call's bounds, then connection and slot back.

Bytes that have arrived can be more work than there is time for: the bounds are asked also where nobody waits.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import requests

from llmnet.core.call import Call
from llmnet.core.finalizer import surely
from llmnet.core.outcome import Fault, Outcome
from llmnet.transports.classify import outcome_of
from llmnet.transports.sync.retry import FOREIGN

READ_BYTES = 65536
DRAIN_BYTES = 64 * 1024
DRAIN_SECONDS = 0.25
# As many pieces may have been at hand without a look at the clock.
PIECES = 32


class OpenReply:
    """A success whose head has arrived: an iterator over the raw bytes of its body."""

    def __init__(self, leave: Callable[[Call], None], call: Call, response: requests.Response) -> None:
        self._leave, self._call, self._raw = leave, call, response.raw
        self._at_end = self._closed = False
        self._given = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The next bytes of the body; none, while the exchange is behind with those before."""
        behind = self._call.under_way.behind
        self._given += 1
        if (behind or self._given % PIECES == 0) and self._call.left() <= 0 and not self._call.bounds.may_look():
            raise Fault(Outcome(self._call.expired()))
        return b"" if behind else self._read()

    def _read(self) -> bytes:
        try:
            # `iter_content` would hold back what a server sends without chunking (psf/requests#5536).
            data: bytes = self._raw.read1(READ_BYTES, decode_content=False)
        except FOREIGN as error:
            outcome = outcome_of(error, self._call)
            if self._call.under_way.survives(outcome):
                raise StopIteration from error
            raise Fault(outcome) from error
        except Exception:
            self._call.go_on()  # connections that are closed under a stopped call may fail in any way
            raise
        if not data:
            self._at_end = True
            raise StopIteration
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give connection and slot back; what still follows a terminal event is drained, briefly."""
        if self._closed:
            return
        try:
            self._drain()
        finally:
            self.drop()

    def _drain(self) -> None:
        exchange = self._call.exchange
        if self._at_end or exchange is None or not exchange.done or self._call.stopped is not None:
            return
        self._call.last(DRAIN_SECONDS)
        left = DRAIN_BYTES
        try:
            for data in self:
                left -= len(data)
                if left <= 0:
                    return
        except Fault:
            return

    def drop(self) -> None:
        """Let go at once; a connection whose reply was not read to its end is closed.

        Its pool gets it only at the end of the reply, by itself: a finalizer comes by here, and the lock of a pool may
        be held by the very thread that runs it.
        """
        if not self._at_end:
            self._raw.close()
        self._leave(self._call)
        # At the end: what a Ctrl-C has kept from being done is left to the finalizer.
        self._closed = True

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            surely(self.drop)
