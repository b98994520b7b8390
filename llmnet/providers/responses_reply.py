"""The output of a Responses reply, from its deltas and its items: each text and call once, however often it comes.

A stream sends an item in pieces and then complete, and some servers leave one of the two out: what was returned stays,
and a complete item only adds what goes beyond it. A blank line separates the parts of reasoning, and its items.
"""

from bisect import bisect
from collections.abc import Hashable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from llmnet.core.draft import MAX_CALLS, MAX_ITEMS, Draft
from llmnet.core.reply_text import check_count
from llmnet.core.tool_call import ToolCallDelta
from llmnet.providers.openai_chat_reply import nested_text
from llmnet.providers.reading import Object, dict_of, dicts_of, remainder, text_of
from llmnet.providers.responses_calls import ARGUMENTS, arguments_in, call_increment, is_call, numbers_of
from llmnet.providers.responses_reasoning import BLANK_LINE, ReasoningText
from llmnet.providers.tool_calls import Calls
from llmnet.providers.tool_rows import LAST, index_of

# An item with its place in the output.
Item = tuple[int, Object]

_PLACE = ("item_id", "output_index", "content_index", "summary_index")
FIELDS = ("content", "refusal", "reasoning")
_TEXTS = ("output_text", "text")
_WITH_TEXT = (None, "message", "reasoning", *_TEXTS)


class Output:
    """The output of a stream so far, by its items."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.reasoning = ReasoningText(draft)
        self.calls = Calls(draft, repeats=True)
        self.pending: set[int] = set()  # items that have opened, without any output so far
        self._numbers: dict[Hashable, int] = {}
        self._shared: set[Hashable] = set()  # ids or places that several items were sent under
        self._last = self._count = 0
        self.closed: list[Item] = []  # complete items, in the order of their places
        self._texts: list[dict[str, str]] = []  # what each of them says
        self._opened: dict[int, Object] = {}  # items that opened with their texts
        self._open_calls: set[int] = set()  # the numbers of calls whose item has opened and not closed
        self._closed_texts = dict.fromkeys(FIELDS, "")  # what all of them say
        self._begun_parts = 0
        self._place: tuple[Any, ...] = ()  # of the latest piece: nearly every piece has the same one
        self._with_delta: set[Hashable] = set()  # parts of which a delta has come
        self.has_deltas = False  # whether any text has come by deltas

    def number(self, payload: Object, *, opens: bool = False) -> int:
        """The number of an event's item: by its id or place, whichever no other item has; else the latest item."""
        names = names_of(payload)
        known = [name for name in names if name in self._numbers]
        name = next((name for name in known if name not in self._shared), known[0] if known else None)
        if names and not opens and name is not None:
            number = self._numbers[name]
        else:
            number = self._count if names or opens else self._last
            self._count += bool(names or opens)
        if name is None or opens:
            self._shared |= {name for name in known if self._numbers[name] != number}
            self._numbers |= dict.fromkeys(names, number)
            check_count(len(self._numbers), 4 * MAX_ITEMS, "ids and places of items")
        self._last = number
        return number

    def begin_part(self) -> None:
        """Count a part: some servers announce their parts and do not number them."""
        self._begun_parts += 1
        self._place = ()

    def is_latest(self, place: tuple[Any, ...]) -> bool:
        """Whether the latest piece of a text had this kind and place; another one there adds its text alone."""
        return place == self._place

    def text(self, payload: Object, field: str, kind: str, piece: str, *, complete: bool) -> Object:
        """What a piece of a text adds; a complete text only where no piece of it came before."""
        place = (kind, *map(payload.get, _PLACE))
        if self.is_latest(place) and field != "reasoning" and not complete:
            return {field: piece}
        self._place = place
        number = self.number(payload)
        self.pending.discard(number)
        index = index_of(payload.get("summary_index", payload.get("content_index")))
        part = self._begun_parts if index is None else index
        if complete and (number, kind, part) in self._with_delta:
            return {}
        self._with_delta.add((number, kind, part))
        self.has_deltas = self.has_deltas or not complete
        check_count(len(self._with_delta), 4 * MAX_ITEMS, "parts")
        return {field: self.reasoning.add(number, kind, part, piece) if field == "reasoning" else piece}

    def call(self, payload: Object, item: Object, *, opens: bool = False) -> Object:
        """What an event adds to a call, which is known by its `call_id`, by its item or by its place."""
        self.pending.discard(self.number(payload, opens=opens))
        names = names_of(payload) or (LAST,)
        places = names[:1] if opens and len(names) > 1 else names
        call_id, name, arguments = text_of(item.get("call_id")), text_of(item.get("name")), arguments_in(item)
        number, name = self.calls.number(call_id, name, arguments, places, names)
        return {"tools": call_increment(self.draft, number, {**item, "name": name, "arguments": arguments})}

    def call_piece(self, payload: Object, piece: str) -> Object:
        """A piece of a call's arguments."""
        self.pending.discard(self.number(payload))
        number, _ = self.calls.number("", "", piece, names_of(payload) or (LAST,))
        return {"tools": [ToolCallDelta(index=number, arguments=piece)] if piece else []}

    def open(self, payload: Object) -> Object:
        """Open an item; a call adds its name, other items add nothing yet."""
        item = dict_of(payload.get("item"))
        if is_call(item):
            added = self.call(payload, {**item, ARGUMENTS[item["type"]]: ""}, opens=True)
            self._open_calls.update(delta.index for delta in added["tools"])
            return added
        number = self.number(payload, opens=True)
        self.pending.add(number)
        check_count(len(self.pending), MAX_ITEMS, "open items")
        if any(texts_in(item).values()):
            self._opened[number] = item
            check_count(len(self._opened), MAX_ITEMS, "items")
        return {}

    def opened_texts(self) -> dict[str, str]:
        """The texts with which items opened; they count where a stream has no others."""
        return joined_texts([*map(texts_in, self._opened.values())])

    def close(self, payload: Object) -> Object:
        """Keep a complete item; it adds what goes beyond its deltas."""
        item, number = dict_of(payload.get("item")), self.number(payload)
        self.pending.discard(number)
        index = index_of(payload.get("output_index"))
        place = number if index is None else index
        at = bisect(self.closed, place, key=itemgetter(0))
        self.closed.insert(at, (place, item))
        self._texts.insert(at, texts_in(item))
        check_count(len(self.closed), MAX_ITEMS, "items")
        if is_call(item):
            return self._close_call(payload, item)
        return texts_beyond(self._texts_of_closed(at), self.draft) if item.get("type") in _WITH_TEXT else {}

    def _close_call(self, payload: Object, item: Object) -> Object:
        """A complete call: the one that is open under its item, even where its `call_id` is a new one."""
        numbers = [self.calls.places[name] for name in names_of(payload) if name in self.calls.places]
        name = text_of(item.get("name"))
        opened = next((n for n in numbers if n in self._open_calls and self.draft.tools[n].name == name), None)
        if opened is None or self.calls.has_id(text_of(item.get("call_id"))):
            added = self.call(payload, item)
        else:
            added = {"tools": call_increment(self.draft, opened, {**item, "arguments": arguments_in(item)})}
        self._open_calls.difference_update(numbers)
        return added

    def _texts_of_closed(self, at: int) -> dict[str, str]:
        """The texts of all closed items, in order of their places; nearly always the latest one is the last."""
        is_last = at == len(self._texts) - 1
        self._closed_texts = joined_texts([self._closed_texts, self._texts[at]] if is_last else self._texts)
        return self._closed_texts

    def match_calls(self, items: Iterable[Item]) -> tuple[list[ToolCallDelta], list[Object]]:
        """What the calls of a complete output add to the draft, and its items, each call with its id of the draft."""
        output = [item for _, item in items]
        calls = [item for item in output if is_call(item)]
        check_count(len(calls), MAX_CALLS, "tool calls")
        numbers = iter(numbers_of(calls, self.draft, self.calls.places))
        added: list[ToolCallDelta] = []
        for at, item in enumerate(output):
            if is_call(item):
                number = next(numbers)
                added += call_increment(self.draft, number, {**item, "arguments": arguments_in(item)})
                known = self.draft.tools[number].id
                output[at] = {**item, "call_id": known} if known and known != item.get("call_id") else item
        return added, output


def names_of(payload: Object) -> tuple[Hashable, ...]:
    """How an event names its item: by the item's id, by its place in the output."""
    item_id = text_of(payload.get("item_id")) or text_of(dict_of(payload.get("item")).get("id"))
    return tuple(name for name in (item_id or None, index_of(payload.get("output_index"))) if name is not None)


def texts_in(item: Object) -> dict[str, str]:
    """The texts of an item, by their fields in the draft."""
    return {"content": content_in(item), "refusal": refusal_in(item), "reasoning": reasoning_in(item)}


def joined_texts(texts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The texts of several items as one, a blank line between their reasonings."""
    parts = {field: [text[field] for text in texts if text[field]] for field in FIELDS}
    return {field: (BLANK_LINE if field == "reasoning" else "").join(parts[field]) for field in FIELDS}


def texts_beyond(texts: Mapping[str, str], draft: Draft) -> Object:
    """What complete texts add to the draft; what was returned stays."""
    known = {"content": draft.content, "refusal": draft.refusal, "reasoning": draft.reasoning}
    return {field: remainder(texts[field], text) for field, text in known.items()}


def content_in(item: Object) -> str:
    """The text of a message; some servers leave out its type, or send a string as its content."""
    if item.get("type") in _TEXTS:  # a part in the place of its message
        return nested_text(item)
    if item.get("type", "message") != "message":
        return ""
    content = item.get("content")
    if not isinstance(content, list):
        return nested_text(content)
    kinds = (None, *_TEXTS)
    return "".join(nested_text(part) for part in content if not isinstance(part, dict) or part.get("type") in kinds)


def refusal_in(item: Object) -> str:
    """The refusal of a message."""
    parts = dicts_of(item.get("content")) if item.get("type", "message") == "message" else []
    return "".join(text_of(part.get("refusal")) for part in parts)


def reasoning_in(item: Object) -> str:
    """The reasoning of an item: its summary and its text, or the longer one where one begins with the other."""
    if item.get("type") != "reasoning":
        return ""
    values = (item.get(name) for name in ("summary", "content", "text"))
    rows = (value if isinstance(value, list) else [value] for value in values)
    summary, content, text = (BLANK_LINE.join(filter(None, map(nested_text, parts))) for parts in rows)
    content = content or text
    if summary.startswith(content):
        return summary
    return content if content.startswith(summary) else summary + BLANK_LINE + content
