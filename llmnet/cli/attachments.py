"""What goes with a prompt, as parts of its message: files, of the kind that their first bytes say, and addresses.

The parts are those of OpenAI's chat form, which the other wire forms translate.
"""

import base64
import os
from collections.abc import Callable, Sequence
from typing import Any

from llmnet.cli.files import read_file
from llmnet.core.errors import ConfigurationError

MAX_BYTES = 64 * 2**20
"""Bytes of a file at most: more than any vendor takes."""
_PIECE = 16  # bytes of a file that say what it is


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
    kind = _kind(data[:_PIECE])
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
