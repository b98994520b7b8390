"""Turns a chat in OpenAI's chat form into the body of the Responses API; pure, and told by tables.

The facts: docs/vendors.md, Translation.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.providers.reading import text_of
from llmnet.providers.writing import REFUSED, VENDOR, Rule, items_in, sent_arguments, without_usage

FORM = "responses"
CALL, CUSTOM_CALL, REASONING = "function_call", "custom_tool_call", "reasoning"

# Keys of a message that are translated; further ones, such as `phase`, are the vendor's own and go out as they are.
_TRANSLATED = {"role", "content", "refusal", "tool_calls", "tool_call_id"}
# What a reply brings beside what was said. Reasoning counts only as an item that the vendor itself made; that a tool
# has failed is told by its text.
_UNSAID = {VENDOR, "reasoning_content", "reasoning", "reasoning_details", "annotations", "is_error"}
_WITHOUT_COUNTERPART = {"name", "audio", "function_call"}
_OWN_PARTS = ("input_", "output_", "refusal", "summary_text", "reasoning_text", "computer_screenshot")


def input_items(messages: Sequence[Mapping[str, Any]], *, stored: bool = True) -> list[dict[str, Any]]:
    """A conversation as items; replies of this API go back as the items that they came in.

    Args:
        messages: the conversation.
        stored: whether the vendor keeps replies; else it knows none of their reasoning but what is encrypted.

    Raises:
        ConfigurationError: something in it has no counterpart; the message names the path.
    """
    items: list[dict[str, Any]] = []
    for position, message in enumerate(messages):
        items += _items(message, position, items, stored=stored)
    return items


def sendable(items: Sequence[dict[str, Any]], *, stored: bool) -> list[dict[str, Any]]:
    """The items of a reply that its vendor takes back.

    Reasoning needs an item that it led to, and to be known: stored, or encrypted in the item. Arguments are JSON.
    """
    kept = [item for item in items if stored or item.get("type") != REASONING or item.get("encrypted_content")]
    while kept and kept[-1].get("type") == REASONING:
        kept.pop()
    return [{**item, "arguments": "{}"} if _lacks_arguments(item) else item for item in kept]


def _lacks_arguments(item: Mapping[str, Any]) -> bool:
    return item.get("type") == CALL and not text_of(item.get("arguments")).strip()


def _items(
    message: Mapping[str, Any], place: int, before: list[dict[str, Any]], *, stored: bool
) -> list[dict[str, Any]]:
    role, path = message["role"], f"messages[{place}]"
    if role == "function":
        raise _refusal(path, "the role 'function'", "answer a tool call with the role 'tool'")
    if role == "tool":
        return [_answer(message, path, before)]
    if (own := items_in(message, FORM)) is not None:
        return sendable(own, stored=stored)
    for name in sorted(_WITHOUT_COUNTERPART):
        if message.get(name):
            raise _refusal(f"{path}.{name}", f"{name!r} of a message", "leave it out for this provider")
    return [*_said(message, path, place), *map(_call, message.get("tool_calls") or ())]


def _said(message: Mapping[str, Any], path: str, place: int) -> list[dict[str, Any]]:
    """The message itself; of an assistant that only calls tools there is none.

    What an assistant said is an item of its own type, which strict servers refuse without all that is published of it:
    the kind, an identity and that it is whole.
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
    return [{**own, "role": role, "content": content, **_further(message)}]


def _further(message: Mapping[str, Any]) -> dict[str, Any]:
    """What else a message says, in the vendor's own words."""
    known = _TRANSLATED | _UNSAID | _WITHOUT_COUNTERPART
    return {name: value for name, value in message.items() if name not in known and value is not None}


def _answer(message: Mapping[str, Any], path: str, before: list[dict[str, Any]]) -> dict[str, Any]:
    """What a tool gave; the answer to a custom tool is an item of another type."""
    call_id, content = message["tool_call_id"], message["content"]
    custom = any(item.get("type") == CUSTOM_CALL and item.get("call_id") == call_id for item in before)
    output = content if isinstance(content, str) else _parts(content, "tool", path)
    return {
        "type": f"{CUSTOM_CALL if custom else CALL}_output",
        "call_id": call_id,
        "output": output,
        **_further(message),
    }


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    kind = "custom" if call.get("type") == "custom" else "function"
    said = call.get(kind)
    said = said if isinstance(said, Mapping) else {}
    item = {"call_id": text_of(call.get("id")), "name": text_of(said.get("name"))}
    if kind == "custom":
        return {"type": CUSTOM_CALL, **item, "input": text_of(said.get("input"))}
    return {"type": CALL, **item, "arguments": sent_arguments(said.get("arguments"))}


def _parts(content: Any, role: str, path: str) -> list[dict[str, Any]]:
    rows = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [_part(row, role, f"{path}.content[{position}]") for position, row in enumerate(rows)]


def _part(part: Mapping[str, Any], role: str, path: str) -> dict[str, Any]:
    kind = text_of(part.get("type"))
    if kind in ("text", "output_text") and role == "assistant":
        return {"annotations": [], **part, "type": "output_text"}
    if kind == "text":
        return {**part, "type": "input_text"}
    if rule := _PARTS.get(kind):
        return rule(part)
    if kind.startswith(_OWN_PARTS):
        return dict(part)
    raise _refusal(path, f"a part of type {kind!r}", "leave it out for this provider")


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    """The address is a text here, beside the detail."""
    image = part.get("image_url")
    made = flat({**part, "image_url": {"url": image} if isinstance(image, str) else image})
    url = made.pop("url", None)
    return _detailed({**made, "type": "input_image", "image_url": url})


def _detailed(part: Mapping[str, Any]) -> dict[str, Any]:
    """An image in this API's own form, which must say how closely it is looked at."""
    return {**part, "detail": part.get("detail") or "auto"}


def _file(part: Mapping[str, Any]) -> dict[str, Any]:
    return {**flat(part), "type": "input_file"}


_PARTS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "image_url": _image,
    "input_image": _detailed,
    "file": _file,
}


def _refusal(path: str, what: str, fix: str) -> ConfigurationError:
    return ConfigurationError(f"{path}: {what} has no counterpart in the {FORM} form; {fix}")


def flat(value: Mapping[str, Any]) -> dict[str, Any]:
    """`{"type": T, T: {…}}`, as the chat form has it, as `{"type": T, …}`; anything else as it is."""
    kind = value.get("type")
    inner = value.get(kind) if isinstance(kind, str) else None
    if not isinstance(inner, Mapping):
        return dict(value)
    return {**{name: item for name, item in value.items() if name != kind}, **inner}


def _tools(tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"tools": [_tool(tool) for tool in tools]}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Functions are strict here unless it is said that they are not, and their parameters are always named."""
    made = flat(tool)
    if isinstance(made.get("format"), Mapping):
        made["format"] = flat(made["format"])
    if tool.get("type") != "function" or not isinstance(tool.get("function"), Mapping):
        return made
    nothing = {"type": "object", "properties": {}}
    return {**made, "parameters": made.get("parameters") or nothing, "strict": made.get("strict") or False}


def _tool_choice(choice: Any) -> dict[str, Any]:
    if not isinstance(choice, Mapping):
        return {"tool_choice": choice}
    made = flat(choice)
    if isinstance(made.get("tools"), list | tuple):
        made["tools"] = [flat(tool) if isinstance(tool, Mapping) else tool for tool in made["tools"]]
    return {"tool_choice": made}


def _response_format(value: Any) -> dict[str, Any]:
    if value == {}:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"response_format must be a dict like {{'type': 'json_schema', …}}, not {value!r}")
    return {"text": {"format": flat(value)}}


RULES: dict[str, Rule] = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "reasoning_effort": lambda effort: {"reasoning": {"effort": effort}},
    "verbosity": lambda verbosity: {"text": {"verbosity": verbosity}},
    "stream_options": without_usage,
    "stop": REFUSED,
    "n": REFUSED,
    "seed": REFUSED,
    "logprobs": REFUSED,
    "logit_bias": REFUSED,
    "frequency_penalty": REFUSED,
    "presence_penalty": REFUSED,
}
