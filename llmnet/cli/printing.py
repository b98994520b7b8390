"""Writes results to standard output, or raises why that fails; everything else goes to standard error.

A character that the encoding lacks becomes a question mark, and an escape in JSON; control sequences from a server
reach neither a terminal nor standard error.
"""

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from llmnet.cli.terminal import ControlFilter, is_terminal, without_controls
from llmnet.core.errors import ConfigurationError, LLMNetError

if TYPE_CHECKING:  # `--help` needs no client
    from llmnet.client.sync_stream import ChatStream
    from llmnet.core.chat import ChatResponse


def prepare() -> None:
    """Make both streams accept any text."""
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
        BrokenPipeError: the reader has closed it.
        LLMNetError: it cannot be written, as on a full disk.
    """
    try:
        print(without_controls(text) if is_terminal(sys.stdout) else text, end=end, flush=True)
    except OSError as error:
        discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        raise LLMNetError(f"cannot write standard output: {error.strerror or error}") from None


def write_json(value: Any) -> None:
    """Write a value as JSON on one line; raises as `write` does."""
    try:
        text = msgspec.json.encode(value).decode()
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(value))
    write(text)


def notify(text: str) -> None:
    """Write a line to standard error, if it is open."""
    if sys.stderr is None:  # `print` would use standard output
        return
    try:
        print(without_controls(text), file=sys.stderr, flush=True)  # a log file may be printed on a terminal later
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO | None) -> None:
    """Redirect a stream to nowhere: Python would write its buffer again at the end of the program, and fail again."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or it is a stand-in for one
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # type: ignore[union-attr]
        os.close(null)


_REMARKS = {
    "length": "the reply ended at its limit of tokens",
    "content_filter": "the reply was ended by the vendor's content filter",
    "refusal": "the model refused",
}


def stream_text(stream: "ChatStream") -> "ChatResponse":
    """Print the text of a stream as it comes, and give the whole reply."""
    filtered = ControlFilter() if is_terminal(sys.stdout) else str
    started = False
    with stream:
        try:
            for chunk in stream:
                started = True
                write(filtered(chunk.content), end="")
        finally:  # what is printed next begins a new line
            if started:
                write("")
    return stream.response


def notify_of(reply: "ChatResponse") -> None:
    """Print what the text of a reply does not show, such as a refusal."""
    remark = f"the model refused: {reply.refusal}" if reply.refusal else _REMARKS.get(reply.finish_reason or "")
    if remark or not reply.content:
        notify(f"llmnet: {remark or 'the reply has no text'}")
