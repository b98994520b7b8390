"""Replies of the wire form `chat-completions`, as OpenAI and many others send them, their vectors and models."""

import base64
import struct
from collections.abc import Iterator
from typing import Any

from llmnet.providers.reading import dict_of
from llmnet.testing.script import Received
from llmnet.testing.wire_forms.common import (
    CREATED,
    DIMENSION,
    MODEL_IDS,
    Answer,
    Call,
    ErrorSpec,
    Frame,
    Part,
    Refusal,
    ReplyFormat,
    Vendor,
    count_of,
    inputs_of,
    pieces,
    renamed,
    sse,
    tokens_of,
    vector_of,
)

USAGE = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}

_DONE = b"data: [DONE]\n\n"
_ERRORS = {  # status: type, code
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    503: ("service_unavailable_error", "server_is_overloaded"),
}
_REFUSALS = {
    "path": Refusal(404, "Unknown path: {method} {path}", {"code": None}),
    "method": Refusal(405, "Not allowed to {method} on {path}", {"code": "method_not_supported"}),
    "json": Refusal(400, "We could not parse the JSON body of your request: it is no JSON object."),
    "missing": Refusal(
        400, "Missing required parameter: '{name}'.", {"param": "{name}", "code": "missing_required_parameter"}
    ),
    "wrong": Refusal(400, "Invalid type for '{name}'.", {"param": "{name}", "code": "invalid_type"}),
    "model": Refusal(404, "The model '{name}' does not exist", {"param": "model"}),
    "tool": Refusal(400, "Tool choice '{name}' not found in 'tools' parameter.", {"param": "tool_choice"}),
}


def json_body(answer: Answer, _: Received) -> dict[str, Any]:
    """Give the answer as one JSON value."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": answer.refusal}
    if answer.reasoning is not None:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [call_of(call) for call in answer.calls]
    choice = {"message": message, "logprobs": None, "finish_reason": answer.finish}
    choices = [{"index": index, **choice} for index in range(answer.choices)]
    return _envelope(answer, "chat.completion", choices) | {"usage": renamed(answer.usage, USAGE)}


def stream(answer: Answer, request: Received) -> Iterator[Frame]:
    """Give the answer as chunks, alternating between several choices; the usage only if it was requested."""
    counted = dict_of(request.fields.get("stream_options")).get("include_usage") is True
    blank = {"usage": None} if counted else {}

    def chunks(part: Part, delta: dict[str, Any], finish: str | None = None) -> Iterator[Frame]:
        for index in range(answer.choices):
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield Frame(part, sse(_envelope(answer, "chat.completion.chunk", [choice]) | blank))

    yield from chunks(Part.BODY, {"role": "assistant", "content": None if answer.text is None else ""})
    for delta in _deltas(answer):
        yield from chunks(Part.DELTA, delta)
    yield from chunks(Part.END, {}, answer.finish)
    if counted:
        counts = {"usage": renamed(answer.usage, USAGE)}
        yield Frame(Part.END, sse(_envelope(answer, "chat.completion.chunk", []) | counts))
    yield Frame(Part.END, _DONE)


def error(spec: ErrorSpec) -> dict[str, Any]:
    """Give an error in OpenAI's format."""
    usual = "server_error" if spec.status >= 500 else "invalid_request_error"
    kind, code = _ERRORS.get(spec.status, (usual, None))
    return {"error": {"message": spec.message, "type": kind, "param": None, "code": code, **spec.fields}}


def call_of(call: Call, index: int | None = None) -> dict[str, Any]:
    """Give a tool call as a message has it, or with an index as a delta has it."""
    place = {} if index is None else {"index": index}
    return {**place, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _deltas(answer: Answer) -> Iterator[dict[str, Any]]:
    texts = {"reasoning_content": answer.reasoning, "content": answer.text, "refusal": answer.refusal}
    for name, text in texts.items():
        yield from ({name: piece} for piece in pieces(text))
    for index, call in enumerate(answer.calls):
        yield {"tool_calls": [call_of(call._replace(arguments=""), index)]}
        for piece in pieces(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _envelope(answer: Answer, kind: str, choices: list[Any]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.id}",
        "object": kind,
        "created": CREATED,
        "model": answer.model,
        "choices": choices,
    }


def _error_event(spec: ErrorSpec, _: Answer, __: int) -> bytes:
    return sse(error(spec))


def _embeddings(answer: Answer, request: Received) -> dict[str, Any]:
    inputs = inputs_of(request.fields.get("input") or [])
    vectors: list[Any] = [vector_of(item, count_of(request.fields.get("dimensions"), DIMENSION)) for item in inputs]
    if request.fields.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)],
        "model": answer.model,
        "usage": {"prompt_tokens": tokens_of(inputs), "total_tokens": tokens_of(inputs)},
    }


def _row(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "fake"}


def _models(_: Answer, __: Received) -> dict[str, Any]:
    return {"object": "list", "data": [_row(name) for name in MODEL_IDS]}


VENDOR = Vendor(error, _REFUSALS)
FORMAT = ReplyFormat(json_body, VENDOR, stream, _error_event)
EMBEDDINGS = ReplyFormat(_embeddings, VENDOR)
MODELS = ReplyFormat(_models, VENDOR)
MODEL = ReplyFormat(lambda answer, _: _row(answer.model), VENDOR)
