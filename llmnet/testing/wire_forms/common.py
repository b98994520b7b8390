"""What all wire forms share here: the answer in none of them, and `ReplyFormat`, which each of them fills in."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from llmnet.providers.reading import dicts_of
from llmnet.testing.script import Received

CREATED = 1_700_000_000  # a constant: the same script gives the same bytes on every day
TOOL_CALLER = "fake-tools"
MODEL_IDS = (*(f"fake-{number}" for number in range(1, 26)), TOOL_CALLER)  # more than a page of every vendor with pages
DIMENSION = 8  # of vectors whose size was not requested

_PIECE = re.compile(r"\s*\S{1,16}|\s+")


class Call(NamedTuple):
    """One call of a tool; the arguments are JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, in no wire form; `finish` and `usage` have unified names."""

    id: str
    model: str
    text: str | None
    reasoning: str | None
    refusal: str | None
    calls: Sequence[Call]
    finish: str
    usage: Mapping[str, Any]
    stop: str | None = None  # the sequence that ended the text
    choices: int = 1  # how many equal choices; `usage` counts them all


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """An error in no wire form; `fields` are those that the script sets."""

    status: int
    fields: Mapping[str, Any]
    request_id: str

    @property
    def message(self) -> str:
        """The scripted message, or one that names its source."""
        return str(self.fields.get("message", f"The fake server was scripted to answer {self.status}."))


class Refusal(NamedTuple):
    """How a vendor refuses a request; `message` and the texts of `fields` may contain {method}, {path} and {name}."""

    status: int
    message: str
    fields: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Vendor:
    """The format of a vendor's errors, also of those for unknown paths.

    Attributes:
        error: an error as the value of a JSON body.
        refusals: by what is wrong: the "path", the "method", no "json", a field "missing" or of the "wrong" type, a
            "model" or a "tool" that is not listed.
        id_header: the header that carries the request id.
    """

    error: Callable[[ErrorSpec], Any]
    refusals: Mapping[str, Refusal]
    id_header: str = "x-request-id"


@dataclass(frozen=True, slots=True)
class Content:
    """The body of a reply and the headers that describe it."""

    type: str
    parts: Iterable[bytes]
    stream: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Part(Enum):
    """The part of a stream that a frame belongs to: faults are placed by it."""

    OPEN = "comes before everything, even before an error"
    BODY = "neither of the others"
    DELTA = "brings a piece of the answer"
    END = "belongs to the end: finish reason, usage, terminal event"


class Frame(NamedTuple):
    """One event of a stream, as it is sent."""

    part: Part
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class ReplyFormat:
    """How the replies at a path are written; each function is pure.

    Attributes:
        json_body: the answer as the value of a JSON body.
        vendor: the vendor whose errors it has.
        stream: the answer as events, where there are streams.
        error_event: an error as the last bytes of a stream, by the number of events sent before.
        streamed: whether the request asks for a stream.
        type: the content type of a reply that is not a stream.
    """

    json_body: Callable[[Answer, Received], Any]
    vendor: Vendor
    stream: Callable[[Answer, Received], Iterator[Frame]] | None = None
    error_event: Callable[[ErrorSpec, Answer, int], bytes] = lambda *_: b""
    streamed: Callable[[Received], bool] = lambda request: request.fields.get("stream") is True
    type: str = "application/json"


@lru_cache(maxsize=32)  # an echo is counted twice, a benchmark sends the same text a thousand times
def pieces(text: str | None) -> tuple[str, ...]:
    """Cut a text into the server's tokens: words with the white space before them, long words in parts."""
    return tuple(_PIECE.findall(text or ""))


def sse(payload: Mapping[str, Any], event: str | None = None) -> bytes:
    """Write one event as most vendors do, with a space after each colon."""
    name = f"event: {event}\n".encode() if event else b""
    return b"%bdata: %b\n\n" % (name, msgspec.json.encode(payload))


def renamed(usage: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Give the counts under a wire form's own names; other names stay as they are."""
    return {names.get(name, name): count for name, count in usage.items()} or None


def last_user_text(fields: Mapping[str, Any]) -> str:
    """Find the last text of the user in the body of a request of any wire form."""
    turns = turns_of(fields)
    return turns if isinstance(turns, str) else next(filter(None, reversed(_texts(turns, "user"))), "")


def system_texts(fields: Mapping[str, Any]) -> list[str]:
    """Find the texts of the system in the turns of a request, where wire forms with JSON mode have them."""
    turns = turns_of(fields)
    return [] if isinstance(turns, str) else _texts(turns, "system")


def turns_of(fields: Mapping[str, Any]) -> Any:
    """Find the turns in the body of a request of any wire form, or its text."""
    turns = fields.get("messages") or fields.get("input") or ""
    return turns.get("messages") or turns.get("prompt") or "" if isinstance(turns, dict) else turns


def _texts(turns: Any, role: str) -> list[str]:
    return [_text(turn.get("content")) for turn in dicts_of(turns) if turn.get("role") == role]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in dicts_of(content)]
    return "".join(text for text in texts if isinstance(text, str))


# -- what embeddings and lists of models are made of, at every vendor --------------------------------------------------


def vector_of(text: Any, size: int) -> list[float]:
    """Derive a vector from the text only; all its numbers are exact in 32 bits."""
    return [(byte - 128) / 128 for byte in hashlib.shake_128(repr(text).encode()).digest(size)]


def inputs_of(value: Any) -> list[Any]:
    """Give the list of inputs, which may be one text, texts, one list of tokens or lists of tokens."""
    single = not isinstance(value, list) or (value and all(isinstance(item, int) for item in value))
    return [value] if single else value


def tokens_of(inputs: Sequence[Any]) -> int:
    """Count the tokens of inputs, of which each is a text or a list of tokens."""
    return sum(len(item) if isinstance(item, list) else len(pieces(str(item))) for item in inputs)


def count_of(value: Any, default: int) -> int:
    """Read a positive number of at most five digits from a body or a query."""
    text = str(value)
    return (int(text) if text.isdecimal() and len(text) <= 5 else 0) or default
