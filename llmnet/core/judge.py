"""The rules by which a failed attempt is judged, in their order; `Call.decide` is the only one who asks.

What a call has used up so far is kept here: retries, throttles, the budget drawn, the key refused.
"""

import contextlib
import random
from collections.abc import Iterator, Mapping

import msgspec

from llmnet.core.admission.gate import Gate, Refusal
from llmnet.core.admission.lanes import Bucket
from llmnet.core.bounds import Bounds
from llmnet.core.errors import APIStatusError, APITimeoutError, AuthenticationError, LLMNetError
from llmnet.core.outcome import Decision, Outcome
from llmnet.core.resets import reset_in_body
from llmnet.core.retry import RetryPolicy, after_hint, return_step
from llmnet.core.retry_after import hint_in_body, parse_retry_after

# Seconds for which a `Retry-After` that no call obeys shuts the gate at most: then one call asks again.
LONGEST_SHUT = 3600.0
# One entry for each block that has turned retries off; a list is added to and taken from in one step.
_off: list[object] = []


class Judge(msgspec.Struct):
    """The judge of one call.

    Attributes:
        renewable: whether the key comes from a callable, which may give another one after a refusal.
        wants_fresh: a stale connection was met: the attempt that replaces it must not take another old one.
    """

    policy: RetryPolicy
    bounds: Bounds
    gate: Gate
    bucket: Bucket | None
    rng: random.Random
    renewable: bool
    wants_fresh: bool = False
    _renewed: bool = False
    _retries: int = 0
    _throttles: int = 0
    _throttled_for: float = 0.0
    _drawn: float = 0.0

    @property
    def repeats(self) -> bool:
        """Whether anything is sent again at all, but for what met a dead connection."""
        return self.policy.max_retries > 0 and not retries_are_off()

    @property
    def left(self) -> int:
        """Retries of transient failures that the policy has left."""
        return self.policy.max_retries - self._retries

    def verdict(self, outcome: Outcome, *, took: float) -> Decision:
        """Whether to send again, and after how long; the first rule that applies decides.

        Args:
            outcome: what the attempt produced.
            took: seconds that the attempt took after it was sent.
        """
        error = outcome.error
        if outcome.not_admitted:
            return Decision(False, reason="not admitted")
        if self.bounds.total_left() <= 0:
            return Decision(False, reason="total")
        if outcome.stale and not self.wants_fresh:
            self.wants_fresh = True
            return Decision(True, reason="stale connection", transparent=True)
        if not self.repeats:
            return Decision(False, reason="max_retries")
        if self.renewable and not self._renewed and isinstance(error, AuthenticationError):
            self._renewed = True
            return Decision(True, reason="key refused", transparent=True)
        if not self.policy.repeats(error) or (outcome.once and self._retries):
            return Decision(False, reason="not retryable")
        hint = (error.retry_after if isinstance(error, APIStatusError) else None) or 0.0
        if isinstance(error, APIStatusError) and self.policy.throttles(error):
            return self._throttle(error, hint, took)
        if hint > self.policy.max_retry_after:
            return Decision(False, reason="retry_after")
        return self._transient(error, hint, took)

    def _throttle(self, error: APIStatusError, hint: float, took: float) -> Decision:
        """Wait at the gate that all callers share, with equal jitter; neither retries nor budget are used up."""
        if hint > self.policy.max_retry_after:
            self._shut(error, hint, min(hint, LONGEST_SHUT), took)
            return Decision(False, reason="retry_after")
        self._throttles += 1
        ceiling = self.policy.throttle_backoff(self._throttles)
        left = min(self.bounds.total_left(), self.policy.max_throttle_wait - self._throttled_for)
        delay = after_hint(hint, self.rng, left) if hint else self.rng.uniform(ceiling / 2, ceiling)
        self._shut(error, hint, hint or delay, took)
        if self._throttled_for + delay > self.policy.max_throttle_wait:
            return Decision(False, reason="max_throttle_wait")
        if delay >= self.bounds.total_left():
            return Decision(False, reason="total")
        self._throttled_for += delay
        return Decision(True, delay, "throttled")

    def _shut(self, error: APIStatusError, hint: float, seconds: float, took: float) -> None:
        """Shut the gate; those whom it holds back for longer than they have time hear what shut it."""
        now = self.bounds.clock()
        self.gate.shut(now + seconds, return_step(seconds, took), Refusal.of(error, now + hint if hint else None))

    def _transient(self, error: LLMNetError, hint: float, took: float) -> Decision:
        """Back off with full jitter, as often as the policy and the shared budget allow."""
        if self._retries >= self.policy.max_retries:
            return Decision(False, reason="max_retries")
        left, ceiling = self.bounds.total_left(), self.policy.backoff(self._retries + 1)
        delay = after_hint(hint, self.rng, left) if hint else self.rng.uniform(0.0, ceiling)
        left -= delay
        # A slow reply is not bought twice for nothing: what is left must be at least half of what the attempt took.
        if left <= 0 or (isinstance(error, APITimeoutError) and left < took / 2):
            return Decision(False, reason="total")
        if not self._draw():
            return Decision(False, reason="budget")
        self._retries += 1
        return Decision(True, delay, "transient")

    def _draw(self) -> bool:
        if self.bucket is None or self.policy.budget is None:
            return True
        if not self.bucket.take(self.policy.budget.retry_cost):
            return False
        self._drawn += self.policy.budget.retry_cost
        return True

    def succeed(self) -> None:
        """A success gives back what its retries have drawn, or adds its credit."""
        if self.bucket is not None and self.policy.budget is not None:
            self.bucket.give(self._drawn or self.policy.budget.success_credit)


def read_hint(error: LLMNetError, headers: Mapping[str, str], now: float) -> None:
    """Note what the server asked to wait; `Retry-After` on a success says nothing of an error inside it."""
    if isinstance(error, APIStatusError) and error.retry_after is None:
        told = parse_retry_after(headers, now) if error.http_status >= 400 else None
        hints = (told, hint_in_body(error.body), reset_in_body(error.body, now))
        error.retry_after = next((hint for hint in hints if hint is not None), None)


@contextlib.contextmanager
def no_retries() -> Iterator[None]:
    """Within the block nothing is sent again, in the whole process: all behave as with `max_retries=0`.

    So do clients, batches, `with_retry`, `retry_with_backoff`, `create_session` and `create_async_client`, on whatever
    thread or loop, whenever they were made. A connection that turns out dead is still replaced. Blocks may be nested.
    """
    block = object()
    _off.append(block)
    try:
        yield
    finally:
        _off.remove(block)


def retries_are_off() -> bool:
    """Whether nothing is to be sent again."""
    return bool(_off)
