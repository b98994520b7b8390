"""Counts every finished call by provider, model and outcome, in bounded memory, however many models are named.

A count takes a lock for a few additions and no more. Of the three labels only the model is a word of the caller's, who
may pass on what others ask for: beyond `MAX_ROWS` entries the models that are new have one in common.

The bounds of the histograms are those of OpenTelemetry's GenAI conventions (`gen_ai.client.operation.duration` and
`gen_ai.server.time_to_first_token`), in seconds.
"""

import threading
from bisect import bisect_left
from itertools import accumulate
from typing import Any

import msgspec

from llmnet.core.chat import Usage
from llmnet.core.errors import ConfigurationError
from llmnet.core.events import CallFinished
from llmnet.core.http import Attempt, Meta
from llmnet.core.plain import Value, public

# As Prometheus text an entry is about 4 KB.
MAX_ROWS = 1000
LONGEST_NAME = 200
OTHER = "other"
DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKENS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip


class Histogram(Value, msgspec.Struct, frozen=True, kw_only=True):
    """How many values fell where.

    Attributes:
        bounds: the upper bound of each bucket; the last bucket has none.
        counts: how many values are in each bucket, one more than there are bounds.
        total: the sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float = 0.0

    def __repr__(self) -> str:
        return f"Histogram(count={self.count}, total={self.total:.3f})"

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts)

    def quantile(self, q: float) -> float | None:
        """The upper bound of the bucket that holds a quantile: an estimate from above, `inf` beyond the last bound.

        Args:
            q: from 0 to 1, as 0.95.

        Raises:
            ConfigurationError: it is not.
        """
        if not 0 <= q <= 1:
            raise ConfigurationError(f"a quantile must be from 0 to 1, not {q!r}")
        rank, seen = q * self.count, 0
        for bound, n in zip((*self.bounds, float("inf")), self.counts, strict=True):
            seen += n
            if n and seen >= rank:
                return bound
        return None


class CallStats(Value, msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one provider and model that came to one outcome.

    Attributes:
        calls: how many.
        requests: HTTP requests that they took.
        retries: attempts that followed a failed one.
        throttles: attempts that were turned away by a limit.
        input_tokens, output_tokens: as the vendor counted them.
        duration: seconds from a call's start to its end.
        time_to_first_token: the same to the first chunk, of streams.
    """

    provider: str
    model: str
    outcome: str
    calls: int
    requests: int
    retries: int
    throttles: int
    input_tokens: int
    output_tokens: int
    duration: Histogram
    time_to_first_token: Histogram


@public
class Stats(Value, tuple[CallStats, ...]):
    """What a client had done at one moment: an entry for each provider, model and outcome.

    Once there are a thousand entries, calls that would need a new one are counted as those of a model `other`, which
    has an entry for each provider and outcome; so are those of a name of more than 200 characters. So no call is left
    out of the sums.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        by_outcome: dict[str, int] = {}
        for entry in self:
            by_outcome[entry.outcome] = by_outcome.get(entry.outcome, 0) + entry.calls
        said = "".join(f", {calls} {outcome}" for outcome, calls in by_outcome.items())
        return f"<Stats: {self.calls} call{'s' * (self.calls != 1)}{said}>"

    def to_dict(self) -> dict[str, Any]:
        """All calls, and the entries, as JSON types."""
        return {"calls": self.calls, "entries": [entry.to_dict() for entry in self]}

    @property
    def calls(self) -> int:
        """All finished calls."""
        return sum(entry.calls for entry in self)

    def prometheus(self) -> str:
        """The text that Prometheus scrapes (exposition format 0.0.4)."""
        return _exposition(self)


class Counters:
    """The counters of a client and its children; threads share them, and `_lock` guards all of them."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str], _Series] = {}
        self.after_fork()

    def after_fork(self) -> None:
        """Begin with a free lock: in a forked child the thread that may have held it is gone."""
        # A finalizer may count the end of a dropped stream on the very thread that is in here.
        self._lock = threading.RLock()

    def count(self, event: CallFinished) -> None:
        """Count a call that is over."""
        with self._lock:
            series = self._series.get((event.provider, event.model, event.outcome)) or self._new(event)
            series.add(event.meta, event.usage, event.attempts)

    def _new(self, event: CallFinished) -> "_Series":
        """A new entry; where there are too many, the one that the rest share."""
        is_named = len(self._series) < MAX_ROWS and len(event.model) <= LONGEST_NAME
        key = (event.provider, event.model if is_named else OTHER, event.outcome)
        return self._series.setdefault(key, _Series())

    def snapshot(self) -> Stats:
        """What was counted so far."""
        with self._lock:
            # A copy: the finalizer may add an entry.
            return Stats(series.snapshot(*key) for key, series in sorted(self._series.copy().items()))


class _Series:
    """The sums of one entry."""

    __slots__ = (
        "calls", "durations", "elapsed", "first_tokens", "first_tokens_sum", "input_tokens", "output_tokens",
        "requests", "retries", "throttles",
    )  # fmt: skip

    def __init__(self) -> None:
        self.calls = self.requests = self.retries = self.throttles = self.input_tokens = self.output_tokens = 0
        self.elapsed = self.first_tokens_sum = 0.0
        self.durations = [0] * (len(DURATIONS) + 1)
        self.first_tokens = [0] * (len(FIRST_TOKENS) + 1)

    def add(self, meta: Meta, usage: Usage, attempts: list[Attempt]) -> None:
        self.elapsed += meta.elapsed
        self.durations[bisect_left(DURATIONS, meta.elapsed)] += 1
        if (first := meta.time_to_first_token) is not None:
            self.first_tokens_sum += first
            self.first_tokens[bisect_left(FIRST_TOKENS, first)] += 1
        self.calls += 1
        self.retries += max(len(attempts) - 1, 0)
        for attempt in attempts:
            self.requests += attempt.sent
            self.throttles += attempt.throttled
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0

    def snapshot(self, provider: str, model: str, outcome: str) -> CallStats:
        return CallStats(
            provider=provider,
            model=model,
            outcome=outcome,
            calls=self.calls,
            requests=self.requests,
            retries=self.retries,
            throttles=self.throttles,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            duration=Histogram(bounds=DURATIONS, counts=tuple(self.durations), total=self.elapsed),
            time_to_first_token=Histogram(
                bounds=FIRST_TOKENS, counts=tuple(self.first_tokens), total=self.first_tokens_sum
            ),
        )


# -- as Prometheus text: https://prometheus.io/docs/instrumenting/exposition_formats/ ----------------------------------

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_METRICS = {
    "calls": ("llmnet_calls_total", "counter", "Calls that are over."),
    "requests": ("llmnet_requests_total", "counter", "HTTP requests sent."),
    "retries": ("llmnet_retries_total", "counter", "Attempts that followed a failed one."),
    "throttles": ("llmnet_throttles_total", "counter", "Attempts turned away by a limit."),
    "input_tokens": ("llmnet_input_tokens_total", "counter", "Tokens sent, as the vendor counted them."),
    "output_tokens": ("llmnet_output_tokens_total", "counter", "Tokens received, as the vendor counted them."),
    "duration": ("llmnet_call_duration_seconds", "histogram", "Seconds from a call's start to its end."),
    "time_to_first_token": (
        "llmnet_time_to_first_token_seconds", "histogram", "Seconds to the first chunk of a stream.",
    ),
}  # fmt: skip


def _exposition(stats: Stats) -> str:
    rows = [(_labels(provider=row.provider, model=row.model, outcome=row.outcome), row) for row in stats]
    lines: list[str] = []
    for name, (metric, kind, meaning) in _METRICS.items() if rows else ():
        lines += (f"# HELP {metric} {meaning}", f"# TYPE {metric} {kind}")
        for labels, row in rows:
            value = getattr(row, name)
            lines += _buckets(metric, labels, value) if kind == "histogram" else [f"{metric}{{{labels}}} {value}"]
    return "".join(f"{line}\n" for line in lines)


def _labels(**labels: str) -> str:
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())


def _buckets(metric: str, labels: str, values: Histogram) -> list[str]:
    """The lines of a histogram: its buckets are cumulative, and the last one holds all."""
    upto = zip((*values.bounds, "+Inf"), accumulate(values.counts), strict=True)
    return [
        *(f'{metric}_bucket{{{labels},le="{bound}"}} {n}' for bound, n in upto),
        f"{metric}_sum{{{labels}}} {values.total}",
        f"{metric}_count{{{labels}}} {values.count}",
    ]
