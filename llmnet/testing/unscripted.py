"""The reply to a request without a script: a refusal, the fault that the model names, a tool call, JSON, or an echo."""

import re
from typing import Any

import msgspec

from llmnet.providers.reading import dict_of
from llmnet.testing.faults import FAULTS
from llmnet.testing.schema import instance
from llmnet.testing.script import Received, Reply, decoded
from llmnet.testing.wire_forms import Route, requested, route_of
from llmnet.testing.wire_forms.common import MODEL_IDS, TOOL_CALLER, last_user_text, system_texts

_STATUS = re.compile(r"error-([45]\d\d)")
_QUOTED = re.compile(r"""['"`](\w+)['"`]""")
_FAILING = ("error-", "fault-")  # a model with this prefix fails, or does not exist


def default_reply(request: Received) -> Reply:
    """Choose a reply by the request only."""
    route = route_of(request)
    if problem := _problem(route, request):
        return _refused(route, request, *problem)
    if failure := _failure(requested.model(request)):
        return failure
    if (call := _tool_call(request)) is not None:
        return Reply(tool_calls=[call])
    return Reply(text=_text(request))


def _problem(route: Route, request: Received) -> tuple[str, str] | None:
    """Give what is wrong with the request, and with which field; None if nothing is."""
    if route.method is None:
        return "path", request.path
    if {"HEAD": "GET"}.get(request.method, request.method) != route.method:
        return "method", request.method
    if route.needs and not isinstance(request.json, dict):
        return "json", ""
    model = requested.model(request)
    for names, kinds in route.needs:
        found = [
            value for name in names if (value := model if name == "model" else request.fields.get(name)) is not None
        ]
        if not found or not isinstance(found[0], kinds):
            return "wrong" if found else "missing", names[0]
    if _unlisted(model) or (route.listed and model not in MODEL_IDS):
        return "model", model
    return _missing_tool(request)


def _unlisted(model: Any) -> bool:
    """Whether the model names a failure that does not exist."""
    return isinstance(model, str) and model.startswith(_FAILING) and _failure(model) is None


def _missing_tool(request: Received) -> tuple[str, str] | None:
    mode, names = requested.tool_choice(request)
    if mode != "any":
        return None
    known = requested.tools(request)
    missing = [name for name in names if name not in known] if requested.has_tools(request) else [*names, "any"]
    return ("tool", missing[0]) if missing else None


def _refused(route: Route, request: Received, kind: str, name: str) -> Reply:
    refusal = route.reply_format.vendor.refusals[kind]
    values = {"method": request.method, "path": request.path, "name": name}
    fields = {key: value.format(**values) if isinstance(value, str) else value for key, value in refusal.fields.items()}
    allow = {"allow": route.method} if kind == "method" else {}
    return Reply(refusal.status, headers=allow, error={"message": refusal.message.format(**values), **fields})


def _failure(model: Any) -> Reply | None:
    """Find the failure that a model names: `error-` and a status, or `fault-` and one of `FAULTS` after a request."""
    if not isinstance(model, str) or not model.startswith(_FAILING):
        return None
    if status := _STATUS.fullmatch(model):
        return Reply(int(status[1]))
    fault = FAULTS.get(model.removeprefix("fault-"))
    return fault if fault is not None and fault.at == "request" else None


def _tool_call(request: Received) -> dict[str, str] | None:
    """Call the first allowed tool if one must be called, or if the model calls where it may and has no result yet."""
    if not (tools := requested.tools(request)):
        return None
    mode, names = requested.tool_choice(request)
    eager = requested.model(request) == TOOL_CALLER and mode == "auto" and not requested.has_tool_results(request)
    name = next((name for name in names or tools if name in tools), None)
    if name is None or not (mode == "any" or eager):
        return None
    return {"name": name, "arguments": _object(tools[name], request)}


def _text(request: Received) -> str | None:
    """Write the text as JSON where that was requested; None leaves the echo as it is."""
    format_ = requested.output_format(request)
    if format_.get("type") == "json_schema":
        return _object(format_.get("schema"), request)
    if format_.get("type") != "json_object" or isinstance(decoded(text := last_user_text(request.fields)), dict):
        return None
    if (schema := _quoted_schema(request)) is not None:
        return _object(schema, request)
    # Without a schema the prompt names the fields, in quotes.
    fields = dict.fromkeys(_QUOTED.findall(text), text)
    return msgspec.json.encode(fields or {"text": text}).decode()


def _quoted_schema(request: Received) -> dict[str, Any] | None:
    """Find the schema of an object in an instruction of the system, where it has a line of its own."""
    lines = (line for text in system_texts(request.fields) for line in text.splitlines() if line.startswith("{"))
    schemas = (value for line in lines if isinstance(value := decoded(line), dict) and value.get("type") == "object")
    return next(schemas, None)


def _object(schema: Any, request: Received) -> str:
    """Write an object that the schema accepts."""
    value = instance({"type": "object", **dict_of(schema)}, last_user_text(request.fields))
    return msgspec.json.encode(value or {}).decode()
