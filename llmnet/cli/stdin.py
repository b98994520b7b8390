"""Reads standard input: UTF-8 text, without a byte order mark."""

import contextlib
import os
import select
import sys
import threading
from collections.abc import Iterator
from typing import Any

from llmnet.cli.printing import notify
from llmnet.core.errors import ConfigurationError

_BOM = "\ufeff"
MAX_BYTES = 64 * 2**20  # of a prompt
HINT_DELAY = 3.0  # seconds until the hint is printed
SLICE = 0.5  # seconds: a signal that comes the moment before a wait does not end that wait
_PIECE = 64 * 2**10
CURE = "if it is GBK, iconv -f GBK -t UTF-8 converts it"
HINT = "llmnet: waiting for standard input to end, which is to follow the prompt; </dev/null gives none"
HINT_ALONE = "llmnet: no prompt was given, so standard input is one: waiting for its end"


def read_prompt(argument: str | None) -> str:
    """The prompt: the argument, followed by standard input, unless that is a terminal; that alone for `-` and `None`.

    Raises:
        ConfigurationError: standard input cannot be read, is no UTF-8 or too long, or the prompt is empty.
    """
    if argument == "-":
        prompt = _read(sys.stdin, required=True)
    elif argument is None:
        prompt = _read_with_hint(sys.stdin, HINT_ALONE, required=True)
    else:
        text = "" if sys.stdin is None or sys.stdin.isatty() else _read_with_hint(sys.stdin, HINT)
        prompt = f"{argument}\n\n{text}" if text.strip() else argument
    if not prompt.strip():
        raise ConfigurationError("the prompt is empty")
    return prompt


def _read_with_hint(stream: Any, hint: str, *, required: bool = False) -> str:
    """Read a stream that may have been left open by mistake: after a while a hint says what is awaited."""
    timer = threading.Timer(HINT_DELAY, notify, [hint])
    timer.daemon = True
    timer.start()
    try:
        return _read(stream, required=required)
    finally:
        timer.cancel()


def _read(stream: Any, *, required: bool = False) -> str:
    if stream is None:
        raise ConfigurationError("standard input is closed")
    try:
        source = getattr(stream, "buffer", stream)
        data = _bounded(source) if _is_real(stream) else source.read(MAX_BYTES + 1)
    except OSError as error:
        if not (required or _is_real(stream)):
            return ""
        raise ConfigurationError(f"cannot read standard input: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"standard input is longer than {MAX_BYTES:,} bytes; nothing was sent")
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"standard input is no UTF-8: byte {error.start + 1}; nothing was sent; {CURE}"
        ) from None
    return text.removeprefix(_BOM)


def _bounded(source: Any) -> bytes:
    """All bytes of a file, or somewhat more of it than a prompt may have."""
    data = bytearray()
    for piece in pieces(source):
        data += piece
        if len(data) > MAX_BYTES:
            break
    return bytes(data)


def pieces(file: Any) -> Iterator[bytes]:
    """The bytes of a file or pipe, to its end, as they come; a signal is handled within half a second."""
    # A file that another program made non-blocking would seem to end wherever it pauses.
    with contextlib.suppress(OSError):  # no pipe (Windows)
        os.set_blocking(file.fileno(), True)
    while True:
        with contextlib.suppress(OSError, ValueError):  # Windows selects nothing but sockets
            while not select.select([file], [], [], SLICE)[0]:
                pass
        piece = file.read1(_PIECE)
        if not piece:
            return
        yield piece


def _is_real(stream: Any) -> bool:
    """Whether there is a file behind it, and not an object that only replaces standard input."""
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
