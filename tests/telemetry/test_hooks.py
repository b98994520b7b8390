"""The hook `on_event`: it is the caller's, hears the calls of its own client, and can break nothing but by a Ctrl-C."""

import asyncio
import contextlib
import logging

import pytest
from support import points
from support.endings import ROWS, Stage
from support.events_heard import QUICK, Heard, lines
from support.live import at, eventually

import llmnet
from llmnet import AttemptStarted, CallFinished, CallQueued, FirstToken
from llmnet.testing import Reply

pytestmark = pytest.mark.threads


def fails(event):
    raise ZeroDivisionError(f"about {event}")


@pytest.mark.parametrize("row", ROWS[:20:2], ids=lambda row: row.name)
def test_a_hook_that_raises_breaks_nothing_and_is_logged_without_its_words(front, server, caplog, row):
    results = []
    for hook in (lambda event: None, fails):
        server.reset()
        server.script(*row.script)
        with front.client(**at(server, **{"retry": QUICK, "on_event": hook, **row.fields})) as client:
            try:
                row.act(Stage(front, server, client))
            except Exception as error:
                raised = type(error)
            else:
                raised = None
        results.append((raised, [(entry.outcome, entry.calls) for entry in client.stats], server.request_count))
    assert results[0] == results[1]
    failures = lines(caplog, logging.ERROR)
    assert bool(failures) == bool(row.ends)
    assert all("on_event failed at " in line and "ZeroDivisionError in fails, " in line for line in failures)
    assert "about" not in caplog.text


class Stop(BaseException):
    """What is no `Exception`, as a Ctrl-C in the midst of a hook."""


@pytest.mark.parametrize("kind", [CallQueued, AttemptStarted, FirstToken, CallFinished])
def test_what_is_no_exception_goes_through_and_nothing_is_left_taken(front, server, kind):
    """Ctrl-C, `sys.exit` and a task's cancellation mean the caller, wherever they come."""

    def hook(event):
        received(event)
        if type(event) is kind:
            raise Stop

    received = Heard()
    with front.client(**at(server, on_event=hook, max_concurrent=1)) as client:
        stream = client.stream_chat("hi")
        with pytest.raises(Stop):
            list(stream)
        assert points.ended(client, server)
        del stream
    (last,) = received.ended()
    assert last.outcome == ("ok" if kind is CallFinished else "cancelled")
    assert client.stats.calls == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_ends_nothing_where_there_is_no_call_any_more(front, server, caplog, kind):
    """A finalizer's events have a thread of their own: what its hook raises is logged, and the next event follows."""

    def hook(event):
        if isinstance(event, CallFinished):
            received.append(event)
            raise kind

    received = []
    with front.client(**at(server, on_event=hook)) as client:
        streams = [client.stream_chat("hi") for _ in range(3)]
        for stream in streams:
            next(stream)
        del stream
        streams.clear()
        eventually(lambda: len(received) == 3)
        eventually(lambda: len(lines(caplog, logging.ERROR)) == 3)


def test_a_progress_that_a_finalizer_has_called_is_logged_whatever_it_raises(caplog):
    def show(figures):
        if figures.over:
            raise SystemExit(3)

    with llmnet.Client("fake:m") as client:
        results = client.batch(["a"] * 4, progress=show)
        next(results)
        del results
    (line,) = lines(caplog, logging.ERROR)
    assert "progress failed: SystemExit" in line


def test_a_child_with_a_hook_of_its_own_is_heard_there_alone(front, server):
    received, own = Heard(front), Heard()
    with received.client(**at(server)) as client:
        stage = Stage(front, server, client)
        for child in (client.with_options(on_event=own), client.with_options(on_event=None)):
            stage.done(child.chat("hi"))
        assert (len(received), len(own.ended())) == (0, 1)
        stage.done(client.with_options(model="n").chat("hi"))
        client.chat("hi")
        assert ([event.model for event in received.ended()], len(own.ended())) == (["n", "m"], 1)
        assert client.stats.calls == 4


async def coroutine(event):
    """Nobody would await it."""


class Awaited:
    async def __call__(self, event):
        """Nor this."""


@pytest.mark.parametrize("wrong", ["print", 7, [], coroutine, Awaited()], ids=lambda wrong: type(wrong).__name__)
def test_what_is_no_plain_function_is_refused_before_anything_is_sent(front, server, wrong):
    with pytest.raises(llmnet.ConfigurationError, match="on_event must be a plain function"):
        front.client(**at(server, on_event=wrong))
    with (
        front.client(**at(server)) as client,
        pytest.raises(llmnet.ConfigurationError, match="on_event must be a plain"),
    ):
        client.with_options(on_event=wrong)
    assert (server.connections, server.request_count) == (0, 0)


def test_a_stream_closed_at_its_first_and_last_chunk_has_one_attempt(front, server):
    """Some servers answer a stream with plain JSON: its one chunk comes when the reply is whole."""

    def hook(event):
        received(event)
        if type(event) is FirstToken and front.name == "sync":
            stream.close()

    server.script(Reply(body={"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}))
    received = Heard()
    with front.client(**at(server, on_event=hook)) as client:
        stream = client.stream_chat("hi")
        assert [chunk.content for chunk in stream] == ([] if front.name == "sync" else ["hi"])
        (last,) = received.ended()
        assert (last.outcome, len(stream.meta.attempts)) == ("closed" if front.name == "sync" else "ok", 1)


@pytest.mark.parametrize("kind", [CallQueued, AttemptStarted, FirstToken, CallFinished])
@pytest.mark.parametrize("what", ["stats", "cancel", "close", "all"])
def test_a_hook_may_use_what_it_is_told_of(front, server, kind, what):
    """It counts, cancels its stream, closes it or the whole client, in the midst of the call."""

    def hook(event):
        received(event)
        if type(event) is kind:
            seen.append(client.stats.calls)
            if what == "cancel":
                stream.cancel()
            elif what != "stats":
                end(stream if what == "close" else client)

    def end(thing):
        inner = getattr(thing, "_stream", getattr(thing, "_client", thing))
        inner.close() if front.name == "sync" else ending.append(asyncio.ensure_future(inner.aclose()))

    received, seen, ending = Heard(), [], []
    with front.client(**at(server, on_event=hook, max_concurrent=1)) as client:
        stream = client.stream_chat("hi")
        with contextlib.suppress(llmnet.LLMNetError):
            list(stream)
        assert points.ended(client, server)
    assert seen == [kind is CallFinished]
    at_once = what == "cancel" or (what != "stats" and front.name == "sync")
    assert server.request_count == 0 or not (at_once and kind in (CallQueued, AttemptStarted))
    assert len(received.ended()) == client.stats.calls == 1
