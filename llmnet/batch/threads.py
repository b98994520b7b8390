"""Works a batch off on threads; `tasks.py` does the same with tasks, step by step.

A worker takes the next row, drives its call, notes what came of it, and so on. Workers know the engine and never the
`Batch` that the caller holds: who drops that one, as `break` does, ends the work. To stop takes no lock: a finalizer or
a signal handler may do so on the very thread that is in here.
"""

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from llmnet.batch.progress import Reporter
from llmnet.batch.rows import BatchResult, bare, custom_id_of, iterator
from llmnet.batch.state import Ledger, Stoppable
from llmnet.core.finalizer import surely

# On Windows Ctrl-C does not end the wait for a lock, elsewhere it may come the moment before one.
_SLICE = 1.0

C = TypeVar("C", bound=Stoppable)


class Bell:
    """Wakes one of those who wait; one ring is kept for who comes next.

    Who is woken looks for what there is to do, and rings for the others where more may be left. Its lock is all that it
    has: `acquire` waits, `release` rings, from any thread and any finalizer.
    """

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """Wake one."""
        with contextlib.suppress(RuntimeError):  # it rings already
            self._silence.release()

    def wait(self) -> None:
        """Wait for a ring; a main thread may be woken by none, to hear of signals."""
        mine = threading.current_thread() is threading.main_thread()
        self._silence.acquire(timeout=_SLICE if mine else -1)


class Engine(Generic[C]):
    """The workers of one batch.

    They share the ledger, which has a lock, the bells, which are locks, and the source of rows, which whoever has been
    given leave by `Ledger.take` asks alone, until `took`. `_driving` has the threads that drive a call just now: each
    adds and discards itself, in one step of the interpreter.

    Args:
        rows: where rows come from; it is asked by one worker at a time.
        ledger: the books.
        make: makes a call of a row.
        run: drives a call to its reply.

    Raises:
        ConfigurationError: the rows cannot be iterated over.
    """

    def __init__(
        self,
        rows: Iterable[Any],
        ledger: Ledger,
        *,
        make: Callable[[Any], C],
        run: Callable[[C], Any],
    ) -> None:
        self._rows, self.ledger = iterator(rows), ledger
        self._make, self._run = make, run
        self._room, self._news, self._calm = Bell(), Bell(), Bell()
        self._driving: set[int] = set()

    def next(self) -> BatchResult | None:
        """Wait for the next result; `None` after the last one.

        Raises:
            BaseException: what the source of rows has raised, once all before it is handed over.
        """
        while (result := self.ledger.give()) is None and not self.ledger.over:
            if not self.ledger.workers:
                self._grow()
            self._news.wait()
        self._room.ring()
        self._news.ring()
        if result is None:
            self.ledger.conclude()
        return result

    def stop(self) -> None:
        """Take no more rows and end the calls in flight, without waiting for them."""
        self.ledger.abandon()
        self._wake()

    def _wake(self) -> None:
        self._room.ring()
        self._news.ring()

    def close(self) -> None:
        """Stop, and wait until no call is in flight; who interrupts one that they wait for themselves does not wait."""
        self.stop()
        if self.ledger.mine or threading.get_ident() in self._driving:
            return
        while self.ledger.in_flight:
            self._calm.wait()
        self._calm.ring()

    # -- on the workers' threads --------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """One more worker, if there may be work for it; where the system has no thread left, those there are do."""
        if self.ledger.hire():
            name, context = f"llmnet-batch-{self.ledger.workers}", contextvars.copy_context()
            try:
                threading.Thread(target=context.run, args=(self._work,), name=name, daemon=True).start()
            except RuntimeError:
                if not self.ledger.dismiss():
                    raise

    def _work(self) -> None:
        try:
            while (index := self._begin()) is not None:
                self._drive(index, next(self._rows))
        except StopIteration:
            self._end(None)
        except BaseException as error:  # noqa: BLE001 - the consumer gets it
            self._end(error)

    def _begin(self) -> int | None:
        """Wait for the turn to take a row; its index, or `None` where no more are taken."""
        while (index := self.ledger.take()) is None and not self.ledger.closing:
            self._room.wait()
        if index is None:
            self._room.ring()  # the others leave, too
        return index

    def _end(self, error: BaseException | None) -> None:
        """There are no more rows."""
        self.ledger.drain(error)
        self._wake()

    def _drive(self, index: int, row: Any) -> None:
        if not self.ledger.took():
            return
        call = name = None
        try:
            self._driving.add(threading.get_ident())
            self._grow()
            self._room.ring()
            name = custom_id_of(row)
            call = self._make(row)
            self.ledger.enter(call)
            self.ledger.hold(BatchResult(index=index, custom_id=name, response=self._run(call)))
        except Exception as error:  # noqa: BLE001 - one row's failure is a result like any other
            self.ledger.hold(BatchResult(index=index, custom_id=name, error=bare(error)))
        finally:
            self._driving.discard(threading.get_ident())
            self.ledger.leave(call)
            self._news.ring()
            self._calm.ring()


class Batch:
    """The results of a batch, as they come: an iterator, and a context manager that closes it.

    Nothing is sent before the first result is asked for. Who leaves the loop early ends the calls in flight.
    """

    def __init__(self, engine: Engine[Any], report: Reporter) -> None:
        self._engine, self._report = engine, report

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BatchResult:
        with self._report as report:
            try:
                result = self._engine.next()
            except KeyboardInterrupt:  # its traceback may keep this object alive for long
                self._engine.stop()
                raise
            if result is None:
                raise StopIteration
            report(result)
            return result

    def stop(self) -> None:
        """End the calls in flight and take no more rows, without waiting: from any thread, hook and signal handler.

        What has finished can still be iterated over.
        """
        self._engine.stop()

    def close(self) -> None:
        """Stop, and wait until no call is in flight; idempotent.

        A hook of its calls, and a signal handler that comes inside the books of the batch, do not wait: the calls would
        wait for them. A handler does better to `stop`.
        """
        self._engine.close()
        self._report.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # At its end the process lets go of everything; threads that are gone by then may have left locks behind.
        if not sys.is_finalizing() and hasattr(self, "_report"):  # a Ctrl-C may have come as it was made
            surely(self._engine.stop)
            self._report.drop()
