"""Many callers at once: threads, tasks, loops and processes; counts are exact, and nothing is left behind."""

import asyncio
import contextlib
import gc
import os
import random
import ssl
import threading
import time

import pytest
import trustme
from support.inside import connections_of, form_of, queue_of
from support.live import WORDS, Work, at, blocked, content, eventually, no_leak, open_files, slots
from support.proxy import Proxy
from support.subprocesses import in_child

import llmnet
from llmnet.testing import FakeServer, Reply

pytestmark = pytest.mark.threads

QUICK = llmnet.RetryPolicy(base_delay=0.001)
LATER = Reply(status=429, headers={"retry-after": "30"})


# -- threads and tasks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_fifty_threads_on_one_client(server, limit):
    def ask(number):
        replies = []
        for turn in range(4):
            text = f"{number}.{turn}"
            streamed = turn % 2
            replies.append(content(client.stream_chat(text)) if streamed else client.chat(text).content)
        return replies

    with no_leak(server), llmnet.Client(**at(server, max_concurrent=limit)) as client:
        works = [Work(ask, number) for number in range(50)]
        for number, work in enumerate(works):
            assert work.result() == [f"{number}.{turn}" for turn in range(4)]
        assert server.request_count == client.request_count == 200
        assert server.peak <= limit
        assert server.connections <= limit
        assert slots(client) == 0


def test_three_hundred_tasks_on_one_client(awaited, server):
    async def main():
        async with llmnet.AsyncClient(**at(server, max_concurrent=20)) as client:
            texts = [str(number) for number in range(300)]
            replies = await asyncio.gather(*(client.chat(text) for text in texts))
            assert [reply.content for reply in replies] == texts
            return client.request_count

    with no_leak(server):
        assert awaited.run(main()) == server.request_count == 300
    assert server.peak <= 20
    assert server.connections <= 20


def test_first_come_first_served(front, server):
    server.script(Reply(hold=True))
    with front.client(**at(server, max_concurrent=1)) as client:
        works = [Work(client.chat, "0")]
        server.wait_for_requests(1)
        for number in range(1, 12):
            works.append(Work(client.chat, str(number)))
            eventually(lambda number=number: queue_of(client).waiting == number)
        server.release()
        for work in works:
            work.result()
        assert [request.fields["messages"][0]["content"] for request in server.requests] == [str(n) for n in range(12)]
        assert server.peak == 1


def test_a_throttle_stops_all_calls_but_those_of_other_models(front, server):
    server.script(LATER)
    with front.client(**at(server, max_concurrent=1)) as client:
        streams = [client.stream_chat("first"), client.stream_chat("second")]
        sleepers = [Work(streams[0].__enter__)]
        eventually(lambda: streams[0].meta.attempts)
        sleepers.append(Work(streams[1].__enter__))
        eventually(lambda: blocked(streams[1]))
        assert client.chat("third", model="another").content == "third"
        assert server.request_count == 2
        for stream in streams:
            stream.cancel()
        for sleeper in sleepers:
            with pytest.raises(llmnet.StreamCancelledError):
                sleeper.result()


def test_threads_survive_random_cancellations(server):
    dice = random.Random(3)
    server.handler = lambda _: dice.choice([Reply(), Reply(text=WORDS, pace=0.002), Reply(hold=True), 500])
    over = threading.Event()
    current = {}

    def ask(number):
        while not over.is_set():
            current[number] = client.stream_chat("hi")
            with contextlib.suppress(llmnet.LLMNetError):
                list(current[number])

    def cancel():
        while any(work.is_alive() for work in works):
            for stream in list(current.values()):
                stream.cancel()
            time.sleep(dice.random() / 200)

    with no_leak(server), llmnet.Client(**at(server, max_concurrent=5, retry=QUICK)) as client:
        works = [Work(ask, number) for number in range(12)]
        canceller = Work(cancel)
        over.wait(1.0)
        over.set()
        for work in (*works, canceller):
            work.result()
        assert slots(client) == 0
        server.release()
        server.handler = None
        assert client.chat("hi").content == "hi"


# -- loops --------------------------------------------------------------------------------------------------------------


def test_a_client_closes_its_connections_on_all_loops(awaited, server):
    from support.live import Async

    other = Async()
    client = llmnet.AsyncClient(**at(server))
    for front in (awaited, other):
        front.run(client.chat("hi"))
    assert len(connections_of(server)) == 2
    awaited.run(client.aclose())
    eventually(lambda: not connections_of(server))
    other.stop()


@pytest.fixture
def left():
    """A server of its own: connections of a loop that was closed under them are there for as long as they like."""
    with FakeServer() as server:
        yield server


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # asyncio's own, of the loop that was closed too early
def test_a_loop_that_is_closed_under_its_calls_gives_their_slots_back(left, caplog):
    left.script(Reply(hold=True))
    client = llmnet.AsyncClient(**at(left, max_concurrent=1, timeout=llmnet.Timeout(total=600)))
    loop = asyncio.new_event_loop()
    calls = [loop.create_task(client.chat(text)) for text in ("has a slot", "waits for one")]
    loop.run_until_complete(asyncio.to_thread(left.wait_for_requests, 1))
    loop.close()

    async def again():
        async with client:
            return await asyncio.wait_for(client.chat("again"), 10)

    assert asyncio.run(again()).content == "again"
    assert slots(client) == 0
    with caplog.at_level("CRITICAL", "asyncio"):  # it says that they were destroyed
        del calls
        gc.collect()
    assert (slots(client), left.request_count) == (0, 2)


# -- processes ----------------------------------------------------------------------------------------------------------


class TestForks:
    def test_a_stream_of_the_parent_is_not_read_in_the_child(self, server):
        server.script(Reply(text=WORDS, hold="body"))
        with llmnet.Client(**at(server)) as client:
            stream = client.stream_chat("hi")
            first = next(stream).content

            def read_on():
                with pytest.raises(llmnet.APIConnectionError, match="forked"):
                    list(stream)
                return client.chat("child").content

            assert in_child(read_on).result() == "child"
            server.release()
            assert first + content(stream) == WORDS

    def test_the_server_hears_the_parent_leave(self, server):
        server.script(Reply(text=WORDS, hold="body"))
        reading, writing = os.pipe()
        with llmnet.Client(**at(server)) as client:
            stream = client.stream_chat("hi")
            next(stream)
            child = in_child(lambda: os.read(reading, 1))  # lives on, and holds a copy of every descriptor
            stream.close()
            eventually(lambda: server.active == 0)
        os.write(writing, b"x")
        child.result()
        os.close(reading)
        os.close(writing)

    def test_the_embedded_server(self):
        with llmnet.Client("fake:m") as client:
            client.chat("warm")
            before = form_of(client).target.base_url
            child = in_child(lambda: (client.chat("child").content, form_of(client).target.base_url != before))
            assert client.chat("parent").content == "parent"
            assert child.result() == str(("child", True))

    def test_a_session_for_any_api(self, server):
        with llmnet.create_session() as session:
            session.get(server.url + "/v1/models").raise_for_status()
            child = in_child(lambda: session.get(server.url + "/v1/models").status_code)
            assert session.get(server.url + "/v1/models").status_code == 200
            assert child.result() == "200"
            assert server.connections == 2


# -- stale connections --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["chat", "stream"])
def test_a_stale_connection_is_replayed_once(front, server, how):
    """The server closes as it answers; whether that is seen before or after the next request, the caller sees nothing."""
    with no_leak(server), front.client(**at(server, max_retries=0)) as client:
        for _ in range(40):
            server.script(Reply(drop_idle=True))
            if how == "chat":
                meta = client.chat("hi").meta
            else:
                stream = client.stream_chat("hi")
                assert content(stream) == "hi"
                meta = stream.meta
            *stale, last = meta.attempts
            assert all(attempt.transparent and not attempt.sent for attempt in stale)
            assert (len(stale) <= 1, last.sent, last.transparent) == (True, True, False)
        assert server.request_count == client.request_count == 40


def test_a_connection_that_dies_under_a_request_is_replayed(front, server):
    """Read, and closed without a byte of answer, on a connection that has served: the request was never processed."""
    with front.client(**at(server, max_retries=0)) as client:
        client.chat("warm")
        server.script(Reply(drop=True))
        meta = client.chat("hi").meta
        assert [(a.transparent, a.sent, a.wait) for a in meta.attempts] == [(True, False, 0.0), (False, True, 0.0)]
        assert meta.attempts[0].cause == "APIConnectionError (response)"
        assert server.request_count == 3
        client.chat("warm")
        server.script(Reply(drop=True), Reply(drop=True))
        with pytest.raises(llmnet.APIConnectionError) as caught:
            client.chat("hi")
        assert [a.transparent for a in caught.value.meta.attempts] == [True, False]
        assert slots(client) == 0


@contextlib.contextmanager
def forwarded(server):
    """The server takes the place of a proxy, and a plain address that of what lies behind it."""
    yield server, {"proxy": server.url, "base_url": "http://api.example/v1"}


@contextlib.contextmanager
def tunnelled(_):
    context, trusted, ca = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(), trustme.CA()
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(trusted)
    with FakeServer(tls=context) as server, Proxy() as proxy:
        yield server, {**at(server), "proxy": f"http://127.0.0.1:{proxy.port}", "verify": trusted}


@pytest.mark.parametrize("way", [forwarded, tunnelled])
def test_behind_a_proxy_a_loss_is_that_of_any_connection(front, server, way):
    with way(server) as (behind, fields), front.client(**{**at(behind), **fields}, max_retries=0) as client:
        client.chat("warm")
        behind.script(Reply(drop=True))
        meta = client.chat("hi").meta
        assert [(a.transparent, a.sent, a.wait) for a in meta.attempts] == [(True, False, 0.0), (False, True, 0.0)]
        assert meta.attempts[0].cause == "APIConnectionError (response)"
        client.chat("warm")
        behind.script(Reply(drop=True), Reply(drop=True))
        with pytest.raises(llmnet.APIConnectionError) as caught:
            client.chat("hi")
        assert [a.transparent for a in caught.value.meta.attempts] == [True, False]
        assert (caught.value.phase, caught.value.maybe_billed) == ("response", True)


def test_a_fresh_connection_that_dies_is_no_stale_one(front, server):
    server.script(Reply(drop=True))
    with front.client(**at(server, max_retries=0)) as client:
        with pytest.raises(llmnet.APIConnectionError) as caught:
            client.chat("hi")
        assert [(a.transparent, a.sent) for a in caught.value.meta.attempts] == [(False, True)]
        assert caught.value.maybe_billed


def test_the_replay_takes_no_other_old_connection(front, server):
    """Where one idle connection was dead the others will be, too."""
    with front.client(**at(server, max_retries=0)) as client:
        server.script(*[Reply(hold=True)] * 5)
        works = [Work(client.chat, "warm") for _ in range(5)]
        server.wait_for_requests(5)
        server.release()
        for work in works:
            work.result()
        assert server.connections == 5
        server.script(Reply(drop=True))
        meta = client.chat("hi").meta
        assert [a.transparent for a in meta.attempts] == [True, False]
        assert server.connections == 6
        assert client.chat("hi").content == "hi"


def test_hundreds_of_calls_leave_no_descriptor(front, server):
    with no_leak(server), front.client(**at(server, max_concurrent=4, retry=QUICK)) as client:
        client.chat("warm")
        before = open_files()
        for _ in range(15):
            server.script(500, Reply(drop_idle=True), Reply(close=True), Reply(drop=True))
            for _ in range(4):
                client.chat("hi")
        eventually(lambda: open_files() <= before + 8)
