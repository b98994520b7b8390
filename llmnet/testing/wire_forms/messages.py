"""Replies of the wire form `messages`, Anthropic's: blocks, which a stream starts, adds deltas to, and stops."""

from collections.abc import Iterator
from typing import Any

from llmnet.testing.script import Received, decoded
from llmnet.testing.wire_forms.common import (
    MODEL_IDS,
    Answer,
    ErrorSpec,
    Frame,
    Part,
    Refusal,
    ReplyFormat,
    Vendor,
    count_of,
    pieces,
    sse,
)

_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_DELTAS: dict[str, tuple[dict[str, Any], str, str]] = {
    # block type: fields empty at its start, the type of its deltas, their field
    "thinking": ({"thinking": "", "signature": ""}, "thinking_delta", "thinking"),
    "text": ({"text": ""}, "text_delta", "text"),
    "tool_use": ({"input": {}}, "input_json_delta", "partial_json"),
}
_ERRORS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_REFUSALS = {
    "path": Refusal(404, "Not Found: {method} {path}"),
    "method": Refusal(405, "Method Not Allowed: {method} {path}"),
    "json": Refusal(400, "The request body is no JSON object."),
    "missing": Refusal(400, "{name}: Field required"),
    "wrong": Refusal(400, "{name}: Input is of the wrong type"),
    "model": Refusal(404, "model: {name}"),
    "tool": Refusal(400, "tool_choice: Tool '{name}' not found in provided tools"),
}
SIGNATURE = "ZmFrZSBzaWduYXR1cmU="


def json_body(answer: Answer, _: Received) -> dict[str, Any]:
    """Give the answer as one JSON value."""
    return _message(answer) | {"content": [block for block, _ in _blocks(answer)], **_stop(answer), **_usage(answer)}


def stream(answer: Answer, _: Received) -> Iterator[Frame]:
    """Give the answer as named events, with a ping after the first block has started."""
    first = {name: count if name == "input_tokens" else min(count, 1) for name, count in _counts(answer).items()}
    yield _frame("message_start", message=_message(answer) | {"usage": first})
    for index, (block, text) in enumerate(_blocks(answer)):
        yield from _block_frames(block, text, index)
    yield _frame("message_delta", Part.END, delta=_stop(answer), **_usage(answer))
    yield _frame("message_stop", Part.END)


def error(spec: ErrorSpec) -> dict[str, Any]:
    """Give an error in Anthropic's format; a code goes to `details`, as the vendor's own do."""
    kind = _ERRORS.get(spec.status, "api_error" if spec.status >= 500 else "invalid_request_error")
    error: dict[str, Any] = {"type": spec.fields.get("type", kind), "message": spec.message}
    if code := spec.fields.get("code"):
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": spec.request_id}


def _count(answer: Answer, _: Received) -> dict[str, Any]:
    """Give the number of input tokens that a reply to the same request reports."""
    return {"input_tokens": answer.usage.get("input_tokens", 0)}


def _blocks(answer: Answer) -> Iterator[tuple[dict[str, Any], str]]:
    """Give each complete block, and the text that its deltas bring."""
    if answer.reasoning is not None:
        yield {"type": "thinking", "thinking": answer.reasoning, "signature": SIGNATURE}, answer.reasoning
    if answer.text is not None:
        yield {"type": "text", "text": answer.text}, answer.text
    for call in answer.calls:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": decoded(call.arguments) or {}}
        yield block, call.arguments


def _block_frames(block: dict[str, Any], text: str, index: int) -> Iterator[Frame]:
    empty, kind, name = _DELTAS[block["type"]]
    yield _frame("content_block_start", index=index, content_block={**block, **empty})
    if index == 0:
        yield _frame("ping")
    for piece in ["", *pieces(text)] if kind == "input_json_delta" else pieces(text):
        yield _frame("content_block_delta", Part.DELTA, index=index, delta={"type": kind, name: piece})
    if signature := block.get("signature"):
        yield _frame("content_block_delta", index=index, delta={"type": "signature_delta", "signature": signature})
    yield _frame("content_block_stop", index=index)


def _message(answer: Answer) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _stop(answer: Answer) -> dict[str, Any]:
    if answer.stop is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": answer.stop}
    if answer.refusal is None:
        return {"stop_reason": _FINISH.get(answer.finish, answer.finish), "stop_sequence": None}
    details = {"type": "refusal", "category": None, "explanation": answer.refusal}
    return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}


def _usage(answer: Answer) -> dict[str, Any]:
    return {"usage": counts} if (counts := _counts(answer)) else {}


def _counts(answer: Answer) -> dict[str, Any]:
    return {name: count for name, count in answer.usage.items() if name != "total_tokens"}


def _frame(event: str, part: Part = Part.BODY, **payload: Any) -> Frame:
    return Frame(part, sse({"type": event, **payload}, event))


def _error_event(spec: ErrorSpec, _: Answer, __: int) -> bytes:
    return sse(error(spec), "error")


def _row(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name.title(), "created_at": "2026-01-01T00:00:00Z"}


def _models(_: Answer, request: Received) -> dict[str, Any]:
    after, limit = request.query.get("after_id"), count_of(request.query.get("limit"), 20)
    start = MODEL_IDS.index(after) + 1 if after in MODEL_IDS else 0
    page = MODEL_IDS[start : start + limit]
    rows = [_row(name) for name in page]
    more = start + limit < len(MODEL_IDS)
    return {"data": rows, "has_more": more, "first_id": next(iter(page), None), "last_id": (page or (None,))[-1]}


VENDOR = Vendor(error, _REFUSALS, id_header="request-id")
FORMAT = ReplyFormat(json_body, VENDOR, stream, _error_event)
COUNT = ReplyFormat(_count, VENDOR)
MODELS = ReplyFormat(_models, VENDOR)
MODEL = ReplyFormat(lambda answer, _: _row(answer.model), VENDOR)
