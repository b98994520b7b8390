"""One block of a Messages reply: how it opened, what its deltas add, and as what it is sent back.

The facts: docs/vendors.md, Messages.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from llmnet.core.growing_text import Text
from llmnet.core.json import decode
from llmnet.core.tool_call import ToolCallDelta
from llmnet.providers.reading import text_of
from llmnet.providers.tool_rows import arguments_text

# What an event adds to the draft, as arguments of `Draft.add`.
Added = dict[str, Any]

# The field in which Anthropic wants a tool's input that was cut off, as text.
BROKEN_INPUT = "INVALID_JSON"


class Block:
    """One block: how it opened, and the texts that its deltas extend.

    Attributes:
        opened: the block as it opened, later with what deltas set or append.
        call: the number of the tool call that it is, or `None`.
        answers: whether it was a call of the tool of structured output, which is read as text.
    """

    __slots__ = ("_citations", "_grown", "answers", "call", "opened")

    def __init__(self, opened: dict[str, Any], call: int | None = None, *, answers: bool = False) -> None:
        self.opened = dict(opened)
        self.call, self.answers = call, answers
        self._grown: dict[str, Text] = {}
        self._citations: list[Any] | None = None

    def cite(self, citation: Any) -> None:
        """Append a citation to a copy of the list that the block opened with."""
        if self._citations is None:
            opened = self.opened.get("citations")
            self._citations = self.opened["citations"] = list(opened) if isinstance(opened, list) else []
        self._citations.append(citation)

    def extend(self, name: str, piece: str) -> str:
        """Append a piece to one of its texts; returns the piece."""
        if piece and name not in self._grown:
            self._grown[name] = Text()
            self._grown[name].add(text_of(self.opened.get(name)))
        if piece:
            self._grown[name].add(piece)
        return piece

    def call_delta(self, **fields: str) -> Added:
        """What it adds as a tool call; nothing where it is no call of the caller's tools."""
        return {} if self.call is None else {"tools": [ToolCallDelta(index=self.call, **fields)]}

    def final_input(self) -> Added:
        """What a tool's input adds when the block stops, where no delta brought it; an empty one comes as nothing."""
        if self.answers and not self.text():
            return {"content": self.extend("text", "{}")}
        if "input" in self._grown:
            return {}
        return self.call_delta(arguments=arguments_text(self.opened.get("input") or {}))

    def text(self) -> str:
        """Its text so far."""
        return str(self._grown.get("text") or text_of(self.opened.get("text")))

    def complete(self) -> dict[str, Any]:
        """The block as it is to be sent back."""
        # A copy: `partial` is asked for by any thread, also while the block grows.
        block = self.opened | {name: str(text) for name, text in [*self._grown.items()]}
        if self.call is not None:
            block["input"] = block.get("input") or {}
        if isinstance(block.get("input"), str):
            block["input"] = _input_of(block["input"])
        return block


def answer_in(blocks: Sequence[Block]) -> str:
    """The text in which a value of the caller's type stands."""
    if answers := [block for block in blocks if block.answers]:
        return answers[-1].text()
    last = [*takewhile(lambda block: block.opened.get("type") == "text", reversed(blocks))]
    return "".join(block.text() for block in reversed(last))


def _input_of(text: str) -> dict[str, Any]:
    """A tool's input as an object; one that was cut off is a text in it."""
    try:
        value = decode(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {BROKEN_INPUT: text}
