"""Sends one request over a connection of the fast transport, and waits for the head of its reply."""

import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx

from llmnet.net.proxy import Proxy
from llmnet.net.sockets import AT_ONCE
from llmnet.transports.aio.connect import proxy_headers
from llmnet.transports.aio.connection import Connection
from llmnet.transports.aio.salvage import Salvage
from llmnet.transports.aio.wait import Scope
from llmnet.transports.aio.watch import Watch
from llmnet.transports.wire import CONTROL, DisconnectedError, WireReader

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Head(NamedTuple):
    """The head of a request, and what it says of the body: its length, or `None` where it goes out in chunks."""

    data: bytes
    length: int | None


def head_of(request: httpx.Request, proxy: Proxy | None) -> Head:
    """The head of a request.

    Args:
        request: the request.
        proxy: the HTTP proxy that is asked to forward it, if one is.

    Raises:
        httpx.LocalProtocolError: a part of it would change what the head says.
    """
    target, ours = request.url.raw_path, list[bytes]()
    if proxy is not None:
        target, ours = request.url.raw_scheme + b"://" + request.url.netloc + target, proxy_headers(proxy)
    method = request.method.encode("ascii", "replace")
    length, pairs = _framing(request.headers.raw)
    has_control = CONTROL.search(b"".join([target, *[value for _, value in pairs]])) is not None
    if has_control or not all(map(_TOKEN.fullmatch, [method, *[name for name, _ in pairs]])):
        raise httpx.LocalProtocolError("the request has a header, a method or an address that HTTP cannot carry")
    lines = [b"%b %b HTTP/1.1" % (method, target), *[b"%b: %b" % pair for pair in pairs], *ours, b"", b""]
    return Head(b"\r\n".join(lines), length)


def _framing(pairs: list[tuple[bytes, bytes]]) -> tuple[int | None, list[tuple[bytes, bytes]]]:
    """How long the body is, `None` if it goes out in chunks, and the headers, of which no two say so (RFC 9112, 6.2).

    Raises:
        httpx.LocalProtocolError: they say several things, or what cannot be done.
    """
    lengths, codings = set[bytes](), list[bytes]()
    for name, value in pairs:
        if len(name) == 14 and name.lower() == b"content-length":
            lengths.add(value)
        elif len(name) == 17 and name.lower() == b"transfer-encoding":
            codings.append(value.lower())
    if codings == [b"chunked"]:
        return None, [(name, value) for name, value in pairs if name.lower() != b"content-length"]
    if codings or len(lengths) > 1 or not all(value.isdigit() for value in lengths):
        raise httpx.LocalProtocolError("give Content-Length as one number, or Transfer-Encoding: chunked, or neither")
    return (int(lengths.pop()) if lengths else 0), pairs


async def exchange(
    connection: Connection, watch: Watch, reader: WireReader, head: Head, request: httpx.Request
) -> None:
    """Send a request, and wait for the head of the reply."""
    is_large = head.length is None or head.length > AT_ONCE
    salvage = Salvage(connection.below) if is_large else None
    try:
        watch.exchange.sending()
        if is_whole := await _send_whole(connection, watch, reader, head, request.stream):
            watch.exchange.uploaded()
        while reader.status is None:
            if reader.error is not None:
                raise broken(reader.error, connection)
            await watch.wait()
        reader.reusable &= is_whole  # the rest of a request that was answered early would be taken from the next one
    finally:
        if salvage is not None:
            salvage.end()


async def _send_whole(connection: Connection, watch: Watch, reader: WireReader, head: Head, stream: Any) -> bool:
    """Send head and body, as far as the other side takes them; whether all of it has gone out.

    Raises:
        httpx.LocalProtocolError: the body is not as long as the head says.
    """
    if head.length is not None and isinstance(stream, httpx.ByteStream):
        body = b"".join(stream)
        _check_length(head, len(body), is_over=True)
        return await _send(connection, watch, reader, head.data + body)
    size, before = 0, head.data
    pieces = aiter(stream)
    while (piece := await Scope(watch.exchange).run(_next(pieces))) is not None:
        size += len(piece)
        _check_length(head, size, is_over=False)
        data = before + (piece if head.length is not None else _chunk(piece) if piece else b"")
        if data and not await _send(connection, watch, reader, data):
            return False
        before = b""
    _check_length(head, size, is_over=True)
    return await _send(connection, watch, reader, before + (b"" if head.length is not None else _chunk(b"")))


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    async for piece in pieces:
        return piece
    return None


def _chunk(piece: bytes) -> bytes:
    """A piece of a body as a chunk; an empty one is the last (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _check_length(head: Head, size: int, *, is_over: bool) -> None:
    if head.length is not None and (size > head.length or (is_over and size != head.length)):
        raise httpx.LocalProtocolError(f"the body is not as long as its Content-Length of {head.length} says")


async def _send(connection: Connection, watch: Watch, reader: WireReader, data: bytes) -> bool:
    """Send what the other side takes, until it answers; whether all of it has gone out."""
    for at in range(0, len(data), AT_ONCE):
        if not await _room(connection, watch, reader):
            return False
        connection.transport.write(data[at : at + AT_ONCE] if len(data) > AT_ONCE else data)
    return await _room(connection, watch, reader)


async def _room(connection: Connection, watch: Watch, reader: WireReader) -> bool:
    """Wait until more may be written; false where there is nobody to take it: the reply is there, or the end."""
    while connection.is_full and reader.status is None and reader.error is None:
        await watch.wait()
    return not (connection.is_full or connection.transport.is_closing() or reader.error is not None)


def broken(error: Exception, connection: Connection) -> Exception:
    """What httpx calls a reply that breaks off, or is none."""
    if isinstance(error, DisconnectedError):
        why = connection.failure or "the connection ended before the reply"
        return _caused(httpx.RemoteProtocolError(f"Server disconnected without sending a response: {why}"), error)
    if connection.failure is not None:
        return _caused(httpx.ReadError(str(connection.failure)), connection.failure)
    return _caused(httpx.RemoteProtocolError(str(error)), error)


def _caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error
