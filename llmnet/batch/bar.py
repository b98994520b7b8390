"""Draws a batch on a terminal: a bar by rich where that is installed, else one line; in a pipe nothing."""

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from llmnet.batch.rows import BatchProgress, Show

# The width of a terminal that reports none.
_WIDTH = 80


def bar() -> "Show | None":
    """What draws on standard error, if that is a terminal that can be drawn on."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return None
    try:
        return rich_bar()
    except ImportError:
        return Line(sys.stderr)


class Line:
    """One line that is written anew each time."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal, self._before = terminal, 0

    def __call__(self, figures: "BatchProgress") -> None:
        """Write the figures over the last ones, as many as fit."""
        width = self._width() - 1  # a full line would break
        parts = figure_texts(figures)
        while len(", ".join(parts)) > width and len(parts) > 1:
            parts.pop()
        line = ", ".join(parts)[:width]
        # No wider than needed: what a terminal echoes, as ^C, then stands behind it.
        self._terminal.write(f"\r{line:<{min(width, self._before)}}" + "\n" * figures.over)
        self._before = len(line)
        self._terminal.flush()

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._terminal.fileno()).columns or _WIDTH
        except (OSError, ValueError):
            return _WIDTH


def rich_bar() -> "Show":
    """A bar across the terminal, with the figures below it.

    Raises:
        ImportError: rich is not installed.
    """
    from rich.console import Console, Group  # noqa: PLC0415 - an extra, loaded on use
    from rich.live import Live  # noqa: PLC0415
    from rich.progress import BarColumn, Progress  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    progress = Progress(BarColumn(None), expand=True)
    task = progress.add_task("", total=None)
    # What the program prints goes above the bar, but never to standard error what is for a file or a pipe.
    prints_here = sys.stdout is not None and sys.stdout.isatty()
    live = Live(console=Console(stderr=True), auto_refresh=False, redirect_stdout=prints_here)

    def draw(figures: "BatchProgress") -> None:
        total = figures.done if figures.over and figures.total is None else figures.total
        progress.update(task, completed=figures.done, total=total)
        live.start()
        live.update(Group(progress, Text(", ".join(figure_texts(figures)))), refresh=not figures.over)
        if figures.over:
            live.stop()

    return draw


def figure_texts(figures: "BatchProgress") -> list[str]:
    """The figures as short texts, the most important first."""
    done = f"{figures.done} done" if figures.total is None else f"{figures.done}/{figures.total}"
    time = f"{minutes(figures.elapsed)} in all" if figures.over else f"{minutes(figures.left)} left"
    return [
        done,
        f"{figures.failed} failed",
        *([time] if figures.over or figures.left is not None else []),
        f"{figures.requests_per_second:.1f} req/s",
        f"{figures.tokens_per_second:.0f} tok/s",
        f"{figures.in_flight} in flight",
        f"{figures.throttled} throttled",
    ]


def minutes(seconds: float | None) -> str:
    """A duration as a clock shows it."""
    total, rest = divmod(round(seconds or 0.0), 60)
    hours, total = divmod(total, 60)
    return f"{hours}:{total:02}:{rest:02}" if hours else f"{total}:{rest:02}"
