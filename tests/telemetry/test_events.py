"""Every way a call can end: one finish event, one line, one count; each event in its place."""

import asyncio
import contextlib
import logging
import signal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matrix.rows_cancel import interruptible
from support import points
from support.endings import HELD, ROWS, Stage, fail
from support.events_heard import QUICK, Heard, agrees, written
from support.live import PROMPT, Work, at, eventually

import llmnet
from llmnet import CallFinished
from llmnet.testing import fault
from llmnet.transports.aio.wait import once

pytestmark = pytest.mark.threads


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_way_to_end_is_told_counted_and_written_once(front, server, caplog, row):
    caplog.set_level(logging.DEBUG, logger="llmnet")
    server.script(*row.script)
    received, caught = Heard(front), None
    with received.client(**at(server, **{"retry": QUICK, **row.fields})) as client:
        try:
            row.act(Stage(front, server, client))
        except Exception as error:
            caught = error
        eventually(lambda: sum(type(event) is CallFinished for event in received) == len(row.ends))
    ended = received.ended()
    assert sorted((event.outcome, len(event.attempts)) for event in ended) == sorted(row.ends)
    if caught is not None and ended and ended[-1].error is not None:
        assert ended[-1].error in (caught, caught.__context__)
    assert [event.error is None for event in ended] == [event.outcome in ("ok", "closed") for event in ended]
    agrees(client.stats, ended)
    written(caplog, ended)
    assert client.request_count == server.request_count


def test_a_close_that_is_itself_cut_short_is_told_all_the_same(front, server, monkeypatch):
    server.script(HELD)
    received = Heard(front)
    with received.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        next(stream)
        with monkeypatch.context() as patch:
            raw = stream._driver._reply  # private: nothing else makes a close fail half-way
            patch.setattr(raw, "close" if front.name == "sync" else "aclose", fail)
            with pytest.raises(ZeroDivisionError):
                stream.close()
        (last,) = received.ended()
        assert (last.outcome, last.error) == ("closed", None)


# -- ended from outside -------------------------------------------------------------------------------------------------


def by_task(at_point, front):
    task = front.run(points.as_task(points.consume(at_point.client._client, "stream", at_point.message)))
    eventually(at_point.reached)
    front.loop.call_soon_threadsafe(task.cancel)
    front.run(asyncio.wait([task]))
    assert task.cancelled()


def by_stream(at_point, front):
    stream = at_point.client.stream_chat(at_point.message)
    work = Work(list, stream)
    eventually(at_point.reached)
    stream.cancel()
    with pytest.raises(llmnet.StreamCancelledError):
        work.result()


def by_client(at_point, front):
    work = Work(lambda: list(at_point.client.stream_chat(at_point.message)))
    eventually(at_point.reached)
    at_point.client.close()
    with pytest.raises(llmnet.APIConnectionError, match="closed"):
        work.result()


def by_signal(at_point, front):
    """In the wait itself: a Ctrl-C between two chunks may be one in the caller's loop, one in a hook is the hook's."""
    stream = at_point.client.stream_chat(at_point.message)
    in_the_wait = points.Point(at_point.client, lambda: at_point.reached() and points.reads_on(stream))
    with interruptible(), points.interrupted(in_the_wait, signal.SIGINT):
        list(stream)


POINTS = {
    points.queued: 0, points.backing_off: 1, points.at_the_gate: 0, points.connecting: 1, points.before_the_head: 1,
    points.inside_the_body: 1, points.between_events: 1,
}  # fmt: skip
WAYS = [
    ("sync", by_stream), ("async", by_stream), ("sync", by_client), ("async", by_client), ("sync", by_signal),
    ("async", by_task),
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)
@pytest.mark.parametrize(
    ("front", "end"), WAYS, indirect=["front"], ids=lambda value: getattr(value, "__name__", value)
)
def test_a_call_ended_from_outside_is_cancelled(front, server, caplog, point, end):
    caplog.set_level(logging.DEBUG, logger="llmnet")
    received = Heard(front)
    with point(received, server) as at_point:
        end(at_point, front)
    ended = received.ended()
    last = ended[-1]
    assert (last.outcome, len(last.attempts)) == ("cancelled", POINTS[point])
    assert isinstance(last.error, asyncio.CancelledError | KeyboardInterrupt | llmnet.LLMNetError)
    agrees(at_point.client.stats, ended)
    written(caplog, ended)


def test_who_cancels_within_itself_still_hears_of_its_callers_cancellation(awaited):
    """anyio does so as it connects; the turn that it then gives the loop before it waits is no place to lose one in."""
    turn = []

    async def step():
        asyncio.current_task().cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        asyncio.current_task().uncancel()
        turn.append(1)
        await asyncio.sleep(0)
        await asyncio.Event().wait()

    async def waits():
        await once(step())

    async def main():
        task = asyncio.create_task(waits())
        while not turn:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=PROMPT)
        assert task.cancelled()

    awaited.run(main())


# -- any script ---------------------------------------------------------------------------------------------------------

SAID = [
    "Hi", 500, 503, 400, 401, *map(fault, (
        "429-zero", "429-quota", "eof-before-head", "502-html", "error-in-200", "html-in-200", "empty-200", "not-json",
        "cut-chunks", "reset-in-body", "stream-reset-first", "stream-reset", "stream-eof", "stream-without-end",
        "stream-error-first", "stream-error", "fin-when-idle",
    )),
]  # fmt: skip


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.sampled_from(SAID), max_size=6), streams=st.lists(st.booleans(), min_size=1, max_size=3))
def test_whatever_a_server_does_the_events_follow_the_grammar(front, server, script, streams):
    server.reset()
    server.script(*script)
    received, well = Heard(front), []
    with received.client(**at(server, retry=QUICK)) as client:
        for stream in streams:
            try:
                list(client.stream_chat("hi")) if stream else client.chat("hi")
            except llmnet.LLMNetError as error:
                well.append(error)
            else:
                well.append(None)
    ended = received.ended()
    assert [event.error for event in ended] == well
    assert [event.stream for event in ended] == streams
    agrees(client.stats, ended)
