"""What happens to a call, told as it happens: plain values for hooks, counters and log lines, no word of a prompt.

A call that has begun tells `CallQueued` first and `CallFinished` last, each exactly once.
"""

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import msgspec

from llmnet.core.chat import Usage
from llmnet.core.errors import LLMNetError
from llmnet.core.http import Attempt, Meta

Ending = Literal["ok", "error", "cancelled", "closed"]


class CallEvent(msgspec.Struct, frozen=True, kw_only=True):
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


class CallQueued(CallEvent, frozen=True, kw_only=True):
    """A call has begun, and waits for its turn where others are before it."""


class AttemptStarted(CallEvent, frozen=True, kw_only=True):
    """An attempt begins; `number` counts from 1."""

    number: int


class AttemptFailed(CallEvent, frozen=True, kw_only=True):
    """An attempt has failed.

    Attributes:
        number: which one, from 1.
        attempt: the very entry of `meta.attempts`: its cause, and the wait before the next one.
        error: what it failed with; the call ends with it if `retried` is false.
        retried: whether the call goes on.
        reason: why it does, or does not.
    """

    number: int
    attempt: Attempt
    error: LLMNetError
    retried: bool
    reason: str


class Throttled(AttemptFailed, frozen=True, kw_only=True):
    """An attempt was turned away by a limit, and the call waits at the gate."""


class FirstToken(CallEvent, frozen=True, kw_only=True):
    """The first chunk of a stream is handed out."""


class CallFinished(CallEvent, frozen=True, kw_only=True):
    """A call is over.

    Attributes:
        outcome: `ok`; `error`; `cancelled` from outside; `closed`: the caller stopped listening to its stream.
        meta: how it went.
        attempts: the call's own entries of `meta.attempts`, which hold those of earlier calls of the same method too.
        usage: tokens as the vendor counted them, as far as known.
        error: what the caller sees, or `None`.
    """

    outcome: Ending
    meta: Meta
    attempts: list[Attempt]
    usage: Usage
    error: LLMNetError | None = None


Hook: TypeAlias = Callable[[CallEvent], object]


class Listener(Protocol):
    """Who is told of the events of a call."""

    def heeds(self, kind: type[CallEvent]) -> bool:
        """Whether an event of that kind would be of use; it is not made otherwise."""

    def __call__(self, event: CallEvent) -> None:
        """Take an event."""
