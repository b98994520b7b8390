"""What a command reads: standard input as UTF-8 text, files that options name, and attachments as parts of a message.

The parts are those of OpenAI's chat form, which the other wire forms translate.
"""

import base64
import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llmnet.cli.printing import notify
from llmnet.core.errors import ConfigurationError

_BOM = "\ufeff"
MAX_BYTES = 64 * 2**20  # of a prompt or an attachment: more than any vendor takes
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


def read_file(path: str, most: int) -> bytes:
    """The bytes of a file.

    Raises:
        ConfigurationError: it cannot be read, or has more than *most* bytes.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > most:
        raise ConfigurationError(f"cannot read {path}: it is longer than {most:,} bytes")
    return data


# -- attachments: files, of the kind that their first bytes say, and addresses ----------------------------------------

_HEAD = 16  # bytes of a file that say what it is


def content_of(prompt: str, attachments: Sequence[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """The content of a message: the attachments, as vendors advise, before the text about them."""
    return [*attachments, {"type": "text", "text": prompt}] if attachments else prompt


def part_of(name: str) -> dict[str, Any]:
    """An attachment as a part of a message.

    Raises:
        ConfigurationError: the file cannot be read, or is of no kind that can be attached.
    """
    if name.lower().startswith(("http://", "https://")):
        return {"type": "image_url", "image_url": {"url": name}}
    data = read_file(name, MAX_BYTES)
    kind = _kind(data[:_HEAD])
    if kind is None:
        raise ConfigurationError(f"cannot attach {name}: it is none of {', '.join(_PARTS)}")
    return _PARTS[kind](kind, base64.b64encode(data).decode(), os.path.basename(name))


def _kind(head: bytes) -> str | None:
    """What kind of file begins so."""
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wav"}.get(head[8:12])
    return next((kind for mark, kind in _MARKS.items() if head.startswith(mark)), None)


_MARKS = {
    b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif", b"%PDF-": "pdf",
    **dict.fromkeys((b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"), "mp3"),
}  # fmt: skip


def _image(kind: str, data: str, _: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}


def _pdf(_: str, data: str, name: str) -> dict[str, Any]:
    shown = os.fsencode(name).decode("utf-8", "replace")
    return {"type": "file", "file": {"filename": shown, "file_data": f"data:application/pdf;base64,{data}"}}


def _audio(kind: str, data: str, _: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


_PARTS: dict[str, Callable[[str, str, str], dict[str, Any]]] = {
    **dict.fromkeys(("png", "jpeg", "gif", "webp"), _image), "pdf": _pdf, **dict.fromkeys(("wav", "mp3"), _audio),
}  # fmt: skip
