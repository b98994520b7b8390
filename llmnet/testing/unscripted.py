"""What is answered where nobody has scripted it: a refusal, what the model's name says, a call, JSON, or an echo."""

import re
from typing import Any

import msgspec

from llmnet.testing.dialects import asked
from llmnet.testing.dialects.common import last_user_text
from llmnet.testing.dialects.listings import MODEL_IDS, TOOL_CALLER
from llmnet.testing.dialects.routes import Route, route_of
from llmnet.testing.faults import FAULTS
from llmnet.testing.schema import instance
from llmnet.testing.script import Received, Reply, decoded

_STATUS = re.compile(r"error-([45]\d\d)")
_QUOTED = re.compile(r"""['"`](\w+)['"`]""")
_FAILING = ("error-", "fault-")  # the models that are called so fail, or do not exist


def unscripted(request: Received) -> Reply:
    """Choose a reply by the request alone."""
    route = route_of(request)
    if objection := _objection(route, request):
        return _refused(route, request, *objection)
    if failure := _failure(asked.model(request)):
        return failure
    if (call := _call(request)) is not None:
        return Reply(tool_calls=[call])
    return Reply(text=_shaped(request))


def _objection(route: Route, request: Received) -> tuple[str, str] | None:
    """Say what is wrong with the request, and with which field; None if nothing is."""
    if route.method is None:
        return "path", request.path
    if {"HEAD": "GET"}.get(request.method, request.method) != route.method:
        return "method", request.method
    if route.needs and not isinstance(request.json, dict):
        return "json", ""
    model = asked.model(request)
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
    """Say whether a model is called after a failure that there is not."""
    return isinstance(model, str) and model.startswith(_FAILING) and _failure(model) is None


def _missing_tool(request: Received) -> tuple[str, str] | None:
    mode, names = asked.tool_choice(request)
    if mode != "any":
        return None
    known = asked.tools(request)
    missing = [name for name in names if name not in known] if asked.brings_tools(request) else [*names, "any"]
    return ("tool", missing[0]) if missing else None


def _refused(route: Route, request: Received, kind: str, name: str) -> Reply:
    refusal = route.dialect.vendor.refusals[kind]
    words = {"method": request.method, "path": request.path, "name": name}
    facts = {key: value.format(**words) if isinstance(value, str) else value for key, value in refusal.facts.items()}
    allow = {"allow": route.method} if kind == "method" else {}
    return Reply(refusal.status, headers=allow, error={"message": refusal.message.format(**words), **facts})


def _failure(model: Any) -> Reply | None:
    """Find what a model is called after: `error-` and a status, or `fault-` and a fault of the kit after a request."""
    if not isinstance(model, str) or not model.startswith(_FAILING):
        return None
    if status := _STATUS.fullmatch(model):
        return Reply(int(status[1]))
    fault = FAULTS.get(model.removeprefix("fault-"))
    return fault if fault is not None and fault.at == "request" else None


def _call(request: Received) -> dict[str, str] | None:
    """Call the first tool that may be: where one must be, or where that is the model's habit and no result is in."""
    if not (tools := asked.tools(request)):
        return None
    mode, names = asked.tool_choice(request)
    eager = asked.model(request) == TOOL_CALLER and mode == "auto" and not asked.results_in(request)
    name = next((name for name in names or tools if name in tools), None)
    if name is None or not (mode == "any" or eager):
        return None
    return {"name": name, "arguments": _object(tools[name], request)}


def _shaped(request: Received) -> str | None:
    """Write the text as JSON where that was asked for; None leaves the echo as it is."""
    wanted = asked.shape(request)
    if wanted.get("type") == "json_schema":
        return _object(wanted.get("schema"), request)
    if wanted.get("type") != "json_object" or isinstance(decoded(text := last_user_text(request.fields)), dict):
        return None
    # Whoever wants JSON without a schema names its fields in words.
    named = dict.fromkeys(_QUOTED.findall(text), text)
    return msgspec.json.encode(named or {"text": text}).decode()


def _object(schema: Any, request: Received) -> str:
    """Write an object that the schema accepts."""
    known = schema if isinstance(schema, dict) else {}
    value = instance({"type": "object", **known}, last_user_text(request.fields))
    return msgspec.json.encode(value or {}).decode()
