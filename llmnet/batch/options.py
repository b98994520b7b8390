"""What the arguments of `batch` mean: checked before anything is sent, and how patient a batch is where nobody said."""

import dataclasses
from collections.abc import Sized
from typing import Any

from llmnet.batch.progress import Reporter, reporter
from llmnet.batch.state import Ledger
from llmnet.core.bounds import Timeout
from llmnet.core.errors import ConfigurationError
from llmnet.core.retry import RetryPolicy, count

HOUR = 3600.0
"""Seconds that a batch waits a throttle out for, and that it takes a server's word for a wait."""

USUAL_POLICY, USUAL_TIMEOUT = RetryPolicy(), Timeout()


def patience(policy: RetryPolicy, timeout: float | Timeout) -> dict[str, Any]:
    """The options `retry` and `timeout` of a client that is an hour patient wherever these have the usual figures.

    A `timeout` in plain seconds is the caller's own. Other usual bounds are left open, for a call may widen them.
    """
    waits = (name for name in ("max_throttle_wait", "max_retry_after") if same(policy, USUAL_POLICY, name))
    patient: dict[str, Any] = dict.fromkeys(waits, HOUR)
    if isinstance(timeout, Timeout) and same(timeout, USUAL_TIMEOUT, "total"):
        usual = [field.name for field in dataclasses.fields(Timeout) if same(timeout, USUAL_TIMEOUT, field.name)]
        total = (USUAL_TIMEOUT.total or 0.0) + HOUR
        timeout = dataclasses.replace(timeout, **{**dict.fromkeys(usual), "total": total})
    return {"retry": dataclasses.replace(policy, **patient), "timeout": timeout}


def same(one: Any, other: Any, name: str) -> bool:
    """Whether a field has the same value in both."""
    return bool(getattr(one, name) == getattr(other, name))


def planned(
    requests: Any,
    most: int,
    *,
    max_concurrent: int | None,
    ordered: bool,
    stop_after_errors: int | None,
    progress: Any,
) -> tuple[Ledger, Reporter]:
    """The books and the reporter of a batch.

    Args:
        requests: the rows, of which only the length is looked at.
        most: calls that the client allows in flight.
        max_concurrent: calls in flight, as given.
        ordered: whether results are given in the order of the rows.
        stop_after_errors: failures that end it, as given.
        progress: who is shown how far it is, as given.

    Raises:
        ConfigurationError: an argument is wrong.
    """
    # Beyond what the client allows, calls would only wait for each other.
    limit = most if max_concurrent is None else min(count(max_concurrent, "max_concurrent", 1), most)
    if not isinstance(ordered, bool):
        raise ConfigurationError(f"ordered must be True or False, not {ordered!r}")
    if stop_after_errors is not None:
        count(stop_after_errors, "stop_after_errors", 1)
    ledger = Ledger(limit, ordered=ordered, stop_after_errors=stop_after_errors)
    return ledger, reporter(progress, ledger, len(requests) if isinstance(requests, Sized) else None)
