"""The reasoning of a Responses stream: a blank line between its parts, and each text once where two kinds repeat it."""

import io
from collections.abc import Hashable

from llmnet.core.draft import Draft

BLANK_LINE = "\n\n"


class ReasoningText:
    """The reasoning of a stream, behind that which the draft has."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._texts: dict[Hashable, io.StringIO] = {}
        self._read: dict[Hashable, int] = {}  # characters of the item's text that each kind of delta has repeated
        self._parts: dict[Hashable, Hashable] = {}
        self._separate: set[Hashable] = set()  # kinds whose text differs from that of the kind before
        self._source: Hashable = None

    def add(self, item: Hashable, kind: str, part: Hashable, piece: str) -> str:
        """Take a piece of a part, of one kind; the part of it that the other kind has not brought yet."""
        if not piece:
            return ""
        channel = (item, kind)
        if self._parts.setdefault(channel, part) != part:
            self._parts[channel] = part
            piece = BLANK_LINE + piece
        source = channel if channel in self._separate else item
        new = piece if channel in self._separate else self._beyond(item, channel, piece)
        if new is None:
            self._separate.add(channel)
            source, new = channel, self._texts[item].getvalue()[: self._read.get(channel, 0)] + piece
        if not new:
            return ""
        separated = self._draft.reasoning and source != self._source
        self._source = source
        return BLANK_LINE + new.lstrip("\n") if separated else new

    def _beyond(self, item: Hashable, channel: Hashable, piece: str) -> str | None:
        """What a piece adds to the text of its item; `None` where it differs from that text."""
        text, at = self._texts.setdefault(item, io.StringIO()), self._read.get(channel, 0)
        text.seek(at)
        known = text.read(len(piece))
        if not piece.startswith(known):
            return None
        self._read[channel] = at + len(piece)
        text.write(piece[len(known) :])
        return piece[len(known) :]
