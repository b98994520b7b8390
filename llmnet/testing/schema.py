"""The smallest JSON value that a schema accepts, filled with the words and numbers of a text.

`pattern` and `uniqueItems` are ignored, and so is what is no schema.
"""

import contextlib
import math
import re
from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

from llmnet.providers.reading import dict_of

Schema = dict[str, Any]

_NUMBER = re.compile(r"(?<!\w)-?\d{1,15}(?:\.\d{1,9})?")
_MAX_SIZE = 10_000  # items of a list, characters of a string
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
_BOUNDS = {"minimum": -math.inf, "exclusiveMinimum": -math.inf, "maximum": math.inf, "exclusiveMaximum": math.inf}
_KEYWORDS = {  # by type: a schema without `type` has the one whose keywords it uses
    "object": ("properties", "required"),
    "array": ("items", "prefixItems", "minItems"),
    "number": (*_BOUNDS, "multipleOf"),
}


class _EndlessError(Exception):
    """A value that would have to contain itself."""


class _Source(NamedTuple):
    """What values are made of: the text, its unused numbers, and the references that led here."""

    root: Schema
    text: str
    numbers: list[float]
    inside: frozenset[str] = frozenset()


def instance(schema: Any, text: str = "") -> Any:
    """A value that the schema accepts; None if there is none.

    Args:
        schema: a JSON schema; what is no object accepts everything.
        text: the value of strings; numbers come from it in order, where they fit.
    """
    root = dict_of(schema)
    try:
        return _value(root, _Source(root, text, [float(number) for number in _NUMBER.findall(text)]))
    except (_EndlessError, RecursionError):
        return None


def _value(schema: Schema, source: _Source) -> Any:
    if "const" in schema:
        return schema["const"]
    if enum := _list(schema.get("enum")):
        return enum[0]
    for keyword, expand in _EXPANDED.items():
        if keyword in schema:
            rest = {name: value for name, value in schema.items() if name != keyword}
            return expand(schema[keyword], rest, source)
    return _TYPES.get(_type(schema), _string)(schema, source)


def _ref(value: Any, rest: Schema, source: _Source) -> Any:
    ref = str(value)
    if ref in source.inside:
        raise _EndlessError
    found: Any = source.root
    for step in ref.split("/")[1:]:
        found = dict_of(found).get(step.replace("~1", "/").replace("~0", "~"))
    return _value(_both(dict_of(found), rest), source._replace(inside=source.inside | {ref}))


def _all(parts: Any, rest: Schema, source: _Source) -> Any:
    return _value(reduce(_both, map(dict_of, _list(parts)), rest), source)


def _any(branches: Any, rest: Schema, source: _Source) -> Any:
    for branch in _list(branches):
        with contextlib.suppress(_EndlessError):
            return _value(_both(rest, dict_of(branch)), source)
    raise _EndlessError


def _both(one: Schema, other: Schema) -> Schema:
    return {
        **one,
        **other,
        "properties": {**dict_of(one.get("properties")), **dict_of(other.get("properties"))},
        "required": [*_list(one.get("required")), *_list(other.get("required"))],
    }


def _type(schema: Schema) -> str:
    declared = schema.get("type")
    kinds = [kind for kind in (declared if isinstance(declared, list) else [declared]) if isinstance(kind, str)]
    kinds += [kind for kind, keywords in _KEYWORDS.items() if any(schema.get(keyword) for keyword in keywords)]
    return min(kinds, key="null".__eq__, default="string")


def _object(schema: Schema, source: _Source) -> dict[str, Any]:
    known = dict_of(schema.get("properties"))
    required = [name for name in _list(schema.get("required")) if isinstance(name, str)]
    names = dict.fromkeys([*(name for name in known if name in required), *required])
    others = schema.get("additionalProperties")
    return {name: _value(dict_of(known.get(name, others)), source) for name in names}


def _array(schema: Schema, source: _Source) -> list[Any]:
    first, count = _list(schema.get("prefixItems")), _size(schema, "minItems", 0)
    rows = [*first[:count], *[schema.get("items")] * (count - len(first))]
    return [_value(dict_of(row), source) for row in rows]


def _string(schema: Schema, source: _Source) -> str:
    if known := _FORMATS.get(str(schema.get("format"))):
        return known
    least, most = _size(schema, "minLength", 0), _size(schema, "maxLength", len(source.text))
    return source.text[:most].ljust(least, "x")


def _number(schema: Schema, source: _Source) -> float:
    found = next((number for number in (*source.numbers, *_candidates(schema)) if _fits(number, schema)), 0)
    if found in source.numbers:
        source.numbers.remove(found)
    return int(found) if found == int(found) else found


def _candidates(schema: Schema) -> Iterator[float]:
    """Numbers of which one fits, if any does: near zero and the bounds, and between these."""
    bounds = [schema[keyword] for keyword in _BOUNDS if _is_number(schema.get(keyword))]
    step = abs(_number_of(schema, "multipleOf", 1)) or 1
    for near in (0, *bounds):
        yield near
        if math.isfinite(steps := near / step):
            yield from (step * (round(steps) + away) for away in (0, 1, -1))
    if bounds:
        yield (min(bounds) + max(bounds)) / 2


def _fits(number: float, schema: Schema) -> bool:
    low, above, high, below = (_number_of(schema, keyword, other) for keyword, other in _BOUNDS.items())
    step = _number_of(schema, "multipleOf", 0) or (1 if _type(schema) == "integer" else 0)
    is_multiple = not step or abs(math.remainder(number, step)) < 1e-9
    return is_multiple and low <= number <= high and above < number < below


def _size(schema: Schema, keyword: str, other: int) -> int:
    return int(min(max(schema[keyword], 0), _MAX_SIZE)) if _is_number(schema.get(keyword)) else other


def _number_of(schema: Schema, keyword: str, other: float) -> float:
    return schema[keyword] if _is_number(schema.get(keyword)) else other


def _is_number(value: Any) -> bool:
    """Whether it is a number, but no NaN, and nothing that overflows."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_EXPANDED = {"$ref": _ref, "allOf": _all, "anyOf": _any, "oneOf": _any}
_TYPES = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda *_: False,
    "null": lambda *_: None,
}
