"""What a request of any wire form asks for: model, choices, tools, format, stops; the unreadable is passed over."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

from llmnet.testing.dialects.common import mapping, rows
from llmnet.testing.script import Received

Mode = Literal["auto", "none", "any"]

_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")
_ROW = re.compile(r".*/models/(.+)")
_MODES: dict[str, Mode] = {"none": "none", "required": "any", "any": "any"}
_MOST_CHOICES = 128
_FORMATS = ("response_format", "text", "output_config", "output_format")
_FUNCTIONS = (None, "function", "tool")
_RESULTS = frozenset({"tool", "tool_result", "function_call_output"})


class ToolChoice(NamedTuple):
    """Whether a tool must be called, and which of them may be; no names at all stand for each."""

    mode: Mode
    names: tuple[str, ...] = ()


def model(request: Received) -> Any:
    """Find the model: in the body, else in the path, where Azure has the deployment and a list its row; else None."""
    if (given := request.fields.get("model")) is not None:
        return given
    found = (_DEPLOYMENT if request.method == "POST" else _ROW).search(request.path)
    return unquote(found[1]) if found else None


def choices(request: Received) -> int:
    """Give how many choices are wanted, 1 where that is no number."""
    wanted = request.fields.get("n")
    return min(wanted, _MOST_CHOICES) if type(wanted) is int and wanted > 0 else 1


def stops(request: Received) -> list[str]:
    """Give the sequences that end the text."""
    options = _options(request)
    given = options.get("stop") or options.get("stop_sequences") or ()
    several = given if isinstance(given, list | tuple) else [given]
    return [one for one in several if isinstance(one, str) and one]


def shape(request: Received) -> Mapping[str, Any]:
    """Give the format wanted: "type" and, under "schema", a JSON schema; empty where none is."""
    options = _options(request)
    places = (options[place] for place in _FORMATS if place in options)
    found = next((mapping(mapping(given).get("format")) or mapping(given) for given in places), {})
    return {**found, **mapping(found.get("json_schema"))}


def tools(request: Received) -> dict[str, Any]:
    """Give the functions that may be called, by name, with the schema of their arguments."""
    found = {}
    for tool in rows(_options(request).get("tools")):
        facts = mapping(tool.get("function")) or tool
        schema = facts.get("parameters", facts.get("input_schema"))
        if isinstance(facts.get("name"), str) and (tool.get("type") in _FUNCTIONS or schema is not None):
            found[facts["name"]] = schema
    return found


def brings_tools(request: Received) -> bool:
    """Say whether there are tools of any kind, those that run at the vendor's too."""
    return bool(_options(request).get("tools"))


def tool_choice(request: Received) -> ToolChoice:
    """Read the choice of a tool; a word that nobody knows leaves it to the model."""
    if not (given := _options(request).get("tool_choice")):
        return ToolChoice("auto")
    facts = mapping(given)
    if facts.get("type") == "allowed_tools":
        facts = mapping(facts.get("allowed_tools")) or facts
        return ToolChoice(_mode(facts.get("mode")), tuple(map(_name, rows(facts.get("tools")))))
    if facts.get("type") in _FUNCTIONS and (name := _name(facts)):
        return ToolChoice("any", (name,))
    return ToolChoice(_mode(facts.get("type") or given))


def results_in(request: Received) -> bool:
    """Say whether the last turn brings what the tools gave."""
    fields = request.fields
    said = fields.get("messages") or fields.get("input")
    turns = rows(mapping(said).get("messages") if isinstance(said, dict) else said)
    if not turns:
        return False
    parts = [turns[-1], *rows(turns[-1].get("content"))]
    return any(part.get("role") == "tool" or str(part.get("type")) in _RESULTS for part in parts)


def _options(request: Received) -> dict[str, Any]:
    """Give the fields of the body, and among them those that the native form has in a room of their own."""
    fields = request.fields
    return {**fields, **mapping(fields["parameters"])} if "parameters" in fields else fields


def _mode(word: Any) -> Mode:
    return _MODES.get(word, "auto") if isinstance(word, str) else "auto"


def _name(facts: Mapping[str, Any]) -> str:
    name = (mapping(facts.get("function")) or facts).get("name")
    return name if isinstance(name, str) else ""
