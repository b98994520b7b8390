"""A server that is down for a while, and callers who do not mind: on virtual time, in multiples of the calls."""

import asyncio
import functools
import random

from support.world import Said, inhabitant, live_through

import llmnet

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
def lived_through(seed, policy):
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
