"""The sums of a batch: of each successful row only the latency is kept, eight bytes."""

import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from llmnet.batch.bar import minutes
from llmnet.batch.rows import BatchResult
from llmnet.cli.errors import code_of
from llmnet.cli.printing import notify
from llmnet.cli.terminal import is_terminal, without_controls
from llmnet.core.errors import LLMNetError
from llmnet.core.outcome import cause_of
from llmnet.core.preview import cut

_QUANTILES = (50, 95, 99)  # per cent; each is one of the latencies
_MAX_CAUSES = 10  # listed one by one for people; all others only as a sum
_MAX_COUNTED = 100  # counted one by one: a server may make up a code for each failure, and one of any length
_LONGEST = 200
OTHER = "other causes"
_COUNTS = {
    "retries": "retries", "throttled": "throttled", "tokens in": "input_tokens", "tokens out": "output_tokens",
}  # fmt: skip


class Summary:
    """The sums of one batch of *total* rows, beside those that were *answered_before*."""

    def __init__(self, total: int, answered_before: int = 0) -> None:
        self._total, self._answered_before, self._started = total, answered_before, time.monotonic()
        self._ok = self._retries = self._throttled = self._input = self._output = 0
        self._causes: Counter[str] = Counter()
        self._codes: set[int] = set()
        self._latencies = array("d")

    def add(self, result: BatchResult) -> None:
        """Count a result."""
        attempts = getattr(getattr(result.error or result.response, "meta", None), "attempts", ())
        self._retries += max(0, len(attempts) - 1)
        self._throttled += sum(attempt.throttled for attempt in attempts)
        if (error := result.error) is not None:
            cause = cut(cause_of(error), _LONGEST) if isinstance(error, LLMNetError) else type(error).__name__
            self._causes[cause if cause in self._causes or len(self._causes) < _MAX_COUNTED else OTHER] += 1
            self._codes.add(code_of(error))
        if result.response is not None:
            self._ok += 1
            self._latencies.append(result.response.meta.elapsed)
            self._input += result.response.usage.input_tokens or 0
            self._output += result.response.usage.output_tokens or 0

    @property
    def exit_code(self) -> int:
        """0 if all rows are ok; the code of their error, if all that are done failed with the same; else 1."""
        if self._ok == self._total:
            return 0
        return next(iter(self._codes)) if len(self._codes) == 1 and not self._ok else 1

    def figures(self) -> dict[str, Any]:
        """All figures, for the JSON output."""
        wall = time.monotonic() - self._started
        failed = self._causes.total()
        done = self._ok + failed
        ranked = sorted(self._latencies)
        return {
            "answered_before": self._answered_before,
            "requests": self._total,
            "ok": self._ok,
            "failed": failed,
            "failed_by_cause": dict(self._causes.most_common()),
            "not_finished": self._total - done,
            "retries": self._retries,
            "throttled": self._throttled,
            "input_tokens": self._input,
            "output_tokens": self._output,
            "latency": {f"p{q}": ranked[-(-len(ranked) * q // 100) - 1] for q in _QUANTILES} if ranked else None,
            "time_to_first_token": None,  # rows are not streamed
            "requests_per_second": done / wall if wall > 0 else 0.0,
            "tokens_per_second": self._output / wall if wall > 0 else 0.0,
            "wall_time": wall,
        }


def show(figures: dict[str, Any], *, as_json: bool) -> None:
    """Write the figures to standard error: a JSON object, a table of rich on a terminal, or plain text."""
    if as_json:
        notify(msgspec.json.encode(figures).decode())
        return
    rows = [(without_controls(label), value) for label, value in table(figures)]
    if not (is_terminal(sys.stderr) and _print_table(rows)):
        width = max(len(label) for label, _ in rows)
        notify("\n".join(f"{label:<{width}}  {value}" for label, value in rows))


def _print_table(rows: list[tuple[str, str]]) -> bool:
    """Print the table with rich; False if it is not installed."""
    try:
        from rich import box  # noqa: PLC0415 - an extra, loaded on use
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        return False
    shown = Table(box=box.ROUNDED, show_header=False)
    for row in rows:
        shown.add_row(*map(Text, row))
    Console(stderr=True).print(shown)
    return True


def table(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures for people: labels and values."""
    causes = [(cause, n) for cause, n in figures["failed_by_cause"].items() if cause != OTHER]
    if figures["answered_before"]:
        yield "answered before", f"{figures['answered_before']:,}"
    for label, name in (("requests", "requests"), ("  ok", "ok"), ("  failed", "failed")):
        yield label, f"{figures[name]:,}"
    for cause, n in causes[:_MAX_CAUSES]:
        yield f"    {cause}", f"{n:,}"
    if more := figures["failed"] - sum(n for _, n in causes[:_MAX_CAUSES]):
        yield f"    {OTHER}", f"{more:,}"
    if figures["not_finished"]:
        yield "  not finished", f"{figures['not_finished']:,}"
    for label, name in _COUNTS.items():
        yield label, f"{figures[name]:,}"
    yield "latency", _spread(figures["latency"])
    yield "first token", _spread(figures["time_to_first_token"])
    yield "requests/s", f"{figures['requests_per_second']:,.1f}"
    yield "tokens/s", f"{figures['tokens_per_second']:,.1f}"
    yield "time", _time(figures["wall_time"])


def _spread(found: dict[str, float] | None) -> str:
    return "-" if found is None else ", ".join(f"{name} {_time(seconds)}" for name, seconds in found.items())


def _time(seconds: float) -> str:
    """To the millisecond below a second."""
    return minutes(seconds) if seconds >= 60 else f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
