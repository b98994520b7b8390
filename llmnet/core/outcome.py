"""What one failed attempt produced, and the verdict on it."""

import msgspec

from llmnet.core.errors import APIConnectionError, APIStatusError, LLMNetError


class Outcome(msgspec.Struct, frozen=True):
    """The facts of a failed attempt that `Call.decide` judges.

    Attributes:
        error: the typed error that the caller sees if the call ends here.
        stale: the request was never processed: the connection had served before and gave no byte of a reply, or the
            server says so.
        once: another attempt may help, a third one would not.
        not_admitted: there was no attempt: the call ends here, whatever the error.
    """

    error: LLMNetError
    stale: bool = False
    once: bool = False
    not_admitted: bool = False


class Decision(msgspec.Struct, frozen=True):
    """The verdict on a failed attempt: whether to send again, after how many seconds, and why (not)."""

    retry: bool
    delay: float = 0.0
    reason: str = ""
    transparent: bool = False


class AttemptError(Exception):
    """An attempt failed: a transport's word to the driver, never the caller's error.

    Attributes:
        outcome: what it produced.
        decision: what `Exchange.decide` has said of it, or `None` where nobody has judged it yet.
    """

    def __init__(self, outcome: Outcome, decision: Decision | None = None) -> None:
        super().__init__(outcome)
        self.outcome, self.decision = outcome, decision


def cause_of(error: BaseException) -> str:
    """A failure in a few words, for records and log lines."""
    if isinstance(error, APIStatusError):
        return f"{error.status} {error.code or error.type or type(error).__name__}"
    name, phase = type(error).__name__, getattr(error, "phase", None)
    return f"{name} ({phase})" if isinstance(error, APIConnectionError) and phase else name
