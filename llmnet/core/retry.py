"""The policy: what is retried, and the length of the wait before a retry or after a throttle; `Judge` decides by it.

Why these figures: docs/resilience.md, Backoff, and docs/resilience.md, Budget.
"""

import dataclasses
import math
import random
from collections.abc import Collection, Mapping
from typing import Any

from llmnet.core.bounds import check_field, positive, written
from llmnet.core.errors import (
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    ContextLengthError,
    LLMNetError,
    QuotaExceededError,
)
from llmnet.core.plain import Plain, Returnable, public
from llmnet.core.retry_after import parse_retry_after

# `parse_retry_after` is offered here, too: it belongs to what a policy is asked for.
__all__ = ["RETRY_STATUSES", "RetryBudget", "RetryPolicy", "parse_retry_after"]

RETRY_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


@public
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget(Plain):
    """The figures of a retry budget; the bucket itself belongs to a client, one per (host, credential).

    Attributes:
        capacity: tokens of a full bucket.
        retry_cost: tokens that a transient retry draws; a success gives them back.
        success_credit: tokens that a success without a retry adds.
    """

    capacity: float = 500.0
    retry_cost: float = 14.0
    success_credit: float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_field(self, field.name, f"RetryBudget.{field.name}", positive)


@public
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy(Returnable):
    """What is retried, how often and after how long.

    Attributes:
        max_retries: retries of transient failures after the first attempt; 0 sends exactly one request.
        base_delay: seconds that the first backoff is drawn from; each further one doubles it.
        max_delay: seconds that a backoff never exceeds.
        max_retry_after: the longest `Retry-After` that is obeyed; a longer one ends the call at once, and for as long
            (an hour at most) all others to the same host with the same credential and model.
        max_throttle_wait: seconds that a call may spend waiting out throttles; 0 makes them ordinary failures.
        retry_statuses: HTTP statuses that are retried unless the vendor's code says otherwise.
        retry_timeouts: whether an attempt that timed out after it was sent is repeated; it may be billed twice.
        budget: figures of the retry budget, or `None` for no limit.

    Raises:
        ConfigurationError: a value has the wrong type or range.
    """

    max_retries: int = 3
    base_delay: float = 0.5
    max_delay: float = 8.0
    max_retry_after: float = 120.0
    max_throttle_wait: float = 120.0
    retry_statuses: Collection[int] = RETRY_STATUSES
    retry_timeouts: bool = True
    budget: RetryBudget | None = RetryBudget()

    def __post_init__(self) -> None:
        count(self.max_retries, "max_retries")
        for name in ("base_delay", "max_delay"):
            check_field(self, name, name, positive)
        for name in ("max_retry_after", "max_throttle_wait"):
            check_field(self, name, name, not_negative)
        statuses = self.retry_statuses
        if not isinstance(statuses, Collection) or isinstance(statuses, str | bytes | bytearray | Mapping):
            raise ConfigurationError(f"retry_statuses must be a set of HTTP statuses, not {type(statuses).__name__}")
        if wrong := [s for s in statuses if isinstance(s, bool) or not isinstance(s, int)]:
            raise ConfigurationError(f"retry_statuses must be whole numbers, not {wrong[0]!r}")
        if not isinstance(self.retry_timeouts, bool):
            raise ConfigurationError(f"retry_timeouts must be True or False, not {self.retry_timeouts!r}")
        if self.budget is not None and not isinstance(self.budget, RetryBudget):
            raise ConfigurationError(f"budget must be a RetryBudget or None, not {type(self.budget).__name__}")

    def repeats(self, error: LLMNetError) -> bool:
        """Whether an error is of a kind that another attempt may mend."""
        if isinstance(error, QuotaExceededError | ContextLengthError):
            return False
        if isinstance(error, APITimeoutError):
            return error.phase == "connect" or (error.phase in ("response", "idle") and self.retry_timeouts)
        if isinstance(error, APIStatusError):
            advice = False if error.final else should_retry(error)
            return advice if advice is not None else error.throttled or error.status in self.retry_statuses
        return error.retryable

    def throttles(self, error: BaseException | None) -> bool:
        """Whether an error is a throttle: 429, 529, a code that says so, or 503 with Retry-After; no spent quota is."""
        if not isinstance(error, APIStatusError) or isinstance(error, QuotaExceededError):
            return False
        said = error.throttled or error.status in (429, 529) or (error.status == 503 and bool(error.retry_after))
        return said and self.max_throttle_wait > 0

    def backoff(self, n: int) -> float:
        """The ceiling of the n-th backoff after a transient failure (n from 1)."""
        return min(self.max_delay, self.base_delay * 2.0 ** min(n - 1, 64))

    def throttle_backoff(self, n: int) -> float:
        """The ceiling of the n-th backoff after a throttle that named no time (n from 1)."""
        return min(3.75 * self.max_delay, 2 * self.base_delay * 2.0 ** min(n - 1, 64))


def should_retry(error: APIStatusError) -> bool | None:
    """What the server advises by `x-should-retry`, if anything."""
    said = error.meta.headers.get("x-should-retry", "").strip().lower() if error.meta else ""
    return {"true": True, "false": False}.get(said)


def after_hint(seconds: float, rng: random.Random, left: float = math.inf) -> float:
    """The wait after a server's hint: never less, a little more, so that callers come back spread out.

    Of the time *left* after the hint at most half is spent on that: who can come back in time does.
    """
    room = max(0.0, left - seconds) / 2
    return seconds + rng.uniform(0.0, min(_spread(seconds), room))


def return_step(seconds: float, took: float) -> float:
    """How long after a throttle the first caller is alone before others follow: the next refusal is heard by then.

    Args:
        seconds: how long the gate is shut.
        took: how long the refusal took to come.
    """
    return min(5.0, max(2.0 * took, min(seconds, _spread(seconds)) / 4))


def _spread(seconds: float) -> float:
    return min(5.0, 1.0 + 0.1 * seconds)


def count(value: Any, name: str, least: int = 0) -> int:
    """Check a whole number that has a least value.

    Raises:
        ConfigurationError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{name} must be a whole number that is at least {least}, not {value!r}")
    if value < least:
        raise ConfigurationError(f"{name} must be at least {least}, not {written(value)}")
    return value


def not_negative(value: Any, name: str) -> float:
    """Check a number from 0; infinity is one.

    Raises:
        ConfigurationError: it is none.
    """
    return 0.0 if value == 0 and not isinstance(value, bool) else positive(value, name)
