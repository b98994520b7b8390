"""Passes each event of a call to the counters, the log and the caller's hook; a hook that fails never breaks a call."""

from llmnet.core.events import CallEvent, CallFinished, Listener
from llmnet.telemetry.log import LOG, log
from llmnet.telemetry.stats import Counters


class Teller:
    """One for a client; a child with a hook of its own has another one over the same counters."""

    __slots__ = ("_counters", "_hook")

    def __init__(self, counters: Counters, hook: Listener | None) -> None:
        self._counters, self._hook = counters, hook

    def __call__(self, event: CallEvent) -> None:
        """Pass an event on."""
        if isinstance(event, CallFinished):
            self._counters.count(event)
        log(event)
        if self._hook is not None:
            self._call(self._hook, event)

    def _call(self, hook: Listener, event: CallEvent) -> None:
        try:
            hook(event)
        except Exception:  # noqa: BLE001 - whatever a hook raises is its own affair, and is logged
            LOG.exception("on_event failed at %s", type(event).__name__)
