"""Works a batch off on tasks of one event loop; `threads.py` says the same with threads.

The workers know the engine and never the `AsyncBatch` that the caller holds: who drops that one, as `break` does, ends
the work. Between two awaits a task is alone, so that the books need no lock.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from llmnet.batch.ledger import Ledger
from llmnet.batch.progress import Reporter
from llmnet.batch.rows import BatchResult, custom_id_of

C = TypeVar("C")


class AsyncEngine(Generic[C]):
    """The workers of one batch.

    Args:
        rows: where rows come from; it is asked by one worker at a time.
        ledger: the books.
        make: makes a call of a row.
        run: drives a call to its reply; cancelled where the batch is stopped.
    """

    def __init__(
        self,
        rows: Iterable[Any] | AsyncIterable[Any],
        ledger: Ledger,
        *,
        make: Callable[[Any], C],
        run: Callable[[C], Awaitable[Any]],
    ) -> None:
        self._rows, self.ledger = aiter(rows if isinstance(rows, AsyncIterable) else _lifted(rows)), ledger
        self._make, self._run = make, run
        self._loop: asyncio.AbstractEventLoop | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._started = 0
        self._taking = asyncio.Lock()
        self._room, self._news = asyncio.Event(), asyncio.Event()
        self._broken: Exception | None = None

    async def next(self) -> BatchResult | None:
        """Wait for the next result; `None` after the last one.

        Raises:
            Exception: what the source of rows has raised, once all before it is handed over.
        """
        if self._loop is None and not self.ledger.closing:
            self._loop = asyncio.get_running_loop()
            self._grow()
        while not self.ledger.settled:
            self._news.clear()
            await self._news.wait()
        result = self.ledger.give()
        self._room.set()
        if result is None and self._broken is not None:
            broken, self._broken = self._broken, None
            raise broken
        return result

    def stop(self) -> None:
        """Take no more rows and cancel the calls in flight, without waiting; on whatever thread the collector runs."""
        self.ledger.abandon()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._news.set()
        for task in self._workers:
            task.cancel()

    async def close(self) -> None:
        """Stop, and wait until no call is in flight."""
        self.stop()
        self._cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    # -- in the workers' tasks ----------------------------------------------------------------------------------------

    def _grow(self) -> None:
        """One more worker, as long as there may be work for it."""
        if self._started < self.ledger.limit:
            self._started += 1
            task = asyncio.get_running_loop().create_task(self._work(), name=f"llmnet-batch-{self._started}")
            self._workers.add(task)
            task.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        while (taken := await self._take()) is not None:
            self._grow()
            await self._drive(*taken)

    async def _take(self) -> tuple[int, Any] | None:
        """Wait for the turn to take a row; `None` where no more are taken."""
        async with self._taking:
            while not self.ledger.closing and not self.ledger.has_room:
                self._room.clear()
                await self._room.wait()
            if self.ledger.closing:
                return None
            index = self.ledger.take()
            try:
                row = await anext(self._rows)
            except Exception as error:  # noqa: BLE001 - the consumer gets it
                self._end(error)
                return None
            self.ledger.took()
            return index, row

    def _end(self, error: Exception) -> None:
        """The source has no more rows."""
        self._broken = None if isinstance(error, StopAsyncIteration) else error
        self.ledger.untake()
        self._news.set()

    async def _drive(self, index: int, row: Any) -> None:
        reply = error = None
        try:
            reply = await self._run(self._make(row))
        except asyncio.CancelledError:
            self._note(None)
            raise
        except Exception as failed:  # noqa: BLE001 - one row's failure is its result
            error = failed
        self._note(BatchResult(index=index, custom_id=custom_id_of(row), response=reply, error=error))

    def _note(self, result: BatchResult | None) -> None:
        self.ledger.finish(result)
        self._news.set()
        self._room.set()


async def _lifted(rows: Iterable[Any]) -> AsyncIterator[Any]:
    for row in rows:
        yield row


class AsyncBatch:
    """The results of a batch, as they come: an async iterator, and a context manager that closes it.

    Nothing is sent before the first result is asked for. Who leaves the loop early ends the calls in flight.
    """

    def __init__(self, engine: AsyncEngine[Any], report: Reporter) -> None:
        self._engine, self._report = engine, report

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BatchResult:
        self._report.begin()
        result = await self._engine.next()
        self._report(result, self._engine.ledger)
        if result is None:
            raise StopAsyncIteration
        return result

    def stop(self) -> None:
        """End the calls in flight and take no more rows, without waiting: from any thread, and from a signal handler.

        What has finished can still be iterated over.
        """
        self._engine.stop()

    async def aclose(self) -> None:
        """Stop, and wait until no call is in flight; idempotent."""
        await self._engine.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._engine.stop()
