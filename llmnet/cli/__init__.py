"""The command line: arguments in, exit code out; what a command does stands in a file of its own.

Exit codes: 0 ok, 1 failed, 2 usage, 3 authentication, 4 quota or rate limit, 5 network, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence

from llmnet import __version__
from llmnet.core.errors import (
    APIConnectionError,
    AuthenticationError,
    ConfigurationError,
    IncompleteStreamError,
    LLMNetError,
    PermissionDeniedError,
    RateLimitError,
)

# The first class that fits says the code.
EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (ConfigurationError, 2),
    (AuthenticationError, 3),
    (PermissionDeniedError, 3),
    (RateLimitError, 4),
    (APIConnectionError, 5),
    (IncompleteStreamError, 5),
    (LLMNetError, 1),
    (KeyboardInterrupt, 130),
)


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = argparse.ArgumentParser(prog="llmnet", description="Talk to language models over HTTP.")
    top.add_argument("--version", action="version", version=f"llmnet {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chat = commands.add_parser("chat", help="ask, and stream the reply to the terminal")
    chat.add_argument("prompt", help='what to say; "-" reads standard input')
    chat.add_argument("--system", metavar="TEXT", help="a system message to go before it")
    chat.add_argument("--max-tokens", type=int, metavar="N", help="limit of the reply in tokens")
    chat.add_argument("--temperature", type=float, metavar="T", help="sampling temperature")
    chat.add_argument("--no-stream", action="store_true", help="wait for the whole reply")
    models = commands.add_parser("models", help="list the models of a provider")
    for command in (chat, models):
        command.add_argument("-m", "--model", metavar="PROVIDER:MODEL", help="which model, as in openai:gpt-5.4-mini")
        command.add_argument("--base-url", metavar="URL", help="where to send, if not to the provider's own address")
        command.add_argument("--timeout", type=float, metavar="SECONDS", help="seconds for the whole call")
        command.add_argument("--json", action="store_true", help="print JSON for machines")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments, without the program's name; `None` takes the process's own.

    Returns:
        The exit code.
    """
    options = parser().parse_args(argv)
    from llmnet.cli import commands  # noqa: PLC0415 - `--help` needs no client

    try:
        commands.COMMANDS[options.command](options)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has left, as `head` does; nothing is wrong
        return 0
    except (LLMNetError, KeyboardInterrupt) as error:
        print(f"llmnet: {str(error) or 'interrupted'}", file=sys.stderr)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    return 0
