"""The schemas in a JSON schema: a property may have the name of a keyword, and a default may look like a schema."""

from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]

_BY_NAME = ("properties", "patternProperties", "$defs")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "propertyNames")


def parts_of(schema: Schema) -> Iterator[Schema]:
    """A schema and all schemas in it."""
    yield schema
    for inner in children_of(schema):
        yield from parts_of(inner)


def children_of(schema: Schema) -> Iterator[Schema]:
    """The schemas that stand in one directly."""
    for keyword in _BY_NAME:
        yield from schema.get(keyword, {}).values()
    for keyword in _LISTED:
        yield from schema.get(keyword, ())
    for keyword in _SINGLE:
        if isinstance(inner := schema.get(keyword), dict):
            yield inner


def is_recursive(schema: Schema) -> bool:
    """Whether one of its definitions leads back to itself."""
    left = {name: _targets(definition) for name, definition in schema.get("$defs", {}).items()}
    while done := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in done:
            del left[name]
    return bool(left)


def _targets(schema: Schema) -> set[str]:
    return {target_of(part) for part in parts_of(schema)}


def target_of(schema: Schema) -> str:
    """The name of the definition that it refers to, `""` for none."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def rooted(schema: Schema) -> Schema:
    """A schema with all definitions at its root, which is the type itself: vendors take no reference there."""
    defs: Schema = {}
    root = _hoisted(schema, defs)
    if name := target_of(root):
        root = {**defs[name], **{key: value for key, value in root.items() if key != "$ref"}}
        if name not in _targets(root).union(*(_targets(other) for key, other in defs.items() if key != name)):
            del defs[name]
    return {**root, "$defs": defs} if defs else root


def _hoisted(schema: Schema, defs: Schema) -> Schema:
    """A schema without the definitions in it, which go into *defs*: those of pydantic stand where msgspec has them."""
    for name, definition in schema.get("$defs", {}).items():
        found = _hoisted(definition, defs)
        if defs.setdefault(name, found) != found:
            raise ValueError(f"it holds two types of the name {name!r}")
    own = {key: value for key, value in schema.items() if key != "$defs"}
    plain = _with_parts(own, lambda inner: _hoisted(inner, defs))
    if len(plain.get("allOf", ())) == 1:  # so older versions of pydantic write a reference
        plain |= plain.pop("allOf")[0]
    return plain


def _with_parts(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    named = {word: {name: change(one) for name, one in schema[word].items()} for word in _BY_NAME if word in schema}
    listed = {word: [*map(change, schema[word])] for word in _LISTED if word in schema}
    single = {word: change(schema[word]) for word in _SINGLE if isinstance(schema.get(word), dict)}
    return {**schema, **named, **listed, **single}
