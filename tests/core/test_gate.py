"""The gate, the turns at it and the bucket: who comes back when after a throttle, and what a retry may draw."""

import math
import random

import pytest

import llmnet
from llmnet.core.admission.admission import Admission
from llmnet.core.admission.gate import NEVER, Gate, GateTurn, Refusal
from llmnet.core.admission.lanes import Bucket
from llmnet.core.bounds import Bounds
from llmnet.core.outcome import AttemptError


class Chance(random.Random):
    """Always the same."""

    def __init__(self, share):
        super().__init__(0)
        self.share = share

    def random(self):
        return self.share


def shut(until=10.0, step=2.0, refusal=None):
    gate = Gate()
    gate.shut(until, step, *[refusal] if refusal else [])
    return gate


def turns(gate, count, chance=1.0):
    return [GateTurn(gate, Chance(chance)) for _ in range(count)]


# -- numbers ------------------------------------------------------------------------------------------------------------


def test_numbers_at_a_gate_double_in_each_step():
    gate = shut(until=10.0, step=2.0)
    assert [gate.next_turn(1.0) for _ in range(4)] == pytest.approx([10 + 2 * math.log2(1 + 2 * n) for n in range(4)])
    gate.shut(until=20.0, step=2.0)
    assert [gate.next_turn(0.0) for _ in range(4)] == pytest.approx([20 + 2 * math.log2(1 + n) for n in range(4)])


@pytest.mark.parametrize(
    ("end", "moment"), [(12.0, 10 + 2 * math.log2(3)), (14.0, 10 + 2 * math.log2(3)), (14.001, 14.0), (math.inf, 14.0)]
)
def test_chance_at_a_gate_does_not_carry_a_turn_past_the_end(end, moment):
    gate = shut(until=10.0, step=2.0)
    for _ in range(2):
        gate.next_turn(0.5, end)
    assert gate.next_turn(0.5, end) == pytest.approx(moment)


def test_a_gate_that_never_was_shut_holds_nobody_back():
    gate = Gate()
    assert [gate.next_turn(1.0) for _ in range(3)] == [NEVER] * 3
    assert (gate.shut_for(0.0), gate.hint(0.0), gate.idle(0.0)) == (0.0, 0.0, True)


def test_a_gate_that_has_been_open_for_long_is_as_one_that_never_was_shut():
    gate, forgotten = shut(until=10.0, step=2.0), 10 + 2 * math.log2(1 + 2 * 1002)
    for now, until in ((10.0, 10.0), (forgotten - 0.1, 10.0), (forgotten + 0.1, NEVER)):
        (turn,) = turns(gate, 1)
        assert turn.wait_time(now, now, math.inf) == 0.0
        assert gate.until == until
    gate.shut(until=40.0, step=2.0)
    assert [turn.wait_time(40.0, 40.0, math.inf) for turn in turns(gate, 2)] == pytest.approx([0.0, 2 * math.log2(3)])


def test_a_gate_never_opens_earlier_than_was_said_nor_gives_a_number_twice():
    first = Refusal(message="the first")
    gate = shut(10.0, 2.0, first)
    assert gate.next_turn(0.0) == 10.0
    for until in (9.0, 10.0):
        gate.shut(until, 5.0, Refusal(message="another"))
        assert (gate.until, gate.refusal) == (10.0, first)
    assert gate.next_turn(0.0) == 12.0


# -- what shut it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "now", "left"), [(None, 9.0, 0.0), (10.0, 9.75, 0.25), (99.0, 9.0, 90.0), (99.0, 10.0, 0.0)]
)
def test_a_hint_holds_while_the_gate_is_shut(until, now, left):
    assert shut(10.0, refusal=Refusal(until=until)).hint(now) == left


def test_who_is_held_back_hears_what_shut_the_gate():
    facts = {"status": 503, "http_status": 200, "code": "busy", "type": "overload", "throttled": True}
    told = Refusal.of(llmnet.OverloadedError("too busy", **facts), 40.0)
    error = told.error(7.25, "there is no time")
    assert type(error) is llmnet.OverloadedError
    assert {name: getattr(error, name) for name in facts} == facts
    assert (told.until, error.retry_after) == (40.0, 7.25)
    assert error.message == "too busy; it holds all calls for another 7.2s, and there is no time"


def test_a_gate_that_was_shut_without_a_reason_has_met_a_rate_limit():
    error = shut().refusal.error(1.0, "there is no time")
    assert (type(error), error.status, error.http_status) == (llmnet.RateLimitError, 429, 429)
    assert (error.code, error.type, error.throttled) == (None, None, False)


# -- turns --------------------------------------------------------------------------------------------------------------


def test_a_number_is_kept_until_the_gate_is_shut_anew():
    gate = shut(until=10.0, step=2.0)
    first, second = turns(gate, 2)
    for now in (9.0, 9.5, 9.0):
        assert (first.wait_time(now, 0.0, 99.0), second.wait_time(now, 0.0, 99.0)) == pytest.approx(
            (10.0 - now, 10.0 - now + 2 * math.log2(3))
        )
    assert [turn.wait_time(30.0, 0.0, 99.0) for turn in (first, second)] == [0.0, 0.0]
    gate.shut(until=40.0, step=2.0)
    assert [turn.wait_time(30.0, 0.0, 99.0) for turn in (second, first)] == pytest.approx([10, 10 + 2 * math.log2(3)])


@pytest.mark.parametrize(
    ("now", "resume_at", "left", "wait"),
    [
        (9.0, 0.0, 1.0, 1.0),
        (9.0, 0.0, 0.5, 1.0),
        (9.0, 9.5, 99.0, 1.0),
        (9.0, 12.0, 99.0, 3.0),
        (11.0, 12.0, 99.0, 1.0),
    ],
    ids=["as long as it has", "longer than it has", "its own delay", "a longer delay", "its own delay alone"],
)
def test_who_cannot_come_yet_takes_no_number_from_others(now, resume_at, left, wait):
    gate = shut(until=10.0, step=2.0)
    early, late, last = turns(gate, 3)
    assert early.wait_time(now, resume_at, left) == wait
    assert late.wait_time(9.0, 9.0, 99.0) == 1.0, "the first number is still there"
    assert last.wait_time(9.0, 9.0, 99.0) == pytest.approx(1 + 2 * math.log2(3)), "and now it is not"


@pytest.mark.parametrize(("left", "wait"), [(3.5, 3.0), (4.5, 1 + 2 * math.log2(3))])
def test_chance_does_not_carry_a_call_past_its_end(left, wait):
    first, second = turns(shut(until=10.0, step=2.0), 2)
    first.wait_time(9.0, 0.0, left)
    assert second.wait_time(9.0, 0.0, left) == pytest.approx(wait)


@pytest.mark.parametrize("until", [NEVER, 10.0])
def test_who_comes_when_its_time_is_over_is_not_admitted(until):
    now, gate = [0.0], Gate()
    admission = Admission(None, gate, Bounds(llmnet.Timeout(total=1), lambda: now[0]), 120.0, Chance(0.5))
    assert admission.wait_time() == 0.0
    gate.shut(until, step=1.0)
    now[0] = 1.0
    with pytest.raises(AttemptError) as caught:
        admission.wait_time()
    outcome = caught.value.outcome
    assert (type(outcome.error), outcome.error.phase, outcome.not_admitted) == (llmnet.APITimeoutError, "total", True)


# -- the bucket ---------------------------------------------------------------------------------------------------------


def test_the_last_token_may_be_drawn():
    bucket = Bucket(28.0)
    assert [bucket.take(14.0) for _ in range(3)] == [True, True, False]
    bucket.give(100.0)
    assert bucket.tokens == 28.0


def test_a_full_bucket_alone_is_idle():
    bucket = Bucket(28.0)
    assert bucket.idle(0.0)
    assert bucket.take(0.5)
    assert not bucket.idle(0.0)
    bucket.give(0.25)
    assert (bucket.tokens, bucket.idle(0.0)) == (27.75, False)
