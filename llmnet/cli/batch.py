"""`llmnet batch`: checks all lines, sends them, writes each result as it comes, and prints a summary."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TextIO

from llmnet.batch.rows import BatchResult
from llmnet.batch.threads import Batch
from llmnet.cli import printing
from llmnet.cli.batch_input import Rows, open_input
from llmnet.cli.batch_lines import line_of
from llmnet.cli.batch_output import Output, check_not_input
from llmnet.cli.batch_summary import Summary, show
from llmnet.cli.settings import connect, parameters
from llmnet.cli.signals import Signals
from llmnet.cli.terminal import is_terminal
from llmnet.client.rows import row_check
from llmnet.core.bounds import Clock
from llmnet.core.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
)

PAUSE = 0.2  # seconds between two drawings, and until the first one: most inputs are checked by then
FIRST, LATER = 20, 100  # refusals in a row
_REFUSALS = (AuthenticationError, PermissionDeniedError, QuotaExceededError)
# Seconds: a batch does not wait longer for a limit to end, which is then like a spent quota.
_MAX_WAIT = 3600.0


def batch(options: argparse.Namespace) -> int:
    """Run the command and give its exit code."""
    common = parameters(options)
    if options.output == "-":
        if options.resume:
            raise ConfigurationError("--resume needs --output FILE: standard output cannot be gone on with")
        printing.check_output()
    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        source = stack.enter_context(open_input(options.input))
        check_not_input(source.fileno(), options.output)
        client = stack.enter_context(connect(options, max_concurrent=options.max_concurrent))
        rows = Rows(source, common, options.system)
        is_shown = not options.no_progress and is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
        with CheckProgress(sys.stderr if is_shown else None).shown() as progress:
            rows.check(row_check(client), progress)
        output = Output(options.output, signals.uninterrupted, overwrite=options.overwrite, resume=options.resume)
        stack.callback(output.close)
        if output.answered:
            rows.leave_out(output.answered)
        to_send, summary = UntilRefused(rows), Summary(len(rows), answered_before=rows.left_out)
        running = stack.enter_context(
            client.batch(
                to_send,
                ordered=options.ordered,
                stop_after_errors=options.stop_after_errors,
                progress=_has_bar(options),
            )
        )
        signals.stop = running.stop
        _write(running, output, summary, to_send, as_json=options.json)
        signals.raise_if_signalled()
    if to_send.reason:
        printing.notify(f"llmnet: {to_send.reason}")
    return summary.exit_code


def _write(results: Batch[Any], output: Output, summary: Summary, to_send: "UntilRefused", *, as_json: bool) -> None:
    """Write the results, and a summary however that ends."""
    try:
        for result in results:
            output.write(line_of(result))
            summary.add(result)
            to_send.add(result)
    except BrokenPipeError:  # the reader has closed it, as `head` does: what is left is not finished
        pass
    finally:
        results.close()
        show(summary.figures(), as_json=as_json)


def _has_bar(options: argparse.Namespace) -> bool:
    """Whether a bar may be shown: not among results or log lines on the terminal."""
    in_use = (options.output == "-" and os.isatty(1)) or logging.getLogger("llmnet").isEnabledFor(logging.INFO)
    return not options.no_progress and not in_use


class CheckProgress:
    """Draws how far a check is, on one line of a terminal (`None` for nowhere), which is gone when it is done."""

    def __init__(self, terminal: TextIO | None, clock: Clock = time.monotonic) -> None:
        self._terminal, self._clock = terminal, clock
        self._drawn_at, self._width = clock(), 0

    def __call__(self, count: int, share: float) -> None:
        """So many lines are checked, which are so large a share of the input."""
        if self._terminal is None or (now := self._clock()) - self._drawn_at < PAUSE:
            return
        self._drawn_at = now
        self._draw(f"llmnet: checking the input: {share:.0%}, {count:,} lines")

    @contextmanager
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
        with suppress(OSError):  # the terminal is gone
            print(line, end="" if text else "\r", file=self._terminal, flush=True)


class UntilRefused:
    """The rows of a batch, which end as soon as so many in a row were refused for the key or a spent quota.

    At its beginning few rows decide. Later on, where the key was right, it takes more: neighbours may name another
    model.

    Attributes:
        reason: why no more are sent; `""` until then.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows, self._done, self._in_a_row = rows, 0, 0
        self._most, self.reason = FIRST, ""

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            if self.reason:
                return
            yield row

    def add(self, result: BatchResult) -> None:
        """Count a result."""
        self._done += 1
        if self.reason:  # what was under way by then changes nothing
            return
        limited = isinstance(result.error, RateLimitError) and (result.error.retry_after or 0.0) > _MAX_WAIT
        if not (limited or isinstance(result.error, _REFUSALS)):
            self._most, self._in_a_row = LATER, 0
            return
        self._in_a_row += 1
        if self._in_a_row == self._most and self._done < len(self._rows):
            rows = f"the first {FIRST} rows were all" if self._most == FIRST else f"{LATER} rows in a row were"
            self.reason = f"{rows} refused, so no more were sent; the last of them: {result.error}"
