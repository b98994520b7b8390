"""A reply as a sequence of steps: all that happens on the socket, in order; `connection.py` performs them.

The body passes through stages, each a generator from steps to steps: pace, hold, cut or stall, split or drip, chunks.
A reply without faults passes none of them but the last.
"""

import dataclasses
import zlib
from collections.abc import Generator, Iterable, Iterator
from enum import Enum
from http import HTTPStatus
from itertools import chain

from llmnet.testing.script import Reply
from llmnet.testing.wire_forms.common import Content


class Action(Enum):
    """A step other than bytes to write (`bytes`) or seconds to wait (`float`)."""

    HOLD = "wait for a release"
    STALL = "do nothing more"
    CLOSE = "close cleanly"
    ABORT = "close without the closing alert of TLS"
    RESET = "close with a TCP reset"


Step = bytes | float | Action
Steps = Iterator[Step]
ReplySteps = Generator[Step, None, list[Step]]
"""Yields all steps but the last ones, which it returns: the request no longer counts as active while they are taken."""

_ENDS = frozenset({Action.CLOSE, Action.ABORT, Action.RESET})
_BLOCK = 65536  # bytes written at once, at least
_BODILESS = frozenset({204, 304})
_PHRASES = {int(status): status.phrase for status in HTTPStatus}


def steps(reply: Reply, content: Content, *, last: bool, head: bool = False) -> ReplySteps:
    """Give the steps after a request, in order.

    The client may have asked to close the connection afterwards (*last*), or for the head alone, as by HEAD.
    """
    return _gather(_all_steps(reply, content, last=last, head=head))


def steps_before_request(reply: Reply) -> ReplySteps:
    """Give the steps on a connection without a request: raw bytes if there are any, no HTTP, and the end."""
    return steps(dataclasses.replace(reply, raw=reply.raw or b""), Content("", ()), last=True)


def _all_steps(reply: Reply, content: Content, *, last: bool, head: bool) -> Steps:
    end = Action.RESET if reply.reset else Action.CLOSE
    if reply.delay:
        yield float(reply.delay)
    if reply.hold is True:
        yield Action.HOLD
    if reply.silent:
        yield Action.STALL
    if reply.drop:
        yield end
    if reply.raw is not None:
        yield from _stages(reply, [reply.raw])
        yield end
    headers, parts = _framing(reply, content, last=last or reply.close)
    yield from _drip([_head(reply.status, headers)], 1, reply.drip_head)
    if not head:
        body = _stages(reply, parts)
        yield from _chunk(body) if headers.get("transfer-encoding") == "chunked" else body
    if reply.reset or reply.drop_idle or headers.get("connection") == "close":
        yield end


def _framing(reply: Reply, content: Content, *, last: bool) -> tuple[dict[str, str], Iterable[bytes]]:
    """Choose the headers, and with them how the client recognises the end of the body."""
    headers = {"content-type": content.type, **content.headers}
    parts = content.parts
    if reply.gzip:
        headers["content-encoding"], parts = "gzip", _gzip(parts)
    if reply.status in _BODILESS:
        parts = []
    elif content.stream if reply.chunked is None else reply.chunked:
        headers["transfer-encoding"] = "chunked"
    elif content.stream:
        headers["connection"] = "close"
    else:
        parts = [b"".join(parts)]
        headers["content-length"] = str(len(parts[0]))
    if last:
        headers["connection"] = "close"
    own = {name.lower(): value for name, value in reply.headers.items()}
    return {name: value for name, value in {**headers, **own}.items() if value is not None}, parts


def _head(status: int, headers: dict[str, str]) -> bytes:
    """Write the status line and the header block."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\n{fields}\r\n".encode("latin-1")


def _gzip(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    for part in parts:
        yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def _stages(reply: Reply, parts: Iterable[Step]) -> Steps:
    body: Steps = iter(parts)
    if reply.pace is not None:
        body = _pause(body, reply.pace)
    if reply.hold == "body":
        body = _hold_half(list(body))
    if reply.cut is not None or reply.stall is not None:
        body = _limit(body, reply)
    if reply.split or reply.drip is not None:
        body = _drip(body, reply.split or 1, reply.drip or 0.0)
    return body


def _hold_half(body: list[Step]) -> Steps:
    """Insert the wait in the middle: between events, or inside the only part of a body that is not a stream."""
    if len(body) == 1 and isinstance(body[0], bytes):
        middle = len(body[0]) // 2
        body = [body[0][:middle], body[0][middle:]]
    return chain(body[: len(body) // 2], [Action.HOLD], body[len(body) // 2 :])


def _limit(body: Steps, reply: Reply) -> Steps:
    remaining = reply.cut if reply.cut is not None else reply.stall or 0
    for step in body:
        size = len(step) if isinstance(step, bytes) else 0
        yield step[:remaining] if isinstance(step, bytes) else step
        remaining -= size
        if remaining <= 0:
            break
    yield Action.STALL if reply.cut is None else Action.RESET if reply.reset else Action.ABORT


def _drip(body: Iterable[Step], size: int, seconds: float | None) -> Steps:
    """Cut the bytes into pieces of *size* and pause between them; None leaves them as they are."""
    return iter(body) if seconds is None else _pause(_split(body, size), seconds)


def _split(body: Iterable[Step], size: int) -> Steps:
    """Cut after every *size* bytes, also across events, and at each step that is not bytes."""
    rest = b""
    for step in body:
        if isinstance(step, bytes):
            data = rest + step
            end = len(data) - len(data) % size
            yield from (data[at : at + size] for at in range(0, end, size))
            rest = data[end:]
        else:
            yield from (rest, step)
            rest = b""
    yield rest


def _pause(body: Steps, seconds: float) -> Steps:
    started = False
    for step in body:
        if isinstance(step, bytes) and step:
            if started:
                yield float(seconds)
            started = True
        yield step


def _chunk(body: Steps) -> Steps:
    for step in body:
        if not isinstance(step, bytes):
            yield step
        elif step:  # an empty chunk would be the last one
            yield b"%x\r\n%b\r\n" % (len(step), step)
    yield b"0\r\n\r\n"


def _gather(body: Steps) -> ReplySteps:
    """Join bytes with no other step between them, into blocks, since events may be endless."""
    pending: list[bytes] = []
    size = 0
    for step in body:
        if isinstance(step, bytes):
            pending.append(step)
            size += len(step)
            if size < _BLOCK:
                continue
        elif step in _ENDS:
            return [b"".join(pending), step]
        if size:
            yield b"".join(pending)
        pending, size = [], 0
        if not isinstance(step, bytes):
            yield step
        if step is Action.STALL:
            return []
    return [b"".join(pending)]
