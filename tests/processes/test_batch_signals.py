"""A batch under Ctrl-C, signal handlers and cancellation: whoever waits is let go, and what had come is not lost."""

import asyncio
import contextlib
import os
import signal

import pytest
from support.endless_batches import LIMIT, endless, held, underway
from support.inside import state_of
from support.interrupts import Trace
from support.live import PROMPT, Sync, Work, at, eventually, no_leak

import llmnet
from llmnet.batch import progress, state
from llmnet.batch.state import WINDOW
from llmnet.testing import Reply

pytestmark = pytest.mark.threads


def signalled(number, when):
    """Send this process a signal, which its main thread hears, once something has come about."""
    return Work(lambda: (eventually(when), os.kill(os.getpid(), number)))


@contextlib.contextmanager
def handler(number, handle):
    before = signal.signal(number, handle)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_ctrl_c_while_the_consumer_waits(server):
    with underway(Sync(), server) as client:
        batch, results = client.batch(endless(), max_concurrent=LIMIT), []
        signalled(signal.SIGINT, lambda: state_of(batch).delivered == 2 and server.active == LIMIT)
        with pytest.raises(KeyboardInterrupt):
            results.extend(batch)
        eventually(lambda: server.active == 0)  # although this one still holds the batch
        assert list(batch) == []
        assert sorted(one.index for one in results) == [0, 1]


def test_a_signal_handler_that_stops_it(server):
    with underway(Sync(), server) as client:
        batch = client.batch(endless(), max_concurrent=LIMIT)
        with handler(signal.SIGINT, lambda *_: batch.stop()):
            signalled(signal.SIGINT, lambda: server.active == LIMIT)
            assert sorted(one.index for one in batch) == [0, 1]


def test_a_signal_handler_that_closes_it_inside_its_books(server):
    """The calls in flight need the lock that is held by whom it interrupts, and are not waited for."""
    server.handler = lambda _: Reply(delay=0.004)
    trace, done = Trace((state,), lambda: batch.close()), False  # noqa: PLW0108 - each time another one

    def consume():
        with trace:
            list(batch)
        return not trace.done

    with llmnet.Client(**at(server)) as client:
        while not done:
            batch = client.batch([str(number) for number in range(3)], max_concurrent=2)
            done = Work(consume).result()
            batch.close()
            assert state_of(batch).in_flight == 0
    assert len(trace.seen) > 20


def test_who_counts_results_keeps_no_call_from_telling_of_a_throttle():
    report = progress.Reporter(state.BatchState(1), None, print)
    throttled = llmnet.Throttled(1, "fake", "host", "m", False, 0.0, 1, None, None, True, "")
    with report._counting:  # private: held as by who counts
        Work(report.hook(None), throttled).result()
    assert report._throttled == 1  # private: it is drawn only later


def test_a_signal_handler_that_stops_it_on_a_loop(server):
    async def main():
        async with llmnet.AsyncClient(**at(server)) as client:
            batch = client.batch(endless(), max_concurrent=LIMIT)
            with handler(signal.SIGINT, lambda *_: batch.stop()):
                signalled(signal.SIGINT, lambda: server.active == LIMIT)
                return sorted([one.index async for one in batch]), workers_here()

    server.handler = held
    with no_leak(server):
        assert asyncio.run(main()) == ([0, 1], [])


def workers_here():
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("llmnet-batch") and not task.done()]


def test_a_consumer_that_is_cancelled(awaited, server):
    async def consume(client, results, batch):
        async for result in batch:
            results.append(result)

    async def main(client):
        results = []
        task = asyncio.ensure_future(consume(client, results, client.batch(endless(), max_concurrent=LIMIT)))
        while len(results) < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        del task

    with underway(awaited, server) as client:
        awaited.run(main(client._client))


def test_who_asks_for_a_result_in_vain_may_ask_again(awaited, server):
    """A wait that is cancelled loses nothing, and does not end the batch."""

    async def main(client):
        batch = client.batch(endless(), max_concurrent=LIMIT)
        results = [await anext(batch), await anext(batch)]
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(batch), 0.001)
        server.handler = None
        server.release()
        results += [await anext(batch) for _ in range(20)]
        await batch.aclose()
        return [one.index for one in results]

    with underway(awaited, server) as client:
        indices = awaited.run(main(client._client))
    assert len(indices) == len(set(indices)) == 22
    assert set(indices) <= set(range(22 + LIMIT + WINDOW))


# -- a loop that ends ----------------------------------------------------------------------------------------------------


async def begin(batch):
    """Take what comes at once, and leave all else to the end of the loop."""
    return [(await anext(batch)).index, (await anext(batch)).index]


async def hardly_begin(batch):
    """Have the first worker made, and cancelled before it has begun."""
    step = batch.__anext__()
    step.send(None)
    step.close()
    for task in batch._engine._workers:  # private: as the end of its loop does
        task.cancel()
    return []


@pytest.mark.parametrize("first", [begin, hardly_begin], ids=lambda first: first.__name__)
def test_a_batch_whose_loop_has_ended(server, first):
    """Its calls went with the loop: whoever goes on on another one hears of that, and does not wait for ever."""

    async def go_on(batch):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(anext(batch), PROMPT)
        return [one async for one in batch]

    async def end(client, batch):
        await batch.aclose()
        await client.aclose()

    server.handler = held
    client = llmnet.AsyncClient(**at(server))
    batch = client.batch(endless(), max_concurrent=LIMIT)
    assert sorted(asyncio.run(first(batch))) in ([], [0, 1])
    batch.stop() if first is begin else None
    eventually(lambda: server.active == 0)
    assert asyncio.run(go_on(batch)) == []
    asyncio.run(end(client, batch))
