"""Shows figures: a table, drawn by rich on a terminal where it is installed; JSON; and the progress of a run."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import count
from types import MappingProxyType
from typing import Any

Row = Mapping[str, Any]
Tick = Callable[[], None]


def show(
    title: str,
    rows: Sequence[Row],
    *,
    as_json: bool,
    notes: Mapping[str, Any],
    digits: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Print rows, which all have the same columns, and the conditions of the measurement.

    Args:
        title: what was measured.
        rows: the figures; numbers are aligned right, and `None` is a missing one.
        as_json: print one JSON object instead of a table.
        notes: the conditions.
        digits: digits after the point, by column; by default one.
    """
    if as_json:
        print(json.dumps({"title": title, **notes, "rows": [dict(row) for row in rows]}, indent=1))
        return
    cells = [{name: _text(value, digits.get(name, 1)) for name, value in row.items()} for row in rows]
    right = [any(_is_number(row[name]) for row in rows) for name in rows[0]]
    draw = _drawn if sys.stdout.isatty() and find_spec("rich") else _plain
    draw(title, cells, right)
    print(", ".join(f"{name} {value}" for name, value in notes.items()))


def _drawn(title: str, rows: Sequence[Mapping[str, str]], right: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for name, end in zip(rows[0], right, strict=True):
        table.add_column(name, justify="right" if end else "left")
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


def _plain(title: str, rows: Sequence[Mapping[str, str]], right: Sequence[bool]) -> None:
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(title)
    for line in lines:
        cells = zip(line, widths, right, strict=True)
        print("  ".join(cell.rjust(width) if end else cell.ljust(width) for cell, width, end in cells).rstrip())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any, digits: int) -> str:
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


@contextlib.contextmanager
def progress(total: int) -> Iterator[Tick]:
    """Show progress on a terminal; the function given is called after each step, from any thread."""
    if not sys.stderr.isatty():
        yield lambda: None
    elif find_spec("rich"):
        yield from _bar(total)
    else:
        yield from _counter(total)


def _bar(total: int) -> Iterator[Tick]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("measuring", total=total)
        yield lambda: bar.advance(task)


def _counter(total: int) -> Iterator[Tick]:
    done = count(1)
    yield lambda: print(f"\r{next(done)}/{total}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
