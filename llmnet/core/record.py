"""What happens to one call, noted in its meta and told to a listener as it happens; it judges nothing.

The end is told once, whoever is the first to see it.
"""

import itertools
from typing import Any, TypeVar

from llmnet.core.bounds import Bounds
from llmnet.core.chat import Usage
from llmnet.core.errors import LLMNetError
from llmnet.core.events import (
    AttemptFailed,
    AttemptStarted,
    CallEvent,
    CallFinished,
    CallQueued,
    Ending,
    FirstToken,
    Listener,
    Throttled,
)
from llmnet.core.http import Attempt, Meta
from llmnet.core.retry import Decision

E = TypeVar("E", bound=CallEvent)

_numbers = itertools.count(1)


class Record:
    """The record of one call.

    Args:
        bounds: whose clock is read.
        listener: who is told, or `None`.
        provider, host, model, stream: what all events of the call say.

    Attributes:
        meta: how the call went so far.
        over: whether its end was told.
    """

    __slots__ = ("_bounds", "_listener", "_said", "_started", "_taken_over", "meta", "over")

    def __init__(self, bounds: Bounds, listener: Listener | None, **said: Any) -> None:
        self.meta = Meta()
        self._bounds, self._listener = bounds, listener
        self._said = {"call": next(_numbers), **said}
        self._started = self.over = False
        self._taken_over = 0

    def _tell(self, kind: type[E], **facts: Any) -> None:
        if self._listener is not None and self._listener.heeds(kind):
            self._listener(kind(at=self._bounds.elapsed(), **self._said, **facts))

    def queued(self) -> None:
        """The call begins, unless it has."""
        if not self._started:
            self._started, self._taken_over = True, len(self.meta.attempts)
            self._tell(CallQueued)

    @property
    def _number(self) -> int:
        return len(self.meta.attempts) - self._taken_over + 1

    def attempt(self) -> None:
        """An attempt begins."""
        self._tell(AttemptStarted, number=self._number)

    def failed(self, attempt: Attempt, error: LLMNetError, decision: Decision) -> None:
        """An attempt has failed, and was judged."""
        kind = Throttled if attempt.throttled else AttemptFailed
        facts = {"attempt": attempt, "error": error, "retried": decision.retry, "reason": decision.reason}
        number = self._number
        self.meta.attempts.append(attempt)
        self._tell(kind, number=number, **facts)

    def shown(self) -> None:
        """A chunk is handed out."""
        if self.meta.time_to_first_token is None:
            self.meta.time_to_first_token = self._bounds.elapsed()
            self._tell(FirstToken)

    def finished(self, outcome: Ending, usage: Usage, error: LLMNetError | None = None) -> None:
        """The call is over; only the first word on that counts, and a call that never began has none."""
        if self.over:
            return
        self.over = True
        self.meta.elapsed = self._bounds.elapsed()
        if self._started:
            own = self.meta.attempts[self._taken_over :]
            self._tell(CallFinished, outcome=outcome, meta=self.meta, attempts=own, usage=usage, error=error)
