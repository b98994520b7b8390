"""What a request of any wire form asks for: model, choices, tools, format, stops; what is invalid is ignored."""

import re
from typing import Any, Literal
from urllib.parse import unquote

from llmnet.providers.reading import dict_of, dicts_of, text_of
from llmnet.testing.script import Received
from llmnet.testing.wire_forms.common import turns_of

Mode = Literal["auto", "none", "any"]

_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")
_ROW = re.compile(r".*/models/(.+)")
_MODES: dict[str, Mode] = {"none": "none", "required": "any", "any": "any"}
_MAX_CHOICES = 128
_FORMATS = ("response_format", "text", "output_config", "output_format")
_FUNCTIONS = (None, "function", "tool")
_RESULTS = frozenset({"tool", "tool_result", "function_call_output"})


def model(request: Received) -> Any:
    """The model: in the body, else in the path (Azure's deployment, a row of a list), else None."""
    if (name := request.fields.get("model")) is not None:
        return name
    found = (_DEPLOYMENT if request.method == "POST" else _ROW).search(request.path)
    return unquote(found[1]) if found else None


def choices(request: Received) -> int:
    """The number of choices; 1 where it is no positive number."""
    count = request.fields.get("n")
    return min(count, _MAX_CHOICES) if type(count) is int and count > 0 else 1


def stops(request: Received) -> list[str]:
    """The sequences that end the text."""
    options = _options(request)
    stop = options.get("stop") or options.get("stop_sequences") or []
    return [text for text in map(text_of, stop if isinstance(stop, list) else [stop]) if text]


def output_format(request: Received) -> dict[str, Any]:
    """The format: "type", and a JSON schema under "schema"; empty where none is requested."""
    options = _options(request)
    value = dict_of(next((options[name] for name in _FORMATS if name in options), None))
    value = dict_of(value.get("format")) or value
    return {**value, **dict_of(value.get("json_schema"))}


def tools(request: Received) -> dict[str, Any]:
    """The functions that may be called, with the schemas of their arguments."""
    found = {}
    for tool in dicts_of(_options(request).get("tools")):
        function = dict_of(tool.get("function")) or tool
        schema = function.get("parameters", function.get("input_schema"))
        if (name := _name(tool)) and (tool.get("type") in _FUNCTIONS or schema is not None):
            found[name] = schema
    return found


def has_tools(request: Received) -> bool:
    """Whether there are tools, be it some that run at the vendor."""
    return bool(_options(request).get("tools"))


def tool_choice(request: Received) -> tuple[Mode, list[str]]:
    """Whether a tool must be called, and which ones may be: any, if none is named. What is unknown is no choice."""
    if not (choice := _options(request).get("tool_choice")):
        return "auto", []
    fields = dict_of(choice)
    if fields.get("type") == "allowed_tools":
        fields = dict_of(fields.get("allowed_tools")) or fields
        return _mode(fields.get("mode")), [*map(_name, dicts_of(fields.get("tools")))]
    if fields.get("type") in _FUNCTIONS and (name := _name(fields)):
        return "any", [name]
    return _mode(fields.get("type") or choice), []


def has_tool_results(request: Received) -> bool:
    """Whether the last turn has results of tools."""
    turns = dicts_of(turns_of(request.fields))
    if not turns:
        return False
    parts = [turns[-1], *dicts_of(turns[-1].get("content"))]
    return any(part.get("role") == "tool" or str(part.get("type")) in _RESULTS for part in parts)


def _options(request: Received) -> dict[str, Any]:
    """The fields of the body, and among them those of the native form's `parameters`."""
    fields = request.fields
    return {**fields, **dict_of(fields["parameters"])} if "parameters" in fields else fields


def _mode(value: Any) -> Mode:
    return _MODES.get(text_of(value), "auto")


def _name(tool: dict[str, Any]) -> str:
    return text_of((dict_of(tool.get("function")) or tool).get("name"))
