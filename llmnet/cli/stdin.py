"""What the commands are told on standard input: text in UTF-8, without its byte order mark."""

import sys
from typing import Any

from llmnet.core.errors import ConfigurationError

_BOM = "\ufeff"


def prompt_of(said: str) -> str:
    """The prompt: what was said, and below it what comes on standard input, unless that is a terminal; `-`: that alone.

    Raises:
        ConfigurationError: standard input cannot be read or is no UTF-8, or nothing was said at all.
    """
    if said == "-":
        prompt = _read(sys.stdin, demanded=True)
    else:
        beside = "" if sys.stdin is None or sys.stdin.isatty() else _read(sys.stdin)
        prompt = f"{said}\n\n{beside}" if beside.strip() else said
    if not prompt.strip():
        raise ConfigurationError("the prompt is empty")
    return prompt


def _read(stream: Any, *, demanded: bool = False) -> str:
    if stream is None:
        raise ConfigurationError("standard input is closed")
    try:
        heard = getattr(stream, "buffer", stream).read()
    except OSError as error:
        if not (demanded or _is_real(stream)):
            return ""
        raise ConfigurationError(f"cannot read standard input: {error.strerror or error}") from None
    try:
        text = heard if isinstance(heard, str) else heard.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"standard input is no UTF-8: byte {error.start + 1}; nothing was sent") from None
    return text.removeprefix(_BOM)


def _is_real(stream: Any) -> bool:
    """Whether there is a file behind it; a stand-in that refuses to be read says nothing."""
    try:
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    return True
