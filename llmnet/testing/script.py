"""The values of an exchange: the request as received, and the reply as scripted; they only hold data."""

import numbers
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from llmnet.core import http


class Headers(http.Headers):
    """Header fields under lower-case names, found by a name of any case; shown as the dict that they are like."""

    def __repr__(self) -> str:
        return repr(dict(self))


def decoded(text: bytes | str) -> Any:
    """Decode JSON; None where it is not valid."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):  # the former was no ValueError before msgspec 0.20
        return None


@dataclass(frozen=True)
class Received:
    """One request as it came in.

    Attributes:
        method: the HTTP method.
        path: the target up to its query, as sent.
        query: the decoded query; the last value of a repeated name.
        headers: lower-case names, repeated fields joined by a comma.
        body: the body, without chunk framing.
        connection: the number of the TCP connection it came on, from 1.
        version: the HTTP version of the request line.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Headers
    body: bytes
    connection: int
    version: str = "HTTP/1.1"

    @cached_property
    def json(self) -> Any:
        """The decoded body, or None where it is not JSON."""
        return decoded(self.body)

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The decoded body where it is an object, else an empty dict."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def last(self) -> bool:
        """Whether the client wants the connection closed after the reply."""
        option = self.headers.get("connection", "").lower()
        return "close" in option or (self.version == "HTTP/1.0" and "keep-alive" not in option)


Moment = Literal["accept", "hello", "request"]
"""When a reply is sent: at once on a new connection, on its first bytes, or after a request."""


@dataclass(frozen=True)
class Reply:
    """One scripted reply: its content, independent of the wire form, and what goes wrong while it is sent.

    Attributes:
        status: the HTTP status; from 400 on the body is an error in the wire form's own shape.
        headers: replace the server's own of that name, None removes one.
        body: sent unchanged; a dict or list as JSON.
        text: what the model says; by default the last user text of the request, unless it refuses or calls tools.
        reasoning: the model's reasoning, before the text.
        tool_calls: dicts with "name", and with "id" and "arguments" where they matter; arguments that are no text are
            sent as JSON.
        refusal: why the model refuses.
        finish: "stop", "length", "tool_calls" or "content_filter", translated; any other value is sent unchanged.
        usage: token counts, by unified names or the wire form's own; `{}` sends none.
        model: the model named in the reply; by default the requested one.
        events: SSE blocks sent unchanged; the iterable may be endless.
        error: "code", "type" and "message" of the error body; with a status below 400: an error inside a success.
        delay: seconds before the head.
        hold: wait for `FakeServer.release()` before the head (True), or after half of the body ("body").
        cut: send this many bytes of the body, then close.
        reset: close with RST instead of FIN, wherever the reply ends.
        truncate: end a stream cleanly before its finish reason and terminal event.
        drip: seconds between each byte of the body (between each *split* bytes, if both are set).
        drip_head: seconds between each byte of the head.
        pace: seconds between the events of a stream.
        stall: send this many bytes of the body, then nothing more.
        error_event: "code", "type", "message" and "status" of an error in the stream, in place of the rest.
        error_event_at: after how many deltas; by default half of them.
        split: write this many bytes of the body at a time, each as its own chunk.
        raw: bytes to write instead of any HTTP reply, before closing.
        close: announce that the connection closes, and close it.
        chunked: force chunks; False: Content-Length, or for streams the end of the connection.
        gzip: compress the body, flushed at every event.
        silent: never answer.
        drop: close without sending a byte.
        drop_idle: answer as if to keep the connection, then close it.
        at: when it is sent. Before a request only *delay*, *hold*, *silent*, *raw* (by default nothing), *drip*,
            *split* and *reset* have an effect. With TLS the handshake comes first.
    """

    status: int = 200
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | str | Mapping[str, Any] | Sequence[Any] | None = None
    text: str | None = None
    reasoning: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] | None = None
    refusal: str | None = None
    finish: str | None = None
    usage: Mapping[str, Any] | None = None
    model: str | None = None
    events: Iterable[str | bytes] | None = None
    error: Mapping[str, Any] | None = None
    delay: float = 0.0
    hold: bool | Literal["body"] = False
    cut: int | None = None
    reset: bool = False
    truncate: bool = False
    drip: float | None = None
    drip_head: float | None = None
    pace: float | None = None
    stall: int | None = None
    error_event: Mapping[str, Any] | None = None
    error_event_at: int | None = None
    split: int | None = None
    raw: bytes | None = None
    close: bool = False
    chunked: bool | None = None
    gzip: bool = False
    silent: bool = False
    drop: bool = False
    drop_idle: bool = False
    at: Moment = "request"

    def __post_init__(self) -> None:
        if isinstance(self.status, str):
            raise TypeError(f"status must be a whole number, not {self.status!r}; for a text write Reply(text=…)")
        _check_types(self)
        for index, call in enumerate(self.tool_calls or ()):
            if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
                raise TypeError(f'tool_calls[{index}] must be a dict like {{"name": "f", "arguments": {{…}}}}')

    @classmethod
    def of(cls, item: "Reply | int | str") -> "Reply":
        """Convert a script's shorthand: a number is a status, a string is a text."""
        if isinstance(item, Reply):
            return item
        return cls(status=item) if isinstance(item, int) else cls(text=item)


_WORDS: dict[Any, str] = {
    bool: "True or False", int: "a whole number", numbers.Real: "a number", str: "a text", bytes: "bytes",
    Mapping: "a dict", Sequence: "a list", Iterable: "a list or another iterable",
}  # fmt: skip


def _check_types(reply: Reply) -> None:
    """Refuse a field of another type than its annotation says; what a subclass adds may be anything."""
    for name, default, kinds in _fields():
        value = getattr(reply, name)
        if value is not default and not _fits(value, kinds):
            *others, last = dict.fromkeys(_WORDS.get(kind, repr(kind)) for kind in kinds if kind is not type(None))
            words = f"{', '.join(others)} or {last}" if others else last
            raise TypeError(f"{name} must be {words}, not {value!r}")


def _fits(value: object, kinds: Sequence[Any]) -> bool:
    """Whether it is of these classes, or one of these values; True and False are no numbers."""
    if isinstance(value, bool) and bool not in kinds:
        return False
    return any(isinstance(value, kind) if isinstance(kind, type) else value == kind for kind in kinds)


@cache
def _fields() -> list[tuple[str, Any, list[Any]]]:
    """Each field with its default, and the classes and values that it may be."""
    hints = get_type_hints(Reply)
    return [(field.name, field.default, [*_kinds(hints[field.name])]) for field in fields(Reply)]


def _kinds(hint: Any) -> Iterator[Any]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for one in get_args(hint):
            yield from _kinds(one)
    elif origin is Literal:
        yield from get_args(hint)
    else:
        yield numbers.Real if hint is float else origin or hint
