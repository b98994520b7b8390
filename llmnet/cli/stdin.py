"""What the commands are told on standard input: text in UTF-8, without its byte order mark."""

import contextlib
import os
import sys
import threading
from typing import Any

from llmnet.cli.printing import tell
from llmnet.core.errors import ConfigurationError

_BOM = "\ufeff"
_LONGEST = 64 * 2**20
"""Bytes that are read: what goes on and on is no prompt."""
_PATIENCE = 3.0
_WAITING = "llmnet: waiting for standard input to end, which is to follow the prompt; </dev/null gives none"


def prompt_of(said: str) -> str:
    """The prompt: what was said, and below it what comes on standard input, unless that is a terminal; `-`: that alone.

    Raises:
        ConfigurationError: standard input cannot be read, is no UTF-8 or has no end, or nothing was said at all.
    """
    if said == "-":
        prompt = _read(sys.stdin, demanded=True)
    else:
        beside = "" if sys.stdin is None or sys.stdin.isatty() else _awaited(sys.stdin)
        prompt = f"{said}\n\n{beside}" if beside.strip() else said
    if not prompt.strip():
        raise ConfigurationError("the prompt is empty")
    return prompt


def _awaited(stream: Any) -> str:
    """What comes on a stream that may have been left open by mistake: after a while it says what it waits for."""
    waiting = threading.Timer(_PATIENCE, tell, [_WAITING])
    waiting.daemon = True
    waiting.start()
    try:
        return _read(stream)
    finally:
        waiting.cancel()


def _read(stream: Any, *, demanded: bool = False) -> str:
    if stream is None:
        raise ConfigurationError("standard input is closed")
    try:
        make_blocking(stream)
        heard = getattr(stream, "buffer", stream).read(_LONGEST + 1)
    except OSError as error:
        if not (demanded or _is_real(stream)):
            return ""
        raise ConfigurationError(f"cannot read standard input: {error.strerror or error}") from None
    if len(heard) > _LONGEST:
        raise ConfigurationError(f"standard input is longer than {_LONGEST:,} bytes; nothing was sent")
    try:
        text = heard if isinstance(heard, str) else heard.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"standard input is no UTF-8: byte {error.start + 1}; nothing was sent") from None
    return text.removeprefix(_BOM)


def make_blocking(stream: Any) -> None:
    """Have reads wait: a stream that whoever started the program made non-blocking seems to end wherever it pauses."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # it is a stand-in, or no pipe (Windows)
        os.set_blocking(stream.fileno(), True)


def _is_real(stream: Any) -> bool:
    """Whether there is a file behind it; a stand-in that refuses to be read says nothing."""
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
