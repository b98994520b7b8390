"""What begins anew in a forked child: connections are its parent's, locks may be held by threads that it lacks."""

import os
import weakref
from typing import Any, Protocol, TypeVar

# Added to in one step of the interpreter, by any thread; read in a forked child, where only one thread runs.
_RENEWABLE: "weakref.WeakSet[Renewable]" = weakref.WeakSet()
# Never used, never closed, never collected: a finalizer of these may wait for such a lock, or touch the parent's loop.
_INHERITED: list[Any] = []


class Renewable(Protocol):
    """What knows how to begin anew."""

    def renew(self) -> None:
        """Begin anew; only the thread that has forked runs."""


R = TypeVar("R", bound=Renewable)


def renewed_after_fork(thing: R) -> R:
    """Have something renewed in every child that is forked while it lives."""
    _RENEWABLE.add(thing)
    return thing


def abandon(thing: object) -> None:
    """Leave something of the parent's alone, for as long as the child lives."""
    _INHERITED.append(thing)


def _in_child() -> None:
    for thing in list(_RENEWABLE):
        thing.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
