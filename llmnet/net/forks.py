"""What begins anew in a forked child: connections are its parent's, locks may be held by threads that it lacks."""

import contextlib
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

# Added to in one step of the interpreter, by any thread; read in a forked child, where only one thread runs.
_RENEWABLE: "weakref.WeakSet[Renewable]" = weakref.WeakSet()
# Never used, never closed, never collected: a finalizer of these may wait for such a lock, or touch the parent's loop.
_INHERITED: list[Any] = []
_PATIENCE = 5.0
"""Seconds that a fork waits at most for what is done whole."""


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


class _Whole:
    """Does what no fork may cut in two: what a library below Python has locked just then stays so in the child."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __call__(self, make: Callable[[T], R], of: T) -> R:
        """Make something of something; a fork by another thread waits for it."""
        with self._lock:
            return make(of)

    def before(self) -> None:
        """The process is about to be forked."""
        self._lock.acquire(timeout=_PATIENCE)

    def after(self) -> None:
        """It was."""
        with contextlib.suppress(RuntimeError):  # it has waited in vain
            self._lock.release()

    def in_child(self) -> None:
        """Begin with a free lock."""
        self._lock = threading.RLock()


whole = _Whole()


def _in_child() -> None:
    whole.in_child()
    for thing in list(_RENEWABLE):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=whole.before, after_in_parent=whole.after, after_in_child=_in_child)
