"""Replies of the sync front: every receive runs under the nearest bound of its call, and stays within one reply.

urllib3 knows only timeouts of single socket operations. Here the exchange is asked how long to wait before each
receive, so that no way of dripping bytes outlives a bound, and no thread watches.
"""

import contextlib
import math
import selectors
import socket
import ssl
import sys
from collections.abc import Generator
from typing import Any

import urllib3
from urllib3.exceptions import ProtocolError

from llmnet.transports.http1_reader import Http1Reader

BUFFER = 65536
# On Windows Ctrl-C does not end a receive: it is cut into slices.
SLICE = 1.0 if socket.__dict__.get("SIO_RCVALL") else math.inf
LOOK = min(SLICE, 3600.0)
"""Seconds after which one who watches sockets looks up: no selector takes any number."""
# It needs no descriptor of its own, and `select` takes none from 1024 on; Windows has that alone.
Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
_FOREVER = 1e9


class Reply:
    """What urllib3 takes for `http.client`'s response: it keeps its connection until it has ended.

    Args:
        connection: has the socket, the exchange, and what has come `early`.
        method: of the request.

    Attributes:
        reader: takes apart what comes.
    """

    def __init__(self, connection: Any, method: str) -> None:
        self._connection, self._sock, self._exchange = connection, connection.sock, connection.exchange
        self.reader = Http1Reader(method)
        self._left, self._closed = memoryview(b""), False
        if connection.early:
            self.reader.feed(connection.early)
            connection.early = b""

    def begin(self) -> None:
        """Read the head.

        Raises:
            ProtocolError: it is none, or the connection has ended before.
            TimeoutError: the bound expired.
        """
        while self.reader.status is None:
            self._more()

    def read1(self, size: int | None = -1) -> bytes:
        """What one receive has brought, or so much of it; nothing at the end.

        Raises:
            ProtocolError: it breaks off.
            TimeoutError: the bound expired.
        """
        reader = self.reader
        if self._closed:
            return b""
        if not self._left:
            while not reader.buffered and not reader.done:
                self._more()
            self._left = memoryview(reader.take())
        end = len(self._left) if size is None or size < 0 else size
        piece, self._left = self._left[:end], self._left[end:]
        if reader.done and not self._left:
            self.close()
        return bytes(piece)

    def read(self, size: int | None = None) -> bytes:
        """So many bytes, or all that are left; fewer at the end alone."""
        parts, left = list[bytes](), sys.maxsize if size is None or size < 0 else size
        while left and (piece := self.read1(left)):
            parts.append(piece)
            left -= len(piece)
        return b"".join(parts)

    def isclosed(self) -> bool:
        """Whether it needs its connection no more."""
        return self._closed

    def close(self) -> None:
        """Let go of the connection, which nobody is blocked on any more; at the end of a reply it may serve again."""
        if not self._closed:
            self._closed = True
            self._exchange.on_stop(None)
            if not (self.reader.done and self.reader.reusable):
                self.reader.eof()
                self._connection.close()

    @property
    def msg(self) -> urllib3.HTTPHeaderDict:
        """What a jar reads; cookies of a kind that nobody sends take `http.cookiejar` more than linear time."""
        cookies = [pair for pair in self.reader.headers if pair[0].lower() == "set-cookie"]
        return urllib3.HTTPHeaderDict(cookies or None)

    def response(self, **options: Any) -> "Response":
        """The same, once its head is there, as urllib3 has it."""
        body: Any = self
        version, headers = self.reader.version, urllib3.HTTPHeaderDict(self.reader.headers)
        response = Response(
            body,
            headers,
            self.reader.status or 0,
            10 if version == "1.0" else 11,
            reason=self.reader.reason.decode("latin-1"),
            original_response=body,
            **options,
        )
        response.version_string = f"HTTP/{version}"  # earlier releases of urllib3 take it from elsewhere
        return response

    def _more(self) -> None:
        """Receive once, and have it read; what is wrong is raised once all before it has been taken."""
        reader = self.reader
        if reader.error is not None:
            raise ProtocolError("Connection aborted.", reader.error) from reader.error  # as urllib3 says it
        data = self._receive()
        self._exchange.raise_if_stopped()
        if data:
            reader.feed(data)
        else:
            reader.eof()

    def _receive(self) -> bytes:
        exchange = self._exchange
        exchange.silence()
        left = exchange.remaining()
        while left > 0:
            arm(self._sock, min(left, SLICE))
            try:
                return bytes(self._sock.recv(BUFFER))
            except TimeoutError as error:
                if error.errno is not None:
                    raise  # the system's own: the connection is lost
                left = exchange.bounds.remaining()[1]
        return self._arrived()

    def _arrived(self) -> bytes:
        """Receive what has arrived already, and wait for nothing.

        Raises:
            TimeoutError: that is nothing, or the bound was seen to expire a while ago.
        """
        if self._exchange.bounds.may_look():
            self._sock.settimeout(0.0)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return bytes(self._sock.recv(BUFFER))
        raise TimeoutError("timed out")


class Response(urllib3.HTTPResponse):
    """A response of urllib3's that reads a `Reply`."""

    def stream(self, amt: int | None = 2**16, decode_content: bool | None = None) -> Generator[bytes, None, None]:
        """What comes in chunks is given out as it comes; urllib3 itself would look for `http.client` to do so."""
        if not self.chunked:
            yield from super().stream(amt, decode_content)
        while self.chunked and (data := self.read1(amt, decode_content)):
            yield data


def arm(sock: socket.socket, seconds: float) -> None:
    """Let the next operation on a socket take so long at most.

    Raises:
        TimeoutError: there is no time left.
    """
    if seconds <= 0:
        raise TimeoutError("timed out")
    sock.settimeout(None if seconds > _FOREVER else seconds)
