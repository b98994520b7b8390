"""What a chat reply has besides its texts and its service wants back: signatures, reasoning details, thinking blocks.

The message carries it under a key of its own; it is sent to the service that it came from and to no other.
"""

import json
from collections.abc import Mapping

from llmnet.core.draft import MAX_ITEMS, Draft
from llmnet.core.json import mended
from llmnet.core.reply_text import Text, check_count
from llmnet.providers.reading import Fields, Object, dict_of, dicts_of, text_of
from llmnet.providers.target import CHAT
from llmnet.providers.writing import VENDOR, without_empty

_LISTS = ("reasoning_details", "thinking_blocks")
_OBJECTS = ("extra_content", "provider_specific_fields")
_NAMES = (*_LISTS, *_OBJECTS)
# Texts of an item that come in pieces.
_GROWING = ("text", "summary", "thinking")


class Extras:
    """What is sent back of one reply: objects, and items whose texts may come in pieces."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self._items: dict[str, list[tuple[Object, dict[str, Text]]]] = {}

    def add(self, name: str, item: Object, draft: Draft, *, complete: bool) -> bool:
        """Add an item or a piece of the latest one; whether it is a new item."""
        items = self._items.setdefault(name, [])
        new = complete or not items or not _continues(*items[-1], item)
        if new:
            draft.keep(json.dumps(item))
            items.append(({}, {}))
            check_count(len(items), MAX_ITEMS, f"items in {name}")
        fields, texts = items[-1]
        for key, value in item.items():
            if key in _GROWING and isinstance(value, str):
                texts.setdefault(key, Text()).add(value)
            elif value is not None and value != fields.get(key):
                fields[key] = value
        return new

    def fields(self) -> Object:
        """All of it, as fields of the message that is sent back."""
        # Copies: `partial` is asked for by any thread, also while these grow.
        lists = {
            name: [{**fields, **{key: str(text) for key, text in [*texts.items()]}} for fields, texts in items]
            for name, items in [*self._items.items()]
        }
        return {**self.objects, **lists}


def collect(message: Fields, draft: Draft, *, complete: bool) -> str:
    """Keep the extras of a message or delta; returns the reasoning in them."""
    if message.keys().isdisjoint(_NAMES):
        return ""
    extras = draft.own(Extras)
    for name in _OBJECTS:
        value = dict_of(message.get(name))
        if value and value != extras.objects.get(name):
            draft.keep(json.dumps(value))
            extras.objects.setdefault(name, {}).update(value)
    texts = [_reasoning(extras, name, dicts_of(message.get(name)), draft, complete=complete) for name in _LISTS]
    return next(filter(None, texts), "")


def _reasoning(extras: Extras, name: str, items: list[Object], draft: Draft, *, complete: bool) -> str:
    """Keep items or pieces of them; returns their text, with a blank line between two items."""
    texts: list[str] = []
    for item in items:
        piece = next((text for key in _GROWING if (text := text_of(item.get(key)))), "")
        new = extras.add(name, item, draft, complete=complete)
        if piece and new and (texts or draft.reasoning):
            texts.append("\n\n")
        texts += [piece] if piece else []
    return "".join(texts)


def _continues(last: Fields, texts: Mapping[str, Text], item: Fields) -> bool:
    """Whether an item is a piece of the latest one; a signature ends that, and encrypted items come in one piece."""
    same = all(last.get(name) == item.get(name) for name in ("type", "index"))
    other = item.get("id") is not None and last.get("id") not in (None, item["id"])
    ended = last.get("signature") and any(item.get(name) for name in texts)
    return same and not other and not ended and not item.get("data")


def with_extras(message: Object, provider: str, draft: Draft) -> Object:
    """The message with the extras that its service wants back."""
    if not draft.tools and Extras not in draft.extra:
        return message
    tools = [draft.tools[index] for index in sorted(draft.tools)]
    calls = [{"at": at, "id": tool.id, "beside": tool.beside} for at, tool in enumerate(tools) if tool.beside]
    fields = draft.own(Extras).fields()
    own = {"form": CHAT, "service": provider, "beside": fields, "calls": calls}
    return {**message, VENDOR: mended(own)} if fields or calls else message


def outgoing(message: Fields, provider: str) -> Object:
    """A message as it is sent: with its extras and those of its calls if they came from this service, else without."""
    plain, own = without_empty(message), dict_of(message.get(VENDOR))
    if not own or own.get("form") != CHAT or own.get("service") != provider:
        return plain
    calls = [dict(call) for call in plain.get("tool_calls") or ()]
    for row in dicts_of(own.get("calls")):
        at = row.get("at")
        if isinstance(at, int) and at < len(calls) and calls[at].get("id") == row.get("id"):
            calls[at] = {**dict_of(row.get("beside")), **calls[at]}
    return {**dict_of(own.get("beside")), **plain, **({"tool_calls": calls} if calls else {})}
