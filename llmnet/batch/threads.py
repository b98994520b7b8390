"""Works a batch off on threads: each takes the next row, drives its call, and notes what came of it.

The workers know the engine and never the `Batch` that the caller holds: who drops that one, as `break` does, ends the
work. All shared state is under one lock, which nobody holds while a row is taken or a call is driven. It is reentrant,
for a signal handler may stop the batch on the very thread that is in here.
"""

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from llmnet.batch.ledger import Ledger
from llmnet.batch.progress import Reporter
from llmnet.batch.rows import BatchResult, custom_id_of
from llmnet.core.errors import APIConnectionError, LLMNetError


class Stoppable(Protocol):
    """A call that another thread can end."""

    def stop(self, error: LLMNetError) -> object:
        """End it with an error."""


C = TypeVar("C", bound=Stoppable)


class Engine(Generic[C]):
    """The workers of one batch.

    Args:
        rows: where rows come from; it is asked by one worker at a time.
        ledger: the books.
        make: makes a call of a row.
        run: drives a call to its reply.
    """

    def __init__(
        self,
        rows: Iterable[Any],
        ledger: Ledger,
        *,
        make: Callable[[Any], C],
        run: Callable[[C], Any],
    ) -> None:
        self._rows, self.ledger = iter(rows), ledger
        self._make, self._run = make, run
        self._lock = threading.RLock()
        self._room, self._news = threading.Condition(self._lock), threading.Condition(self._lock)
        self._live: set[C] = set()
        self._workers = 0
        self._taking = self._stopped = False
        self._broken: BaseException | None = None

    def next(self) -> BatchResult | None:
        """Wait for the next result; `None` after the last one.

        Raises:
            BaseException: what the source of rows has raised, once all before it is handed over.
        """
        with self._lock:
            if not self._workers and not self._stopped and not self.ledger.closing:
                self._grow()
            self._news.wait_for(lambda: self.ledger.settled)
            result = self.ledger.give()
            self._room.notify()
            if result is None and self._broken is not None:
                broken, self._broken = self._broken, None
                raise broken
        return result

    def stop(self) -> None:
        """Take no more rows and end the calls in flight, without waiting for them."""
        with self._lock:
            self._stopped = True
            self.ledger.abandon()
            live = list(self._live)
            self._room.notify_all()
            self._news.notify_all()
        for call in live:
            _end(call)

    def close(self) -> None:
        """Stop, and wait until no call is in flight."""
        self.stop()
        with self._lock:
            self._news.wait_for(lambda: not self._live)

    # -- on the workers' threads --------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """One more worker, as long as there may be work for it."""
        if self._workers < self.ledger.limit:
            self._workers += 1
            threading.Thread(target=self._work, name=f"llmnet-batch-{self._workers}", daemon=True).start()

    def _work(self) -> None:
        while (index := self._begin()) is not None:
            try:
                row = next(self._rows)
            except BaseException as error:  # noqa: BLE001 - the consumer gets it
                self._end(error)
            else:
                self._took()
                self._drive(index, row)

    def _begin(self) -> int | None:
        """Wait for the turn to take a row; its index, or `None` where no more are taken."""
        with self._lock:
            self._room.wait_for(lambda: self.ledger.closing or (self.ledger.has_room and not self._taking))
            if self.ledger.closing:
                return None
            self._taking = True
            return self.ledger.take()

    def _took(self) -> None:
        with self._lock:
            self._taking = False
            self.ledger.took()
            if not self._stopped:
                self._grow()
            self._room.notify()

    def _end(self, error: BaseException) -> None:
        """The source has no more rows."""
        with self._lock:
            self._taking = False
            self._broken = None if isinstance(error, StopIteration) else error
            self.ledger.untake()
            self._room.notify_all()
            self._news.notify_all()

    def _drive(self, index: int, row: Any) -> None:
        call = reply = error = None
        try:
            call = self._enter(self._make(row))
            reply = self._run(call)
        except Exception as failed:  # noqa: BLE001 - one row's failure is its result
            error = failed
        result = BatchResult(index=index, custom_id=custom_id_of(row), response=reply, error=error)
        with self._lock:
            self._live.discard(call)
            self.ledger.finish(result)
            self._news.notify_all()
            # The last error that is allowed ends the work of all who wait for a row.
            (self._room.notify_all if self.ledger.closing else self._room.notify)()

    def _enter(self, call: C) -> C:
        with self._lock:
            self._live.add(call)
            stopped = self._stopped
        if stopped:
            _end(call)
        return call


def _end(call: Stoppable) -> None:
    call.stop(APIConnectionError("the batch was stopped while the call was under way", retryable=False))


class Batch:
    """The results of a batch, as they come: an iterator, and a context manager that closes it.

    Nothing is sent before the first result is asked for. Who leaves the loop early ends the calls in flight.
    """

    def __init__(self, engine: Engine[Any], report: Reporter) -> None:
        self._engine, self._report = engine, report

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BatchResult:
        self._report.begin()
        result = self._engine.next()
        self._report(result, self._engine.ledger)
        if result is None:
            raise StopIteration
        return result

    def stop(self) -> None:
        """End the calls in flight and take no more rows, without waiting: from any thread, and from a signal handler.

        What has finished can still be iterated over.
        """
        self._engine.stop()

    def close(self) -> None:
        """Stop, and wait until no call is in flight; idempotent."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._engine.stop()
