"""The figures of a running batch, and who is shown them: a function of the caller's, a bar on a terminal, or nobody."""

import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from llmnet.batch.ledger import Ledger
from llmnet.batch.rows import BatchResult
from llmnet.core.bounds import Clock
from llmnet.core.errors import ConfigurationError
from llmnet.core.http import Meta

# Seconds between two showings; the last one is always shown.
_PAUSE = 0.1


class BatchProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a batch is.

    Attributes:
        done: rows handed over, those that failed included.
        failed: of these, the ones with an error.
        total: rows in all, where the source has a length.
        in_flight: rows being worked on.
        throttled: attempts that a limit has turned away.
        elapsed: seconds since the first row.
        requests_per_second: HTTP requests of the rows done, over that time.
        tokens_per_second: tokens received, over that time.
        left: seconds until the end at this pace, where the total is known.
        over: whether these are the last figures.
    """

    done: int
    failed: int
    total: int | None
    in_flight: int
    throttled: int
    elapsed: float
    requests_per_second: float
    tokens_per_second: float
    left: float | None
    over: bool


Show = Callable[[BatchProgress], object]


class Reporter:
    """Sums up the results of one batch and shows the figures now and then.

    Args:
        total: rows in all, if that is known.
        show: shows them, or `None`.
        clock: a monotonic clock.
    """

    def __init__(self, total: int | None, show: Show | None, clock: Clock = time.monotonic) -> None:
        self._total, self._show, self._clock = total, show, clock
        self._started: float | None = None
        self._shown = 0.0
        self._requests = self._tokens = self._throttled = 0

    def begin(self) -> None:
        """The first row is about to be taken."""
        if self._started is None:
            self._started = self._clock()

    def __call__(self, result: BatchResult | None, ledger: Ledger) -> None:
        """A result is handed over; `None`: it was the last one."""
        if self._show is None:
            return
        if result is not None:
            self._add(result)
        now = self._clock()
        if result is None or now - self._shown >= _PAUSE:
            self._shown = now
            self._show(self._figures(ledger, now, over=result is None))

    def _add(self, result: BatchResult) -> None:
        said = result.response or result.error
        meta: Meta = getattr(said, "meta", None) or Meta()
        self._requests += sum(attempt.sent for attempt in meta.attempts)
        self._throttled += sum(attempt.throttled for attempt in meta.attempts)
        if result.response is not None:
            self._tokens += result.response.usage.output_tokens or 0

    def _figures(self, ledger: Ledger, now: float, *, over: bool) -> BatchProgress:
        elapsed = max(now - (self._started or now), 1e-9)
        missing = None if self._total is None else self._total - ledger.given
        return BatchProgress(
            done=ledger.given,
            failed=ledger.failed,
            total=self._total,
            in_flight=ledger.in_flight,
            throttled=self._throttled,
            elapsed=elapsed,
            requests_per_second=self._requests / elapsed,
            tokens_per_second=self._tokens / elapsed,
            left=missing * elapsed / ledger.given if missing is not None and ledger.given else None,
            over=over,
        )


def reporter(progress: Any, total: int | None) -> Reporter:
    """The reporter that `progress=` asks for.

    Raises:
        ConfigurationError: it is neither a bool nor a function.
    """
    if progress is None or progress is False:
        return Reporter(total, None)
    if progress is True:
        return Reporter(total, bar())
    if not callable(progress):
        raise ConfigurationError(f"progress must be True, False or a function, not {type(progress).__name__}")
    return Reporter(total, progress)


def bar() -> Show | None:
    """A bar on the terminal: rich's where it is installed, else one line; nothing in a pipe."""
    if not sys.stderr.isatty():
        return None
    try:
        from llmnet.batch.bar import RichBar  # noqa: PLC0415 - an extra, loaded on use
    except ImportError:
        return _line
    return RichBar()


def _line(figures: BatchProgress) -> None:
    end = "\n" if figures.over else ""
    print(f"\r\x1b[K{spoken(figures)}", end=end, file=sys.stderr, flush=True)  # noqa: T201 - a bar is printed


def spoken(figures: BatchProgress) -> str:
    """The figures as one line."""
    total = "" if figures.total is None else f"/{figures.total}"
    left = "" if figures.left is None else f", {_minutes(figures.left)} left"
    return (
        f"{figures.done}{total} done, {figures.failed} failed, {figures.requests_per_second:.1f} requests/s, "
        f"{figures.tokens_per_second:.0f} tokens/s, {figures.in_flight} in flight, "
        f"{figures.throttled} throttled{left}"
    )


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


Progress = bool | Callable[[BatchProgress], object] | None
