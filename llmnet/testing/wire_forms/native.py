"""Replies of the wire form `native`, DashScope's: streams by header, of cumulative or incremental frames."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import msgspec

from llmnet.providers.reading import dict_of
from llmnet.testing.script import Received
from llmnet.testing.wire_forms.chat import call_of
from llmnet.testing.wire_forms.common import (
    DIMENSION,
    MODEL_IDS,
    Answer,
    ErrorSpec,
    Frame,
    Part,
    Refusal,
    ReplyFormat,
    Vendor,
    count_of,
    inputs_of,
    pieces,
    tokens_of,
    vector_of,
)

_ERRORS = {
    401: "InvalidApiKey",
    403: "AccessDenied",
    404: "ModelNotFound",
    413: "BadRequest.TooLarge",
    429: "Throttling.RateQuota",
    503: "ModelUnavailable",
    504: "GatewayTimeout",
}
_REFUSALS = {
    "path": Refusal(404, "url error, please check url: {method} {path}", {"code": "NotFound"}),
    "method": Refusal(405, "Request method '{method}' is not supported.", {"code": "MethodNotAllowed"}),
    "json": Refusal(400, "Required body invalid: it is no JSON object."),
    "missing": Refusal(400, "Required parameter(s) missing: {name}"),
    "wrong": Refusal(400, "Parameter of the wrong type: {name}"),
    "model": Refusal(404, "Model not exist: {name}"),
    "tool": Refusal(400, "tool_choice names no tool of tools: {name}"),
}


def json_body(answer: Answer, request: Received) -> dict[str, Any]:
    """Give the answer as one JSON value."""
    message: dict[str, Any] = {"content": answer.text or answer.refusal or ""}
    if answer.reasoning is not None:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [call_of(call, index) for index, call in enumerate(answer.calls)]
    return _reply(answer, request, message, answer.finish, answer.usage)


def stream(answer: Answer, request: Received) -> Iterator[Frame]:
    """Give the answer as frames with running usage: cumulative ones, unless increments were requested."""
    incremental = parameters(request).get("incremental_output") is True
    so_far: dict[str, Any] = {"content": ""}
    number = 0
    for number, message in enumerate(_increments(answer), 1):
        _add(so_far, message)
        sent = message if incremental else so_far
        yield _frame(Part.DELTA, number, _reply(answer, request, sent, "null", _running(answer, number)))
    sent = {"content": ""} if incremental else so_far
    yield _frame(Part.END, number + 1, _reply(answer, request, sent, answer.finish, answer.usage))


def error(spec: ErrorSpec) -> dict[str, Any]:
    """Give an error in DashScope's format, at the top of the body."""
    default = "InternalError" if spec.status >= 500 else "InvalidParameter"
    code = spec.fields.get("code", _ERRORS.get(spec.status, default))
    return {"code": code, "message": spec.message, "request_id": spec.request_id}


def parameters(request: Received) -> dict[str, Any]:
    """Give the object with all options but model and input."""
    return dict_of(request.fields.get("parameters"))


def _increments(answer: Answer) -> Iterator[dict[str, Any]]:
    for piece in pieces(answer.reasoning):
        yield {"content": "", "reasoning_content": piece}
    for piece in pieces(answer.text or answer.refusal):
        yield {"content": piece}
    for index, call in enumerate(answer.calls):
        first, *rest = pieces(call.arguments) or ("",)
        yield {"content": "", "tool_calls": [call_of(call._replace(arguments=first), index)]}
        for piece in rest:
            later = {"index": index, "id": "", "type": "function", "function": {"arguments": piece}}
            yield {"content": "", "tool_calls": [later]}


def _add(so_far: dict[str, Any], message: dict[str, Any]) -> None:
    for name in ("content", "reasoning_content"):
        if name in message:
            so_far[name] = so_far.get(name, "") + message[name]
    for call in message.get("tool_calls", ()):
        calls = so_far.setdefault("tool_calls", [])
        if call["id"]:
            calls.append(deepcopy(call))
        else:
            calls[-1]["function"]["arguments"] += call["function"]["arguments"]


def _reply(answer: Answer, request: Received, message: dict[str, Any], finish: str, usage: Any) -> dict[str, Any]:
    return {"output": _output(request, message, finish), "usage": usage, "request_id": f"req_{answer.id}"}


def _output(request: Received, message: dict[str, Any], finish: str) -> dict[str, Any]:
    text = message["content"]
    if "/multimodal-generation/" in request.path:
        message = {**message, "content": [{"text": text}] if text else []}
    elif parameters(request).get("result_format") != "message":
        return {"text": text, "finish_reason": finish}
    return {"choices": [{"finish_reason": finish, "message": {"role": "assistant", **message}}]}


def _running(answer: Answer, number: int) -> dict[str, Any]:
    read = answer.usage.get("input_tokens", 0)
    return {**answer.usage, "output_tokens": number, "total_tokens": read + number} if answer.usage else {}


def _frame(part: Part, number: int, payload: Any, event: str = "result", status: int = 200) -> Frame:
    head = f"id:{number}\nevent:{event}\n:HTTP_STATUS/{status}\ndata:".encode()
    return Frame(part, head + msgspec.json.encode(payload) + b"\n\n")


def _error_event(spec: ErrorSpec, _: Answer, sent: int) -> bytes:
    return _frame(Part.END, sent + 1, error(spec), "error", spec.status).data


def _streamed(request: Received) -> bool:
    return bool(request.headers.get("x-dashscope-sse") == "enable")


def _embeddings(answer: Answer, request: Received) -> dict[str, Any]:
    texts = inputs_of(dict_of(request.fields.get("input")).get("texts") or [])
    size = count_of(parameters(request).get("dimension"), DIMENSION)
    found = [{"text_index": index, "embedding": vector_of(text, size)} for index, text in enumerate(texts)]
    output, usage = {"embeddings": found}, {"total_tokens": tokens_of(texts)}
    return {"output": output, "usage": usage, "request_id": f"req_{answer.id}"}


def _models(answer: Answer, request: Received) -> dict[str, Any]:
    number, size = count_of(request.query.get("page_no"), 1), count_of(request.query.get("page_size"), 10)
    rows = [{"model": name, "provider": "fake"} for name in MODEL_IDS[(number - 1) * size : number * size]]
    output = {"models": rows, "page_no": number, "page_size": size, "total": len(MODEL_IDS)}
    return {"output": output, "request_id": f"req_{answer.id}"}


VENDOR = Vendor(error, _REFUSALS)
FORMAT = ReplyFormat(json_body, VENDOR, stream, _error_event, _streamed)
EMBEDDINGS = ReplyFormat(_embeddings, VENDOR)
MODELS = ReplyFormat(_models, VENDOR)
