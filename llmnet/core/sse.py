"""Bytes of an event stream go in, events come out, the same however the bytes were cut: the WHATWG rules, and no I/O.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.5 and 9.2.6. Only LF, CR and CRLF end a
line: model output holds raw U+2028 and U+0085, at which `splitlines` would cut. Work is linear in the bytes fed,
and what is held between two feeds is bounded by `max_event_bytes`.
"""

import re

import msgspec

from llmnet.core.errors import InvalidResponseError

_CR = 13  # bytes are asked for a number ten times as fast as for a byte string
MAX_EVENT_BYTES = 8 * 1024 * 1024
# Old gateways of DashScope leave out the blank lines: then each line is a frame.
MAX_EVENT_LINES = 32 * 1024

# A peer may send comments for ever and no event: so much of them is kept.
KEPT_COMMENTS = 16
KEPT_COMMENT_CHARS = 64 * 1024

# What vendors send nearly always, a complete event, is read in one step: (event, data, ""). Everything else comes line
# by line: ("", "", line), as does `event:` without a name, which would look like no such line.
_parts = re.compile(r"(?:event: ?+(.++)\n)?+data: ?+(.*+)\n\n|(.*+\n)").findall


class ServerSentEvent(msgspec.Struct, gc=False):
    """One event of a stream.

    Attributes:
        event: the event type, "" where the event names none.
        data: the data lines, joined by line feeds.
        id: the last id that the stream has given, `None` before the first.
        retry: the reconnection time in milliseconds, if one came since the event before.
        comments: the last comment lines since the event before, and lines that are no field: vendors write there.
    """

    event: str = ""
    data: str = ""
    id: str | None = None
    retry: int | None = None
    comments: tuple[str, ...] = ()


class SSEDecoder:
    """Decodes one stream, fed piece by piece.

    Args:
        max_event_bytes: how long an event may become: its unfinished line, in bytes, and the data of the lines before.
    """

    __slots__ = (
        "_comments", "_data", "_error", "_event", "_id", "_limit", "_line", "_open", "_retry", "_size", "_skip_lf",
        "_started",
    )  # fmt: skip

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._line: bytes | bytearray = b""  # the unfinished line
        self._started = self._skip_lf = False
        self._id: str | None = None
        self._error: InvalidResponseError | None = None
        self._comments: list[str] = []  # nearly always empty, where a deque would hold half a kilobyte
        self._begin()

    def _begin(self) -> None:
        """Forget what belongs to one event alone."""
        self._open = False  # whether anything below differs from this
        self._event = ""
        self._data: list[str] = []
        self._size = 0  # in characters: never more than the bytes they came from, or a cut would make a difference
        self._retry: int | None = None
        self._comments.clear()

    @property
    def comments(self) -> tuple[str, ...]:
        """The comments that belong to no event yet."""
        return tuple(self._comments)

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take a piece of the stream; the events that it completes.

        Raises:
            InvalidResponseError: an event is longer than allowed; those before it were returned first.
        """
        if self._error is not None:
            raise self._error
        if self._skip_lf or _CR in data:
            data = self._with_line_feeds(data)
        end = data.rfind(b"\n") + 1
        if end:
            lines, self._line = self._line + data[:end], data[end:]
            fits = self._size + len(lines) <= self._limit
            events = self._read(lines) if fits else self._read_one_by_one(lines)
        else:  # in place, or a long line in small pieces would be copied over and over
            self._line = self._line if isinstance(self._line, bytearray) else bytearray(self._line)
            self._line += data
            events = []
        if self._size + len(self._line) > self._limit:
            self._overflow()
        if self._error is not None and not events:
            raise self._error
        return events

    def end(self) -> ServerSentEvent | None:
        """The stream has ended: the event whose closing blank line, or last line end, never came, if any data did.

        Raises:
            InvalidResponseError: an event was longer than allowed.
        """
        if self._error is not None:
            raise self._error
        if self._line:
            line, self._line = self._line + b"\n", b""
            self._read(line)
        return self._dispatch() if self._data else None

    def _overflow(self, what: str = "") -> None:
        limit = what or f"{self._limit} bytes"
        self._error = InvalidResponseError(f"an event of the stream is longer than {limit}")
        self._line = b""
        self._begin()

    def _with_line_feeds(self, data: bytes) -> bytes:
        """Make every line end an LF; a CR that ends the piece counts at once, the LF that may follow does not."""
        if self._skip_lf and data:
            data = data.removeprefix(b"\n")
            self._skip_lf = False
        if _CR in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _read_one_by_one(self, lines: bytes | bytearray) -> list[ServerSentEvent]:
        """Read complete lines one by one, as far as their event stays within the limit."""
        events: list[ServerSentEvent] = []
        for line in lines.split(b"\n")[:-1]:
            if self._size + len(line) > self._limit:
                self._overflow()
                break
            events += self._read(line + b"\n")
        return events

    def _read(self, lines: bytes | bytearray) -> list[ServerSentEvent]:
        """Read complete lines; an event may begin in one call and end in another."""
        text = lines.decode("utf-8", "replace")
        if not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        events: list[ServerSentEvent] = []
        for event, data, line in _parts(text):
            if not line and not self._open:
                events.append(ServerSentEvent(event, data, self._id))
            elif not line:
                self._event = event or self._event
                self._data.append(data)
                events.append(self._dispatch())
            elif line != "\n":
                self._field(line[:-1])
                if len(self._data) > MAX_EVENT_LINES:
                    self._overflow(f"{MAX_EVENT_LINES} lines")
                    break
            elif self._data:
                events.append(self._dispatch())
            else:
                self._event = ""
        return events

    def _field(self, line: str) -> None:
        self._open = True
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
                self._size += len(value) + 1
            case "event":
                self._event = value
            case "id":
                self._id = self._id if "\0" in value else value
            case "retry":
                self._retry = int(value) if _is_small_number(value) else self._retry
            case _:  # a comment, or no field of the grammar: some servers end with `{"error": …}` or `HTTP_STATUS/429`
                self._keep(line if name else value)

    def _keep(self, comment: str) -> None:
        self._comments.append(comment[:KEPT_COMMENT_CHARS])
        del self._comments[:-KEPT_COMMENTS]

    def _dispatch(self) -> ServerSentEvent:
        made = ServerSentEvent(self._event, "\n".join(self._data), self._id, self._retry, tuple(self._comments))
        self._begin()
        return made


def _is_small_number(text: str) -> bool:
    """ASCII digits alone; beyond eighteen they are no time, and `int` may refuse them."""
    return text.isascii() and text.isdigit() and len(text) <= 18
