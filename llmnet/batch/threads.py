"""Runs a batch on threads; `tasks.py` does the same with tasks, step by step.

A worker takes the next row, drives its call, keeps the result, and so on. To stop takes no lock: a finalizer or a
signal handler may do so on the very thread that is in here.
"""

import contextvars
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

from llmnet.batch.base import BaseBatch
from llmnet.batch.rows import BatchFailure, BatchSuccess, Result, custom_id_of, iterator, without_frames
from llmnet.batch.state import BatchState
from llmnet.core.call import Call
from llmnet.core.chat import X_co
from llmnet.core.interrupts import SLICE, Latch
from llmnet.core.plain import public


class Engine:
    """The workers of one batch: *make* makes a call of a row, *run* drives it to its reply.

    They share the state, which has a lock, the latches, and the source of rows, which only the worker that has reserved
    a row may ask. Who is woken looks for what there is to do, and wakes the next one where more may be left. Only who
    has the turn takes a row: hundreds of quick threads would else wait for the interpreter, which wakes each of them
    200 times a second. `_driving` has the threads that drive a call: each adds and discards itself in one step.
    """

    def __init__(
        self, rows: Iterable[Any], state: BatchState, *, make: Callable[[Any], Call], run: Callable[[Call], Any]
    ) -> None:
        self._rows, self.state = iterator(rows), state
        self._make, self._run = make, run
        self._turn, self._progress, self._idle = Latch(), Latch(), Latch()
        self._driving: set[int] = set()
        self._turn.set()

    def next(self) -> Result | None:
        """Wait for the next result; after the last one `None`, or the error that the source of rows has raised."""
        while (result := self.state.next_result()) is None and not self.state.over:
            if not self.state.workers:
                self._grow()
            self._progress.wait(SLICE)  # it may be the main thread, which has to handle signals
        self._wake()
        if result is None:
            self.state.raise_error()
        return result

    def stop(self) -> None:
        """Take no more rows and end the calls in flight, without waiting for them."""
        self.state.abandon()
        self._wake()

    def _wake(self) -> None:
        self._turn.set()
        self._progress.set()

    def close(self) -> None:
        """Stop, and wait until no call is in flight; not where a call waits for this very thread."""
        self.stop()
        if self.state.held_here or threading.get_ident() in self._driving:
            return
        while self.state.in_flight:
            self._idle.wait(SLICE)
        self._idle.set()

    # -- on the workers' threads --------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """Start one more worker, if there may be work for it; where the system has no thread left, go on with fewer."""
        if self.state.add_worker():
            name, context = f"llmnet-batch-{self.state.workers}", contextvars.copy_context()
            try:
                threading.Thread(target=context.run, args=(self._work,), name=name, daemon=True).start()
            except RuntimeError:
                if not self.state.remove_worker():
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
        index = None
        while index is None and not self.state.closing:
            self._turn.wait()
            index = self.state.reserve_row()
        if index is None:
            self._turn.set()  # the others leave, too
        return index

    def _end(self, error: BaseException | None) -> None:
        self.state.end_rows(error)
        self._wake()

    def _drive(self, index: int, row: Any) -> None:
        wanted = self.state.confirm_row()
        self._turn.set()
        if not wanted:
            return
        call = name = None
        outer = id(sys.exception())
        try:
            self._driving.add(threading.get_ident())
            self._grow()
            name = custom_id_of(row)
            call = self._make(row)
            self.state.add_call(call)
            self.state.keep(BatchSuccess(index=index, custom_id=name, response=self._run(call)))
        except Exception as error:  # noqa: BLE001 - one row's failure is a result like any other
            self.state.keep(BatchFailure(index=index, custom_id=name, error=without_frames(error, outer)))
        finally:
            self._driving.discard(threading.get_ident())
            self.state.finish_row(call)
            self._progress.set()
            self._idle.set()


@public
class Batch(BaseBatch[X_co]):
    """The results of a batch, as they come: an iterator, and a context manager that closes it.

    Nothing is sent before the first result is asked for. Who leaves the loop early ends the calls in flight.
    """

    _engine: Engine

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> BatchSuccess[X_co] | BatchFailure:
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

    def close(self) -> None:
        """Stop, and wait until no call is in flight; idempotent.

        A hook of its calls, and a signal handler that interrupts a thread in here, do not wait: the calls would wait
        for them. A handler should rather `stop`.
        """
        self._engine.close()
        self._report.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
