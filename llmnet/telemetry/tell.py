"""Passes each event of a call to the counters, the log and the caller's hook; a hook that fails never breaks a call."""

import logging

from llmnet.core.events import CallEvent, CallFinished, Hook
from llmnet.telemetry.log import LOG, log
from llmnet.telemetry.stats import Counters


class Teller:
    """One for a client; a child with a hook of its own has another one over the same counters."""

    __slots__ = ("_counters", "_hook")

    def __init__(self, counters: Counters, hook: Hook | None) -> None:
        self._counters, self._hook = counters, hook

    def heeds(self, kind: type[CallEvent]) -> bool:
        """Whether anybody takes events of that kind; the counters take the last one."""
        return kind is CallFinished or self._hook is not None or LOG.isEnabledFor(logging.DEBUG)

    def __call__(self, event: CallEvent) -> None:
        """Pass an event on."""
        if isinstance(event, CallFinished):
            self._counters.count(event)
        log(event)
        if self._hook is not None:
            self._call(self._hook, event)

    def _call(self, hook: Hook, event: CallEvent) -> None:
        try:
            hook(event)
        except Exception:  # noqa: BLE001 - whatever a hook raises is its own affair, and is logged
            LOG.exception("on_event failed at %s", type(event).__name__)
