"""Checks the arguments of a call, every one of them before any I/O."""

import inspect
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any

import msgspec

from llmnet.core.bounds import Timeout, positive, written
from llmnet.core.errors import ConfigurationError
from llmnet.core.json import Texts, check_json
from llmnet.core.messages import checked_messages
from llmnet.core.params import check_names
from llmnet.core.tool_call import Function

if TYPE_CHECKING:
    from llmnet.core.output import Output

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A chat as the caller asks for it: messages and parameters in OpenAI's chat form, `None` left out.

    Attributes:
        dropped: names of parameters that are `None`, which drops a default of ours.
        output: the value that the reply is to have.
        functions: those among the tools, by name, where there are any.
        first: the index of the first message as the caller counts: the client's own, before theirs, is number -1.
    """

    model: str
    messages: list[dict[str, Any]]
    params: dict[str, Any]
    stream: bool
    dropped: frozenset[str] = frozenset()
    output: "Output | None" = None
    functions: Mapping[str, Function] | None = None
    first: int = 0

    def check_json(self) -> None:
        """Check that JSON can carry all of it: before values are translated, or once they could not be encoded.

        Raises:
            ConfigurationError: it cannot; the message names the path.
        """
        for name, value in {"messages": self.messages[-self.first :], **self.params}.items():
            check_json(value, name)


def chat_request(
    messages: Any,
    model: str,
    params: Mapping[str, Any],
    *,
    stream: bool,
    output_type: Any = None,
    system: str | None = None,
) -> ChatRequest:
    """Check the arguments of a chat, all but what the forms find out: whether JSON can carry the values.

    Args:
        messages: the conversation.
        model: a name that `checked_model` has passed.
        params: the parameters.
        stream: whether the reply is to be streamed.
        output_type: what the reply is to be, or `None`.
        system: the client's own system message, which goes before all others.

    Raises:
        ConfigurationError: one of them is wrong; the message names it, its value and the fix.
    """
    values: dict[str, Any] = {}
    dropped: frozenset[str] = frozenset()
    functions = None
    if params:
        params, functions = with_schemas(params)
        values, dropped = checked_params(params)
    ours = [] if system is None else [Texts(role="system", content=system)]
    said = checked_messages(messages)
    return ChatRequest(
        model=model,
        messages=[*ours, *said] if ours else said,
        params=values,
        stream=stream,
        dropped=dropped,
        output=wanted_output(output_type, values),
        functions=functions,
        first=-len(ours),
    )


def check_common(params: Mapping[str, Any]) -> None:
    """Check parameters that many chats have in common.

    Raises:
        ConfigurationError: one of them is wrong, whatever the rest of a chat is.
    """
    checked_params(with_schemas(params)[0])
    wanted_output(params.get("output_type"), params)


def with_schemas(params: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Function] | None]:
    """The parameters of a call with a schema in the place of each function among the tools, and these by name.

    Raises:
        ConfigurationError: no tool can be made of one of them.
    """
    tools = params.get("tools")
    if not isinstance(tools, list | tuple) or all(isinstance(tool, Mapping) for tool in tools):
        return params, None
    from llmnet.core.tool_functions import split_tools  # noqa: PLC0415 - loaded on use

    made, functions = split_tools(tools)
    return {**params, "tools": made}, functions


def wanted_output(kind: Any, params: Mapping[str, Any]) -> "Output | None":
    """What `output_type` asks for beside the parameters of a call, if anything (`output.output_of`)."""
    if kind is None:
        return None
    from llmnet.core.output import output_of  # noqa: PLC0415 - loaded on use

    return output_of(kind, params)


def checked_model(model: Any) -> str:
    """Check the name of a model."""
    if model is None or model == "":
        raise ConfigurationError(
            'no model: give model="…" to the call or to the client, or "provider:model" to the client'
        )
    return model_text(model, "model")


def model_text(value: Any, name: str) -> str:
    """Check the text that names a model, and take blanks around it away."""
    return plain_text(value, name).strip()


def plain_text(value: Any, name: str) -> str:
    """Check a short text: a name, an address. An error does not show it, since it may be a key by mistake."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a string, not {type(value).__name__}")
    if not value.isascii():
        check_json(value, name)
    if not value.strip() or _CONTROL.search(value):
        raise ConfigurationError(f"{name} must be a text that is not blank and has no control characters")
    return value


def checked_params(params: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """The parameters that are given, and the names of those that are dropped."""
    check_names(params)
    given = {name: value for name, value in params.items() if value is not None}
    for name, value in given.items():
        if name in _EXPECTED:
            _check_param(value, name, *_EXPECTED[name])
    if "service_tier" in given:
        plain_text(given["service_tier"], "service_tier")
    if "max_tokens" in given and "max_completion_tokens" in given:
        raise ConfigurationError("max_tokens and max_completion_tokens are two names of one limit; give one of them")
    return given, frozenset(params).difference(given)


def _check_param(value: Any, name: str, types: Any, expected: str) -> None:
    right = isinstance(value, types) and (types is bool or not isinstance(value, bool))
    if types is int and isinstance(value, int):
        right = right and value >= 0
    elif name == "tools":
        right = right and all(isinstance(tool, Mapping) for tool in value)
    if not right:
        wrong = written(value) if type(value) is int else brief(value)
        raise ConfigurationError(f"{name} must be {expected}, not {wrong}")


_NUMBER = ((int, float), "a number")
_LIMIT = (int, "a whole number of tokens")
# The types of parameters, and how an error describes them.
_EXPECTED: dict[str, tuple[Any, str]] = {
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "max_tokens": _LIMIT,
    "max_completion_tokens": _LIMIT,
    "tools": ((list, tuple), "a list of functions, or of tools like {'type': 'function', 'function': {…}}"),
    "tool_choice": ((str, Mapping), "'auto', 'required', 'none' or a dict that names a tool"),
    "stream_options": (Mapping, "a dict like {'include_usage': True}"),
    "parallel_tool_calls": (bool, "True or False"),
}


def checked_timeout(timeout: Any, name: str = "timeout") -> float | Timeout | None:
    """Check seconds or a `Timeout`."""
    if timeout is None or isinstance(timeout, Timeout):
        return timeout
    if not isinstance(timeout, int | float):
        raise ConfigurationError(
            f"{name} must be a number of seconds, or a Timeout like Timeout(connect=5, total=60), "
            f"not {type(timeout).__name__}"
        )
    return positive(timeout, name)


def checked_inputs(inputs: Any) -> list[Any]:
    """Check what is to be embedded: a string, or a list of strings or of token lists."""
    items = [inputs] if isinstance(inputs, str) else inputs
    if isinstance(items, Mapping | AbstractSet | bytes | bytearray) or not isinstance(items, Iterable):
        raise ConfigurationError(f"inputs must be a string or a list of strings, not {type(inputs).__name__}")
    items = list(items)
    if not items:
        raise ConfigurationError("inputs is empty; give at least one text")
    for i, item in enumerate(items):
        _check_input(item, f"inputs[{i}]")
    return items


def _check_input(item: Any, path: str) -> None:
    if isinstance(item, str):
        if not item:
            raise ConfigurationError(f"{path} is an empty text, which no vendor embeds")
        check_json(item, path)
    elif not isinstance(item, list | tuple) or not item or not all(type(token) is int for token in item):
        raise ConfigurationError(f"{path} must be a string or a list of token numbers, not {type(item).__name__}")


def is_async_callable(function: object) -> bool:
    """Whether calling a function gives an awaitable."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
