"""Many callers and one overloaded server on virtual time: what the policy makes of them, counted in requests.

The servers are those of RESILIENCE 2.3 and 2.6. A refusal takes a moment to come, too: what is sent meanwhile is lost.
"""

import asyncio
import dataclasses
import functools
import math
import random
import statistics

import pytest
from world import Said, inhabitant, live_through, throttle

import llmnet

LEAST = 190  # seconds: 200 requests at one a second, ten of them at once
AS_A_BATCH = {
    "retry": llmnet.RetryPolicy(max_throttle_wait=3600, max_retry_after=3600),
    "timeout": llmnet.Timeout(total=600 + 3600),
}


class Limited:
    """A server of so many requests a second: a bucket of tokens; replies take about two seconds, refusals *lag*."""

    def __init__(self, rng, *, hints, lag=0.0, rate=1.0, burst=10):
        self._rng, self._hints, self._lag, self._rate, self._burst = rng, hints, lag, rate, burst
        self._tokens, self._last = burst, 0.0
        self.requests = self.refusals = 0

    def __call__(self, now):
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
        self._last, self.requests = now, self.requests + 1
        if self._tokens >= 1:
            self._tokens -= 1
            return Said(after=self._rng.lognormvariate(math.log(2), 0.4))
        self.refusals += 1
        return throttle(math.ceil((1 - self._tokens) / self._rate) if self._hints else None, after=self._lag)


@dataclasses.dataclass
class Run:
    """How a batch went."""

    ok: int = 0
    failed: int = 0
    requests: int = 0
    refusals: int = 0
    seconds: float = 0.0


def batch(seed, jobs, workers, **limits):
    rng, run = random.Random(seed), Run()
    server = Limited(rng, **limits)

    async def work(client, todo):
        for _ in todo:
            try:
                await client.chat("hi")
                run.ok += 1
            except llmnet.LLMNetError:
                run.failed += 1

    async def main(clock):
        async with inhabitant(clock, server, seed=seed, max_concurrent=workers, **AS_A_BATCH) as client:
            todo = iter(range(jobs))
            await asyncio.gather(*(work(client, todo) for _ in range(workers)))
            assert client.request_count == server.requests
        return dataclasses.replace(run, requests=server.requests, refusals=server.refusals, seconds=clock())

    return live_through(main)


def figures(runs):
    """The mean and the worst of each figure, for whoever reads the report."""
    columns = {name: [getattr(run, name) for run in runs] for name in Run.__dataclass_fields__}
    return ", ".join(f"{name} {statistics.mean(found):.0f} (≤ {max(found):.0f})" for name, found in columns.items())


hints = pytest.mark.parametrize("hints", [True, False], ids=["Retry-After", "no hint"])


@pytest.mark.slow
@hints
@pytest.mark.parametrize(("lag", "seeds"), [(0.0, 20), (0.05, 5), (0.2, 5)])
def test_two_hundred_jobs_at_sixty_requests_a_minute(hints, lag, seeds):
    runs = [batch(seed, 200, 50, hints=hints, lag=lag) for seed in range(seeds)]
    print(figures(runs))
    assert {(run.ok, run.failed) for run in runs} == {(200, 0)}, figures(runs)
    assert max(run.requests for run in runs) <= 400, figures(runs)
    assert statistics.mean(run.seconds for run in runs) < 1.25 * LEAST, figures(runs)


@hints
@pytest.mark.slow
@pytest.mark.parametrize("jobs", [600, pytest.param(2000, marks=pytest.mark.heavy)])
def test_three_hundred_workers(hints, jobs):
    run = batch(1, jobs, 300, hints=hints, lag=0.05)
    print(figures([run]))
    assert (run.ok, run.failed) == (jobs, 0), run
    assert run.requests < 2.5 * jobs, run


def test_a_server_with_room_is_soon_used_to_the_full():
    """At fifty a second the gate must not stay half shut: those who wait come back within a few steps."""
    run = batch(1, 2000, 300, hints=True, lag=0.05, rate=50, burst=100)
    print(figures([run]))
    assert (run.ok, run.failed) == (2000, 0), run
    assert run.seconds < 1.25 * (2000 - 100) / 50, run


# -- an outage ----------------------------------------------------------------------------------------------------------

CALLS = 20  # a second
OUTAGE = (30, 60)
AFTERWARDS = 90  # by then successes have filled the bucket again
END = 120


class Failing:
    """A server that is down for a while, and much later fails now and then."""

    def __init__(self, rng):
        self._rng, self.sent = rng, []

    def __call__(self, now):
        self.sent.append(now)
        down = OUTAGE[0] <= now < OUTAGE[1] or (now >= AFTERWARDS and self._rng.random() < 0.05)
        return Said(500, after=0.1) if down else Said(after=self._rng.lognormvariate(0, 0.3))

    def load(self, start, end):
        """Requests in a span of time, in multiples of the calls."""
        return sum(start <= moment < end for moment in self.sent) / (end - start) / CALLS


@functools.cache
def outage(seed, policy):
    """The server, and of each call its start, its attempts and whether it failed."""
    rng = random.Random(seed)
    server, calls = Failing(rng), []

    async def ask(client, started):
        try:
            meta, failed = (await client.chat("hi")).meta, False
        except llmnet.ServerError as error:
            meta, failed = error.meta, True
        calls.append((started, len(meta.attempts), failed))

    async def main(clock):
        client = inhabitant(clock, server, seed=seed, max_concurrent=10_000, retry=policy)
        async with client, asyncio.TaskGroup() as tasks:
            while clock() < END:
                tasks.create_task(ask(client, clock()))
                await asyncio.sleep(rng.expovariate(CALLS))

    live_through(main)
    return server, calls


@pytest.mark.slow
def test_the_budget_keeps_an_outage_from_being_multiplied():
    servers = [outage(seed, llmnet.RetryPolicy())[0] for seed in range(3)]
    during = statistics.mean(server.load(*OUTAGE) for server in servers)
    after = statistics.mean(server.load(OUTAGE[1], OUTAGE[1] + 5) for server in servers)
    print(f"load during the outage x{during:.2f}, in the 5 s after it x{after:.2f}")
    assert during < 1.2
    assert after < 1.2
    unlimited, _ = outage(0, llmnet.RetryPolicy(budget=None))
    assert unlimited.load(*OUTAGE) > 3


def test_retries_return_after_an_outage():
    _, calls = outage(1, llmnet.RetryPolicy())
    during = [attempts for started, attempts, failed in calls if OUTAGE[0] + 10 <= started < OUTAGE[1] - 5]
    assert statistics.mean(during) < 1.05
    late = [(attempts, failed) for started, attempts, failed in calls if started >= AFTERWARDS]
    assert not [one for one in late if one[1]]
    assert sum(attempts > 1 for attempts, _ in late) > 0.02 * len(late)
