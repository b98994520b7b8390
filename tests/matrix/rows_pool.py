"""Rows 25-32, 48 and 51 of the fault matrix: slots, and connections that are kept or must not be."""

import functools
import gc
import itertools
import warnings

import pytest
from matrix.case import ONCE, Expect, Row, skipping
from support.inside import connections_of
from support.live import ENGINE, WORDS, Work, at, content, eventually, no_leak, slots

import llmnet
from llmnet.testing import Reply, fault

BAD = llmnet.InvalidResponseError
# h11, in httpx's own engine, takes a length beside chunks; the connection is then not used again.
STRICT, LENIENT = (("sync",), ("async",)) if ENGINE == "httpx" else (("sync", "async"), ())
CLOSES = (Reply(), Reply(close=True))
HANGS_UP = (Reply(), fault("fin-when-idle"))


def chat(client):
    reply = client.chat("Hello")
    return reply.content, reply.meta


def stream(client):
    with client.stream_chat("Hello") as opened:
        return content(opened), opened.meta


def full_queue(front, server):
    server.script(Reply(hold=True))
    with front.client(**at(server, max_concurrent=1, timeout=llmnet.Timeout(queue=0.1))) as client:
        sleeps = skipping(front, client)
        first = Work(client.chat, "first")
        server.wait_for_requests(1)
        with pytest.raises(llmnet.APITimeoutError) as caught:
            client.chat("second")
        error = caught.value
        assert (error.phase, error.retryable, error.maybe_billed) == ("queue", False, False)
        assert "in the queue, where 1 calls are under way and 1 wait" in str(error)
        assert (error.meta.attempts, sleeps, server.request_count) == ([], [], 1)
        server.release()
        assert first.result().content == "first"
        assert slots(client) == 0


def dies_under_a_request(ask, front, server):
    server.script("warm", *[fault("eof-before-head")] * 2, "Hi")
    with no_leak(server), front.client(**at(server)) as client:
        sleeps = skipping(front, client)
        ask(client)
        text, meta = ask(client)
        assert text == "Hi"
        assert [(a.transparent, a.sent) for a in meta.attempts] == [(True, False), (False, True), (False, True)]
        assert len(sleeps) == 1
        assert (server.request_count, client.request_count, server.connections) == (4, 3, 3)


def is_not_reused(ask, name, front, server):
    """The first reply counts; the second call gets its own, over another connection."""
    server.script(fault(name), "two", "three")
    with no_leak(server), front.client(**at(server, max_retries=0)) as client:
        texts = [ask(client)[0] for _ in range(3)]
        assert texts[0] in ("Hi", "Hello")
        assert texts[1:] == ["two", "three"]
        assert (server.request_count, client.request_count, server.connections) == (3, 3, 2)


def switches_when_reused(ask, front, server):
    """A reply that is no HTTP is a reply: the connection was not stale."""
    server.script("warm", *[fault("switching")] * 9)
    with front.client(**at(server)) as client:
        sleeps = skipping(front, client)
        ask(client)
        with pytest.raises(BAD, match="head"):
            ask(client)
        assert (len(sleeps), server.request_count, client.request_count) == (1, 3, 3)


def every_second(replies, calls, front, server):
    """The server ends each connection after two requests."""
    turn = itertools.cycle(replies)
    server.handler = lambda _: next(turn)
    with no_leak(server), front.client(**at(server, max_retries=0)) as client:
        for number in range(calls):
            assert client.chat(str(number)).content == str(number)
        assert server.request_count == client.request_count == calls
        # Whether a hang-up is seen in time is chance: what replaces a stale connection may serve but once.
        assert server.connections == calls / 2 or (replies is HANGS_UP and server.connections > calls / 2)


def both(number, phase, name, play, *args):
    for ask in (chat, stream):
        yield Row(number=number, phase=phase, fault=f"{name}, {ask.__name__}", play=functools.partial(play, ask, *args))


def a_sleeping_retry_holds_no_slot(front, server):
    server.script(Reply(status=500, headers={"retry-after": "30"}))
    with front.client(**at(server, max_concurrent=1)) as client:
        stream = client.stream_chat("first")
        sleeper = Work(stream.__enter__)
        eventually(lambda: stream.meta.attempts)
        assert client.chat("second").content == "second"
        assert slots(client) == 0
        stream.cancel()
        with pytest.raises(llmnet.StreamCancelledError):
            sleeper.result()


def close_is_idempotent(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server)) as client:
        stream = client.stream_chat("hi")
        next(stream)
        for _ in range(3):
            stream.close()
        assert slots(client) == 0
        eventually(lambda: server.active == 0)


def a_bare_break_is_closed_when_collected(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with no_leak(server), front.client(**at(server, max_concurrent=1)) as client:
        for _ in client.stream_chat("hi"):
            break
        gc.collect()
        eventually(lambda: slots(client) == 0 and server.active == 0)
        assert client.chat("next").content == "next"


def resource_warnings(seen):
    return [w for w in seen if issubclass(w.category, ResourceWarning)]


def nothing_else_warns(front, server):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with front.client(**at(server)) as client:
            client.chat("hi")
            child = client.with_options(model="other")
            del child
            for _ in client.stream_chat(WORDS):
                break
        with pytest.raises(llmnet.ConfigurationError):
            front.client(**at(server, timeout=-1))
        del client
        gc.collect()
        eventually(lambda: not connections_of(server))
        assert resource_warnings(seen) == []


ROWS = [
    Row(number=25, phase="pool", fault="the wait for a slot expires", play=full_queue),
    Row(number=26, phase="pool", fault="a neighbour sleeps", play=a_sleeping_retry_holds_no_slot),
    Row(number=27, phase="pool", fault="half-read and closed", play=close_is_idempotent),
    Row(number=27, phase="pool", fault="half-read and collected", play=a_bare_break_is_closed_when_collected),
    Row(number=27, phase="pool", fault="only an unclosed client warns", play=nothing_else_warns),
    *both(29, "keepalive", "EOF after the request", dies_under_a_request),
    Row(number=31, phase="keepalive", fault="bytes after the body", play=functools.partial(is_not_reused, chat, "followed")),
    Row(
        number=31, phase="keepalive", fault="bytes after the stream",
        play=functools.partial(is_not_reused, stream, "stream-followed"),
    ),
    Row(number=32, phase="keepalive", fault="close", play=functools.partial(every_second, CLOSES, 700)),
    Row(number=32, phase="keepalive", fault="two requests each", play=functools.partial(every_second, HANGS_UP, 300)),
    Row(
        number=48, phase="head", fault="unasked 101", stream=(False, True), script=(fault("switching"),) * 9,
        expect=Expect(error=BAD, sent=2, waits=ONCE, connections=2, billed=True),
    ),
    *both(48, "head", "unasked 101 when reused", switches_when_reused),
    Row(
        number=51, phase="head", fault="both lengths", stream=(False, True), script=(fault("both-lengths"),) * 9, fronts=STRICT,
        expect=Expect(error=BAD, sent=2, waits=ONCE, connections=2, billed=True),
    ),
    *(
        Row(number=51, phase="head", fault=f"both lengths, {ask.__name__}", fronts=LENIENT, play=functools.partial(is_not_reused, ask, "both-lengths"))
        for ask in (chat, stream) if LENIENT
    ),
]  # fmt: skip
