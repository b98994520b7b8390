"""What pydantic makes of a JSON text; a text of which it could find too many problems is refused before.

Pydantic goes on behind a problem, tries each branch of a union, and keeps with each problem a copy of the path to it
and of what does not fit, which for a missing field is all of its object: a text of 100 kB may become gigabytes, and one
of 500 bytes where unions stand within themselves. Pydantic is never imported here: where a type is made with it, it has
been already.
"""

import functools
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from llmnet.core.json import finite, refuse_constant
from llmnet.core.schema_parts import Schema, children_of, is_recursive, parts_of, target_of

# What a text may take at most if no value in it fits. Nothing that a model writes comes near.
_MOST_BYTES = 250_000_000
# What a problem takes, each step of its path, and each value in its copy of what does not fit; beyond the letters.
_PROBLEM_BYTES, _STEP_BYTES, _VALUE_BYTES = 450, 40, 64
# Of more problems only the number is said: pydantic lists them all or none.
_LISTED, _SHOWN = 1000, 3


def is_pydantic(base: Any) -> bool:
    """Whether it is a type that was made with pydantic."""
    return isinstance(base, type) and hasattr(base, "__pydantic_validator__")


def pydantic_schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of a type."""
    schema: dict[str, Any] = _adapter(kind).json_schema()
    return schema


@functools.lru_cache(maxsize=256)
def pydantic_decoder(kind: Any) -> Callable[[str], Any]:
    """What makes a value of a type from a JSON text.

    It raises `ValueError` where the text does not fit; the message is as msgspec writes its own, and shows no value.
    """
    adapter = _adapter(kind)
    schema = adapter.json_schema()
    defs = schema.get("$defs", {})
    most, growth = _MOST_BYTES // _tries(schema, defs, {}), _growth(schema, defs)
    required = max(len(part.get("required", ())) for part in parts_of(schema))
    scan = json.JSONDecoder(
        object_pairs_hook=lambda pairs: _object_weight(pairs, required, growth),
        parse_constant=refuse_constant,
        parse_float=finite,
    ).decode

    def decode(text: str) -> Any:
        try:
            weight = _weight(scan(text))
        except json.JSONDecodeError as error:
            raise ValueError(f"Invalid JSON: {error}") from None  # its `doc` is all of the text
        if weight.bytes > most:
            raise ValueError("it has too many values to be checked, or too many in each other")
        try:
            return adapter.validate_json(text)
        except ValueError as error:
            raise ValueError(_problems(error)) from None

    return decode


def _adapter(kind: Any) -> Any:
    return sys.modules["pydantic"].TypeAdapter(kind)


class _Weight(NamedTuple):
    """How many problems a value can have, the bytes that they take, and those of a copy of the value."""

    problems: int
    bytes: int
    copy: int


def _weight(value: Any) -> _Weight:
    if isinstance(value, _Weight):
        return value
    if isinstance(value, list):
        return _object_weight([("", item) for item in value], required=0, growth=1)
    copy = _VALUE_BYTES + (len(value) if isinstance(value, str) else 0)
    return _Weight(1, _PROBLEM_BYTES + copy, copy)


def _object_weight(pairs: list[tuple[str, Any]], required: int, growth: int) -> _Weight:
    """The weight of an object, of which all the required fields may be missing; a key that comes twice counts twice."""
    problems, size, copy = 1 + required, 0, _VALUE_BYTES
    for key, value in pairs:
        part = _weight(value)
        problems += part.problems * growth
        size += (part.bytes + part.problems * (_STEP_BYTES + len(key))) * growth
        copy += part.copy + len(key)
    return _Weight(problems, size + (1 + required) * (_PROBLEM_BYTES + copy), copy)


def _tries(schema: Schema, defs: Schema, known: dict[str, int]) -> int:
    """How often a value is tried at most: once in each branch of the unions around it; a type within itself once."""
    below = [_tries(inner, defs, known) for inner in children_of(schema)]
    if (name := target_of(schema)) and name not in known:
        known[name] = 1
        known[name] = _tries(defs[name], defs, known)
    branches = [branch for branch in schema.get("anyOf", ()) if branch.get("type") != "null"]  # tries nothing within
    union = sum(_tries(branch, defs, known) for branch in branches)
    return max([union, known.get(name, 1), *below])


def _growth(schema: Schema, defs: Schema) -> int:
    """How often an object is tried for each one around it, where unions of objects stand within themselves."""
    unions = [part["anyOf"] for part in parts_of(schema) if "anyOf" in part] if is_recursive(schema) else []
    kinds = [[defs.get(target_of(branch), branch).get("type") for branch in union] for union in unions]
    return max([1, *(kind.count("object") for kind in kinds)])


def _problems(error: ValueError) -> str:
    """What pydantic says, without what the text holds, and as msgspec would say it; any other error as it is."""
    if (errors := getattr(error, "errors", None)) is None:
        return str(error)
    count: int = error.error_count()  # type: ignore[attr-defined]
    if count > _LISTED:
        return f"{count} values do not fit"
    said = "; ".join(f"{problem['msg']} - at `{_path(problem['loc'])}`" for problem in errors()[:_SHOWN])
    return said + (f"; and {count - _SHOWN} more" if count > _SHOWN else "")


def _path(steps: tuple[str | int, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
