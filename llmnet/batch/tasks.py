"""Works a batch off on tasks of one event loop; `threads.py` does the same with threads, step by step.

A worker takes the next row, drives its call, notes what came of it, and so on. Workers know the engine and never the
`AsyncBatch` that the caller holds: who drops that one, as `break` does, ends the work.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from llmnet.batch.progress import Reporter
from llmnet.batch.rows import BatchResult, bare, custom_id_of, iterator
from llmnet.batch.state import Ledger, Stoppable
from llmnet.core.finalizer import surely

C = TypeVar("C", bound=Stoppable)


class AsyncBell:
    """Wakes one of those who wait; one ring is kept for who comes next.

    Who is woken looks for what there is to do, and rings for the others where more may be left. One loop's alone.
    """

    def __init__(self) -> None:
        self._rings: asyncio.Queue[None] = asyncio.Queue()

    def ring(self) -> None:
        """Wake one."""
        if self._rings.empty():
            self._rings.put_nowait(None)

    async def wait(self) -> None:
        """Wait for a ring."""
        await self._rings.get()


class AsyncEngine(Generic[C]):
    """The workers of one batch.

    All is one loop's alone, but for `stop`, which any thread may call: it goes through the ledger, and has the loop
    wake those who wait there.

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
        rows: Iterable[Any] | AsyncIterable[Any],
        ledger: Ledger,
        *,
        make: Callable[[Any], C],
        run: Callable[[C], Awaitable[Any]],
    ) -> None:
        self._rows, self.ledger = _aiterator(rows), ledger
        self._make, self._run = make, run
        self._room, self._news = AsyncBell(), AsyncBell()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._asking: asyncio.Task[None] | None = None

    async def next(self) -> BatchResult | None:
        """Wait for the next result; `None` after the last one.

        Raises:
            BaseException: what the source of rows has raised, once all before it is handed over.
        """
        # Before the first look: who stops it later than that wakes this one.
        self._loop = self._loop or asyncio.get_running_loop()
        while (result := self.ledger.give()) is None and not self.ledger.over:
            if not self.ledger.workers:
                self._grow()
            await self._news.wait()
        self._room.ring()
        self._news.ring()
        if result is None:
            self.ledger.conclude()
        return result

    def stop(self) -> None:
        """Take no more rows and end the calls in flight, without waiting for them."""
        self.ledger.abandon()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed, and nobody waits there
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._room.ring()
        self._news.ring()
        if self.ledger.abandoned and self._asking is not None:
            self._asking.cancel()
            self._asking = None

    async def close(self) -> None:
        """Stop, and wait until no call is in flight, nor any task left."""
        self.stop()
        await asyncio.gather(*self._workers, return_exceptions=True)

    # -- in the workers' tasks ----------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """One more worker, if there may be work for it."""
        if self.ledger.hire():
            # No eager task, which would begin at once, and the next one inside of it.
            task = asyncio.Task(self._work(), loop=self._loop, name=f"llmnet-batch-{self.ledger.workers}")
            self._workers.add(task)
            task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
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
        while (index := self.ledger.take()) is None and not self.ledger.closing:
            await self._room.wait()
        if index is None:
            self._room.ring()  # the others leave, too
        return index

    async def _ask(self) -> Any:
        """The next row; who waits for it is cancelled where the batch is stopped."""
        self._asking = asyncio.current_task()
        try:
            return await anext(self._rows)
        finally:
            self._asking = None

    def _end(self, error: BaseException | None) -> None:
        """There are no more rows."""
        self.ledger.drain(error)
        self._wake()

    async def _drive(self, index: int, row: Any) -> None:
        if not self.ledger.took():
            return
        call = name = None
        try:
            self._grow()
            self._room.ring()
            name = custom_id_of(row)
            call = self._make(row)
            self.ledger.enter(call)
            self.ledger.hold(BatchResult(index=index, custom_id=name, response=await self._run(call)))
        except Exception as error:  # noqa: BLE001 - one row's failure is a result like any other
            self.ledger.hold(BatchResult(index=index, custom_id=name, error=bare(error)))
        finally:
            self.ledger.leave(call)
            self._news.ring()


def _aiterator(rows: Any) -> AsyncIterator[Any]:
    return aiter(rows) if isinstance(rows, AsyncIterable) else _Lifted(iterator(rows))


class _Lifted(AsyncIterator[Any]):
    """A plain iterator; it is asked on the loop, which waits for it."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows

    async def __anext__(self) -> Any:
        try:
            return next(self._rows)
        except StopIteration:
            raise StopAsyncIteration from None


class AsyncBatch:
    """The results of a batch, as they come: an async iterator, and a context manager that closes it.

    Nothing is sent before the first result is asked for. Who leaves the loop early ends the calls in flight.
    """

    def __init__(self, engine: AsyncEngine[Any], report: Reporter) -> None:
        self._engine, self._report = engine, report

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchResult:
        with self._report as report:
            result = await self._engine.next()
            if result is None:
                raise StopAsyncIteration
            report(result)
            return result

    def stop(self) -> None:
        """End the calls in flight and take no more rows, without waiting: from any thread, hook and signal handler.

        What has finished can still be iterated over.
        """
        self._engine.stop()

    async def aclose(self) -> None:
        """Stop, and wait until no call is in flight; idempotent."""
        await self._engine.close()
        self._report.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not sys.is_finalizing() and hasattr(self, "_report"):  # a Ctrl-C may have come as it was made
            surely(self._engine.stop)
            self._report.drop()
