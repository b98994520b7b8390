"""Checks the arguments of a call, every one of them before any I/O."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any

import msgspec

from llmnet.core.bounds import Timeout, positive, written
from llmnet.core.errors import ConfigurationError
from llmnet.core.json import check_json
from llmnet.core.params import check_names

if TYPE_CHECKING:
    from llmnet.core.output import Output

# Parts that are nothing but their text.
_TEXTS = ("text", "input_text", "output_text")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A chat as the caller asks for it: messages and parameters in OpenAI's chat form, `None` left out.

    Attributes:
        dropped: names of parameters that are `None`, which drops a default of ours.
        output: the value that the reply is to have.
        first: the index of the first message as the caller counts: the client's own, before theirs, is number -1.
    """

    model: str
    messages: list[dict[str, Any]]
    params: dict[str, Any]
    stream: bool
    dropped: frozenset[str] = frozenset()
    output: "Output | None" = None
    first: int = 0

    def check_json(self) -> None:
        """Check that JSON can carry all of it: before values are translated, or once they could not be encoded.

        Raises:
            ConfigurationError: it cannot; the message names the path.
        """
        for name, value in {"messages": self.messages[-self.first :], **self.params}.items():
            check_json(value, name)


def chat_request(
    messages: Any, model: str, params: Mapping[str, Any], *, stream: bool, system: str | None = None
) -> ChatRequest:
    """Check the arguments of a chat, all but what the forms find out: whether JSON can carry the values.

    Args:
        messages: the conversation.
        model: a name that `checked_model` has passed.
        params: the parameters.
        stream: whether the reply is to be streamed.
        system: the client's own system message, which goes before all others.

    Raises:
        ConfigurationError: one of them is wrong; the message names it, its value and the fix.
    """
    values, dropped = checked_params(params) if params else ({}, frozenset())
    ours = [] if system is None else [{"role": "system", "content": system}]
    said, output = checked_messages(messages), wanted_output(values)
    values.pop("output_type", None)
    return ChatRequest(
        model=model,
        messages=[*ours, *said] if ours else said,
        params=values,
        stream=stream,
        dropped=dropped,
        output=output,
        first=-len(ours),
    )


def wanted_output(params: Mapping[str, Any]) -> "Output | None":
    """What the `output_type` among the parameters of a call asks for, if it is there.

    Raises:
        ConfigurationError: it is no type that can be asked for, or another parameter asks for a format, too.
    """
    if params.get("output_type") is None:
        return None
    from llmnet.core.output import output_of  # noqa: PLC0415 - loaded on use

    return output_of(params["output_type"], params)


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


def checked_messages(messages: Any) -> list[dict[str, Any]]:
    """Check a conversation; a plain string is one user message. The caller's objects are copied, never changed."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    is_list = isinstance(messages, list | Sequence) and not isinstance(messages, bytes | bytearray | memoryview)
    if not is_list:
        raise ConfigurationError(
            f"messages must be a string or a list of messages like {{'role': 'user', 'content': '…'}}, "
            f"not {type(messages).__name__}"
        )
    if not messages:
        raise ConfigurationError("messages is empty; give at least one message")
    return [_checked_message(message, f"messages[{i}]") for i, message in enumerate(messages)]


def _checked_message(message: Any, path: str) -> dict[str, Any]:
    if not isinstance(message, dict | Mapping):  # in this order: it is quicker
        raise ConfigurationError(f"{path} must be a dict with 'role' and 'content', not {type(message).__name__}")
    role = message.get("role")
    if role not in ROLES:
        raise ConfigurationError(f"{path}.role must be one of {', '.join(ROLES)}, not {brief(role)}")
    copy = dict(message)
    if not isinstance(copy.get("content"), str):
        _check_content(copy, role, path)
    if copy.get("tool_calls") is not None:
        _check_calls(copy["tool_calls"], f"{path}.tool_calls")
    if role == "tool" and not isinstance(copy.get("tool_call_id"), str):
        raise ConfigurationError(
            f"{path}.tool_call_id must name the tool call that it answers, not {brief(copy.get('tool_call_id'))}"
        )
    return copy


def _check_content(message: dict[str, Any], role: str, path: str) -> None:
    content = message.get("content")
    if content is None:
        if role != "assistant":
            raise ConfigurationError(f"{path}.content is missing; give a string or a list of parts")
        return
    if not isinstance(content, list | tuple):
        raise ConfigurationError(f"{path}.content must be a string or a list of parts, not {type(content).__name__}")
    for i, part in enumerate(content):
        if not isinstance(part, Mapping):
            raise ConfigurationError(
                f"{path}.content[{i}] must be a dict like {{'type': 'text', 'text': '…'}}, not {brief(part)}"
            )
        # A part in DashScope's own form has none; the other forms miss it where they read the part.
        if not isinstance(part.get("type", ""), str):
            raise ConfigurationError(
                f"{path}.content[{i}].type must name the kind of the part, like 'text', not {brief(part.get('type'))}"
            )
        if part.get("type") in _TEXTS and not isinstance(part.get("text"), str):
            raise ConfigurationError(
                f"{path}.content[{i}].text must be a string, not {type(part.get('text')).__name__}"
            )


def _check_calls(calls: Any, path: str) -> None:
    if not isinstance(calls, list | tuple) or not all(isinstance(call, Mapping) for call in calls):
        raise ConfigurationError(f"{path} must be a list of tool calls as in `reply.message`, not {brief(calls)}")


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
    return given, frozenset(params) - frozenset(given)


def _check_param(value: Any, name: str, types: Any, expected: str) -> None:
    right = isinstance(value, types) and (types is bool or not isinstance(value, bool))
    if types is int and isinstance(value, int):
        right = right and value >= 0
    elif name == "tools":
        right = right and all(isinstance(tool, Mapping) for tool in value)
    if not right:
        wrong = written(value) if type(value) is int else brief(value)
        raise ConfigurationError(f"{name} must be {expected}, not {wrong}")


_NUMBER = (int | float, "a number")
_LIMIT = (int, "a whole number of tokens")
# The types of parameters, and how an error describes them.
_EXPECTED: dict[str, tuple[Any, str]] = {
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "max_tokens": _LIMIT,
    "max_completion_tokens": _LIMIT,
    "tools": (list | tuple, "a list of tools like {'type': 'function', 'function': {…}}"),
    "tool_choice": (str | Mapping, "'auto', 'required', 'none' or a dict that names a tool"),
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
