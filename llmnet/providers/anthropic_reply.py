"""The blocks of a Messages reply: each opens, grows and stops, and is sent back unchanged in the next turn.

The facts: docs/vendors.md, Messages.
"""

from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from llmnet.core.draft import MAX_ITEMS
from llmnet.core.json import readable
from llmnet.core.reply_text import Text, check_count
from llmnet.core.tool_call import ToolCallDelta
from llmnet.providers.reading import dicts_of, text_of
from llmnet.providers.tool_rows import ANSWER_TOOL, arguments_text

# What an event adds to the draft, as arguments of `Draft.add`.
Added = dict[str, Any]

# What the texts of blocks are in a draft, by the type of the block, which is also the field of the text.
TEXTS = {"text": "content", "thinking": "reasoning"}
# The field of a delta, by its type.
_DELTAS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
    "citations_delta": "citation",
    "signature_delta": "signature",
    "compaction_delta": "content",
}
# Deltas of which only their text is kept.
GROWING = ("text", "thinking", "partial_json")


class Block:
    """One block: how it opened, and the texts that its deltas extend.

    Attributes:
        opened: the block as it opened, later with what deltas set.
        call: the number of the tool call that it is, or `None`.
        answers: whether it was a call of the tool of structured output, which is read as text.
    """

    __slots__ = ("_citations", "_grown", "answers", "call", "opened")

    def __init__(self, opened: dict[str, Any], call: int | None = None, *, answers: bool = False) -> None:
        self.opened = dict(opened)
        self.call, self.answers = call, answers
        self._grown: dict[str, Text] = {}
        self._citations: list[Any] = []

    def begin(self) -> Added:
        """What it adds as it opens."""
        if self.call is not None:
            return self._call(id=text_of(self.opened.get("id")), name=text_of(self.opened.get("name")))
        kind = text_of(self.opened.get("type"))
        return {TEXTS[kind]: text_of(self.opened.get(kind) or self.opened.get("text"))} if kind in TEXTS else {}

    def grow(self, delta: dict[str, Any]) -> Added:
        """What a delta adds."""
        field = field_of(delta)
        if field in TEXTS:
            return {TEXTS[field]: self._extend(field, text_of(delta.get(field)))}
        if field == "partial_json":
            piece = arguments_text(delta.get(field))
            if self.answers:
                return {"content": self._extend("text", piece)}
            return self._call(arguments=self._extend("input", piece)) if piece else {}
        if field == "citation":
            self._citations.append(delta.get(field))
        elif field:  # signatures and compactions come in one piece
            self.opened |= {name: value for name, value in delta.items() if name != "type"}
        return {}

    def stop(self) -> Added:
        """What it adds as it stops: a tool's input that no delta brought; an empty one comes as nothing."""
        if self.answers and not self.text():
            return {"content": self._extend("text", "{}")}
        return {} if "input" in self._grown else self._call(arguments=arguments_text(self.opened.get("input") or {}))

    def _extend(self, name: str, piece: str) -> str:
        """Append a piece to one of its texts; returns the piece."""
        if piece:
            if name not in self._grown:
                self._grown[name] = Text()
                self._grown[name].add(text_of(self.opened.get(name)))
            self._grown[name].add(piece)
        return piece

    def _call(self, **fields: str) -> Added:
        """What it adds as a tool call; nothing where it is no call of the caller's tools."""
        return {} if self.call is None else {"tools": [ToolCallDelta(index=self.call, **fields)]}

    def text(self) -> str:
        """Its text so far."""
        return str(self._grown.get("text") or text_of(self.opened.get("text")))

    def complete(self) -> dict[str, Any]:
        """The block as it is to be sent back; a tool's input is an object, one that was cut off is a text in it."""
        # A copy: `partial` is asked for by any thread, also while the block grows.
        block = self.opened | {name: str(text) for name, text in [*self._grown.items()]}
        if self._citations:
            opened = block.get("citations")
            block["citations"] = [*(opened if isinstance(opened, list) else ()), *self._citations]
        if self.call is not None:
            block["input"] = block.get("input") or {}
        if isinstance(text := block.get("input"), str):
            value = readable(text)
            block["input"] = value if isinstance(value, dict) else {"INVALID_JSON": text}
        return block


class Reply:
    """What is known of a reply beyond its draft.

    Attributes:
        blocks: its blocks, in the order in which they opened.
        calls: how many of the caller's tools it calls.
        answered: whether it called the tool of structured output.
        started: whether its `message_start` has come.
        finish: why it ended, where `message_start` has that, as arguments of `Draft.add`.
        counts: the latest of each figure of its usage.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.calls = 0
        self.answered = self.started = False
        self.finish: Added = {}
        self.counts: dict[str, Any] = {}
        self._open: dict[int, Block] = {}
        self._by_index: dict[int, Block] = {}  # the latest of each index, for deltas after its stop
        self._latest = 0
        self._thinking: Block | None = None

    def read(self, content: Iterable[dict[str, Any]]) -> Added:
        """Take complete blocks."""
        return _joined(
            part for index, opened in enumerate(content) for part in (self.open(index, opened), self.stop(index))
        )

    def open(self, index: int | None, opened: dict[str, Any]) -> Added:
        """Open a block; some gateways give all blocks one index, or none, or open a call twice."""
        opened = _typed(opened)
        is_call = opened.get("type") == "tool_use"
        answers = is_call and opened.get("name") == ANSWER_TOOL
        if answers:
            is_call, self.answered = False, True
            opened = {"type": "text", "text": arguments_text(opened.get("input") or "")}
        self._latest = len(self.blocks) if index is None else index
        known = self._open.get(self._latest)
        if is_call and opened.get("id") and known and known.opened.get("id") == opened["id"]:
            return {}
        before = self.stop(self._latest)  # a block that is still open there ends now
        block = Block(opened, self.calls if is_call else None, answers=answers)
        self._open[self._latest] = self._by_index[self._latest] = block
        self.calls += is_call
        self.blocks.append(block)
        check_count(len(self.blocks), MAX_ITEMS, "blocks")
        return _joined([before, self._separated(block, block.begin())])

    def grow(self, index: int | None, delta: dict[str, Any]) -> Added:
        """Take a delta; text is kept even where its block was never opened."""
        index = self._latest if index is None else index
        if index not in self._open and (field := field_of(delta)) in TEXTS:
            self.open(index, {"type": field, field: ""})
            self._thinking = None  # it may continue the block before
        block = self._by_index.get(index)
        return self._separated(block, block.grow(delta)) if block else {}

    def _separated(self, block: Block, added: Added) -> Added:
        """What a block adds, with a blank line between the thinking of two blocks."""
        if not added.get("reasoning"):
            return added
        before, self._thinking = self._thinking, block
        return added if before in (None, block) else added | {"reasoning": "\n\n" + added["reasoning"]}

    def stop(self, index: int | None) -> Added:
        """End a block."""
        block = self._open.pop(self._latest if index is None else index, None)
        return block.stop() if block else {}

    def stop_all(self) -> Added:
        """End the blocks that are still open, at the end of the message."""
        return _joined([self.stop(index) for index in list(self._open)])

    def answer(self) -> str:
        """The text in which a value of the caller's type stands: the last call of its tool, or the texts at the end."""
        if answers := [block for block in self.blocks if block.answers]:
            return answers[-1].text()
        last = [*takewhile(lambda block: block.opened.get("type") == "text", reversed(self.blocks))]
        return "".join(block.text() for block in reversed(last))


def _joined(added: Iterable[Added]) -> Added:
    parts = [*added]
    texts = {name: "".join(part.get(name, "") for part in parts) for name in TEXTS.values()}
    return {**texts, "tools": [delta for part in parts for delta in part.get("tools", ())]}


def _typed(block: dict[str, Any]) -> dict[str, Any]:
    """A block with its type, which follows from its fields where it is missing."""
    kind = next((name for name in TEXTS if isinstance(block.get(name), str)), None)
    if kind is None and "input" in block and "name" in block:
        kind = "tool_use"
    return block if block.get("type") or kind is None else {"type": kind, **block}


def field_of(delta: dict[str, Any]) -> str:
    """The field of a delta, by its type, or the one that it has where its type is missing or unknown."""
    found = _DELTAS.get(text_of(delta.get("type")))
    return found or next((name for name in GROWING if delta.get(name)), "")


def sendable(block: dict[str, Any], *, signed: bool) -> bool:
    """Whether the API takes a block back: it refuses blank text and, at Anthropic, thinking without a signature.

    Other hosts sign nothing, and some of them want their thinking back all the same.
    """
    kind = block.get("type")
    if kind == "text":
        return bool(text_of(block.get("text")).strip())
    return kind != "thinking" or bool(block.get("signature")) or not signed


def blocks_in(content: Any) -> list[dict[str, Any]]:
    """The blocks of a content; some gateways send strings."""
    rows = content if isinstance(content, list) else [content]
    return dicts_of([{"type": "text", "text": row} if isinstance(row, str) else row for row in rows])
