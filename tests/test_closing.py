"""Clients closed beside calls that begin, connect, read and end: no socket is left open, and every error is ours."""

import asyncio
import random

import pytest
from live import Work, at, eventually, no_leak, slots
from processes import run_python

import llmnet
from llmnet.testing import Reply

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
            eventually(lambda: not server._members)


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
            eventually(lambda: not server._members)


PROGRAM = """
import asyncio, gc, sys
import llmnet

async def rows():
    for number in range(20):
        await asyncio.sleep(0)
        yield str(number)

async def main(source):
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
