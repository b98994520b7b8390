"""Batches among others: the limit is reached and kept, nobody blocks another, both fronts make the same of each row."""

import asyncio
import contextvars
import dataclasses
import gc
import sys
import threading
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fronts import FACTS, virtual
from support.inside import state_of, turn_is_free
from support.live import Sync, Work, at, eventually, slots
from support.scripted import SCRIPTED

import llmnet
from llmnet.batch import threads
from llmnet.testing import Reply, fault

pytestmark = pytest.mark.threads

ROWS = [str(number) for number in range(40)]


def texts(results):
    return sorted((result.response.content for result in results), key=int)


# -- the limit -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_batch", "of_client", "limit"), [(3, 10, 3), (10, 3, 3), (None, 3, 3), (1, 100, 1)])
def test_so_many_calls_are_in_flight_and_never_more(front, server, of_batch, of_client, limit):
    server.handler = lambda _: Reply(hold=True)
    with front.client(**at(server, max_concurrent=of_client)) as client:
        batch = client.batch(ROWS, max_concurrent=of_batch)
        waiting = Work(texts, batch)
        eventually(lambda: server.active == state_of(batch).workers == limit)
        server.handler = None
        server.release()
        assert waiting.result() == ROWS
    assert server.peak == limit


def test_of_those_that_were_asked_first_others_may_come_before(front, server):
    """As they come, or in order: then the first one holds up all."""
    server.handler = lambda request: Reply(hold=True) if request.fields["messages"][0]["content"] == "0" else None
    for ordered in (False, True):
        with front.client(**at(server)) as client:
            batch = client.batch(ROWS, max_concurrent=2, ordered=ordered)
            waiting = Work(lambda: [result.index for result in batch])
            eventually(lambda: state_of(batch).finished >= (len(ROWS) - 1 if not ordered else 33))
            server.release()
            indices = waiting.result()
            assert sorted(indices) == list(range(len(ROWS)))
            assert (indices == sorted(indices)) == ordered
            assert ordered or indices[-1] == 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"max_concurrent": 0}, "max_concurrent must be at least 1, not 0"),
        ({"max_concurrent": -1}, "max_concurrent must be at least 1, not -1"),
        ({"max_concurrent": "4"}, "max_concurrent must be a whole number"),
        ({"stop_after_errors": 0}, "stop_after_errors must be at least 1"),
        ({"stop_after_errors": 1.5}, "stop_after_errors must be a whole number"),
        ({"ordered": 1}, "ordered must be True or False"),
    ],
)
def test_an_option_that_is_wrong(front, server, option, message):
    with front.client(**at(server)) as client, pytest.raises(llmnet.ConfigurationError, match=message):
        client.batch([], **option)


def test_who_takes_a_row_has_the_turn_alone(front, server):
    """The first row is held, and so are all results behind it: no consumer gives the turn to anybody meanwhile."""
    server.handler = lambda request: Reply(hold=True) if request.fields["messages"][0]["content"] == "0" else None
    free = []

    def source():
        for row in ROWS[:20]:
            free.append(turn_is_free(batch))
            yield row

    with front.client(**at(server)) as client:
        batch = client.batch(source(), max_concurrent=2, ordered=True)
        waiting = Work(texts, batch)
        eventually(lambda: state_of(batch).finished == 19)
        server.release()
        assert waiting.result() == ROWS[:20]
    assert free == [False] * 20


# -- one beside another ----------------------------------------------------------------------------------------------------


def test_two_batches_share_the_slots_of_their_client(front, server):
    server.handler = lambda _: Reply(hold=True)
    with front.client(**at(server, max_concurrent=5)) as client:
        works = [Work(lambda: texts(client.batch(ROWS, max_concurrent=4))) for _ in range(2)]
        eventually(lambda: server.active == 5)
        server.handler = None
        server.release()
        assert [work.result() for work in works] == [ROWS, ROWS]
        assert slots(client) == 0
    assert server.peak == 5


def test_a_consumer_may_ask_the_client_whose_only_slot_the_batch_uses(front, server):
    with front.client(**at(server, max_concurrent=1)) as client:
        assert [client.chat(one.response.content).content for one in client.batch(ROWS, ordered=True)] == ROWS


def test_a_source_may_ask_the_client_whose_only_slot_the_batch_uses(front, server):
    async def awaited():
        for row in ROWS:
            yield (await client._client.chat(row)).content

    with front.client(**at(server, max_concurrent=1)) as client:
        rows = (client.chat(row).content for row in ROWS) if front.name == "sync" else awaited()
        assert texts(client.batch(rows)) == ROWS


def test_the_results_of_a_batch_may_be_the_rows_of_another(front, server):
    async def awaited(inner):
        async for one in inner._batch:
            yield one.response.content

    with front.client(**at(server, max_concurrent=2)) as client:
        inner = client.batch(ROWS)
        rows = (one.response.content for one in inner) if front.name == "sync" else awaited(inner)
        assert texts(client.batch(rows)) == ROWS


def test_several_may_take_from_one_batch(front, server):
    with front.client(**at(server)) as client:
        batch = client.batch(ROWS * 5, max_concurrent=3)
        works = [Work(list, batch) for _ in range(4)]
        results = [result for work in works for result in work.result()]
    assert sorted(result.index for result in results) == list(range(5 * len(ROWS)))


# -- workers ---------------------------------------------------------------------------------------------------------------


def test_workers_see_the_context_of_whoever_began(front, server):
    who, seen = contextvars.ContextVar("who"), []

    async def awaited(client):
        who.set("me")
        async for _ in client._client.batch(ROWS[:3]):
            pass

    with front.client(**at(server, on_event=lambda _: seen.append(who.get(None)))) as client:
        if front.name == "sync":
            who.set("me")
            list(client.batch(ROWS[:3]))
        else:
            front.run(awaited(client))
    assert set(seen) == {"me"}


@pytest.mark.parametrize("granted", [0, 2])
def test_where_the_system_has_no_thread_left(server, monkeypatch, granted):
    real, started = threading.Thread.start, []

    def start(self):
        if self.name.startswith("llmnet-batch") and len(started) >= granted:
            raise RuntimeError("can't start new thread")
        started.append(self)
        real(self)

    monkeypatch.setattr(threads.threading.Thread, "start", start)
    with llmnet.Client(**at(server)) as client:
        batch = client.batch(ROWS)
        if not granted:
            with pytest.raises(RuntimeError, match="can't start"):
                next(batch)
            monkeypatch.undo()
        assert texts(batch) == ROWS
    assert granted == 0 or server.peak <= granted


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs eager tasks")
def test_a_loop_whose_tasks_begin_at_once(server):
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        async with llmnet.AsyncClient(**at(server, max_concurrent=400)) as client:
            return [result async for result in client.batch(ROWS * 20)]

    assert len(asyncio.run(main())) == 20 * len(ROWS)


class Noted(dict):
    """A row that can be looked for when it should be gone."""

    __hash__ = object.__hash__


ENDS = {"ok": Reply(), "400": 400, "500": 500, "cut": Reply(cut=20), "lost": Reply(drop=True)}


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("reply", ENDS.values(), ids=ENDS)
def test_nothing_but_the_consumer_keeps_a_row_or_its_result(front, server, reply, retries):
    """They are gone at once: a collector that comes by later might find gigabytes. The second attempt is answered."""
    asked, alive = set(), weakref.WeakSet()

    def answer(request):
        row = request.fields["messages"][0]["content"]
        return None if row in asked else asked.add(row) or reply

    def rows():
        for number in range(50):
            row = Noted(prompt=str(number))
            alive.add(row)
            yield row

    quick = llmnet.RetryPolicy(max_retries=retries, base_delay=0.001, max_delay=0.002)
    with front.client(**at(server, retry=quick)) as client:
        list(client.batch(["warm"]))
        server.handler = answer
        gc.collect()
        gc.disable()
        try:
            assert sum(1 for _ in client.batch(rows(), max_concurrent=2)) == 50
            eventually(lambda: not alive, 5)
            assert gc.collect() < 25 * 50
        finally:
            gc.enable()


def test_what_the_caller_handles_meanwhile_keeps_its_frames(server):
    """It is below all that fails there, and no part of it."""

    async def main():
        quick = llmnet.RetryPolicy(max_retries=1, base_delay=0.001)
        async with llmnet.AsyncClient(**at(server, retry=quick)) as client:
            server.script(Reply(drop=True))
            assert len((await client.chat("one")).meta.attempts) == 2
            server.script(400)
            assert [result.ok async for result in client.batch(["two"])] == [False]

    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        asyncio.run(main())
        frames = error.__traceback__
    assert frames is not None


# -- both fronts -----------------------------------------------------------------------------------------------------------


def row_by_row(front, server, script, options):
    """What comes of each row, as values that can be compared."""
    server.reset()
    server.script(*script)
    with front.client(**at(server, max_concurrent=1, **options)) as client:
        virtual(client)
        results = list(client.batch([{"custom_id": row, "prompt": row} for row in "abcdef"], ordered=True))
    return [summary_of(result) for result in results], server.request_count


def summary_of(result):
    meta = (result.response or result.error).meta
    facts = {name: getattr(result.error, name, None) for name in FACTS if name != "request_id"}
    attempts = [(a.status, a.cause, round(a.wait, 9), a.sent, a.transparent) for a in meta.attempts]
    return result.index, result.custom_id, result.ok and result.response.content, type(result.error), facts, attempts


# A connection serves one row: whether a dead one is met by the next row is a matter of luck.
APART = [dataclasses.replace(Reply.of(reply), close=True) for reply in SCRIPTED if reply != fault("fin-when-idle")]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.sampled_from(APART), max_size=15), retries=st.integers(0, 2))
def test_both_make_the_same_of_each_row(server, awaited, script, retries):
    sync, other = (row_by_row(front, server, script, {"max_retries": retries}) for front in (Sync(), awaited))
    assert sync == other
