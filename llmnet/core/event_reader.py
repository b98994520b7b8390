"""Reads the events of a stream: bytes go in, chunks come out, and what they say is added to the draft of the reply."""

import contextlib
from collections.abc import Iterable
from typing import Any

from llmnet.core.chat import StreamChunk
from llmnet.core.draft import Draft
from llmnet.core.errors import InvalidResponseError
from llmnet.core.form_contract import WireForm
from llmnet.core.json import readable
from llmnet.core.sse import ServerSentEvent, SSEDecoder, apart


class EventReader:
    """Reads one stream; the chunks of events before one that fails are added before its error is raised.

    Attributes:
        shown: whether anything has come that could be shown.
    """

    __slots__ = ("_decoder", "_draft", "_form", "shown")

    def __init__(self, form: WireForm, draft: Draft) -> None:
        self._form, self._draft, self._decoder = form, draft, SSEDecoder()
        self.shown = False

    def feed(self, data: bytes, chunks: list[StreamChunk]) -> None:
        """Take a piece of the stream, and add the chunks that it completes."""
        self._take(self._decoder.feed(data), chunks)

    def end(self, chunks: list[StreamChunk]) -> None:
        """The stream has ended: add the chunks still held."""
        last = None if self._draft.done else self._decoder.end()
        if last is not None:
            # Without its blank line it counts if it is whole; half of one is what a cut stream looks like.
            with contextlib.suppress(InvalidResponseError):
                self._take([last], chunks)
        held = self._form.close(self._draft)
        chunks += [held] if held else []

    def _take(self, events: Iterable[ServerSentEvent], chunks: list[StreamChunk]) -> None:
        parse_event, draft = self._form.parse_event, self._draft
        for event in events:
            if draft.done:
                return
            if "\n" in event.data and (parts := apart(event)):
                self._take(parts, chunks)
            elif (chunk := parse_event(event, draft)) is not None:
                self.shown = True
                chunks.append(chunk)

    @property
    def failure(self) -> Any:
        """What a stream that ended too early says of that; some do in a bare line, which its grammar ignores."""
        said = (readable(line.encode()) for line in self._decoder.comments)
        return next(filter(self._form.find_error, said), self._draft.failure)

    @property
    def last_words(self) -> Any:
        """The last that has come of it and gave no chunk."""
        words = self._draft.words
        return "\n".join(self._decoder.comments).strip() or (readable(words) if isinstance(words, str) else words)
