"""What ends a wait for a call: somebody stops the call, from any thread, or one of its bounds expires."""

import threading
from collections.abc import Callable
from typing import Protocol

from llmnet.core.bounds import Bounds
from llmnet.core.errors import LLMNetError
from llmnet.core.events import Ending
from llmnet.core.outcome import AttemptError, Outcome

Wake = Callable[[], object]


class Interruptible(Protocol):
    """The interface of a waiter to its call: the `Stop` of the call, or the `Exchange` that is under way."""

    bounds: Bounds

    def on_stop(self, wake: Wake | None) -> None:
        """Say how to be woken, before blocking; `None` afterwards."""

    def raise_if_stopped(self) -> None:
        """Ask whether to go on."""

    def remaining(self) -> float:
        """Seconds to the nearest bound."""

    def expired(self, detail: str = "") -> LLMNetError:
        """The error of a wait that ran into its bound."""


class Stop:
    """Ends one call from outside.

    One thread drives the call at a time, any may `stop` it: `_lock` guards that `error` is set but once, and that a
    `_wake` which was taken back is not called any more.

    Attributes:
        bounds: how long each part of the call may still take.
        error: what the call ends with, once somebody has stopped it.
        ending: the outcome that is then recorded.
    """

    __slots__ = ("_lock", "_wake", "bounds", "ending", "error")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.error: LLMNetError | None = None
        self.ending: Ending = "cancelled"
        self._lock = threading.RLock()  # a finalizer may stop or leave a call on the very thread that is in here
        self._wake: Wake | None = None

    def on_stop(self, wake: Wake | None) -> None:
        """Whoever is about to block registers a wake function; `None` when it has stopped blocking.

        Raises:
            AttemptError: the call was stopped meanwhile.
        """
        if wake is None:
            if self._wake is not None:  # only whoever drives the call sets it
                with self._lock:
                    self._wake = None
            return
        self._wake = wake  # without the lock: whoever stops the call sets the error first, and wakes then
        if self.error is not None:
            self.raise_if_stopped()

    def raise_if_stopped(self) -> None:
        """Ask whether the call may still go on.

        Raises:
            AttemptError: somebody has stopped it.
        """
        if self.error is not None:
            raise AttemptError(Outcome(self.error))

    def remaining(self) -> float:
        """Seconds to the nearest bound, not above zero once it has expired.

        Raises:
            AttemptError: somebody has stopped the call.
        """
        if self.error is not None:
            self.raise_if_stopped()
        return self.bounds.remaining()[1]

    def expired(self, detail: str = "") -> LLMNetError:
        """The error of a wait that ran into its bound, with some detail, or that of the stop that ended it."""
        return self.error or self.bounds.error(detail)

    def stop(self, error: LLMNetError, ending: Ending = "cancelled") -> None:
        """End the call: the error that it ends with, and its outcome; the first one holds."""
        with self._lock:
            if self.error is None:
                self.ending, self.error = ending, error
            # Under the lock: once `on_stop(None)` has returned, nothing wakes what has moved on to another call.
            if self._wake is not None:
                self._wake()

    def orphan(self, error: LLMNetError) -> None:
        """End the call in a forked child, where the thread that may have held its lock is gone."""
        self._lock, self._wake, self.error = threading.RLock(), None, error
