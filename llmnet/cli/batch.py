"""`llmnet batch`: checks all lines, sends them, writes each result as it comes, and prints a summary."""

import argparse
import logging
import os
from contextlib import ExitStack
from typing import Any

from llmnet.batch.threads import Batch
from llmnet.cli import printing
from llmnet.cli.batch_input import Rows, open_input
from llmnet.cli.batch_output import Output, check_not_input, line_of
from llmnet.cli.batch_summary import Summary, show
from llmnet.cli.check_progress import CheckProgress, terminal_for
from llmnet.cli.connect import connect
from llmnet.cli.refusals import UntilRefused
from llmnet.cli.settings import parameters
from llmnet.cli.signals import Signals
from llmnet.client.rows import row_check
from llmnet.core.errors import ConfigurationError


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
        with CheckProgress(terminal_for(wanted=not options.no_progress)).shown() as progress:
            rows.check(row_check(client), progress)
        output = Output(options.output, signals.uninterrupted, overwrite=options.overwrite, resume=options.resume)
        stack.callback(output.close)
        if output.answered:
            rows.leave_out(output.answered)
        to_send, summary = UntilRefused(rows), Summary(len(rows), answered_before=rows.left_out)
        settings = {"ordered": options.ordered, "stop_after_errors": options.stop_after_errors}
        running = stack.enter_context(client.batch(to_send, **settings, progress=_has_bar(options)))
        signals.stop = running.stop
        _write(running, output, summary, to_send, as_json=options.json)
        signals.raise_if_signalled()
    if to_send.refused:
        printing.notify(f"llmnet: {to_send.reason}")
    return summary.exit_code


def _write(results: Batch[Any], output: Output, summary: Summary, to_send: UntilRefused, *, as_json: bool) -> None:
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
