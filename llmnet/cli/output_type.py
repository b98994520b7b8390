"""`--output-type`: the JSON schema in a file says what a reply is to be, and what is printed fits it.

Checked are the keywords by which schemas of replies are written (`_CHECKS`); all others are the vendor's business.
"""

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from llmnet.cli.reading import read_file
from llmnet.cli.schema_check import TYPES, problem_of_schema, target_of
from llmnet.core.errors import ConfigurationError
from llmnet.core.json import decode
from llmnet.core.json_schema import unfenced
from llmnet.core.output import Output

_MAX_BYTES = 2**20
MAX_FOLLOWED = 200_000  # references, in the check of one reply


def output_type(path: str) -> Output:
    """What the schema in a file asks for.

    Raises:
        ConfigurationError: the file cannot be read, or holds no schema of an object.
    """
    schema = _read(path)
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ConfigurationError(f'{path} is no JSON schema of an object, as {{"type": "object", …}}')
    if schema.keys() >= {"definitions", "$defs"}:
        raise ConfigurationError(f"{path} has both definitions and $defs, which is one thing: write $defs alone")
    if "definitions" in schema:  # as older schemas have it
        schema["$defs"] = schema.pop("definitions")
    if problem := problem_of_schema(schema):
        raise ConfigurationError(f"{path} is no JSON schema: {problem}")

    def value(text: str) -> Any:
        found = decode(unfenced(text))
        if wrong := problem_of(found, schema):
            raise ValueError(wrong)
        return found

    title, file = schema.get("title"), PurePath(path)
    name = title if isinstance(title, str) and title else file.stem
    return Output(name, schema, value, misfit=f"does not fit {file.name}")


def _read(path: str) -> Any:
    data = read_file(path, _MAX_BYTES)
    try:
        return decode(data.decode("utf-8-sig").replace('"#/definitions/', '"#/$defs/'))
    except ValueError as error:
        raise ConfigurationError(f"{path} is no JSON: {getattr(error, 'msg', None) or error}") from None


# -- whether a value fits ---------------------------------------------------------------------------------------------


def problem_of(value: Any, schema: dict[str, Any]) -> str | None:
    """What keeps a value from fitting a schema, with the path to it; `None` where it fits."""
    try:
        return next(_problems(value, schema, _References(schema), "$"), None)
    except RecursionError:
        return "it is nested too deeply to be checked"


class _References:
    """What the references of a schema lead to; the schemas of a value of few bytes may have many ways through them."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root, self._left = root, MAX_FOLLOWED

    def target(self, ref: str) -> Any:
        """What a reference leads to.

        Raises:
            ValueError: too many were followed for one reply.
        """
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"it takes more than {MAX_FOLLOWED:,} references of the schema to check it")
        return target_of(ref, self._root)


_Problems = Iterator[str]


def _problems(value: Any, schema: Any, root: _References, path: str) -> _Problems:
    """What keeps a value from fitting a schema."""
    if schema is False:
        yield f"{path} must not be there"
    if isinstance(schema, dict):
        for check in dict.fromkeys(check for keyword, check in _CHECKS.items() if keyword in schema):
            yield from check(value, schema, root, path)


def _type(value: Any, schema: Any, _: Any, path: str) -> _Problems:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is(value, kind) for kind in kinds):
        yield f"{path} must be {' or '.join(map(str, kinds))}"


def _is(value: Any, kind: Any) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _enum(value: Any, schema: Any, _: Any, path: str) -> _Problems:
    yield from _other_than(schema["enum"], value, path)


def _const(value: Any, schema: Any, _: Any, path: str) -> _Problems:
    yield from _other_than([schema["const"]], value, path)


def _other_than(wanted: list[Any], value: Any, path: str) -> _Problems:
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted):
        yield f"{path} must be one of {', '.join(map(repr, wanted))}"


def _object(value: Any, schema: Any, root: _References, path: str) -> _Problems:
    if not isinstance(value, dict):
        return
    yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
    known, others = schema.get("properties") or {}, schema.get("additionalProperties", True)
    if "patternProperties" in schema:  # which is the vendor's business, and says what the others are
        others = True
    for name, item in value.items():
        yield from _problems(item, known.get(name, others), root, f"{path}.{name}")


def _items(value: Any, schema: Any, root: _References, path: str) -> _Problems:
    behind = len(schema.get("prefixItems", ()))
    for i, item in enumerate(value if isinstance(value, list) else ()):
        if i >= behind:
            yield from _problems(item, schema["items"], root, f"{path}[{i}]")


def _any_of(value: Any, schema: Any, root: _References, path: str) -> _Problems:
    """One choice at least; of `oneOf`, too, whose choices exclude each other where a model is to understand them."""
    for choices in (schema[keyword] for keyword in ("anyOf", "oneOf") if keyword in schema):
        if not any(next(_problems(value, choice, root, path), None) is None for choice in choices):
            yield f"{path} fits none of its alternatives"


def _all_of(value: Any, schema: Any, root: _References, path: str) -> _Problems:
    for part in schema["allOf"]:
        yield from _problems(value, part, root, path)


def _ref(value: Any, schema: Any, root: _References, path: str) -> _Problems:
    yield from _problems(value, root.target(schema["$ref"]), root, path)


_CHECKS: dict[str, Callable[[Any, Any, _References, str], _Problems]] = {
    "type": _type, "enum": _enum, "const": _const, "$ref": _ref, "items": _items,
    **dict.fromkeys(("required", "properties", "additionalProperties"), _object),
    **dict.fromkeys(("anyOf", "oneOf"), _any_of), "allOf": _all_of,
}  # fmt: skip
