"""JSON as vendors send it: reading forgives what they get wrong, writing refuses what JSON cannot carry.

What is read is measured before it is built: a small text can stand for a thousand times its size in objects.
"""

import json
import math
from itertools import accumulate, repeat
from typing import Any

import msgspec

from llmnet.core.errors import ConfigurationError

Data = bytes | bytearray | str

_decoder = msgspec.json.Decoder()
_write_quickly = msgspec.json.Encoder().encode
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_SCALARS = (str, bool, int, float, type(None))


class Texts(dict[str, Any]):
    """A dict of texts and nothing else: that was checked when it was made, and nobody changes it."""

    __slots__ = ()


_TEXT = frozenset({str})
# Of these, and of lists and dicts of them, msgspec writes what `json` does; it would write NaN, bytes and more, too.
_PLAIN = frozenset({str, bool, int, type(None), Texts})

# Deeper than any reply is nested, and far from the depth at which Python's own recursion ends.
MAX_DEPTH = 100
# Deeper than anything that is sent is nested.
MAX_SENT_DEPTH = 200
# As deep as most of what is sent is nested.
_USUAL_DEPTH = 20
# Values in one text, a list or dict counting twice: some 40 MB of objects at most. Each eight bytes that come may
# bring one more: so large a reply is one that was asked for, as a thousand vectors are. Not so for lists and dicts,
# which the garbage collector goes through again and again while they are made: of those there may never be more.
MAX_NODES = 500_000
BYTES_PER_NODE = 8
# Beyond this size nothing is read the forgiving way, which copies the text, at up to four bytes for each character.
MAX_FORGIVEN = 4 * 1024 * 1024

_TOO_DEEP = "the JSON is nested too deeply"
# Once escapes and all but these signs are removed, a string is what stands between two quotes.
_SIGNS = b'[]{}"'
_OTHERS = bytes(byte for byte in range(256) if byte not in _SIGNS)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
# Signs that are counted in one step.
_WINDOW = 64 * 1024


def decode(data: Data, *, arrived: int = 0) -> Any:
    """Read a JSON text; one that was made of so many bytes that *arrived* may hold more values.

    Half an emoji in an escape and bytes that are no UTF-8 are read by the slower, more forgiving way.

    Raises:
        ValueError: it is no JSON (NaN, Infinity and a number beyond all floats are none), is nested more than 100
            deep, or holds more values than a reply of its size does.
    """
    check_size(data, arrived)
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        why = str(error)
    if len(data) > MAX_FORGIVEN:
        raise ValueError(why)
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    try:
        return json.loads(text.removeprefix("\ufeff"), parse_constant=refuse_constant, parse_float=finite)
    except json.JSONDecodeError as error:
        error.doc = ""  # all of the text, which would live as long as the error
        raise
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def readable(body: bytes | str) -> Any:
    """A body as JSON, or as text where it is none."""
    try:
        return decode(body)
    except ValueError:
        return body.decode("utf-8", "replace") if isinstance(body, bytes) else body


def check_size(data: Data, arrived: int = 0) -> None:
    """Refuse, as `decode` does, a text that would become too many objects, or too deep; a short one can be neither."""
    opened = _opened(data) if len(data) > 2 * MAX_DEPTH else 0
    if 2 * len(data) > MAX_NODES and (opened > MAX_NODES or nodes(data) > MAX_NODES + arrived // BYTES_PER_NODE):
        raise ValueError(f"the JSON holds too many values, up to {nodes(data)} in {len(data)} bytes")
    if opened > MAX_DEPTH and _is_deeper(data, MAX_DEPTH):
        raise ValueError(_TOO_DEEP)


def nodes(data: Data) -> int:
    """How many values a text holds at most, a list or dict counting twice; signs within strings count, too."""
    return 2 * _opened(data) + _count(data, ",")


def _opened(data: Data) -> int:
    return _count(data, "[") + _count(data, "{")


def _count(data: Data, sign: str) -> int:
    return data.count(sign) if isinstance(data, str) else data.count(ord(sign))


def _is_deeper(data: Data, most: int) -> bool:
    """Whether a text is nested deeper than that, strings left out; what is no JSON is looked at no further."""
    level = within = 0
    signs = _signs(data)
    for at in range(0, len(signs), _WINDOW):
        parts = signs[at : at + _WINDOW].split(b'"')
        levels = list(accumulate(map(_STEPS.__getitem__, b"".join(parts[within::2])), initial=level))
        if max(levels) > most or min(levels) < 0:
            return min(levels) >= 0
        level, within = levels[-1], (within + len(parts) - 1) % 2
    return False


def _signs(data: Data) -> bytes | bytearray:
    """The quotes and brackets of a text; two quotes side by side make no difference to what is within strings."""
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    return raw.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _OTHERS).replace(b'""', b"")


def refuse_constant(word: str) -> None:
    """Refuse NaN and Infinity, which Python writes and reads."""
    raise ValueError(f"{word} is no JSON")


def finite(digits: str) -> float:
    """A number; one that no float can hold would come out as Infinity, and go out as null."""
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:40]} is beyond all numbers")
    return number


def encode(value: Any, name: str = "body") -> bytes:
    """Write a value as JSON; what is wrong with it is looked for once that has failed.

    Raises:
        ConfigurationError: it holds what JSON cannot carry; the message names the path, below *name*.
    """
    if (text := _written(value)) is not None:
        return text
    try:
        text = _write(value).encode()
        if _opened(text) > MAX_SENT_DEPTH and _is_deeper(text, MAX_SENT_DEPTH):
            raise ValueError(_TOO_DEEP)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(_problem(value, name) or f"{name} cannot be sent as JSON: {error}") from None
    return text


def _written(value: Any) -> bytes | None:
    """A value of plain types as JSON; `None` for any other, or one that cannot be written."""
    try:
        return _write_quickly(value) if _is_plain(value, _USUAL_DEPTH) else None
    except (TypeError, ValueError):  # a str of a type of its own, half a surrogate pair, thousands of digits
        return None


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value holds nothing but plain types and finite numbers, and is no deeper than that."""
    kind = type(value)
    if kind is dict and _TEXT.issuperset(map(type, value)):
        value = value.values()
    elif kind is not list:
        return kind in _PLAIN or (kind is float and math.isfinite(value))
    others = [item for item in value if type(item) not in _PLAIN]
    return not others or (depth > 0 and all(map(_is_plain, others, repeat(depth - 1))))


def check_json(value: Any, name: str) -> None:
    """Check that a value can be written as JSON.

    Raises:
        ConfigurationError: it cannot; the message names the path, below *name*.
    """
    if _written(value) is None and (problem := _problem(value, name)):
        raise ConfigurationError(problem)


def _problem(value: Any, path: str, above: tuple[int, ...] = ()) -> str | None:
    """What keeps a value from being JSON, with the path to it; `None` where nothing does."""
    if isinstance(value, str):
        return None if encodable(value) else f"{path} holds half a surrogate pair, which UTF-8 cannot carry"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {value}; JSON has no such number"
    if isinstance(value, _SCALARS):
        return None
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{path} is bytes; decode it to text, or encode it as base64"
    if not isinstance(value, dict | list | tuple):
        return f"{path} is a {type(value).__name__}, which JSON cannot carry"
    return _problem_inside(value, path, above)


def _problem_inside(value: Any, path: str, above: tuple[int, ...]) -> str | None:
    if id(value) in above:
        return f"{path} contains itself"
    if len(above) > MAX_SENT_DEPTH:
        return f"{path} is nested too deeply"
    keyed = isinstance(value, dict)
    for key, item in value.items() if keyed else enumerate(value):
        if keyed and not isinstance(key, _SCALARS):
            return f"{path} has the key {key!r}; keys are text"
        if type(key) is type(item) is str and key.isascii() and item.isascii():
            continue  # as most are
        below = f"{path}.{key}" if keyed else f"{path}[{key}]"
        if problem := _problem(key, f"a key of {path}") or _problem(item, below, (*above, id(value))):
            return problem
    return None


def encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def mended(value: Any) -> Any:
    """A value that was read, its texts fit to be written again: a lone half of an emoji becomes U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    if encodable(text):
        return value
    return decode(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
