"""Every wait is bounded, in both fronts, and the error says by which bound: phases are asserted, never tight times."""

import asyncio
import contextlib
import itertools
import math
import socket
import ssl
import threading
import time

import pytest
import trustme
from support.live import WORDS, Work, at, at_port, content, eventually, needs_our_engine, no_leak, slots
from support.short_bounds import BOUND, LATE, timeout

import llmnet
from llmnet.core.bounds import Bounds, Timeout, resolve_timeout
from llmnet.testing import Reply, full_peer, mute_peer

ASKS = {"chat": lambda client, text: client.chat(text), "stream": lambda client, text: list(client.stream_chat(text))}
both_ways = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)


def expires(ask, *args, within=LATE):
    """The timeout that something ends with, not before its time and not much later."""
    started = time.monotonic()
    with pytest.raises(llmnet.APITimeoutError) as caught:
        ask(*args)
    assert time.monotonic() - started < within
    assert caught.value.meta.elapsed >= BOUND - 0.01
    assert f"{BOUND:g}s" in str(caught.value)
    assert f"phase={caught.value.phase}" in str(caught.value)
    return caught.value


# -- arithmetic -----------------------------------------------------------------------------------------------------


def test_a_number_bounds_a_whole_reply_but_not_a_stream():
    assert resolve_timeout(3, None, stream=False, flex=False) == Timeout(connect=3, response=3, idle=3, total=3)
    assert resolve_timeout(3, None, stream=True, flex=False) == Timeout(connect=3, response=3, idle=3, total=600)
    assert resolve_timeout(700, None, stream=True, flex=False).total == 700
    assert resolve_timeout(700, None, stream=False, flex=False).connect == 10


def test_none_inherits():
    mine = resolve_timeout(Timeout(idle=None, total=5, connect=None, response=None), 20, stream=False, flex=False)
    assert mine == Timeout(connect=10, response=20, idle=20, total=5)
    assert resolve_timeout(None, Timeout(idle=7), stream=True, flex=False) == Timeout(idle=7)
    assert resolve_timeout(None, None, stream=True, flex=False) == Timeout()


def test_flex_widens_the_defaults_alone():
    assert resolve_timeout(None, Timeout(), stream=True, flex=True) == Timeout(response=900, total=900)
    assert resolve_timeout(20, Timeout(), stream=False, flex=True).total == 20
    assert resolve_timeout(None, 30, stream=False, flex=True).response == 30


@pytest.mark.parametrize("field", ["connect", "response", "idle", "total", "queue"])
@pytest.mark.parametrize("value", [0, -1, math.nan, "3", True])
def test_a_bound_is_a_positive_number(field, value):
    with pytest.raises(llmnet.ConfigurationError, match=field):
        Timeout(**{field: value})
    Timeout(**{field: math.inf})


def test_the_nearest_bound_is_the_one_that_is_named():
    now = [0.0]
    bounds = Bounds(Timeout(connect=10, response=20, idle=5, total=25, queue=3), lambda: now[0])
    assert (bounds.remaining(), bounds.due) == (("queue", 3), 3.0)
    bounds.start("connect")
    now[0] = 4.0
    assert (bounds.remaining(), bounds.due) == (("connect", 6), 10.0)
    bounds.start("response")
    assert bounds.remaining() == ("response", 20)
    now[0] = 10.0
    assert bounds.start("idle", bound="response") == 15
    assert bounds.remaining() == ("total", 15)
    assert bounds.start("idle") == 5
    assert bounds.remaining() == ("idle", 5)
    bounds.past_queue()
    assert bounds.remaining() == ("total", 15)


@pytest.mark.parametrize("phase", ["queue", "connect", "response", "idle"])
def test_of_two_equal_bounds_total_is_named(phase):
    """With `timeout=30` it is the call that had 30 s: the part of it began later by the clock, or at the same tick."""
    bounds = Bounds(Timeout(connect=30, response=30, idle=30, total=30, queue=30), lambda: 5.0)
    bounds.start(phase)
    assert bounds.remaining() == ("total", 30)
    assert bounds.error().phase == "total"


# -- before the request is out ------------------------------------------------------------------------------------------


@both_ways
def test_queue(front, server, ask):
    server.script(Reply(hold=True))
    with front.client(**at(server, max_concurrent=1, timeout=timeout(queue=BOUND))) as client:
        first = Work(client.chat, "first")
        server.wait_for_requests(1)
        error = expires(ask, client, "second")
        assert (error.phase, error.meta.attempts, error.maybe_billed) == ("queue", [], False)
        server.release()
        assert first.result().content == "first"
        assert slots(client) == 0


def test_the_queue_bound_is_spent_with_the_slot(front, server):
    server.script(Reply(delay=BOUND * 2))
    with front.client(**at(server, timeout=timeout(queue=BOUND))) as client:
        assert client.chat("hi").content == "hi"


def test_total_counts_in_the_queue(front, server):
    server.script(Reply(hold=True))
    with front.client(**at(server, max_concurrent=1)) as client:
        first = Work(client.chat, "first")
        server.wait_for_requests(1)
        error = expires(lambda: client.chat("second", timeout=timeout(total=BOUND)))
        assert error.phase == "total"
        for words in ("1 calls are under way and 1 wait", "max_concurrent (now 1)", "batch()"):
            assert words in str(error)
        server.release()
        first.result()


def test_total_counts_while_a_key_is_asked_for(awaited, server):
    async def key():
        await asyncio.sleep(60)

    with awaited.client(**at(server, api_key=key, timeout=timeout(queue=BOUND / 3, total=BOUND))) as client:
        assert expires(client.chat, "hi").phase == "total"
        assert (server.request_count, slots(client)) == (0, 0)


def test_no_wait_is_begun_that_cannot_end_in_time(front, server):
    server.script(Reply(status=429, headers={"retry-after": "30"}))
    with front.client(**at(server, timeout=20)) as client:
        started = time.monotonic()
        with pytest.raises(llmnet.RateLimitError) as caught:
            client.chat("hi")
        assert caught.value.retry_after == 30
        with pytest.raises(llmnet.RateLimitError, match=r"holds all calls for another .* the total bound has") as held:
            client.chat("at the gate")
        assert held.value.meta.attempts == []
        assert held.value.retry_after == pytest.approx(30, abs=LATE)
        first = caught.value
        for name in ("status", "http_status", "code", "type", "retryable", "repeated", "host", "provider"):
            assert getattr(held.value, name) == getattr(first, name)
        assert first.message in held.value.message
        assert server.request_count == 1
        assert time.monotonic() - started < LATE


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_connect_to_a_full_backlog(front, server):
    fields = {"timeout": timeout(connect=BOUND), "max_retries": 0}
    with no_leak(server), full_peer() as port, front.client(**at_port(port, **fields)) as client:
        error = expires(client.chat, "hi")
    assert (error.phase, error.maybe_billed, error.retryable) == ("connect", False, True)
    assert [attempt.sent for attempt in error.meta.attempts] == [False]


def test_connect_in_a_handshake_that_stalls(front, server, trusting):
    fields = {"timeout": timeout(connect=BOUND), "max_retries": 0, "verify": trusting}
    with no_leak(server), mute_peer() as port, front.client(**at_port(port, "https", **fields)) as client:
        assert expires(client.chat, "hi").phase == "connect"


def test_connect_through_a_proxy_that_is_mute(front, server, trusting):
    with no_leak(server), mute_peer() as port:
        fields = {"timeout": timeout(connect=BOUND), "max_retries": 0, "verify": trusting}
        with front.client(**at_port(9, "https", proxy=f"http://127.0.0.1:{port}", **fields)) as client:
            assert expires(client.chat, "hi").phase == "connect"


def test_connect_while_a_name_is_resolved(front, server, monkeypatch):
    answer = threading.Event()
    real = socket.getaddrinfo

    def slow(host, *args, **kwargs):
        if host == "slow.test":
            answer.wait(60)
        return real("127.0.0.1" if host == "slow.test" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    fields = at(server, base_url=f"http://slow.test:{server.port}/v1", timeout=timeout(connect=BOUND), max_retries=0)
    with front.client(**fields) as client:
        assert expires(client.chat, "hi").phase == "connect"
        answer.set()
        assert client.chat("hi").content == "hi"


def test_the_next_address_is_tried_where_one_is_dead(front, server, monkeypatch):
    real = socket.getaddrinfo

    def two(host, port, *args, **kwargs):
        if host != "two.test":
            return real(host, port, *args, **kwargs)
        return [*real("127.0.0.2", port, *args, **kwargs), *real("127.0.0.1", port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with full_peer(host="127.0.0.2", port=server.port):
        fields = at(server, base_url=f"http://two.test:{server.port}/v1", timeout=timeout(connect=2))
        with front.client(**fields) as client:
            reply = client.chat("hi")
    assert reply.content == "hi"
    assert len(reply.meta.attempts) == 1


# -- until the reply begins ---------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("phase", ["response", "total"])
def test_a_server_that_never_answers(front, server, ask, phase):
    server.script(Reply(silent=True))
    with front.client(**at(server, timeout=timeout(**{phase: BOUND}), max_retries=0)) as client:
        error = expires(ask, client, "hi")
        assert (error.phase, error.maybe_billed, error.partial) == (phase, True, None)
        eventually(lambda: server.active == 0)


@both_ways
@pytest.mark.parametrize("phase", ["response", "total"])
def test_a_head_that_drips(front, server, ask, phase):
    server.script(Reply(drip_head=0.01))
    with front.client(**at(server, timeout=timeout(**{phase: BOUND}), max_retries=0)) as client:
        assert expires(ask, client, "hi").phase == phase


@pytest.mark.parametrize("phase", ["response", "total"])
def test_comments_are_no_sign_of_output(front, server, phase):
    server.script(Reply(events=itertools.repeat(": ping\n\n"), pace=0.05))
    with front.client(**at(server, timeout=timeout(**{phase: BOUND}), max_retries=0)) as client:
        error = expires(ASKS["stream"], client, "hi")
        assert error.phase == phase
        assert "bytes of the body" in str(error)
        eventually(lambda: server.active == 0)


@contextlib.contextmanager
def upload_peer(authority, scheme, seconds):
    """A server that reads a little now and then, or nothing at all."""
    over = threading.Event()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)

    def serve(listener):
        with contextlib.suppress(OSError), listener.accept()[0] as accepted:
            secure = scheme == "https"
            with server_side.wrap_socket(accepted, server_side=True) if secure else accepted as taking:
                while not over.wait(seconds):
                    taking.recv(20_000)

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        work = Work(serve, listener)
        yield listener.getsockname()[1]
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        work.result()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("phase", ["response", "total"])
@pytest.mark.parametrize("seconds", [0.02, None], ids=["slow", "never"])
def test_an_upload_that_is_not_taken(front, server, authority, trusting, scheme, phase, seconds):
    with no_leak(server), upload_peer(authority, scheme, seconds) as port:
        fields = {"timeout": timeout(**{phase: BOUND}), "max_retries": 0, "verify": trusting}
        with front.client(**at_port(port, scheme, **fields)) as client:
            error = expires(client.chat, "x" * 10_000_000)
            assert (error.phase, error.maybe_billed) == (phase, True)


# -- after that ---------------------------------------------------------------------------------------------------------


def test_a_body_that_stalls(front, server):
    server.script(Reply(text=WORDS, stall=100))
    with front.client(**at(server, timeout=timeout(idle=BOUND), max_retries=0)) as client:
        error = expires(client.chat, "hi")
        assert error.phase == "idle"
        assert "after 100 bytes" in str(error)


def test_a_stream_that_stalls(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server, timeout=timeout(idle=BOUND))) as client:
        stream = client.stream_chat("hi")
        seen = []
        error = expires(seen.extend, stream)
        assert error.phase == "idle"
        assert error.partial.content == content(seen)
        assert WORDS.startswith(content(seen))
        assert content(seen)
        assert (server.request_count, slots(client)) == (1, 0)
        eventually(lambda: server.active == 0)


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_bytes_that_drip_are_no_silence_but_take_time(front, server, ask):
    server.script(Reply(text=WORDS, drip=0.01))
    with front.client(**at(server, timeout=timeout(idle=BOUND * 0.9, total=BOUND), max_retries=0)) as client:
        assert expires(ask, client, "hi").phase == "total"


def test_bytes_that_are_nothing_of_the_body_are_no_silence_either(front, server):
    needs_our_engine(front.name, "hears of the bytes of a body alone")
    begun = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1;extension="
    server.script(Reply(raw=begun.ljust(80, b"x") + b"x" * 8000, split=80, drip=0.01))
    with front.client(**at(server, timeout=timeout(idle=BOUND * 0.9, total=BOUND), max_retries=0)) as client:
        error = expires(client.chat, "hi")
        assert error.phase == "total"
        assert "after 1 bytes" in str(error)


def test_pings_keep_a_begun_stream_alive(front, server):
    chunk = 'data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
    last = 'data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    server.script(Reply(events=[chunk, *[": ping\n\n"] * 12, last], pace=BOUND / 6))
    with front.client(**at(server, timeout=timeout(idle=BOUND))) as client:
        assert content(client.stream_chat("hi")) == "a"


def test_a_slow_consumer_is_no_silence_of_the_server(front, server):
    server.script(Reply(text=WORDS, pace=0.01))
    with front.client(**at(server, timeout=timeout(idle=BOUND))) as client:
        seen = []
        for chunk in client.stream_chat("hi"):
            seen.append(chunk)
            if len(seen) in (1, 3):
                time.sleep(BOUND * 2)
        assert content(seen) == WORDS


def test_an_error_body_without_end_is_left(front, server, monkeypatch):
    for reader in ("transports.sync.reply", "client.aio_driver"):
        monkeypatch.setattr(f"llmnet.{reader}.ERROR_BODY", (BOUND, 64 * 1024))
    fast, slow = itertools.repeat("x" * 10_000), itertools.repeat("x")
    server.script(Reply(status=500, events=fast), Reply(status=500, events=slow, pace=0.02), "fine")
    with front.client(**at(server, timeout=30, retry=llmnet.RetryPolicy(base_delay=0.001))) as client:
        reply = Work(client.chat, "hi").result()
        assert reply.content == "fine"
        assert [attempt.status for attempt in reply.meta.attempts] == [500, 500, 200]
        eventually(lambda: server.active == 0)


def test_a_timeout_is_sent_again_where_time_is_left(front, server):
    server.script(Reply(silent=True), "fine")
    policy = llmnet.RetryPolicy(base_delay=0.001)
    with front.client(**at(server, timeout=timeout(response=BOUND), retry=policy)) as client:
        reply = client.chat("hi")
        assert reply.content == "fine"
        assert [attempt.cause for attempt in reply.meta.attempts] == ["APITimeoutError (response)", None]


def test_a_caller_waits_no_longer_than_it_said(front, server):
    server.handler = lambda _: Reply(silent=True)
    with front.client(**at(server)) as client:
        error = expires(lambda: client.chat("hi", timeout=BOUND))
        assert (error.phase, len(error.meta.attempts)) == ("total", 1)


def test_nor_does_one_that_is_told_of_each_chunk(front, server):
    server.handler = lambda _: Reply(text="word " * 20, pace=3 * BOUND / 20)
    heard = llmnet.StreamCallbacks(on_chunk=lambda _: None)
    with front.client(**at(server)) as client:
        assert expires(lambda: client.chat("hi", timeout=BOUND, callbacks=heard)).phase == "total"


@pytest.mark.parametrize("whose", ["call", "client"])
def test_a_stream_may_talk_for_longer(front, server, whose):
    words, pace = "word " * 20, 3 * BOUND / 20
    server.script(Reply(text=words, pace=pace))
    fields = {"timeout": 15 * pace}
    with front.client(**at(server), **(fields if whose == "client" else {})) as client:
        assert content(client.stream_chat("hi", **(fields if whose == "call" else {}))) == words
