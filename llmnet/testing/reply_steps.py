"""A reply as a sequence of steps: all that happens on the socket, in order; `connection.py` performs them.

The body passes through stages, each a generator from steps to steps: pace, hold, cut or stall, split or drip, chunks.
A reply without faults passes none of them but the last.
"""

import zlib
from collections.abc import Generator, Iterable, Iterator
from enum import Enum
from http import HTTPStatus

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

_BLOCK = 65536  # bytes written at once, at least
_PHRASES = {int(status): status.phrase for status in HTTPStatus}


def steps(reply: Reply, content: Content | None = None, *, last: bool = True, head: bool = False) -> ReplySteps:
    """The steps after a request, in order; without *content* there was none, and no HTTP is sent.

    The client may have asked to close the connection then (*last*), or for the *head* alone.
    """
    return _gather(_all_steps(reply, content, last=last, head=head))


def _all_steps(reply: Reply, content: Content | None, *, last: bool, head: bool) -> Steps:
    end = Action.RESET if reply.reset else Action.CLOSE
    if reply.delay:
        yield float(reply.delay)
    if reply.hold is True:
        yield Action.HOLD
    if reply.silent:
        yield Action.STALL
    if reply.drop:
        yield end
    if reply.raw is not None or content is None:
        yield from _stages(reply, [reply.raw or b""])
        yield end
        return
    headers, parts = _framing(reply, content, last=last or reply.close)
    block = _head(reply.status, headers)
    yield from [block] if reply.drip_head is None else _pause(_split([block], 1), reply.drip_head)
    if not head:
        body = _stages(reply, parts)
        yield from _chunk(body) if headers.get("transfer-encoding") == "chunked" else body
    if reply.reset or reply.drop_idle or headers.get("connection") == "close":
        yield end


def _framing(reply: Reply, content: Content, *, last: bool) -> tuple[dict[str, str], Iterable[bytes]]:
    """Choose the headers, and so how the client recognises the end of the body."""
    headers = {"content-type": content.type, **content.headers}
    parts = content.parts
    if reply.gzip:
        headers["content-encoding"], parts = "gzip", _gzip(parts)
    if reply.status in (204, 304):
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
        body = _pause(_split(body, reply.split or 1), reply.drip or 0.0)
    return body


def _hold_half(body: list[Step]) -> Steps:
    """Wait in the middle: between events, or inside the only part of what is no stream."""
    if len(body) == 1 and isinstance(body[0], bytes):
        middle = len(body[0]) // 2
        body = [body[0][:middle], body[0][middle:]]
    half = len(body) // 2
    yield from [*body[:half], Action.HOLD, *body[half:]]


def _limit(body: Steps, reply: Reply) -> Steps:
    remaining = reply.cut if reply.cut is not None else reply.stall or 0
    for step in body:
        if isinstance(step, bytes):
            yield step[:remaining]
            remaining -= len(step)
        else:
            yield step
        if remaining <= 0:
            break
    yield Action.STALL if reply.cut is None else Action.RESET if reply.reset else Action.ABORT


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
        elif step in (Action.CLOSE, Action.ABORT, Action.RESET):
            return [b"".join(pending), step]
        if size:
            yield b"".join(pending)
        pending, size = [], 0
        if not isinstance(step, bytes):
            yield step
        if step is Action.STALL:
            return []
    return [b"".join(pending)]
