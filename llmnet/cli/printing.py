"""What the commands write: results to standard output, or an error that says why not; all else to standard error.

A terminal that lacks a character gets a question mark in its place, and a program that reads JSON an escape; control
sequences of a server's reach no terminal, and no standard error.
"""

import contextlib
import json
import os
import sys
from typing import Any, TextIO

import msgspec

from llmnet.cli.terminal import is_terminal, plain
from llmnet.core.errors import ConfigurationError, LLMNetError


def prepare() -> None:
    """Have both streams take any text."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # there is none, or it is a stand-in for one
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")  # type: ignore[union-attr]


def check_output() -> None:
    """Check that there is a standard output, before anything is paid for.

    Raises:
        ConfigurationError: it is closed.
    """
    if sys.stdout is None:
        raise ConfigurationError("standard output is closed; nothing was sent")


def write(text: str, end: str = "\n") -> None:
    """Write a result, or a piece of one, at once.

    Raises:
        BrokenPipeError: the reader has left.
        LLMNetError: it cannot be written, as on a full disk.
    """
    with _written():
        print(_shown(text, sys.stdout), end=end, flush=True)


def write_json(value: Any) -> None:
    """Write a value for machines, on one line; `write` says what is raised."""
    try:
        text = msgspec.json.encode(value).decode()
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value))
    write(text)


def flush() -> None:
    """Write what others have left in standard output; `write` says what is raised."""
    with _written():
        if sys.stdout is not None:
            sys.stdout.flush()


def tell(text: str) -> None:
    """Say something to whoever reads standard error, if anybody does."""
    if sys.stderr is None:  # `print` would take standard output
        return
    try:
        print(plain(text), file=sys.stderr, flush=True)  # a log is shown on a terminal one day
    except OSError:
        let_go(sys.stderr)


def let_go(stream: TextIO | None) -> None:
    """Write no more to a stream: what is still held for it would be tried again at the end of the program."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or it is a stand-in for one
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


def _shown(text: str, stream: TextIO | None) -> str:
    return plain(text) if is_terminal(stream) else text


@contextlib.contextmanager
def _written() -> Any:
    try:
        yield
    except BrokenPipeError:
        let_go(sys.stdout)
        raise
    except OSError as error:
        let_go(sys.stdout)
        raise LLMNetError(f"cannot write standard output: {error.strerror or error}") from None
