"""Draws two figures as SVG: what a call costs by how many are in flight, and what a delta costs of a thousand streams.

Text and lines take the colours of the reader's theme, dark or light, and the ground is transparent.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_Row = Mapping[str, Any]

COLOURS = {
    "llmnet": "#1f83ff",
    "pyreqwest": "#12a37a",
    "aiohttp": "#d99a00",
    "httpx": "#d9542b",
    "httpx2": "#c05fa6",
    "openai": "#8a8f98",
    "anthropic": "#a9855a",
    "litellm": "#7d6ff0",
}
_WIDTH, _HEIGHT = 940, 400
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 } .head { font-weight: 600; font-size: 13px }
.grid { stroke: #8888; stroke-width: .5 } .faint { fill: #777 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .faint { fill: #999 } }
"""


class Box(NamedTuple):
    """Where a figure is drawn."""

    left: float
    top: float
    right: float
    bottom: float


class Scale(NamedTuple):
    """Logarithmic: where a value lies between two ends."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value."""
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)


def drawn(rows: Sequence[_Row]) -> str:
    """Both figures."""
    parts = (
        *_curves(curves(rows), Box(60, 60, 450, 355)),
        *_bars(bars(rows), Box(640, 60, 800, 355)),
    )
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>What llmnet and others cost</title>'
    return "\n".join((head, f"<style>{_STYLE}</style>", *parts, "</svg>\n"))


def curves(rows: Sequence[_Row]) -> dict[str, list[tuple[int, float]]]:
    """By library, the microseconds of a call at each number in flight."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        kind, _, at_once = row["scenario"].rpartition("-")
        if kind == "chat-async" and row["library"] in COLOURS and "cpu" in row:
            found.setdefault(row["library"], []).append((int(at_once), row["cpu"]["absolute"]["median"]))
    return found


def bars(rows: Sequence[_Row]) -> dict[str, tuple[float, float]]:
    """By library, the microseconds of a delta of many streams, and the milliseconds within which nearly all come."""
    slow = [row for row in rows if (row["scenario"], row["step"]) == ("streams-slow", "delta")]
    return {
        row["library"]: (row["cpu"]["absolute"]["median"], row["late"]["absolute"]["median"])
        for row in slow
        if row["library"] in COLOURS and "late" in row
    }


def _curves(found: Mapping[str, Sequence[tuple[int, float]]], box: Box) -> Iterator[str]:
    yield from _titles(box.left - 45, "CPU time of a chat", "by how many are in flight")
    points = [point for curve in found.values() for point in curve]
    if not points:
        return
    counts, costs = sorted({count for count, _ in points}), [cost for _, cost in points]
    across = Scale(1, max(counts[-1], 10), box.left, box.right)
    up = Scale(*_decades(min(costs), max(costs)), box.bottom, box.top)
    yield from _grid(counts, across, up, box)
    for name, curve in found.items():
        line = " ".join(f"{across.at(count):.1f},{up.at(cost):.1f}" for count, cost in curve)
        wide = 3 if name == "llmnet" else 1.5
        yield f'<polyline points="{line}" fill="none" stroke="{COLOURS[name]}" stroke-width="{wide}"/>'
    for last in counts:
        ends = {name: up.at(curve[-1][1]) for name, curve in found.items() if curve[-1][0] == last}
        yield from (_name(across.at(last) + 8, y + 4, name) for name, y in spread(ends, 14).items())


def _decades(low: float, high: float) -> tuple[float, float]:
    """The powers of ten around some values."""
    below = math.floor(math.log10(low))
    return 10.0**below, 10.0 ** max(math.ceil(math.log10(high)), below + 1)


def _grid(counts: Sequence[int], across: Scale, up: Scale, box: Box) -> Iterator[str]:
    for count in counts:
        yield _line(across.at(count), box.top, across.at(count), box.bottom)
        yield _text(across.at(count), box.bottom + 18, f"{count}", "faint", "middle")
    for power in range(round(math.log10(up.low)), round(math.log10(up.high)) + 1):
        y = up.at(10.0**power)
        yield _line(box.left, y, box.right, y)
        yield _text(box.left - 6, y + 4, _time(10.0**power), "faint", "end")


def spread(places: Mapping[str, float], room: float) -> dict[str, float]:
    """Labels from the top down, each so far below the one before it that both can be read."""
    placed: dict[str, float] = {}
    last = -math.inf
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        last = placed[name] = max(place, last + room)
    return placed


def _bars(found: Mapping[str, tuple[float, float]], box: Box) -> Iterator[str]:
    yield from _titles(box.left - 75, "CPU time of a delta of 1000 slow streams", "and how late one of a hundred comes")
    if not found:
        return
    high = max(cost for cost, _ in found.values())
    room = min((box.bottom - box.top) / len(found), 40)
    for number, (name, (cost, late)) in enumerate(sorted(found.items(), key=lambda item: item[1][0])):
        y, long = box.top + number * room, max((box.right - box.left) * cost / high, 1)
        bar = f'x="{box.left}" y="{y:.1f}" width="{long:.1f}" height="{room * 0.6:.1f}"'
        yield f'<rect {bar} rx="2" fill="{COLOURS[name]}"/>'
        yield _name(box.left - 8, y + room * 0.3 + 4, name, "end")
        yield _text(box.left + long + 8, y + room * 0.3 + 4, f"{_time(cost)}, {_time(late * 1000)}")


def _titles(x: float, title: str, more: str) -> Iterator[str]:
    yield _text(x, 18, title, "head")
    yield _text(x, 36, more, "faint")


def _time(micros: float) -> str:
    """Microseconds with the unit that gives the fewest digits."""
    for factor, unit in ((1e6, "s"), (1e3, "ms")):
        if micros >= factor:
            return f"{micros / factor:.3g} {unit}"
    return f"{micros:.3g} µs"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{text}</text>'


def _name(x: float, y: float, name: str, anchor: str = "start") -> str:
    bold = ' font-weight="bold"' if name == "llmnet" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="fill: {COLOURS[name]}"{bold}>{name}</text>'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="grid"/>'
