"""The command line: arguments in, exit code out; Ctrl-C is one line at any moment, while the program is loaded, too.

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
        from llmnet.cli.run import run  # noqa: PLC0415 - loading it takes most of the time that a short command takes

        return run(argv)
    except KeyboardInterrupt:  # before there was anything to end, or while the end was being told
        with contextlib.suppress(AttributeError, OSError):  # nobody hears it
            sys.stderr.write("llmnet: interrupted\n")
        return 130
