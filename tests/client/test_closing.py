"""Clients closed beside calls that begin, connect, read and end: no socket is left open, and every error is ours."""

import asyncio
import itertools
import random
import threading

import pytest
from support.inside import connections_of
from support.interrupts import interrupted
from support.live import PROMPT, Work, at, eventually, no_leak, slots
from support.subprocesses import run_python

import llmnet
from llmnet.client import shared
from llmnet.client import sync as client_module
from llmnet.testing import Reply
from llmnet.transports.sync import pool, transport

pytestmark = pytest.mark.threads

CLIENTS, CALLERS = 12, 8


async def closed_in_the_midst(fields, dice):
    async def ask():
        for _ in range(3):
            try:
                await client.chat("hi")
            except llmnet.LLMNetError as error:
                ends.append(error)

    ends, client = [], llmnet.AsyncClient(**fields)
    tasks = [asyncio.create_task(ask()) for _ in range(CALLERS)]
    await asyncio.sleep(dice.uniform(0, 0.02))
    await client.aclose()
    await asyncio.gather(*tasks)
    return ends, slots(client)


def closed_beside_threads(fields, dice, until):
    def ask():
        for _ in range(3):
            try:
                client.chat("hi")
            except llmnet.LLMNetError as error:
                ends.append(error)

    ends, client = [], llmnet.Client(**fields)
    works = [Work(ask) for _ in range(CALLERS)]
    eventually(until)
    client.close()
    for work in works:
        work.result()
    return ends, slots(client)


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_aclose_beside_calls(awaited, server, http2):
    dice = random.Random(5)
    server.handler = lambda _: Reply(delay=dice.choice([0, 0.003, 0.006]))
    with no_leak(server):
        for _ in range(CLIENTS):
            ends, taken = awaited.run(closed_in_the_midst(at(server, http2=http2, max_concurrent=6), dice))
            assert {type(end) for end in ends} <= {llmnet.APIConnectionError, llmnet.ConfigurationError}
            assert taken == 0
            eventually(lambda: not connections_of(server))


def test_close_beside_threads(server):
    dice = random.Random(6)
    server.handler = lambda _: Reply(delay=dice.choice([0, 0.003, 0.006]))
    with no_leak(server):
        for n in range(CLIENTS):
            begun = server.request_count
            until = lambda begun=begun, n=n: server.request_count >= begun + n  # noqa: E731
            ends, taken = closed_beside_threads(at(server, max_concurrent=6), dice, until)
            assert {type(end) for end in ends} <= {llmnet.APIConnectionError, llmnet.ConfigurationError}
            assert taken == 0
            eventually(lambda: not connections_of(server))


KEPT = 6


async def aclose_cancelled(client, turns, again):
    """Close a client with idle connections, cancelled after so many turns of the loop, perhaps in each from then on."""
    await asyncio.gather(*(client.chat("hi") for _ in range(KEPT)))
    closing = asyncio.create_task(client.aclose())
    for _ in range(turns):
        await asyncio.sleep(0)
    while not closing.done():
        closing.cancel()
        await asyncio.sleep(0)
        if not again:
            break
    await asyncio.gather(closing, return_exceptions=True)
    return closing.cancelled()


@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_a_cancelled_aclose_closes_all_and_hears_of_it(awaited, server, http2, again):
    server.handler = lambda _: Reply(delay=0.02)
    ended = []
    for turns in range(1, KEPT + 2):
        client = llmnet.AsyncClient(**at(server, http2=http2))
        ended.append(awaited.run(aclose_cancelled(client, turns, again)))
        eventually(lambda: not connections_of(server))
    assert not any(ended), "all is closed in one step"


def test_a_client_that_is_closed_by_two_loops_and_their_ends_complains_of_nothing(awaited, server):
    async def opened(client):
        await client.chat("hi")
        asyncio.get_running_loop().set_exception_handler(awaited._complain)
        here.set()
        await asyncio.to_thread(done.wait, PROMPT)
        await client.aclose()

    for _ in range(20):
        here, done, client = threading.Event(), threading.Event(), llmnet.AsyncClient(**at(server))
        awaited.run(client.chat("hi"))
        other = Work(lambda: asyncio.run(opened(client)))
        assert here.wait(PROMPT)
        done.set()
        awaited.run(client.aclose())
        other.result()
    eventually(lambda: not connections_of(server))


def test_a_close_that_a_ctrl_c_has_broken_off_can_be_done_again(server):
    for n in itertools.count(1):
        client = llmnet.Client(**at(server))
        client.chat("hi")
        with interrupted(n, client_module, shared, transport, pool) as trace:
            client.close()
        client.close()
        eventually(lambda: not connections_of(server))
        if not trace.done:
            assert n > 10
            return


PROGRAM = """
import asyncio, gc, sys
import llmnet

async def rows():
    for number in range(20):
        await asyncio.sleep(0)
        yield str(number)

async def main(source):
    asyncio.get_running_loop().slow_callback_duration = 60  # how long a step takes is the machine's business
    async with llmnet.AsyncClient("fake:m", max_concurrent=4) as client:
        async for result in client.batch(source):
            break

def plain():
    with llmnet.Client("fake:m", max_concurrent=4) as client:
        for result in client.batch(map(str, range(20))):
            break

for source in ([str(number) for number in range(20)], rows()) * 2:
    asyncio.run(main(source))
    gc.collect()
    plain()
    gc.collect()
print("fine")
"""


@pytest.mark.slow
def test_a_batch_that_is_left_warns_of_nothing():
    run_python(PROGRAM, "-X", "dev")
