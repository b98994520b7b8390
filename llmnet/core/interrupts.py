"""What holds though a Ctrl-C, a signal handler or a finalizer comes between two steps: a turn, a latch, a clean-up."""

import contextlib
import threading
from collections.abc import Callable

# On Windows Ctrl-C does not end the wait for a lock, elsewhere it may come the moment before one.
SLICE = 1.0


class Turn:
    """Which one of many is at work on something; held by one token at a time, and nobody ever waits for it."""

    __slots__ = ("_holder",)

    def __init__(self) -> None:
        # A lock that is tried and then kept by `try … finally` is lost to a Ctrl-C that comes between the two. Here the
        # owner brings a token of its own, with which it may take the turn twice, and give back what it has not.
        self._holder: dict[None, object] = {}

    def take(self, mine: object) -> bool:
        """Take the turn, if nobody has it; whether the token has it now."""
        return self._holder.setdefault(None, mine) is mine

    @property
    def holder(self) -> object | None:
        """The token that has it, or `None`."""
        return self._holder.get(None)

    def give(self, mine: object) -> None:
        """Give the turn back, if the token has it."""
        if self._holder.get(None) is mine:
            self._holder.clear()


class Latch:
    """A flag that threads wait for: lets one through of those who wait; if nobody does, the next one who would."""

    __slots__ = ("_unset",)

    def __init__(self) -> None:
        # One lock alone, so that a finalizer or a signal handler may set it on the very thread that waits; that of a
        # `threading.Event` would be held there.
        self._unset = threading.Lock()
        self._unset.acquire()

    def set(self) -> None:
        """Let one through, from any thread and any finalizer."""
        with contextlib.suppress(RuntimeError):  # it is set already
            self._unset.release()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait at most so long, or for as long as it takes; whether it was set."""
        return self._unset.acquire(timeout=-1 if seconds is None else seconds)


def surely(act: Callable[[], object]) -> None:
    """Do something in a finalizer; where a Ctrl-C ends it, which no caller hears of, it is done again."""
    try:
        act()
    except BaseException:
        act()
        raise
