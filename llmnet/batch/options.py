"""Checks the arguments of `batch` before anything is sent, and gives a batch longer waits where none are set."""

import dataclasses
from collections.abc import Sized
from typing import Any

from llmnet.batch.progress import Reporter, reporter
from llmnet.batch.state import BatchState
from llmnet.core.bounds import Timeout
from llmnet.core.errors import ConfigurationError
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
    state = BatchState(limit, ordered=ordered, stop_after_errors=stop_after_errors)
    return state, reporter(progress, state, len(requests) if isinstance(requests, Sized) else None)
