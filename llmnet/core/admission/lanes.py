"""Buckets, and the lanes by which calls share them and gates; of many lanes, the idle and the oldest are forgotten."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

# So many lanes are kept at least before unused lanes are forgotten.
MANY = 1000
# So many at most, whatever they hold: beyond them the one that was asked for longest ago is forgotten.
MOST = 20 * MANY


class _Lasting(Protocol):
    def after_fork(self) -> None: ...
    def idle(self, now: float) -> bool: ...


T = TypeVar("T", bound=_Lasting)


class Lanes(Generic[T]):
    """Gates or buckets, by lane.

    A process may serve any number of credentials, one after another. What a call still has is found again, idle or
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


class Bucket:
    """Tokens that transient retries draw from and successes put back; an empty one suppresses the retry.

    Threads share it: `_lock` guards `tokens` against two who change it; they are read without.
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
        if self.tokens < self.capacity:  # hardly ever
            with self._lock:
                self.tokens = min(self.capacity, self.tokens + amount)
