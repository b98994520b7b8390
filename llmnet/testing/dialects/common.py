"""What all dialects share: the answer before it is put into a wire form, and what a wire form is."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from llmnet.testing.script import Received

CREATED = 1_700_000_000  # a constant: the same script gives the same bytes on every day

_PIECE = re.compile(r"\s*\S{1,16}|\s+")


class Call(NamedTuple):
    """One call of a tool; the arguments are JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, in no wire form; `finish` and `usage` are in unified words."""

    id: str
    model: str
    text: str | None
    reasoning: str | None
    refusal: str | None
    calls: Sequence[Call]
    finish: str
    usage: Mapping[str, Any]
    stop: str | None = None  # the sequence that ended the text
    choices: int = 1  # how often it is said; `usage` counts them all


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error in no wire form; `given` are the fields that the script names."""

    status: int
    given: Mapping[str, Any]
    request_id: str

    @property
    def message(self) -> str:
        """The scripted message, or one that says where it comes from."""
        return str(self.given.get("message", f"The fake server was told to answer {self.status}."))


class Refusal(NamedTuple):
    """How a vendor refuses a request; `message` and the texts of `facts` may name {method}, {path} and {name}."""

    status: int
    message: str
    facts: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Vendor:
    """In whose words errors are told, those of the paths that it does not know too.

    Attributes:
        error: an error as the value of a JSON body.
        refusals: by what is wrong: the "path", the "method", no "json", a field "missing" or of the "wrong" type, a
            "model" that is not listed, a "tool" that is not given.
        id_header: the header that carries the request id.
    """

    error: Callable[[Trouble], Any]
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
    """What a frame is to its stream: faults are placed by it."""

    OPEN = "comes before everything, even before an error"
    BODY = "neither of the others"
    DELTA = "brings a piece of the answer"
    END = "belongs to the end: finish reason, usage, terminal event"


class Frame(NamedTuple):
    """One event of a stream, as it goes over the wire."""

    part: Part
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """A wire form; each function is pure.

    Attributes:
        whole: the answer as the value of a JSON body.
        vendor: whose form it is.
        stream: the answer as events, where the form has streams.
        failure: an error as the last bytes of a stream that has sent so many events.
        streamed: whether the request asks for a stream.
        type: the content type of a whole reply.
    """

    whole: Callable[[Answer, Received], Any]
    vendor: Vendor
    stream: Callable[[Answer, Received], Iterator[Frame]] | None = None
    failure: Callable[[Trouble, Answer, int], bytes] = lambda *_: b""
    streamed: Callable[[Received], bool] = lambda request: request.fields.get("stream") is True
    type: str = "application/json"


@lru_cache(maxsize=32)  # an echo is counted twice, a benchmark says the same thing a thousand times
def pieces(text: str | None) -> tuple[str, ...]:
    """Cut a text into what the server calls tokens: words with the white space before them, long words in parts."""
    return tuple(_PIECE.findall(text or ""))


def sse(payload: Mapping[str, Any], event: str | None = None) -> bytes:
    """Write one event as most vendors do, with a space after each colon."""
    name = f"event: {event}\n".encode() if event else b""
    return b"%bdata: %b\n\n" % (name, msgspec.json.encode(payload))


def renamed(usage: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Give the counts under a wire form's own names; a name that has none there stays as it is."""
    return {names.get(name, name): count for name, count in usage.items()} or None


def mapping(value: Any) -> dict[str, Any]:
    """Give what is an object, an empty one for all else."""
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[dict[str, Any]]:
    """Give the objects of what is a list, none for all else."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def last_user_text(fields: Mapping[str, Any]) -> str:
    """Find what the user said last in the body of a request of any wire form."""
    said = fields.get("messages") or fields.get("input") or ""
    if isinstance(said, dict):
        said = said.get("messages") or said.get("prompt") or ""
    if isinstance(said, str):
        return said
    said_by_user = (_plain(turn.get("content")) for turn in reversed(rows(said)) if turn.get("role") == "user")
    return next(filter(None, said_by_user), "")


def _plain(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in rows(content)]
    return "".join(text for text in texts if isinstance(text, str))
