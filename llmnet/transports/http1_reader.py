"""Reads one HTTP/1.1 reply for both fronts: bytes go in; its head, the pieces of its body and its end come out.

The parser is llhttp's (httptools), strict but for what servers are known to send: a bare LF as the end of a line, a
head line that is folded, blanks after the size of a chunk (RFC 9112, 2.2, 5.2, 7.1.1). What llhttp lets pass beside
these is looked for here: control characters, another version, a head without end, an upgrade nobody asked for.
"""

import sys

import httptools

from llmnet.core.head_lines import HeadLines

LONGEST_HEAD = 128 * 1024
"""Bytes of a head, and of what stands between two pieces of a body."""

CONTROL = bytes([*range(9), *range(10, 32), 127])
"""What no part of a head may hold: a value with a line end would be a header more (RFC 9110, 5.5)."""

# The last one lets a final head follow an informational one that speaks of the end of the connection.
_LENIENCIES = dict.fromkeys(
    ("lenient_headers", "lenient_optional_cr_before_lf", "lenient_spaces_after_chunk_size", "lenient_keep_alive"), True
)
_SHOWN = 500  # bytes of what is no head
_VERSIONS = frozenset({"1.0", "1.1"})
_SWITCHING, _FINAL = 101, 200
_BODILESS = frozenset({204, 304})
_NONE = HeadLines(b"", [])


class Http1Error(Exception):
    """The connection has ended too early, or what came over it is no reply."""


class DisconnectedError(Http1Error):
    """The connection has ended before the first byte of a reply."""


class CutShortError(Http1Error):
    """The connection has ended within a reply."""


class RefusedHeadError(Http1Error):
    """The head of a reply breaks the rules; it would come again."""


class GarbledBodyError(Http1Error):
    """What is between the pieces of a body breaks the rules."""


class Http1Reader:
    """Reads the reply to one request; nothing is raised where bytes come in.

    Args:
        method: of the request: the replies to HEAD and CONNECT have no body.

    Attributes:
        begun: whether a byte has come.
        status: the status of the final head, or `None` before it.
        headers: those of the final head.
        reason: the words beside the status.
        version: `"1.0"` or `"1.1"`.
        done: whether the reply has come to its end.
        error: what is wrong with it; what had come before is still to be taken.
        reusable: whether the connection may serve again, once the reply is done.
        exceeded: whether bytes have followed the end of the reply.
        buffered: bytes of the body that nobody has taken yet.
    """

    __slots__ = (
        "_between", "_bodiless", "_first", "_goes_on", "_names", "_parser", "_parts", "_until_close", "_values",
        "begun", "buffered", "done", "error", "exceeded", "headers", "reason", "reusable", "status", "version",
    )  # fmt: skip

    def __init__(self, method: str = "POST") -> None:
        self._bodiless = method in ("HEAD", "CONNECT")
        self.begun = self.done = self.exceeded = self.reusable = self._until_close = self._goes_on = False
        self.error: Http1Error | None = None
        self.status: int | None = None
        self.reason, self.version, self._first = b"", "", b""
        self.headers = _NONE
        self._names: list[bytes] = []
        self._values: list[bytes] = []
        self._parts: list[bytes] = []
        self._between = self.buffered = 0
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_LENIENCIES)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if self._parser is None:
            self._exceed()
            return
        self.begun = True
        if self.status is None and len(self._first) < _SHOWN:
            self._first += data[:_SHOWN]
        self._goes_on, outer = False, sys.exception()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("it switches protocols, which nobody has asked for")
        except httptools.HttpParserCallbackError as error:
            # None of the methods below raises: a signal handler has, as Ctrl-C's does. It is the context, unless the
            # caller handles an exception just now, which takes its place.
            raised = error.__context__
            raise (KeyboardInterrupt() if raised is None or raised is outer else raised) from None
        except httptools.HttpParserError as error:
            self._fail(str(error))
        self._between = 0 if self._goes_on else self._between + len(data)
        if self._between > LONGEST_HEAD and not self.done:
            self._fail("it has no end" if self.status is None else "what follows a chunk has no end")
        if self.done or self.error is not None:
            self._parser = None  # which holds this reader, too

    def eof(self, *, failed: bool = False) -> None:
        """The connection has ended; one that has *failed* ends no body that is as long as its connection."""
        self.reusable = False
        if self.done or self.error is not None:
            return
        if self.status is None:
            self.error = (
                CutShortError("the connection ended inside the head of the reply")
                if self.begun
                else DisconnectedError("the connection ended before the reply")
            )
        elif self._until_close and not failed:
            self.done = True
        else:
            self.error = CutShortError("the connection ended inside the body of the reply")
        self._parser = None

    def take(self) -> bytes:
        """The pieces of the body that have come since the last time, in one."""
        parts, self._parts, self.buffered = self._parts, [], 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fail(self, why: str) -> None:
        if self.done:
            self._exceed()
        elif self.error is None:
            self.error = self._refused(why) if self.status is None else GarbledBodyError(why)

    def _exceed(self) -> None:
        """What follows the reply belongs to nobody."""
        self.reusable, self.exceeded = False, True

    def _refused(self, why: str) -> RefusedHeadError:
        return RefusedHeadError(f"{why}; it begins with {self._first!r}")

    # -- what the parser calls ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A head begins: that of the reply, or of what comes after it."""
        if self.status is None:
            self._values, self.reason = [], b""
        elif self.done:
            self._exceed()

    def on_status(self, reason: bytes) -> None:
        """Words beside the status, or a part of them."""
        if self.status is None:
            self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of a head, or of the trailers, which nobody reads."""
        if self.status is None:
            self._names.append(name)
            self._values.append(value)

    def on_headers_complete(self) -> None:
        """A head is complete; an informational one says nothing of the request (RFC 9110, 15.2)."""
        parser = self._parser
        if self.done or parser is None or self.error is not None:
            return
        status, self.version = parser.get_status_code(), parser.get_http_version()
        names, self._names = b"\n".join(self._names), []
        if (problem := self._problem(status, names)) is not None:
            self.error = self._refused(problem)
        elif status >= _FINAL:
            self.reusable = parser.should_keep_alive()  # false where the body ends with its connection
            self.headers = HeadLines(names, self._values)
            self._until_close = not (self.reusable or self._bodiless or status in _BODILESS or _has_end(self.headers))
            self.status, self.done, self._first = status, self._bodiless, b""

    def _problem(self, status: int, names: bytes) -> str | None:
        """What is wrong with a head that llhttp has taken, whose names are all tokens but for blanks behind them."""
        said = b" ".join([self.reason, *self._values])
        is_http = b"HTTP/".startswith(self._first.lstrip(b"\r\n")[:5])  # of many empty lines, `_first` has no more
        if status < 100 or status == _SWITCHING or self.version not in _VERSIONS or not is_http:
            return f"no final status of HTTP/1.1: HTTP/{self.version} {status}"
        if len(names) + len(said) + 2 * len(self._values) > LONGEST_HEAD:
            return f"it is longer than {LONGEST_HEAD} bytes"
        if b" " in names:  # llhttp takes it behind the names that it knows
            return "it has a blank before a colon"
        if said != said.translate(None, CONTROL):
            return "it has a control character"
        return None

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if not self.done and self.error is None and self.status is not None:
            self._goes_on = True
            self._parts.append(piece)
            self.buffered += len(piece)
        elif self.done:  # what has no body has one, and who knows how much of it is still to come
            self._exceed()

    def on_message_complete(self) -> None:
        """The end of the reply, or of an informational head."""
        if self.status is None:
            self._goes_on = True
        elif self.error is None:
            self.done = True


def _has_end(headers: HeadLines) -> bool:
    """Whether the body has a length or is chunked; otherwise it ends with the connection (RFC 9112, 6.3)."""
    codings = headers.get("transfer-encoding", "")
    return "content-length" in headers or codings.rpartition(",")[2].strip().lower() == "chunked"
