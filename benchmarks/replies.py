"""Replies as OpenAI and Anthropic send them, made once as bytes; the number of a call is put in when it comes."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks.content import CHAT_TAIL, DIGITS, STAMP, pieces

# Where the number of the call or the time goes: as long as one, so that all lengths are right.
_NUMBER = "#" * DIGITS
_TIME = "#" * STAMP
_BURST = 16  # events that a write has: what a server flushes at once
_MODEL = "gpt-5.4-mini"
_CHAT_ID = "chatcmpl-CXv5PSNDvh7tQ2mHnHgXwQ8pTzVbK"
_MESSAGE_ID = "msg_01XFDUDYJgAACzvnptvVoYEL"
_OPENAI_USAGE = {"prompt_tokens": 53, "completion_tokens": 2000, "total_tokens": 2053}
_ANTHROPIC_USAGE = {"input_tokens": 53, "output_tokens": 2000}


class Reply(NamedTuple):
    """The bytes of a reply, in the writes that they are sent in; the first one holds the number."""

    before: bytes
    after: bytes
    more: tuple[bytes, ...] = ()


class Paced(NamedTuple):
    """The bytes of a stream of any length, whose deltas are the time between `before` and `after`."""

    opening: bytes
    before: bytes
    after: bytes
    closing: bytes


class Form(NamedTuple):
    """What one kind of request is answered with: at once, and with a pace."""

    reply: Reply
    paced: Paced | None = None


class _Events(NamedTuple):
    """A stream: what comes before the deltas, how one is written, and what comes after them."""

    opening: Sequence[bytes]
    delta: Callable[[str], bytes]
    closing: Sequence[bytes]


def _plain(value: Any) -> Form:
    body = _dumped(value)
    return Form(_reply([_head("application/json", f"content-length: {len(body)}") + body]))


def _stream(events: _Events) -> Form:
    return Form(_burst(events), _paced(events))


def _burst(events: _Events) -> Reply:
    deltas = map(events.delta, pieces(_NUMBER))
    chunks = [_chunk(event) for event in (*events.opening, *deltas, *events.closing)]
    bursts = [b"".join(chunks[start : start + _BURST]) for start in range(0, len(chunks), _BURST)]
    return _reply([_STREAM_HEAD + bursts[0], *bursts[1:], _END])


def _paced(events: _Events) -> Paced:
    opening, closing = (b"".join(map(_chunk, some)) for some in (events.opening, events.closing))
    before, after = _chunk(events.delta(_TIME)).split(_TIME.encode())
    return Paced(_STREAM_HEAD + opening, before, after, closing + _END)


def _chunk(event: bytes) -> bytes:
    """Each event is a chunk of the transfer coding, as a server that flushes writes it."""
    return b"%x\r\n%b\r\n" % (len(event), event)


def _head(kind: str, framing: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"content-type: {kind}", framing, "x-request-id: req_0123456789abcdef", "\r\n")
    return "\r\n".join(lines).encode()


_STREAM_HEAD, _END = _head("text/event-stream; charset=utf-8", "transfer-encoding: chunked"), b"0\r\n\r\n"


def _reply(writes: list[bytes]) -> Reply:
    before, after = writes[0].split(_NUMBER.encode())
    return Reply(before, after, tuple(writes[1:]))


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


# -- OpenAI -----------------------------------------------------------------------------------------------------------


def _openai(kind: str, choices: list[Any], **more: Any) -> dict[str, Any]:
    made = {"id": _CHAT_ID, "object": kind, "created": 1795600000, "model": _MODEL, "choices": choices}
    return {**made, **more, "service_tier": "default", "system_fingerprint": "fp_44709d6fcb"}


def _completion() -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _NUMBER + CHAT_TAIL, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _openai("chat.completion", [choice], usage=_OPENAI_USAGE)


def _chunks(*, counted: bool) -> _Events:
    def data(choices: list[Any], **usage: Any) -> bytes:
        return b"data: %b\n\n" % _dumped(_openai("chat.completion.chunk", choices, **usage))

    def choice(delta: dict[str, Any], finish: str | None = None) -> bytes:
        usage = {"usage": None} if counted else {}
        return data([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], **usage)

    opening = [choice({"role": "assistant", "content": "", "refusal": None})]
    usage = [data([], usage=_OPENAI_USAGE)] if counted else []
    closing = [choice({}, "stop"), *usage, b"data: [DONE]\n\n"]
    return _Events(opening, lambda text: choice({"content": text}), closing)


# -- Anthropic --------------------------------------------------------------------------------------------------------


def _message(content: list[Any], stop: str | None) -> dict[str, Any]:
    made = {"id": _MESSAGE_ID, "type": "message", "role": "assistant", "model": "claude-haiku-5-5"}
    return {**made, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": _ANTHROPIC_USAGE}


def _events() -> _Events:
    def event(name: str, **more: Any) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), _dumped({"type": name, **more}))

    def delta(text: str) -> bytes:
        return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})

    opening = [
        event("message_start", message=_message([], None)),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
    ]
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    closing = [
        event("content_block_stop", index=0),
        event("message_delta", delta=ended, usage={"output_tokens": 2000}),
        event("message_stop"),
    ]
    return _Events(opening, delta, closing)


CHAT, STREAM, COUNTED_STREAM = _plain(_completion()), _stream(_chunks(counted=False)), _stream(_chunks(counted=True))
MESSAGE = _plain(_message([{"type": "text", "text": _NUMBER + CHAT_TAIL}], "end_turn"))
MESSAGE_STREAM = _stream(_events())
