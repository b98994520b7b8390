"""`--output-type`: the JSON schema in a file says what a reply is to be, and what is printed fits it.

Checked are the keywords by which schemas of replies are written (`_CHECKS`); all others are the vendor's business.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.core.json import decode
from llmnet.core.json_schema import unfenced
from llmnet.core.output import Output

_MAX_BYTES = 2**20


def output_type(path: str) -> Output:
    """What the schema in a file asks for.

    Raises:
        ConfigurationError: the file cannot be read, or holds no schema of an object.
    """
    schema = _read(path)
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ConfigurationError(f'{path} is no JSON schema of an object, as {{"type": "object", …}}')
    if "definitions" in schema:  # as older schemas have it
        schema["$defs"] = schema.pop("definitions")
    if problem := next(_misshapen(schema, "$"), None):
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
    try:
        with open(path, "rb") as file:
            return decode(file.read(_MAX_BYTES).decode("utf-8-sig").replace('"#/definitions/', '"#/$defs/'))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} is no JSON: {getattr(error, 'msg', None) or error}") from None


def _misshapen(schema: Any, path: str) -> Iterator[str]:
    """What in a schema is no schema, in the places that others rely on."""
    if not isinstance(schema, dict):
        yield f"{path} must be an object"
        return
    for keyword, (kind, expected, inner) in _SHAPES.items():
        if not isinstance(schema.get(keyword, kind()), kind):
            yield f"{path}.{keyword} must be {expected}"
        elif keyword in schema:
            for name, one in inner(schema[keyword]).items():
                yield from _misshapen(one, f"{path}.{keyword}{name}")


_Inner = Callable[[Any], dict[str, Any]]
# Of a keyword its type, that type in words, and the schemas in its value by their paths.
_SHAPES: dict[str, tuple[type, str, _Inner]] = {
    **dict.fromkeys(
        ("properties", "$defs"), (dict, "an object", lambda found: {f".{name}": one for name, one in found.items()})
    ),
    **dict.fromkeys(
        ("anyOf", "oneOf", "allOf", "prefixItems"),
        (list, "an array", lambda found: {f"[{i}]": one for i, one in enumerate(found)}),
    ),
    "items": (dict, "an object", lambda found: {"": found}),
    **dict.fromkeys(("enum", "required"), (list, "an array", lambda _: {})),
}


# -- whether a value fits ---------------------------------------------------------------------------------------------


def problem_of(value: Any, schema: dict[str, Any]) -> str | None:
    """What keeps a value from fitting a schema, with the path to it; `None` where it fits."""
    return next(_problems(value, schema, schema, "$"), None)


_Problems = Iterator[str]
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),),
    "integer": (int,), "number": (int, float),
}  # fmt: skip


def _problems(value: Any, schema: Any, root: Mapping[str, Any], path: str) -> _Problems:
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
    types = _TYPES.get(kind, (object,)) if isinstance(kind, str) else (object,)
    return isinstance(value, types) and (bool in types or object in types or not isinstance(value, bool))


def _enum(value: Any, schema: Any, _: Any, path: str) -> _Problems:
    yield from _other_than(schema["enum"], value, path)


def _const(value: Any, schema: Any, _: Any, path: str) -> _Problems:
    yield from _other_than([schema["const"]], value, path)


def _other_than(wanted: list[Any], value: Any, path: str) -> _Problems:
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted):
        yield f"{path} must be one of {', '.join(map(repr, wanted))}"


def _object(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    if not isinstance(value, dict):
        return
    yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
    known, others = schema.get("properties") or {}, schema.get("additionalProperties", True)
    for name, item in value.items():
        yield from _problems(item, known.get(name, others), root, f"{path}.{name}")


def _items(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    for i, item in enumerate(value if isinstance(value, list) else ()):
        yield from _problems(item, schema["items"], root, f"{path}[{i}]")


def _any_of(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    """One choice at least; of `oneOf`, too, whose choices exclude each other where a model is to understand them."""
    for choices in (schema[keyword] for keyword in ("anyOf", "oneOf") if keyword in schema):
        if not any(next(_problems(value, choice, root, path), None) is None for choice in choices):
            yield f"{path} fits none of its alternatives"


def _all_of(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    for part in schema["allOf"]:
        yield from _problems(value, part, root, path)


def _ref(value: Any, schema: Any, root: Any, path: str) -> _Problems:
    found: Any = root
    for step in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    yield from _problems(value, found, root, path)


_CHECKS: dict[str, Callable[[Any, Any, Any, str], _Problems]] = {
    "type": _type, "enum": _enum, "const": _const, "$ref": _ref, "items": _items,
    **dict.fromkeys(("required", "properties", "additionalProperties"), _object),
    **dict.fromkeys(("anyOf", "oneOf"), _any_of), "allOf": _all_of,
}  # fmt: skip
