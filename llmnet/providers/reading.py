"""What the wire forms share when they read: tolerant look-ups, model rows, vectors and usage by table."""

import base64
import re
import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from llmnet.core.chat import StreamChunk, Usage
from llmnet.core.errors import InvalidResponseError
from llmnet.core.json import decode
from llmnet.core.other_replies import EmbeddingResponse, ModelInfo
from llmnet.core.preview import cut, glimpse
from llmnet.core.reply_text import Text, check_count

# A JSON object; the second is only read.
Object = dict[str, Any]
Fields = Mapping[str, Any]
# More than any service has in one reply.
MAX_ROWS = 20_000


def payload_of(data: str) -> Any:
    """The JSON of an event, or its text: a heartbeat may be any text, but what begins with `{` must be JSON.

    Raises:
        InvalidResponseError: it is not.
    """
    try:
        return decode(data)
    except ValueError as error:
        why = str(error)
    if not data.startswith("{"):
        return data
    # Raised outside of `except`: the frames of the error caught there hold the complete event.
    raise InvalidResponseError(f"an event of the stream is no JSON ({why}): {cut(data, 200)!r}")


def items_of(payload: Any, name: str) -> list[Object]:
    """The objects of a list in a reply.

    Raises:
        InvalidResponseError: there is no such list, or it is too long.
    """
    items = dict_of(payload).get(name)
    if not isinstance(items, list):
        raise InvalidResponseError(f"the reply has no list {name!r}: {glimpse(payload, 200)}")
    check_count(len(items), MAX_ROWS, f"rows of {name!r}")
    return dicts_of(items)


def text_of(value: Any) -> str:
    """A string as it is; `""` for anything else."""
    return value if isinstance(value, str) else ""


def dict_of(value: Any) -> Object:
    """An object as it is; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def dicts_of(value: Any) -> list[Object]:
    """The objects of a list; none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def remainder(text: str, known: Text | str) -> str:
    """What a complete text has beyond its known beginning; `""` where it is no longer or begins differently."""
    return text[len(known) :] if len(text) > len(known) and text.startswith(str(known)) else ""


def joined(chunks: Iterable[StreamChunk | None]) -> StreamChunk | None:
    """Several chunks as one."""
    parts = [chunk for chunk in chunks if chunk is not None]
    if len(parts) < 2:
        return parts[0] if parts else None
    ended = next((part for part in reversed(parts) if part.native_finish_reason), parts[-1])
    return msgspec.structs.replace(
        parts[-1],
        content="".join(part.content for part in parts),
        reasoning="".join(part.reasoning or "" for part in parts) or None,
        refusal="".join(part.refusal or "" for part in parts) or None,
        tool_calls=[delta for part in parts for delta in part.tool_calls],
        finish_reason=ended.finish_reason,
        native_finish_reason=ended.native_finish_reason,
        usage=next((part.usage for part in reversed(parts) if part.usage), None),
    )


def models_in(payload: Any, name: str) -> list[ModelInfo]:
    """The rows of a model list; null is an empty list, as Ollama sends it, and a string is a row.

    Raises:
        InvalidResponseError: there is no list, or none of its rows has a name.
    """
    if isinstance(payload, dict) and name in payload and payload[name] is None:
        return []
    items_of(payload, name)
    rows = [{"id": row} if isinstance(row, str) else dict_of(row) for row in payload[name]]
    named = [model for row in rows if (model := _model_info(row)).id]
    if rows and not named:
        raise InvalidResponseError(f"no row of the list {name!r} has a name: {glimpse(payload, 200)}")
    return named


_RETIREMENT = ("retires_at", "retirement_date", "deprecation_date", "shutdown_date", "expires_at")


def _model_info(row: Object) -> ModelInfo:
    names = (text_of(row.get(name)) for name in ("id", "model", "name"))
    places = (row, dict_of(row.get("lifecycle")))
    retires = next((str(place[name]) for place in places for name in _RETIREMENT if place.get(name)), None)
    return ModelInfo(id=next(filter(None, names), ""), retires_at=retires, raw=row)


def embeddings_of(
    payload: Any, rows: list[Object], size: int, usage: Usage | None, *, model: str = ""
) -> EmbeddingResponse:
    """The vectors of a reply, from its rows in order.

    Raises:
        InvalidResponseError: there are not `size` rows, or one has no vector.
    """
    if len(rows) != size:
        raise InvalidResponseError(f"the reply has {len(rows)} vectors for {size} inputs")
    vectors = [vector_of(row.get("embedding")) for row in rows]
    return EmbeddingResponse(vectors=vectors, model=model, usage=usage or Usage(), raw=payload)


def vector_of(value: Any) -> list[float]:
    """A vector from numbers or from base64 of little-endian float32 (docs/vendors.md, Embeddings)."""
    try:
        if isinstance(value, list):
            return [float(x) for x in value]
        numbers = array("f", base64.b64decode(value, validate=True))
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tolist()
    except (TypeError, ValueError, OverflowError):
        raise InvalidResponseError(f"an embedding is neither numbers nor base64: {glimpse(value, 80)}") from None


def status_in(comments: Iterable[str]) -> int | None:
    """The error status in the comments of an event: `HTTP_STATUS/429`."""
    found = [int(match[1]) for comment in comments if (match := re.search(r"HTTP_STATUS/(\d{3})", comment))]
    return found[-1] if found and found[-1] >= 400 else None


Paths = Mapping[str, Iterable[tuple[str, ...]]]

# Larger counts are ignored: a caller's float could not hold them exactly.
LARGEST = 2**53

# Where each figure stands (docs/vendors.md, Usage); the first place with a number wins.
CHAT_USAGE: Paths = {
    "input_tokens": (("prompt_tokens",), ("input_tokens",)),
    "output_tokens": (("completion_tokens",), ("output_tokens",)),
    "total_tokens": (("total_tokens",),),
    "cached_tokens": (
        ("prompt_tokens_details", "cached_tokens"), ("input_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",), ("cached_tokens",),  # Moonshot
        ("cache_read_input_tokens",),  # LiteLLM
    ),
    "cache_write_tokens": (
        ("prompt_tokens_details", "cache_write_tokens"), ("prompt_tokens_details", "cache_creation_input_tokens"),
        ("input_tokens_details", "cache_write_tokens"), ("cache_creation_input_tokens",),
    ),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens"),
        ("reasoning_tokens",),
    ),
}  # fmt: skip


def usage_of(payload: Any, paths: Paths) -> Usage | None:
    """A usage from a vendor's object; a missing total is the sum of both parts."""
    if not isinstance(payload, dict):
        return None
    found: dict[str, int] = {}
    for name, places in paths.items():
        for place in places:
            value: Any = payload
            for key in place:
                value = value.get(key) if isinstance(value, dict) else None
            if value is None:
                continue
            number = value if type(value) is int else _as_integer(value)
            if number is not None and -LARGEST <= number <= LARGEST:
                found[name] = number
                break
    if "total_tokens" not in found and "input_tokens" in found and "output_tokens" in found:
        found["total_tokens"] = found["input_tokens"] + found["output_tokens"]
    return Usage(**found) if found else None


def _as_integer(value: Any) -> int | None:
    """An integer written as text or as a float."""
    digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16
    return int(value) if digits or (isinstance(value, float) and value.is_integer()) else None
