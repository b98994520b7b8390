"""The blocks of a Messages reply: each opens, grows and stops, and is sent back unchanged in the next turn.

The facts: docs/vendors.md, Messages.
"""

from collections.abc import Callable, Iterable
from typing import Any

from llmnet.core.draft import MAX_ITEMS
from llmnet.core.growing_text import check_count
from llmnet.providers.anthropic_block import Added, Block
from llmnet.providers.reading import dicts_of, text_of
from llmnet.providers.tool_rows import ANSWER_TOOL, arguments_text


class Reply:
    """What is known of a reply beyond its draft.

    Attributes:
        blocks: its blocks, in the order in which they opened.
        started: whether its `message_start` has come.
        calls: how many of the caller's tools it calls.
        answered: whether it called the tool of structured output.
        finish: why it ended, where `message_start` has that, as arguments of `Draft.add`.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.started = self.answered = False
        self._open: dict[int, Block] = {}
        self._by_index: dict[int, Block] = {}  # the latest of each index, for deltas after its stop
        self.finish: Added = {}
        self._latest = 0
        self._thinking: Block | None = None
        self.calls = 0

    def read(self, content: Iterable[dict[str, Any]]) -> Added:
        """Take complete blocks."""
        return _joined(
            part for index, opened in enumerate(content) for part in (self.open(index, opened), self.stop(index))
        )

    def open(self, index: int | None, opened: dict[str, Any]) -> Added:
        """Open a block; some gateways give all blocks one index, or none, or open a call twice."""
        opened = typed(opened)
        if answers := is_answer(opened):
            arguments, self.answered = opened.get("input"), True
            opened = {"type": "text", "text": arguments_text(arguments) if arguments else ""}
        is_call = opened.get("type") == "tool_use"
        self._latest = len(self.blocks) if index is None else index
        known = self._open.get(self._latest)
        if is_call and opened.get("id") and known is not None and known.opened.get("id") == opened["id"]:
            return {}
        stopped = self.stop(self._latest)  # a block that is still open there ends now
        block = self._open[self._latest] = self._by_index[self._latest] = Block(
            opened, self.calls if is_call else None, answers=answers
        )
        self.calls += is_call
        self.blocks.append(block)
        check_count(len(self.blocks), MAX_ITEMS, "blocks")
        read = _OPENING.get(text_of(opened.get("type")))
        added = self._separated(block, read(block)) if read else {}
        return _joined([stopped, added]) if stopped else added

    def grow(self, index: int | None, delta: dict[str, Any]) -> Added:
        """Take a delta; text is kept even where its block was never opened."""
        kind = delta_type(delta)
        index = self._latest if index is None else index
        if index not in self._open and kind in _IMPLIED:
            self.open(index, _IMPLIED[kind])
            self._thinking = None  # it may continue the block before
        grow, block = _DELTAS.get(kind), self._open.get(index) or self._by_index.get(index)
        return self._separated(block, grow(block, delta)) if grow and block else {}

    def _separated(self, block: Block, added: Added) -> Added:
        """What a block adds, with a blank line between the thinking of two blocks."""
        if not added.get("reasoning"):
            return added
        before, self._thinking = self._thinking, block
        return added if before in (None, block) else added | {"reasoning": "\n\n" + added["reasoning"]}

    def stop(self, index: int | None) -> Added:
        """End a block."""
        block = self._open.pop(self._latest if index is None else index, None)
        return block.final_input() if block else {}

    def stop_all(self) -> Added:
        """End the blocks that are still open, at the end of the message."""
        return _joined([self.stop(index) for index in list(self._open)])


def _joined(added: Iterable[Added]) -> Added:
    parts = [*added]
    texts = {name: "".join(part.get(name, "") for part in parts) for name in ("content", "reasoning")}
    return {**texts, "tools": [delta for part in parts for delta in part.get("tools", ())]}


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


def typed(block: dict[str, Any]) -> dict[str, Any]:
    """A block with its type, which follows from its fields where it is missing."""
    kind = next((name for name in ("text", "thinking") if isinstance(block.get(name), str)), None)
    if kind is None and "input" in block and "name" in block:
        kind = "tool_use"
    return block if block.get("type") or kind is None else {"type": kind, **block}


def is_answer(block: dict[str, Any]) -> bool:
    """Whether it calls the tool of structured output: it is read as the text of its arguments."""
    return block.get("type") == "tool_use" and block.get("name") == ANSWER_TOOL


def delta_type(delta: dict[str, Any]) -> str:
    """The type of a delta, which follows from its fields where it is missing or unknown."""
    kind = text_of(delta.get("type"))
    return kind if kind in _DELTAS else next((_TYPES[name] for name in _TYPES if delta.get(name)), kind)


_OPENING: dict[str, Callable[[Block], Added]] = {
    "text": lambda block: {"content": text_of(block.opened.get("text"))},
    "thinking": lambda block: {"reasoning": text_of(block.opened.get("thinking") or block.opened.get("text"))},
    "tool_use": lambda block: block.call_delta(
        id=text_of(block.opened.get("id")), name=text_of(block.opened.get("name"))
    ),
}
_IMPLIED: dict[str, dict[str, Any]] = {
    "text_delta": {"type": "text", "text": ""},
    "thinking_delta": {"type": "thinking", "thinking": ""},
}


def _input(block: Block, delta: dict[str, Any]) -> Added:
    arguments = arguments_text(delta.get("partial_json"))
    if block.answers:
        return {"content": block.extend("text", arguments)}
    piece = block.extend("input", arguments)
    return block.call_delta(arguments=piece) if piece else {}


def _citation(block: Block, delta: dict[str, Any]) -> Added:
    block.cite(delta.get("citation"))
    return {}


def _set(block: Block, delta: dict[str, Any]) -> Added:
    """Signatures and compactions come in one piece."""
    block.opened |= {name: value for name, value in delta.items() if name != "type"}
    return {}


_DELTAS: dict[str, Callable[[Block, dict[str, Any]], Added]] = {
    "text_delta": lambda block, delta: {"content": block.extend("text", text_of(delta.get("text")))},
    "thinking_delta": lambda block, delta: {"reasoning": block.extend("thinking", text_of(delta.get("thinking")))},
    "input_json_delta": _input,
    "citations_delta": _citation,
    "signature_delta": _set,
    "compaction_delta": _set,
}
# The type of a delta by its field.
_TYPES = {"text": "text_delta", "thinking": "thinking_delta", "partial_json": "input_json_delta"}
# Deltas of which only their text is kept.
TEXT_DELTAS = tuple(_TYPES.values())
# The field of a delta that has text to show, by its type.
TEXTS = {"text_delta": "text", "thinking_delta": "thinking"}
