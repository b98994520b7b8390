"""What happens to a call, told as it happens: plain values for hooks, counters and log lines, no word of a prompt.

A call that has begun tells `CallQueued` first and `CallFinished` last, each exactly once.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from llmnet.core.chat import Usage
from llmnet.core.http import Attempt, Meta
from llmnet.core.plain import Value, public

Ending = Literal["ok", "error", "cancelled", "closed"]


@public
class CallEvent(Value, msgspec.Struct, frozen=True):
    """What all events say.

    Attributes:
        call: a number that all events of one call have in common.
        provider: the service.
        host: where it is sent to.
        model: the model that was asked for, `""` where none is.
        stream: whether the reply is streamed.
        at: seconds since the call began.
    """

    call: int
    provider: str
    host: str
    model: str
    stream: bool
    at: float

    def to_dict(self) -> dict[str, Any]:
        """The name of the event, as `event`, and its fields as JSON types."""
        return {"event": type(self).__name__, **super().to_dict()}


@public
class CallQueued(CallEvent, frozen=True):
    """A call has begun, and waits for its turn where others are before it."""


@public
class AttemptStarted(CallEvent, frozen=True):
    """An attempt begins; `number` counts from 1."""

    number: int


@public
class AttemptFailed(CallEvent, frozen=True):
    """An attempt has ended without a whole reply: it failed, or the call was ended.

    Attributes:
        number: which one, from 1.
        attempt: the very entry of `meta.attempts`: its cause, and the wait before the next one.
        error: what it failed with, complete as a raised one, its `meta` as far as this event; where it is not `retried`
            the call ends with it. `None`: nobody listened any more.
        retried: whether the call goes on.
        reason: why it does, or does not.
        left: retries of transient failures that it has left, where it does.
    """

    number: int
    attempt: Attempt
    error: BaseException | None
    retried: bool
    reason: str
    left: int = 0


@public
class Throttled(AttemptFailed, frozen=True):
    """An attempt was turned away by a limit; if the call goes on, it waits at the gate that it shares with others."""


class Held(CallEvent, frozen=True):
    """A call waits at a gate that the throttle of another one has shut; for the log alone.

    Attributes:
        seconds: how long it waits, unless the gate is shut anew.
        cause: what has shut it.
    """

    seconds: float
    cause: str


@public
class FirstToken(CallEvent, frozen=True):
    """The first chunk of a stream is handed out."""


@public
class CallFinished(CallEvent, frozen=True):
    """A call is over.

    Attributes:
        outcome: `ok`; `error`; `cancelled` from outside; `closed`: the caller stopped listening to its stream.
        meta: how it went.
        attempts: all attempts of the call, as in `meta`.
        usage: tokens as the vendor counted them, as far as known.
        error: what the caller sees, also where it is no error of ours, or `None`.
    """

    outcome: Ending
    meta: Meta
    attempts: list[Attempt]
    usage: Usage
    error: BaseException | None = None


def ending(error: BaseException | None) -> Ending:
    """The outcome of a call that an exception broke off, or nobody listened to any more."""
    if error is None:
        return "closed"
    return "error" if isinstance(error, Exception) else "cancelled"


Hook: TypeAlias = Callable[[CallEvent], object]


class Listener(Protocol):
    """Who is told of the events of a call."""

    @property
    def eager(self) -> bool:
        """Whether events other than the last one are to be made."""

    def __call__(self, event: CallEvent) -> None:
        """Take an event."""

    def later(self, event: CallEvent) -> None:
        """Take an event from a finalizer, and pass it on elsewhere: here nothing of the caller's may run."""
