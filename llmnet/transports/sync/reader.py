"""Replies of the sync front: every receive runs under the nearest bound of its call, and stays within one reply.

urllib3 knows only timeouts of single socket operations. Here the reader below `http.client`'s buffer asks the exchange
how long it may wait before each receive, so that no way of dripping bytes outlives a bound, and no thread watches.
"""

import contextlib
import http.client
import io
import math
import re
import socket
import ssl
from typing import Any

from llmnet.core.exchange import Exchange

BUFFER = 65536
# On Windows Ctrl-C does not end a receive: it is cut into slices.
SLICE = 1.0 if socket.__dict__.get("SIO_RCVALL") else math.inf
_FOREVER = 1e9
_LAST_INFORMATIONAL, _SWITCHING = 199, 101
_SPACE = 0x20
_HEAD_END = re.compile(rb"\n\r?\n")
_LONGEST_LINE = 65536
_LONGEST_HEAD = 128 * 1024
_LONGEST_SIZE = 20
_HEX = b"0123456789abcdefABCDEF"


class BoundedReader(io.RawIOBase):
    """The bytes of a socket, each receive under the bound of its call that is nearest then."""

    _kept: Any = None

    def __init__(self, sock: socket.socket, exchange: Exchange, early: bytes = b"") -> None:
        self._sock, self._exchange, self._early = sock, exchange, early
        self.in_head, self.over = True, False
        self.head = 0  # bytes that have come since a head began
        # Keeps the socket open until the response is closed, as `http.client` expects of its file.
        self._kept = sock.makefile("rb", buffering=0)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What `http.client` reads, as it asks a socket for it."""
        return io.BufferedReader(self, BUFFER)

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive once, before the reply is over; EOF inside its head is an error, not an empty reply."""
        if self.over:
            return 0
        if self.in_head and self.head > _LONGEST_HEAD:
            raise http.client.LineTooLong("head")
        n = self._receive(buffer)
        self.head += n
        self._exchange.raise_if_stopped()
        if n == 0 and self.in_head and self._exchange.received:
            raise ConnectionResetError("the connection ended inside the head of the reply")
        if n > 0 and not self._exchange.received:
            self._exchange.receiving()
            if buffer[0] <= _SPACE and _HEAD_END.search(buffer[:n]) is None:
                raise http.client.BadStatusLine("illegal request line")  # h11's rule and words, for the same judgement
        return n

    def _receive(self, buffer: Any) -> int:
        """Receive, after what had come early, which is shorter than any buffer."""
        if self._early:
            early, self._early = self._early, b""
            buffer[: len(early)] = early
            return len(early)
        self._exchange.silence()
        left = self._exchange.remaining()
        while left > 0:
            arm(self._sock, min(left, SLICE))
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError as error:
                if error.errno is not None:
                    raise  # the system's own: the connection is lost
                left = self._exchange.bounds.remaining()[1]
        return self._arrived(buffer)

    def _arrived(self, buffer: Any) -> int:
        """Receive what has arrived already, and wait for nothing.

        Raises:
            TimeoutError: that is nothing, or the bound was seen to expire a while ago.
        """
        if self._exchange.bounds.may_look():
            self._sock.settimeout(0.0)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return self._sock.recv_into(buffer)
        raise TimeoutError("timed out")

    def close(self) -> None:
        """Let go of the socket, which nobody is blocked on any more."""
        if not self.closed and self._kept is not None:  # a Ctrl-C may have come as it was made
            self._exchange.on_stop(None)
            self._kept.close()
        super().close()


class Reply(http.client.HTTPResponse):
    """A response that reads through a `BoundedReader` and skips informational heads (RFC 9110, 15.2)."""

    fp: Any = None  # of one whose making was interrupted there is nothing to close

    def __init__(self, connection: Any, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        self._connection, self._sock = connection, sock
        self._reader = BoundedReader(sock, connection.exchange, connection.early)
        connection.early = b""
        super().__init__(self._reader, *args, **kwargs)  # type: ignore[arg-type]
        connection.reply = self

    def begin(self) -> None:
        """Read the head; where it gives two lengths, no second reply is believed (RFC 9112, 6.3)."""
        super().begin()
        self._reader.in_head = False
        self.will_close |= bool(self.chunked) and "content-length" in self.headers

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status == _SWITCHING:
                raise http.client.HTTPException("it switches protocols without a pending proposal")
            if not _SWITCHING < status <= _LAST_INFORMATIONAL:
                return version, status, reason
            http.client.parse_headers(self.fp)
            self._reader.head = 0

    def _read_next_chunk_size(self) -> int:
        """The size of the next chunk (RFC 9112, 7.1); `int` alone would take "-5", "0x5" and "1_0" for one, too."""
        line = self.fp.readline(_LONGEST_LINE)
        size = chunk_size(line)
        if size is None:
            # The words of h11, for the same judgement: an end inside the line is none of the server's slips.
            raise ValueError(f"illegal chunk header: {line!r}" if line.endswith(b"\n") else "the connection ended")
        return size

    def _close_conn(self) -> None:
        """The reply has ended: what follows it would be taken for the next one."""
        self._reader.over = True
        more = self.fp.peek()
        super()._close_conn()  # type: ignore[misc]
        if more and self._connection.sock is self._sock:
            self._connection.close()


def chunk_size(line: bytes) -> int | None:
    """The size in the line before a chunk, `None` where there is none: hexadecimal, blanks or an extension after it."""
    size, extended, _ = line.removesuffix(b"\n").removesuffix(b"\r").partition(b";")
    size = size if extended else size.rstrip(b" \t")
    legal = line.endswith(b"\n") and 0 < len(size) <= _LONGEST_SIZE and not size.strip(_HEX)
    return int(size, 16) if legal else None


def arm(sock: socket.socket, seconds: float) -> None:
    """Let the next operation on a socket take so long at most.

    Raises:
        TimeoutError: there is no time left.
    """
    if seconds <= 0:
        raise TimeoutError("timed out")
    sock.settimeout(None if seconds > _FOREVER else seconds)
