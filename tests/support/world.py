"""A world of its own for the async front: a loop whose time jumps from event to event, and a wire that is a function.

All else is the library: client, driver, `Call`, judge, gate, bucket, queue.
"""

import asyncio
import dataclasses
import math
import random
import selectors
from collections.abc import Mapping

from support.inside import common_of, replace_parts

import llmnet
from llmnet.core.http import Headers
from llmnet.transports.aio.wait import AsyncWait, Scope

REPLY = b'{"id":"1","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}]}'
REFUSAL = b'{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}'


@dataclasses.dataclass(frozen=True)
class Said:
    """What a server says to one request, and after how many seconds; a success by default."""

    status: int = 200
    after: float = 0.0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = REPLY


def throttle(retry_after=None, after=0.0):
    return Said(429, after, {} if retry_after is None else {"retry-after": str(retry_after)}, REFUSAL)


class _Jumps(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout=None):
        assert timeout is not None, "everybody waits, and nobody will ever wake them"
        self.now += timeout
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._jumps = _Jumps()
        super().__init__(self._jumps)

    def time(self):
        return self._jumps.now


def live_through(main):
    """Run a coroutine function to its end, however long it takes there; it is given the clock."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main(runner.get_loop().time))


class _Waits(AsyncWait):
    async def sleep(self, seconds, stop):
        await asyncio.sleep(seconds)  # the original makes ready to be woken by other threads, of which there are none
        stop.raise_if_stopped()


class _Wire:
    """A transport that knows what its server says."""

    def __init__(self, clock, server):
        self._clock, self._server = clock, server

    async def send(self, exchange, bounds):
        exchange.connecting()
        exchange.sending()
        said = self._server(self._clock())
        await Scope(exchange).run(asyncio.sleep(said.after))
        return _Reply(said)

    async def aclose(self):
        pass


class _Reply:
    def __init__(self, said):
        self.status, self.headers, self._body = said.status, Headers(said.headers), said.body

    async def __aiter__(self):
        yield self._body

    async def aclose(self):
        pass


def inhabitant(clock, server, *, seed=0, **fields):
    """A client of that world: *server* is asked `server(now)` for each request and gives what is `Said`."""
    client = llmnet.AsyncClient(**{"provider": "fake", "base_url": "http://model.test/v1", "model": "m", **fields})
    replace_parts(client, clock=clock, transport=_Wire(clock, server), waits=_Waits())
    common_of(client).rng = random.Random(seed)
    return client


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
