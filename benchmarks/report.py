"""Turns samples into rows: for JSON with all figures, for a table with those that fit on a line."""

import datetime as dt
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Rounds, Spread, known, measured, ratios, spread
from benchmarks.libraries import Library
from benchmarks.rounds import Track
from benchmarks.scenarios import Scenario
from benchmarks.show import show

_TITLE = "What others cost; × is how many times what llmnet costs over the same API: the median, and half of all rounds"
_COLUMNS = {"CPU": "cpu", "wall": "wall", "MB": "memory", "KiB a call": "grown", "ms late": "late", "MiB": "size"}
UNITS = {
    "installed": ("MiB", 1.0),
    **dict.fromkeys(("import", "client", "reply", "stream"), ("ms", 1e3)),
    **dict.fromkeys(("call", "delta", "count"), ("µs", 1e6)),
}


def rows(scenario: Scenario, libraries: Sequence[Library], tracks: Mapping[str, Track]) -> Iterator[dict[str, Any]]:
    """The figures of a scenario, a row for each step of each library."""
    for step in scenario.per:
        for library in libraries:
            yield _row(scenario, step, library, tracks)


def _row(scenario: Scenario, step: str, library: Library, tracks: Mapping[str, Track]) -> dict[str, Any]:
    own, base = tracks[library.name], tracks[library.against]
    unit, factor = UNITS[step]
    factors = {"cpu": factor, "wall": factor, "late": 1e3}
    gauges = {gauge: factors.get(gauge, 1.0) for gauge in _COLUMNS.values()}
    return {
        "scenario": scenario.name,
        "step": step,
        "unit": unit,
        "library": library.name,
        "against": library.against,
        "rounds": sum(sample is not None for sample in own.samples),
        "failed": own.failed,
        **{gauge: _compared(own.samples, base.samples, step, gauge, scale) for gauge, scale in gauges.items()},
    }


def _compared(own: Rounds, base: Rounds, step: str, gauge: str, factor: float) -> dict[str, Any]:
    values = measured(own, step, gauge)
    scaled = [value * factor for value in known(values)]
    return {
        "samples": scaled,
        "absolute": _figures(spread(scaled)),
        "ratio": _figures(spread(ratios(values, measured(base, step, gauge)))),
    }


def _figures(found: Spread | None) -> dict[str, float] | None:
    return None if found is None else found._asdict()


def condensed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as the table shows it; ratios are left out where there is nothing to compare with."""
    step = f"{row['step']}, {row['unit']}"
    line: dict[str, Any] = {"scenario": row["scenario"], "step": step, "library": row["library"]}
    for name, measure in _COLUMNS.items():
        found = row[measure]
        line |= {name: _median(found["absolute"]), f"×{name}": _median(found["ratio"])}
        if measure in ("cpu", "wall"):
            line[f"×{name} q1–q3"] = "" if row["library"] == row["against"] else _quartiles(found["ratio"])
    return line


def _filled(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The lines without the columns that none of them has a figure for."""
    empty = {name for name in lines[0] if all(line[name] is None for line in lines)}
    return [{name: value for name, value in line.items() if name not in empty} for line in lines]


def _median(found: Mapping[str, float] | None) -> float | None:
    return found["median"] if found else None


def _quartiles(found: Mapping[str, float] | None) -> str:
    return f"{found['q1']:.2f}–{found['q3']:.2f}" if found and found["q1"] < found["q3"] else ""


def conditions(libraries: Sequence[Library]) -> dict[str, Any]:
    """When and where it was measured, and what."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {library.package: library.version for library in libraries},
    }


def processor() -> str:
    """The name of the processor."""
    try:
        names = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
        return next(names).partition(":")[2].strip()
    except (OSError, StopIteration):
        return platform.processor()


def printed(rows: Sequence[Mapping[str, Any]], notes: Mapping[str, Any], *, as_json: bool) -> None:
    """Print all rows, and below a table who has failed and why.

    Args:
        rows: what `rows` gives.
        notes: what `conditions` gives, and more.
        as_json: print an object, which `benchmarks.publish` takes.
    """
    if as_json:
        show(_TITLE, rows, as_json=True, notes=notes)
        return
    ratios = {f"×{name}": 2 for name in _COLUMNS}
    shown = {name: value for name, value in notes.items() if name not in ("versions", "skipped", "quick")}
    lines = _filled([condensed(row) for row in rows])
    show(_TITLE, lines, as_json=False, notes=shown | notes["versions"], digits=ratios)
    failed = {f"{row['scenario']}: {row['library']} failed, {row['failed']}": None for row in rows if row["failed"]}
    for line in (*failed, *notes["skipped"]):
        print(line)
