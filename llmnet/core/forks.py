"""What happens when the process is forked: children begin anew, and a fork waits for what must not be cut in two.

Connections are the parent's, and locks may be held by threads that the child lacks. One registry for the package, whose
`__init__` has the interpreter call the functions at the end.
"""

import contextlib
import threading
import weakref
from typing import Protocol, TypeVar

# Added to in one step of the interpreter, by any thread; read in a forked child, where only one thread runs.
_RENEWABLE: "weakref.WeakSet[Renewable]" = weakref.WeakSet()
# Never used, never closed, never collected: a finalizer of these may wait for such a lock, or touch the parent's loop.
_INHERITED: list[object] = []
# Seconds that a fork waits at most for what must not be cut in two.
_PATIENCE = 5.0


class Renewable(Protocol):
    """What knows how to begin anew."""

    def after_fork(self) -> None:
        """Begin anew; only the thread that has forked runs."""


T = TypeVar("T", bound=Renewable)


def register_after_fork(thing: T) -> T:
    """Have something renewed in every child that is forked."""
    _RENEWABLE.add(thing)
    return thing


def abandon(thing: object) -> None:
    """Leave something of the parent's alone, for as long as the child lives."""
    _INHERITED.append(thing)


class _Undivided:
    """Has the lock of what no fork may cut in two: what a library below Python has locked stays so in the child."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with a free lock."""
        self.lock = threading.RLock()


undivided = register_after_fork(_Undivided())


def before() -> None:
    """Wait until nothing is being made under the lock, and keep others from beginning."""
    undivided.lock.acquire(timeout=_PATIENCE)


def after_in_parent() -> None:
    """The fork is over."""
    with contextlib.suppress(RuntimeError):  # `before` has given up
        undivided.lock.release()


def after_in_child() -> None:
    """Renew everything."""
    for thing in list(_RENEWABLE):
        thing.after_fork()
