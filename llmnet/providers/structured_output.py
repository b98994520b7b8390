"""How a request asks for a value of a type, in OpenAI's chat form, which each wire form translates.

Three ways, the first that there is: a schema that the vendor holds its model to; JSON mode, with the schema as an
instruction; a tool that the model must call, whose arguments are read as the text of the reply. A strict schema has
closed objects, and only keywords that its vendor knows: the description says the others in words.
The facts: docs/vendors.md, Structured output.
"""

import functools
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from llmnet.core.output import Output
from llmnet.core.request import ChatRequest
from llmnet.core.schema_parts import Schema, is_recursive, parts_of
from llmnet.providers.tool_rows import ANSWER_TOOL

INSTRUCTION = "Answer with a JSON object alone, without any other text. It must fit this JSON schema:"

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]+")
_LONGEST_NAME = 64

_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
# What all dialects know, in written order.
_COMMON = (
    "type", "title", "description", "enum", "const", "properties", "required", "additionalProperties", "items",
    "anyOf", "$ref", "$defs",
)  # fmt: skip


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor knows of JSON schema.

    Attributes:
        keywords: those beyond what all know.
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


def by_schema(chat: ChatRequest, output: Output) -> ChatRequest:
    """Ask by `json_schema`: strict, unless no strict schema can say the type."""
    strict = strict_schema_of(output, OPENAI)
    name = _NOT_IN_NAMES.sub("_", output.name)[:_LONGEST_NAME]
    wanted = {"name": name, "schema": strict or output.schema, "strict": strict is not None}
    return with_params(chat, response_format={"type": "json_schema", "json_schema": wanted})


def by_json_mode(chat: ChatRequest, output: Output) -> ChatRequest:
    """Ask by `json_object`, which vendors refuse where no message mentions JSON, and by an instruction.

    It stands in the first message, the system's: some vendors take no other one.
    """
    text = f"{INSTRUCTION}\n{msgspec.json.encode(output.schema).decode()}"
    messages, first = chat.messages, chat.first
    system = messages[0]
    if system["role"] in ("system", "developer"):
        said = system.get("content")
        content = f"{said}\n\n{text}" if isinstance(said, str) else [*(said or ()), {"type": "text", "text": text}]
        messages = [{**system, "content": content}, *messages[1:]]
    else:
        messages = [{"role": "system", "content": text}, *messages]
        first -= 1  # errors count as the caller does
    instructed = msgspec.structs.replace(chat, messages=messages, first=first)
    return with_params(instructed, response_format={"type": "json_object"})


def by_tool(chat: ChatRequest, output: Output, *, force: bool) -> ChatRequest:
    """Ask by a tool, beside the caller's own; a choice of the caller's holds.

    Without *force*, for vendors that take no choice that forces a call, only words tell the model to call it.
    """
    own = chat.params.get("tools", ())
    words = "Gives the answer. Call it once, at the end."
    tool = {"name": ANSWER_TOOL, "description": words, "parameters": output.schema}
    forced = "required" if own else {"type": "function", "function": {"name": ANSWER_TOOL}}
    choice = chat.params.get("tool_choice", forced if force else "auto")
    return with_params(chat, tools=[*own, {"type": "function", "function": tool}], tool_choice=choice)


def with_params(chat: ChatRequest, **params: Any) -> ChatRequest:
    """The chat with more parameters."""
    return msgspec.structs.replace(chat, params={**chat.params, **params})


@functools.lru_cache(maxsize=256)
def strict_schema_of(output: Output, dialect: Dialect) -> Schema | None:
    """The strict schema of what a call wants; made once, and nobody may change it."""
    return strict_schema(output.schema, dialect)


def strict_schema(schema: Schema, dialect: Dialect) -> Schema | None:
    """The schema in a dialect; `None` where that has no counterpart, as for a dict of any keys."""
    if any(map(_is_open, parts_of(schema))) or (is_recursive(schema) and not dialect.recursive):
        return None
    return _written(schema, dialect)


def _is_open(schema: Schema) -> bool:
    """Whether values may have properties or types that it does not name."""
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
    # The branches of a union say themselves how they differ.
    plain = {name: value for name, value in schema.items() if name != "discriminator"}
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
    """A schema that says in words what is left; a reference has nothing else beside it."""
    words = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in left.items())
    description = " ".join(filter(None, (kept.get("description"), words and f"({words})")))
    described = kept | ({"description": description} if description else {})
    if "$ref" not in kept or len(described) == 1:
        return described
    reference = {"anyOf": [{"$ref": described.pop("$ref")}]}
    return described | reference
