"""Runs a command: whatever comes of it is an exit code and at most a line on standard error."""

import contextlib
import io
from collections.abc import Sequence

from llmnet.cli import printing
from llmnet.cli.exit_codes import code_of
from llmnet.cli.grammar import parser
from llmnet.cli.signals import Signals
from llmnet.cli.words import on_command_line
from llmnet.core.errors import LLMNetError


def run(argv: Sequence[str] | None) -> int:
    """Run a command; its exit code."""
    printing.prepare()
    try:
        code = _run(argv)
        printing.flush()
    except BrokenPipeError:  # the reader has left, as `head` does; nothing is wrong
        return 0
    except (LLMNetError, KeyboardInterrupt) as error:
        printing.tell(f"llmnet: {on_command_line(error) or 'interrupted'}")
        return code_of(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours, of whose frames the caller of a command makes nothing
        printing.tell(f"llmnet: unexpected {type(error).__name__}: {error}")
        return code_of(error)
    return code


def _run(argv: Sequence[str] | None) -> int:
    helped = io.StringIO()  # argparse itself is silent about help that cannot be written
    try:
        with contextlib.redirect_stdout(helped):
            options = parser().parse_args(argv)
    except SystemExit:
        printing.write(helped.getvalue(), end="")
        raise
    from llmnet.cli import commands  # noqa: PLC0415 - `--help` needs no client

    with Signals():
        return commands.COMMANDS[options.command](options) or 0
