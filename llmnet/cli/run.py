"""Runs a command: its outcome is an exit code and at most one line on standard error."""

import contextlib
import io
import os
from collections.abc import Sequence

from llmnet.cli import printing
from llmnet.cli.errors import code_of, for_command_line
from llmnet.cli.grammar import parser
from llmnet.cli.signals import Signals
from llmnet.core.errors import LLMNetError


def run(argv: Sequence[str] | None) -> int:
    """Run a command and give its exit code."""
    printing.prepare()
    try:
        code = _run(argv)
        printing.write("", end="")  # what is buffered
    except BrokenPipeError:  # the reader has closed it, as `head` does: no error
        return 0
    except (LLMNetError, KeyboardInterrupt) as error:
        printing.notify(f"llmnet: {for_command_line(error) or 'interrupted'}")
        return code_of(error)
    except Exception as error:  # noqa: BLE001 - a bug of ours: its traceback does not help who runs a command
        printing.notify(f"llmnet: unexpected {type(error).__name__}: {error}")
        return code_of(error)
    return code


def _run(argv: Sequence[str] | None) -> int:
    help_text = io.StringIO()  # argparse itself ignores that help cannot be written
    try:
        with contextlib.redirect_stdout(help_text):
            grammar = parser()
            if "_ARGCOMPLETE" in os.environ:
                from llmnet.cli.completion import complete  # noqa: PLC0415 - for shells alone

                complete(grammar)
            options = grammar.parse_args(argv)
    except SystemExit:
        printing.write(help_text.getvalue(), end="")
        raise
    from llmnet.cli import commands, settings  # noqa: PLC0415 - `--help` needs no client

    with Signals():
        settings.settle(options, os.environ)
        return commands.COMMANDS[options.command](options) or 0
