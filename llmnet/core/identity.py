"""A key of dicts for a function of the caller's, whatever that one says of its own hash and equality."""

import types


class ByIdentity:
    """A function, which it keeps alive; equal to itself alone, as a callable `api_key` is a credential of its own.

    Of a method each access makes another object; it is one function nevertheless.
    """

    __slots__ = ("_parts",)

    def __init__(self, function: object) -> None:
        bound = isinstance(function, types.MethodType)
        self._parts = (function.__func__, function.__self__) if bound else (function,)  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByIdentity) and [*map(id, self._parts)] == [*map(id, other._parts)]

    def __hash__(self) -> int:
        return hash(tuple(map(id, self._parts)))
