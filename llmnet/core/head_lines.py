"""Headers that are decoded when somebody asks for them: of most replies nobody asks for more than two or three.

A service sends the same names with nearly all of its replies: where each of them stands is found out once.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from llmnet.core.http import Headers, lowered

# Bytes of all names of a head; where the values of a larger head are is not remembered.
_LONGEST = 2048


class LazyHeaders(Headers):
    """Headers that are made when somebody looks at them; two threads may both do so, and make the same."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        cls.__name__ = Headers.__name__  # what errors of Python's say of them

    def made(self) -> dict[str, str]:
        """The values by their names, in lower case."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name != "_items":
            raise AttributeError(f"'Headers' object has no attribute {name!r}")
        self._items = self.made()
        return self._items

    def __reduce__(self) -> Any:
        return Headers, (self._items,)


class HeadLines(LazyHeaders):
    """Headers as the lines of a head.

    Args:
        names: those of all lines, a line each.
        values: of each its value, which may end in blanks (RFC 9110, 5.5); nobody changes them.
    """

    __slots__ = ("_names", "_places", "_values")

    def __init__(self, names: bytes, values: Sequence[bytes]) -> None:
        self._names, self._values = names, values
        self._places = (_places if len(names) <= _LONGEST else _places.__wrapped__)(names)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Names and values, byte for byte (latin-1), in the order in which they came."""
        names = self._names.decode("latin-1").split("\n")
        return [(name, self._at([place])) for place, name in enumerate(names[: len(self._values)])]

    def made(self) -> dict[str, str]:
        """All of them."""
        return {name: self._at(places) for name, places in self._places.items()}

    def __getitem__(self, name: str) -> str:
        return self._at(self._places[lowered(name)])

    def first(self, names: Iterable[str]) -> str | None:
        """The first of some headers, named in lower case, that says anything."""
        for name in names:
            if name in self._places and (value := self._at(self._places[name])):
                return value
        return None

    def _at(self, places: Sequence[int]) -> str:
        if len(places) > 1:
            return ", ".join([self._at([place]) for place in places])
        return self._values[places[0]].decode("latin-1").rstrip(" \t")


@functools.lru_cache(32)
def _places(names: bytes) -> dict[str, list[int]]:
    """Where the values of each name are; the names stand a line each."""
    found: dict[str, list[int]] = {}
    for at, name in enumerate(names.decode("latin-1").lower().split("\n") if names else ()):
        found.setdefault(name, []).append(at)
    return found
