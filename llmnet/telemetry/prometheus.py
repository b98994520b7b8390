"""Writes metrics as the text that Prometheus scrapes, exposition format 0.0.4; it knows no metric of its own.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import msgspec

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Family(msgspec.Struct, frozen=True):
    """One metric: its samples are numbers or, of a histogram, values with `bounds`, `counts` and `total`.

    Each with its labels, as `labelled` writes them: once for all lines of all metrics that have them in common.
    """

    name: str
    kind: str
    help: str
    samples: Sequence[tuple[str, Any]]


def exposition(families: Iterable[Family]) -> str:
    """The text of all families; one without samples is left out."""
    return "".join(f"{line}\n" for family in families if family.samples for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    name = family.name
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} {family.kind}"
    for labels, value in family.samples:
        if family.kind == "histogram":
            yield from _histogram(name, labels, value)
        else:
            yield f"{name}{{{labels}}} {value}"


def _histogram(name: str, labels: str, value: Any) -> Iterator[str]:
    """Buckets are cumulative, and the last one holds all."""
    for bound, n in zip((*value.bounds, "+Inf"), accumulate(value.counts), strict=True):
        yield f'{name}_bucket{{{labels},le="{bound}"}} {n}'
    yield f"{name}_sum{{{labels}}} {value.total}"
    yield f"{name}_count{{{labels}}} {sum(value.counts)}"


def labelled(**labels: str) -> str:
    """Labels, at least one, as they stand between the braces of a sample."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
