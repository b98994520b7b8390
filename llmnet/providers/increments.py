"""Turns frames into increments, whether a server adds to what it said or repeats all of it in each frame.

DashScope's native API repeats unless it is asked for increments, and some models repeat all the same.
The frames themselves give it away: a text that begins with all that was said before it is a repetition once it grows
again, and one that does not is an increment. The first frame that could be either waits for the next one. The verdict
is about the stream; text, reasoning and each tool's arguments are kept apart.

The facts: docs/vendors.md, DashScope native.
"""

import io
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from llmnet.core.chat import ToolCallDelta
from llmnet.core.draft import Draft, ToolDraft
from llmnet.providers.tool_calls import new_name

Texts = Mapping[Hashable, str]


class Increments:
    """One stream's frames, each a text by its place.

    Attributes:
        repeats: whether frames repeat what was said before; `None` while that is not known.
    """

    def __init__(self) -> None:
        self.repeats: bool | None = None
        self._given: dict[Hashable, io.StringIO] = {}  # what was given out of each text, unless frames are known to add
        self._held: dict[Hashable, str] = {}  # what may be an increment or the whole so far
        self._tokens: int | None = None

    def take(self, frame: Texts, *, tokens: int | None = None, last: bool = False) -> dict[Hashable, str]:
        """What a frame adds to those before it.

        Args:
            frame: the texts of the frame; empty ones are none.
            tokens: the running total of output tokens, if the frame has one.
            last: whether it is the last frame.
        """
        said = {place: text for place, text in frame.items() if text}
        if self.repeats is None:
            self.repeats = self._verdict(said, tokens, last)
            self._tokens = tokens
        if self.repeats is None:
            return self._wait(said)
        held, self._held = self._held, {}
        if self.repeats:
            return {place: self._rest(place, text) for place, text in (held | said).items()}
        return {place: held.get(place, "") + said.get(place, "") for place in held | said} if held else said

    def _verdict(self, said: Texts, tokens: int | None, last: bool) -> bool | None:
        before = {place: given.getvalue() for place, given in self._given.items()} | self._held
        known = [place for place in said if place in before]
        if not known:
            # A repetition would have repeated what there is.
            return False if before and (last or not said) else None
        if not all(said[place].startswith(before[place]) for place in known):
            return False
        if any(place in self._held for place in known):
            return True
        if all(said[place] == before[place] for place in known):
            return self._same_again(len(known) < len(said), tokens, last)
        return True if last else None

    def _same_again(self, more: bool, tokens: int | None, last: bool) -> bool | None:
        """The same text came twice ("ha", "ha"): not so where the new tokens are elsewhere, or the end has none."""
        if more:
            return None
        return last and tokens is not None and tokens == self._tokens

    def _wait(self, said: Texts) -> dict[Hashable, str]:
        new = {place: text for place, text in said.items() if place not in self._given}
        self._held |= {place: text for place, text in said.items() if place in self._given}
        for place, text in new.items():
            self._rest(place, text)
        return new

    def _rest(self, place: Hashable, text: str) -> str:
        """What a text adds to what was given of it; one that is shorter than that repeats nothing."""
        given = self._given.setdefault(place, io.StringIO())
        known = given.tell()
        new = text[known:] if len(text) >= known and text.startswith(given.getvalue()) else text
        given.write(new)
        return new


def news_of(
    draft: Draft,
    texts: Mapping[str, str],
    calls: Iterable[ToolCallDelta] = (),
    *,
    tokens: int | None = None,
    last: bool = False,
) -> dict[str, Any]:
    """What a frame's texts and calls add to the draft, as arguments of `Draft.add`."""
    said = {delta.index: delta for delta in calls}
    frame: dict[Hashable, str] = dict(texts) | {index: delta.arguments for index, delta in said.items()}
    added = draft.own(Increments).take(frame, tokens=tokens, last=last)
    numbers = sorted(said.keys() | {place for place in added if isinstance(place, int)})
    pieces = [_new_piece(said.get(n, ToolCallDelta(index=n)), draft.tools.get(n), added.get(n, "")) for n in numbers]
    tools = [piece for piece in pieces if piece.id or piece.name or piece.arguments]
    return {**{name: text for name, text in added.items() if isinstance(name, str)}, "tools": tools}


def _new_piece(delta: ToolCallDelta, tool: ToolDraft | None, arguments: str) -> ToolCallDelta:
    """What a frame says of a call that is new; an id or name that is known is not said again."""
    known = tool or ToolDraft()
    call_id, name = "" if known.id else delta.id, new_name(known.name, delta.name)
    return ToolCallDelta(index=delta.index, id=call_id, name=name, arguments=arguments)
