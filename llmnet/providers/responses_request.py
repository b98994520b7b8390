"""Translates a chat from OpenAI's chat form into the body of the Responses API, by tables.

The facts: docs/vendors.md, Translation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.providers.reading import Fields, Object, text_of
from llmnet.providers.target import RESPONSES
from llmnet.providers.writing import REFUSED, VENDOR, Rule, items_in, sent_arguments, without_usage

CALL, CUSTOM_CALL, REASONING = "function_call", "custom_tool_call", "reasoning"

_WITHOUT_COUNTERPART = ("audio", "function_call", "name")
# Others, such as `phase`, are the vendor's own and are sent as they are. The second line is not sent: reasoning is
# accepted only as an item of the vendor's own, and the text of a tool's answer shows that it failed.
_KNOWN = {
    "role", "content", "refusal", "tool_calls", "tool_call_id", *_WITHOUT_COUNTERPART,
    VENDOR, "reasoning_content", "reasoning", "reasoning_details", "annotations", "is_error",
}  # fmt: skip
_OWN_PARTS = ("input_", "output_", "refusal", "summary_text", "reasoning_text", "computer_screenshot")


def input_items(messages: Sequence[Fields], *, first: int = 0, stored: bool = True) -> list[Object]:
    """A conversation as items; replies of this API are sent back as the items that they came in.

    Errors number the messages from *first*. Where the vendor does not keep replies (*stored*), it accepts only
    encrypted reasoning.

    Raises:
        ConfigurationError: something in it has no counterpart; the message names the path.
    """
    items: list[Object] = []
    custom = set[str]()
    for position, message in enumerate(messages, first):
        new = _items(message, position, custom, stored=stored)
        custom.update(text_of(item.get("call_id")) for item in new if item.get("type") == CUSTOM_CALL)
        items += new
    return items


def sendable(items: Sequence[Object], *, stored: bool) -> list[Object]:
    """The items of a reply that its vendor takes back.

    Reasoning must precede another item, and be stored by the vendor or encrypted in the item. Arguments must be JSON.
    """
    kept = [item for item in items if stored or item.get("type") != REASONING or item.get("encrypted_content")]
    while kept and kept[-1].get("type") == REASONING:
        kept.pop()
    for at, item in enumerate(kept):
        if item.get("type") == CALL and not text_of(item.get("arguments")).strip():
            kept[at] = {**item, "arguments": "{}"}
    return kept


def _items(message: Fields, place: int, custom: set[str], *, stored: bool) -> list[Object]:
    """The items of a message; *custom*: the ids of the calls before it that are of custom tools."""
    role, path = message["role"], f"messages[{place}]"
    if role == "function":
        raise _refusal(path, "the role 'function'", "answer a tool call with the role 'tool'")
    if role == "tool":
        return [_answer(message, path, custom)]
    if (own := items_in(message, RESPONSES)) is not None:
        return sendable(own, stored=stored)
    for name in _WITHOUT_COUNTERPART:
        if message.get(name):
            raise _refusal(f"{path}.{name}", f"{name!r} of a message")
    return [*_message(message, path, place), *map(_call, message.get("tool_calls") or ())]


def _message(message: Fields, path: str, place: int) -> list[Object]:
    """The item of the message itself; none for an assistant that only calls tools.

    The item of an assistant's message has a type of its own; strict servers require all of its published fields: type,
    id and status.
    """
    role = message["role"]
    content = _parts(message.get("content") or "", role, path)
    if role == "assistant":
        content = [part for part in content if part.get("text", True)]
    if refusal := message.get("refusal"):
        content.append({"type": "refusal", "refusal": refusal})
    if role == "assistant" and not content:
        return []
    own = {"type": "message", "id": f"msg_{place}", "status": "completed"} if role == "assistant" else {}
    return [{**own, "role": role, "content": content, **_other_fields(message)}]


def _other_fields(message: Fields) -> Object:
    """The vendor's own fields of a message."""
    return {name: value for name, value in message.items() if name not in _KNOWN and value is not None}


def _answer(message: Fields, path: str, custom: set[str]) -> Object:
    """The output of a tool; that of a custom tool is an item of another type."""
    call_id, content = message["tool_call_id"], message["content"]
    output = content if isinstance(content, str) else _parts(content, "tool", path)
    return {
        "type": f"{CUSTOM_CALL if call_id in custom else CALL}_output",
        "call_id": call_id,
        "output": output,
        **_other_fields(message),
    }


def _call(call: Fields) -> Object:
    kind = "custom" if call.get("type") == "custom" else "function"
    value = call.get(kind)
    fields = value if isinstance(value, Mapping) else {}
    item = {"call_id": text_of(call.get("id")), "name": text_of(fields.get("name"))}
    if kind == "custom":
        return {"type": CUSTOM_CALL, **item, "input": text_of(fields.get("input"))}
    return {"type": CALL, **item, "arguments": sent_arguments(fields.get("arguments"))}


def _parts(content: Any, role: str, path: str) -> list[Object]:
    rows = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [_part(row, role, f"{path}.content[{position}]") for position, row in enumerate(rows)]


def _part(part: Fields, role: str, path: str) -> Object:
    kind = text_of(part.get("type"))
    if kind in ("text", "output_text") and role == "assistant":
        return {"annotations": [], **part, "type": "output_text"}
    if kind == "text":
        return {**part, "type": "input_text"}
    if rule := _PARTS.get(kind):
        return rule(part)
    if kind.startswith(_OWN_PARTS):
        return dict(part)
    raise _refusal(path, f"a part of type {kind!r}")


def _image(part: Fields) -> Object:
    """The address is a string here, next to the detail."""
    image = part.get("image_url")
    made = flat({**part, "image_url": {"url": image} if isinstance(image, str) else image})
    url = made.pop("url", None)
    return _detailed({**made, "type": "input_image", "image_url": url})


def _detailed(part: Fields) -> Object:
    """An image in this API's own form, which requires `detail`."""
    return {**part, "detail": part.get("detail") or "auto"}


_PARTS: dict[str, Callable[[Fields], Object]] = {
    "image_url": _image,
    "input_image": _detailed,
    "file": lambda part: {**flat(part), "type": "input_file"},
}


def _refusal(path: str, what: str, fix: str = "leave it out for this provider") -> ConfigurationError:
    return ConfigurationError(f"{path}: {what} has no counterpart in the {RESPONSES} form; {fix}")


def flat(value: Any) -> Any:
    """`{"type": T, T: {…}}`, as the chat form has it, as `{"type": T, …}`; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    kind = value.get("type")
    inner = value.get(kind) if isinstance(kind, str) else None
    if not isinstance(inner, Mapping):
        return dict(value)
    return {**{name: item for name, item in value.items() if name != kind}, **inner}


def _tool(tool: Fields) -> Object:
    """Functions are strict here unless `strict` is false, and `parameters` is required."""
    made: Object = flat(tool)
    if "format" in made:
        made["format"] = flat(made["format"])
    if tool.get("type") != "function" or not isinstance(tool.get("function"), Mapping):
        return made
    nothing = {"type": "object", "properties": {}}
    return {**made, "parameters": made.get("parameters") or nothing, "strict": made.get("strict") or False}


def _tool_choice(choice: Any) -> Object:
    made = flat(choice)
    if isinstance(choice, Mapping) and isinstance(made.get("tools"), list | tuple):
        made["tools"] = [*map(flat, made["tools"])]
    return {"tool_choice": made}


def _response_format(value: Any) -> Object:
    if value == {}:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"response_format must be a dict like {{'type': 'json_schema', …}}, not {value!r}")
    return {"text": {"format": flat(value)}}


_UNSUPPORTED = ("stop", "n", "seed", "logprobs", "logit_bias", "frequency_penalty", "presence_penalty")
RULES: dict[str, Rule] = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "tools": lambda tools: {"tools": [_tool(tool) for tool in tools]},
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "reasoning_effort": lambda effort: {"reasoning": {"effort": effort}},
    "verbosity": lambda verbosity: {"text": {"verbosity": verbosity}},
    "stream_options": without_usage,
    **dict.fromkeys(_UNSUPPORTED, REFUSED),
}
