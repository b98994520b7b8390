"""Undoes the escapes of a text, of all kinds mixed, and maps places back to the original; in linear time."""

import functools
import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

# Of URLs, HTML, JSON, and the repr of texts and bytes. No part repeats without a limit: nothing can be tried for long.
_COMPLETE = (
    rb"%[0-9A-Fa-f]{2}"
    rb"|\\u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}"
    rb"|\\[\"'\\/bfnrt]"
    rb"|&#[0-9]{1,7};|&#[Xx][0-9A-Fa-f]{1,7};|&[A-Za-z][0-9A-Za-z]{1,31};"
)
# Half an escape, where a text was cut in the middle of it: it says nothing.
_HALF = (
    rb"(?:%[0-9A-Fa-f]?|\\(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?)?|&(?:\#?[0-9A-Za-z]{0,7}))(?=\Z|" + "…".encode() + rb")"
)
_ESCAPE = rb"(" + _HALF + rb"|" + _COMPLETE + rb")"
_SIGNS = (b"%", b"\\", b"&")
_LETTERS = {b"\\b": b"\b", b"\\f": b"\f", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"}
# JSON in a text, of which an exception shows the repr, of which a log shows the repr, on a page.
_NESTED = 4


class Layer:
    """A text as it stands, or with the escapes of the layer below undone."""

    __slots__ = ("_below", "_meant", "_starts", "_written", "text")

    def __init__(self, written: list[bytes], meant: list[bytes], below: "Layer | None") -> None:
        self.text = b"".join(meant)
        self._written, self._meant, self._below = written, meant, below
        self._starts: tuple[list[int], list[int]] | None = None

    def place(self, at: int) -> int:
        """Where in the text as it stands a place of this one is: behind an escape if it is behind what that means."""
        if self._below is None:
            return at
        if self._starts is None:  # nearly never asked for
            ends = [list(accumulate(map(len, parts), initial=0)) for parts in (self._meant, self._written)]
            self._starts = ends[0], ends[1]
        meant, written = self._starts
        part = bisect_right(meant, at) - 1
        return self._below.place(written[part] + at - meant[part])


def layers(text: str) -> Iterator[Layer]:
    """A text in UTF-8 as it stands, then with its escapes undone, and those that then appear."""
    raw = text.encode("utf-8", "surrogatepass")
    layer = Layer([raw], [raw], None)
    yield layer
    for _ in range(_NESTED):
        if not any(sign in layer.text for sign in _SIGNS):
            return
        written = re.split(_ESCAPE, layer.text)
        meant = written.copy()
        meant[1::2] = map(_meaning, written[1::2])
        if meant == written:
            return
        layer = Layer(written, meant, layer)
        yield layer


def is_plain(text: str) -> bool:
    """Whether a text is ASCII and no part of it may be an escape, so that it means what it says and no more."""
    return text.isascii() and not ("%" in text or "\\" in text or "&" in text)


@functools.lru_cache(4096)
def _meaning(escape: bytes) -> bytes:
    """What an escape stands for, as UTF-8; nothing for half of one, itself if it stands for nothing."""
    kind = escape[:2]
    if kind[:1] == b"%":
        return bytes.fromhex(escape[1:].decode()) if len(escape) == 3 else b""
    if kind == b"\\u" and len(escape) in (6, 12):
        code = bytes.fromhex(escape.replace(b"\\u", b"").decode())
        return code.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
    if kind == b"\\x" and len(escape) == 4:
        return bytes.fromhex(escape[2:].decode())
    if kind[:1] == b"\\":
        return _LETTERS.get(escape, b"" if kind in (b"\\u", b"\\x") else escape[1:])
    return _entity(escape)


def _entity(escape: bytes) -> bytes:
    import html.entities  # noqa: PLC0415 - a large table, for the rare text that has one

    if not escape.endswith(b";"):
        return b""
    if escape[1:2] == b"#":
        return html.unescape(escape.decode()).encode("utf-8", "surrogatepass")
    return html.entities.html5.get(escape[1:].decode(), escape.decode()).encode()
