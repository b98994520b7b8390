"""The JSON schema of a type, and the value of that type in a JSON text; msgspec and pydantic know how.

A type is a pydantic model (or dataclass of pydantic's), a dataclass, a TypedDict or a `msgspec.Struct`, generic ones
with their arguments too. Pydantic is never imported: where a type is made with it, it has been already.
"""

import dataclasses
import functools
import sys
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from llmnet.core.errors import ConfigurationError
from llmnet.core.json import check_size

ACCEPTED = "a pydantic model, a dataclass, a TypedDict or a msgspec.Struct"

_SHOWN_PROBLEMS = 3
_FENCE, _LANGUAGE = "```", "json"


class Codec(msgspec.Struct, frozen=True, eq=False):
    """What is known of a type: its schema, which nobody may change, and what makes a value of a JSON text."""

    schema: dict[str, Any]
    decode: Callable[[str], Any]


def schema_of(kind: Any, name: str = "output_type") -> dict[str, Any]:
    """The JSON schema of a type: an object, other types in `$defs`. The caller may not change it.

    Args:
        kind: the type.
        name: what an error calls it.

    Raises:
        ConfigurationError: it is no such type, or JSON cannot carry one of its fields.
    """
    return codec_of(kind, name).schema


def value_of(kind: Any, text: str) -> Any:
    """The value of a type in a JSON text, which may stand in a code fence.

    Raises:
        ValueError: the text is no JSON, or does not fit the type; the message names the path of the field.
    """
    return codec_of(kind).decode(text)


def codec_of(kind: Any, name: str = "output_type") -> Codec:
    """Schema and decoder of a type, made once.

    Raises:
        ConfigurationError: as `schema_of` does.
    """
    base = typing.get_origin(kind) or kind
    if not isinstance(base, type) or not (_is_pydantic(base) or _is_plain(base)):
        raise ConfigurationError(f"{name} must be {ACCEPTED}, not {_shown(kind)}; another type can be a field of one")
    try:
        codec = _codec(kind)
    except Exception as error:
        # The libraries, and what a type does itself to make its schema, raise what they like.
        raise ConfigurationError(f"{name}: {_shown(kind)} has no JSON schema: {error}") from error
    if codec.schema.get("type") != "object":
        raise ConfigurationError(f"{name}: {_shown(kind)} is no object in JSON, and vendors take nothing else")
    return codec


@functools.lru_cache(maxsize=256)
def _codec(kind: Any) -> Codec:
    if _is_pydantic(typing.get_origin(kind) or kind):
        adapter = _adapter(kind)
        return Codec(_rooted(adapter.json_schema()), _reading(adapter.validate_json))
    schema = msgspec.json.schema(kind, schema_hook=_foreign_schema)
    return Codec(_rooted(schema), _reading(msgspec.json.Decoder(kind, dec_hook=_foreign_value).decode))


def _is_pydantic(base: Any) -> bool:
    return isinstance(base, type) and hasattr(base, "__pydantic_validator__")


def _is_plain(base: type) -> bool:
    """Whether msgspec knows it: a TypedDict of typing_extensions is known by what it has, for it has another class."""
    is_typed_dict = issubclass(base, dict) and hasattr(base, "__total__")
    return is_typed_dict or dataclasses.is_dataclass(base) or issubclass(base, msgspec.Struct)


def name_of(kind: Any) -> str:
    """The name of a type: `City`, `Page[City]`."""
    arguments = ", ".join(map(name_of, typing.get_args(kind)))
    name = getattr(typing.get_origin(kind) or kind, "__name__", str(kind))
    return f"{name}[{arguments}]" if arguments else name


def _shown(kind: Any) -> str:
    """A type by its name; of a value only the type, for it may be a key by mistake."""
    if isinstance(kind, type) and typing.get_origin(kind) is None:
        return kind.__name__
    is_type = typing.get_origin(kind) is not None or type(kind).__module__ == "typing"
    return str(kind) if is_type else f"a value of the type {type(kind).__name__}"


# -- schemas ----------------------------------------------------------------------------------------------------------


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with all definitions at its root, which is the type itself: vendors take no reference there."""
    defs: dict[str, Any] = {}
    root = _hoisted(schema, defs)
    if (ref := root.get("$ref")) is not None:
        name = ref.rpartition("/")[2]
        root = {**defs[name], **{key: value for key, value in root.items() if key != "$ref"}}
        if not _refers(root, ref) and not any(_refers(other, ref) for key, other in defs.items() if key != name):
            del defs[name]
    return {**root, "$defs": defs} if defs else root


def _hoisted(schema: Any, defs: dict[str, Any]) -> Any:
    """A schema without the definitions in it, which go into *defs*: those of pydantic stand where msgspec has them."""
    if isinstance(schema, list):
        return [_hoisted(item, defs) for item in schema]
    if not isinstance(schema, dict):
        return schema
    for name, definition in schema.get("$defs", {}).items():
        found = _hoisted(definition, defs)
        if defs.setdefault(name, found) != found:
            raise ValueError(f"it holds two types of the name {name!r}")
    plain = {key: _hoisted(value, defs) for key, value in schema.items() if key != "$defs"}
    if len(plain.get("allOf", ())) == 1:  # so older versions of pydantic write a reference
        plain |= plain.pop("allOf")[0]
    return plain


def _refers(schema: Any, ref: str) -> bool:
    if isinstance(schema, list):
        return any(_refers(item, ref) for item in schema)
    return isinstance(schema, dict) and (schema.get("$ref") == ref or any(_refers(v, ref) for v in schema.values()))


def _foreign_schema(kind: Any) -> dict[str, Any]:
    """The schema of a field's type that msgspec does not know."""
    if not _is_pydantic(kind):
        raise TypeError(f"a field has the type {_shown(kind)}, for which JSON has nothing")
    schema: dict[str, Any] = _adapter(kind).json_schema()
    return schema


# -- values -----------------------------------------------------------------------------------------------------------


def _reading(decode: Callable[[str], Any]) -> Callable[[str], Any]:
    """A decoder that takes what models write, and says in one way what is wrong with it."""

    def read(text: str) -> Any:
        body = unfenced(text)
        check_size(body)
        try:
            return decode(body)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None
        except ValueError as error:
            raise ValueError(_problems(error)) from None

    return read


def unfenced(text: str) -> str:
    """A text without the code fence that some models put around their JSON."""
    body = text.strip()
    if not (body.startswith(_FENCE) and body.endswith(_FENCE)):
        return body
    inner = body.removeprefix(_FENCE).removesuffix(_FENCE).lstrip()
    return inner[len(_LANGUAGE) :] if inner[: len(_LANGUAGE)].lower() == _LANGUAGE else inner


def _foreign_value(kind: Any, value: Any) -> Any:
    """The value of a field that msgspec has read as plain JSON."""
    try:
        return _adapter(kind).validate_json(msgspec.json.encode(value))
    except ValueError as error:
        raise ValueError(_problems(error)) from None


def _problems(error: ValueError) -> str:
    """What pydantic says, without what the text holds, and as msgspec would say it; any other error as it is."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    found = errors()
    said = "; ".join(f"{problem['msg']} - at `{_path(problem['loc'])}`" for problem in found[:_SHOWN_PROBLEMS])
    return said + (f"; and {len(found) - _SHOWN_PROBLEMS} more" if len(found) > _SHOWN_PROBLEMS else "")


def _path(steps: tuple[str | int, ...]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _adapter(kind: Any) -> Any:
    return sys.modules["pydantic"].TypeAdapter(kind)  # whose type it is has imported it
