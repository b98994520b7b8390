"""The fault kit: what can go wrong between a client and a server, by name; each fault is a `Reply` like any other."""

import dataclasses
import difflib
from collections.abc import Mapping
from itertools import repeat
from typing import Any

from llmnet.testing.script import Reply

_JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
_HTML = {"content-type": "text/html"}


def _status(status: int, code: str, kind: str = "requests", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, error={"code": code, "type": kind, "message": code})


FAULTS: Mapping[str, Reply] = {
    # in place of a reply
    "eof-before-head": Reply(drop=True),
    "reset-before-head": Reply(drop=True, reset=True),
    "silent": Reply(silent=True),
    "fin-when-idle": Reply(drop_idle=True),
    # in the head
    "garbage-head": Reply(raw=b"This is no HTTP\r\n\r\n"),
    "eof-in-head": Reply(raw=_JSON[:40]),
    "giant-header": Reply(headers={"x-giant": "x" * 200_000}),
    "two-lengths": Reply(raw=_JSON + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} "),
    "unknown-status": Reply(status=799, body="?"),
    "redirect": Reply(status=307, headers={"location": "http://127.0.0.1:9/v1/chat/completions"}, body=""),
    # statuses
    "429": Reply(status=429),
    "429-seconds": Reply(status=429, headers={"retry-after": "7"}),
    "429-float": Reply(status=429, headers={"retry-after": "2.5"}),
    "429-milliseconds": Reply(status=429, headers={"retry-after-ms": "1500"}),
    "429-date": Reply(
        status=429,
        headers={"date": "Tue, 14 Nov 2023 22:13:20 GMT", "retry-after": "Tue, 14 Nov 2023 22:13:27 GMT"},
    ),
    "429-past": Reply(status=429, headers={"retry-after": "Tue, 14 Nov 2000 22:13:27 GMT"}),
    "429-zero": Reply(status=429, headers={"retry-after": "0"}),
    "429-garbage": Reply(status=429, headers={"retry-after": "soon"}),
    "429-tomorrow": Reply(status=429, headers={"retry-after": "86400"}),
    "429-quota": _status(429, "insufficient_quota", "insufficient_quota"),
    "429-credit": _status(429, "credit_balance_exhausted", "insufficient_quota"),
    "429-slow-down": _status(429, "slow_down", "rate_limit_error"),
    "429-endless": Reply(status=429, events=repeat("x" * 4096)),
    "502-html": Reply(status=502, headers=_HTML, body="<html>Bad gateway</html>"),
    "500-final": Reply(status=500, headers={"x-should-retry": "false"}),
    "400-again": Reply(status=400, headers={"x-should-retry": "true"}),
    "529": Reply(status=529),
    "400-context": _status(400, "context_length_exceeded", "invalid_request_error"),
    "403-html": Reply(status=403, headers=_HTML, body="<html>Just a moment</html>"),
    "error-list": Reply(status=500, headers={"content-type": "application/json"}, body=b"[1, 2, 3]"),
    "error-deep": Reply(status=500, headers={"content-type": "application/json"}, body=b"[" * 50_000),
    "error-in-200": Reply(error={"code": "server_error", "type": "server_error", "message": "inside"}),
    "html-in-200": Reply(headers=_HTML, body="<html>Log in</html>"),
    "empty-200": Reply(headers={"content-type": "application/json"}, body=b""),
    # in the body
    "short-body": Reply(cut=20, chunked=False),
    "cut-chunks": Reply(cut=20, chunked=True),
    "reset-in-body": Reply(cut=20, reset=True),
    "bad-chunk": Reply(raw=_JSON + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "stall-in-body": Reply(stall=20),
    "dripped-body": Reply(drip=0.05),
    "not-gzip": Reply(headers={"content-encoding": "gzip", "content-type": "application/json"}, body=b"plain"),
    "unknown-coding": Reply(headers={"content-encoding": "br", "content-type": "application/json"}, body=b"xxxx"),
    "not-json": Reply(headers={"content-type": "application/json"}, body=b'{"choices": [NaN'),
    # in a stream
    "stream-silent": Reply(stall=0),
    "stream-pings": Reply(events=[": ping\n\n"] * 2000, pace=0.05),
    "stream-reset-first": Reply(cut=1, reset=True),
    "stream-reset": Reply(text="one two three four five six", cut=600, reset=True),
    "stream-eof": Reply(text="one two three four five six", cut=600, chunked=False),
    "stream-without-end": Reply(text="one two three four five six", truncate=True),
    "stream-error-first": Reply(
        error_event={"code": "server_is_overloaded", "type": "overloaded_error", "message": "busy"}, error_event_at=0
    ),
    "stream-error": Reply(
        text="one two three four five six",
        error_event={"code": "server_error", "type": "server_error", "message": "gone"},
        error_event_at=2,
    ),
    "stream-stall": Reply(text="one two three four five six", stall=600),
    "stream-split": Reply(text="Grüße, 世界 🌍!", split=1),
    "stream-bad-json": Reply(events=['data: {"choices": [\n\n', "data: [DONE]\n\n"]),
    "stream-endless-line": Reply(events=["data: " + "x" * 9_000_000], chunked=True),
}
"""The names, each with the reply that it stands for."""


def fault(name: str, **changes: Any) -> Reply:
    """A fault of the kit, to put into a server's script.

    Args:
        name: one of `FAULTS`.
        **changes: fields of `Reply` that shall be otherwise.

    Raises:
        KeyError: there is no such fault; the message names those that look like it.
    """
    if name not in FAULTS:
        near = difflib.get_close_matches(name, FAULTS) or sorted(FAULTS)
        raise KeyError(f"no fault is called {name!r}; there are {', '.join(near)}")
    return dataclasses.replace(FAULTS[name], **changes)
