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
        self._drained = self._abandoned = False
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
        return self.taken - self.finished

    @property
    def settled(self) -> bool:
        """Whether a consumer need not wait: there is a result, or there will be none."""
        return bool(self._ready) or (self.closing and (self._abandoned or not self.in_flight))

    def take(self) -> int:
        """Note that a row is being taken; its index."""
        self.taken += 1
        return self.taken - 1

    def untake(self) -> None:
        """There was no row to take: the source has ended."""
        self.taken -= 1
        self._drained = True

    def finish(self, result: BatchResult) -> None:
        """Note what came of a row; after `abandon` nobody wants to know."""
        if self._abandoned:
            return
        self.finished += 1
        self.failed += result.error is not None
        self._early[result.index] = result
        following = self.given + len(self._ready) if self._ordered else result.index
        while (one := self._early.pop(following, None)) is not None:
            self._ready.append(one)
            following += 1

    def give(self) -> BatchResult | None:
        """Hand the next result over, if there is one."""
        if not self._ready:
            return None
        self.given += 1
        return self._ready.popleft()

    def abandon(self) -> None:
        """Take no more rows and wait for none; what has finished is still handed over, in order."""
        self._drained = self._abandoned = True
        self._ready.extend(self._early.pop(index) for index in sorted(self._early))
