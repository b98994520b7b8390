"""A schema as vendors take it that hold their model to it: closed objects, and no keyword that they do not know.

What such a vendor does not know is told to the model in words, in the description; the reply is checked here anyway.
The facts: docs/vendors.md, Structured output.
"""

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from llmnet.core.output import Output
from llmnet.core.schema_parts import Schema, is_recursive, parts_of

_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
# What both dialects know, in the order in which it is written.
_COMMON = (
    "type", "title", "description", "enum", "const", "properties", "required", "additionalProperties", "items",
    "anyOf", "$ref", "$defs",
)  # fmt: skip
# The branches of a union say themselves how they differ.
_NEEDLESS = ("discriminator",)


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor knows of JSON schema.

    Attributes:
        keywords: keywords beyond those that all know.
        formats: values of `format`.
        most_min_items: the largest `minItems`, or `None` for any.
        all_required: whether every property must be required.
        recursive: whether a type may stand within itself.
    """

    keywords: tuple[str, ...] = ()
    formats: tuple[str, ...] = _FORMATS
    most_min_items: int | None = None
    all_required: bool = False
    recursive: bool = True


OPENAI = Dialect(
    keywords=(
        "pattern", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems",
    ),
    all_required=True,
)  # fmt: skip
ANTHROPIC = Dialect(keywords=("minItems",), formats=(*_FORMATS, "uri"), most_min_items=1, recursive=False)


@functools.lru_cache(maxsize=256)
def strict_schema_of(output: Output, dialect: Dialect) -> Schema | None:
    """The schema of what a call wants, as `strict_schema` gives it; made once, and nobody may change it."""
    return strict_schema(output.schema, dialect)


def strict_schema(schema: Schema, dialect: Dialect) -> Schema | None:
    """The schema in a vendor's dialect; `None` where that has no counterpart, as for a dict of any keys."""
    if any(map(_is_open, parts_of(schema))) or (is_recursive(schema) and not dialect.recursive):
        return None
    return _written(schema, dialect)


def _is_open(schema: Schema) -> bool:
    """Whether values may have properties or types that the schema does not name."""
    if "properties" in schema or schema.get("type") == "object":
        return "properties" not in schema or schema.get("additionalProperties", False) is not False
    if schema.get("type") == "array":
        return schema.keys().isdisjoint(("items", "prefixItems"))
    return not schema.keys() - {"title", "description", "default", "examples"}


def _written(schema: Schema, dialect: Dialect) -> Schema:
    """One schema, and those in it."""
    plain = _plain(schema)
    kept = {keyword: plain[keyword] for keyword in (*_COMMON, *dialect.keywords) if keyword in plain}
    if plain.get("format") in dialect.formats:
        kept["format"] = plain["format"]
    if dialect.most_min_items is not None and kept.get("minItems", 0) > dialect.most_min_items:
        del kept["minItems"]
    for keyword in ("properties", "$defs"):
        if keyword in kept:
            kept[keyword] = {name: _written(inner, dialect) for name, inner in kept[keyword].items()}
    if "items" in kept:
        kept["items"] = _written(kept["items"], dialect)
    if "anyOf" in kept:
        kept["anyOf"] = [_written(inner, dialect) for inner in kept["anyOf"]]
    if "properties" in kept:
        required = [*kept["properties"]] if dialect.all_required else kept.get("required", [])
        kept |= {"required": required, "additionalProperties": False}
    return _described(kept, {name: value for name, value in plain.items() if name not in kept})


def _plain(schema: Schema) -> Schema:
    """A schema whose unions are `anyOf`, whose tuples are lists, and whose values have a type."""
    plain = {name: value for name, value in schema.items() if name not in _NEEDLESS}
    if plain.get("default", 0) is None:
        del plain["default"]
    if "oneOf" in plain:
        plain["anyOf"] = plain.pop("oneOf")
    if "prefixItems" in plain:
        branches = plain.pop("prefixItems")
        plain["items"] = branches[0] if all(branch == branches[0] for branch in branches) else {"anyOf": branches}
    values = plain.get("enum", [plain["const"]] if "const" in plain else [])
    kinds = {_JSON_TYPES.get(type(value)) for value in values}
    if "type" not in plain and len(kinds) == 1 and None not in kinds:
        plain["type"] = kinds.pop()
    return plain


def _described(kept: Schema, left: Mapping[str, Any]) -> Schema:
    """A schema that says in words what is left; one that refers to another has nothing else beside the reference."""
    words = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in left.items())
    description = " ".join(filter(None, (kept.get("description"), words and f"({words})")))
    described = kept | ({"description": description} if description else {})
    if "$ref" not in kept or len(described) == 1:
        return described
    reference = {"anyOf": [{"$ref": described.pop("$ref")}]}
    return described | reference
