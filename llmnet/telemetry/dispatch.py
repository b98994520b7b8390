"""Passes each event of a call to the counters, the log and the caller's hook; a hook that fails never breaks a call."""

import contextlib
import functools
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable

from llmnet.core.events import CallEvent, CallFinished, Held, Hook
from llmnet.core.interrupts import Turn
from llmnet.core.logger import LOG, log_failure
from llmnet.telemetry.log import log
from llmnet.telemetry.stats import Counters


class DeferredEvents:
    """Notifies log and hook of what finalizers end: on a thread of its own, one event after another.

    The garbage collector runs a finalizer anywhere, perhaps inside a lock of the caller's that his hook takes, too.
    """

    __slots__ = ("_pending", "_turn")

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew: the thread is the parent's, and so are the events that wait for it."""
        self._pending: deque[Callable[[], None]] = deque()
        self._turn = Turn()

    def add(self, notify: Callable[[], None]) -> None:
        """Have a function called on the thread, which is no daemon: the interpreter waits for it."""
        self._pending.append(notify)
        # At its end a process has no threads, but locks that those have left behind.
        if self._turn.holder is None and not sys.is_finalizing():
            with contextlib.suppress(RuntimeError):  # the system has no thread left: the next one calls this, too
                threading.Thread(target=self._work, name="llmnet-late").start()

    def _work(self) -> None:
        mine = object()
        while self._pending and self._turn.take(mine):
            try:
                while self._pending:
                    self._pending.popleft()()
            finally:
                self._turn.give(mine)


class EventDispatcher:
    """One for a client; a child with a hook of its own has another one over the same counters. It never changes."""

    __slots__ = ("_counters", "_deferred", "_hook")

    def __init__(self, counters: Counters, deferred: DeferredEvents, hook: Hook | None) -> None:
        self._counters, self._deferred, self._hook = counters, deferred, hook

    @property
    def eager(self) -> bool:
        """Whether anybody takes other events than the last one, which the counters take."""
        return self._hook is not None or LOG.isEnabledFor(logging.INFO)

    def __call__(self, event: CallEvent) -> None:
        """Pass an event on; what is no `Exception`, as a Ctrl-C in the hook, ends the call."""
        if isinstance(event, CallFinished):
            self._counters.count(event)
        if self._hook is not None or LOG.isEnabledFor(logging.INFO):
            self._notify(event)

    def later(self, event: CallEvent) -> None:
        """Count at once; log and hook are notified on another thread."""
        if isinstance(event, CallFinished):
            self._counters.count(event)
        if self._hook is not None or LOG.isEnabledFor(logging.INFO):
            # There is no call any more that a Ctrl-C in the hook could end, but other events wait behind it.
            self._deferred.add(functools.partial(self._notify, event, BaseException))

    def _notify(self, event: CallEvent, failures: type[BaseException] = Exception) -> None:
        log(event)
        if self._hook is not None and not isinstance(event, Held):
            try:
                self._hook(event)
            except failures as error:  # what a hook raises is logged, and ends no call
                log_failure(f"on_event failed at {type(event).__name__}", error)
