"""What happens to one call, noted in its meta and passed to a listener as it happens; it judges nothing.

The end is passed on once, whoever is the first to see it; each attempt that was begun is noted once, however it ended.
"""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from llmnet.core.admission.gate import Refusal
from llmnet.core.bounds import Bounds
from llmnet.core.chat import Usage
from llmnet.core.events import (
    AttemptFailed,
    AttemptStarted,
    CallEvent,
    CallFinished,
    CallQueued,
    Ending,
    FirstToken,
    Held,
    Listener,
    Throttled,
)
from llmnet.core.http import NO_HEADERS, Attempt, Headers, Meta
from llmnet.core.outcome import Decision

_numbers = itertools.count(1)


class Record:
    """The record of one call: of the thread that drives it, but that any may end it; `_end` lets one do so.

    Args:
        bounds: whose clock is read.
        listener: who is notified, or `None`.
        facts: provider, host, model, and whether it is a stream: what all events of the call say.
        count: takes each request that goes out.

    Attributes:
        meta: how the call went so far.
        model: the model that was asked for.
        stream: whether the reply is to be streamed.
        sent: takes how many requests more, or less, have gone out.
        attempting: whether an attempt is under way.
    """

    __slots__ = (
        "_attempt_at", "_begun", "_bounds", "_eager", "_end", "_facts", "_listen", "_listener", "_number", "attempting",
        "meta", "model", "sent", "stream",
    )  # fmt: skip

    def __init__(
        self,
        bounds: Bounds,
        listener: Listener | None = None,
        facts: tuple[str, str, str, bool] = ("", "", "", False),
        count: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.meta, self.sent = Meta(), count
        self.model, self.stream = facts[2:]
        self._bounds, self._listener = bounds, listener
        self._listen: Callable[[CallEvent], None] | None = listener
        self._eager: Callable[[CallEvent], None] | None = listener if listener is not None and listener.eager else None
        self._facts = (next(_numbers), *facts)
        self._begun = self.attempting = False
        self._number = 0
        self._attempt_at = 0.0
        self._end = threading.Lock()  # taken by whoever ends the call, and never given back

    def put_off(self) -> None:
        """From now on a finalizer speaks: what it tells is passed on elsewhere, where a listener may do as it likes."""
        if self._listener is not None:
            self._eager = self._eager and self._listener.later
            self._listen = self._listener.later

    def _event(self, kind: Callable[..., CallEvent], *facts: Any) -> CallEvent:
        return kind(*self._facts, self._bounds.elapsed(), *facts)

    def held(self, seconds: float, refusal: Refusal) -> None:
        """The call waits for a throttle that another one has met."""
        if self._eager is not None:
            self._eager(self._event(Held, seconds, f"{refusal.status} {refusal.code or refusal.type or 'throttle'}"))

    @property
    def over(self) -> bool:
        """Whether the end was noted."""
        return self._end.locked()

    def queued(self) -> None:
        """The call begins, unless it has."""
        if not self._begun:
            self._begun = True
            if self._eager is not None:
                self._eager(self._event(CallQueued))

    def attempt(self) -> None:
        """An attempt begins; what came of the one before is forgotten."""
        meta = self.meta
        meta.status, meta.request_id, meta.headers = None, None, NO_HEADERS
        self._attempt_at = self._bounds.elapsed()
        if not self._number:
            meta.queued = self._attempt_at
        self.attempting = True
        self._number += 1
        if self._eager is not None:
            self._eager(self._event(AttemptStarted, self._number))

    def received(self, status: int | None, headers: Headers, request_id: str | None) -> None:
        """The head of a reply, and the id that it gives, without a secret."""
        meta = self.meta
        meta.status, meta.headers, meta.request_id = status, headers, request_id

    @property
    def took(self) -> float:
        """Seconds since the last attempt began."""
        return self._bounds.elapsed() - self._attempt_at

    def ended(self, attempt: Attempt) -> None:
        """The attempt under way is over, however it ended."""
        if self.attempting:
            self.attempting = False
            self.meta.attempts.append(attempt)

    def so_far(self, *, goes_on: bool) -> Meta:
        """How the call went up to now; of a call that *goes_on* a copy, which what follows does not change."""
        now = self._bounds.elapsed()
        if goes_on:
            return msgspec.structs.replace(self.meta, attempts=[*self.meta.attempts], elapsed=now)
        self.meta.elapsed = now
        return self.meta

    def failed(self, attempt: Attempt, error: BaseException | None, decision: Decision, left: int = 0) -> None:
        """The attempt that is over has not brought the whole reply, and was judged; *left*: retries that are left."""
        if self._eager is not None:
            kind = Throttled if attempt.throttled else AttemptFailed
            self._eager(self._event(kind, self._number, attempt, error, decision.retry, decision.reason, left))

    def delivered(self) -> None:
        """The first chunk is handed out."""
        self.meta.time_to_first_token = self._bounds.elapsed()
        if self._eager is not None:
            self._eager(self._event(FirstToken))

    def finished(self, outcome: Ending, usage: Usage, error: BaseException | None = None) -> None:
        """The call is over; only the first word on that counts, and a call that never began has none."""
        if not self._end.acquire(blocking=False):
            return
        meta = self.meta
        meta.elapsed = at = self._bounds.elapsed()
        if self._begun and self._listen is not None:
            self._listen(CallFinished(*self._facts, at, outcome, meta, [*meta.attempts], usage, error))
