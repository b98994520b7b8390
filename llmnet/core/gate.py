"""What calls to one host share when it pushes back: a gate that a throttle shuts, a bucket that retries drain."""

import math
import random
import threading


class Gate:
    """Shut by a throttle until a moment; then callers come back by number, in each step twice as many as before.

    A new refusal shuts it again before many have met it, and where none comes all are back after a few steps.
    """

    __slots__ = ("_lock", "_step", "_turns", "until")

    def __init__(self) -> None:
        self.until = -math.inf
        self._step, self._turns = 0.0, 0
        self.renew()

    def renew(self) -> None:
        """Begin with a free lock: in a forked child the thread that may have held it is gone."""
        self._lock = threading.Lock()

    def shut(self, until: float, step: float) -> None:
        """Shut the gate until a moment of the monotonic clock; it never opens earlier than it was told before."""
        with self._lock:
            if until > self.until:
                self.until, self._step, self._turns = until, step, 0

    def wait(self, now: float) -> float:
        """Seconds until the gate opens; 0.0 where it is open."""
        return max(0.0, self.until - now)

    def next_turn(self, chance: float) -> float:
        """Give out the next number: the moment from which its owner may pass; the first one need not wait longer."""
        with self._lock:
            turns, self._turns = self._turns, self._turns + 1
            return self.until + self._step * math.log2(1 + turns * (1 + chance))


class Turn:
    """One call's turn at a gate; it takes a new number whenever the gate was shut anew."""

    __slots__ = ("_at", "_gate", "_rng", "_until")

    def __init__(self, gate: Gate, rng: random.Random) -> None:
        self._gate, self._rng = gate, rng
        self._at = self._until = -math.inf

    def wait(self, now: float) -> float:
        """Seconds until the call may pass; asked again on waking, for the gate may have been shut meanwhile."""
        if self._until != self._gate.until:
            self._until = self._gate.until
            self._at = self._gate.next_turn(self._rng.random())
        return max(0.0, self._at - now)


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
