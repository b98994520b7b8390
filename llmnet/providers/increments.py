"""Turns frames into increments, whether a server sends what is new or repeats all of the text in each frame.

DashScope's native API repeats unless it is asked for increments, and some models repeat all the same. The frames
themselves decide: a text that begins with everything before it is a repetition once it grows again, and one that does
not is an increment. The first frame that could be either is held until the next one. The decision is about the stream;
text, reasoning and each tool's arguments are kept apart.

The facts: docs/vendors.md, DashScope native.
"""

import io
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from llmnet.core.draft import Draft
from llmnet.core.tool_call import ToolCallDelta, ToolDraft
from llmnet.providers.tool_calls import new_name

Texts = Mapping[Hashable, str]


class Increments:
    """One stream's frames, each a text by its place.

    Attributes:
        repeats: whether frames repeat the text before them; `None` while that is not known.
    """

    def __init__(self) -> None:
        self.repeats: bool | None = None
        self._emitted: dict[Hashable, io.StringIO] = {}  # what was returned of each text, until frames prove to add
        self._held: dict[Hashable, str] = {}  # either an increment or all of the text so far
        self._tokens: int | None = None

    def take(self, frame: Texts, *, tokens: int | None = None, last: bool = False) -> dict[Hashable, str]:
        """What a frame adds to those before it.

        Args:
            frame: the texts of the frame; empty ones are ignored.
            tokens: the running total of output tokens, if the frame has one.
            last: whether it is the last frame.
        """
        texts = {place: text for place, text in frame.items() if text}
        if self.repeats is None:
            self.repeats = self._decide(texts, tokens, last)
            self._tokens = tokens
        if self.repeats is None:
            return self._hold(texts)
        held, self._held = self._held, {}
        if self.repeats:
            return {place: self._emit(place, text) for place, text in (held | texts).items()}
        return {place: held.get(place, "") + texts.get(place, "") for place in held | texts} if held else texts

    def _decide(self, texts: Texts, tokens: int | None, last: bool) -> bool | None:
        before = {place: emitted.getvalue() for place, emitted in self._emitted.items()} | self._held
        known = [place for place in texts if place in before]
        if not known:
            # A repetition would have had the earlier text, too.
            return False if before and (last or not texts) else None
        if not all(texts[place].startswith(before[place]) for place in known):
            return False
        if any(place in self._held for place in known):
            return True
        if any(texts[place] != before[place] for place in known):
            return True if last else None
        # The same text came twice, as in "ha", "ha": a repetition only where the last frame has no new tokens.
        return None if len(known) < len(texts) else last and tokens is not None and tokens == self._tokens

    def _hold(self, texts: Texts) -> dict[Hashable, str]:
        new = {place: text for place, text in texts.items() if place not in self._emitted}
        self._held |= {place: text for place, text in texts.items() if place in self._emitted}
        for place, text in new.items():
            self._emit(place, text)
        return new

    def _emit(self, place: Hashable, text: str) -> str:
        """What a text adds to what was returned of it; a shorter one is no repetition."""
        emitted = self._emitted.setdefault(place, io.StringIO())
        size = emitted.tell()
        new = text[size:] if len(text) >= size and text.startswith(emitted.getvalue()) else text
        emitted.write(new)
        return new


def increment_of(
    draft: Draft,
    texts: Mapping[str, str],
    calls: Iterable[ToolCallDelta] = (),
    *,
    tokens: int | None = None,
    last: bool = False,
) -> dict[str, Any]:
    """What a frame's texts and calls add to the draft, as arguments of `Draft.add`."""
    deltas = {delta.index: delta for delta in calls}
    frame: dict[Hashable, str] = dict(texts) | {index: delta.arguments for index, delta in deltas.items()}
    added = draft.own(Increments).take(frame, tokens=tokens, last=last)
    numbers = sorted(deltas.keys() | {place for place in added if isinstance(place, int)})
    new = [_new_delta(deltas.get(n, ToolCallDelta(index=n)), draft.tools.get(n), added.get(n, "")) for n in numbers]
    tools = [delta for delta in new if delta.id or delta.name or delta.arguments]
    return {**{name: text for name, text in added.items() if isinstance(name, str)}, "tools": tools}


def _new_delta(delta: ToolCallDelta, tool: ToolDraft | None, arguments: str) -> ToolCallDelta:
    """What is new in a frame's call, without the id and name that are known."""
    known = tool or ToolDraft()
    call_id, name = "" if known.id else delta.id, new_name(known.name, delta.name)
    return ToolCallDelta(index=delta.index, id=call_id, name=name, arguments=arguments)
