"""How far a batch is: the figures, and who is shown them."""

import asyncio
import contextlib
import logging
import threading

import pytest
from support.live import at, eventually

import llmnet
from llmnet.batch.progress import Pace, Reporter
from llmnet.batch.rows import BatchResult
from llmnet.batch.state import BatchState
from llmnet.core.chat import ChatResponse, Usage
from llmnet.core.events import Throttled
from llmnet.core.http import Attempt
from llmnet.testing import Reply

pytestmark = pytest.mark.threads

OK = BatchResult(index=0, response=ChatResponse(usage=Usage(output_tokens=3)))
FAILED = BatchResult(index=1, error=ValueError("no"))
THROTTLED = Throttled(
    call=1, provider="p", host="h", model="m", stream=False, at=0.0,
    number=1, attempt=Attempt(throttled=True), error=None, retried=True, reason="throttled",
)  # fmt: skip


def shown(progress, rows, front="sync", leave=len, **fields):
    """Run a batch to its end, or until so many results are there."""

    def sync():
        with llmnet.Client("fake:m", **fields) as client:
            for n, _ in enumerate(client.batch(rows, progress=progress), 1):
                if n == leave:
                    break

    async def awaited():
        async with llmnet.AsyncClient("fake:m", **fields) as client:
            n = 0
            async for _ in client.batch(rows, progress=progress):
                n += 1
                if n == leave:
                    break

    sync() if front == "sync" else asyncio.run(awaited())


# -- the figures ------------------------------------------------------------------------------------------------------


def test_the_pace_is_that_of_late():
    pace = Pace(0.0)
    assert pace.rates(0.0, 0, 0) == (0.0, 0.0)
    assert pace.rates(10.0, 5, 50) == (0.5, 5.0)
    for second in range(1, 100):  # from then on four in a second
        rates = pace.rates(10.0 + second, 5 + 4 * second, 50 + 40 * second)
    assert rates == (4.0, 40.0)
    stalled = [pace.rates(109.0 + wait, 401, 4010)[0] for wait in range(600)]
    assert stalled == sorted(stalled, reverse=True)
    assert 0 < stalled[-1] < 0.5, "a standstill slows it down by and by"


def test_figures_now_and_then_and_the_last_ones_once():
    received, now = [], [100.0]
    report = Reporter(BatchState(2), 4, received.append, clock=lambda: now[0])
    for at_, result in ((100.0, OK), (100.01, FAILED), (101.0, OK)):
        now[0] = at_
        with report:
            report(result)
    now[0] = 102.0
    with contextlib.suppress(StopIteration), report:
        raise StopIteration
    report.close()
    assert [(f.done, f.failed, f.total, f.over) for f in received] == [
        (1, 0, 4, False),
        (3, 1, 4, False),
        (3, 1, 4, True),
    ]
    assert (received[1].requests_per_second, received[1].tokens_per_second, received[1].left) == (3.0, 6.0, 1 / 3)
    assert (received[2].elapsed, received[2].requests_per_second, received[2].tokens_per_second) == (2.0, 1.5, 3.0)


def test_a_live_display_has_news_while_nothing_finishes():
    received = []
    report = Reporter(BatchState(2), None, received.append, live=True)
    events = []
    hook = report.hook(events.append)
    with report:
        hook(THROTTLED)
        eventually(lambda: received and received[-1].throttled == 1)
    assert events == [THROTTLED]
    report.close()
    assert [f.over for f in received] == [False] * (len(received) - 1) + [True]
    assert "llmnet-bar" not in {thread.name for thread in threading.enumerate()}


def test_a_display_that_gets_no_thread_breaks_nothing(monkeypatch):
    def none_left(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    report = Reporter(BatchState(2), None, print, live=True)
    with report:
        report(OK)
    report.close()


def test_nobody_is_shown_anything():
    report = Reporter(BatchState(2), 4, None)
    assert report.hook(print) is print
    with report:
        report(OK)
    report.close()


@pytest.mark.parametrize("front", ["sync", "async"])
@pytest.mark.parametrize("leave", [20, 3])
def test_a_function_gets_the_figures_of_a_batch(front, leave):
    received = []
    shown(received.append, [{"prompt": "a"}, {"nothing": 1}] * 10, front, leave)
    assert [f.over for f in received] == [False] * (len(received) - 1) + [True]
    last = received[-1]
    assert (last.total, last.done, last.left is None) == (20, leave, False)
    if leave == 20:
        assert (last.failed, last.in_flight) == (10, 0)


@pytest.mark.parametrize("front", ["sync", "async"])
def test_a_function_that_fails_breaks_nothing(front, caplog):
    def broken(figures):
        raise ZeroDivisionError("what it was asked")

    with caplog.at_level(logging.ERROR, logger="llmnet"):
        shown(broken, ["a"] * 3, front)
    assert all(record.message.startswith("progress failed: ZeroDivisionError in ") for record in caplog.records)
    assert caplog.records
    assert "what it was asked" not in caplog.text


def test_close_shows_the_last_figures():
    received = []
    with llmnet.Client("fake:m") as client:
        results = client.batch(["a"] * 4, progress=received.append)
        next(results)
        results.close()
        assert (received[-1].over, received[-1].in_flight) == (True, 0)
        results.close()
    assert [figures.over for figures in received].count(True) == 1


def test_throttles_are_counted_and_the_hook_of_the_client_still_hears(server):
    received, events = [], []
    server.script(Reply(status=429, headers={"retry-after": "0"}))
    with llmnet.Client(**at(server), on_event=events.append) as client:
        list(client.batch(["a"], progress=received.append))
    assert received[-1].throttled == 1
    assert [type(event).__name__ for event in events].count("Throttled") == 1


async def _async_function(figures):
    """No such thing."""


@pytest.mark.parametrize("wrong", [1, "yes", _async_function])
def test_what_cannot_be_shown_anything(wrong):
    with llmnet.Client("fake:m") as client, pytest.raises(llmnet.ConfigurationError, match="progress must be"):
        client.batch(["a"], progress=wrong)
