"""A connected socket of the sync front: nobody blocks on it but in a wait that the nearest bound of a call ends.

The socket itself never blocks. So a small call costs one send, one wait and one receive, no way of dripping bytes
outlives a bound, and no thread watches. TLS within TLS is bounded, too.
"""

import contextlib
import errno
import functools
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

from llmnet.core.exchange import Exchange
from llmnet.net.sockets import AT_ONCE, poller, shutdown
from llmnet.net.tls import check_protocol

LOOK = 1.0 if socket.__dict__.get("SIO_RCVALL") else 3600.0
"""Seconds after which one who waits looks up: no poll takes any number, and on Windows Ctrl-C does not end one."""
_BUFFER = 65536
WOULD_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_FOREVER = 1e9

IsAnswered = Callable[[], bool]


class Channel:
    """Sends and receives over a connected socket, which it makes one that never blocks.

    Args:
        sock: plain, in TLS, or in TLS within TLS.

    Attributes:
        stop: ends the connection under whoever waits on it; any thread may call it.
    """

    __slots__ = ("_first", "_lowest", "_readable", "_sock", "stop")

    def __init__(self, sock: Any) -> None:
        sock.settimeout(0.0)
        self._sock, self._lowest = sock, lowest(sock)
        self._readable = poller(self._lowest, read=True)
        # Layers of TLS may hold bytes of which the system knows nothing.
        self._first = _no_wait if isinstance(sock, ssl.SSLSocket) or sock is not self._lowest else self._readable
        self.stop = functools.partial(shutdown, self._lowest)

    @property
    def is_readable(self) -> bool:
        """Whether something has come, or the end."""
        return bool(self._readable(0.0))

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come, nor the end; what is TLS's own, as are tickets, does not count and is read here."""
        try:
            return not self.is_readable or self.arrived(1) is None
        except OSError:
            return False

    def receive(self, exchange: Exchange, size: int = _BUFFER) -> bytes:
        """What one receive brings, so many bytes at most; nothing at the end of the connection.

        Raises:
            TimeoutError: the bound expired, and nothing has arrived.
            AttemptError: the call was stopped.
        """
        left, wait = exchange.silence(), self._first
        while left > 0:
            if wait(min(left, LOOK)):
                try:
                    return self._sock.recv(size)  # type: ignore[no-any-return]
                except ssl.SSLWantWriteError:  # TLS has to answer something of its own first
                    wait = poller(self._lowest, write=True)
                except WOULD_WAIT:
                    wait = self._readable
            left = exchange.bounds.remaining()[1]
        # What has arrived already is read, unless the bound was seen to expire a while ago.
        data = self.arrived(size) if exchange.bounds.may_look() else None
        if data is None:
            raise TimeoutError("timed out")
        return data

    def arrived(self, size: int = _BUFFER) -> bytes | None:
        """What has arrived already; `None` where that is nothing, or TLS's own, as are tickets."""
        try:
            return self._sock.recv(size)  # type: ignore[no-any-return]
        except WOULD_WAIT:
            return None

    def send(self, data: Any, exchange: Exchange, is_answered: IsAnswered | None = None) -> None:
        """Send some bytes, until all are sent or there is an answer.

        Args:
            data: the bytes.
            exchange: whose bounds hold.
            is_answered: takes in what has come, and says whether that ends the request.

        Raises:
            BrokenPipeError: the answer, or the end of the connection, has come first; urllib3 goes on to read it.
            TimeoutError: the bound expired.
        """
        rest = data
        while rest:
            try:
                sent = self._sock.send(rest if len(rest) <= AT_ONCE else memoryview(rest)[:AT_ONCE])
            except WOULD_WAIT:
                self.wait_for_room(exchange, is_answered)
                continue
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
                raise BrokenPipeError(errno.EPIPE, str(error)) from error
            if sent == len(rest):
                return
            rest = memoryview(rest)[sent:]
            check_unanswered(is_answered)

    def wait_for_room(self, exchange: Exchange, is_answered: IsAnswered | None) -> None:
        """Wait until more can be sent, unless there is an answer.

        Raises:
            BrokenPipeError: there is.
            TimeoutError: the bound expired.
        """
        left = exchange.remaining()
        if left <= 0:
            raise TimeoutError("timed out")
        poller(self._lowest, read=is_answered is not None, write=True)(min(left, LOOK))
        check_unanswered(is_answered)


def check_unanswered(is_answered: IsAnswered | None) -> None:
    """Go on sending, unless there is an answer.

    Raises:
        BrokenPipeError: there is.
    """
    if is_answered is not None and is_answered():
        raise BrokenPipeError(errno.EPIPE, "the reply has come before all was sent")


def _no_wait(_: float) -> bool:
    return True


def lowest(sock: Any) -> socket.socket:
    """The plain socket below one or two layers of TLS."""
    while not isinstance(sock, socket.socket):
        sock = sock.socket
    return sock


def arm(sock: socket.socket, seconds: float) -> None:
    """Let each operation on a socket wait so long at most, as a TLS handshake is done.

    Raises:
        TimeoutError: there is no time left.
    """
    if seconds <= 0:
        raise TimeoutError("timed out")
    sock.settimeout(None if seconds > _FOREVER else seconds)


class Armed:
    """A TLS socket below another TLS, which for one receive of its own makes many here: each is armed anew.

    The bound does not begin anew with them: bytes of which nothing comes out above are a silence. Where the socket
    never blocks, a receive does not wait either, but what TLS above has made is sent to its end.
    """

    def __init__(self, sock: ssl.SSLSocket, connection: Any) -> None:
        self.socket, self._connection, self._unsent = sock, connection, bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)

    def recv(self, size: int) -> bytes:
        """Receive once."""
        while True:
            left = self._arm()
            try:
                return self.socket.recv(size)
            except TimeoutError as error:
                if error.errno is not None or left <= LOOK:
                    raise

    def sendall(self, data: bytes) -> None:
        """Send all, record by record; a receive that is made meanwhile may add to it."""
        self._unsent += data
        while data and self._unsent:
            self._arm()
            try:
                del self._unsent[: self.socket.send(self._unsent)]
            except WOULD_WAIT:
                self._connection.wait_for_room()

    def _arm(self) -> float:
        """Seconds that an operation may wait: none where the socket never blocks, and perhaps serves no exchange."""
        if self.socket.gettimeout() == 0:
            return 0.0
        left: float = self._connection.exchange.remaining()
        arm(self.socket, min(left, LOOK))
        return left


def check(sock: Any) -> None:
    """Check what a handshake has chosen, and close the socket where it cannot be spoken.

    Raises:
        AttemptError: it is not HTTP/1.1.
    """
    with closing(sock):
        check_protocol(sock.selected_alpn_protocol(), "sync")


@contextlib.contextmanager
def closing(sock: Any) -> Iterator[None]:
    """Close a socket if a step on the way to its first request fails."""
    try:
        yield
    except BaseException:
        sock.close()
        raise
