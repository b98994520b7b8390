"""JSON as the wire carries it: reading forgives what vendors get wrong, writing refuses what JSON cannot carry."""

import json
import math
from typing import Any

import msgspec

from llmnet.core.errors import ConfigurationError

_decoder = msgspec.json.Decoder()
_SCALARS = (str, bool, int, type(None))


def decode(data: bytes | str) -> Any:
    """Read a JSON text.

    Half an emoji in an escape and bytes that are no UTF-8 are read by the slower, more forgiving way.

    Raises:
        ValueError: it is no JSON (NaN and Infinity are none), or is nested too deeply to be a reply.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    try:
        return json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def encode(value: Any, name: str = "body") -> bytes:
    """Write a value as JSON.

    Raises:
        ConfigurationError: it holds what JSON cannot carry; the message names the path, below *name*.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(fault(value, name) or f"{name} cannot be sent as JSON: {error}") from None


def fault(value: Any, path: str, above: tuple[int, ...] = ()) -> str | None:
    """What keeps a value from being JSON, with the path to it; `None` where nothing does."""
    if isinstance(value, str):
        return None if encodable(value) else f"{path} holds half a surrogate pair, which UTF-8 cannot carry"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {value}; JSON has no such number"
    if isinstance(value, float | bool | int | None):
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{path} is bytes; decode it to text, or encode it as base64"
    if not isinstance(value, dict | list | tuple):
        return f"{path} is a {type(value).__name__}, which JSON cannot carry"
    return _fault_inside(value, path, above)


def _fault_inside(value: Any, path: str, above: tuple[int, ...]) -> str | None:
    if id(value) in above:
        return f"{path} contains itself"
    if len(above) > 200:
        return f"{path} is nested too deeply"
    keyed = isinstance(value, dict)
    for key, item in value.items() if keyed else enumerate(value):
        if keyed and not isinstance(key, _SCALARS):
            return f"{path} has the key {key!r}; keys are text"
        found = fault(key, f"a key of {path}") or fault(
            item, f"{path}.{key}" if keyed else f"{path}[{key}]", (*above, id(value))
        )
        if found:
            return found
    return None


def encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def mended(value: Any) -> Any:
    """A value that was read, with all its texts fit to be written again: a lone half of an emoji becomes U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    if encodable(text):
        return value
    return decode(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
