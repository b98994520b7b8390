"""However a batch is left, its calls end, nothing of it stays behind, and what had come is handed over once."""

import asyncio
import contextlib
import gc
import threading

import pytest
from support.endless_batches import LIMIT, endless, held, underway, workers
from support.inside import state_of
from support.live import PROMPT, Sync, Work, at, eventually, slots

import llmnet
from llmnet.core.events import CallFinished

pytestmark = pytest.mark.threads


# -- who leaves the loop ----------------------------------------------------------------------------------------------------


def leave(client):
    for number, _ in enumerate(client.batch(endless(), max_concurrent=LIMIT)):
        if number == 1:
            break


def fail(client):
    with contextlib.suppress(ZeroDivisionError):
        for number, _ in enumerate(client.batch(endless(), max_concurrent=LIMIT)):
            1 / (1 - number)


def close(client):
    batch = client.batch(endless(), max_concurrent=LIMIT)
    assert next(batch).ok
    Work(batch.close).result()
    assert slots(client) == state_of(batch).in_flight == 0
    batch.close()


def leave_the_block(client):
    with client.batch(endless(), max_concurrent=LIMIT) as batch:
        assert next(batch).ok
    assert slots(client) == 0


def drop(client):
    batch = client.batch(endless(), max_concurrent=LIMIT)
    assert next(batch).ok
    del batch


def drop_in_a_cycle(client):
    batch = client.batch(endless(), max_concurrent=LIMIT)
    assert next(batch).ok
    batch.myself = getattr(batch, "_batch", batch).__dict__["cycle"] = [batch]
    del batch
    gc.collect()


def never_begin(client):
    client.batch(endless()).close()
    client.batch(endless())


WAYS = [leave, fail, close, leave_the_block, drop, drop_in_a_cycle, never_begin]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_batch_that_is_left_ends_its_calls(front, server, way):
    with underway(front, server) as client:
        way(client)


# -- who stops it while somebody waits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [False, True])
def test_what_had_come_is_handed_over_after_a_stop(front, server, ordered):
    with underway(front, server) as client:
        batch = client.batch(endless(), max_concurrent=LIMIT, ordered=ordered)
        first = next(batch)
        eventually(lambda: server.active == LIMIT)
        eventually(lambda: state_of(batch).finished == 2)
        batch.stop()
        assert sorted(one.index for one in [first, *batch]) == [0, 1]
        assert list(batch) == []
        batch.stop()


def test_a_stop_wakes_whoever_waits(front, server):
    with underway(front, server) as client:
        batch = client.batch(endless(), max_concurrent=LIMIT)
        waiting = Work(list, batch)
        eventually(lambda: server.active == LIMIT)
        batch.stop()
        assert sorted(one.index for one in waiting.result()) == [0, 1]


def test_a_stop_while_the_source_waits_for_its_next_row(front, server):
    """One worker waits for the source, the others for that one."""
    go_on, rows = threading.Event(), [str(number) for number in range(6)]

    def plain():
        yield from rows
        go_on.wait(PROMPT)
        yield "6"

    async def awaited():
        for row in rows:
            yield row
        await asyncio.Event().wait()

    with underway(front, server) as client:
        server.handler = None
        batch = client.batch(plain() if front.name == "sync" else awaited())
        waiting = Work(list, batch)
        eventually(lambda: state_of(batch).delivered == len(rows) < len(workers(front)))
        batch.stop()
        assert sorted(one.index for one in waiting.result()) == list(range(6))
        batch.close()
        eventually(lambda: len(workers(front)) == (front.name == "sync"))  # a thread cannot be taken from its source
        go_on.set()
    assert server.request_count == len(rows)


def test_a_stop_from_a_hook_of_the_calls(front, server):
    hooks = []
    with underway(front, server, on_event=lambda event: [hook(event) for hook in hooks]) as client:
        batch = client.batch(endless(), max_concurrent=LIMIT)
        hooks.append(lambda event: isinstance(event, CallFinished) and batch.stop())
        assert {one.index for one in batch} <= {0, 1}


def test_a_close_from_a_hook_of_the_calls(server):
    """It does not wait for the very call that tells it."""
    hooks = []
    with underway(Sync(), server, on_event=lambda event: [hook(event) for hook in hooks]) as client:
        batch = client.batch(endless(), max_concurrent=LIMIT)
        hooks.append(lambda event: isinstance(event, CallFinished) and batch.close())
        assert {one.index for one in Work(list, batch).result()} <= {0, 1}


@pytest.mark.parametrize("place", ["rows", "key"])
def test_a_close_from_the_tasks_of_a_batch_waits_for_none_of_them(server, awaited, place):
    async def closed():
        async def rows():
            yield "a"
            if place == "rows":
                await batch.aclose()
            yield "b"

        async def key():
            if place == "key":
                await batch.aclose()
            return "k"

        async with llmnet.AsyncClient("openai:m", base_url=server.url + "/v1", api_key=key) as client:
            batch = client.batch(rows(), max_concurrent=1)
            found = [one.index async for one in batch]
            await batch.aclose()
            return found

    assert set(awaited.run(closed())) <= {0}


def test_a_closed_client_takes_no_batch(front, server):
    with front.client(**at(server)) as client:
        child = client.with_options()
    for closed in (client, child):
        with pytest.raises(llmnet.ConfigurationError, match="the client is closed"):
            closed.batch(["hi"])


def test_a_client_that_is_closed_fails_the_rows_of_its_batch(front, server):
    server.handler = held
    client = front.client(**at(server))
    batch = client.batch([str(number) for number in range(20)], max_concurrent=LIMIT, ordered=True)
    first, second = next(batch), next(batch)
    eventually(lambda: server.active == LIMIT)
    client.close()
    kinds = [type(one.error) for one in (first, second, *batch)]
    assert kinds == [type(None)] * 2 + [llmnet.APIConnectionError] * LIMIT + [llmnet.ConfigurationError] * (
        20 - 2 - LIMIT
    )
    eventually(lambda: server.active == 0)
