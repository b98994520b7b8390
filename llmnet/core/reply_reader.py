"""Reads the reply to one attempt: its head and bytes go in, chunks, an error or the value come out; no I/O."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from llmnet.core.chat import ChatResponse, StreamChunk
from llmnet.core.draft import NO_DRAFT, NO_FUNCTIONS, Draft
from llmnet.core.errors import APIStatusError, IncompleteStreamError, InvalidResponseError, LLMNetError, TimeoutPhase
from llmnet.core.event_reader import EventReader, begins_stream, is_stream
from llmnet.core.form_contract import Kind, WireForm
from llmnet.core.http import NO_HEADERS, Headers
from llmnet.core.inflate import MAX_BODY_BYTES, Inflater
from llmnet.core.json import decode, readable
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.preview import cut, glimpse
from llmnet.core.reply_text import body_text
from llmnet.core.tool_call import Function

# How much may come out of a body's coding; the events of a stream are bounded one by one.
_MOST: dict[Kind, int | None] = {"error": 64 * 1024, "json": MAX_BODY_BYTES, "events": None}
SNIPPET = 500


class ReplyReader:
    """Reads one reply: `open` takes its head, `feed` and `end` its body.

    A few bytes may stand for very much work: `feed` does one piece of it at a time, and while the reader is `behind` it
    is to be called again, without bytes. Bounds, and whoever else is to be served, are looked after in between.
    All methods raise `AttemptError` when the reply is not what was promised, after the chunks that came before.
    JSON without a coding, as most replies are, is gathered as it comes: what others need is made for them alone.

    Args:
        form, stream, asked: the wire form; whether a stream was asked for, and of which model.
        read: reads the JSON of a reply that is no chat.
        functions: what the caller has given as tools, by name.
    """

    def __init__(
        self,
        form: WireForm,
        *,
        stream: bool = False,
        read: Callable[[Any], Any] | None = None,
        asked: str = "",
        functions: Mapping[str, Function] = NO_FUNCTIONS,
    ) -> None:
        self.form, self.stream, self._asked, self._functions = form, stream, asked, functions
        self.status: int | None = None
        self.headers, self.draft = NO_HEADERS, NO_DRAFT
        self.kind: Kind | None = None
        self.value: Any = None
        self.arrived, self._read, self._is_known = 0, read, False
        self._body: bytes | bytearray = b""
        self._inflater: Inflater | None = None
        self._error: LLMNetError | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._piece: bytes | None = None  # the next one, so that the last one is known as such

    def open(self, status: int, headers: Headers) -> Kind:
        """Say what the reply is, from its head: decided by what came, not by what was asked for."""
        self.status, self.headers = status, headers
        self.kind = self._kind_of((headers.first(("content-type",)) or "").lower())
        encoding = headers.first(("content-encoding",))
        if encoding or self.kind == "events":
            try:
                self._take_apart(Inflater(encoding, _MOST[self.kind]))
            except InvalidResponseError as error:
                if self.kind != "error":
                    raise AttemptError(Outcome(error)) from None
        return self.kind

    def _take_apart(self, inflater: Inflater) -> Inflater:
        """Make what takes a body apart: it is coded, may be a stream, or says more than a text."""
        self._inflater, self.draft = inflater, Draft(self._asked, self._functions)
        self._events = EventReader(self.form, self.draft)
        return inflater

    def _kind_of(self, content_type: str) -> Kind:
        if not 200 <= (self.status or 0) < 300:
            return "error"
        if "event-stream" in content_type:
            return "events"
        return "json" if not self.stream or "json" in content_type or "html" in content_type else "events"

    @property
    def bound(self) -> TimeoutPhase | None:
        """Which bound a silence has: `response` while a stream has nothing to show; `None` before a reply has begun."""
        if self.kind == "json":  # a plain reply begins with its head, a stream with its first sign of output
            return "idle"
        if not self.draft.begun:
            return None
        return "response" if self.draft.silent or not self._events.shown else "idle"

    @property
    def done(self) -> bool:
        """Whether the terminal event has come: what follows it says nothing."""
        return self.draft.done

    def survives(self, outcome: Outcome) -> bool:
        """Whether the reply was whole when its connection was lost: no terminal event has to follow its finish."""
        return self.draft.may_end and isinstance(outcome.error, IncompleteStreamError)

    def fail(self, body: bytes) -> APIStatusError:
        """The error of an error reply, from as much of its body as was read."""
        pieces: list[bytes] = []
        with contextlib.suppress(InvalidResponseError):
            pieces += self._inflater.feed(body) if self._inflater else [body]
        return self._failure(readable(body_text(b"".join(pieces), self.headers)))

    def _failure(self, payload: Any) -> APIStatusError:
        return self.form.parse_error(self.status or 0, self.headers, payload)

    @property
    def behind(self) -> bool:
        """Whether what has arrived is not read to its end yet, or has brought an error that is still to be raised."""
        return (self._piece is not None or self._error is not None) and not self.done

    def feed(self, data: bytes) -> list[StreamChunk]:
        """Take bytes of the body, and read the next piece of what has arrived; the chunks that it completes."""
        if self._error is not None:
            raise AttemptError(Outcome(self._error))
        self.arrived += len(data)
        chunks: list[StreamChunk] = []
        try:
            if self._inflater is None and (self._body or data.startswith(b"{")):
                self._gather(data, chunks)
            else:
                self._feed(data, chunks)
        except LLMNetError as error:
            self._hold(error, chunks)
        return chunks

    def _feed(self, data: bytes, chunks: list[StreamChunk]) -> None:
        inflater = self._inflater or self._take_apart(Inflater(None))
        if data and self._piece is None:
            self._pieces = inflater.feed(data)
            self._piece = next(self._pieces, None)
        elif data:
            self._pieces = chain(self._pieces, inflater.feed(data))
        if self._piece is not None:
            if self._is_events(self._piece):
                self._events.feed(self._piece, chunks)
            else:
                self._gather(self._piece, chunks)
            self._piece = None if self.draft.done else next(self._pieces, None)

    def _is_events(self, piece: bytes) -> bool:
        """Some gateways call an event stream JSON, or the reverse: its first bytes tell one from the other."""
        if not self._is_known and self._read is None and piece and not piece.isspace():
            self._is_known = True
            self.kind = "events" if is_stream(self.kind == "events", piece, asked=self.stream) else "json"
        return self.kind == "events"

    def _gather(self, piece: bytes, chunks: list[Any]) -> None:
        if not self._body:
            self._body = bytes(piece)  # a transport may give a buffer of its own, and fill it again
        elif piece:
            self._body = self._body if isinstance(self._body, bytearray) else bytearray(self._body)
            self._body += piece
        if len(self._body) > MAX_BODY_BYTES:
            raise InvalidResponseError(f"the body is longer than {MAX_BODY_BYTES} bytes")

    def end(self) -> list[StreamChunk]:
        """The body has ended, or its terminal event has come: the chunks still held; `value` has the result."""
        chunks: list[StreamChunk] = []
        while self.behind:
            chunks += self.feed(b"")
        try:
            self._end_events(chunks) if self.kind == "events" else self._end_json(chunks)
        except LLMNetError as error:
            # Its frames hold the body, which would live for as long as somebody keeps the error.
            outcome = Outcome(error.with_traceback(None), once=isinstance(error, InvalidResponseError))
            raise AttemptError(outcome) from error
        return chunks

    def forget(self) -> None:
        """Let go of the bytes of the body: nobody goes on with it; what was made of them stays."""
        self._body, self._pieces, self._piece = b"", iter(()), None
        self._events = EventReader(self.form, self.draft)

    def partial(self) -> ChatResponse[Any] | None:
        """The reply as far as it has arrived, or `None` where nothing of it has."""
        if isinstance(self.value, ChatResponse):
            return self.value
        return self._response(None) if self.draft.begun or self.draft.id else None

    def _hold(self, error: LLMNetError, chunks: list[StreamChunk]) -> None:
        """Raise now, or after the chunks that came first: then the verdict does not depend on how bytes were cut."""
        self._error = error.with_traceback(None)
        if not chunks:
            raise AttemptError(Outcome(error)) from error

    def _end_events(self, chunks: list[StreamChunk]) -> None:
        self._events.end(chunks)
        if not self.draft.whole:
            raise self._incomplete()
        self.value = self._response(None)

    def _incomplete(self) -> LLMNetError:
        if (failure := self._events.failure) is not None:
            return self._failure(failure)
        words = self._events.last_words
        last = f"; its last words: {glimpse(words, 200)}" if words else ""
        return IncompleteStreamError(f"the stream ended before its terminal event, after {self.arrived} bytes{last}")

    def _end_json(self, chunks: list[StreamChunk]) -> None:
        if self._inflater is not None:
            self._inflater.end()
        body = self._body
        if self._read is None and not self.stream and (reply := self.form.read_body(body)) is not None:
            self.value = reply
            return
        if not body or body.isspace():
            raise InvalidResponseError(f"HTTP {self.status} with an empty body", retryable=True)
        if self._inflater is None and self._read is None:
            self._take_apart(Inflater(None))
        try:
            payload, why = decode(body, arrived=self.arrived), None
        except ValueError as error:
            why = str(error)
        if why is not None:  # not where it was caught: the frames of what was caught hold the body
            self._end_no_json(body, why, chunks)
            return
        if self.form.find_error(payload):
            raise self._failure(payload)
        if self._read is None:
            chunk = self.form.parse(payload, self.draft)
            self.draft.done = True
            self.value = self._response(payload)
            chunks += [chunk] if chunk and self.stream else []
        else:
            self.value = self._read(payload)

    def _end_no_json(self, body: bytes | bytearray, why: str, chunks: list[StreamChunk]) -> None:
        """A body that is no JSON may be an event stream after all, asked for or not."""
        if self._read is None and (begins_stream(body) or (self.stream and body.lstrip().startswith(b"{"))):
            self.kind = "events"
            self._events.feed(bytes(body), chunks)
            self._end_events(chunks)
            return
        kind = self.headers.get("content-type") or "no content type"
        snippet = cut(body_text(bytes(body[: 4 * SNIPPET]), self.headers), SNIPPET)
        raise InvalidResponseError(f"HTTP {self.status} is no JSON ({kind}, {why}): {snippet!r}")

    def _response(self, raw: dict[str, Any] | None) -> ChatResponse:
        return self.draft.response(provider=self.form.provider, message=self.form.message(self.draft), raw=raw)
