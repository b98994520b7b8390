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
    yield from (schema[keyword] for keyword in _SINGLE if isinstance(schema.get(keyword), dict))


def with_parts(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """A schema with those in it changed."""
    named = {word: {name: change(one) for name, one in schema[word].items()} for word in _BY_NAME if word in schema}
    listed = {word: [*map(change, schema[word])] for word in _LISTED if word in schema}
    single = {word: change(schema[word]) for word in _SINGLE if isinstance(schema.get(word), dict)}
    return {**schema, **named, **listed, **single}


def is_recursive(schema: Schema) -> bool:
    """Whether one of its definitions leads back to itself."""
    left = {name: _targets(definition) for name, definition in schema.get("$defs", {}).items()}
    while done := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in done:
            del left[name]
    return bool(left)


def _targets(schema: Schema) -> set[str]:
    return {target for part in parts_of(schema) if (target := target_of(part))}


def target_of(schema: Schema) -> str:
    """The name of the definition that it refers to, `""` if it refers to none."""
    return str(schema.get("$ref", "")).rpartition("/")[2]
