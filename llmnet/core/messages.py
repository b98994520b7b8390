"""Checks a conversation in OpenAI's chat form, as far as all wire forms ask the same."""

from collections.abc import Mapping, Sequence
from reprlib import repr as brief
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.core.json import Texts

_BYTES = (bytes, bytearray, memoryview)
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# Roles whose message may be a text alone; an answer of a tool names its call, too.
_SPEAKERS = tuple(role for role in ROLES if role != "tool")
# Parts that are their text alone.
_TEXTS = ("text", "input_text", "output_text")


def checked_messages(messages: Any) -> list[dict[str, Any]]:
    """Check a conversation, of which a copy is given; a plain string is one user message."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, list) and (not isinstance(messages, Sequence) or isinstance(messages, _BYTES)):
        raise ConfigurationError(
            "messages must be a string or a list of messages like {'role': 'user', 'content': '…'}, "
            f"not {_given(messages)}"
        )
    if not messages:
        raise ConfigurationError("messages is empty; give at least one message")
    return [_checked_message(message, i) for i, message in enumerate(messages)]


def _checked_message(message: Any, number: int) -> dict[str, Any]:
    is_text = type(message) is dict and len(message) == 2 and type(message.get("content")) is str
    if is_text and message.get("role") in _SPEAKERS:  # as most are: nothing else can be wrong
        return Texts(message)
    path = f"messages[{number}]"
    if not isinstance(message, Mapping):
        raise ConfigurationError(f"{path} must be a dict with 'role' and 'content', not {_given(message)}")
    copy = dict(message)
    role, calls, answered = copy.get("role"), copy.get("tool_calls"), copy.get("tool_call_id")
    if role not in ROLES:
        raise ConfigurationError(f"{path}.role must be one of {', '.join(ROLES)}, not {brief(role)}")
    _check_content(copy.get("content"), role, f"{path}.content")
    if calls is not None and not (isinstance(calls, list | tuple) and all(isinstance(one, Mapping) for one in calls)):
        raise ConfigurationError(
            f"{path}.tool_calls must be a list of tool calls as in `reply.message`, not {brief(calls)}"
        )
    if role == "tool" and not isinstance(answered, str):
        raise ConfigurationError(f"{path}.tool_call_id must name the tool call that it answers, not {brief(answered)}")
    return copy


def _given(thing: Any) -> str:
    """The type of a thing, and how a reply of ours or a vendor's message gives the dict meant."""
    dump = "; give its .model_dump(exclude_none=True)" if callable(getattr(thing, "model_dump", None)) else ""
    is_reply = isinstance(getattr(thing, "message", None), Mapping)
    return type(thing).__name__ + ("; give its .message" if is_reply else dump)


def _check_content(content: Any, role: str, path: str) -> None:
    if isinstance(content, str) or (content is None and role == "assistant"):
        return
    if content is None:
        raise ConfigurationError(f"{path} is missing; give a string or a list of parts")
    if not isinstance(content, list | tuple):
        raise ConfigurationError(f"{path} must be a string or a list of parts, not {type(content).__name__}")
    for i, part in enumerate(content):
        _check_part(part, f"{path}[{i}]")


def _check_part(part: Any, path: str) -> None:
    if not isinstance(part, Mapping):
        raise ConfigurationError(f"{path} must be a dict like {{'type': 'text', 'text': '…'}}, not {brief(part)}")
    kind, text = part.get("type", ""), part.get("text")  # a part in DashScope's own form has no type
    if not isinstance(kind, str):
        raise ConfigurationError(f"{path}.type must name the kind of the part, like 'text', not {brief(kind)}")
    if kind in _TEXTS and not isinstance(text, str):
        raise ConfigurationError(f"{path}.text must be a string, not {type(text).__name__}")
