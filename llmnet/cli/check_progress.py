"""One line on a terminal that says how far the check of an input is, and that is gone when it is done."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TextIO

from llmnet.cli.terminal import is_terminal
from llmnet.core.bounds import Clock

EVERY = 256  # lines from one look at the clock to the next
PAUSE = 0.2  # seconds between two drawings, and until the first one: most inputs are checked by then


class CheckProgress:
    """Draws how far a check is.

    Args:
        terminal: where to; `None` for nowhere.
        clock: seconds that pass.
    """

    def __init__(self, terminal: TextIO | None, clock: Clock = time.monotonic) -> None:
        self._terminal, self._clock = terminal, clock
        self._drawn_at, self._width = clock(), 0

    def __call__(self, count: int, share: float) -> None:
        """So many lines are checked, which are so large a share of the input."""
        if self._terminal is None or (now := self._clock()) - self._drawn_at < PAUSE:
            return
        self._drawn_at = now
        self._draw(f"llmnet: checking the input: {share:.0%}, {count:,} lines")

    @contextlib.contextmanager
    def shown(self) -> Iterator["CheckProgress"]:
        """A block at whose end the line is gone, however it ends."""
        try:
            yield self
        finally:
            if self._width:
                self._draw("")

    def _draw(self, text: str) -> None:
        """Write a text over the one before, or nothing, where the next line is to begin."""
        line, self._width = f"\r{text:<{self._width}}", len(text)
        with contextlib.suppress(OSError):  # the terminal is gone
            print(line, end="" if text else "\r", file=self._terminal, flush=True)


def terminal_for(*, wanted: bool) -> TextIO | None:
    """Standard error, if that is a terminal that can be drawn on."""
    return sys.stderr if wanted and is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb" else None
