"""What can go wrong between a client and a server: faults by name, each a `Reply`, and ports that never answer."""

import contextlib
import dataclasses
import difflib
import socket
import zlib
from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import Any

from llmnet.testing.script import Reply

_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "one"}}]}\n\n'
_WORDS = "one two three four five six"
_HTML, _JSON_TYPE = {"content-type": "text/html"}, {"content-type": "application/json"}
_GZIP = {**_JSON_TYPE, "content-encoding": "gzip"}


def _error(status: int, code: str, kind: str) -> Reply:
    return Reply(status=status, error={"code": code, "type": kind, "message": code})


def _chunks(size: bytes) -> Reply:
    """A reply with one chunk, whose size is written as *size*."""
    return Reply(raw=_JSON + b"transfer-encoding: chunked\r\n\r\n" + size + b"\r\n{}\r\n0\r\n\r\n")


def _bomb() -> bytes:
    """Half a megabyte of gzip that decompresses to 512 megabytes: equal blocks, and a wrong checksum at the end."""
    packer = zlib.compressobj(wbits=31)
    first, other = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + other * 511 + packer.flush()


def _google(quota: str) -> Reply:
    """A spent quota of Gemini, which names the wait in the body only."""
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"},
    ]
    error = {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}
    return Reply(status=429, body=[{"error": {**error, "details": details}}])


_HI = b'{"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}'
_LENGTH = b"content-length: %d\r\n\r\n" % len(_HI)
_HEAD_413 = b"HTTP/1.1 413 Content Too Large\r\ncontent-type: application/json\r\n"
_HI_EVENTS = 'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
_WAITS = {
    "seconds": "7", "float": "2.5", "past": "Tue, 14 Nov 2000 22:13:27 GMT", "zero": "0", "garbage": "soon",
    "tomorrow": "86400",
}  # fmt: skip

FAULTS: Mapping[str, Reply] = {
    # on a connection, before there is a request: with an https:// address in the TLS handshake
    "eof-at-accept": Reply(at="accept"),
    "reset-at-accept": Reply(at="accept", reset=True),
    "silent-at-accept": Reply(at="accept", silent=True),
    "eof-at-hello": Reply(at="hello"),
    "reset-at-hello": Reply(at="hello", reset=True),
    "tls-alert": Reply(at="hello", raw=b"\x15\x03\x03\x00\x02\x02\x0a"),
    # of a proxy, in answer to CONNECT
    "proxy-403": Reply(status=403, body="Forbidden"),
    "proxy-407": Reply(status=407, headers={"proxy-authenticate": 'Basic realm="proxy"'}, body=""),
    "proxy-502": Reply(status=502, body="Bad gateway"),
    "proxy-503": Reply(status=503, body="No server"),
    "proxy-504": Reply(status=504, body="Too late"),
    "proxy-cut": Reply(raw=b"HTTP/1.1 200 Connection est"),
    # while the request is sent: the server closes after its first bytes
    "early-413": Reply(at="hello", raw=_HEAD_413 + b'content-length: 20\r\n\r\n{"error": "too big"}'),
    "early-200": Reply(at="hello", raw=_JSON + _LENGTH + _HI),
    # in place of a reply
    "eof-before-head": Reply(drop=True),
    "reset-before-head": Reply(drop=True, reset=True),
    "silent": Reply(silent=True),
    "fin-when-idle": Reply(drop_idle=True),
    # in the head
    "garbage-head": Reply(raw=b"This is no HTTP\r\n\r\n"),
    "binary-head": Reply(raw=b"\0\1\2\3 what is this?\r\n\r\n"),
    "eof-in-head": Reply(raw=_JSON[:40]),
    "giant-header": Reply(headers={"x-giant": "x" * 200_000}),
    "two-lengths": Reply(raw=_JSON + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} "),
    "switching": Reply(raw=b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
    "both-lengths": Reply(headers={"content-length": "7"}, chunked=True),
    "unknown-status": Reply(status=799, body="?"),
    "redirect": Reply(status=307, headers={"location": "http://127.0.0.1:9/v1/chat/completions"}, body=""),
    # statuses
    "429": Reply(status=429),
    **{f"429-{name}": Reply(status=429, headers={"retry-after": value}) for name, value in _WAITS.items()},
    "429-milliseconds": Reply(status=429, headers={"retry-after-ms": "1500"}),
    "429-date": Reply(
        status=429,
        headers={"date": "Tue, 14 Nov 2023 22:13:20 GMT", "retry-after": "Tue, 14 Nov 2023 22:13:27 GMT"},
    ),
    "429-quota": _error(429, "insufficient_quota", "insufficient_quota"),
    "429-credit": _error(429, "credit_balance_exhausted", "insufficient_quota"),
    "429-slow-down": _error(429, "slow_down", "rate_limit_error"),
    "429-spend-limit": Reply(
        status=429,
        body={
            "type": "error",
            "error": {
                "type": "rate_limit_error",
                "message": "This workspace has reached its spend limit.",
                "details": {"error_code": "enforced_spend_limit_reached"},
            },
        },
    ),
    "429-in-body": _google("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
    "429-per-day": _google("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
    "429-endless": Reply(status=429, events=repeat("x" * 4096)),
    "502-html": Reply(status=502, headers=_HTML, body="<html>Bad gateway</html>"),
    "500-final": Reply(status=500, headers={"x-should-retry": "false"}),
    "400-again": Reply(status=400, headers={"x-should-retry": "true"}),
    "529": Reply(status=529),
    "400-context": _error(400, "context_length_exceeded", "invalid_request_error"),
    "403-html": Reply(status=403, headers=_HTML, body="<html>Just a moment</html>"),
    "error-list": Reply(status=500, headers=_JSON_TYPE, body=b"[1, 2, 3]"),
    "error-deep": Reply(status=500, headers=_JSON_TYPE, body=b"[" * 50_000),
    "error-in-200": Reply(error={"code": "server_error", "type": "server_error", "message": "inside"}),
    "html-in-200": Reply(headers=_HTML, body="<html>Log in</html>"),
    "empty-200": Reply(headers=_JSON_TYPE, body=b""),
    # in the body
    "short-body": Reply(cut=20, chunked=False),
    "cut-chunks": Reply(cut=20, chunked=True),
    "reset-in-body": Reply(cut=20, reset=True),
    "followed": Reply(
        headers={**_JSON_TYPE, "content-length": str(len(_HI))},
        body=_HI + _JSON + _LENGTH + _HI.replace(b"Hi", b"No"),
    ),
    "stream-followed": Reply(
        headers={"connection": None, "content-length": str(len(_HI_EVENTS))},
        events=[_HI_EVENTS + "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"],
        chunked=False,
    ),
    "bad-chunk": _chunks(b"zz"),
    "negative-chunk": _chunks(b"-5"),
    "signed-chunk": _chunks(b"+2"),
    "giant-chunk": _chunks(b"f" * 30),
    "unfinished-chunk": _chunks(b"f" * 12),
    "stall-in-body": Reply(stall=20),
    "dripped-body": Reply(drip=0.05),
    "gzip-bomb": Reply(headers=_GZIP, body=_bomb()),
    "not-gzip": Reply(headers=_GZIP, body=b"plain"),
    "unknown-coding": Reply(headers={**_JSON_TYPE, "content-encoding": "br"}, body=b"xxxx"),
    "not-json": Reply(headers=_JSON_TYPE, body=b'{"choices": [NaN'),
    # in a stream
    "stream-silent": Reply(stall=0),
    "stream-pings": Reply(events=[": ping\n\n"] * 2000, pace=0.05),
    "stream-reset-first": Reply(cut=1, reset=True),
    "stream-reset": Reply(text=_WORDS, cut=600, reset=True),
    "stream-reset-after": Reply(text=_WORDS, reset=True),
    "stream-eof": Reply(text=_WORDS, cut=600, chunked=False),
    "stream-without-end": Reply(text=_WORDS, truncate=True),
    "stream-error-first": Reply(
        error_event={"code": "server_is_overloaded", "type": "overloaded_error", "message": "busy"}, error_event_at=0
    ),
    "stream-error": Reply(
        text=_WORDS,
        error_event={"code": "server_error", "type": "server_error", "message": "gone"},
        error_event_at=2,
    ),
    "stream-stall": Reply(text=_WORDS, stall=600),
    "stream-split": Reply(text="Grüße, 世界 🌍!", split=1),
    "stream-bad-json": Reply(events=['data: {"choices": [\n\n', "data: [DONE]\n\n"]),
    "stream-bad-chunk": Reply(raw=_CHUNKED + b"%x\r\n%b\r\n-5\r\n{}\r\n0\r\n\r\n" % (len(_EVENT), _EVENT)),
    "stream-endless-line": Reply(events=["data: " + "x" * 9_000_000], chunked=True),
}
"""The reply of each fault, by name."""


def fault(name: str, **changes: Any) -> Reply:
    """A fault, to put into a server's script.

    Args:
        name: one of `FAULTS`.
        **changes: fields of `Reply` to change.

    Raises:
        KeyError: there is no such fault; the message names similar ones.
    """
    if name not in FAULTS:
        near = difflib.get_close_matches(name, FAULTS) or sorted(FAULTS)
        raise KeyError(f"no fault is called {name!r}; there are {', '.join(near)}")
    return dataclasses.replace(FAULTS[name], **changes)


# -- ports whose kernel takes part in TCP while no program accepts, reads or answers ----------------------------------


@contextlib.contextmanager
def mute_peer(window: int | None = None) -> Iterator[int]:
    """A port on loopback where connections are accepted and nothing is ever read.

    Args:
        window: bytes that the kernel accepts from the sender; `None` leaves its default.
    """
    with socket.socket() as listener:
        if window is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def full_peer(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port whose backlog is full: no TCP handshake ever completes there."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]
