"""The figures of the policy and the reasons of its judge, as tables: the properties say what holds, these how much."""

import math

import pytest

import llmnet
from llmnet import RetryBudget, RetryPolicy, Timeout
from llmnet.core.admission.gate import Gate
from llmnet.core.admission.lanes import Bucket
from llmnet.core.bounds import Bounds
from llmnet.core.http import Headers
from llmnet.core.judge import Judge, read_hint
from llmnet.core.outcome import Decision, Outcome
from llmnet.core.retry import (
    after_hint,
    count,
    not_negative,
    return_step,
    should_retry,
)


class Chance:
    """A random source that always says the same share of what it is asked for."""

    def __init__(self, share):
        self.share = share

    def uniform(self, low, high):
        return low + self.share * (high - low)


LEAST, MOST = Chance(0.0), Chance(1.0)

# -- figures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "failure", "throttle"),
    [
        (RetryPolicy(), [0.5, 1, 2, 4, 8, 8], [1, 2, 4, 8, 16, 30, 30]),
        (RetryPolicy(base_delay=3, max_delay=20), [3, 6, 12, 20], [6, 12, 24, 48, 75]),
    ],
)
def test_backoff_doubles_up_to_its_end(policy, failure, throttle):
    assert [policy.backoff(n) for n in range(1, len(failure) + 1)] == failure
    assert [policy.throttle_backoff(n) for n in range(1, len(throttle) + 1)] == throttle


def test_backoff_doubles_no_more_than_floats_allow():
    tiny = RetryPolicy(base_delay=1e-30, max_delay=1e9)
    assert tiny.backoff(64) * 2 == tiny.backoff(65) == tiny.backoff(66) == tiny.backoff(10**6) == 1e-30 * 2.0**64
    assert tiny.throttle_backoff(64) * 2 == tiny.throttle_backoff(65) == tiny.throttle_backoff(10**6) == 2e-30 * 2.0**64


@pytest.mark.parametrize(
    ("wait", "least", "most"),
    [
        (lambda rng: Case(rng=rng, base_delay=4.0).verdict(status(500)).delay, 0.0, 4.0),
        (lambda rng: Case(rng=rng, base_delay=2.0).verdict(throttle()).delay, 2.0, 4.0),
        (lambda rng: after_hint(7.0, rng), 7.0, 8.7),
        (lambda rng: after_hint(100.0, rng), 100.0, 105.0),
        (lambda rng: after_hint(7.0, rng, 8.0), 7.0, 7.5),
        (lambda rng: after_hint(7.0, rng, 5.0), 7.0, 7.0),
    ],
    ids=["full", "equal", "hint", "long hint", "little time", "too little time"],
)
def test_waits_lie_between(wait, least, most):
    assert (wait(LEAST), wait(MOST)) == pytest.approx((least, most))


@pytest.mark.parametrize(
    ("shut", "took", "step"),
    [(7.0, 0.0, 0.425), (0.5, 0.0, 0.125), (1000.0, 0.0, 1.25), (7.0, 1.0, 2.0), (7.0, 10.0, 5.0)],
)
def test_the_step_in_which_callers_return(shut, took, step):
    assert return_step(shut, took) == pytest.approx(step)


@pytest.mark.parametrize("name", ["max_retries", "base_delay", "max_delay", "max_retry_after", "max_throttle_wait"])
def test_a_wrong_figure_is_named(name):
    with pytest.raises(llmnet.ConfigurationError, match=f"^{name} must be"):
        RetryPolicy(**{name: -1})


@pytest.mark.parametrize("value", [True, 1.0, "1", None, math.nan])
def test_a_count_is_a_whole_number(value):
    with pytest.raises(llmnet.ConfigurationError, match=r"^n must be a whole number that is at least 0, not "):
        count(value, "n")


@pytest.mark.parametrize("least", [0, 1])
def test_a_count_has_a_least_value(least):
    options = {"least": least} if least else {}
    assert [count(value, "n", **options) for value in (least, least + 7)] == [least, least + 7]
    with pytest.raises(llmnet.ConfigurationError, match=f"^n must be at least {least}, not {least - 1}"):
        count(least - 1, "n", **options)


def test_a_number_that_is_not_negative_may_be_zero_and_infinite():
    assert [not_negative(value, "x") for value in (0, -0.0, 0.25, 1, math.inf)] == [0.0, 0.0, 0.25, 1.0, math.inf]
    for value in (-0.25, False, True, "0", None, math.nan):
        with pytest.raises(llmnet.ConfigurationError, match=r"^x must be a positive number"):
            not_negative(value, "x")


# -- reasons ------------------------------------------------------------------------------------------------------------


class Case:
    """A judge with all that it asks, at a time that stands still until it is moved."""

    def __init__(self, *, total=600.0, rng=LEAST, renewable=False, capacity=500.0, **policy):
        self.now, self.gate = 0.0, Gate()
        self.policy = RetryPolicy(**policy)
        self.bucket = Bucket(capacity) if self.policy.budget is not None else None
        bounds = Bounds(Timeout(total=total), lambda: self.now)
        self.judge = Judge(self.policy, bounds, self.gate, self.bucket, rng, renewable=renewable)

    def verdict(self, error, *, took=0.0, **facts):
        return self.judge.verdict(Outcome(error, **facts), took=took)


def status(number, cls=llmnet.ServerError, **facts):
    return cls("", status=number, http_status=number, **facts)


def throttle(**facts):
    return status(429, llmnet.RateLimitError, **facts)


def late(phase):
    return llmnet.APITimeoutError("", phase=phase)


LATE = late("response")
STATUSES = range(100, 600)


def test_which_statuses_are_repeated():
    repeated = {408, 409, 425, 429, 500, 502, 503, 504, *range(520, 525), 529}
    assert {n for n in STATUSES if RetryPolicy().repeats(status(n))} == repeated
    assert {n for n in STATUSES if RetryPolicy(retry_statuses={418}).repeats(status(n))} == {418}


@pytest.mark.parametrize(
    ("policy", "facts", "throttles"),
    [
        ({}, {}, {429, 529}),
        ({}, {"retry_after": 0.0}, {429, 529}),
        ({}, {"retry_after": 0.5}, {429, 503, 529}),
        ({}, {"throttled": True}, set(STATUSES)),
        ({"max_throttle_wait": 0.5}, {}, {429, 529}),
        ({"max_throttle_wait": 0}, {"throttled": True}, set()),
    ],
)
def test_which_statuses_are_throttles(policy, facts, throttles):
    assert {n for n in STATUSES if RetryPolicy(**policy).throttles(status(n, **facts))} == throttles
    for error in (None, LATE, status(429, llmnet.QuotaExceededError, **facts)):
        assert RetryPolicy(**policy).throttles(error) is False


@pytest.mark.parametrize(
    ("said", "advice"), [(" TRUE ", True), ("false", False), ("perhaps", None), ("", None), (None, None)]
)
def test_the_servers_advice_counts_before_the_status_but_not_before_what_is_final(said, advice):
    meta = llmnet.Meta(headers=Headers({} if said is None else {"X-Should-Retry": said}))
    policy, wrong, busy = RetryPolicy(), status(400, meta=meta), status(503, meta=meta)
    assert should_retry(wrong) is should_retry(busy) is advice
    assert (policy.repeats(wrong), policy.repeats(busy)) == ((False, True) if advice is None else (advice, advice))
    for final in (
        status(503, meta=meta, final=True),
        status(400, meta=meta, final=True),
        status(429, llmnet.QuotaExceededError, meta=meta),
        status(429, llmnet.ContextLengthError, meta=meta),
    ):
        assert policy.repeats(final) is False


def test_advice_before_any_reply_is_none():
    assert should_retry(status(503)) is None


@pytest.mark.parametrize(
    ("options", "error", "facts", "decision"),
    [
        ({}, status(500), {}, Decision(True, 0.0, "transient")),
        ({"rng": MOST}, status(500), {}, Decision(True, 0.5, "transient")),
        ({}, status(503, retry_after=7.0), {}, Decision(True, 7.0, "throttled")),
        ({"max_throttle_wait": 0}, status(503, retry_after=7.0), {}, Decision(True, 7.0, "transient")),
        ({}, status(500), {"stale": True}, Decision(True, 0.0, "stale connection", transparent=True)),
        ({"max_retries": 0}, status(500), {}, Decision(False, reason="max_retries")),
        ({"max_retries": 0}, throttle(), {}, Decision(False, reason="max_retries")),
        ({}, status(400, llmnet.BadRequestError), {}, Decision(False, reason="not retryable")),
        ({}, status(401, llmnet.AuthenticationError), {}, Decision(False, reason="not retryable")),
        (
            {"renewable": True},
            status(401, llmnet.AuthenticationError),
            {},
            Decision(True, 0.0, "key refused", transparent=True),
        ),
        ({}, throttle(retry_after=120.0), {}, Decision(True, 120.0, "throttled")),
        ({}, throttle(retry_after=120.5), {}, Decision(False, reason="retry_after")),
        ({"max_throttle_wait": 6.9}, throttle(retry_after=7.0), {}, Decision(False, reason="max_throttle_wait")),
        ({"max_throttle_wait": 7.0}, throttle(retry_after=7.0), {}, Decision(True, 7.0, "throttled")),
        ({"total": 7.0}, throttle(retry_after=7.0), {}, Decision(False, reason="total")),
        ({"total": 7.1}, throttle(retry_after=7.0), {}, Decision(True, 7.0, "throttled")),
        ({"total": 0.5, "rng": MOST}, status(500), {}, Decision(False, reason="total")),
        ({"capacity": 13.9}, status(500), {}, Decision(False, reason="budget")),
        ({"capacity": 14.0}, status(500), {}, Decision(True, 0.0, "transient")),
        ({"budget": None}, status(500), {}, Decision(True, 0.0, "transient")),
        ({"total": 10.0}, LATE, {"took": 20.0}, Decision(True, 0.0, "transient")),
        ({"total": 10.0}, LATE, {"took": 20.1}, Decision(False, reason="total")),
        ({"retry_timeouts": False}, LATE, {}, Decision(False, reason="not retryable")),
        ({}, late("idle"), {}, Decision(True, 0.0, "transient")),
        ({"retry_timeouts": False}, late("idle"), {}, Decision(False, reason="not retryable")),
        ({"retry_timeouts": False}, late("connect"), {}, Decision(True, 0.0, "transient")),
        ({}, late("total"), {}, Decision(False, reason="not retryable")),
        ({}, late("queue"), {}, Decision(False, reason="not retryable")),
        ({}, status(529), {}, Decision(True, 0.5, "throttled")),
        ({}, status(503), {}, Decision(True, 0.0, "transient")),
        ({}, status(500, retry_after=7.0), {}, Decision(True, 7.0, "transient")),
        ({"total": 0.9}, status(500), {}, Decision(True, 0.0, "transient")),
        ({"max_retry_after": 0, "max_throttle_wait": 0}, status(500), {}, Decision(True, 0.0, "transient")),
        ({}, status(500, retry_after=120.0), {}, Decision(True, 120.0, "transient")),
        ({}, status(500, retry_after=120.5), {}, Decision(False, reason="retry_after")),
        ({"total": 10.0}, status(500), {"took": 60.0}, Decision(True, 0.0, "transient")),
        ({}, None, {"not_admitted": True}, Decision(False, reason="not admitted")),
        ({}, status(500), {"once": True}, Decision(True, 0.0, "transient")),
    ],
)
def test_the_first_verdict(options, error, facts, decision):
    assert Case(**options).verdict(error, **facts) == decision


def test_nothing_is_sent_once_the_time_is_over():
    case = Case(total=5.0)
    case.now = 5.0
    assert case.verdict(status(500), stale=True) == Decision(False, reason="total")


def test_transient_failures_are_counted():
    case = Case(rng=MOST)
    decisions = [case.verdict(status(500)) for _ in range(4)]
    assert decisions == [
        *(Decision(True, s, "transient") for s in (0.5, 1.0, 2.0)),
        Decision(False, reason="max_retries"),
    ]


def test_a_slip_is_repeated_once():
    case = Case()
    lost = llmnet.APIConnectionError("", phase="response")
    assert case.verdict(lost, once=True).retry
    assert case.verdict(lost, once=True) == Decision(False, reason="not retryable")


def test_a_stale_connection_and_a_refused_key_are_met_once_each():
    case = Case(renewable=True, rng=MOST)
    refused = status(401, llmnet.AuthenticationError)
    assert [case.verdict(status(500), stale=True).transparent for _ in range(2)] == [True, False]
    assert [case.verdict(refused).transparent for _ in range(2)] == [True, False]


def test_throttles_back_off_and_are_timed_in_all():
    case = Case(rng=MOST, max_throttle_wait=14.0)
    decisions = [case.verdict(throttle()) for _ in range(4)]
    assert [decision.delay for decision in decisions] == [1.0, 2.0, 4.0, 0.0]
    assert decisions[-1] == Decision(False, reason="max_throttle_wait")
    assert case.bucket.tokens == 500.0, "they use up no budget"


@pytest.mark.parametrize(
    ("error", "until", "second"),
    [(throttle(retry_after=7.0), 7.0, 7.425), (throttle(), 0.5, 0.625)],
    ids=["told", "not told"],
)
def test_a_throttle_shuts_the_gate_for_as_long_as_was_said(error, until, second):
    case = Case()
    case.verdict(error)
    assert case.gate.until == until
    assert [case.gate.next_turn(0.0) for _ in range(2)] == pytest.approx([until, second])


def test_a_refusal_that_ends_the_call_shuts_the_gate_for_others():
    case = Case(max_throttle_wait=1.0)
    assert not case.verdict(throttle(retry_after=7.0)).retry
    assert case.gate.until == 7.0


@pytest.mark.parametrize(("hint", "until"), [(121.0, 121.0), (3600.0, 3600.0), (1e9, 3600.0)])
def test_a_wait_that_no_call_obeys_shuts_the_gate_too_but_not_for_ever(hint, until):
    case = Case()
    assert case.verdict(throttle(retry_after=hint)) == Decision(False, reason="retry_after")
    assert (case.gate.until, case.gate.refusal.until) == (until, hint)
    assert case.gate.hint(until - 1) == hint - until + 1
    assert case.gate.hint(until) == 0, "then one asks again"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_retries": 0}, throttle(retry_after=7.0)),
        ({"max_throttle_wait": 0}, throttle(retry_after=7.0)),
        ({"max_throttle_wait": 0}, throttle(retry_after=1e9)),
        ({}, status(500, retry_after=1e9)),
        ({}, status(429, llmnet.QuotaExceededError, retry_after=1e9)),
    ],
)
def test_what_is_no_throttle_leaves_the_gate_open(options, error):
    case = Case(**options)
    case.verdict(error)
    assert case.gate.shut_for(0.0) == 0


@pytest.mark.parametrize("patience", ["total", "max_throttle_wait"])
@pytest.mark.parametrize(("error", "reason"), [(throttle, "throttled"), (lambda **f: status(500, **f), "transient")])
@pytest.mark.parametrize(("left", "delay"), [(7.0001, 7.00005), (8.0, 7.5), (100.0, 8.7)])
def test_jitter_takes_at_most_half_of_the_time_after_a_hint(patience, error, reason, left, delay):
    if (patience, reason) == ("max_throttle_wait", "transient"):
        left, delay = 100.0, 8.7
    decision = Case(rng=MOST, **{patience: left}).verdict(error(retry_after=7.0))
    assert (decision.retry, decision.reason) == (True, reason)
    assert decision.delay == pytest.approx(delay)


def test_a_hint_that_does_not_fit_is_not_waited_for():
    assert not Case(rng=LEAST, total=7.0).verdict(throttle(retry_after=7.0)).retry
    assert not Case(rng=LEAST, max_throttle_wait=6.9).verdict(throttle(retry_after=7.0)).retry


def test_a_success_gives_back_what_its_retries_drew_or_adds_its_credit():
    case = Case(capacity=500.0)
    case.verdict(status(500))
    case.verdict(status(500))
    assert case.bucket.tokens == 500.0 - 2 * 14
    case.judge.succeed()
    assert case.bucket.tokens == 500.0
    easy = Case(budget=RetryBudget(success_credit=3.0))
    easy.bucket.tokens = 400.0
    easy.judge.succeed()
    assert easy.bucket.tokens == 403.0
    Case(budget=None).judge.succeed()


# -- what the server asked to wait --------------------------------------------------------------------------------------

TOLD = {"retry-after": "7"}
IN_BODY = {"error": {"message": "Please try again in 9s."}}


@pytest.mark.parametrize(
    ("error", "headers", "seconds"),
    [
        (status(503), TOLD, 7.0),
        (status(400), TOLD, 7.0),
        (status(503), {}, None),
        (status(503, body=IN_BODY), TOLD, 7.0),
        (status(503, body=IN_BODY), {"retry-after": "soon"}, 9.0),
        (status(503, body={"error": {"resets_in_seconds": 11}}), {}, 11.0),
        (status(503, body={"error": {"message": "Please try again in 0s.", "resets_in_seconds": 11}}), {}, 0.0),
        (status(503, retry_after=0.0), TOLD, 0.0),
        (llmnet.RateLimitError("", http_status=200), TOLD, None),
        (llmnet.RateLimitError("", http_status=399), TOLD, None),
        (llmnet.RateLimitError("", http_status=200, body=IN_BODY), TOLD, 9.0),
    ],
)
def test_the_first_hint_counts(error, headers, seconds):
    read_hint(error, headers, 0.0)
    assert error.retry_after == seconds


def test_only_the_error_of_a_reply_has_a_hint():
    error = llmnet.APIConnectionError("")
    read_hint(error, TOLD, 0.0)
    assert not hasattr(error, "retry_after")
