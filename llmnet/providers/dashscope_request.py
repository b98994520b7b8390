"""Translates a chat, and what is asked of vectors, from OpenAI's form into new objects in DashScope's native one.

Text models take strings, multimodal ones lists of parts: one image, audio or video anywhere makes the whole
conversation multimodal, which has another address.

The facts: docs/vendors.md, Translation.
"""

from collections.abc import Callable, Mapping
from typing import Any

from llmnet.core.errors import ConfigurationError
from llmnet.core.request import ChatRequest
from llmnet.providers import writing
from llmnet.providers.target import NATIVE
from llmnet.providers.writing import REFUSED, Rule

MEDIA = frozenset({"image", "audio", "video"})
_OWN = MEDIA | {"text"}

Part = dict[str, Any]

# The vendor takes on, off and a number of tokens; these numbers are ours, from `low` on the same as litellm's.
BUDGETS = {"minimal": 512, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}


def _thinking(effort: Any) -> dict[str, Any]:
    if effort == "none":
        return {"enable_thinking": False}
    if not isinstance(effort, str) or effort not in BUDGETS:
        raise ConfigurationError(f"reasoning_effort must be one of none, {', '.join(BUDGETS)}, not {effort!r}")
    return {"enable_thinking": True, "thinking_budget": BUDGETS[effort]}


# The native column of docs/vendors.md, Translation; parameters without a rule are sent as they are.
RULES: dict[str, Rule] = {
    "max_completion_tokens": "max_tokens",
    "reasoning_effort": _thinking,
    "frequency_penalty": REFUSED,
    "store": writing.store_if_asked,
    "stream_options": writing.without_options,
    "user": REFUSED,
    "metadata": REFUSED,
}


def _floats(encoding: Any) -> dict[str, Any]:
    if encoding != "float":
        raise ConfigurationError(f"encoding_format={encoding!r} has no counterpart in the native form, it gives floats")
    return {}


EMBED_RULES: dict[str, Rule] = {"dimensions": "dimension", "encoding_format": _floats, "user": REFUSED}


def chat_body(chat: ChatRequest) -> tuple[dict[str, Any], str]:
    """The body that asks for a chat, and whether its address is that of `text` or of `multimodal` models.

    Raises:
        ConfigurationError: a part or a parameter has no counterpart there; the message names it.
    """
    read = [_read(message, f"messages[{i}]") for i, message in enumerate(chat.messages, chat.first)]
    multimodal = any(_has_media(message["content"]) for message in read)
    messages = [{**message, "content": _content(message["content"], multimodal)} for message in read]
    body = {"model": chat.model, "input": {"messages": messages}, "parameters": _parameters(chat)}
    return body, "multimodal" if multimodal else "text"


def _parameters(chat: ChatRequest) -> dict[str, Any]:
    """The caller's own in the vendor's names win over translations and defaults."""
    defaults = {"result_format": "message"} | ({"incremental_output": True} if chat.stream else {})
    ours = {name: value for name, value in defaults.items() if name not in chat.dropped}
    sorted_params = dict(sorted(writing.params_of(chat).items(), key=lambda item: item[0] not in RULES))
    return ours | writing.translated(sorted_params, RULES, NATIVE)


def embed_body(inputs: list[Any], model: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The body that asks for the vectors of some texts."""
    if not all(isinstance(text, str) for text in inputs):
        raise ConfigurationError("inputs must be strings: DashScope's native form takes no token lists")
    rest = writing.translated(writing.set_params(params), EMBED_RULES, NATIVE)
    return {"model": model, "input": {"texts": inputs}, "parameters": rest}


def _read(message: Mapping[str, Any], path: str) -> dict[str, Any]:
    role, content = message["role"], message.get("content")
    if role == "function":
        raise ConfigurationError(f"{path}.role 'function' has no counterpart in DashScope's native form; use 'tool'")
    if isinstance(content, list | tuple):
        content = [_part(part, f"{path}.content[{i}]") for i, part in enumerate(content)]
    if role == "tool" and _has_media(content):
        raise ConfigurationError(f"{path}.content: DashScope's native form takes only text as the answer of a tool")
    return {**writing.without_empty(message), "role": "system" if role == "developer" else role, "content": content}


def _has_media(content: Any) -> bool:
    return isinstance(content, list) and any(MEDIA & part.keys() for part in content)


def _content(content: str | list[Part] | None, multimodal: bool) -> str | list[Part]:
    """Parts for a multimodal model, else a string; a part with more than text, like `cache_control`, keeps the list."""
    if multimodal:
        return [{"text": content}] if isinstance(content, str) else content or []
    if isinstance(content, list) and all(part.keys() == {"text"} for part in content):
        return "".join(part["text"] for part in content)
    return content or ""


def _part(part: Mapping[str, Any], path: str) -> Part:
    kind = part.get("type")
    if isinstance(kind, str) and kind in _PARTS:
        return _PARTS[kind](part, path)
    if _OWN & part.keys():
        return dict(part)
    raise ConfigurationError(
        f"{path} of type {kind!r} has no counterpart in DashScope's native form: it takes {', '.join(sorted(_OWN))}"
    )


def _text(part: Mapping[str, Any], path: str) -> Part:
    """A part with more fields than its text is in the vendor's own form already."""
    text = _string(part.get("text"), f"{path}.text")
    return {"text": text} if part.keys() <= {"type", "text"} else dict(part)


def _image(part: Mapping[str, Any], path: str) -> Part:
    value = part.get("image_url")
    image = value if isinstance(value, Mapping) else {"url": value}
    if image.get("detail") not in (None, "auto"):
        raise ConfigurationError(f"{path}.image_url.detail has no counterpart in DashScope's native form; leave it out")
    return {**_rest(part, "image_url"), "image": _string(image.get("url"), f"{path}.image_url.url")}


def _audio(part: Mapping[str, Any], path: str) -> Part:
    value = part.get("input_audio")
    audio = value if isinstance(value, Mapping) else {}
    data = _string(audio.get("data"), f"{path}.input_audio.data")
    if not data.startswith(("data:", "http://", "https://")):
        data = f"data:audio/{_string(audio.get('format'), f'{path}.input_audio.format')};base64,{data}"
    return {**_rest(part, "input_audio"), "audio": data}


def _rest(part: Mapping[str, Any], name: str) -> Part:
    """The other fields of the part, such as `min_pixels`."""
    return {key: value for key, value in part.items() if key not in ("type", name)}


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{path} must be a string, not {type(value).__name__}")
    return value


_PARTS: dict[str, Callable[[Mapping[str, Any], str], Part]] = {
    "text": _text,
    "image_url": _image,
    "input_audio": _audio,
}
