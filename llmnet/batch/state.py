"""The books of one batch: which rows are out, what came of them, when to take no more.

Never more rows are out, taken and not yet handed over, than *limit* plus `WINDOW`: that bounds the memory of a batch.
It waits for nobody: a lock, held for a few steps, serves threads and tasks alike. To abandon the batch takes no lock,
for a finalizer or a signal handler may do so on the very thread that holds it.
"""

import math
import os
import threading
import weakref
from typing import Protocol

from llmnet.batch.rows import BatchResult
from llmnet.core.errors import APIConnectionError, LLMNetError

# Rows held beyond those in flight, so that a consumer may take its time without idling the workers at once.
WINDOW = 32


class Stoppable(Protocol):
    """A call that can be ended from outside."""

    def stop(self, error: LLMNetError) -> object:
        """End it with an error, from any thread, without waiting for that."""


class Ledger:
    """What workers and consumers share.

    `_lock` guards all but two: `abandoned` is only ever set, and `_calls` is a set whose `add`, `discard` and `list()`
    are one step of the interpreter each, for `abandon` takes no lock. Properties read without the lock what was right a
    moment ago.

    Args:
        limit: how many workers there may be, and thereby rows in flight.
        ordered: hand results over in the order of the rows.
        stop_after_errors: after so many failures no further row is taken; those in flight are finished.

    Attributes:
        workers: how many were hired.
        taken: rows that workers have got, of which `finished` are worked off, and `given` handed over.
        abandoned: whether nobody wants more rows, nor those in flight.
    """

    def __init__(self, limit: int, *, ordered: bool = False, stop_after_errors: int | None = None) -> None:
        self.limit = limit
        self.workers = self.taken = self.finished = self.given = 0
        self.abandoned = self._taking = self._drained = False
        self._ordered = ordered
        self._errors, self._most_errors = 0, stop_after_errors or math.inf
        self._held: dict[int, BatchResult] = {}
        self._calls: set[Stoppable] = set()
        self._broken: BaseException | None = None
        self._lock = threading.RLock()
        _LEDGERS.add(self)

    @property
    def closing(self) -> bool:
        """Whether no row will be taken any more."""
        return self.abandoned or self._drained or self._errors >= self._most_errors

    @property
    def in_flight(self) -> int:
        """Rows that are being worked on."""
        return self.taken - self.finished

    @property
    def mine(self) -> bool:
        """Whether this very thread holds the lock, as one does that a signal handler has interrupted in here."""
        try:
            threading.Condition(self._lock).notify(0)
        except RuntimeError:  # what it raises of a lock that the thread has not
            return False
        return True

    @property
    def over(self) -> bool:
        """Whether there will be no more results."""
        with self._lock:
            return self._over()

    def _over(self) -> bool:
        return self.closing and not self.in_flight and not self._held

    def hire(self) -> bool:
        """Note one more worker, if there may be one."""
        with self._lock:
            hired = self.workers < self.limit and not self.closing
            self.workers += hired
            return hired

    def dismiss(self) -> int:
        """Note that a worker could not begin; how many there are."""
        with self._lock:
            self.workers -= 1
            return self.workers

    def take(self) -> int | None:
        """The index of the next row, if it may be taken now; then nobody else takes one until this one is there."""
        with self._lock:
            if self.closing or self._taking or self.taken - self.given >= self.limit + WINDOW:
                return None
            self._taking = True
            return self.taken

    def took(self) -> bool:
        """The row is there; whether it is still wanted."""
        with self._lock:
            self._taking = False
            wanted = not self.closing
            self.taken += wanted
            return wanted

    def drain(self, error: BaseException | None) -> None:
        """There are no more rows, because of an error perhaps, which the consumer gets in the end."""
        with self._lock:
            self._drained = True
            if not self.abandoned:
                self._broken = self._broken or error

    def enter(self, call: Stoppable) -> None:
        """Note the call of a row; `abandon`, which sets the sign first and looks at the calls then, misses none."""
        self._calls.add(call)
        if self.abandoned:
            _end(call)

    def abandon(self) -> None:
        """Take no more rows and end the calls; what succeeds nevertheless, or has finished already, is handed over."""
        self.abandoned = True
        for call in list(self._calls):
            _end(call)

    def hold(self, result: BatchResult) -> None:
        """Keep the result of a row until it is handed over; none that failed once the batch was abandoned."""
        with self._lock:
            if result.error is None or not self.abandoned:
                self._errors += result.error is not None
                self._held[result.index] = result

    def leave(self, call: Stoppable | None) -> None:
        """The row is worked off; so is its call, if there was one."""
        self._calls.discard(call)
        with self._lock:
            self.finished += 1

    def give(self) -> BatchResult | None:
        """Hand the next result over, if it is there."""
        with self._lock:
            result = self._held.pop(self._next(), None)
            self.given += result is not None
            return result

    def _next(self) -> int:
        """The index of the result that comes next, -1 for none; gaps at the end of a batch are not filled any more."""
        if not self._ordered:
            return next(iter(self._held), -1)
        if self.closing and not self.in_flight:
            return min(self._held, default=-1)
        return self.given

    def conclude(self) -> None:
        """Nothing is left to be handed over but the error that has ended it, if there is one, and once.

        Raises:
            BaseException: that error.
        """
        with self._lock:
            broken, self._broken = self._broken, None
        if broken is not None:
            raise broken

    def orphan(self) -> None:
        """Begin with a free lock in a forked child; it has no workers, and what they have done its parent gives."""
        self._lock = threading.RLock()
        if self.workers and not self._over():
            self.abandoned, self.finished = True, self.taken
            self._held.clear()
            self._broken = APIConnectionError("the process was forked while the batch was under way", retryable=False)


def _end(call: Stoppable) -> None:
    call.stop(APIConnectionError("the batch was stopped while the call was under way", retryable=False))


# Added to in one step of the interpreter, by any thread; read in a forked child, where only one thread runs.
_LEDGERS: "weakref.WeakSet[Ledger]" = weakref.WeakSet()


def _in_child() -> None:
    for ledger in list(_LEDGERS):
        ledger.orphan()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
