"""The least JSON value that a schema accepts, filled with the words and numbers of a text; pure.

A `pattern` and `uniqueItems` are passed over, and so is what is no schema.
"""

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

Schema = dict[str, Any]

_NUMBER = re.compile(r"(?<!\w)-?\d{1,15}(?:\.\d{1,9})?")
_MOST = 10_000  # items of a list, characters added to a string
_FORMATS = {
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "date-time": "2026-01-01T00:00:00Z",
    "duration": "P1D",
    "email": "fake@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_ENDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_SIGNS = {  # a schema without a type is of the one whose words it uses
    "object": ("properties", "required"),
    "array": ("items", "prefixItems", "minItems"),
    "number": (*_ENDS, "multipleOf"),
}


class _EndlessError(Exception):
    """A value that would have to hold itself."""


@dataclass(frozen=True)
class _Source:
    """Where values are taken from: the schema that references point into, the text, and its numbers not yet used."""

    root: Schema
    text: str
    numbers: list[float]


def instance(schema: Any, text: str = "") -> Any:
    """Give a value that the schema accepts, None if there is none.

    Args:
        schema: a JSON schema; what is none accepts everything.
        text: what strings say; numbers are taken from it in their order, where they fit.
    """
    root = _dict(schema)
    try:
        return _value(root, _Source(root, text, [float(number) for number in _NUMBER.findall(text)]), frozenset())
    except (_EndlessError, RecursionError):
        return None


def _value(schema: Schema, source: _Source, inside: frozenset[str]) -> Any:
    if "const" in schema:
        return schema["const"]
    if enum := _list(schema.get("enum")):
        return enum[0]
    for word, unfold in _UNFOLDED.items():
        if word in schema:
            rest = {name: value for name, value in schema.items() if name != word}
            return unfold(schema[word], rest, source, inside)
    return _TYPES.get(_type(schema), _string)(schema, source, inside)


def _ref(given: Any, rest: Schema, source: _Source, inside: frozenset[str]) -> Any:
    ref = str(given)
    if ref in inside:
        raise _EndlessError
    found: Any = source.root
    for step in ref.split("/")[1:]:
        found = _dict(found).get(step.replace("~1", "/").replace("~0", "~"))
    return _value(_both(_dict(found), rest), source, inside | {ref})


def _all(parts: Any, rest: Schema, source: _Source, inside: frozenset[str]) -> Any:
    return _value(reduce(_both, map(_dict, _list(parts)), rest), source, inside)


def _any(branches: Any, rest: Schema, source: _Source, inside: frozenset[str]) -> Any:
    for branch in _list(branches):
        with contextlib.suppress(_EndlessError):
            return _value(_both(rest, _dict(branch)), source, inside)
    raise _EndlessError


def _both(one: Schema, other: Schema) -> Schema:
    return {
        **one,
        **other,
        "properties": {**_dict(one.get("properties")), **_dict(other.get("properties"))},
        "required": [*_list(one.get("required")), *_list(other.get("required"))],
    }


def _type(schema: Schema) -> str:
    given = schema.get("type")
    kinds = [kind for kind in (given if isinstance(given, list) else [given]) if isinstance(kind, str)]
    kinds += [kind for kind, signs in _SIGNS.items() if any(schema.get(sign) for sign in signs)]
    return min(kinds, key="null".__eq__, default="string")


def _object(schema: Schema, source: _Source, inside: frozenset[str]) -> dict[str, Any]:
    known = _dict(schema.get("properties"))
    required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
    names = dict.fromkeys([*(name for name in known if name in required), *required])
    others = schema.get("additionalProperties")
    return {name: _value(_dict(known.get(name, others)), source, inside) for name in names}


def _array(schema: Schema, source: _Source, inside: frozenset[str]) -> list[Any]:
    first, count = _list(schema.get("prefixItems")), int(min(_number_of(schema, "minItems", 0), _MOST))
    rows = [*first[:count], *[schema.get("items")] * (count - len(first))]
    return [_value(_dict(row), source, inside) for row in rows]


def _string(schema: Schema, source: _Source, _: frozenset[str]) -> str:
    if (known := _FORMATS.get(str(schema.get("format")))) is not None:
        return known
    least, most = _number_of(schema, "minLength", 0), _number_of(schema, "maxLength", len(source.text))
    return source.text[: max(int(most), 0)].ljust(int(min(least, _MOST)), "x")


def _number(schema: Schema, source: _Source, _: frozenset[str]) -> float:
    if (own := next((number for number in source.numbers if _fits(number, schema)), None)) is not None:
        source.numbers.remove(own)
        return _plain(own)
    return _plain(next((number for number in _candidates(schema) if _fits(number, schema)), 0))


def _candidates(schema: Schema) -> Iterator[float]:
    """Give numbers of which one fits, unless none does: near nothing, near the ends, and between them."""
    ends = [schema[word] for word in _ENDS if _is_number(schema.get(word))]
    step = abs(_number_of(schema, "multipleOf", 1)) or 1
    for near in (0, *ends):
        yield near
        yield from (step * (round(near / step) + away) for away in (0, 1, -1))
    if ends:
        yield (min(ends) + max(ends)) / 2


def _fits(number: float, schema: Schema) -> bool:
    low, above, high, below = (
        _number_of(schema, word, other) for word, other in zip(_ENDS, (-math.inf,) * 2 + (math.inf,) * 2, strict=True)
    )
    step = _number_of(schema, "multipleOf", 0) or (1 if _type(schema) == "integer" else 0)
    even = not step or abs(math.remainder(number, step)) < 1e-9
    return even and low <= number <= high and above < number < below


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number


def _number_of(schema: Schema, word: str, other: float) -> float:
    return schema[word] if _is_number(schema.get(word)) else other


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_UNFOLDED = {"$ref": _ref, "allOf": _all, "anyOf": _any, "oneOf": _any}
_TYPES = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda *_: False,
    "null": lambda *_: None,
}
