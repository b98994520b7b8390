"""A batch on both fronts: rows are taken lazily and one by one, and what goes wrong with a row stays with it."""

import asyncio
import itertools
import queue
import random
import threading

import pytest
from support.inside import state_of
from support.live import Work, at, eventually

import llmnet
from llmnet.batch.state import WINDOW
from llmnet.testing import Reply, fault

pytestmark = pytest.mark.threads

LIMIT = 4
AHEAD = LIMIT + WINDOW


class Rows:
    """A source that counts how often it was asked; nobody may ask it while somebody else does."""

    def __init__(self, rows=None):
        self._rows = itertools.count() if rows is None else iter(rows)
        self._asking = threading.Lock()
        self.asked = 0

    def __iter__(self):
        return self

    def __next__(self):
        assert self._asking.acquire(blocking=False)
        self.asked += 1
        try:
            return str(next(self._rows))
        finally:
            self._asking.release()


def texts(results):
    return [result.response.content for result in results]


def steps(front, *rows):
    """A source of these rows; of those that are functions the end is waited for, in the way of the front."""

    def taken():
        for row in rows:
            if not callable(row):
                yield row
            else:
                row()

    async def awaited():
        for row in rows:
            if not callable(row):
                yield row
            else:
                await asyncio.to_thread(row)

    return taken() if front.name == "sync" else awaited()


# -- rows are taken lazily -----------------------------------------------------------------------------------------------


def test_nothing_happens_before_the_first_result_is_asked_for(front, server):
    rows, threads = Rows("ab"), set(threading.enumerate())
    with front.client(**at(server)) as client, client.batch(rows) as batch:
        # One of an earlier test may just end.
        assert (rows.asked, server.request_count, set(threading.enumerate()) - threads) == (0, 0, set())
        assert sorted(texts(batch)) == ["a", "b"]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_source_is_never_asked_for_much_more_than_was_consumed(front, server, ordered):
    """The consumer stops for a while: all goes on until what is held fills the window, and not a row further."""
    rows = Rows()
    with front.client(**at(server)) as client, client.batch(rows, max_concurrent=LIMIT, ordered=ordered) as batch:
        counts = state_of(batch)
        for consumed in range(1, 41):
            assert next(batch).ok
            if consumed in (1, 2, 40):
                eventually(lambda: counts.in_flight == 0 and rows.asked == counts.delivered + AHEAD)
                assert (counts.delivered, server.request_count) == (consumed, rows.asked)


def test_a_consumer_that_keeps_up_finds_few_rows_taken(front, server):
    rows = Rows(range(200))
    with front.client(**at(server)) as client:
        for consumed, _ in enumerate(client.batch(rows, max_concurrent=LIMIT)):
            assert rows.asked <= consumed + 1 + AHEAD
    assert (rows.asked, consumed) == (201, 199)


@pytest.mark.parametrize("size", [0, 1, 40])
@pytest.mark.parametrize("kind", [list, set, iter, Rows, lambda rows: (row for row in rows)])
def test_whatever_can_be_iterated_over(front, server, kind, size):
    expected = sorted(str(number) for number in range(size))
    with front.client(**at(server)) as client:
        batch = client.batch(kind(expected))
        results = list(batch)
        assert sorted(texts(results)) == expected
        assert sorted(result.index for result in results) == list(range(size))
        assert list(batch) == []
    assert server.request_count == size


def test_results_come_while_the_source_still_waits_for_its_next_row(front, server):
    rows = queue.Queue()
    row = steps(front, *[one for _ in range(9) for one in (rows.get, "row")])
    with front.client(**at(server)) as client:
        batch = client.batch(row)
        for index in range(9):
            rows.put(None)
            assert next(batch).index == index


def test_workers_that_found_nothing_to_do_come_back_with_the_rows(front, server):
    rows = queue.Queue()
    with front.client(**at(server)) as client:
        batch = client.batch(steps(front, *[one for _ in range(6) for one in (rows.get, "row")]), max_concurrent=3)
        for _ in range(3):
            rows.put(None)
            assert next(batch).ok
        server.handler = lambda _: Reply(hold=True)
        for _ in range(3):
            rows.put(None)
        eventually(lambda: server.active == 3)
        server.release()
        assert len(list(batch)) == 3


class Abrupt(BaseException):
    """What is no `Exception`."""


@pytest.mark.parametrize("error", [ValueError("no more"), Abrupt("no more"), asyncio.CancelledError("no more")])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_source_that_fails_ends_the_batch_once_all_before_is_given(front, server, error, ordered):
    def fail():
        raise error

    server.script(*[Reply(hold=True)] * 3)
    with front.client(**at(server)) as client:
        batch = client.batch(steps(front, "a", "b", "c", fail, "d"), ordered=ordered)
        first = Work(next, batch)
        server.wait_for_requests(3)
        server.release()
        assert sorted(texts([first.result(), next(batch), next(batch)])) == ["a", "b", "c"]
        with pytest.raises(BaseException, match="no more" if front.name == "sync" else None) as caught:
            next(batch)
        assert type(caught.value).__name__ == type(error).__name__
        assert list(batch) == []
    assert server.request_count == 3


def test_an_end_that_is_no_exception_reaches_the_consumer(front, server):
    """As `sys.exit` in a function that gives the key: not as the failure of a row, and nobody waits for ever."""
    keys = iter(["k", "k"])

    def key():
        if (one := next(keys, None)) is None:
            raise Abrupt
        return one

    with front.client(**at(server, api_key=key)) as client:
        batch, results = client.batch(Rows(), max_concurrent=1, ordered=True), []
        with pytest.raises(Abrupt):
            results.extend(batch)
        assert texts(results) == ["0", "1"]


# -- failures stay with their row ----------------------------------------------------------------------------------------

BAD = {
    "wrong type": (7, llmnet.ConfigurationError),
    "too long": ({"custom_id": "too long", "prompt": "too long"}, llmnet.ContextLengthError),
    "refused": ({"custom_id": "refused", "prompt": "refused"}, llmnet.AuthenticationError),
    "cut": ({"custom_id": "cut", "prompt": "cut"}, llmnet.APIConnectionError),
}  # fmt: skip
REPLIES = {"too long": fault("400-context"), "refused": 401, "cut": Reply(cut=20)}


def by_text(request):
    return REPLIES.get(request.fields["messages"][-1]["content"])


@pytest.mark.parametrize(("size", "ordered"), [pytest.param(1000, False, marks=pytest.mark.slow), (100, True)])
def test_bad_rows_among_many(front, server, size, ordered):
    server.handler = by_text
    rows = [{"custom_id": f"r{number}", "prompt": f"prompt {number}"} for number in range(size)]
    where = dict(zip(random.sample(range(size), len(BAD)), BAD, strict=True))
    for index, name in where.items():
        rows[index] = BAD[name][0]
    with front.client(**at(server, max_retries=1, retry=llmnet.RetryPolicy(base_delay=0.001))) as client:
        results = list(client.batch(rows, ordered=ordered))
    assert [result.index for result in (results if ordered else sorted(results, key=lambda one: one.index))] == list(
        range(size)
    )
    for result in results:
        if (name := where.get(result.index)) is None:
            assert (result.custom_id, result.response.content) == (f"r{result.index}", f"prompt {result.index}")
        else:
            assert (type(result.error), result.response, result.ok) == (BAD[name][1], None, False)
            assert result.custom_id == (None if name == "wrong type" else name)


@pytest.mark.parametrize(("most", "expected"), [(1, "a?"), (2, "a?b?"), (None, "a?b?c?d")])
def test_after_so_many_errors_no_further_row_is_taken(front, server, most, expected):
    with front.client(**at(server)) as client:
        rows = Rows("a?b?c?d")
        source = (7 if row == "?" else row for row in rows)
        results = list(client.batch(source, max_concurrent=1, ordered=True, stop_after_errors=most))
    assert "".join(result.response.content if result.ok else "?" for result in results) == expected
    assert rows.asked == len(expected) + (most is None)


def test_those_in_flight_are_finished_after_the_last_error(front, server):
    server.script(*[Reply(hold=True)] * 3)
    source = steps(front, "a", "b", "c", lambda: server.wait_for_requests(3), 7, "d", "e")
    with front.client(**at(server)) as client:
        batch = client.batch(source, max_concurrent=4, stop_after_errors=1)
        assert next(batch).index == 3
        waiting = Work(lambda: sorted(texts(batch)))
        server.release()
        assert waiting.result() == ["a", "b", "c"]
    assert server.request_count == 3
