"""Tokens that the retries of all calls to one host with one credential draw from, and that their successes put back."""

import threading


class Bucket:
    """Tokens that transient retries draw from; it never blocks, an empty one suppresses the retry.

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
