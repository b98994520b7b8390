"""A batch waits throttles out, for an hour where nobody said otherwise: no row fails for coming at a bad time."""

import asyncio
import dataclasses
import heapq
import itertools
import math
import random
import threading
import time

import pytest
from support.inside import common_of, replace_parts
from support.live import PROMPT, at
from support.world import Limited, Said, inhabitant, live_through, throttle

import llmnet
from llmnet.batch.base import HOUR, patience
from llmnet.core.bounds import resolve_timeout
from llmnet.core.http import Headers
from llmnet.testing import Reply
from llmnet.transports.aio.wait import AsyncWait
from llmnet.transports.sync.wait import SyncWait

pytestmark = pytest.mark.threads

OPEN = llmnet.Timeout(connect=math.inf, response=math.inf, idle=math.inf)  # `total` as usual
QUICK = 50


# -- how patient it is -----------------------------------------------------------------------------------------------------

LONGER = 600.0 + HOUR
# name: (policy, timeout; max_throttle_wait, max_retry_after, total of a call of the batch)
PATIENCE = {
    "as usual": ({}, llmnet.Timeout(), (HOUR, HOUR, LONGER)),
    "another max_throttle_wait": ({"max_throttle_wait": 7}, llmnet.Timeout(), (7, HOUR, LONGER)),
    "no throttle is waited out": ({"max_throttle_wait": 0}, llmnet.Timeout(), (0, HOUR, LONGER)),
    "another max_retry_after": ({"max_retry_after": 7}, llmnet.Timeout(), (HOUR, 7, LONGER)),
    "other retries": ({"max_retries": 9, "base_delay": 1.0}, llmnet.Timeout(), (HOUR, HOUR, LONGER)),
    "another total": ({}, llmnet.Timeout(total=20), (HOUR, HOUR, 20)),
    "a timeout in seconds": ({}, 20, (HOUR, HOUR, 20)),
    "another bound": ({}, llmnet.Timeout(response=20), (HOUR, HOUR, LONGER)),
    "for ever": ({"max_throttle_wait": math.inf}, llmnet.Timeout(total=math.inf), (math.inf, HOUR, math.inf)),
}


@pytest.mark.parametrize("name", PATIENCE)
def test_patience_is_an_hour_unless_the_caller_says_otherwise(name):
    said, timeout, expected = PATIENCE[name]
    policy = llmnet.RetryPolicy(**said)
    patient = patience(policy, timeout)
    total = resolve_timeout(None, patient["timeout"], stream=False, flex=False).total
    assert (patient["retry"].max_throttle_wait, patient["retry"].max_retry_after, total) == expected
    others = {"max_throttle_wait": policy.max_throttle_wait, "max_retry_after": policy.max_retry_after}
    assert dataclasses.replace(patient["retry"], **others) == policy


def test_other_bounds_are_what_they_would_be():
    lasting = patience(llmnet.RetryPolicy(), llmnet.Timeout(response=20))["timeout"]
    assert resolve_timeout(None, lasting, stream=False, flex=False) == llmnet.Timeout(response=20, total=LONGER)
    lasting = patience(llmnet.RetryPolicy(), llmnet.Timeout())["timeout"]
    assert resolve_timeout(None, lasting, stream=False, flex=True) == llmnet.Timeout(response=900, total=LONGER)
    assert resolve_timeout(5, lasting, stream=False, flex=False).total == 5


def test_the_client_itself_is_as_patient_as_before(front, server):
    with front.client(**at(server)) as client:
        assert len(list(client.batch(["a"]))) == 1
        assert (client.config.policy, client.config.timeout) == (llmnet.RetryPolicy(), llmnet.Timeout())


# -- a server that allows eight at once ------------------------------------------------------------------------------------


class Hasty(SyncWait):
    def sleep(self, seconds, call):
        super().sleep(seconds / QUICK, call)


class AsyncHasty(AsyncWait):
    async def sleep(self, seconds, call):
        await super().sleep(seconds / QUICK, call)


def hasten(front, client):
    """Let a client live fifty seconds in one."""
    waits = Hasty() if front.name == "sync" else AsyncHasty()
    replace_parts(client, clock=lambda: time.monotonic() * QUICK, waits=waits)


@pytest.mark.parametrize(("workers", "hint"), [(32, None), (64, "1")])
def test_a_server_that_allows_eight_at_once(front, server, workers, hint):
    headers, refused = ({} if hint is None else {"retry-after": hint}), itertools.count()

    def reply(_):
        if server.active <= 8:
            return Reply(delay=0.1 if server.request_count < 40 else 0.005)
        next(refused)
        return Reply(status=429, headers=headers)

    server.handler = reply
    with front.client(**at(server, timeout=OPEN)) as client:
        hasten(front, client)
        results = list(client.batch(map(str, range(120)), max_concurrent=workers))
    assert [result.error for result in results if not result.ok] == []
    assert next(refused) > 0
    assert server.request_count == client.request_count < 20 * 120


# -- a server that allows sixty a minute, on virtual time --------------------------------------------------------------------

WORKERS, ROWS = 50, 120


class Conductor:
    """Virtual time of threads: once all workers sleep, it is at once the moment when the first of them wakes."""

    def __init__(self):
        self.now, self._lock, self._sleeping, self._over = 0.0, threading.Lock(), [], threading.Event()

    def clock(self):
        return self.now

    def sleep(self, seconds, call):
        turn = threading.Event()
        with self._lock:
            heapq.heappush(self._sleeping, (self.now + seconds, id(turn), turn))
        assert turn.wait(PROMPT)

    def _conduct(self):
        while not self._over.wait(0.0002):
            workers = sum(thread.name.startswith("llmnet-batch") for thread in threading.enumerate())
            with self._lock:
                if self._sleeping and len(self._sleeping) == workers:
                    self.now, _, turn = heapq.heappop(self._sleeping)
                    turn.set()

    def __enter__(self):
        self._thread = threading.Thread(target=self._conduct, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


class Wire:
    """A transport that knows what its server says."""

    def __init__(self, conductor, server):
        self._conductor, self._server, self._one = conductor, server, threading.Lock()

    def send(self, exchange, bounds):
        exchange.connecting()
        exchange.sending()
        with self._one:
            said = self._server(self._conductor.clock())
        self._conductor.sleep(said.after, exchange)
        return WireReply(said)

    def close(self):
        pass


class WireReply:
    def __init__(self, said):
        self.status, self.headers, self._body = said.status, Headers(said.headers), said.body

    def __iter__(self):
        yield self._body

    def close(self):
        pass


def sync_batch(server, **fields):
    with Conductor() as conductor, llmnet.Client(**at_nobody(**fields)) as client:
        replace_parts(client, clock=conductor.clock, transport=Wire(conductor, server))
        common_of(client).rng = random.Random(1)
        client._waits.sleep = conductor.sleep  # private: sleeps in that time
        return list(client.batch(map(str, range(ROWS)), max_concurrent=WORKERS))


def at_nobody(**fields):
    return {"provider": "fake", "base_url": "http://model.test/v1", "model": "m", **fields}


def async_batch(server, **fields):
    async def main(clock):
        async with inhabitant(clock, server, **fields) as client:
            return [result async for result in client.batch(map(str, range(ROWS)), max_concurrent=WORKERS)]

    return live_through(main)


both = pytest.mark.parametrize("batch", [sync_batch, async_batch])


@both
@pytest.mark.parametrize("hints", [True, False], ids=["Retry-After", "no hint"])
def test_a_server_that_allows_sixty_requests_a_minute(batch, hints):
    server = Limited(random.Random(1), hints=hints)
    results = batch(server)
    assert [result.error for result in results if not result.ok] == []
    assert len(results) == ROWS
    assert server.refusals > 0


async def alone(client):
    try:
        return await client.chat("hi")
    except llmnet.LLMNetError as error:
        return error


def shut(now):
    """A server that turns all away for half an hour."""
    return Said() if now > 1800 else throttle(max(1, 1800 - round(now)))


@both
def test_a_server_that_turns_all_away_for_half_an_hour(batch):
    """Longer than a client would wait: `max_retry_after` and `max_throttle_wait` are two minutes, `total` is ten."""
    assert all(result.ok for result in batch(shut))
    errors = {type(result.error) for result in batch(shut, retry=llmnet.RetryPolicy(max_retry_after=1000))}
    assert errors == {llmnet.RateLimitError}
    errors = {type(result.error) for result in batch(shut, timeout=llmnet.Timeout(total=1000))}
    assert errors <= {llmnet.RateLimitError, llmnet.APITimeoutError}


def test_a_call_without_a_batch_is_not_as_patient():
    async def main(clock):
        async with inhabitant(clock, shut) as client:
            return await alone(client)

    assert type(live_through(main)) is llmnet.RateLimitError


@pytest.mark.heavy
def test_as_many_calls_without_a_batch_fail():
    """What is asked at once of a server that allows sixty a minute: the last of them would have to wait too long."""

    async def main(clock):
        async with inhabitant(clock, Limited(random.Random(1), hints=True), max_concurrent=700) as client:
            calls = await asyncio.gather(*(alone(client) for _ in range(700)))
            rows = [result async for result in client.batch(map(str, range(700)))]
        return {type(one) for one in calls}, [result.error for result in rows if not result.ok]

    kinds, failed = live_through(main)
    assert kinds == {llmnet.ChatResponse, llmnet.RateLimitError, llmnet.APITimeoutError}
    assert failed == []
