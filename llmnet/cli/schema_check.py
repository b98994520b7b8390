"""Checks the schema of `--output-type` before anything is sent: that whatever reads it finds what it expects.

Every `$ref` leads to a schema in the same file. What schemas say of one and the same value comes to an end, soon.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

MOST = 1000  # schemas for one value, each counted as often as references lead to it
TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),),
    "integer": (int,), "number": (int, float),
}  # fmt: skip


def problem_of_schema(schema: dict[str, Any]) -> str | None:
    """What is wrong with a schema, with the path to it; `None` where nothing is."""
    found: dict[int, dict[str, Any]] = {}
    counts: dict[int, float] = {}
    try:
        if wrong := next(_misshapen(schema, "$", schema, found), None):
            return wrong
        most = max(_count(one, schema, counts) for one in found.values())
    except RecursionError:
        return "one $ref leads to another, and so on, too often"
    if most == math.inf:
        return "a $ref leads back to itself"
    return f"references lead to more than {MOST:,} schemas for one value" if most > MOST else None


def target_of(ref: Any, root: Any) -> Any:
    """What a reference leads to, by RFC 6901; `None` where that is nothing in this file."""
    if not isinstance(ref, str) or not ref.startswith("#"):
        return None
    found = root
    for step in unquote(ref[1:]).split("/")[1:]:
        inner = {str(i): one for i, one in enumerate(found)} if isinstance(found, list) else found
        found = inner.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(inner, dict) else None
    return found


def _misshapen(schema: Any, path: str, root: Any, found: dict[int, dict[str, Any]]) -> Iterator[str]:
    """What in a schema is no schema, in the places that others rely on; all that were seen are added to *found*."""
    if not isinstance(schema, dict):
        yield f"{path} must be an object"
        return
    if id(schema) in found:
        return
    found[id(schema)] = schema
    for keyword, (fits, expected, inner) in _SHAPES.items():
        if keyword in schema and not fits(schema[keyword]):
            yield f"{path}.{keyword} must be {expected}"
        elif keyword in schema:
            for name, one in inner(schema[keyword]).items():
                yield from _misshapen(one, f"{path}.{keyword}{name}", root, found)
    if "$ref" in schema:
        target = target_of(schema["$ref"], root)
        if target is None:
            yield f"{path}.$ref leads to nothing in this file"
        else:
            yield from _misshapen(target, str(schema["$ref"]), root, found)


def _count(schema: dict[str, Any], root: Any, counts: dict[int, float]) -> float:
    """How many schemas are looked at for one value; without end where one leads back to itself."""
    if id(schema) not in counts:
        counts[id(schema)] = math.inf  # until it is known: who asks now is a part of it
        parts = [part for keyword in ("anyOf", "oneOf", "allOf") for part in schema.get(keyword, ())]
        if "$ref" in schema:
            parts.append(target_of(schema["$ref"], root))
        counts[id(schema)] = 1 + sum(_count(part, root, counts) for part in parts)
    return counts[id(schema)]


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _types(value: Any) -> bool:
    kinds = value if isinstance(value, list) else [value]
    return _texts(kinds) and kinds != [] and set(kinds) <= TYPES.keys()


def _of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _none(_: Any) -> dict[str, Any]:
    return {}


_Shape = tuple[Callable[[Any], bool], str, Callable[[Any], dict[str, Any]]]
# Of a keyword whether its value is right, that in words, and the schemas in its value by their paths.
_SHAPES: dict[str, _Shape] = {
    **dict.fromkeys(
        ("properties", "$defs"),
        (_of(dict), "an object", lambda found: {f".{name}": one for name, one in found.items()}),
    ),
    **dict.fromkeys(
        ("anyOf", "oneOf", "allOf", "prefixItems"),
        (_of(list), "an array", lambda found: {f"[{i}]": one for i, one in enumerate(found)}),
    ),
    "items": (_of(dict), "an object", lambda found: {"": found}),
    "additionalProperties": (
        _of(dict, bool), "an object, true or false", lambda found: {"": found} if isinstance(found, dict) else {}
    ),
    "enum": (_of(list), "an array", _none),
    "required": (_texts, "an array of names", _none),
    "type": (_types, f"one or more of {', '.join(TYPES)}", _none),
}  # fmt: skip
