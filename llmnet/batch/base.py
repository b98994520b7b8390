"""What both kinds of batch have in common: their arguments, checked, their longer waits, and what the caller holds."""

import dataclasses
import sys
from collections.abc import Sized
from typing import Any, Generic

from llmnet.batch.bar import bar
from llmnet.batch.progress import Reporter
from llmnet.batch.state import BatchState
from llmnet.core.bounds import Timeout
from llmnet.core.chat import X_co
from llmnet.core.errors import ConfigurationError
from llmnet.core.interrupts import surely
from llmnet.core.request import is_async_callable
from llmnet.core.retry import RetryPolicy, count

HOUR = 3600.0
"""Seconds that a batch waits for a throttle to end, and at most as long as a server asks for."""


def patience(policy: RetryPolicy, timeout: float | Timeout) -> dict[str, Any]:
    """The options `retry` and `timeout` of a client that waits an hour longer wherever these have their defaults.

    A `timeout` in plain seconds is the caller's own. Other default bounds are left open, for a call may widen them.
    """
    waits: dict[str, Any] = dict.fromkeys(
        _defaults(policy, RetryPolicy()) & {"max_throttle_wait", "max_retry_after"}, HOUR
    )
    usual = Timeout()
    if isinstance(timeout, Timeout) and timeout.total == usual.total:
        bounds = {**dict.fromkeys(_defaults(timeout, usual)), "total": (usual.total or 0.0) + HOUR}
        timeout = dataclasses.replace(timeout, **bounds)
    return {"retry": dataclasses.replace(policy, **waits), "timeout": timeout}


def _defaults(settings: Any, usual: Any) -> set[str]:
    """The fields that have their default."""
    names = (field.name for field in dataclasses.fields(usual))
    return {name for name in names if getattr(settings, name) == getattr(usual, name)}


def planned(
    requests: Any, most: int, *, max_concurrent: int | None, ordered: bool, stop_after_errors: int | None, progress: Any
) -> tuple[BatchState, Reporter]:
    """The state and the reporter of a batch, from the arguments of `batch`; the client allows *most* calls in flight.

    Raises:
        ConfigurationError: an argument is wrong.
    """
    # Beyond what the client allows, calls would only wait for each other.
    limit = most if max_concurrent is None else min(count(max_concurrent, "max_concurrent", 1), most)
    if not isinstance(ordered, bool):
        raise ConfigurationError(f"ordered must be True or False, not {ordered!r}")
    if stop_after_errors is not None:
        count(stop_after_errors, "stop_after_errors", 1)
    show = progress
    if progress is None or isinstance(progress, bool):
        show = bar() if progress else None
    elif not callable(progress) or is_async_callable(progress):
        raise ConfigurationError(f"progress must be True, False or a plain function, not {type(progress).__name__}")
    state = BatchState(limit, ordered=ordered, stop_after_errors=stop_after_errors)
    total = len(requests) if isinstance(requests, Sized) else None
    return state, Reporter(state, total, show, live=progress is True and show is not None)


class BaseBatch(Generic[X_co]):
    """A batch without its waiting; its workers know the engine and never this one, so that who drops it ends them."""

    def __init__(self, engine: Any, report: Reporter) -> None:
        self._engine, self._report = engine, report

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._engine.state}>"

    def stop(self) -> None:
        """End the calls in flight and take no more rows, without waiting: from any thread, hook and signal handler.

        What has finished can still be iterated over.
        """
        self._engine.stop()

    def __del__(self) -> None:
        # At its end the process lets go of everything; threads that are gone by then may have left locks behind.
        if not sys.is_finalizing() and hasattr(self, "_report"):  # a Ctrl-C may have come as it was made
            surely(self._engine.stop)
            self._report.drop()
