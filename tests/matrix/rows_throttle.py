"""Rows 65, 66 and 68 of the fault matrix: throttles that only their body explains, and many callers behind one of them."""

import asyncio
import math
import time

from matrix.case import Expect, Row, told
from support.inside import queue_of, replace_parts
from support.live import Work, at, eventually, slots
from support.world import Said, inhabitant, live_through, throttle

import llmnet
from llmnet.core.retry import return_step
from llmnet.testing import Reply, fault

BOTH = (False, True)
ANTHROPIC, GEMINI = {"provider": "anthropic", "api": "messages"}, {"provider": "gemini"}
CALLERS, AT_ONCE = 200, 20


def spent(number, name, script, fields):
    """The allowance is gone: one request, whatever wait is named beside it, and a gate that stays open."""
    return Row(
        number=number, phase="status", fault=name, script=(fault(script), "Hi"), fields=fields, stream=BOTH,
        expect=Expect(error=llmnet.QuotaExceededError, status=429, sent=1, connections=1, billed=False),
    )  # fmt: skip


def come_back_one_by_one(moments, opening, step):
    """Whether callers come after the opening, and in each step at most twice as many as before."""
    return all(moment >= opening + step * math.log2(1 + n) - 1e-6 for n, moment in enumerate(sorted(moments)))


def one_is_throttled(front, server):
    """Of those under way one is refused; all who wait in the queue stay away until the pause is over."""
    pause, arrivals, refused = 0.5, [], []

    def clock():  # it stands until the refusal, which so has taken no time
        return time.monotonic() - refused[0] if refused else 0.0

    def answer(request):
        arrivals.append(clock())
        if len(arrivals) == AT_ONCE:
            return Reply(status=429, headers={"retry-after": f"{pause}"}, hold=True)
        return Reply(hold=True) if len(arrivals) < AT_ONCE else None

    server.handler = answer
    with front.client(**at(server, max_concurrent=AT_ONCE)) as client:
        replace_parts(client, clock=clock)
        calls = [Work(client.chat, "Hi") for _ in range(CALLERS)]
        eventually(lambda: (server.active, queue_of(client).waiting) == (AT_ONCE, CALLERS - AT_ONCE))
        refused.append(time.monotonic())
        server._loop.call_soon_threadsafe(lambda: server._held.pop()())  # private: the refusal alone  # noqa: PLW0108
        eventually(lambda: slots(client) == AT_ONCE - 1)  # nobody of the queue has kept the slot that is free now
        server.release()
        assert {call.result().content for call in calls} == {"Hi"}
        assert client.request_count == CALLERS + 1
    assert come_back_one_by_one(arrivals[AT_ONCE:], pause, return_step(pause, 0.0))


def one_is_throttled_in_virtual_time(front, server):
    """The same to the second: the refusal comes at 0.05, the gate is shut until 2.05."""
    sent = []

    def answer(now):
        sent.append(now)
        return throttle(2, after=0.05) if len(sent) == 1 else Said(after=0.2)

    async def main(clock):
        async with inhabitant(clock, answer, max_concurrent=AT_ONCE) as client:
            await asyncio.gather(*(client.chat("Hi") for _ in range(CALLERS)))

    live_through(main)
    assert len(sent) == CALLERS + 1
    assert sent[AT_ONCE - 1] == 0
    assert come_back_one_by_one(sent[AT_ONCE:], 2.05, return_step(2, 0.05))
    assert sent[-1] < 10


ROWS = [
    spent(65, "enforced spend limit", "429-spend-limit", ANTHROPIC),
    Row(
        number=66, phase="status", fault="RetryInfo in the body", script=(fault("429-in-body"), "Hi"), fields=GEMINI,
        stream=BOTH, expect=Expect(text="Hi", sent=2, waits=told(38), connections=1),
    ),
    spent(66, "quota per day", "429-per-day", GEMINI),
    Row(number=68, phase="status", fault="one of 200 is throttled", play=one_is_throttled),
    Row(
        number=68, phase="status", fault="one of 200 is throttled, in virtual time", fronts=("async",),
        play=one_is_throttled_in_virtual_time,
    ),
]  # fmt: skip
