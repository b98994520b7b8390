"""Translates a conversation from OpenAI's chat form into Anthropic's `system` and `messages`.

Blocks in Anthropic's own form pass unchanged; what has no counterpart is an error that names its path.

The facts: docs/vendors.md, Translation.
"""

import base64
from collections.abc import Callable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any
from urllib.parse import unquote

from llmnet.core.errors import ConfigurationError
from llmnet.core.json import Texts, decode
from llmnet.providers.anthropic_params import valid_id
from llmnet.providers.anthropic_reply import sendable
from llmnet.providers.reading import text_of
from llmnet.providers.target import MESSAGES
from llmnet.providers.writing import VENDOR, items_in

Blocks = list[dict[str, Any]]

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_ALIASES = {"image/jpg": "image/jpeg"}
_NO_PARTS = ("input_audio", "video_url")
_RESULT_KEYS = ("is_error", "cache_control", "toolset_name")
# Fields of a message besides role and content that are translated, or not needed in the next turn.
# Reasoning is sent back only as signed blocks (docs/vendors.md, Translation).
_KEYS: dict[str, tuple[str, ...]] = {
    "assistant": ("tool_calls", "refusal", "annotations", "reasoning", "reasoning_content", "reasoning_details"),
    "tool": ("tool_call_id", "name", *_RESULT_KEYS),
}


def conversation(messages: list[dict[str, Any]], first: int, *, signed: bool) -> dict[str, Any]:
    """The conversation for the body.

    All system messages move to `system`, in order. Adjacent messages of one side become one, as the server would make
    them, with all tool results first, as it requires. A message without blocks is left out.

    Errors number the messages from *first*; a host that has *signed* its thinking takes back no other.

    Raises:
        ConfigurationError: something in it has no counterpart.
    """
    translated = [_translated(message, f"messages[{i}]", signed) for i, message in enumerate(messages, first)]
    system = [block for side, blocks in translated if side == "system" for block in blocks]
    turns = _joined([(side, blocks) for side, blocks in translated if side != "system" and blocks])
    if not turns:
        raise ConfigurationError("messages holds nothing to answer; Anthropic needs a user message that is not blank")
    return ({"system": system} if system else {}) | {"messages": turns}


def _translated(message: dict[str, Any], path: str, signed: bool) -> tuple[str, Blocks]:
    role = message["role"]
    if role not in _ROLES:
        raise _lacking(f"{path}.role {role!r}")
    side, translate = _ROLES[role]
    if type(message) is Texts:  # as most are
        return side, _blocks(message["content"], path) if message["content"].strip() else []
    known = ("role", "content", VENDOR, *_KEYS.get(role, ()))
    if unknown := next((name for name, value in message.items() if value and name not in known), None):
        raise _lacking(f"{path}.{unknown}")
    return side, [block for block in translate(message, path) if sendable(block, signed=signed)]


def _joined(sides: list[tuple[str, Blocks]]) -> Blocks:
    toolsets = {
        block["id"]: block["toolset_name"]
        for side, blocks in sides
        for block in blocks
        if side == "assistant" and block.get("toolset_name") and block.get("id")
    }
    return [
        {"role": side, "content": _ordered([block for _, blocks in run for block in blocks], toolsets)}
        for side, run in groupby(sides, key=itemgetter(0))
    ]


def _ordered(blocks: Blocks, toolsets: dict[str, str]) -> Blocks:
    """Tool results first, each with the toolset of the call that it answers."""
    results: Blocks = []
    for block in blocks:
        if block.get("type") == "tool_result":
            toolset = toolsets.get(block.get("tool_use_id", ""))
            results.append({"toolset_name": toolset, **block} if toolset else block)
    return results + [block for block in blocks if block.get("type") != "tool_result"]


def _system(message: dict[str, Any], path: str) -> Blocks:
    blocks = _blocks(message["content"], f"{path}.content")
    for i, block in enumerate(blocks):
        if block["type"] != "text":
            raise ConfigurationError(f"{path}.content[{i}] is no text; Anthropic's system holds nothing else")
    return blocks


def _assistant(message: dict[str, Any], path: str) -> Blocks:
    """Anthropic's own blocks unchanged; else text, then tool calls."""
    own = items_in(message, MESSAGES)
    if own is not None:
        return own
    calls = enumerate(message.get("tool_calls") or ())
    return [
        *_blocks(message.get("content") or "", f"{path}.content"),
        *_blocks(text_of(message.get("refusal")), f"{path}.refusal"),
        *(_tool_use(call, f"{path}.tool_calls[{i}]") for i, call in calls),
    ]


def _tool_use(call: Mapping[str, Any], path: str) -> dict[str, Any]:
    function = call.get("function")
    if not isinstance(function, Mapping):
        raise _lacking(f"{path} without 'function'")
    names = {"id": valid_id(call.get("id")), "name": text_of(function.get("name"))}
    return {"type": "tool_use", **names, "input": _arguments(function.get("arguments"), f"{path}.function.arguments")}


def _arguments(arguments: Any, path: str) -> Any:
    """The input of a tool is an object, not its text."""
    value = arguments.strip() if isinstance(arguments, str) else arguments
    try:
        value = decode(value) if value and isinstance(value, str) else value
    except ValueError as error:
        raise ConfigurationError(f"{path} is no JSON ({error}); Anthropic takes arguments as an object") from None
    if value and not isinstance(value, dict):
        raise ConfigurationError(f"{path} must be a JSON object, not {value!r}")
    return value or {}


def _tool(message: dict[str, Any], path: str) -> Blocks:
    """A tool's answer; an empty one is an answer too."""
    blocks = [block for block in _blocks(message["content"], f"{path}.content") if sendable(block, signed=True)]
    plain = isinstance(message["content"], str)
    content = {"content": message["content"] if plain else blocks} if blocks else {}
    rest = {name: message[name] for name in _RESULT_KEYS if message.get(name) is not None}
    return [{"type": "tool_result", "tool_use_id": valid_id(message["tool_call_id"]), **content, **rest}]


_ROLES: dict[str, tuple[str, Callable[[dict[str, Any], str], Blocks]]] = {
    "system": ("system", _system),
    "developer": ("system", _system),
    "user": ("user", lambda message, path: _blocks(message["content"], f"{path}.content")),
    "tool": ("user", _tool),
    "assistant": ("assistant", _assistant),
}


def _blocks(content: Any, path: str) -> Blocks:
    """A content as blocks."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_block(part, f"{path}[{i}]") for i, part in enumerate(content)]


def _block(part: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A part as a block, with its other fields, like `cache_control`; unknown types are Anthropic's own."""
    kind = part.get("type")
    if not isinstance(kind, str):
        raise ConfigurationError(f"{path}.type must name the kind of the part, like 'text', not {kind!r}")
    if kind in _NO_PARTS:
        raise _lacking(f"{path}.{kind}")
    if kind not in _PARTS:
        return dict(part)
    rest = {name: value for name, value in part.items() if name not in ("type", kind)}
    return _PARTS[kind](part.get(kind), f"{path}.{kind}") | rest


def _image(image: Any, path: str) -> dict[str, Any]:
    url = text_of(image.get("url") if isinstance(image, Mapping) else image)
    if isinstance(image, Mapping) and image.get("detail") == "low":
        raise _lacking(f"{path}.detail 'low'")
    if source := _url_source(url, path):
        return {"type": "image", "source": source}
    media, data, is_base64 = _data_url(url, path)
    if media not in IMAGES or not is_base64:
        raise ConfigurationError(f"{path} must be base64 of {', '.join(IMAGES)}, not {url[:40]!r}")
    return {"type": "image", "source": {"type": "base64", "media_type": media, "data": data}}


def _file(file: Any, path: str) -> dict[str, Any]:
    fields: Mapping[str, Any] = file if isinstance(file, Mapping) else {}
    title = {"title": fields["filename"]} if fields.get("filename") else {}
    if file_id := fields.get("file_id"):
        return {"type": "document", "source": {"type": "file", "file_id": file_id}, **title}
    url, path = text_of(fields.get("file_data")), f"{path}.file_data"
    source = _url_source(url, path) or _document_source(url, path)
    return {"type": "document", "source": source, **title}


def _document_source(url: str, path: str) -> dict[str, Any]:
    media, data, is_base64 = _data_url(url, path)
    if media == "application/pdf" and is_base64:
        return {"type": "base64", "media_type": media, "data": data}
    if media and not media.startswith("text/"):
        raise ConfigurationError(f"{path} must be a PDF in base64 or text, not {url[:40]!r}; images go as image_url")
    try:
        text = base64.b64decode(data, validate=True).decode() if is_base64 else unquote(data, errors="strict")
    except ValueError as error:
        raise ConfigurationError(f"{path} holds no text in UTF-8: {error}") from None
    return {"type": "text", "media_type": "text/plain", "data": text}


def _url_source(url: str, path: str) -> dict[str, Any] | None:
    """The source that Anthropic fetches itself; `None` for a data URL."""
    scheme = url.partition(":")[0].lower()
    if scheme not in ("https", "data"):
        raise ConfigurationError(f"{path} must be an https address or a data URL, not {url[:80]!r}")
    return {"type": "url", "url": url} if scheme == "https" else None


def _data_url(url: str, path: str) -> tuple[str, str, bool]:
    """Media type and data of a data URL, and whether the data is base64."""
    head, comma, data = url.partition(":")[2].partition(",")
    if not comma:
        raise ConfigurationError(f"{path} is no data URL like data:image/png;base64,…: {url[:40]!r}")
    media, *flags = (word.strip().lower() for word in head.split(";"))
    return _ALIASES.get(media, media), data, "base64" in flags


def _lacking(what: str) -> ConfigurationError:
    return ConfigurationError(f"{what} has no counterpart in the messages form; leave it out for this provider")


_PARTS: dict[str, Callable[[Any, str], dict[str, Any]]] = {
    "image_url": _image,
    "file": _file,
    "refusal": lambda refusal, _: {"type": "text", "text": text_of(refusal)},
}
