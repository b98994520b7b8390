"""The properties of the policy, P1 to P12 (docs/resilience.md, Properties), each as one test; P8 is in test_parity."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import math
import random
from email.utils import formatdate

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.fronts import VirtualAwaits, VirtualTime, VirtualWaits
from support.inside import queue_of, replace_parts
from support.live import WORDS, at, slots
from support.policy import WALL, Failure, Scene
from support.world import Said, inhabitant, live_through, throttle

import llmnet
from llmnet.core.admission.gate import Gate
from llmnet.core.admission.lanes import Bucket
from llmnet.core.bounds import Timeout
from llmnet.core.retry import RETRY_STATUSES, RetryBudget, RetryPolicy
from llmnet.core.retry_after import LONGEST, parse_retry_after
from llmnet.providers.error_codes import CORRECTIONS
from llmnet.providers.error_phrases import TOO_LARGE, TOO_LONG
from llmnet.providers.services import SERVICES
from llmnet.testing import Reply

over_sockets = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

# -- what may happen to an attempt --------------------------------------------------------------------------------------

STATUSES = [307, 400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429, 500, 501, 502, 503, 504, 520, 529, 599]
CODES = [None, "rate_limit_exceeded", "server_is_overloaded", "insufficient_quota", "context_length_exceeded", "oops"]
seconds = st.floats(0.001, 200).map(lambda value: round(value, 3))


def body(code, message="no"):
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def spellings(value):
    """The ways in which a server may say how long to wait; whole seconds where the way has no others."""
    whole = math.ceil(value)
    return [
        {"retry-after": f"{value}"},
        {"Retry-After": f"{whole}"},
        {"retry-after-ms": f"{value * 1000}"},
        {"retry-after-ms": f"{value * 1000}", "retry-after": "1"},
        {"retry-after": formatdate(WALL + 50 + whole, usegmt=True), "date": formatdate(WALL + 50, usegmt=True)},
    ]


said = seconds.flatmap(lambda value: st.sampled_from(spellings(value)))
silence = st.sampled_from([{}, {"retry-after": "soon"}, {"retry-after": "0"}, {"date": formatdate(WALL)}])
advice = st.sampled_from([{}, {}, {"x-should-retry": "true"}, {"x-should-retry": "false"}])
headers = st.builds(lambda *parts: {k: v for part in parts for k, v in part.items()}, said | silence, advice)
took = st.sampled_from([0.0, 0.0, 1.0, 60.0])
refusals = st.builds(
    Failure, status=st.sampled_from(STATUSES), headers=headers, body=st.sampled_from(CODES).map(body), took=took
)
losses = st.builds(
    Failure,
    error=st.just(llmnet.APIConnectionError),
    phase=st.sampled_from(["dns", "connect", "tls", "send", "response", "body"]),
    stale=st.booleans(),
    took=took,
)
expiries = st.builds(
    Failure,
    error=st.just(llmnet.APITimeoutError),
    phase=st.sampled_from(["connect", "response", "idle", "total"]),
    took=took,
)
oddities = st.builds(
    Failure,
    error=st.sampled_from([llmnet.IncompleteStreamError, llmnet.InvalidResponseError, llmnet.StreamError]),
    once=st.booleans(),
    took=took,
)
failures = refusals | losses | expiries | oddities
scripts = st.lists(failures, min_size=1, max_size=12)
policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 5),
    base_delay=st.sampled_from([0.01, 0.5, 5.0]),
    max_delay=st.sampled_from([0.1, 8.0]),
    max_retry_after=st.sampled_from([0.0, 10.0, 120.0]),
    max_throttle_wait=st.sampled_from([0.0, 5.0, 120.0, 3600.0]),
    retry_timeouts=st.booleans(),
    budget=st.sampled_from([None, RetryBudget(), RetryBudget(capacity=30)]),
)
seeds = st.integers(0, 2**32)
keys = st.sampled_from([None, "sk-given", lambda: "sk-asked-for"])


@st.composite
def scenes(draw, policies=policies, totals=st.just(1e6)):
    policy = draw(policies)
    return Scene(
        policy=policy,
        timeout=Timeout(total=draw(totals)),
        bucket=Bucket(policy.budget.capacity) if policy.budget else None,
        rng=random.Random(draw(seeds)),
        key=draw(keys),
        stream=draw(st.booleans()),
    )


# -- the properties -----------------------------------------------------------------------------------------------------


@given(scenes(), st.lists(failures, max_size=3), failures)
def test_p1_nothing_is_sent_again_once_a_chunk_was_handed_out(scene, before, last):
    """Delivered > 0 ⇒ no retry, whatever fails and whatever the server advises."""
    for failure in before:
        scene.attempt(failure)
    scene.call.mark_delivered()
    assert not scene.attempt(last).retry


@given(scenes(totals=st.sampled_from([0.5, 10.0, 100.0])), scripts)
def test_p2_every_planned_attempt_starts_before_the_deadline(scene, script):
    deadline = scene.now + scene.timeout.total
    for failure in script:
        try:
            scene.take_turn()
        except (llmnet.APITimeoutError, llmnet.APIStatusError):
            return
        assert scene.now < deadline
        decision = scene.attempt(failure)
        if not decision.retry:
            return
        assert scene.now + decision.delay < deadline


@given(
    st.builds(
        Scene,
        policy=st.builds(RetryPolicy, max_retry_after=st.just(200), max_throttle_wait=st.sampled_from([0, 3600])),
        rng=st.builds(random.Random, seeds),
    ),
    st.sampled_from(sorted(RETRY_STATUSES)),
    seconds.flatmap(lambda value: st.tuples(st.just(value), st.sampled_from(spellings(value)))),
)
def test_p3_no_retry_comes_earlier_than_the_server_has_asked(scene, status, asked):
    least, headers = asked
    decision = scene.attempt(Failure(status=status, headers=headers))
    assert decision.retry
    assert least <= decision.delay <= math.ceil(least) + 5
    before = scene.now
    scene.take_turn()
    assert scene.now - before >= least


ordinary = st.sampled_from([Failure(status=500), Failure(status=409), Failure(), Failure(stale=True)])
throttles = st.builds(lambda status, hint: Failure(status=status, headers={"retry-after": f"{hint}"}),
                      st.sampled_from([429, 503, 529]), st.integers(10, 30))  # fmt: skip


@given(scenes(), st.lists(ordinary | throttles | st.just(Failure(status=401)), min_size=1, max_size=8))
def test_p4_attempts_are_counted_and_throttles_timed(scene, script):
    """Retries ≤ `max_retries`, throttles wait ≤ `max_throttle_wait` in all; two more may be replayed at once."""
    policy = scene.policy
    retried, throttled, waited, transparent = 0, 0, 0.0, 0
    for failure in itertools.cycle(script):
        decision = scene.attempt(failure)
        if not decision.retry:
            break
        if decision.transparent:
            transparent += 1
            assert (decision.delay, failure.stale or failure.status == 401) == (0.0, True)
        elif failure.status in (429, 503, 529) and policy.max_throttle_wait:
            throttled, waited = throttled + 1, waited + decision.delay
        else:
            retried += 1
        scene.now += decision.delay
    assert retried <= policy.max_retries
    assert waited <= policy.max_throttle_wait
    assert transparent <= 2
    assert len(scene.call.meta.attempts) == retried + throttled + transparent + 1


@given(
    st.builds(RetryBudget, capacity=st.floats(1, 100), retry_cost=st.floats(0.5, 60), success_credit=st.floats(0.1, 9)),
    st.lists(st.tuples(st.integers(0, 3), st.none() | ordinary | throttles), max_size=60),
)
def test_p5_the_budget_is_kept(figures, events):
    """0 ≤ tokens ≤ capacity; what retries have drawn is never more than the capacity and what successes gave."""
    bucket = Bucket(figures.capacity)
    policy = RetryPolicy(max_retries=1000, max_throttle_wait=math.inf, budget=figures)
    calls, drawn = {}, {}
    spent = given_back = 0.0
    for place, failure in events:
        scene = calls.setdefault(place, Scene(policy=policy, timeout=Timeout(total=math.inf), bucket=bucket))
        if failure is None:
            scene.succeed()
            given_back += drawn.pop(place, 0.0) or figures.success_credit
            del calls[place]
        elif not (decision := scene.attempt(failure)).retry:
            assert bucket.tokens < figures.retry_cost
        elif not decision.transparent and failure.status not in (429, 503, 529):
            spent += figures.retry_cost
            drawn[place] = drawn.get(place, 0.0) + figures.retry_cost
        assert 0 <= bucket.tokens <= figures.capacity
        assert spent <= figures.capacity + given_back + 1e-9


def terminal():
    """All that the vendors say when no repetition can help: (service, status or None, code, message)."""
    for service in SERVICES.values():
        for table in (service.codes, CORRECTIONS):
            for code, word in table.items():
                if service.codes.get(code, word) in ("quota", "context"):
                    yield service.name, None, code.replace("*", "x"), "no"
        for piece, word in service.messages.items():
            if word == "quota":
                yield service.name, None, None, f"So sorry: {piece}."
        yield service.name, 429, "rate_limit_exceeded", TOO_LARGE
        yield service.name, 402, None, "pay"
        yield from ((service.name, 400, None, phrase) for phrase in TOO_LONG)


@given(st.sampled_from(list(terminal())), st.sampled_from(STATUSES), headers, st.just({}) | advice)
def test_p6_what_the_vendor_calls_final_is_not_retried_for_any_headers(said, status, headers, more):
    service, only_status, code, message = said
    gate = Gate()
    scene = Scene(service=service, gate=gate)
    reply = Failure(status=only_status or status, headers={**headers, **more}, body=body(code, message))
    assert not scene.attempt(reply).retry
    assert gate.shut_for(scene.now) == 0  # nobody else is to wait for it either


NAMES = st.sampled_from(["Retry-After", "retry-after-ms", "x-ms-retry-after-ms", "Date", "x-should-retry", "Age"])


@given(
    st.dictionaries(NAMES, st.binary(max_size=40), max_size=5), st.floats() | st.just(WALL), st.sampled_from(STATUSES)
)
@example({"Retry-After": b"1" * 5000}, WALL, 429)
@example({"Retry-After": "٣".encode()}, math.nan, 429)
def test_p7_any_bytes_say_a_wait_or_none(fields, now, status):
    """`parse_retry_after` is total, and so is the judge that asks it."""
    headers = {name: value.decode("latin-1") for name, value in fields.items()}
    wait = parse_retry_after(headers, now)
    assert wait is None or 0.0 <= wait <= LONGEST
    decision = Scene(wall=lambda: now).attempt(Failure(status=status, headers=headers))
    assert 0.0 <= decision.delay < math.inf


class Wary:
    """A server that says when to come back, and notes who comes earlier."""

    def __init__(self, script):
        self._script, self._said, self.early = iter(script), [], []

    def __call__(self, now):
        self.early += [(now, until) for told, until in self._said if told < now < until]
        said = next(self._script, Said())
        if said.status == 429:
            told = now + said.after
            self._said.append((told, told + int(said.headers["retry-after"])))
        return said


answers = st.builds(Said, after=st.sampled_from([0.0, 0.5, 4.0])) | st.builds(
    throttle, st.integers(1, 60), st.sampled_from([0.0, 0.1, 3.0])
)


@given(st.lists(answers, min_size=1, max_size=25), st.lists(st.floats(0, 20), max_size=12), st.integers(1, 12), seeds)
def test_p9_nothing_is_sent_while_the_gate_is_closed(script, starts, limit, seed):
    """Whoever has been told, whenever the others came and whatever they were doing."""
    server = Wary(script)

    async def ask(client, start):
        await asyncio.sleep(start)
        with contextlib.suppress(llmnet.LLMNetError):
            await client.chat("hi")

    async def main(clock):
        async with inhabitant(clock, server, seed=seed, max_concurrent=limit) as client:
            await asyncio.gather(*(ask(client, start) for start in starts))

    live_through(main)
    assert server.early == []


@given(scripts, policies, seeds, st.lists(st.floats(-1e9, 1e10), min_size=1, max_size=5))
def test_p10_delays_do_not_depend_on_the_wall_clock(script, policy, seed, jumps):
    """But for a date that comes without the server's own: there is nothing else to measure it against."""

    def decisions(wall):
        rng, scene = random.Random(seed), None
        for failure in script:
            scene = scene or Scene(policy=policy, timeout=Timeout(total=1e6), rng=rng, wall=wall)
            yield (decision := scene.attempt(failure))
            if decision.retry:
                yield scene.take_turn()
            else:
                scene = None  # it has ended; what follows fails another call

    clock = itertools.cycle(jumps)
    assert list(decisions(lambda: next(clock))) == list(decisions(lambda: WALL))


def test_p10_a_date_alone_is_measured_against_the_wall_clock():
    date = {"retry-after": formatdate(WALL + 30, usegmt=True)}
    delays = [Scene(wall=lambda: now).attempt(Failure(status=500, headers=date)).delay for now in (WALL, WALL + 20)]
    assert delays[0] >= 30
    assert 10 <= delays[1] < 30


# -- P11: slots, whoever leaves when ------------------------------------------------------------------------------------


LATE = 3600  # all calls have ended by then


def crowded(rng):
    """A server that is at times slow, at times full and at times broken, until it is late."""
    kinds = [Said(after=1), Said(after=5), Said(500, after=0.5), throttle(3, after=0.5), throttle(None), Said(400)]
    return lambda now: rng.choice(kinds) if now < LATE else Said(after=1)


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.floats(0, 5), st.none() | st.tuples(st.floats(0, 12), st.integers(0, 9))), max_size=10),
    seeds,
)
def test_p11_as_many_slots_come_back_as_were_taken_whenever_tasks_are_cancelled(limit, calls, seed):
    """In the queue, at the gate, in a backoff, while a reply is awaited: at any time, and any turn of the loop."""

    async def ask(client, start):
        await asyncio.sleep(start)
        with contextlib.suppress(llmnet.LLMNetError):
            await client.chat("hi")

    async def cancel(task, moment, turns):
        await asyncio.sleep(moment)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()

    async def main(clock):
        client = inhabitant(clock, crowded(random.Random(seed)), seed=seed, max_concurrent=limit)
        tasks = [asyncio.create_task(ask(client, start)) for start, _ in calls]
        cancels = [cancel(task, *end) for task, (_, end) in zip(tasks, calls, strict=True) if end]
        ends = await asyncio.gather(*tasks, *cancels, return_exceptions=True)
        assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError}
        queue = queue_of(client)
        assert (queue.active, queue.waiting) == (0, 0)
        await asyncio.sleep(LATE - clock())
        last = [asyncio.create_task(client.chat("hi")) for _ in range(limit + 2)]
        await asyncio.sleep(0.5)
        assert (queue.active, queue.waiting) == (limit, 2)
        await asyncio.gather(*last)
        await client.aclose()

    live_through(main)


@dataclasses.dataclass
class Stops:
    """Ends a stream at its n-th step of some kind: a wait of the client's, a request at the server, a chunk."""

    kind: str
    left: int
    how: type[BaseException] | None

    def step(self, kind, stream):
        self.left -= kind == self.kind
        if kind == self.kind and self.left == 0:
            if self.how is not None and kind != "request":
                raise self.how
            stream.cancel()


class StoppedWaits(VirtualWaits):
    def sleep(self, seconds, call):
        self.stops.step("wait", self.stream)
        super().sleep(seconds, call)
        call.raise_if_stopped()


class StoppedAwaits(VirtualAwaits):
    async def sleep(self, seconds, call):
        self.stops.step("wait", self.stream)
        await super().sleep(seconds, call)
        call.raise_if_stopped()


def stopped(client, waits, stops, server):
    virtual = waits(VirtualTime())  # its sleeps are steps
    replace_parts(client, waits=virtual, clock=virtual.time.clock)
    stream = client.stream_chat("hi")
    virtual.stops, virtual.stream = stops, stream
    server.handler = lambda _: stops.step("request", stream)
    return stream


def stop_sync(server, stops):
    with llmnet.Client(**at(server, max_concurrent=1)) as client:
        stream = stopped(client, StoppedWaits, stops, server)
        with contextlib.suppress(llmnet.LLMNetError, KeyboardInterrupt), stream:
            for _ in stream:
                stops.step("chunk", stream)
        assert slots(client) == queue_of(client).waiting == 0
        stops.left = -1
        server.reset()
        assert client.chat("hi", model="another").content == "hi"


def stop_async(server, stops):
    async def main():
        async with llmnet.AsyncClient(**at(server, max_concurrent=1)) as client:
            stream = stopped(client, StoppedAwaits, stops, server)
            with contextlib.suppress(llmnet.LLMNetError, KeyboardInterrupt):
                async with stream:
                    async for _ in stream:
                        stops.step("chunk", stream)
            assert slots(client) == queue_of(client).waiting == 0
            stops.left = -1
            server.reset()
            assert (await client.chat("hi", model="another")).content == "hi"

    asyncio.run(main())


@pytest.mark.parametrize("stop", [stop_sync, stop_async], ids=["sync", "async"])
@given(
    st.lists(
        st.sampled_from([500, 429, Reply(status=503, headers={"retry-after": "4"}), Reply(drop=True)]), max_size=4
    ),
    st.builds(
        Stops,
        kind=st.sampled_from(["wait", "request", "chunk"]),
        left=st.integers(1, 6),
        how=st.sampled_from([None, KeyboardInterrupt]),
    ),
)
@settings(over_sockets, max_examples=40)
def test_p11_the_slot_comes_back_wherever_a_stream_is_stopped(server, stop, script, stops):
    server.reset()
    server.script(*script, Reply(text=WORDS))
    stop(server, dataclasses.replace(stops))


# -- P12: chance --------------------------------------------------------------------------------------------------------

# For ever at its ceiling: (failure, floor, ceiling) of 10,000 delays that ought to be uniform in between.
STEADY = RetryPolicy(max_retries=10**6, base_delay=8.0, max_delay=2.0, max_throttle_wait=math.inf, budget=None)
JITTERS = {
    "full": (Failure(status=500), 0.0, 2.0),
    "equal": (Failure(status=429), 3.75, 7.5),
    "on top of a hint": (Failure(status=429, headers={"retry-after": "20"}), 20.0, 23.0),
    "on top of a long hint": (Failure(status=500, headers={"retry-after": "100"}), 100.0, 105.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("jitter", JITTERS)
@given(seeds)
@settings(max_examples=2)
def test_p12_jitter_is_uniform(jitter, seed):
    """10,000 samples: each tenth of the range has a tenth of them, ± 20 %."""
    failure, low, high = JITTERS[jitter]
    scene = Scene(policy=STEADY, timeout=Timeout(total=math.inf), rng=random.Random(seed))
    tenths = [0] * 10
    for _ in range(10_000):
        delay = scene.attempt(failure).delay
        assert low <= delay <= high
        tenths[min(int((delay - low) / (high - low) * 10), 9)] += 1
    assert all(800 <= tenth <= 1200 for tenth in tenths), tenths
