"""Rows 119-123 of the fault matrix: many threads, many tasks, many loops on one client; counts are exact."""

import asyncio
import contextlib
import functools
import gc
import random
import threading
import warnings

from matrix.case import Row
from support.inside import connections_of, queue_of
from support.live import WORDS, Work, at, eventually, no_leak, slots
from support.subprocesses import run_python

import llmnet
from llmnet.testing import Reply

QUICK = llmnet.RetryPolicy(base_delay=0.001)

# -- threads ------------------------------------------------------------------------------------------------------------


def mixed_faults(front, server):
    """Requests are counted by both sides alike, also those that went into connections that were dead."""
    faults = [
        Reply(),
        500,
        Reply(drop=True),
        Reply(text=WORDS, cut=30),
        Reply(status=503),
        Reply(text=WORDS, close=True),
    ]
    turns = iter(range(10**6))
    server.handler = lambda _: faults[next(turns) % len(faults)]

    def ask(client):
        try:
            return client.chat("hi").meta.attempts
        except llmnet.LLMNetError as error:
            return error.meta.attempts

    with no_leak(server), front.client(**at(server, max_concurrent=50, retry=QUICK)) as client:
        attempts = [attempt for work in [Work(ask, client) for _ in range(500)] for attempt in work.result()]
        assert (slots(client), queue_of(client).waiting) == (0, 0)
        assert (server.request_count, client.request_count) == (len(attempts), sum(a.sent for a in attempts))
        assert server.peak <= 50


def first_start(front, server):
    """Two threads start one client at the same time: the two that come after find the connections of both."""
    for _ in range(20):
        server.reset()
        server.script(*[Reply(hold=True)] * 4)
        with front.client(**at(server)) as client:
            for pair in (1, 2):
                together = threading.Barrier(2)
                works = [Work(lambda: together.wait() + 1 and client.chat("hi").content) for _ in range(2)]
                server.wait_for_requests(2 * pair)
                server.release()
                assert [work.result() for work in works] == ["hi", "hi"]
        assert server.connections == 2


# -- tasks --------------------------------------------------------------------------------------------------------------


async def ask(client, dice):
    with contextlib.suppress(llmnet.LLMNetError):
        if dice.random() < 0.5:
            await client.chat("hi")
        else:
            async for _ in client.stream_chat("hi"):
                if dice.random() < 0.1:
                    break


async def crowd(server, tasks, limit):
    """Most of the tasks are cancelled, wherever they are; then all slots can be had at once."""
    dice = random.Random(limit)
    kinds = [Reply(), Reply(text=WORDS, pace=0.002), Reply(status=500), Reply(drop=True), Reply(text=WORDS, cut=500)]
    server.handler = lambda _: dice.choice(kinds)
    async with llmnet.AsyncClient(**at(server, max_concurrent=limit, retry=QUICK)) as client:
        tasks = [asyncio.create_task(ask(client, dice)) for _ in range(tasks)]
        for task in dice.sample(tasks, len(tasks) * 19 // 20):
            if dice.random() < 0.1:
                await asyncio.sleep(0)
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends if isinstance(end, BaseException)} == {asyncio.CancelledError}
        gc.collect()
        assert (slots(client), queue_of(client).waiting) == (0, 0)
        server.handler = lambda _: Reply(hold=True)
        before = server.request_count
        calls = [asyncio.create_task(client.chat("hi")) for _ in range(limit)]
        await asyncio.to_thread(server.wait_for_requests, before + limit)
        server.release()
        assert [reply.content for reply in await asyncio.gather(*calls)] == ["hi"] * limit


def random_cancels(tasks, limit, front, server):
    with no_leak(server):
        front.run(crowd(server, tasks, limit))
    assert server.peak <= limit


# -- loops --------------------------------------------------------------------------------------------------------------


def left_open(front, server):
    """A loop is closed under a stream: who collects it is warned, and the client serves other loops."""
    server.script(Reply(text=WORDS, hold="body"))
    client = llmnet.AsyncClient(**at(server))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        loop = asyncio.new_event_loop()
        stream = client.stream_chat("hi")
        loop.run_until_complete(anext(stream))
        loop.close()
        del stream, loop
        gc.collect()
        assert slots(client) == 0
        assert asyncio.run(client.chat("hi")).content == "hi"
        gc.collect()
    assert {warning.category for warning in seen} == {ResourceWarning}
    eventually(lambda: not connections_of(server))
    asyncio.run(client.aclose())


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
    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
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


def program(text, *flags):
    return lambda front, server: run_python(text, *flags)


def play(number, phase, fault, function, front="async"):
    return Row(number=number, phase=phase, fault=fault, play=function, fronts=(front,))


ROWS = [
    play(119, "threads", "500 threads, mixed faults", mixed_faults, "sync"),
    play(120, "threads", "2 threads start the same client", first_start, "sync"),
    play(121, "async", "2000 tasks, limit 20, random cancels", functools.partial(random_cancels, 2000, 20)),
    play(121, "async", "200 tasks, limit 1, random cancels", functools.partial(random_cancels, 200, 1)),
    play(122, "async", "many loops", program(LOOPS)),
    play(122, "async", "many loops, debugged", program(LOOPS, "-X", "dev")),
    play(123, "async", "loop closed under an open stream", left_open),
    play(123, "async", "loop ends with open streams", program(ENDS)),
    play(123, "async", "loop ends with open streams, debugged", program(ENDS, "-X", "dev")),
]
