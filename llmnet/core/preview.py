"""The beginning of a value as text, for errors and logs; neither time nor memory is spent on the rest of it."""

import re
from collections.abc import Iterator
from typing import Any

CUT = "…"
# Characters of a value that an error shows, and keeps.
SHOWN = 1000
KEPT = 64 * 1024
_WIDEST = len("'\\U0010ffff'")  # what `repr` makes of one character, at most
_CONTROLS = r"[\x00-\x1f\x7f-\x9f]"


def cut(text: str, size: int) -> str:
    """The beginning of a text, with a mark where it was cut: there half a secret may stand."""
    return text if len(text) <= size else text[:size] + CUT


def glimpse(value: Any, size: int) -> str:
    """As `str` writes what JSON can carry, cut after so many characters."""
    if isinstance(value, str):
        return cut(value, size)
    pieces, length = [], 0
    for piece in _pieces(value, size):
        pieces.append(piece)
        length += len(piece)
        if length > size:
            break
    return cut("".join(pieces), size)


def kept(payload: Any, size: int = KEPT) -> Any:
    """What an error keeps of JSON of so many characters: all of it, or the beginning of its text."""
    if size * _WIDEST <= KEPT:
        return payload
    text = glimpse(payload, KEPT)
    return payload if len(text) <= KEPT else text


def shown(value: Any) -> str:
    """A value as a short text on one line, signs that control a terminal as escapes."""
    text = "" if value is None else glimpse(value, 4 * SHOWN)
    return cut(re.sub(_CONTROLS, lambda found: repr(found[0])[1:-1], " ".join(text.split())), SHOWN)


def _pieces(value: Any, size: int) -> Iterator[str]:
    if not isinstance(value, dict | list):
        yield repr(value[:size] if isinstance(value, str) else value)
        return
    keyed = isinstance(value, dict)
    yield "{" if keyed else "["
    for at, item in enumerate(value):
        yield ", " if at else ""
        yield from _pieces(item, size)
        if keyed:
            yield ": "
            yield from _pieces(value[item], size)
    yield "}" if keyed else "]"
