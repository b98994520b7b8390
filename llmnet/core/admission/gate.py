"""What calls to one host share when it pushes back: a gate that a throttle shuts, a bucket that retries drain."""

import dataclasses
import math
import random
import threading
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, Self, TypeVar

from llmnet.core.errors import APIStatusError, RateLimitError

# So many lanes are kept at least before unused lanes are forgotten.
MANY = 1000
# So many at most, whatever they hold: beyond them the one that was asked for longest ago is forgotten.
MOST = 20 * MANY


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """What a throttle said, for those whom it holds back: facts alone, for an error keeps its frames alive.

    Attributes:
        cls: the class of the error.
        message: its text, without a secret.
        status: the status that it stands for.
        http_status: the status that the wire carried.
        code: the vendor's code.
        type: the vendor's type of error.
        throttled: the vendor's code says that it is a throttle.
        until: the moment until which the server asked to wait, or `None` where it named none.
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


class Gate:
    """Shut by a throttle until a moment; then callers come back by number, in each step twice as many as before.

    A new refusal shuts it again before many have met it, and where none comes all are back after a few steps. Threads
    share it: `_lock` guards its fields against two who change them; `until` is one number, and is read without.
    """

    __slots__ = ("__weakref__", "_lock", "_step", "_turns", "refusal", "until")

    def __init__(self) -> None:
        self.until, self.refusal = -math.inf, Refusal()
        self._step, self._turns = 0.0, 0
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with a free lock: in a forked child the thread that may have held it is gone."""
        self._lock = threading.RLock()

    def shut(self, until: float, step: float, refusal: Refusal = Refusal()) -> None:
        """Shut the gate until a moment of the monotonic clock; it never opens earlier than was said before."""
        with self._lock:
            if until > self.until:
                self.refusal, self.until, self._step, self._turns = refusal, until, step, 0

    def wait(self, now: float) -> float:
        """Seconds until the gate opens; 0.0 where it is open."""
        return max(0.0, self.until - now)

    def hint(self, now: float) -> float:
        """Seconds that the server asks to wait, as far as it named a moment and the gate is still shut for it."""
        return max(0.0, self.refusal.until - now) if self.refusal.until is not None and self.wait(now) else 0.0

    def idle(self, now: float) -> bool:
        """Whether a new one would do as well."""
        return now >= self._turn(max(0, self._turns - 1), 1.0)

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


class Turn:
    """One call's turn at a gate; it takes a new number whenever the gate was shut anew. Its call alone has it."""

    __slots__ = ("_at", "_gate", "_rng", "_until")

    def __init__(self, gate: Gate, rng: random.Random) -> None:
        self._gate, self._rng = gate, rng
        self._at = self._until = -math.inf

    def wait(self, now: float, resume_at: float, left: float) -> float:
        """Seconds until the call may pass; asked again on waking, for the gate may have been shut meanwhile.

        Args:
            now: the monotonic time.
            resume_at: when its own delay after the previous failure is over.
            left: seconds that it may wait; a call that has to wait longer takes no number, which would only make
                others wait.
        """
        wait = max(resume_at - now, self._gate.wait(now))
        if wait >= left or resume_at > now:
            return wait
        if self._until != self._gate.until:
            self._until = self._gate.until
            self._at = self._gate.next_turn(self._rng.random(), now + left)
        return max(0.0, self._at - now)


class Bucket:
    """Tokens that transient retries draw from; it never blocks, an empty one suppresses the retry.

    Threads share it: `_lock` guards `tokens` against two who change it.
    """

    __slots__ = ("__weakref__", "_lock", "capacity", "tokens")

    def __init__(self, capacity: float) -> None:
        self.capacity = self.tokens = capacity
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with a free lock: in a forked child the thread that may have held it is gone."""
        self._lock = threading.RLock()

    def idle(self, now: float) -> bool:
        """Whether a new one would do as well."""
        return self.tokens >= self.capacity

    def take(self, cost: float) -> bool:
        """Draw tokens, if there are enough."""
        with self._lock:
            if self.tokens < cost:
                return False
            self.tokens -= cost
            return True

    def give(self, amount: float) -> None:
        """Put tokens back, up to the capacity."""
        with self._lock:
            self.tokens = min(self.capacity, self.tokens + amount)


class _Lasting(Protocol):
    def after_fork(self) -> None: ...
    def idle(self, now: float) -> bool: ...


T = TypeVar("T", bound=_Lasting)


class Same:
    """A function as a credential: known by itself, which it keeps alive, whatever it says of its hash and equality.

    Of a method each access makes another object; it is one function nevertheless.
    """

    __slots__ = ("_parts",)

    def __init__(self, function: object) -> None:
        bound = isinstance(function, types.MethodType)
        self._parts = (function.__func__, function.__self__) if bound else (function,)  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and [*map(id, self._parts)] == [*map(id, other._parts)]

    def __hash__(self) -> int:
        return hash(tuple(map(id, self._parts)))


class Lanes(Generic[T]):
    """Gates or buckets, each by what its callers have in common; of many, the idle and the oldest are forgotten.

    So a process may serve any number of credentials, one after another. What a call still has is found again, idle or
    not: the call may shut it the moment after. One thread at a time may be in here, perhaps twice, where a signal
    handler of its own sends something; the lock of `Shared` sees to that.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, T] = OrderedDict()
        self._had: weakref.WeakValueDictionary[Hashable, T] = weakref.WeakValueDictionary()
        self._many = MANY

    def get(self, lane: Hashable, new: Callable[[], T], now: float) -> T:
        """The one of a lane, made where there is none."""
        found = self._known.get(lane)
        if found is None:
            self._make_room(now)
            found = self._known.setdefault(lane, self._had.setdefault(lane, new()))
        if lane in self._known:
            self._known.move_to_end(lane)
        return found

    def _make_room(self, now: float) -> None:
        if len(self._known) >= self._many:
            self._known = OrderedDict((lane, one) for lane, one in [*self._known.items()] if not one.idle(now))
            self._many = max(MANY, 2 * len(self._known))
        while len(self._known) >= MOST:
            self._known.popitem(last=False)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._had.values()))
