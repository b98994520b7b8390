"""Writes what was measured to where it is read: figures, the table of README and its plot; nothing is typed by hand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.libraries import BY_NAME, LIBRARIES
from benchmarks.plot import drawn

ROOT = Path(__file__).parent.parent
FIGURES, PLOT, README = "benchmarks/published.json", "docs/cost.svg", "README.md"
BEGIN, END = "<!-- written by `python -m benchmarks --publish` -->\n", "<!-- until here -->\n"


class Line(NamedTuple):
    """A line of the table: which figure it shows, of the libraries that use one API or of all."""

    label: str
    scenario: str
    step: str
    gauge: str = "cpu"
    unit: str = ""
    own: str = ""


LINES = [
    Line("sync chat", "chat-sync", "call"),
    Line("async chat, 1 in flight", "chat-async-1", "call"),
    *(Line(f"… {at_once} in flight", f"chat-async-{at_once}", "call") for at_once in (10, 100, 1000, 3000)),
    Line("2000 deltas, sync", "stream-sync", "stream"),
    Line("2000 deltas, async", "stream-async", "stream", own="llmnet"),
    Line("… over Messages", "stream-async", "stream", own="llmnet-messages"),
    Line("a delta every 2 ms", "stream-paced", "delta"),
    Line("1000 slow streams, a delta", "streams-slow", "delta"),
    Line("… 99 of 100 come within", "streams-slow", "delta", "late", "ms"),
    Line("… memory of each", "streams-slow", "delta", "grown", "KiB"),
    Line("import of the async client", "start-async", "client"),
    Line("first reply, fresh process", "start-async", "reply"),
    Line("… sync", "start-sync", "reply"),
    Line("installed size", "size", "installed", "size", "MiB"),
]
_COLUMNS = [library.name for library in LIBRARIES if library.name != "llmnet-messages"]


def publish(rows: Sequence[Mapping[str, Any]], notes: Mapping[str, Any], root: Path = ROOT) -> None:
    """Write the figures, and what is made of them."""
    kept = [shortened(row) for row in rows]
    (root / FIGURES).write_text(_written(kept, notes))
    (root / PLOT).write_text(drawn(kept))
    readme = root / README
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(before + BEGIN + block(kept, notes) + END + rest.partition(END)[2])


def shortened(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without its samples, and without what there is no figure of."""
    kept = dict(row)
    for gauge, found in row.items():
        if isinstance(found, Mapping):
            figures = {name: _rounded(found[name]) for name in ("absolute", "ratio") if found[name]}
            kept |= {gauge: figures}
            if not figures:
                del kept[gauge]
    return kept


def _rounded(found: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.5g}") for name, value in found.items()}


def _written(rows: Sequence[Mapping[str, Any]], notes: Mapping[str, Any]) -> str:
    """JSON with a line for each row, which a reader of changes can compare."""
    head = json.dumps(notes, ensure_ascii=False, indent=1).rstrip("}\n")
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f'{head},\n "rows": [\n{lines}\n]}}\n'


def block(rows: Sequence[Mapping[str, Any]], notes: Mapping[str, Any]) -> str:
    """What stands in README between the marks."""
    return "\n".join((*table(rows), "", _conditions(notes), ""))


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of the table; neither a library nor a line of which there is no figure is in it."""
    found = {(row["scenario"], row["step"], row["library"]): row for row in rows}
    lines = {line.label + line.own: _cells(line, found) for line in LINES}
    lines = {label: cells for label, cells in lines.items() if "llmnet" in cells}
    columns = [name for name in _COLUMNS if any(name in cells for cells in lines.values())]
    yield f"| | {' | '.join(columns)} |"
    yield f"|---|{'--:|' * len(columns)}"
    for line in LINES:
        if cells := lines.get(line.label + line.own):
            yield f"| {line.label} | {' | '.join(cells.get(name, '–') for name in columns)} |"


def _cells(line: Line, found: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> dict[str, str]:
    """What a line shows, by the name of the library: of llmnet how much, of others how many times that."""
    cells = {}
    for name in _COLUMNS:
        against = line.own or BY_NAME[name].against
        figures = found.get((line.scenario, line.step, line.own if name == "llmnet" and line.own else name))
        if figures is None or line.gauge not in figures:
            continue
        if name == "llmnet":
            cells[name] = f"{_number(figures[line.gauge]['absolute']['median'])} {line.unit or figures['unit']}"
        elif BY_NAME[name].against == against and "ratio" in figures[line.gauge]:
            cells[name] = _number(figures[line.gauge]["ratio"]["median"])
    return cells


def _number(value: float) -> str:
    """Two digits after the point below 10, one below 100, none above."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _conditions(notes: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{package.partition('.')[0]} {version}" for package, version in notes["versions"].items())
    return f"{notes['date'][:10]}, {notes['processor']}, Python {notes['python']}: {versions}."
