"""`--output-type`: the JSON schema in a file says what a reply is to be, and what is printed fits it.

The schema is checked before anything is sent: that whatever reads it finds what it expects, that each `$ref` leads to a
schema in the same file, and that what schemas say of one and the same value comes to an end, soon. Of a reply those
keywords are checked by which schemas of replies are written; all others are the vendor's business.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote

from llmnet.cli.reading import read_file
from llmnet.core.errors import ConfigurationError
from llmnet.core.json import decode
from llmnet.core.json_schema import unfenced
from llmnet.core.output import Output

_MAX_BYTES = 2**20
MAX_FOLLOWED = 200_000  # references, in the check of one reply
_MOST = 1000  # schemas for one value, each counted as often as references lead to it
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),),
    "integer": (int,), "number": (int, float),
}  # fmt: skip


def output_type(path: str) -> Output:
    """What the schema in a file asks for.

    Raises:
        ConfigurationError: the file cannot be read, or holds no schema of an object.
    """
    data = read_file(path, _MAX_BYTES)
    try:
        schema = decode(data.decode("utf-8-sig").replace('"#/definitions/', '"#/$defs/'))
    except ValueError as error:
        raise ConfigurationError(f"{path} is no JSON: {getattr(error, 'msg', None) or error}") from None
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


# -- whether a schema is one ------------------------------------------------------------------------------------------


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
    return f"references lead to more than {_MOST:,} schemas for one value" if most > _MOST else None


def _target_of(ref: Any, root: Any) -> Any:
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
    for keyword, (fits, expected) in _SHAPES.items():
        if keyword in schema and not fits(schema[keyword]):
            yield f"{path}.{keyword} must be {expected}"
        elif keyword in schema:
            for name, one in _schemas_in(keyword, schema[keyword]).items():
                yield from _misshapen(one, f"{path}.{keyword}{name}", root, found)
    if "$ref" in schema:
        target = _target_of(schema["$ref"], root)
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
            parts.append(_target_of(schema["$ref"], root))
        counts[id(schema)] = 1 + sum(_count(part, root, counts) for part in parts)
    return counts[id(schema)]


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _types(value: Any) -> bool:
    kinds = value if isinstance(value, list) else [value]
    return _texts(kinds) and kinds != [] and set(kinds) <= _TYPES.keys()


def _of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


# Of a keyword whether its value is right, and that in words.
_SHAPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("properties", "$defs", "items"), (_of(dict), "an object")),
    **dict.fromkeys(("anyOf", "oneOf", "allOf", "prefixItems", "enum"), (_of(list), "an array")),
    "additionalProperties": (_of(dict, bool), "an object, true or false"),
    "required": (_texts, "an array of names"),
    "type": (_types, f"one or more of {', '.join(_TYPES)}"),
}


def _schemas_in(keyword: str, value: Any) -> dict[str, Any]:
    """The schemas in the value of a keyword, by their paths."""
    if keyword in ("properties", "$defs"):
        return {f".{name}": one for name, one in value.items()}
    if keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
        return {f"[{i}]": one for i, one in enumerate(value)}
    return {"": value} if isinstance(value, dict) else {}


# -- whether a value fits ---------------------------------------------------------------------------------------------


def problem_of(value: Any, schema: dict[str, Any]) -> str | None:
    """What keeps a value from fitting a schema, with the path to it; `None` where it fits."""
    try:
        return next(_problems(value, schema, _follower(schema), "$"), None)
    except RecursionError:
        return "it is nested too deeply to be checked"


def _follower(root: dict[str, Any]) -> Callable[[str], Any]:
    """What gives the targets of references; the schemas of a value of few bytes may have many ways through them."""
    left = MAX_FOLLOWED

    def follow(ref: str) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"it takes more than {MAX_FOLLOWED:,} references of the schema to check it")
        return _target_of(ref, root)

    return follow


def _problems(value: Any, schema: Any, follow: Callable[[str], Any], path: str) -> Iterator[str]:
    """What keeps a value from fitting a schema."""
    if schema is False:
        yield f"{path} must not be there"
    if not isinstance(schema, dict):
        return
    yield from _own_problems(value, schema, path)
    if "$ref" in schema:
        yield from _problems(value, follow(schema["$ref"]), follow, path)
    for item, inner, place in _items(value, schema, path):
        yield from _problems(item, inner, follow, place)
    # Of `oneOf` one choice at least, too: they exclude each other where a model is to understand them.
    for choices in (schema[keyword] for keyword in ("anyOf", "oneOf") if keyword in schema):
        if not any(next(_problems(value, choice, follow, path), None) is None for choice in choices):
            yield f"{path} fits none of its alternatives"
    for part in schema.get("allOf", ()):
        yield from _problems(value, part, follow, path)


def _own_problems(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    """What is wrong with a value, whatever is in it."""
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{path} must be {' or '.join(kinds)}"
    for wanted in (schema.get("enum"), [schema["const"]] if "const" in schema else None):
        if wanted is not None and not any(
            value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted
        ):
            yield f"{path} must be one of {', '.join(map(repr, wanted))}"
    if isinstance(value, dict):
        yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)


def _is(value: Any, kind: str) -> bool:
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _items(value: Any, schema: dict[str, Any], path: str) -> Iterator[tuple[Any, Any, str]]:
    """The values in a value, each with its schema and the path to it."""
    if isinstance(value, list) and "items" in schema:
        behind = len(schema.get("prefixItems", ()))
        yield from ((item, schema["items"], f"{path}[{i}]") for i, item in enumerate(value[behind:], behind))
    if isinstance(value, dict):
        # `patternProperties` are the vendor's business, and say what the others are.
        others = "patternProperties" in schema or schema.get("additionalProperties", True)
        known = schema.get("properties", {})
        yield from ((item, known.get(name, others), f"{path}.{name}") for name, item in value.items())
