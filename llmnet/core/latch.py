"""A flag that threads wait for, made of nothing but one lock: to set it takes no other, and never waits.

So a finalizer or a signal handler may set it on the very thread that waits; the lock of a `threading.Event` would be
held there.
"""

import contextlib
import threading

# On Windows Ctrl-C does not end the wait for a lock, elsewhere it may come the moment before one.
SLICE = 1.0


class Latch:
    """Lets one through of those who wait; if nobody does, the next one who would."""

    __slots__ = ("_unset",)

    def __init__(self) -> None:
        self._unset = threading.Lock()
        self._unset.acquire()

    def set(self) -> None:
        """Let one through, from any thread and any finalizer."""
        with contextlib.suppress(RuntimeError):  # it is set already
            self._unset.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait at most so long, or for as long as it takes; whether it was set."""
        return self._unset.acquire(timeout=-1 if seconds is None else seconds)
