"""What happens when the process is forked: children begin anew, and a fork waits for what must not be cut in two.

Connections are the parent's, and locks may be held by threads that the child lacks. One registry for the package, whose
`__init__` has the interpreter call `before`, `after_in_parent` and `after_in_child`.
"""

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

# Added to in one step of the interpreter, by any thread; read in a forked child, where only one thread runs.
_RENEWABLE: "weakref.WeakSet[Renewable]" = weakref.WeakSet()
# Never used, never closed, never collected: a finalizer of these may wait for such a lock, or touch the parent's loop.
_INHERITED: list[Any] = []
# Seconds that a fork waits at most for what must not be cut in two.
_PATIENCE = 5.0


class Renewable(Protocol):
    """What knows how to begin anew."""

    def after_fork(self) -> None:
        """Begin anew; only the thread that has forked runs."""


T = TypeVar("T")
R = TypeVar("R")
Thing = TypeVar("Thing", bound=Renewable)


def register_after_fork(thing: Thing) -> Thing:
    """Have something renewed in every child that is forked while it lives."""
    _RENEWABLE.add(thing)
    return thing


def abandon(thing: object) -> None:
    """Leave something of the parent's alone, for as long as the child lives."""
    _INHERITED.append(thing)


class _Undivided:
    """Calls what no fork may cut in two: what a library below Python has locked just then stays so in the child."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with a free lock."""
        self._lock = threading.RLock()

    def __call__(self, make: Callable[[T], R], of: T) -> R:
        """Make something of something; a fork by another thread waits for it."""
        with self._lock:
            return make(of)

    def wait(self) -> None:
        """Wait until nothing is being made, and keep others from beginning; a fork follows."""
        self._lock.acquire(timeout=_PATIENCE)

    def go_on(self) -> None:
        """The fork is over."""
        with contextlib.suppress(RuntimeError):  # `wait` has given up
            self._lock.release()


undivided = register_after_fork(_Undivided())
before, after_in_parent = undivided.wait, undivided.go_on


def after_in_child() -> None:
    """Renew everything."""
    for thing in list(_RENEWABLE):
        thing.after_fork()
