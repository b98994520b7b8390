"""Replies of the sync front, which urllib3 and requests take for responses: each reads from its connection, bounded.

urllib3 knows only timeouts of single socket operations, and `http.client` does what nobody here asks for. A reply lets
go of its connection at its end by itself, and gives it back to the pool that lent it.
"""

import sys
from collections.abc import Generator
from typing import Any

import urllib3
from urllib3.exceptions import ProtocolError

from llmnet.core.head_lines import HeadLines
from llmnet.transports.http1_reader import Http1Reader


class Reply:
    """The reply to one request, from before it comes.

    Args:
        connection: has the channel and the exchange.
        method: of the request.
        url: what was asked for.

    Attributes:
        reader: takes apart what comes.
        status: of the head, once it is there, as are `reason`, `headers` and `version_string`.
        closed: whether it needs its connection no more.
    """

    # What urllib3 sets, or logs.
    retries: Any = None
    length_remaining = None
    _pool: Any = None
    status: int | None = None
    reason = version_string = ""
    headers: HeadLines

    def __init__(self, connection: Any, method: str, url: str) -> None:
        self._connection, self._channel, self._exchange = connection, connection.channel, connection.exchange
        self._asked = method, url
        self.reader = Http1Reader(method)
        self._left, self.closed = b"", False

    def is_answered(self) -> bool:
        """Take in what has come while the request is sent; whether it is the reply, or the end of the connection."""
        reader = self.reader
        if self._channel.is_readable:
            while not _is_over(reader) and (data := self._channel.arrived()) is not None:
                self._take(data)
        return _is_over(reader)

    def begin(self) -> None:
        """Read the head.

        Raises:
            ProtocolError: it is none, or the connection has ended before.
            TimeoutError: the bound expired.
        """
        while self.reader.status is None:
            self._more()
        reader = self.reader
        self.status, self.reason = reader.status, reader.reason.decode("latin-1")
        self.headers = reader.headers
        self.version_string = f"HTTP/{reader.version}"

    def read1(self, size: int | None = -1, decode_content: bool = False) -> bytes:
        """What one receive has brought, or so much of it, as it is on the wire; nothing at the end.

        Raises:
            ProtocolError: it breaks off.
            TimeoutError: the bound expired.
        """
        reader, piece = self.reader, self._left
        if self.closed:
            return b""
        if not piece:
            while not reader.buffered and not reader.done:
                self._more()
            piece = reader.take()
        end = len(piece) if size is None or size < 0 else size
        self._left = piece[end:]
        if reader.done and not self._left:
            self.close()
        return piece[:end]

    def read(self, size: int | None = None) -> bytes:
        """So many bytes, or all that are left; fewer at the end alone."""
        parts, left = list[bytes](), sys.maxsize if size is None or size < 0 else size
        while left and (piece := self.read1(left)):
            parts.append(piece)
            left -= len(piece)
        return b"".join(parts)

    def isclosed(self) -> bool:
        """Whether it needs its connection no more."""
        return self.closed

    def close(self) -> None:
        """Let go of the connection, which nobody waits on any more; at the end of a reply it may serve again."""
        if self.closed:
            return
        self._exchange.on_stop(None)
        pool, self._pool = self._pool, None  # which goes once nobody asks it any more, with its idle connections
        if not (self.reader.done and self.reader.reusable):
            self.reader.eof()
            self._connection.close()
        elif pool is not None:
            pool._put_conn(self._connection)
        self.closed = True  # at the end: what a Ctrl-C has kept from being done is done the next time

    @property
    def msg(self) -> urllib3.HTTPHeaderDict:
        """What a jar reads; cookies of a kind that nobody sends take `http.cookiejar` more than linear time."""
        cookies = [pair for pair in self.reader.headers.pairs if pair[0].lower() == "set-cookie"]
        return urllib3.HTTPHeaderDict(cookies or None)

    def wrapped(self) -> "Response":
        """The same, as urllib3 has it."""
        body: Any = self
        method, url = self._asked
        response = Response(
            body,
            urllib3.HTTPHeaderDict(self.reader.headers.pairs),
            self.status or 0,
            10 if self.reader.version == "1.0" else 11,
            reason=self.reason,
            preload_content=False,
            decode_content=False,
            original_response=body,
            request_method=method,
            request_url=url,
            retries=self.retries,
        )
        response.version_string = self.version_string  # earlier releases of urllib3 take it from elsewhere
        return response

    def _more(self) -> None:
        """Receive once, and have it read; what is wrong is raised once all before it has been taken."""
        error = self.reader.error
        if error is not None:
            raise ProtocolError("Connection aborted.", error) from error  # as urllib3 says it
        data = self._channel.receive(self._exchange)
        self._exchange.raise_if_stopped()
        self._take(data)

    def _take(self, data: bytes) -> None:
        if data:
            self.reader.feed(data)
        else:
            self.reader.eof()


class Response(urllib3.HTTPResponse):
    """A response of urllib3's that reads a `Reply`."""

    def stream(self, amt: int | None = 2**16, decode_content: bool | None = None) -> Generator[bytes, None, None]:
        """What comes in chunks is given out as it comes; urllib3 itself would look for `http.client` to do so."""
        if not self.chunked:
            yield from super().stream(amt, decode_content)
        while self.chunked and (data := self.read1(amt, decode_content)):
            yield data


def _is_over(reader: Http1Reader) -> bool:
    return reader.status is not None or reader.error is not None
