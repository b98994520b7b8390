"""What a Responses reply says, by its deltas and by its items: each thing once, however often it is told.

A stream tells an item in pieces and then whole, and some servers leave one of the two out: what was handed out stands,
and a whole item only adds what goes beyond it. Parts of reasoning are joined by a blank line, and so are its items.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from llmnet.core.chat import ToolCallDelta
from llmnet.core.draft import MAX_ITEMS, Draft, ToolDraft
from llmnet.core.growing_text import check_count
from llmnet.providers.openai_chat_reply import words_of
from llmnet.providers.reading import dict_of, dicts_of, rest, text_of
from llmnet.providers.responses_reasoning import BLANK_LINE, Thoughts
from llmnet.providers.responses_request import CALL, CUSTOM_CALL
from llmnet.providers.tool_calls import LAST, Calls, arguments_text, index_of, new_name

Object = dict[str, Any]
# An item with its place in the output.
Item = tuple[int, Object]

_SAME = ("item_id", "output_index", "content_index", "summary_index")
KINDS = ("content", "refusal", "reasoning")
_SPEAKING = (None, "message", "reasoning")
ARGUMENTS = {CALL: "arguments", CUSTOM_CALL: "input"}


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
        self._whole = dict.fromkeys(KINDS, "")  # the texts of all that is closed
        self._foremost = -1
        self._begun_parts = 0
        self._same: tuple[Any, ...] = ()  # where the piece before belonged: the next one nearly always goes on with it
        self._told: set[Hashable] = set()  # parts of which a delta came

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
        check_count(len(self._told), 4 * MAX_ITEMS, "parts")
        return {what: self.thoughts.add(number, kind, part, piece) if what == "reasoning" else piece}

    def call(self, payload: Object, item: Object, *, opens: bool = False) -> Object:
        """What an event says of a call, which is known by its `call_id`, by its item or by its place."""
        self.quiet.discard(self.number(payload, opens=opens))
        names = names_of(payload) or (LAST,)
        return {"tools": self._call(item, names[:1] if opens and len(names) > 1 else names, names)}

    def _call(self, item: Object, places: tuple[Hashable, ...], names: tuple[Hashable, ...]) -> list[ToolCallDelta]:
        call_id, said = text_of(item.get("call_id")), text_of(item.get("name"))
        whole = arguments_text(item.get(ARGUMENTS.get(text_of(item.get("type")), "arguments")))
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
            return self.call(payload, {**item, ARGUMENTS[item["type"]]: ""}, opens=True)
        self.quiet.add(self.number(payload, opens=True))
        check_count(len(self.quiet), MAX_ITEMS, "open items")
        return {}

    def close(self, payload: Object) -> Object:
        """An item is whole: it is kept, and adds what no delta has told."""
        item, number = dict_of(payload.get("item")), self.number(payload)
        self.quiet.discard(number)
        at = index_of(payload.get("output_index"))
        self._closed.append((number if at is None else at, item))
        check_count(len(self._closed), MAX_ITEMS, "items")
        if is_call(item):
            return self.call(payload, item)
        return texts_beyond(self._told_whole(), self.draft) if item.get("type") in _SPEAKING else {}

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

    def calls_beyond(self, items: Iterable[Item]) -> list[ToolCallDelta]:
        """What the calls of a whole output say beyond the draft; one without any id is known by its order."""
        numbers, told = sorted(self.draft.tools), []
        calls = [(at, item) for at, item in items if is_call(item)]
        for order, (at, item) in enumerate(calls):
            if not item.get("call_id") and not item.get("id") and order < len(numbers):
                whole = arguments_text(item.get(ARGUMENTS[item["type"]]))
                told += news_of_call(self.draft, numbers[order], {**item, "arguments": whole})
            else:
                names = names_of({"item": item})
                told += self._call(item, names or (("order", order),), (at,))
        return told


def names_of(payload: Object) -> tuple[Hashable, ...]:
    """By what an event names its item: the item's id, its place in the output."""
    item_id = text_of(payload.get("item_id")) or text_of(dict_of(payload.get("item")).get("id"))
    return tuple(name for name in (item_id or None, index_of(payload.get("output_index"))) if name is not None)


def is_call(item: Object) -> bool:
    """Whether an item calls a tool of the caller's; hosted tools are called by the vendor itself."""
    return text_of(item.get("type")) in ARGUMENTS


def news_of_call(draft: Draft, number: int, item: Object) -> list[ToolCallDelta]:
    """What a call's item says beyond the draft."""
    known = draft.tools.get(number) or ToolDraft()
    piece = ToolCallDelta(
        index=number,
        id="" if known.id else text_of(item.get("call_id")),
        name=new_name(known.name, text_of(item.get("name"))),
        arguments=rest(item["arguments"], known.arguments),
    )
    draft.tools.setdefault(number, known).custom |= item.get("type") == CUSTOM_CALL
    return [piece] if piece.id or piece.name or piece.arguments else []


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
    if item.get("type", "message") != "message":
        return ""
    content = item.get("content")
    if not isinstance(content, list):
        return words_of(content)
    kinds = (None, "output_text", "text")
    return "".join(words_of(part) for part in content if not isinstance(part, dict) or part.get("type") in kinds)


def refusal_in(item: Object) -> str:
    """Why a message refuses."""
    parts = dicts_of(item.get("content")) if item.get("type", "message") == "message" else []
    return "".join(text_of(part.get("refusal")) for part in parts)


def reasoning_in(item: Object) -> str:
    """The reasoning of an item: its summary and its text, or the longer one where they say the same."""
    if item.get("type") != "reasoning":
        return ""
    summary, content = (
        BLANK_LINE.join(filter(None, map(words_of, parts_in(item.get(n))))) for n in ("summary", "content")
    )
    if summary.startswith(content):
        return summary
    return content if content.startswith(summary) else summary + BLANK_LINE + content


def parts_in(value: Any) -> list[Any]:
    """The parts of a text that may be a list of them."""
    return value if isinstance(value, list) else [value]
