"""What happens to one call, noted in its meta and told to a listener as it happens; it judges nothing.

The end is told once, whoever is the first to see it; each attempt that was begun is noted once, however it ended.
"""

import itertools
import threading
from collections.abc import Callable
from typing import Any

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
    Listener,
    Throttled,
)
from llmnet.core.http import Attempt, Headers, Meta
from llmnet.core.retry import Decision

_numbers = itertools.count(1)


class Record:
    """The record of one call: of the thread that drives it, but that any may end it; `_end` lets one do so.

    Args:
        bounds: whose clock is read.
        listener: who is told, or `None`.
        said: provider, host, model, and whether it is a stream: what all events of the call say.

    Attributes:
        meta: how the call went so far.
        attempting: whether an attempt is under way.
    """

    __slots__ = (
        "_attempt_at", "_begun", "_bounds", "_eager", "_end", "_listen", "_listener", "_number", "_said", "attempting",
        "meta",
    )  # fmt: skip

    def __init__(self, bounds: Bounds, listener: Listener | None, said: tuple[str, str, str, bool]) -> None:
        self.meta = Meta()
        self._bounds, self._listener = bounds, listener
        self._listen: Callable[[CallEvent], None] | None = listener
        self._eager: Callable[[CallEvent], None] | None = listener if listener is not None and listener.eager else None
        self._said = (next(_numbers), *said)
        self._begun = self.attempting = False
        self._number = 0
        self._attempt_at = 0.0
        self._end = threading.Lock()  # taken by whoever ends the call, and never given back

    def put_off(self) -> None:
        """From now on a finalizer speaks: what it tells is passed on elsewhere, where a listener may do as it likes."""
        if self._listener is not None:
            self._eager = self._eager and self._listener.later
            self._listen = self._listener.later

    def _tell(self, kind: Callable[..., CallEvent], *facts: Any) -> None:
        if self._eager is not None:
            self._eager(kind(*self._said, self._bounds.elapsed(), *facts))

    @property
    def over(self) -> bool:
        """Whether the end was told."""
        return self._end.locked()

    def queued(self) -> None:
        """The call begins, unless it has."""
        if not self._begun:
            self._begun = True
            self._tell(CallQueued)

    def attempt(self) -> None:
        """An attempt begins; what the one before was told is forgotten."""
        meta = self.meta
        meta.status, meta.request_id, meta.headers = None, None, Headers()
        self._attempt_at = self._bounds.elapsed()
        if not self._number:
            meta.queued = self._attempt_at
        self.attempting = True
        self._number += 1
        self._tell(AttemptStarted, self._number)

    @property
    def took(self) -> float:
        """Seconds since the last attempt began."""
        return self._bounds.elapsed() - self._attempt_at

    def succeeded(self, attempt: Attempt) -> None:
        """The attempt under way has brought the whole reply."""
        if self.attempting:
            self.attempting = False
            self.meta.attempts.append(attempt)

    def failed(self, attempt: Attempt, error: BaseException | None, decision: Decision) -> None:
        """The attempt under way has not, and was judged."""
        self.attempting = False
        self.meta.attempts.append(attempt)
        kind = Throttled if attempt.throttled else AttemptFailed
        self._tell(kind, self._number, attempt, error, decision.retry, decision.reason)

    def shown(self) -> None:
        """The first chunk is handed out."""
        self.meta.time_to_first_token = self._bounds.elapsed()
        self._tell(FirstToken)

    def finished(self, outcome: Ending, usage: Usage, error: BaseException | None = None) -> None:
        """The call is over; only the first word on that counts, and a call that never began has none."""
        if not self._end.acquire(blocking=False):
            return
        meta = self.meta
        meta.elapsed = at = self._bounds.elapsed()
        if self._begun and self._listen is not None:
            self._listen(CallFinished(*self._said, at, outcome, meta, [*meta.attempts], usage, error))
