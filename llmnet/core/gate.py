"""What calls to one host share when it pushes back: a gate that a throttle shuts, a bucket that retries drain."""

import math
import threading


class Gate:
    """Shut by a throttle until a moment; calls ask how long to wait, and ask again when they wake."""

    __slots__ = ("_lock", "_until")

    def __init__(self) -> None:
        self._until = -math.inf
        self.renew()

    def renew(self) -> None:
        """Begin with a free lock: in a forked child the thread that may have held it is gone."""
        self._lock = threading.Lock()

    def shut(self, until: float) -> None:
        """Shut the gate until a moment of the monotonic clock; it never opens earlier than it was told before."""
        with self._lock:
            self._until = max(self._until, until)

    def wait(self, now: float) -> float:
        """Seconds until the gate opens; 0.0 where it is open."""
        return max(0.0, self._until - now)


class Bucket:
    """Tokens that transient retries draw from; it never blocks, an empty one suppresses the retry."""

    __slots__ = ("_lock", "capacity", "tokens")

    def __init__(self, capacity: float) -> None:
        self.capacity = self.tokens = capacity
        self.renew()

    def renew(self) -> None:
        """Begin with a free lock: in a forked child the thread that may have held it is gone."""
        self._lock = threading.Lock()

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
