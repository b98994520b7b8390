"""The blocks of a Messages reply: each opens, grows and stops, and goes back in the next turn as it came.

The facts: docs/vendors.md, Messages.
"""

from collections.abc import Callable, Iterable
from typing import Any

from llmnet.core.chat import ToolCallDelta
from llmnet.core.draft import MAX_ITEMS, Draft
from llmnet.core.growing_text import Text, check_count
from llmnet.core.json import decode
from llmnet.providers.anthropic_usage import Counts
from llmnet.providers.reading import dicts_of, text_of
from llmnet.providers.tool_rows import arguments_text

# What an event shows, as arguments of `Draft.add`.
Shown = dict[str, Any]

# How Anthropic wants tool input that broke off: as text, in an object of one's own.
BROKEN_INPUT = "INVALID_JSON"


class Block:
    """One block: how it opened, and the texts that its deltas make longer.

    Attributes:
        opened: the block as it opened, later with what deltas set or append.
        call: the number of the tool call that it is, or `None`.
    """

    __slots__ = ("_cited", "_grown", "call", "opened")

    def __init__(self, opened: dict[str, Any], call: int | None = None) -> None:
        self.opened = dict(opened)
        self.call = call
        self._grown: dict[str, Text] = {}
        self._cited: list[Any] | None = None

    def cite(self, citation: Any) -> None:
        """Add a citation; the list that the block opened with is the vendor's."""
        if self._cited is None:
            opened = self.opened.get("citations")
            self._cited = self.opened["citations"] = list(opened) if isinstance(opened, list) else []
        self._cited.append(citation)

    def add(self, name: str, piece: str) -> None:
        """Make one of its texts longer."""
        if not piece:
            return
        text = self._grown.get(name)
        if text is None:
            text = self._grown[name] = Text()
            text.add(text_of(self.opened.get(name)))
        text.add(piece)

    def piece(self, **said: str) -> Shown:
        """What it shows as a tool call; nothing where it is none of the caller's."""
        return {} if self.call is None else {"tools": [ToolCallDelta(index=self.call, **said)]}

    def rest(self) -> Shown:
        """What is left to show when it stops: a tool's input that did not come in pieces."""
        return {} if "input" in self._grown else self.piece(arguments=arguments_text(self.opened.get("input") or {}))

    def whole(self) -> dict[str, Any]:
        """The block as it is to be sent back."""
        block = self.opened | {name: str(text) for name, text in self._grown.items()}
        if self.call is not None:
            block["input"] = block.get("input") or {}
        if isinstance(block.get("input"), str):
            block["input"] = _input_of(block["input"])
        return block


class Reply:
    """All that a reply has said so far, beyond what its draft holds.

    Attributes:
        blocks: its blocks, in the order in which they opened.
        started: whether its head was seen.
        ending: why it ended, where its head says so.
        counts: its usage.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.started = False
        self._open: dict[int, Block] = {}
        self._at: dict[int, Block] = {}  # the last one of each index, for what comes when it has stopped
        self.ending: Shown = {}
        self._latest = 0
        self._thinking: Block | None = None
        self._calls = 0
        self.counts = Counts()

    def read(self, content: Iterable[dict[str, Any]]) -> Shown:
        """Take blocks that are whole."""
        shown = [part for index, opened in enumerate(content) for part in (self.open(index, opened), self.stop(index))]
        texts = {name: "".join(part.get(name, "") for part in shown) for name in ("content", "reasoning")}
        return {**texts, "tools": [piece for part in shown for piece in part.get("tools", ())]}

    def open(self, index: int | None, opened: dict[str, Any]) -> Shown:
        """Take a block that opens; some gateways give all of them one index, or none, or open a call twice."""
        opened = typed(opened)
        is_call = opened.get("type") == "tool_use"
        self._latest = len(self.blocks) if index is None else index
        known = self._open.get(self._latest)
        if is_call and opened.get("id") and known is not None and known.opened.get("id") == opened["id"]:
            return {}
        ended = self.stop(self._latest).get("tools", [])  # nobody stopped the block that was there before
        block = self._open[self._latest] = self._at[self._latest] = Block(opened, self._calls if is_call else None)
        self._calls += is_call
        self.blocks.append(block)
        check_count(len(self.blocks), MAX_ITEMS, "blocks")
        shown = _OPENING.get(text_of(opened.get("type")))
        news = self._parted(block, shown(block)) if shown else {}
        return news | {"tools": [*ended, *news.get("tools", ())]} if ended else news

    def grow(self, index: int | None, delta: dict[str, Any]) -> Shown:
        """Take a delta; text is not lost where nobody opened its block."""
        kind = kind_of(delta)
        index = self._latest if index is None else index
        if index not in self._open and kind in _IMPLIED:
            self.open(index, _IMPLIED[kind])
            self._thinking = None  # it may go on with the one before
        grow, block = _DELTAS.get(kind), self._open.get(index) or self._at.get(index)
        return self._parted(block, grow(block, delta)) if grow and block else {}

    def _parted(self, block: Block, shown: Shown) -> Shown:
        """What a block shows; a blank line is between the thinking of two of them."""
        if not shown.get("reasoning"):
            return shown
        before, self._thinking = self._thinking, block
        return shown if before in (None, block) else shown | {"reasoning": "\n\n" + shown["reasoning"]}

    def stop(self, index: int | None) -> Shown:
        """A block has stopped."""
        block = self._open.pop(self._latest if index is None else index, None)
        return block.rest() if block else {}

    def stop_all(self) -> Shown:
        """The message ends, and with it each block that is still open."""
        rests = [self.stop(index) for index in list(self._open)]
        return {"tools": [piece for rest in rests for piece in rest.get("tools", ())]}


def reply_of(draft: Draft) -> Reply:
    """What the draft of a Messages reply remembers between events."""
    reply: Reply | None = draft.extra.get("messages")
    if reply is None:
        reply = draft.extra["messages"] = Reply()
    return reply


def sendable(block: dict[str, Any], *, signed: bool) -> bool:
    """Whether the API takes a block back: blank text is a 400, and at Anthropic thinking without a signature.

    Other hosts sign nothing, and some of them want their thinking back all the same.
    """
    kind = block.get("type")
    if kind == "text":
        return bool(text_of(block.get("text")).strip())
    return kind != "thinking" or bool(block.get("signature")) or not signed


def blocks_in(content: Any) -> list[dict[str, Any]]:
    """The blocks of a content; some gateways write one as a text."""
    rows = content if isinstance(content, list) else [content]
    return dicts_of([{"type": "text", "text": row} if isinstance(row, str) else row for row in rows])


def typed(block: dict[str, Any]) -> dict[str, Any]:
    """A block with its type, which what it holds says where it does not."""
    kind = next((name for name in ("text", "thinking") if isinstance(block.get(name), str)), None)
    if kind is None and "input" in block and "name" in block:
        kind = "tool_use"
    return block if block.get("type") or kind is None else {"type": kind, **block}


def kind_of(delta: dict[str, Any]) -> str:
    """The type of a delta, which what it holds says where it does not."""
    kind = text_of(delta.get("type"))
    return kind if kind in _DELTAS else next((_HOLDS[name] for name in _HOLDS if delta.get(name)), kind)


def _input_of(text: str) -> dict[str, Any]:
    """A tool's input as the object that goes back; what a reply cut at its length left of it, as text in one."""
    try:
        value = decode(text)
    except ValueError:
        return {BROKEN_INPUT: text}
    return value if isinstance(value, dict) else {BROKEN_INPUT: text}


_OPENING: dict[str, Callable[[Block], Shown]] = {
    "text": lambda block: {"content": text_of(block.opened.get("text"))},
    "thinking": lambda block: {"reasoning": text_of(block.opened.get("thinking") or block.opened.get("text"))},
    "tool_use": lambda block: block.piece(id=text_of(block.opened.get("id")), name=text_of(block.opened.get("name"))),
}
_IMPLIED: dict[str, dict[str, Any]] = {
    "text_delta": {"type": "text", "text": ""},
    "thinking_delta": {"type": "thinking", "thinking": ""},
}


def _text(block: Block, delta: dict[str, Any]) -> Shown:
    block.add("text", piece := text_of(delta.get("text")))
    return {"content": piece}


def _thinking(block: Block, delta: dict[str, Any]) -> Shown:
    block.add("thinking", piece := text_of(delta.get("thinking")))
    return {"reasoning": piece}


def _input(block: Block, delta: dict[str, Any]) -> Shown:
    block.add("input", piece := arguments_text(delta.get("partial_json")))
    return block.piece(arguments=piece) if piece else {}


def _citation(block: Block, delta: dict[str, Any]) -> Shown:
    block.cite(delta.get("citation"))
    return {}


def _set(block: Block, delta: dict[str, Any]) -> Shown:
    """Signatures and compactions come in one piece."""
    block.opened |= {name: value for name, value in delta.items() if name != "type"}
    return {}


_DELTAS: dict[str, Callable[[Block, dict[str, Any]], Shown]] = {
    "text_delta": _text,
    "thinking_delta": _thinking,
    "input_json_delta": _input,
    "citations_delta": _citation,
    "signature_delta": _set,
    "compaction_delta": _set,
}
# What a delta without a type that is known holds.
_HOLDS = {"text": "text_delta", "thinking": "thinking_delta", "partial_json": "input_json_delta"}
# Deltas of which nothing is kept but their text.
PIECES = ("text_delta", "thinking_delta", "input_json_delta")
