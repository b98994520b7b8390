"""OpenAI's Responses API: a reply is a list of items, a stream tells how each of them grows."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from llmnet.testing.dialects import chat
from llmnet.testing.dialects.common import CREATED, Answer, Dialect, Frame, Part, Trouble, pieces, sse
from llmnet.testing.script import Received

Event = tuple[Part, dict[str, Any]]


class _Growth(NamedTuple):
    """How the text of an item's part arrives: the names of its events, of its place and of the field that grows."""

    event: str
    part: str
    place: str
    text: str


_GROWTH = {
    "output_text": _Growth("response.output_text", "response.content_part", "content_index", "text"),
    "refusal": _Growth("response.refusal", "response.content_part", "content_index", "refusal"),
    "summary_text": _Growth(
        "response.reasoning_summary_text", "response.reasoning_summary_part", "summary_index", "text"
    ),
    # A call has no parts, it is its own.
    "function_call": _Growth("response.function_call_arguments", "", "", "arguments"),
}
_STATUS = {
    "stop": ("completed", None),
    "tool_calls": ("completed", None),
    "length": ("incomplete", {"reason": "max_output_tokens"}),
    "content_filter": ("incomplete", {"reason": "content_filter"}),
}
_SETTINGS: dict[str, Any] = {  # of the request, which the reply repeats
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


def whole(answer: Answer, request: Received) -> dict[str, Any]:
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
    begun = _response(answer, "in_progress", request.fields)
    yield Part.OPEN, {"type": "response.created", "response": begun}
    yield Part.OPEN, {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(_output(answer)):
        yield from _item_events(item, index)
    done = whole(answer, request)
    yield Part.END, {"type": f"response.{done['status']}", "response": done}


def _item_events(item: dict[str, Any], index: int) -> Iterator[Event]:
    empty: dict[str, Any] = {name: type(item[name])() for name in ("content", "summary", "arguments") if name in item}
    begun = {**item, **empty, "status": "in_progress"}
    yield Part.BODY, {"type": "response.output_item.added", "output_index": index, "item": begun}
    for place, part in enumerate(item.get("content") or item.get("summary") or [item]):
        yield from _part_events(part, {"item_id": item["id"], "output_index": index}, place)
    yield Part.BODY, {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_events(part: dict[str, Any], at: dict[str, Any], place: int) -> Iterator[Event]:
    growth = _GROWTH[part["type"]]
    at = {**at, growth.place: place} if growth.place else at
    text = part[growth.text]
    if growth.part:
        yield Part.BODY, {"type": f"{growth.part}.added", **at, "part": {**part, growth.text: ""}}
    for piece in pieces(text):
        yield Part.DELTA, {"type": f"{growth.event}.delta", **at, "delta": piece}
    yield Part.BODY, {"type": f"{growth.event}.done", **at, growth.text: text}
    if growth.part:
        yield Part.BODY, {"type": f"{growth.part}.done", **at, "part": part}


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


def _response(answer: Answer, status: str, asked: dict[str, Any]) -> dict[str, Any]:
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
        **_SETTINGS,
        **{name: asked[name] for name in _SETTINGS if asked.get(name) is not None},
    }


def _frame(part: Part, payload: dict[str, Any], number: int) -> Frame:
    return Frame(part, sse({**payload, "sequence_number": number}, payload["type"]))


def _failure(trouble: Trouble, answer: Answer, sent: int) -> bytes:
    """Send the error event and the failed response, both, as the vendor does."""
    facts = chat.error(trouble)["error"]
    failed = _response(answer, "failed", {}) | {"error": {name: facts[name] for name in ("code", "message")}}
    events = ({"type": "error", "error": facts}, {"type": "response.failed", "response": failed})
    return b"".join(_frame(Part.END, event, number).data for number, event in enumerate(events, sent))


DIALECT = Dialect(whole, chat.VENDOR, stream, _failure)
