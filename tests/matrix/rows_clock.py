"""Rows 113-118 of the fault matrix: the end of a call's time, clocks that jump, and a budget for an outage."""

import functools
import statistics

import pytest
from matrix.case import TWICE, Expect, Row, SkippedTime, skipping, told
from support.inside import queue_of, replace_parts
from support.live import WORDS, Work, at, content, slots
from support.outage import AFTERWARDS, OUTAGE, lived_through

import llmnet
from llmnet.testing import Reply, fault

HOUR, DAY = 3600.0, 86400.0
LATE = llmnet.APITimeoutError

# -- the end of a call's time -------------------------------------------------------------------------------------------


def queued(bounds, phase, front, server):
    """Nothing was sent, and the place in the queue is given up."""
    server.script(Reply(hold=True))
    with front.client(**at(server, max_concurrent=1)) as client:
        first = Work(client.chat, "first")
        server.wait_for_requests(1)
        with pytest.raises(LATE) as caught:
            client.chat("second", timeout=llmnet.Timeout(**bounds))
        assert (caught.value.phase, caught.value.meta.attempts, caught.value.maybe_billed) == (phase, [], False)
        assert queue_of(client).waiting == 0
        server.release()
        assert first.result().content == "first"
        assert (slots(client), server.request_count) == (0, 1)


def within(total):
    """The sleeps that were planned end before the call must have ended."""
    return lambda seen: sum(seen.sleeps) < total and seen.error.meta.attempts[-1].status == 500


# -- clocks that jump ---------------------------------------------------------------------------------------------------


def wall_jumps(days, front, server):
    """The wall clock is set while the call sleeps: it waits as long as the server has said all the same."""
    server.script(fault("429-seconds"), fault("429-date"), 500, "Hi")
    with front.client(**at(server)) as client:
        sleeps = skipping(front, client)
        replace_parts(client, wall=lambda: 1_700_000_000.0 + days * DAY * len(sleeps))
        reply = client.chat("hi")
    assert (reply.content, server.request_count) == ("Hi", 4)
    for slept, (low, high) in zip(sleeps, (*told(7, 7), (0, 0.5)), strict=True):
        assert low <= slept <= high
    assert sum(sleeps) <= reply.meta.elapsed < sum(sleeps) + HOUR


class Suspended(SkippedTime):
    """The machine is suspended for an hour in each sleep, and the monotonic clock counts that."""

    def pass_(self, seconds):
        super().pass_(seconds)
        self.now += HOUR


def suspended(script, front, server):
    """Who wakes up too late sends nothing more, and says so at once."""
    server.script(script, "too late")
    with front.client(**at(server)) as client:
        sleeps = skipping(front, client, Suspended())
        with pytest.raises(LATE) as caught:
            client.chat("hi")
        assert (caught.value.phase, len(sleeps), slots(client)) == ("total", 1, 0)
        assert [attempt.sent for attempt in caught.value.meta.attempts] == [True]
        assert server.request_count == client.request_count == 1


# -- an outage ----------------------------------------------------------------------------------------------------------

CALLS = 240  # 12 s at 20 a second; the simulation takes its time
FRUGAL = llmnet.RetryPolicy(budget=llmnet.RetryBudget(capacity=500, retry_cost=14, success_credit=5))


def outage(client, calls):
    """So many calls to a server that is down: how many attempts each made."""
    for _ in range(calls):
        with pytest.raises(llmnet.ServerError) as caught:
            client.chat("hi")
        yield len(caught.value.meta.attempts)


def spent(front, server):
    server.handler = lambda _: 500
    with front.client(**at(server)) as client:
        skipping(front, client)
        attempts = list(outage(client, CALLS))
        assert sum(attempts) == server.request_count == client.request_count
        assert sum(attempts) <= 1.2 * CALLS
        assert attempts[0] == 4
        assert attempts[-100:] == [1] * 100


def refilled(front, server):
    server.handler = lambda _: 500
    with front.client(**at(server, retry=FRUGAL)) as client:
        skipping(front, client)
        assert list(outage(client, 50))[-1] == 1
        server.handler = None
        assert {content(client.stream_chat(WORDS)) for _ in range(10)} == {WORDS}
        server.script(500)
        assert len(client.chat("hi").meta.attempts) == 2


def outage_is_not_multiplied(front, server):
    servers = [lived_through(seed, llmnet.RetryPolicy())[0] for seed in range(3)]
    during = statistics.mean(server.load(*OUTAGE) for server in servers)
    after = statistics.mean(server.load(OUTAGE[1], OUTAGE[1] + 5) for server in servers)
    print(f"load during the outage x{during:.2f}, in the 5 s after it x{after:.2f}")
    assert during < 1.2
    assert after < 1.2
    unlimited, _ = lived_through(0, llmnet.RetryPolicy(budget=None))
    assert unlimited.load(*OUTAGE) > 3


def retries_return(front, server):
    _, calls = lived_through(1, llmnet.RetryPolicy())
    during = [attempts for started, attempts, failed in calls if OUTAGE[0] + 10 <= started < OUTAGE[1] - 5]
    assert statistics.mean(during) < 1.05
    late = [(attempts, failed) for started, attempts, failed in calls if started >= AFTERWARDS]
    assert not [one for one in late if one[1]]
    assert sum(attempts > 1 for attempts, _ in late) > 0.02 * len(late)


# -- the rows -----------------------------------------------------------------------------------------------------------


def play(number, phase, fault, function, *args, **more):
    return Row(number=number, phase=phase, fault=fault, play=functools.partial(function, *args), **more)


ROWS = [
    play(113, "deadline", "expires in the queue", queued, {"total": 0.1}, "total"),
    play(113, "deadline", "bound of the queue", queued, {"queue": 0.1}, "queue"),
    Row(
        number=113, phase="deadline", fault="before the end of a backoff", stream=(False, True),
        script=(Reply(status=500, headers={"retry-after": "7"}),) * 4, params={"timeout": llmnet.Timeout(total=20)},
        expect=Expect(error=llmnet.ServerError, status=500, sent=3, waits=told(7, 7), holds=within(20)),
    ),
    Row(
        number=113, phase="deadline", fault="expires in an attempt", stream=(False, True),
        script=(500, fault("silent")), params={"timeout": llmnet.Timeout(total=0.8)},
        expect=Expect(error=LATE, phase="total", sent=2, waits=TWICE[:1], billed=True),
    ),
    Row(
        number=113, phase="deadline", fault="expires in a stream", stream=(True,),
        script=(fault("stream-stall"),), params={"timeout": llmnet.Timeout(total=0.4)},
        expect=Expect(error=LATE, phase="total", sent=1, billed=True, holds=lambda seen: WORDS.startswith(seen.text)),
    ),
    *(
        Row(
            number=114, phase="deadline", fault=f"Retry-After on {status} beyond what remains", stream=(False, True),
            script=(Reply(status=status, headers={"retry-after": "60"}),) * 2,
            params={"timeout": llmnet.Timeout(total=30)},
            expect=Expect(error=error, status=status, sent=1, waits=()),
        )
        for status, error in ((429, llmnet.RateLimitError), (503, llmnet.OverloadedError), (500, llmnet.ServerError))
    ),
    play(115, "clock", "wall clock a day ahead", wall_jumps, 1),
    play(115, "clock", "wall clock a day back", wall_jumps, -1),
    play(116, "clock", "an hour passes in a backoff", suspended, 500),
    play(116, "clock", "an hour passes at the gate", suspended, 429),
    play(117, "budget", "outage", spent),
    play(117, "budget", "outage at 20 a second", outage_is_not_multiplied, fronts=("async",)),
    play(118, "budget", "recovery", refilled),
    play(118, "budget", "recovery at 20 a second", retries_return, fronts=("async",)),
]  # fmt: skip
