"""The figures of a batch on a terminal: a bar by rich where that is installed, else one line; nothing in a pipe."""

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from llmnet.batch.progress import BatchProgress, Show

# What is known of a terminal that does not say how wide it is.
_WIDTH = 80


def bar() -> "Show | None":
    """Who draws on standard error, if that is a terminal that can be drawn on."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return None
    try:
        return RichBar()
    except ImportError:
        return Line(sys.stderr)


class Line:
    """One line that is written anew each time."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal, self._before = terminal, 0

    def __call__(self, figures: "BatchProgress") -> None:
        """Write the figures over the last ones, as many as there is room for."""
        room = self._width() - 1  # a full line would break
        parts = spoken(figures)
        while len(", ".join(parts)) > room and len(parts) > 1:
            parts.pop()
        words = ", ".join(parts)[:room]
        # No wider than needed: what a terminal echoes, as ^C, then stands behind it.
        self._terminal.write(f"\r{words:<{min(room, self._before)}}" + "\n" * figures.over)
        self._before = len(words)
        self._terminal.flush()

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._terminal.fileno()).columns or _WIDTH
        except (OSError, ValueError):
            return _WIDTH


class RichBar:
    """A bar across the terminal, with the figures below it.

    Raises:
        ImportError: rich is not installed.
    """

    def __init__(self) -> None:
        from rich.console import Console, Group, NewLine  # noqa: PLC0415 - an extra, loaded on use
        from rich.live import Live  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        self._group, self._line, self._bar, self._text = Group, NewLine, ProgressBar, Text
        # What the program prints goes above the bar, but never to standard error what is meant for a file or a pipe.
        prints_here = sys.stdout is not None and sys.stdout.isatty()
        self._live = Live(console=Console(stderr=True), auto_refresh=False, redirect_stdout=prints_here)

    def __call__(self, figures: "BatchProgress") -> None:
        """Draw the figures."""
        drawn = self._bar(
            total=figures.done if figures.over and figures.total is None else figures.total,
            completed=figures.done,
            animation_time=figures.elapsed,
        )
        words = self._text(", ".join(spoken(figures)))
        self._live.start()
        self._live.update(self._group(drawn, self._line(), words), refresh=not figures.over)
        if figures.over:
            self._live.stop()


def spoken(figures: "BatchProgress") -> list[str]:
    """The figures in words, the most telling first."""
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
    whole, rest = divmod(round(seconds or 0.0), 60)
    hours, whole = divmod(whole, 60)
    return f"{hours}:{whole:02}:{rest:02}" if hours else f"{whole}:{rest:02}"
