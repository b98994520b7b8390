"""Translates the parameters of a chat into Anthropic's: one table, and the rules that combine several of them.

The facts: docs/vendors.md, Translation.
"""

import re
from collections.abc import Mapping
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.providers.reading import text_of
from llmnet.providers.target import MESSAGES
from llmnet.providers.writing import REFUSED, Rule, store_if_asked, translated, without_options

_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_OWN_CHOICES = ("auto", "any", "none", "tool")
_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}

# Models before adaptive thinking know only a budget; the list is closed.
_BUDGET_MODELS = re.compile(r"claude-(3-|(opus|sonnet|haiku)-4(-[015])?(-20\d{6}|-latest|@|$))")
# Models before structured output; the list is closed, too.
_NO_FORMAT = re.compile(r"claude-(3-|(opus|sonnet)-4(-[01])?(-20\d{6}|-latest|@|$))")
_BUDGETS = {"low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
_LEAST_BUDGET = 1024

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")


def parameters(params: Mapping[str, Any], *, model: str, limit: int) -> dict[str, Any]:
    """Parameters for the body; those under Anthropic's own names win over translated ones.

    Args:
        params: the caller's, without those that are `None`.
        model: decides how an effort is translated.
        limit: the limit of tokens where the caller sets none.

    Raises:
        ConfigurationError: one of them has no counterpart.
    """
    tokens = params.get("max_tokens", params.get("max_completion_tokens", limit))
    rules = {**RULES, "reasoning_effort": lambda level: _effort(level, model, tokens, thinks="thinking" in params)}
    body = translated(dict(sorted(params.items(), key=lambda item: item[0] not in rules)), rules, MESSAGES)
    if "tool_choice" in body:
        # Parallel calls are part of the choice: of `auto` where the caller made none; `none` excludes them.
        choice = {"type": "auto", **body["tool_choice"]}
        body["tool_choice"] = {"type": "none"} if choice["type"] == "none" else choice
    return body


def has_no_format(model: str) -> bool:
    """Whether a model knows no `output_config.format`."""
    return bool(_NO_FORMAT.search(model))


def thinks(params: Mapping[str, Any]) -> bool:
    """Whether a request asks for thinking, beside which no choice may force a call."""
    thinking = params.get("thinking")
    asked = thinking.get("type") if isinstance(thinking, Mapping) else thinking
    return asked not in (None, "disabled") or params.get("reasoning_effort") not in (None, "none")


def _effort(level: Any, model: str, tokens: int, *, thinks: bool) -> dict[str, Any]:
    """The reasoning effort: as an effort, for older models as a budget; the caller's own `thinking` is kept."""
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
    """A budget in tokens; it must leave some of the limit for the answer."""
    if effort not in _BUDGETS:
        raise ConfigurationError(f"reasoning_effort must be one of {', '.join(_BUDGETS)} for {model}, not {effort!r}")
    return max(_LEAST_BUDGET, min(_BUDGETS[effort], tokens - _LEAST_BUDGET))


def _tool(tool: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A tool; one without `function` is in Anthropic's own form."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        if tool.get("type") == "function" or "custom" in tool:
            raise ConfigurationError(f"{path} is neither a function with 'function' nor Anthropic's own tool: {tool!r}")
        return dict(tool)
    rest = {name: value for name, value in tool.items() if name not in ("type", "function")}
    fields = {name: value for name, value in function.items() if name != "parameters" and value is not None}
    schema = function.get("parameters") or _NO_ARGUMENTS
    return {**fields, "input_schema": {"type": "object", **schema}, **rest}


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


def _response_format(wanted: Any) -> dict[str, Any]:
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "text" or wanted == {}:
        return {}
    inner = wanted.get("json_schema", wanted) if kind == "json_schema" else None
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    if not isinstance(schema, Mapping):
        raise ConfigurationError(f"response_format for Anthropic must be a json_schema with a schema, not {wanted!r}")
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _metadata(metadata: Any) -> dict[str, Any]:
    """Anthropic's metadata holds a user and nothing else."""
    if not isinstance(metadata, Mapping) or set(metadata) - {"user_id"}:
        raise ConfigurationError("metadata has no counterpart in the messages form but for user_id; leave the rest out")
    return {"metadata": dict(metadata)}


_UNSUPPORTED = ("n", "seed", "logprobs", "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty")
RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNSUPPORTED, REFUSED),
    "max_completion_tokens": "max_tokens",
    "metadata": _metadata,
    "parallel_tool_calls": lambda allowed: {} if allowed else {"tool_choice": {"disable_parallel_tool_use": True}},
    "response_format": _response_format,
    "stop": lambda stop: {"stop_sequences": [stop] if isinstance(stop, str) else stop},
    "store": store_if_asked,
    "stream_options": without_options,
    "tool_choice": _tool_choice,
    "tools": lambda tools: {"tools": [_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)]},
    "user": lambda user: {"metadata": {"user_id": user}},
}


def valid_id(call_id: Any) -> str:
    """The id of another vendor's call in the characters that Anthropic accepts: Moonshot's is `functions.get:0`."""
    return _NOT_IN_IDS.sub("_", text_of(call_id))
