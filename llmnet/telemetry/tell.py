"""Passes each event of a call to the counters, the log and the caller's hook; a hook that fails never breaks a call."""

import logging

from llmnet.core.events import CallEvent, CallFinished, Hook
from llmnet.core.logger import LOG, log_failure
from llmnet.telemetry.log import log
from llmnet.telemetry.stats import Counters


class Teller:
    """One for a client; a child with a hook of its own has another one over the same counters. It never changes."""

    __slots__ = ("_counters", "_hook")

    def __init__(self, counters: Counters, hook: Hook | None) -> None:
        self._counters, self._hook = counters, hook

    @property
    def eager(self) -> bool:
        """Whether anybody takes other events than the last one, which the counters take."""
        return self._hook is not None or LOG.isEnabledFor(logging.DEBUG)

    def __call__(self, event: CallEvent) -> None:
        """Pass an event on; what is no `Exception`, as a Ctrl-C in the hook, ends the call."""
        if isinstance(event, CallFinished):
            self._counters.count(event)
        log(event)
        if self._hook is not None:
            try:
                self._hook(event)
            except Exception as error:  # noqa: BLE001 - whatever a hook raises is its own affair, and is logged
                log_failure(f"on_event failed at {type(event).__name__}", error)
