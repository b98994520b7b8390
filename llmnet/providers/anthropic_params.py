"""The parameters of a chat in Anthropic's words: one table, and what several of them say together.

The facts: docs/vendors.md, Translation.
"""

import re
from collections.abc import Mapping
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.providers.reading import text_of
from llmnet.providers.services import MESSAGES
from llmnet.providers.writing import REFUSED, Rule, kept_as, translated, without_options

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_OWN_CHOICES = ("auto", "any", "none", "tool")
_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}

# Models before adaptive thinking know only a budget; the list is closed.
_BUDGET_MODELS = re.compile(r"claude-(3-|(opus|sonnet|haiku)-4(-[015])?(-20\d{6}|-latest|@|$))")
_BUDGETS = {"low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
_LEAST_BUDGET = 1024

_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")


def parameters(params: Mapping[str, Any], *, model: str, limit: int) -> dict[str, Any]:
    """Parameters for the body; those in Anthropic's own words lie over the translated ones.

    Args:
        params: as the caller gave them, `None` left out.
        model: decides how an effort is put.
        limit: the tokens that hold where the caller names none.

    Raises:
        ConfigurationError: one of them has no counterpart.
    """
    tokens = params.get("max_tokens", params.get("max_completion_tokens", limit))
    rules = {**RULES, "reasoning_effort": lambda level: _effort(level, model, tokens, thinks="thinking" in params)}
    body = translated(dict(sorted(params.items(), key=lambda item: item[0] not in rules)), rules, MESSAGES)
    if "tool_choice" in body:
        body["tool_choice"] = _settled(body["tool_choice"])
    return body


def _settled(choice: dict[str, Any]) -> dict[str, Any]:
    """Parallel calls are part of the choice: of `auto` where none was made, and of no matter for `none`."""
    whole = {"type": "auto", **choice}
    return {"type": "none"} if whole["type"] == "none" else whole


def _effort(level: Any, model: str, tokens: int, *, thinks: bool) -> dict[str, Any]:
    """How hard to think: as an effort, for older models as a budget; a `thinking` of the caller's own stands."""
    effort = "low" if level == "minimal" else level
    if not isinstance(effort, str):
        raise ConfigurationError(f"reasoning_effort must be a word like 'none', 'low' or 'high', not {level!r}")
    if thinks:
        return {"output_config": {"effort": effort}}
    if effort == "none":
        return {"thinking": {"type": "disabled"}}
    if _BUDGET_MODELS.search(model):
        return {"thinking": {"type": "enabled", "budget_tokens": _budget(effort, model, tokens)}}
    return {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}


def _budget(effort: str, model: str, tokens: int) -> int:
    """A budget of our own; it must leave some of the limit for the answer."""
    if effort not in _BUDGETS:
        raise ConfigurationError(f"reasoning_effort must be one of {', '.join(_BUDGETS)} for {model}, not {effort!r}")
    return max(_LEAST_BUDGET, min(_BUDGETS[effort], tokens - _LEAST_BUDGET))


def _tools(tools: Any) -> dict[str, Any]:
    return {"tools": [_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]}


def _tool(tool: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A tool; one without `function` is in Anthropic's own form."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        if tool.get("type") == "function" or "custom" in tool:
            raise ConfigurationError(f"{path} is neither a function with 'function' nor Anthropic's own tool: {tool!r}")
        return dict(tool)
    beside = {name: value for name, value in tool.items() if name not in ("type", "function")}
    said = {name: value for name, value in function.items() if name != "parameters" and value is not None}
    schema = function.get("parameters") or _NO_ARGUMENTS
    return {**said, "input_schema": {"type": "object", **schema}, **beside}


def _tool_choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str) and choice in _CHOICES:
        return {"tool_choice": {"type": _CHOICES[choice]}}
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if kind in _OWN_CHOICES:
        return {"tool_choice": dict(choice)}
    function = choice.get("function") if kind == "function" else None
    if not isinstance(function, Mapping) or not function.get("name"):
        raise ConfigurationError(f"tool_choice must be 'auto', 'required', 'none' or name one function, not {choice!r}")
    return {"tool_choice": {"type": "tool", "name": function["name"]}}


def _parallel(allowed: Any) -> dict[str, Any]:
    return {} if allowed else {"tool_choice": {"disable_parallel_tool_use": True}}


def _response_format(wanted: Any) -> dict[str, Any]:
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "text" or wanted == {}:
        return {}
    inner = wanted.get("json_schema", wanted) if kind == "json_schema" else None
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    if not isinstance(schema, Mapping):
        raise ConfigurationError(f"response_format for Anthropic must be a json_schema with a schema, not {wanted!r}")
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _stop(stop: Any) -> dict[str, Any]:
    return {"stop_sequences": [stop] if isinstance(stop, str) else stop}


def _user(user: Any) -> dict[str, Any]:
    return {"metadata": {"user_id": user}}


def _metadata(metadata: Any) -> dict[str, Any]:
    """Anthropic's metadata holds a user and nothing else."""
    if not isinstance(metadata, Mapping) or set(metadata) - {"user_id"}:
        raise ConfigurationError("metadata has no counterpart in the messages form but for user_id; leave the rest out")
    return {"metadata": dict(metadata)}


_NOT_HERE = ("n", "seed", "logprobs", "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty")
RULES: dict[str, Rule] = {
    **dict.fromkeys(_NOT_HERE, REFUSED),
    "max_completion_tokens": "max_tokens",
    "metadata": _metadata,
    "parallel_tool_calls": _parallel,
    "response_format": _response_format,
    "stop": _stop,
    "store": kept_as("store"),
    "stream_options": without_options,
    "tool_choice": _tool_choice,
    "tools": _tools,
    "user": _user,
}


def fit_id(call_id: Any) -> str:
    """The id of a call of another vendor's, in the letters that Anthropic takes: Moonshot's is `functions.get:0`."""
    return _NO_ID.sub("_", text_of(call_id))
