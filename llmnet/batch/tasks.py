"""Runs a batch on tasks of one event loop; `threads.py` does the same with threads, step by step.

A worker takes the next row, drives its call, keeps the result, and so on.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Self

from llmnet.batch.base import BaseBatch
from llmnet.batch.rows import BatchFailure, BatchSuccess, Result, custom_id_of, iterator, without_frames
from llmnet.batch.state import BatchState
from llmnet.core.call import Call
from llmnet.core.chat import X_co
from llmnet.core.plain import public


class AsyncWakeup:
    """Wakes one of those who wait; if nobody does, the next one who would.

    Who is woken looks for what there is to do, and wakes the next one where more may be left. Used on one loop alone.
    """

    def __init__(self) -> None:
        self._wakes: asyncio.Queue[None] = asyncio.Queue()

    def set(self) -> None:
        """Wake one."""
        if self._wakes.empty():
            self._wakes.put_nowait(None)

    async def wait(self) -> None:
        """Wait until woken."""
        await self._wakes.get()


class AsyncEngine:
    """The workers of one batch: *make* makes a call of a row, *run* drives it to its reply.

    All is used on one loop alone, but for `stop`, which any thread may call: it goes through the state, and has the
    loop wake those who wait there.
    """

    def __init__(
        self,
        rows: Iterable[Any] | AsyncIterable[Any],
        state: BatchState,
        *,
        make: Callable[[Any], Call],
        run: Callable[[Call], Awaitable[Any]],
    ) -> None:
        self._rows, self.state = _aiterator(rows), state
        self._make, self._run = make, run
        self._turn, self._progress = AsyncWakeup(), AsyncWakeup()
        self._turn.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._asking: asyncio.Task[None] | None = None

    async def next(self) -> Result | None:
        """Wait for the next result; after the last one `None`, or the error that the source of rows has raised."""
        # Before the first look at the state: a later `stop` wakes this one.
        self._loop = self._loop or asyncio.get_running_loop()
        while (result := self.state.next_result()) is None and not self.state.over:
            if not self.state.workers:
                self._grow()
            await self._progress.wait()
        self._turn.set()
        self._progress.set()
        if result is None:
            self.state.raise_error()
        return result

    def stop(self) -> None:
        """Take no more rows and end the calls in flight, without waiting for them."""
        self.state.abandon()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed, and nobody waits there
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._turn.set()
        self._progress.set()
        if self.state.abandoned and self._asking is not None:
            self._asking.cancel()
            self._asking = None

    async def close(self) -> None:
        """Stop, and wait until no call is in flight, nor any task left; not in a task that would wait for itself."""
        self.stop()
        if asyncio.current_task() in {self._asking, *self._workers}:
            return
        await asyncio.gather(*self._workers, return_exceptions=True)

    # -- in the workers' tasks ----------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """Start one more worker, if there may be work for it."""
        if self.state.add_worker():
            # No eager task, which would begin at once, and the next one inside of it.
            task = asyncio.Task(self._work(), loop=self._loop, name=f"llmnet-batch-{self.state.workers}")
            self._workers.add(task)
            task.add_done_callback(self._worker_ended)

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        if task.cancelled():  # before it began
            self._end(asyncio.CancelledError())

    async def _work(self) -> None:
        try:
            while (index := await self._begin()) is not None:
                await self._drive(index, await self._ask())
        except StopAsyncIteration:
            self._end(None)
        except BaseException as error:  # noqa: BLE001 - the consumer gets it
            self._end(error)

    async def _begin(self) -> int | None:
        """Wait for the turn to take a row; its index, or `None` where no more are taken."""
        index = None
        while index is None and not self.state.closing:
            await self._turn.wait()
            index = self.state.reserve_row()
        if index is None:
            self._turn.set()  # the others leave, too
        return index

    async def _ask(self) -> Any:
        """The next row; who waits for it is cancelled where the batch is stopped."""
        self._asking = asyncio.current_task()
        try:
            return await anext(self._rows)
        finally:
            self._asking = None

    def _end(self, error: BaseException | None) -> None:
        self.state.end_rows(error)
        self._wake()

    async def _drive(self, index: int, row: Any) -> None:
        wanted = self.state.confirm_row()
        self._turn.set()
        if not wanted:
            return
        call = name = None
        outer = id(sys.exception())
        try:
            self._grow()
            name = custom_id_of(row)
            call = self._make(row)
            self.state.add_call(call)
            self.state.keep(BatchSuccess(index=index, custom_id=name, response=await self._run(call)))
        except Exception as error:  # noqa: BLE001 - one row's failure is a result like any other
            self.state.keep(BatchFailure(index=index, custom_id=name, error=without_frames(error, outer)))
        finally:
            self.state.finish_row(call)
            self._progress.set()


def _aiterator(rows: Any) -> AsyncIterator[Any]:
    return aiter(rows) if isinstance(rows, AsyncIterable) else _AsyncRows(iterator(rows))


class _AsyncRows(AsyncIterator[Any]):
    """A plain iterator as an async one; no generator, which an error or a cancellation would end."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows

    async def __anext__(self) -> Any:
        try:
            return next(self._rows)
        except StopIteration:
            raise StopAsyncIteration from None


@public
class AsyncBatch(BaseBatch[X_co]):
    """The results of a batch, as they come: an async iterator, and a context manager that closes it.

    Nothing is sent before the first result is asked for. Who leaves the loop early ends the calls in flight.
    """

    _engine: AsyncEngine

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchSuccess[X_co] | BatchFailure:
        with self._report as report:
            result = await self._engine.next()
            if result is None:
                raise StopAsyncIteration
            report(result)
            return result

    async def aclose(self) -> None:
        """Stop, and wait until no call is in flight; idempotent.

        Its source of rows and a callable `api_key` of its calls do not wait: the batch would wait for them.
        """
        await self._engine.close()
        self._report.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
