"""Replies of the wire form `responses`, OpenAI's: a list of items; a stream adds to each, event by event."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from llmnet.testing.script import Received
from llmnet.testing.wire_forms import chat
from llmnet.testing.wire_forms.common import CREATED, Answer, ErrorSpec, Frame, Part, ReplyFormat, pieces, sse

Event = tuple[Part, dict[str, Any]]


class _PartEvents(NamedTuple):
    """How the text of an item's part is streamed: the prefixes of its events, its index's and its text's field."""

    event: str
    part: str
    place: str
    text: str


_PART_EVENTS = {
    "output_text": _PartEvents("response.output_text", "response.content_part", "content_index", "text"),
    "refusal": _PartEvents("response.refusal", "response.content_part", "content_index", "refusal"),
    "summary_text": _PartEvents(
        "response.reasoning_summary_text", "response.reasoning_summary_part", "summary_index", "text"
    ),
    # A call has no parts: its own arguments are streamed.
    "function_call": _PartEvents("response.function_call_arguments", "", "", "arguments"),
}
_STATUS = {
    "stop": ("completed", None),
    "tool_calls": ("completed", None),
    "length": ("incomplete", {"reason": "max_output_tokens"}),
    "content_filter": ("incomplete", {"reason": "content_filter"}),
}
_ECHOED: dict[str, Any] = {  # fields of the request that the reply repeats, with their defaults
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
}
_DETAILS = {
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


def json_body(answer: Answer, request: Received) -> dict[str, Any]:
    """Give the answer as one JSON value."""
    status, details = _STATUS.get(answer.finish, (answer.finish, None))
    usage = {**_DETAILS, **answer.usage} if answer.usage else None
    return _response(answer, status, request.fields) | {
        "incomplete_details": details,
        "output": _output(answer),
        "usage": usage,
    }


def stream(answer: Answer, request: Received) -> Iterator[Frame]:
    """Give the answer as numbered events."""
    return (_frame(part, payload, number) for number, (part, payload) in enumerate(_events(answer, request)))


def _events(answer: Answer, request: Received) -> Iterator[Event]:
    started = _response(answer, "in_progress", request.fields)
    yield Part.OPEN, {"type": "response.created", "response": started}
    yield Part.OPEN, {"type": "response.in_progress", "response": started}
    for index, item in enumerate(_output(answer)):
        yield from _item_events(item, index)
    done = json_body(answer, request)
    yield Part.END, {"type": f"response.{done['status']}", "response": done}


def _item_events(item: dict[str, Any], index: int) -> Iterator[Event]:
    empty: dict[str, Any] = {name: type(item[name])() for name in ("content", "summary", "arguments") if name in item}
    started = {**item, **empty, "status": "in_progress"}
    yield Part.BODY, {"type": "response.output_item.added", "output_index": index, "item": started}
    for place, part in enumerate(item.get("content") or item.get("summary") or [item]):
        yield from _part_events(part, {"item_id": item["id"], "output_index": index}, place)
    yield Part.BODY, {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_events(part: dict[str, Any], at: dict[str, Any], place: int) -> Iterator[Event]:
    names = _PART_EVENTS[part["type"]]
    at = {**at, names.place: place} if names.place else at
    text = part[names.text]
    if names.part:
        yield Part.BODY, {"type": f"{names.part}.added", **at, "part": {**part, names.text: ""}}
    for piece in pieces(text):
        yield Part.DELTA, {"type": f"{names.event}.delta", **at, "delta": piece}
    yield Part.BODY, {"type": f"{names.event}.done", **at, names.text: text}
    if names.part:
        yield Part.BODY, {"type": f"{names.part}.done", **at, "part": part}


def _output(answer: Answer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.reasoning is not None:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        items.append({"id": f"rs_{answer.id}", "type": "reasoning", "summary": summary})
    if parts := list(_parts(answer)):
        items.append({"id": f"msg_{answer.id}", "type": "message", "role": "assistant", "content": parts})
    for number, call in enumerate(answer.calls):
        names = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
        items.append({"id": f"fc_{answer.id}_{number}", "type": "function_call", **names})
    return [{**item, "status": "completed"} for item in items]


def _parts(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.text is not None:
        yield {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    if answer.refusal is not None:
        yield {"type": "refusal", "refusal": answer.refusal}


def _response(answer: Answer, status: str, request: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": answer.model,
        "output": [],
        "usage": None,
        **_ECHOED,
        **{name: request[name] for name in _ECHOED if request.get(name) is not None},
    }


def _frame(part: Part, payload: dict[str, Any], number: int) -> Frame:
    return Frame(part, sse({**payload, "sequence_number": number}, payload["type"]))


def _error_event(spec: ErrorSpec, answer: Answer, sent: int) -> bytes:
    """Send both the error event and the failed response, as the vendor does."""
    error = chat.error(spec)["error"]
    failed = _response(answer, "failed", {}) | {"error": {name: error[name] for name in ("code", "message")}}
    events = ({"type": "error", "error": error}, {"type": "response.failed", "response": failed})
    return b"".join(_frame(Part.END, event, number).data for number, event in enumerate(events, sent))


FORMAT = ReplyFormat(json_body, chat.VENDOR, stream, _error_event)
