"""Many callers and one overloaded server on virtual time: what the policy makes of them, counted in requests.

The servers are those of docs/resilience.md, Simulations. A refusal takes a moment to come, too: what is sent meanwhile is lost.
"""

import asyncio
import dataclasses
import random
import statistics

import pytest
from support.world import Limited, inhabitant, live_through

import llmnet

LEAST = 190  # seconds: 200 requests at one a second, ten of them at once
AS_A_BATCH = {
    "retry": llmnet.RetryPolicy(max_throttle_wait=3600, max_retry_after=3600),
    "timeout": llmnet.Timeout(total=600 + 3600),
}


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
