"""Many callers at once: threads, tasks, loops and processes; counts are exact, and nothing is left behind."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback

import pytest
from live import PROMPT, WORDS, Work, at, content, eventually, no_leak, open_files, slots

import llmnet
from llmnet.testing import Reply

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


def test_fifty_threads_meet_faults(server):
    """Whatever goes wrong, requests are counted by both sides alike, and every slot comes back."""
    faults = [Reply(), 500, Reply(drop=True), Reply(text=WORDS, cut=30), Reply(drop_idle=True), Reply(status=503)]
    turns = iter(range(10**6))
    server.handler = lambda _: faults[next(turns) % len(faults)]
    sent, failed = [], []

    def ask(number):
        for _ in range(4):
            try:
                meta = client.chat("hi").meta
            except llmnet.LLMNetError as error:
                failed.append(error)
                meta = error.meta
            sent.append(sum(attempt.sent for attempt in meta.attempts))

    with no_leak(server), llmnet.Client(**at(server, max_concurrent=8, retry=QUICK)) as client:
        for work in [Work(ask, number) for number in range(50)]:
            work.result()
        # A server may have read what was sent on a connection that it closed: such a request counts as not sent.
        assert sum(sent) == client.request_count <= server.request_count
        assert (slots(client), len(sent)) == (0, 200)
    assert len(failed) < 100


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
            eventually(lambda number=number: client._common.queue.waiting == number)
        server.release()
        for work in works:
            work.result()
        assert [request.fields["messages"][0]["content"] for request in server.requests] == [str(n) for n in range(12)]
        assert server.peak == 1


def test_a_sleeping_retry_holds_no_slot(front, server):
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


def test_a_throttle_stops_all_calls_but_those_of_other_models(front, server):
    server.script(LATER)
    with front.client(**at(server, max_concurrent=1)) as client:
        streams = [client.stream_chat("first"), client.stream_chat("second")]
        sleepers = [Work(streams[0].__enter__)]
        eventually(lambda: streams[0].meta.attempts)
        sleepers.append(Work(streams[1].__enter__))
        eventually(lambda: streams[1]._call._wake is not None)
        assert client.chat("third", model="another").content == "third"
        assert server.request_count == 2
        for stream in streams:
            stream.cancel()
        for sleeper in sleepers:
            with pytest.raises(llmnet.StreamCancelledError):
                sleeper.result()


@pytest.mark.parametrize("limit", [1, 5])
def test_slots_survive_random_cancellations(awaited, server, limit):
    dice = random.Random(limit)
    kinds = [Reply(), Reply(text=WORDS, pace=0.002), Reply(status=500), Reply(drop=True), Reply(text=WORDS, cut=500)]
    server.handler = lambda _: dice.choice(kinds)

    async def ask(client):
        with contextlib.suppress(llmnet.LLMNetError):
            if dice.random() < 0.5:
                await client.chat("hi")
            else:
                async for _ in client.stream_chat("hi"):
                    if dice.random() < 0.1:
                        break

    async def main():
        async with llmnet.AsyncClient(**at(server, max_concurrent=limit, retry=QUICK)) as client:
            end = time.monotonic() + 1.0
            tasks = set()
            while time.monotonic() < end:
                tasks |= {asyncio.create_task(ask(client)) for _ in range(5)}
                await asyncio.sleep(0.002)
                for task in dice.sample(sorted(tasks, key=id), k=min(4, len(tasks))):
                    task.cancel()
                tasks = {task for task in tasks if not task.done()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            gc.collect()
            assert (slots(client), client._common.queue.waiting) == (0, 0)
            server.handler = lambda _: Reply(hold=True)
            before = server.request_count
            calls = [asyncio.create_task(client.chat("hi")) for _ in range(limit)]
            await asyncio.to_thread(server.wait_for_requests, before + limit)
            server.release()
            assert [reply.content for reply in await asyncio.gather(*calls)] == ["hi"] * limit

    with no_leak(server):
        awaited.run(main())


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

LOOPS = """
import asyncio, gc, sys, threading
import llmnet
from llmnet.testing import FakeServer, Reply

async def use(client, n=5):
    replies = await asyncio.gather(*(client.chat(str(i)) for i in range(n)))
    assert [r.content for r in replies] == [str(i) for i in range(n)]
    async for chunk in client.stream_chat("a b c"):
        break
    assert [c.content async for c in client.stream_chat("a")][0] == "a"

with FakeServer() as server:
    client = llmnet.AsyncClient(provider="fake", base_url=server.url + "/v1", model="m", max_concurrent=3)
    for _ in range(3):
        asyncio.run(use(client))
    errors = []
    def work():
        try:
            asyncio.run(use(client))
        except BaseException as error:
            errors.append(error)
    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert errors == [], errors
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(client))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert server.request_count == client.request_count == 8 * 7, server.request_count
    asyncio.run(client.aclose())
    del client, loop
    gc.collect()
print("fine")
"""


ENDS = """
import asyncio, gc
import llmnet
from llmnet.testing import FakeServer, Reply

async def leave(how):
    async with llmnet.AsyncClient(provider="fake", base_url=server.url + "/v1", model="m") as client:
        server.script(Reply(text="a b c d", hold="body"))
        stream = client.stream_chat("hi")
        await anext(stream)
        if how == "break":
            del stream
        elif how == "fail":
            raise KeyError("mine")
        elif how == "cancel":
            asyncio.current_task().cancel()
            await anext(stream)
        elif how == "abandon":
            abandoned.append(stream)

abandoned = []
with FakeServer() as server:
    for how in ("break", "fail", "cancel", "abandon"):
        try:
            asyncio.run(leave(how))
        except (KeyError, asyncio.CancelledError):
            pass
    abandoned.clear()
    gc.collect()
print("fine")
"""


def run_python(program, *flags):
    done = subprocess.run(
        [sys.executable, "-W", "error", *flags, "-c", program], capture_output=True, text=True, timeout=100, check=False
    )
    said = [line for line in done.stderr.splitlines() if "took" not in line]  # that a step was slow is no fault of ours
    assert (done.returncode, said) == (0, [])
    assert done.stdout == "fine\n"


@pytest.mark.parametrize("flags", [[], ["-X", "dev"]], ids=str)
@pytest.mark.parametrize("program", [LOOPS, ENDS], ids=["loops", "ends"])
def test_many_loops(program, flags):
    run_python(program, *flags)


def test_a_client_closes_its_connections_on_all_loops(awaited, server):
    from live import Async

    other = Async()
    client = llmnet.AsyncClient(**at(server))
    for front in (awaited, other):
        front.run(client.chat("hi"))
    assert len(server._members) == 2
    awaited.run(client.aclose())
    eventually(lambda: not server._members)
    other.stop()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # as it must: its connections were left open
def test_a_loop_that_was_just_closed_is_forgotten(server):
    client = llmnet.AsyncClient(**at(server))
    for _ in range(3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(client.chat("hi")).content == "hi"
        loop.close()
    del loop
    asyncio.run(client.chat("hi"))
    gc.collect()
    eventually(lambda: not server._members)
    asyncio.run(client.aclose())


# -- processes ----------------------------------------------------------------------------------------------------------


def in_child(function):
    """Run a function in a forked child; what it said, and how it ended."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(PROMPT))
        try:
            os.write(writing, str(function()).encode())
        except BaseException:
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writing)
    return Work(answer_of, pid, reading)


def answer_of(pid, reading):
    with open(reading, "rb") as answer:
        said = answer.read().decode()
    assert os.waitpid(pid, 0)[1] == 0, "the child hung"
    return said


forks = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


class TestForks:
    pytestmark = forks

    def test_parent_and_child_share_a_warm_client(self, server):
        with no_leak(server), llmnet.Client(**at(server)) as client:
            client.chat("warm")
            child = in_child(lambda: [client.chat(f"child {n}").content for n in range(20)])
            assert [client.chat(f"parent {n}").content for n in range(20)] == [f"parent {n}" for n in range(20)]
            assert child.result() == str([f"child {n}" for n in range(20)])
            assert (server.connections, client.request_count) == (2, 21)

    def test_a_child_of_an_async_client(self, awaited, server):
        with no_leak(server), awaited.client(**at(server)) as client:
            client.chat("warm")
            asked = client._client
            child = in_child(lambda: asyncio.run(asked.chat("child")).content)
            assert client.chat("parent").content == "parent"
            assert child.result() == "child"
            assert server.connections == 2

    def test_locks_and_slots_of_other_threads_are_not_inherited(self, front, server):
        server.script(Reply(hold=True))
        with front.client(**at(server, max_concurrent=1)) as client:
            asked = client if isinstance(client, llmnet.Client) else client._client
            work = Work(client.chat, "held")
            server.wait_for_requests(1)
            common = client._common
            with common._lock, common.queue._lock:
                child = in_child(lambda: answered(asked.chat("child")).content)
            assert child.result() == "child"
            server.release()
            assert work.result().content == "held"

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
            before = client.form().target.base_url
            child = in_child(lambda: (client.chat("child").content, client.form().target.base_url != before))
            assert client.chat("parent").content == "parent"
            assert child.result() == str(("child", True))

    def test_a_session_for_any_api(self, server):
        with llmnet.create_session() as session:
            session.get(server.url + "/v1/models").raise_for_status()
            child = in_child(lambda: session.get(server.url + "/v1/models").status_code)
            assert session.get(server.url + "/v1/models").status_code == 200
            assert child.result() == "200"
            assert server.connections == 2


def answered(value):
    return asyncio.run(value) if asyncio.iscoroutine(value) else value


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
