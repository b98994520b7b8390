"""Reads the events of a stream into chunks and the draft of the reply, also of servers that write them oddly."""

import contextlib
import re
from collections.abc import Iterable
from typing import Any

from llmnet.core.chat import StreamChunk
from llmnet.core.draft import Draft
from llmnet.core.errors import InvalidResponseError
from llmnet.core.form_contract import WireForm
from llmnet.core.json import decode, readable
from llmnet.core.sse import ServerSentEvent, SSEDecoder

# What a line of an event stream may begin with (data, event, id, retry, a comment), and no JSON does.
_FIRST = (b"d", b"e", b"i", b"r", b":")
_OPENING = rb"(?:\xef\xbb\xbf)?+\s*+(?:data|event|id|retry)?:"


class EventReader:
    """Reads one stream; the chunks before an event that fails are added before its error is raised.

    Attributes:
        shown: whether anything came that could be shown.
    """

    __slots__ = ("_decoder", "_draft", "_form", "shown")

    def __init__(self, form: WireForm, draft: Draft) -> None:
        self._form, self._draft, self._decoder = form, draft, SSEDecoder()
        self.shown = False

    def feed(self, data: bytes, chunks: list[StreamChunk]) -> None:
        """Add the chunks that a piece of the stream completes."""
        self._take(self._decoder.feed(data), chunks)

    def end(self, chunks: list[StreamChunk]) -> None:
        """The stream has ended: add the chunks held."""
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
        """What a stream that ended too early says of that; some in a bare line, which its grammar ignores."""
        said = (readable(line.encode()) for line in self._decoder.comments)
        return next(filter(self._form.find_error, said), self._draft.failure)

    @property
    def last_words(self) -> Any:
        """The last that has come of it and gave no chunk."""
        words = self._draft.words
        return "\n".join(self._decoder.comments).strip() or (readable(words) if isinstance(words, str) else words)


def begins_stream(body: bytes | bytearray) -> bool:
    """Whether a body begins as an event stream does."""
    return re.match(_OPENING, body) is not None


def is_stream(labelled: bool, piece: bytes, *, asked: bool) -> bool:
    """Whether a body is an event stream, by its beginning: some gateways label one as JSON, or the reverse.

    Args:
        labelled: whether its content type says so.
        piece: its beginning, with a byte that is no blank.
        asked: whether a stream was requested; otherwise its first line must be one of an event.
    """
    first = piece.lstrip()[:1]
    if labelled:
        return not asked or first != b"{"
    return first in _FIRST if asked else begins_stream(piece)


def apart(event: ServerSentEvent) -> list[ServerSentEvent]:
    """The events that one line feed separates, in place of two; none where their data, joined, is JSON.

    The last one has the name and the comments.
    """
    try:
        decode(event.data)
    except ValueError:
        *lines, last = event.data.split("\n")
        parts = [ServerSentEvent(data=line, id=event.id) for line in lines]
        return [*parts, ServerSentEvent(event.event, last, event.id, event.retry, event.comments)]
    return []
