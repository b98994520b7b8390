"""Checks the fields of a dataclass by their annotations, which say what may be given."""

import dataclasses
import functools
import numbers
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_WORDS: dict[Any, str] = {
    bool: "True or False", int: "a whole number", numbers.Real: "a number", str: "a text", bytes: "bytes",
    Mapping: "a dict", Sequence: "a list", Iterable: "a list or another iterable",
}  # fmt: skip


class _Field(NamedTuple):
    """A field, and what it may be: of some classes, or one of some values; most often it is its default."""

    name: str
    default: Any
    classes: tuple[type, ...]
    values: tuple[Any, ...]

    def takes(self, value: object) -> bool:
        """Whether it may be this; True and False are no numbers."""
        if isinstance(value, bool) and bool not in self.classes:
            return False
        return isinstance(value, self.classes) or value in self.values

    def __str__(self) -> str:
        """What it may be, in words."""
        words = [_WORDS[one] for one in self.classes if one in _WORDS] + [repr(value) for value in self.values]
        *others, last = dict.fromkeys(words)
        return f"{', '.join(others)} or {last}" if others else last


def check_types(thing: object, cls: type) -> None:
    """Check the fields of a class in a value of it; what a subclass adds may be anything.

    Raises:
        TypeError: one of them is of another type than it says; the text names it, and what it may be.
    """
    for field in _fields(cls):
        value = getattr(thing, field.name)
        if value is not field.default and not field.takes(value):
            raise TypeError(f"{field.name} must be {field}, not {value!r}")


@functools.cache
def _fields(cls: Any) -> list[_Field]:
    hints = typing.get_type_hints(cls)
    return [_field(field.name, field.default, [*_alternatives(hints[field.name])]) for field in dataclasses.fields(cls)]


def _field(name: str, default: Any, hints: list[Any]) -> _Field:
    classes = [numbers.Real if hint is float else typing.get_origin(hint) or hint for hint in hints]
    values = [value for hint in hints if typing.get_origin(hint) is typing.Literal for value in typing.get_args(hint)]
    return _Field(name, default, tuple(one for one in classes if isinstance(one, type)), tuple(values))


def _alternatives(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for one in typing.get_args(hint):
            yield from _alternatives(one)
    else:
        yield hint
