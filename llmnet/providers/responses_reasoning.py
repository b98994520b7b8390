"""The reasoning of a Responses stream: a blank line between its parts, and told once where two kinds tell it."""

import io
from collections.abc import Hashable

from llmnet.core.draft import Draft

BLANK_LINE = "\n\n"


class Thoughts:
    """The reasoning of a stream.

    Args:
        draft: the reply under assembly, which has what was told before, by deltas or otherwise.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._told: dict[Hashable, io.StringIO] = {}
        self._at: dict[Hashable, int] = {}  # how far each kind of delta of an item is
        self._parts: dict[Hashable, Hashable] = {}
        self._apart: set[Hashable] = set()  # kinds that tell another text than the one before them
        self._source: Hashable = None

    def add(self, item: Hashable, kind: str, part: Hashable, piece: str) -> str:
        """Take a piece of a part, of one kind; what of it was not told by the other kind."""
        if not piece:
            return ""
        channel = (item, kind)
        if self._parts.setdefault(channel, part) != part:
            self._parts[channel] = part
            piece = BLANK_LINE + piece
        source = channel if channel in self._apart else item
        news = piece if channel in self._apart else self._beyond(item, channel, piece)
        if news is None:
            source, news = channel, self._part(item, channel) + piece
        if not news:
            return ""
        parted = self._draft.reasoning and source != self._source
        self._source = source
        return BLANK_LINE + news.lstrip("\n") if parted else news

    def _beyond(self, item: Hashable, channel: Hashable, piece: str) -> str | None:
        """What a piece says beyond what was told of its item; `None` where it says something else."""
        told, at = self._told.setdefault(item, io.StringIO()), self._at.get(channel, 0)
        told.seek(at)
        known = told.read(len(piece))
        if not piece.startswith(known):
            return None
        self._at[channel] = at + len(piece)
        told.write(piece[len(known) :])
        return piece[len(known) :]

    def _part(self, item: Hashable, channel: Hashable) -> str:
        """Part a kind from the one before it; what they had in common so far."""
        self._apart.add(channel)
        return self._told[item].getvalue()[: self._at.get(channel, 0)]
