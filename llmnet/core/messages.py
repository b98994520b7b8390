"""Checks a conversation in OpenAI's chat form, as far as all wire forms ask for the same."""

from collections.abc import Mapping, Sequence
from reprlib import repr as brief
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.core.json import Texts

_BYTES = (bytes, bytearray, memoryview)
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# Roles whose message may be a text and nothing else; an answer of a tool names its call, too.
_SPEAKERS = tuple(role for role in ROLES if role != "tool")
# Parts that are nothing but their text.
_TEXTS = ("text", "input_text", "output_text")


def checked_messages(messages: Any) -> list[dict[str, Any]]:
    """Check a conversation; a plain string is one user message. The caller's objects are copied, never changed."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    if not isinstance(messages, list) and (not isinstance(messages, Sequence) or isinstance(messages, _BYTES)):
        raise ConfigurationError(
            f"messages must be a string or a list of messages like {{'role': 'user', 'content': '…'}}, "
            f"not {type(messages).__name__}{_instead(messages)}"
        )
    if not messages:
        raise ConfigurationError("messages is empty; give at least one message")
    return [
        Texts(message) if _is_text(message) else _checked_message(message, f"messages[{i}]")
        for i, message in enumerate(messages)
    ]


def _is_text(message: Any) -> bool:
    """Whether a message is a role and a text, as most are: nothing else can be wrong with it."""
    if type(message) is not dict or len(message) != 2:
        return False
    return type(message.get("content")) is str and message.get("role") in _SPEAKERS


def _checked_message(message: Any, path: str) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise ConfigurationError(
            f"{path} must be a dict with 'role' and 'content', not {type(message).__name__}{_instead(message)}"
        )
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


def _instead(thing: Any) -> str:
    """The dict that a reply of ours has, or a model of pydantic's, as the vendors' own messages are."""
    if isinstance(getattr(thing, "message", None), Mapping):
        return "; give its .message"
    return "; give its .model_dump(exclude_none=True)" if callable(getattr(thing, "model_dump", None)) else ""


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
