# PYTHON_ARGCOMPLETE_OK
"""The command line: arguments in, exit code out; Ctrl-C is one line at any moment, also while modules load.

Exit codes: 0 ok, 1 failed, 2 usage, 3 authentication, 4 quota or rate limit, 5 network, 129, 130 and 143 by a signal.
"""

import contextlib
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments, without the program's name; `None` takes the process's own.

    Returns:
        The exit code.
    """
    try:
        from llmnet.cli.run import run  # noqa: PLC0415 - most of a short command's time

        return run(argv)
    except KeyboardInterrupt:  # before anything ran, or while an error was being reported
        with contextlib.suppress(AttributeError, OSError):  # nobody reads it
            sys.stderr.write("llmnet: interrupted\n")
        return 130
