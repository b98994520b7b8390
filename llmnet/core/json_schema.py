"""The JSON schema of a type, and the value of that type in a JSON text; msgspec and pydantic know how.

A type is a pydantic model (or dataclass of pydantic's), a dataclass, a TypedDict or a `msgspec.Struct`, generic ones
with their arguments too.
"""

import dataclasses
import functools
import re
import sys
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from llmnet.core.errors import ConfigurationError
from llmnet.core.json import check_size, mended
from llmnet.core.pydantic_types import is_pydantic, pydantic_decoder, pydantic_schema
from llmnet.core.schema_parts import rooted

ACCEPTED = "a pydantic model, a dataclass, a TypedDict or a msgspec.Struct"

_FENCE, _LANGUAGE = "```", "json"
# The escape of half an emoji; what stands in the first group is none.
_HALVES = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


class Codec(msgspec.Struct, frozen=True, eq=False):
    """What is known of a type: its schema, which nobody may change, and what makes a value of a JSON text."""

    schema: dict[str, Any]
    decode: Callable[[str], Any]


def schema_of(kind: Any, name: str = "output_type", *, keep: bool = True) -> dict[str, Any]:
    """The JSON schema of a type: an object, other types in `$defs`. The caller may not change it.

    Args:
        kind: the type.
        name: what an error calls it.
        keep: whether it is asked for again; what is made for once takes no place of one that is.

    Raises:
        ConfigurationError: it is no such type, or JSON cannot carry one of its fields.
    """
    return codec_of(kind, name, keep=keep).schema


def codec_of(kind: Any, name: str = "output_type", *, keep: bool = True) -> Codec:
    """Schema and decoder of a type, made once if they are to be kept.

    Raises:
        ConfigurationError: as `schema_of` does.
    """
    base = typing.get_origin(kind) or kind
    if not isinstance(base, type) or _is_bare(base) or not (is_pydantic(base) or _is_plain(base)):
        raise ConfigurationError(f"{name} must be {ACCEPTED}, not {_shown(kind)}; another type can be a field of one")
    try:
        codec = (_codec if keep else _codec.__wrapped__)(kind)
    except Exception as error:
        # The libraries, and what a type does itself to make its schema, raise what they like.
        raise ConfigurationError(f"{name}: {_shown(kind)} has no JSON schema: {error}") from error
    if codec.schema.get("type") != "object":
        raise ConfigurationError(f"{name}: {_shown(kind)} is no object in JSON, and vendors take nothing else")
    return codec


@functools.lru_cache(maxsize=256)
def _codec(kind: Any) -> Codec:
    if is_pydantic(typing.get_origin(kind) or kind):
        schema, decode = pydantic_schema(kind), pydantic_decoder(kind)
    else:
        schema = msgspec.json.schema(kind, schema_hook=_foreign_schema)
        decode = msgspec.json.Decoder(kind, dec_hook=_foreign_value).decode
    return Codec(mended(rooted(schema)), _reading(decode))


def _is_bare(base: type) -> bool:
    """Whether it is the class that types are made from."""
    return base is msgspec.Struct or base is getattr(sys.modules.get("pydantic"), "BaseModel", None)


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


def _foreign_schema(kind: Any) -> dict[str, Any]:
    """The schema of a field's type that msgspec does not know."""
    if not is_pydantic(kind):
        raise TypeError(f"a field has the type {_shown(kind)}, for which JSON has nothing")
    return pydantic_schema(kind)


def _reading(decode: Callable[[str], Any]) -> Callable[[str], Any]:
    """A decoder that takes what models write, and says in one way what is wrong with it."""

    def read(text: str) -> Any:
        body = _HALVES.sub(lambda found: found[1] or "\\ufffd", unfenced(text))
        check_size(body)
        try:
            return decode(body)
        except (msgspec.DecodeError, ValueError) as error:  # the former was no ValueError before msgspec 0.20
            raise ValueError(str(error)) from None

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
    return pydantic_decoder(kind)(msgspec.json.encode(value).decode())
