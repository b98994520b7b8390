"""The books of one batch: which rows are out, what came of them, when to take no more; pure, with no lock of its own.

Never more rows are out, taken and not yet handed over, than *limit* plus `WINDOW`: that bounds the memory of a batch.
"""

from collections import deque

from llmnet.batch.rows import BatchResult

# Rows held beyond those in flight, so that a consumer may take its time without idling the workers at once.
WINDOW = 32


class Ledger:
    """What workers and consumer share.

    Args:
        limit: how many rows may be in flight.
        ordered: hand results over in the order of the rows.
        stop_after_errors: after so many failures no further row is taken; those in flight are finished.
    """

    def __init__(self, limit: int, *, ordered: bool = False, stop_after_errors: int | None = None) -> None:
        self.limit = limit
        self.taken = self.finished = self.failed = self.given = 0
        self._taking = self._drained = self._abandoned = False
        self._ordered, self._most_errors = ordered, stop_after_errors
        self._early: dict[int, BatchResult] = {}
        self._ready: deque[BatchResult] = deque()

    @property
    def closing(self) -> bool:
        """Whether no row will be taken any more."""
        return self._drained or (self._most_errors is not None and self.failed >= self._most_errors)

    @property
    def has_room(self) -> bool:
        """Whether one more row may be out."""
        return self.taken - self.given < self.limit + WINDOW

    @property
    def in_flight(self) -> int:
        """Rows that are being worked on."""
        return self.taken - self._taking - self.finished

    @property
    def settled(self) -> bool:
        """Whether a consumer need not wait: there is a result, or there will be none."""
        awaited = self.in_flight or (self._taking and not self._abandoned)
        return bool(self._ready) or (self.closing and not awaited)

    def take(self) -> int:
        """Note that a row is being taken, which may last; its index."""
        self._taking = True
        self.taken += 1
        return self.taken - 1

    def took(self) -> None:
        """The row is there."""
        self._taking = False

    def untake(self) -> None:
        """There was no row to take: the source has ended."""
        self._taking = False
        self._drained = True
        self.taken -= 1

    def finish(self, result: BatchResult | None) -> None:
        """Note what came of a row; `None` is nothing, and neither is a failure once the batch is abandoned."""
        self.finished += 1
        if result is not None and (result.error is None or not self._abandoned):
            self.failed += result.error is not None
            self._early[result.index] = result
        self._release()

    def _release(self) -> None:
        """Make ready what may be handed over now: what is next, or all where nothing is waited for."""
        following = self.given + len(self._ready)
        while self._ordered and (one := self._early.pop(following, None)) is not None:
            self._ready.append(one)
            following += 1
        if not self._ordered or (self._abandoned and not self.in_flight):
            self._ready.extend(self._early.pop(index) for index in sorted(self._early))

    def give(self) -> BatchResult | None:
        """Hand the next result over, if there is one."""
        if not self._ready:
            return None
        self.given += 1
        return self._ready.popleft()

    def abandon(self) -> None:
        """Take no more rows; what succeeds nevertheless, or has finished already, is still handed over, in order."""
        self._drained = self._abandoned = True
        self._release()
