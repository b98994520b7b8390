"""A row of the fault matrix is a value: what goes wrong, and all that must then be true; one function plays it on a front.

Sleeps are skipped and written down; the clock runs on and counts what was skipped, so that bounds still fire.
"""

import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable
from typing import Any

from support.fronts import VirtualTime, virtual
from support.inside import connections_of
from support.live import at, content, eventually, open_files, slots

import llmnet

KEY = "sk-planted-0123456789abcdef"
LOW = llmnet.Timeout(connect=0.3, response=0.3, idle=0.3, total=30)
"""Bounds of rows in which one expires; those that must not are far away."""

# -- waits: a pair of limits for each sleep -----------------------------------------------------------------------------


def full(*numbers):
    """Full jitter after the n-th transient failure."""
    return tuple((0.0, min(8.0, 0.5 * 2.0 ** (n - 1))) for n in numbers)


def equal(*numbers):
    """Equal jitter after the n-th throttle that named no time."""
    return tuple((min(30.0, 2.0 ** (n - 1)) / 2, min(30.0, 2.0 ** (n - 1))) for n in numbers)


def told(*seconds):
    """Never before the server said, and a little later."""
    return tuple((s, s + min(5.0, 1.0 + 0.1 * s)) for s in seconds)


ONCE, TWICE, THRICE = full(1), full(1, 2), full(1, 2, 3)

# -- the values --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expect:
    """What a call must come to; `None` where the row says nothing of it.

    Attributes:
        error: the very class of the error; `None`: the call succeeds.
        phase: of a connection error.
        status: of a status error.
        text: what is kept: the content of the reply, or of the partial one.
        sent: requests that the server must see.
        attempts: entries of `meta.attempts`, if others than those sent.
        transparent: how many of them used no retry.
        waits: limits of each sleep, in order.
        connections: how many were accepted by the server.
        billed: the error's `maybe_billed`.
        says: words that the error's text must have.
        holds: anything else, given what was seen.
    """

    error: type[BaseException] | None = None
    phase: str | None = None
    status: int | None = None
    text: str | None = None
    sent: int | None = None
    attempts: int | None = None
    transparent: int = 0
    waits: tuple[tuple[float, float], ...] = ()
    connections: int | None = None
    billed: bool | None = None
    says: str = ""
    holds: Callable[["Seen"], Any] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One fault, as the matrix numbers it; a number may have several rows.

    Attributes:
        number: of docs/resilience.md, Fault matrix.
        phase, fault: its words.
        script: replies of the fake server, or names of its fault kit.
        scene: a context manager `(server) → fields of the client`, for faults that are no reply of the fake server.
        fields, params: of the client and of the call.
        stream: `chat`, `stream_chat`, or both, each as a case of its own.
        fronts: where it applies.
        play: a function `(front, server)` in place of a call and an `Expect`; it asserts for itself.
    """

    number: int
    phase: str
    fault: str
    script: tuple[Any, ...] = ()
    scene: Callable[..., Any] | None = None
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    stream: tuple[bool, ...] = (False,)
    fronts: tuple[str, ...] = ("sync", "async")
    expect: Expect | None = None
    play: Callable[..., Any] | None = None


@dataclasses.dataclass
class Seen:
    """What a call did."""

    error: BaseException | None
    text: str | None
    reply: Any
    attempts: list[Any]
    sleeps: list[float]
    sent: int
    counted: int
    connections: int


# -- playing ------------------------------------------------------------------------------------------------------------


class SkippedTime(VirtualTime):
    """The real clock, ahead by all that was slept."""

    def __init__(self):
        self.now, self.sleeps = 0.0, []

    def clock(self):
        return time.monotonic() + self.now


def skipping(front, client, time=None):
    """Let a client of a front skip its sleeps, with a known random source; a list of them that grows."""
    return virtual(client, time=time or SkippedTime()).sleeps


def run(front, server, row, *, stream):
    """Play a row's call on a front; what it did, with its slot and descriptors given back."""
    server.reset()
    server.script(*row.script)
    with contextlib.ExitStack() as stack:
        fields = stack.enter_context(row.scene(server)) if row.scene else {}
        eventually(lambda: not connections_of(server))
        files = open_files()
        fields = {**at(server), "api_key": KEY, "max_concurrent": 1, **row.fields, **fields}
        with front.client(**fields) as client:
            sleeps = skipping(front, client)
            error = reply = None
            try:
                reply = _ask(client, row.params, stream=stream)
            except Exception as caught:
                error = caught
            assert slots(client) == 0
            counted = client.request_count
        seen = _seen(error, reply, sleeps, server, counted)
        eventually(lambda: open_files() <= files)
    return seen


def _ask(client, params, *, stream):
    if not stream:
        return client.chat("Hello there, world", **params)
    with client.stream_chat("Hello there, world", **params) as opened:
        assert content(list(opened)) == opened.response.content
        return opened.response


def _seen(error, reply, sleeps, server, counted):
    meta = getattr(error, "meta", None) or (reply.meta if reply is not None else llmnet.Meta())
    kept = reply if reply is not None else getattr(error, "partial", None)
    return Seen(
        error=error,
        text=None if kept is None else kept.content,
        reply=reply,
        attempts=list(meta.attempts),
        sleeps=list(sleeps),
        sent=server.request_count,
        counted=counted,
        connections=server.connections,
    )


# -- checking ----------------------------------------------------------------------------------------------------------


def check(seen, expect):
    """Compare what was seen with what the row wants, and with what every row wants."""
    error = seen.error
    told_of = "".join(traceback.format_exception(error)) if error is not None else "no error"
    assert (type(error) if error is not None else None) is expect.error, told_of
    assert KEY not in told_of
    for name in ("phase", "status"):
        if (wanted := getattr(expect, name)) is not None:
            assert getattr(error, name) == wanted, told_of
    assert expect.says.lower() in told_of.lower()
    if expect.billed is not None:
        assert error.maybe_billed is expect.billed
    if expect.text is not None:
        assert seen.text == expect.text
    _check_attempts(seen, expect)
    if expect.holds is not None:
        assert expect.holds(seen)


def _check_attempts(seen, expect):
    sent = sum(attempt.sent for attempt in seen.attempts)
    assert sent == seen.counted, "each attempt that was sent is counted"
    if expect.sent is not None:
        assert seen.sent == expect.sent, [attempt.cause for attempt in seen.attempts]
    if (wanted := expect.attempts if expect.attempts is not None else expect.sent) is not None:
        assert len(seen.attempts) == wanted, seen.attempts
    assert sum(attempt.transparent for attempt in seen.attempts) == expect.transparent
    assert len(seen.sleeps) == len(expect.waits), seen.sleeps[:9]
    for slept, (low, high) in zip(seen.sleeps, expect.waits, strict=True):
        assert low <= slept <= high + 1e-6, seen.sleeps[:9]
    if expect.connections is not None:
        assert seen.connections == expect.connections
