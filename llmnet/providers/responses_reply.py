"""What a Responses reply says, by its deltas and by its items: each thing once, however often it is told.

A stream tells an item in pieces and then whole, and some servers leave one of the two out: what was handed out stands,
and a whole item only adds what goes beyond it. Parts of reasoning are joined by a blank line, and so are its items.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from llmnet.core.chat import ToolCallDelta
from llmnet.core.draft import MAX_CALLS, MAX_ITEMS, Draft
from llmnet.core.growing_text import check_count
from llmnet.providers.openai_chat_reply import words_of
from llmnet.providers.reading import dict_of, dicts_of, rest, text_of
from llmnet.providers.responses_calls import ARGUMENTS, arguments_in, is_call, news_of_call, numbers_of
from llmnet.providers.responses_reasoning import BLANK_LINE, Thoughts
from llmnet.providers.tool_calls import Calls
from llmnet.providers.tool_rows import LAST, index_of

Object = dict[str, Any]
# An item with its place in the output.
Item = tuple[int, Object]

_SAME = ("item_id", "output_index", "content_index", "summary_index")
KINDS = ("content", "refusal", "reasoning")
_TEXTS = ("output_text", "text")
_SPEAKING = (None, "message", "reasoning", *_TEXTS)


class Output:
    """The output of a stream so far, by its items."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.thoughts = Thoughts(draft)
        self.calls = Calls(draft, repeats=True)
        self.quiet: set[int] = set()  # items that are open and of which nothing was shown yet
        self._numbers: dict[Hashable, int] = {}
        self._shared: set[Hashable] = set()  # ids or places that several items were given
        self._last = self._count = 0
        self._closed: list[Item] = []
        self._opened: dict[int, Object] = {}
        self._open_calls: set[int] = set()  # the numbers of calls whose item has opened and is not whole yet
        self._whole = dict.fromkeys(KINDS, "")  # the texts of all that is closed
        self._foremost = -1
        self._begun_parts = 0
        self._same: tuple[Any, ...] = ()  # where the piece before belonged: the next one nearly always goes on with it
        self._told: set[Hashable] = set()  # parts of which a delta came
        self.in_pieces = False  # whether any text came by deltas

    def number(self, payload: Object, *, opens: bool = False) -> int:
        """The number of an event's item: by its id or its place, whichever is its own, else it is the last one."""
        names = names_of(payload)
        told = [name for name in names if name in self._numbers]
        known = next((name for name in told if name not in self._shared), told[0] if told else None)
        if names and not opens and known is not None:
            number = self._numbers[known]
        else:
            number = self._count if names or opens else self._last
            self._count += bool(names or opens)
        if known is None or opens:
            self._shared |= {name for name in told if self._numbers[name] != number}
            self._numbers |= dict.fromkeys(names, number)
            check_count(len(self._numbers), 4 * MAX_ITEMS, "ids and places of items")
        self._last = number
        return number

    def begin_part(self) -> None:
        """A part begins: some servers say so, and do not number their parts."""
        self._begun_parts += 1
        self._same = ()

    def text(self, payload: Object, what: str, kind: str, piece: str, *, whole: bool) -> Object:
        """What a piece of a text adds; a whole one only where no piece of it came."""
        same = (kind, *map(payload.get, _SAME))
        if same == self._same and what != "reasoning" and not whole:
            return {what: piece}
        self._same = same
        number = self.number(payload)
        self.quiet.discard(number)
        index = index_of(payload.get("summary_index", payload.get("content_index")))
        part = self._begun_parts if index is None else index
        if whole and (number, kind, part) in self._told:
            return {}
        self._told.add((number, kind, part))
        self.in_pieces = self.in_pieces or not whole
        check_count(len(self._told), 4 * MAX_ITEMS, "parts")
        return {what: self.thoughts.add(number, kind, part, piece) if what == "reasoning" else piece}

    def call(self, payload: Object, item: Object, *, opens: bool = False) -> Object:
        """What an event says of a call, which is known by its `call_id`, by its item or by its place."""
        self.quiet.discard(self.number(payload, opens=opens))
        names = names_of(payload) or (LAST,)
        return {"tools": self._call(item, names[:1] if opens and len(names) > 1 else names, names)}

    def _call(self, item: Object, places: tuple[Hashable, ...], names: tuple[Hashable, ...]) -> list[ToolCallDelta]:
        call_id, said = text_of(item.get("call_id")), text_of(item.get("name"))
        whole = arguments_in(item)
        number, name = self.calls.number(call_id, said, whole, places, names)
        return news_of_call(self.draft, number, {**item, "name": name, "arguments": whole})

    def call_piece(self, payload: Object, piece: str) -> Object:
        """A piece of a call's arguments."""
        self.quiet.discard(self.number(payload))
        number, _ = self.calls.number("", "", piece, names_of(payload) or (LAST,))
        return {"tools": [ToolCallDelta(index=number, arguments=piece)] if piece else []}

    def open(self, payload: Object) -> Object:
        """An item opens; a call already tells its name, others show nothing yet."""
        item = dict_of(payload.get("item"))
        if is_call(item):
            news = self.call(payload, {**item, ARGUMENTS[item["type"]]: ""}, opens=True)
            self._open_calls.update(piece.index for piece in news["tools"])
            return news
        number = self.number(payload, opens=True)
        self.quiet.add(number)
        check_count(len(self.quiet), MAX_ITEMS, "open items")
        if any(texts_in([item]).values()):
            self._opened[number] = item
            check_count(len(self._opened), MAX_ITEMS, "items")
        return {}

    def opened(self) -> list[Object]:
        """Items that opened with their texts; they count where a stream tells of nothing else."""
        return list(self._opened.values())

    def close(self, payload: Object) -> Object:
        """An item is whole: it is kept, and adds what no delta has told."""
        item, number = dict_of(payload.get("item")), self.number(payload)
        self.quiet.discard(number)
        at = index_of(payload.get("output_index"))
        self._closed.append((number if at is None else at, item))
        check_count(len(self._closed), MAX_ITEMS, "items")
        if is_call(item):
            return self._close_call(payload, item)
        return texts_beyond(self._told_whole(), self.draft) if item.get("type") in _SPEAKING else {}

    def _close_call(self, payload: Object, item: Object) -> Object:
        """A call is whole: the one that is open under its item, even if it is told by a new `call_id` now."""
        numbers = [self.calls.places[name] for name in names_of(payload) if name in self.calls.places]
        name = text_of(item.get("name"))
        opened = next((n for n in numbers if n in self._open_calls and self.draft.tools[n].name == name), None)
        if opened is None or self.calls.knows(text_of(item.get("call_id"))):
            news = self.call(payload, item)
        else:
            news = {"tools": news_of_call(self.draft, opened, {**item, "arguments": arguments_in(item)})}
        self._open_calls.difference_update(numbers)
        return news

    def _told_whole(self) -> dict[str, str]:
        """The texts of all items that are closed, in their order; nearly always the last one comes last."""
        at, item = self._closed[-1]
        more = texts_in([item])
        if at >= self._foremost:
            parted = BLANK_LINE if self._whole["reasoning"] and more["reasoning"] else ""
            more["reasoning"] = parted + more["reasoning"]
            self._whole = {what: self._whole[what] + more[what] for what in KINDS}
        else:
            self._whole = texts_in(item for _, item in self.items())
        self._foremost = max(at, self._foremost)
        return self._whole

    def items(self) -> list[Item]:
        """The items that the stream has told whole, in their order."""
        return sorted(self._closed, key=lambda row: row[0])

    def pair(self, items: Iterable[Item]) -> tuple[list[ToolCallDelta], list[Object]]:
        """What the calls of a whole output say beyond the draft, and its items, each call by the id handed out."""
        whole = [item for _, item in items]
        calls = [item for item in whole if is_call(item)]
        check_count(len(calls), MAX_CALLS, "tool calls")
        numbers = iter(numbers_of(calls, self.draft, self.calls.places))
        news: list[ToolCallDelta] = []
        for at, item in enumerate(whole):
            if is_call(item):
                number = next(numbers)
                news += news_of_call(self.draft, number, {**item, "arguments": arguments_in(item)})
                known = self.draft.tools[number].id
                whole[at] = {**item, "call_id": known} if known and known != item.get("call_id") else item
        return news, whole


def names_of(payload: Object) -> tuple[Hashable, ...]:
    """By what an event names its item: the item's id, its place in the output."""
    item_id = text_of(payload.get("item_id")) or text_of(dict_of(payload.get("item")).get("id"))
    return tuple(name for name in (item_id or None, index_of(payload.get("output_index"))) if name is not None)


def texts_in(items: Iterable[Object]) -> dict[str, str]:
    """The texts of items, by their kinds."""
    rows = list(items)
    return {
        "content": "".join(map(content_in, rows)),
        "refusal": "".join(map(refusal_in, rows)),
        "reasoning": BLANK_LINE.join(filter(None, map(reasoning_in, rows))),
    }


def texts_beyond(whole: Mapping[str, str], draft: Draft) -> Object:
    """What whole texts say beyond the draft; what was handed out stands."""
    told = {"content": draft.content, "refusal": draft.refusal, "reasoning": draft.reasoning}
    return {what: rest(whole[what], text) for what, text in told.items()}


def content_in(item: Object) -> str:
    """The text of a message; some servers leave out its type, or write it as one text."""
    if item.get("type") in _TEXTS:  # a part where its message belongs
        return words_of(item)
    if item.get("type", "message") != "message":
        return ""
    content = item.get("content")
    if not isinstance(content, list):
        return words_of(content)
    kinds = (None, *_TEXTS)
    return "".join(words_of(part) for part in content if not isinstance(part, dict) or part.get("type") in kinds)


def refusal_in(item: Object) -> str:
    """Why a message refuses."""
    parts = dicts_of(item.get("content")) if item.get("type", "message") == "message" else []
    return "".join(text_of(part.get("refusal")) for part in parts)


def reasoning_in(item: Object) -> str:
    """The reasoning of an item: its summary and its text, or the longer one where they say the same."""
    if item.get("type") != "reasoning":
        return ""
    summary, content, text = (
        BLANK_LINE.join(filter(None, map(words_of, parts_in(item.get(n))))) for n in ("summary", "content", "text")
    )
    content = content or text
    if summary.startswith(content):
        return summary
    return content if content.startswith(summary) else summary + BLANK_LINE + content


def parts_in(value: Any) -> list[Any]:
    """The parts of a text that may be a list of them."""
    return value if isinstance(value, list) else [value]
