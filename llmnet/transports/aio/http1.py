"""One exchange over a connection of the fast transport: sends the request, waits for the head, then gives the body."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from llmnet.net.proxy import Proxy
from llmnet.net.sockets import AT_ONCE
from llmnet.transports.aio.connect import proxy_headers
from llmnet.transports.aio.connection import Connection, Salvage
from llmnet.transports.aio.wait import Scope
from llmnet.transports.aio.watch import Watch
from llmnet.transports.http1_reader import DisconnectedError, Http1Reader
from llmnet.transports.request_head import Head, Lines, request_head


def head_of(request: httpx.Request, proxy: Proxy | None, lines: Lines) -> Head:
    """The head of a request.

    Args:
        request: the request.
        proxy: the HTTP proxy that is asked to forward it, if one is.
        lines: writes its lines.

    Raises:
        httpx.LocalProtocolError: a part of it would change what the head says.
    """
    target, fields = request.url.raw_path, request.headers.raw
    if proxy is not None:
        target = request.url.raw_scheme + b"://" + request.url.netloc + target
        fields = [*fields, *proxy_headers(proxy)]
    try:
        return request_head(request.method.encode("ascii", "replace"), target, fields, lines)
    except ValueError as error:
        raise httpx.LocalProtocolError(str(error)) from error


def _check(head: Head, size: int, *, is_over: bool) -> None:
    try:
        head.check(size, is_over=is_over)
    except ValueError as error:
        raise httpx.LocalProtocolError(str(error)) from error


async def ask(connection: Connection, watch: Watch, reader: Http1Reader, head: Head, request: httpx.Request) -> None:
    """Send a request, and wait for the head of the reply."""
    is_large = head.length is None or head.length > AT_ONCE
    salvage = Salvage(connection.below) if is_large else None
    try:
        watch.exchange.sending()
        if head.length is not None and isinstance(request.stream, httpx.ByteStream):
            body = b"".join(request.stream)
            _check(head, len(body), is_over=True)
            is_whole = await _send(connection, watch, reader, head.data + body)
        else:
            is_whole = await _send_pieces(connection, watch, reader, head, request.stream)
        if is_whole:
            watch.exchange.uploaded()
        while reader.status is None:
            if reader.error is not None:
                raise _broken(reader.error, connection)
            await watch.wait()
        reader.reusable &= is_whole  # the rest of a request that was answered early would be taken from the next one
    finally:
        if salvage is not None:
            salvage.end()


async def _send_pieces(connection: Connection, watch: Watch, reader: Http1Reader, head: Head, stream: Any) -> bool:
    """Send head and body, as far as the other side takes them; whether all of it has gone out.

    Raises:
        httpx.LocalProtocolError: the body is not as long as the head says.
    """
    size, before = 0, head.data
    pieces = aiter(stream)
    while (piece := await Scope(watch.exchange).run(_next(pieces))) is not None:
        size += len(piece)
        _check(head, size, is_over=False)
        data = before + head.framed(piece)
        if data and not await _send(connection, watch, reader, data):
            return False
        before = b""
    _check(head, size, is_over=True)
    return await _send(connection, watch, reader, before + head.end)


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    async for piece in pieces:
        return piece
    return None


async def _send(connection: Connection, watch: Watch, reader: Http1Reader, data: bytes) -> bool:
    """Send what the other side takes, until it answers; whether all of it has gone out."""
    for at in range(0, len(data), AT_ONCE):
        if at:  # a turn of the loop: for whoever else waits, and for an answer to be seen while nothing keeps this up
            await asyncio.sleep(0)
        # An answer that is there already needs no more of the request, however fast the other side takes it.
        if reader.status is not None or not _has_room(connection, reader):
            return False
        connection.transport.write(data[at : at + AT_ONCE] if len(data) > AT_ONCE else data)
        while connection.is_full and reader.status is None and reader.error is None:
            await watch.wait()
    return _has_room(connection, reader)


def _has_room(connection: Connection, reader: Http1Reader) -> bool:
    """Whether more may be written; not where there is nobody to take it: the reply is there, or the end."""
    return not (connection.is_full or connection.transport.is_closing() or reader.error is not None)


class Body(httpx.AsyncByteStream):
    """A body that is read under the bounds of its attempt.

    Args:
        connection: what it comes over.
        reader: takes it apart.
        watch: the waits of its attempt.
        ended: called when it is closed.

    Attributes:
        headers: those of the reply.
    """

    def __init__(
        self,
        connection: Connection,
        reader: Http1Reader,
        watch: Watch,
        ended: Callable[[Connection, Http1Reader], None],
    ) -> None:
        self._connection, self._reader, self._watch, self._ended = connection, reader, watch, ended
        self.headers, self._closed = reader.headers, False

    @property
    def has_come(self) -> bool:
        """Whether its end has come, and nothing is to be waited for or taken."""
        return self._reader.done and not self._reader.buffered

    async def read(self) -> bytes:
        """What has come since the last time, or comes next; nothing at the end.

        Raises:
            httpx.TransportError: it breaks off.
            AttemptError: a bound has expired, or the call was stopped.
        """
        reader = self._reader
        while not reader.buffered:
            if reader.done:
                return b""
            if reader.error is not None:
                raise _broken(reader.error, self._connection)
            await self._watch.wait()
            if not reader.buffered:  # what has come is nothing of the body, and ends a silence all the same
                self._watch.exchange.silence()
        data = reader.take()
        self._connection.resume()
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    async def aclose(self) -> None:
        """Give the connection back; one whose reply has not ended is closed."""
        if not self._closed:
            self._closed = True
            self._ended(self._connection, self._reader)


def _broken(error: Exception, connection: Connection) -> Exception:
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
