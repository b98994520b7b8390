"""Which wire form the path of a request has, and from a scripted reply to the content of an HTTP reply in it; pure."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from llmnet.testing.script import Received, Reply
from llmnet.testing.wire_forms import chat, messages, native, requested, responses
from llmnet.testing.wire_forms.common import (
    Answer,
    Call,
    Content,
    ErrorSpec,
    Frame,
    Part,
    ReplyFormat,
    Vendor,
    last_user_text,
    pieces,
)

EVENT_STREAM = "text/event-stream"
MODEL = "fake"


def render(reply: Reply, request: Received, number: int) -> Content:
    """Give the body of a scripted reply, its ids by the number of the request, and the headers that belong to it."""
    reply_format = route_of(request).reply_format
    request_id = f"req_fake_{number}"
    kind, parts = _body(reply, reply_format, request, request_id)
    return Content(kind, parts, kind == EVENT_STREAM, {reply_format.vendor.id_header: request_id})


def _body(reply: Reply, reply_format: ReplyFormat, request: Received, request_id: str) -> tuple[str, Any]:
    if reply.body is not None:
        return "application/json", [_encode(reply.body)]
    if reply.events is not None:
        return EVENT_STREAM, map(_encode, reply.events)
    if reply.status >= 400 or reply.error is not None:
        return "application/json", [
            _encode(reply_format.vendor.error(_error_spec(reply.error, reply.status, request_id)))
        ]
    answer = _answer(reply, request, request_id)
    if reply_format.stream and reply_format.streamed(request):
        return EVENT_STREAM, _events(reply, reply_format, answer, list(reply_format.stream(answer, request)))
    return reply_format.type, [_encode(reply_format.json_body(answer, request))]


def _events(reply: Reply, reply_format: ReplyFormat, answer: Answer, frames: Sequence[Frame]) -> list[bytes]:
    """Give the events of a stream, with the faults of its reply."""
    if reply.error_event is not None:
        kept = _before_error(frames, reply.error_event_at)
        spec = _error_spec(reply.error_event, 500, f"req_{answer.id}")
        return [*kept, reply_format.error_event(spec, answer, len(kept))]
    return [frame.data for frame in frames if not (reply.truncate and frame.part is Part.END)]


def _before_error(frames: Sequence[Frame], at: int | None) -> list[bytes]:
    places = [place for place, frame in enumerate(frames, 1) if frame.part is Part.DELTA]
    count = (len(places) + 1) // 2 if at is None else at
    if not places or not count:
        return [frame.data for frame in frames if frame.part is Part.OPEN]
    return [frame.data for frame in frames[: places[min(count, len(places)) - 1]]]


def _error_spec(scripted: Mapping[str, Any] | None, status: int, request_id: str) -> ErrorSpec:
    fields = dict(scripted or {})
    return ErrorSpec(fields.pop("status", status), fields, request_id)


def _encode(value: Any) -> bytes:
    """Encode text as UTF-8, leave bytes as they are, and encode all else as JSON."""
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else msgspec.json.encode(value)


def _answer(reply: Reply, request: Received, request_id: str) -> Answer:
    prompt = last_user_text(request.fields)
    name, choices = request_id.removeprefix("req_"), requested.choices(request)
    calls = [
        Call(call.get("id", f"call_{name}_{index}"), call["name"], _encode(call.get("arguments", "")).decode())
        for index, call in enumerate(reply.tool_calls or ())
    ]
    text, stop = reply.text, None
    if text is None and not calls and reply.refusal is None:
        text, stop = _echo(prompt, requested.stops(request))
    output = (reply.reasoning, text, reply.refusal, *(call.arguments for call in calls))
    return Answer(
        id=name,
        model=reply.model or requested.model(request) or MODEL,
        text=text,
        reasoning=reply.reasoning,
        refusal=reply.refusal,
        calls=calls,
        finish=reply.finish or ("tool_calls" if calls else "stop"),
        usage=_usage(prompt, output, choices) if reply.usage is None else reply.usage,
        stop=None if reply.finish else stop,
        choices=choices,
    )


def _echo(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    """Give the text up to the first of the stop sequences, and that sequence."""
    ends = [(text.find(stop), stop) for stop in stops if stop in text]
    end, stop = min(ends, default=(len(text), None))
    return text[:end], stop


def _usage(prompt: str, output: Iterable[str | None], choices: int) -> dict[str, int]:
    read, written = len(pieces(prompt)), choices * sum(len(pieces(text)) for text in output)
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


# -- the wire form of each path, the fields that its requests must have, and the vendor that refuses them --------------

Kinds = type | tuple[type, ...]


class Route(NamedTuple):
    """How requests to a path are answered.

    Attributes:
        reply_format: how its replies are written.
        method: its only HTTP method, GET also stands for HEAD; None for an unknown path.
        needs: the fields that the body must have, with their types; of several names one is enough.
        listed: whether the model must be in the list.
    """

    reply_format: ReplyFormat
    method: str | None = "POST"
    needs: tuple[tuple[tuple[str, ...], Kinds], ...] = ()
    listed: bool = False


def _post(reply_format: ReplyFormat, needs: Mapping[str, Kinds]) -> Route:
    """Make a route; a field may have several names, with a bar between them."""
    return Route(reply_format, needs=tuple((tuple(names.split("|")), kinds) for names, kinds in needs.items()))


def _unknown(vendor: Vendor) -> Route:
    return Route(
        ReplyFormat(lambda answer, _: answer.text or "", vendor, type="text/plain; charset=utf-8"), method=None
    )


_NATIVE: dict[str, Kinds] = {"model": str, "input": dict}
_RESPONSES: dict[str, Kinds] = {
    "model|prompt": (str, dict),
    "input|prompt|previous_response_id|conversation": (str, list, dict),
}
_LIST, _NATIVE_LIST = Route(chat.MODELS, "GET"), Route(native.MODELS, "GET")
_ROUTES = (
    # by the end of the path
    ("/chat/completions", _post(chat.FORMAT, {"model": str, "messages": list})),
    ("/responses", _post(responses.FORMAT, _RESPONSES)),
    ("/messages", _post(messages.FORMAT, {"model": str, "max_tokens": int, "messages": list})),
    ("/messages/count_tokens", _post(messages.COUNT, {"model": str, "messages": list})),
    ("/text-generation/generation", _post(native.FORMAT, _NATIVE)),
    ("/multimodal-generation/generation", _post(native.FORMAT, _NATIVE)),
    ("/text-embedding/text-embedding", _post(native.EMBEDDINGS, _NATIVE)),
    ("/embeddings", _post(chat.EMBEDDINGS, {"model": str, "input": (str, list)})),
    ("/api/v1/models", _NATIVE_LIST),
    ("/models", _LIST),
)
_PARTS = (
    # by a part of other paths
    ("/api/v1/", _unknown(native.VENDOR)),
    ("/models/", Route(chat.MODEL, "GET", listed=True)),
    ("/messages", _unknown(messages.VENDOR)),
    ("", _unknown(chat.VENDOR)),
)
_ANTHROPIC = {
    # recognised by Anthropic's mandatory header only
    chat.MODELS: Route(messages.MODELS, "GET"),
    chat.MODEL: Route(messages.MODEL, "GET", listed=True),
    _PARTS[-1][1].reply_format: _PARTS[-2][1],
}


def route_of(request: Received) -> Route:
    """Find how a request is answered; every path has a route."""
    found = _by_path(request.path)
    if found is _NATIVE_LIST and "page_no" not in request.query:  # OpenRouter has this path, too, and no pages
        found = _LIST
    return _ANTHROPIC.get(found.reply_format, found) if "anthropic-version" in request.headers else found


@lru_cache(maxsize=64)
def _by_path(path: str) -> Route:
    ends = (route for end, route in _ROUTES if path.endswith(end))
    return next(ends, None) or next(route for part, route in _PARTS if part in path)
