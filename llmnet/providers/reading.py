"""What the wire forms share when they read: tolerant look-ups, model rows, vectors and usage by table."""

import base64
import re
import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from llmnet.core.chat import ModelInfo, StreamChunk, Usage
from llmnet.core.errors import InvalidResponseError
from llmnet.core.growing_text import Text, check_count
from llmnet.core.json import decode
from llmnet.core.preview import cut, glimpse

# More than models are listed, or vectors asked for, in one request.
MAX_ROWS = 20_000


def payload_of(data: str) -> Any:
    """The JSON of an event, or its text: a heartbeat need be no JSON, but what begins as an object has to be.

    Raises:
        InvalidResponseError: it is not.
    """
    try:
        return decode(data)
    except ValueError as error:
        why = str(error)
    if not data.startswith("{"):
        return data
    # Not where it was caught: the frames of what was caught hold the whole event.
    raise InvalidResponseError(f"an event of the stream is no JSON ({why}): {cut(data, 200)!r}")


def items_of(payload: Any, name: str) -> list[dict[str, Any]]:
    """A list of objects in a reply.

    Raises:
        InvalidResponseError: there is none, or too long a one.
    """
    items = payload.get(name) if isinstance(payload, dict) else None
    if not isinstance(items, list):
        raise InvalidResponseError(f"the reply has no list {name!r}: {glimpse(payload, 200)}")
    check_count(len(items), MAX_ROWS, f"rows of {name!r}")
    return [item for item in items if isinstance(item, dict)]


def index_in(row: dict[str, Any]) -> int:
    """The place of a row among its like; one that does not say comes first."""
    index = row.get("index")
    return index if isinstance(index, int) else 0


def check_size(rows: list[dict[str, Any]], size: int) -> None:
    """Refuse a reply that has another number of vectors than inputs were sent."""
    if len(rows) != size:
        raise InvalidResponseError(f"the reply has {len(rows)} vectors for {size} inputs")


def text_of(value: Any) -> str:
    """A text as it is; anything else is none."""
    return value if isinstance(value, str) else ""


def dict_of(value: Any) -> dict[str, Any]:
    """An object as it is; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def dicts_of(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; anything else holds none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def rest(whole: str, told: Text | str) -> str:
    """The part of a text that was not told yet; what was told is put together only where there may be more."""
    return whole[len(told) :] if len(whole) > len(told) and whole.startswith(str(told)) else ""


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
    """The rows of a model list; null is an empty one, as Ollama says it, and a bare name is a row.

    Raises:
        InvalidResponseError: there is no list, or none of its rows has a name.
    """
    if isinstance(payload, dict) and name in payload and payload[name] is None:
        return []
    items_of(payload, name)
    rows = [{"id": row} if isinstance(row, str) else dict_of(row) for row in payload[name]]
    named = [model for row in rows if (model := model_info(row)).id]
    if rows and not named:
        raise InvalidResponseError(f"no row of the list {name!r} has a name: {glimpse(payload, 200)}")
    return named


def model_info(row: dict[str, Any]) -> ModelInfo:
    """One row of a model list."""
    found = (text_of(row.get(name)) for name in ("id", "model", "name"))
    return ModelInfo(id=next(filter(None, found), ""), retires_at=retirement(row), raw=row)


def retirement(item: Mapping[str, Any]) -> str | None:
    """The date on which a model retires, wherever the vendor puts it."""
    lifecycle = item.get("lifecycle")
    places = (item, lifecycle if isinstance(lifecycle, dict) else {})
    names = ("retires_at", "retirement_date", "deprecation_date", "shutdown_date", "expires_at")
    return next((str(place[name]) for place in places for name in names if place.get(name)), None)


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


_STATUS = re.compile(r"HTTP_STATUS/(\d{3})")


def status_in(comments: Iterable[str]) -> int | None:
    """The error status that the comment lines of an event carry: `HTTP_STATUS/429`."""
    found = [int(match.group(1)) for comment in comments if (match := _STATUS.search(comment))]
    return found[-1] if found and found[-1] >= 400 else None


Paths = Mapping[str, Iterable[tuple[str, ...]]]

# A count beyond it is none, and could not be added up by whoever takes it for a float.
LARGEST = 2**53

# Where each figure stands (docs/vendors.md, Usage); the first place that holds a number wins.
CHAT_USAGE: Paths = {
    "input_tokens": (("prompt_tokens",), ("input_tokens",)),
    "output_tokens": (("completion_tokens",), ("output_tokens",)),
    "total_tokens": (("total_tokens",),),
    "cached_tokens": (
        ("prompt_tokens_details", "cached_tokens"),
        ("input_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),
        ("cached_tokens",),  # Moonshot
        ("cache_read_input_tokens",),  # LiteLLM, and one below
    ),
    "cache_write_tokens": (
        ("prompt_tokens_details", "cache_write_tokens"),
        ("prompt_tokens_details", "cache_creation_input_tokens"),
        ("input_tokens_details", "cache_write_tokens"),
        ("cache_creation_input_tokens",),
    ),
    "reasoning_tokens": (
        ("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens"),
        ("reasoning_tokens",),
    ),
}  # fmt: skip


def usage_of(payload: Any, paths: Paths) -> Usage | None:
    """A usage from a vendor's object; a missing total is the sum where both parts are known."""
    if not isinstance(payload, dict):
        return None
    found = {name: _number_at(payload, places) for name, places in paths.items()}
    if found.get("total_tokens") is None:
        parts = (found.get("input_tokens"), found.get("output_tokens"))
        found["total_tokens"] = None if None in parts else sum(part or 0 for part in parts)
    return Usage(**found) if any(value is not None for value in found.values()) else None


def _whole(value: Any) -> Any:
    """A whole number, however it is written; anything else as it is."""
    digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16
    return int(value) if digits or (isinstance(value, float) and value.is_integer()) else value


def _number_at(payload: Any, places: Iterable[tuple[str, ...]]) -> int | None:
    for place in places:
        value = payload
        for name in place:
            value = value.get(name) if isinstance(value, dict) else None
        number = _whole(value)
        if isinstance(number, int) and not isinstance(number, bool) and abs(number) <= LARGEST:
            return number
    return None
