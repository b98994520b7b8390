"""What a throttle shuts for all calls of one lane: who comes back when, answered in seconds; nobody waits here."""

import math
import random
import threading
from typing import Self

import msgspec

from llmnet.core.errors import APIStatusError, RateLimitError

# Until when a gate is shut that never was.
NEVER = -math.inf
# So many more may come in one moment: a gate that would still hold one of them is not forgotten.
_CROWD = 1000


class Refusal(msgspec.Struct, frozen=True):
    """What a throttle said, for those whom it holds back: facts alone, for an error keeps its frames alive.

    Attributes:
        cls: the class of the error.
        message: its text, without a secret.
        status: the status that it stands for.
        http_status: the status that came.
        code: the vendor's code.
        type: the vendor's type of error.
        throttled: the vendor's code says that it is a throttle.
        until: the moment until which the server asked to wait, by which the gate opens; `None` where it named none.
    """

    cls: type[APIStatusError] = RateLimitError
    message: str = "too many requests"
    status: int = 429
    http_status: int = 429
    code: str | None = None
    type: str | None = None
    throttled: bool = False
    until: float | None = None

    @classmethod
    def of(cls, error: APIStatusError, until: float | None) -> Self:
        """The facts of an error that shuts a gate."""
        facts = (error.status, error.http_status, error.code, error.type, error.throttled)
        return cls(type(error), error.message, *facts, until)

    def error(self, seconds: float, detail: str) -> APIStatusError:
        """An error like the first one, for a call that cannot wait so many seconds and is not sent; *detail*: why."""
        text = f"{self.message}; it holds all calls for another {seconds:.1f}s, and {detail}"
        names = ("status", "http_status", "code", "type", "throttled")
        return self.cls(text, retry_after=seconds, **{name: getattr(self, name) for name in names})


_NONE = Refusal()


class Gate:
    """Shut by a throttle until a moment; then callers come back by number, in each step twice as many as before.

    A new refusal shuts it again before many have met it, and where none comes all are back after a few steps. Threads
    share it: `_lock` guards its fields against two who change them; `until` is one number, and is read without.
    """

    __slots__ = ("__weakref__", "_lock", "_step", "_turns", "refusal", "until")

    def __init__(self) -> None:
        self.until, self.refusal = NEVER, _NONE
        self._step, self._turns = 0.0, 0
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with a free lock: in a forked child the thread that may have held it is gone."""
        self._lock = threading.RLock()

    def shut(self, until: float, step: float, refusal: Refusal = _NONE) -> None:
        """Shut the gate until a moment of the monotonic clock; it never opens earlier than was said before."""
        with self._lock:
            if until > self.until:
                self.refusal, self.until, self._step, self._turns = refusal, until, step, 0

    def shut_for(self, now: float) -> float:
        """Seconds until the gate opens; 0.0 where it is open."""
        return max(0.0, self.until - now)

    def hint(self, now: float) -> float:
        """Seconds that the server asks to wait, as far as it named a moment and the gate is still shut for it."""
        until = self.refusal.until  # read once: another thread may put another refusal there
        return until - now if until is not None and self.shut_for(now) else 0.0

    def idle(self, now: float) -> bool:
        """Whether a new one would do as well."""
        return now >= self._turn(max(0, self._turns - 1), 1.0)

    def forget(self, now: float) -> None:
        """Be as one that never was shut, once it has been open for so long that it would hold nobody."""
        with self._lock:
            if now >= self._turn(self._turns + _CROWD, 1.0):
                self.until = NEVER

    def next_turn(self, chance: float, end: float = math.inf) -> float:
        """Give out the next number: the moment from which its owner may pass; the first one need not wait longer.

        Chance never carries that moment past the *end* of its owner's time, where it would come in time without.
        """
        with self._lock:
            turns, self._turns = self._turns, self._turns + 1
            at = self._turn(turns, chance)
            return at if at < end else self._turn(turns, 0.0)

    def _turn(self, number: int, chance: float) -> float:
        return self.until + self._step * math.log2(1 + number * (1 + chance))


class GateTurn:
    """One call's turn at a gate; it takes a new number whenever the gate was shut anew. Its call alone has it."""

    __slots__ = ("_at", "_gate", "_rng", "_until")

    def __init__(self, gate: Gate, rng: random.Random) -> None:
        self._gate, self._rng = gate, rng
        self._at = self._until = NEVER

    def wait_time(self, now: float, resume_at: float, left: float) -> float:
        """Seconds until the call may pass; asked again on waking, for the gate may have been shut meanwhile.

        Args:
            now: the monotonic time.
            resume_at: when its own delay after the previous failure is over.
            left: seconds that it may wait; a call that has to wait longer takes no number, which would only make
                others wait.
        """
        wait = max(resume_at - now, self._gate.shut_for(now))
        if wait >= left or resume_at > now:
            return wait
        if self._until != self._gate.until:
            self._gate.forget(now)
            self._until = self._gate.until
            self._at = self._gate.next_turn(self._rng.random(), now + left)
        return max(0.0, self._at - now)
