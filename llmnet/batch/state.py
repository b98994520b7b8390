"""What workers and consumers of a batch share: which rows are in flight, what came of them, when to take no more.

Rows that are taken and not yet delivered are never more than *limit* plus `WINDOW`, which bounds the memory of a batch.
Nobody waits in here. To abandon it takes no lock: a finalizer or a signal handler may do so on the very thread that
holds it.
"""

import math
import threading

from llmnet.batch.rows import Result
from llmnet.core.call import Call
from llmnet.core.errors import APIConnectionError
from llmnet.core.forks import register_after_fork

# Rows held beyond those in flight, so that a consumer may take its time without idling the workers at once.
WINDOW = 32


class BatchState:
    """Counts of rows, their calls and results.

    `_lock` guards all but two: `abandoned` is only ever set, and `_calls` is a set whose `add`, `discard` and `list()`
    are one step of the interpreter each. Properties read without the lock what was right a moment ago.

    Args:
        limit: how many workers there may be, and thereby rows in flight.
        ordered, stop_after_errors: as in `batch`.

    Attributes:
        workers: how many were started.
        taken: rows that workers have got, of which `finished` are done, and the results of `delivered` handed over.
        abandoned: whether nobody wants more rows, nor those in flight.
    """

    def __init__(self, limit: int, *, ordered: bool = False, stop_after_errors: int | None = None) -> None:
        self.limit = limit
        self.workers = self.taken = self.finished = self.delivered = 0
        self.abandoned = self._taking = self._ended = False
        self._ordered = ordered
        self._errors, self._most_errors = 0, stop_after_errors or math.inf
        self._results: dict[int, Result] = {}
        self._calls: set[Call] = set()
        self._error: BaseException | None = None
        self._lock = threading.RLock()
        register_after_fork(self)

    @property
    def closing(self) -> bool:
        """Whether no more rows are taken."""
        return self.abandoned or self._ended or self._errors >= self._most_errors

    @property
    def in_flight(self) -> int:
        """Rows that are being worked on."""
        return self.taken - self.finished

    @property
    def held_here(self) -> bool:
        """Whether this thread holds the lock: a signal handler has interrupted it in here."""
        try:
            threading.Condition(self._lock).notify(0)
        except RuntimeError:  # what it raises of a lock that the thread has not
            return False
        return True

    @property
    def over(self) -> bool:
        """Whether there will be no more results."""
        with self._lock:
            return self.closing and not self.in_flight and not self._results

    def __str__(self) -> str:
        left = ", no more are taken" if self.closing else ""
        return f"{self.taken:,} rows taken, {self.finished:,} of them done, {self.delivered:,} results given{left}"

    def add_worker(self) -> bool:
        """Count one more worker, if there may be one."""
        with self._lock:
            added = self.workers < self.limit and not self.closing
            self.workers += added
            return added

    def remove_worker(self) -> int:
        """Uncount a worker that could not begin; how many are left."""
        with self._lock:
            self.workers -= 1
            return self.workers

    def reserve_row(self) -> int | None:
        """The index of the next row, if it may be taken now; nobody else gets one until `confirm_row`."""
        with self._lock:
            if self.closing or self._taking or self.taken - self.delivered >= self.limit + WINDOW:
                return None
            self._taking = True
            return self.taken

    def confirm_row(self) -> bool:
        """The source has given the reserved row; whether it is still wanted."""
        with self._lock:
            self._taking = False
            wanted = not self.closing
            self.taken += wanted
            return wanted

    def end_rows(self, error: BaseException | None) -> None:
        """There are no more rows; an error that ended them is the consumer's."""
        with self._lock:
            self._ended = True
            if not self.abandoned:
                self._error = self._error or error

    def add_call(self, call: Call) -> None:
        """Register a call; `abandon`, which sets its flag first and reads the calls then, misses none."""
        self._calls.add(call)
        if self.abandoned:
            _end(call)

    def abandon(self) -> None:
        """Take no more rows and end the calls; what succeeds nevertheless, or has finished already, is delivered."""
        self.abandoned = True
        for call in list(self._calls):
            _end(call)

    def keep(self, result: Result) -> None:
        """Keep a result until it is delivered; no failure once the batch was abandoned."""
        with self._lock:
            if result.error is None or not self.abandoned:
                self._errors += result.error is not None
                self._results[result.index] = result

    def finish_row(self, call: Call | None) -> None:
        """The row is done, and so is its call."""
        self._calls.discard(call)
        with self._lock:
            self.finished += 1

    def next_result(self) -> Result | None:
        """Deliver the next result, if there is one by now."""
        with self._lock:
            if not self._ordered:
                index = next(iter(self._results), -1)
            elif self.closing and not self.in_flight:  # gaps at the end of a batch are not filled any more
                index = min(self._results, default=-1)
            else:
                index = self.delivered
            result = self._results.pop(index, None)
            self.delivered += result is not None
            return result

    def raise_error(self) -> None:
        """Raise the error that has ended the rows, if there is one, and once."""
        with self._lock:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def after_fork(self) -> None:
        """A forked child has a free lock and no workers; the parent delivers what they have done."""
        self._lock = threading.RLock()
        if self.workers and not self.over:
            self.abandoned, self.finished = True, self.taken
            self._results.clear()
            self._error = APIConnectionError("the process was forked while the batch was under way", retryable=False)


def _end(call: Call) -> None:
    call.stop(APIConnectionError("the batch was stopped while the call was under way", retryable=False))
