"""`llmnet batch`: checks all lines, sends them, writes each result as it comes, and sums up."""

import argparse
import logging
import os
from contextlib import ExitStack

from llmnet.batch.threads import Batch
from llmnet.cli import printing
from llmnet.cli.batch_input import Rows, opened
from llmnet.cli.batch_output import Output, line_of, refuse_same
from llmnet.cli.batch_summary import Summary, show
from llmnet.cli.connect import connect
from llmnet.cli.first_rows import Trial
from llmnet.cli.signals import Signals


def batch(options: argparse.Namespace) -> int:
    """Run the command; its exit code."""
    common = {"max_tokens": options.max_tokens, "temperature": options.temperature}
    given = {name: value for name, value in common.items() if value is not None}
    if options.output == "-":
        printing.check_output()
    with ExitStack() as open_things:
        signals = open_things.enter_context(Signals())
        source = open_things.enter_context(opened(options.input))
        refuse_same(source.fileno(), options.output)
        client = open_things.enter_context(connect(options, max_concurrent=options.max_concurrent))
        rows = Rows(source, given, options.system)
        rows.check(client.check_row)
        trial = Trial(rows)
        asked = {"ordered": options.ordered, "stop_after_errors": options.stop_after_errors}
        running = open_things.enter_context(client.batch(trial, **asked, progress=_with_bar(options)))
        output, summary = Output(options.output, signals.whole, overwrite=options.overwrite), Summary(len(rows))
        open_things.callback(output.close)
        signals.stop = running.stop
        _write(running, output, summary, trial, as_json=options.json)
        signals.raise_asked()
    if trial.failed:
        printing.tell(f"llmnet: {trial.verdict}")
    return summary.exit_code


def _write(results: Batch, output: Output, summary: Summary, trial: Trial, *, as_json: bool) -> None:
    """Write the results, and sum up however that ends."""
    try:
        for result in results:
            output.write(line_of(result))
            summary.add(result)
            trial.hear(result)
    finally:
        results.close()
        show(summary.figures(), as_json=as_json)


def _with_bar(options: argparse.Namespace) -> bool:
    """Whether there may be a bar: not among results, or log lines, that go to a terminal."""
    busy = (options.output == "-" and os.isatty(1)) or logging.getLogger("llmnet").isEnabledFor(logging.INFO)
    return not options.no_progress and not busy
