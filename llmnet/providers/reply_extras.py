"""What a chat reply brings beside its words and its service wants back: signatures, reasoning details, thinking blocks.

It rides in the message under a key of its own, and goes out to the service that it came from, to no other.
"""

import json
from collections.abc import Mapping
from typing import Any

from llmnet.core.draft import MAX_ITEMS, Draft
from llmnet.core.growing_text import Text, check_count
from llmnet.core.json import mended
from llmnet.providers.reading import dict_of, dicts_of, text_of
from llmnet.providers.writing import VENDOR, tidy

FORM = "chat-completions"
_LISTS = ("reasoning_details", "thinking_blocks")
_OBJECTS = ("extra_content", "provider_specific_fields")
# Texts of an item that come in pieces.
_GROWING = ("text", "summary", "thinking")


class Kept:
    """What goes back of one reply: objects, and items whose texts may come in pieces."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self._items: dict[str, list[tuple[dict[str, Any], dict[str, Text]]]] = {}

    def add(self, name: str, item: dict[str, Any], draft: Draft, *, whole: bool) -> bool:
        """Take an item, or a piece of the one before; whether it is a new one."""
        items = self._items.setdefault(name, [])
        new = whole or not items or not _continues(*items[-1], item)
        if new:
            draft.keep(json.dumps(item))
            items.append(({}, {}))
            check_count(len(items), MAX_ITEMS, f"items in {name}")
        said, texts = items[-1]
        for key, value in item.items():
            if key in _GROWING and isinstance(value, str):
                texts.setdefault(key, Text()).add(value)
            elif value is not None and value != said.get(key):
                said[key] = value
        return new

    def whole(self) -> dict[str, Any]:
        """All of it, as it goes back."""
        lists = {
            name: [{**said, **{key: str(text) for key, text in texts.items()}} for said, texts in items]
            for name, items in self._items.items()
        }
        return {**self.objects, **lists}


def gather(said: Mapping[str, Any], draft: Draft, *, whole: bool) -> str:
    """Keep what goes back; gives the reasoning that stands in it."""
    if not any(said.get(name) for name in (*_LISTS, *_OBJECTS)):
        return ""
    kept = draft.own(Kept)
    for name in _OBJECTS:
        value = dict_of(said.get(name))
        if value and value != kept.objects.get(name):
            draft.keep(json.dumps(value))
            kept.objects.setdefault(name, {}).update(value)
    texts = [_reasoning(kept, name, dicts_of(said.get(name)), draft, whole=whole) for name in _LISTS]
    return next(filter(None, texts), "")


def _reasoning(kept: Kept, name: str, items: list[dict[str, Any]], draft: Draft, *, whole: bool) -> str:
    """Keep items, or pieces of them; their text, with a blank line between two of them."""
    texts: list[str] = []
    for item in items:
        piece = next((words for word in _GROWING if (words := text_of(item.get(word)))), "")
        new = kept.add(name, item, draft, whole=whole)
        if piece and new and (texts or draft.reasoning):
            texts.append("\n\n")
        texts += [piece] if piece else []
    return "".join(texts)


def _continues(last: Mapping[str, Any], texts: Mapping[str, Text], item: Mapping[str, Any]) -> bool:
    """Whether an item is a piece of the one before; a signature ends it, and what is encrypted comes whole."""
    same = all(last.get(name) == item.get(name) for name in ("type", "index"))
    other = item.get("id") is not None and last.get("id") not in (None, item["id"])
    ended = last.get("signature") and any(item.get(name) for name in texts)
    return same and not other and not ended and not item.get("data")


def with_beside(message: dict[str, Any], provider: str, draft: Draft) -> dict[str, Any]:
    """The message with what its service wants back."""
    tools = [draft.tools[index] for index in sorted(draft.tools)]
    calls = [{"at": at, "id": tool.id, "beside": tool.beside} for at, tool in enumerate(tools) if tool.beside]
    beside = draft.own(Kept).whole()
    own = {"form": FORM, "service": provider, "beside": beside, "calls": calls}
    return {**message, VENDOR: mended(own)} if beside or calls else message


def sent_back(message: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """The message as it goes out: what lies beside it to the service that it came from, and each call with its own."""
    plain = tidy({name: value for name, value in message.items() if name != VENDOR})
    own = dict_of(message.get(VENDOR))
    if own.get("form") != FORM or own.get("service") != provider:
        return plain
    calls = [dict(call) for call in plain.get("tool_calls") or ()]
    for row in dicts_of(own.get("calls")):
        at = row.get("at")
        if isinstance(at, int) and at < len(calls) and calls[at].get("id") == row.get("id"):
            calls[at] = {**dict_of(row.get("beside")), **calls[at]}
    return {**dict_of(own.get("beside")), **plain, **({"tool_calls": calls} if calls else {})}
