"""TLS of the sync front: urllib3 sets nothing on a context of ours or the caller's, and TLS within TLS is bounded."""

import socket
import ssl
from typing import Any

from llmnet.net.tls import check_protocol
from llmnet.transports.sync.reader import SLICE, arm


class Lent:
    """A context as urllib3 sees it: what it sets is set on this, and connections are made by the context as it is.

    Equal ones lend the same context, for urllib3 looks for a pool by it.
    """

    # What urllib3 asks before it would warn of each request, and compare names itself: the context alone decides.
    verify_mode, check_hostname = ssl.CERT_REQUIRED, True

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lent) and other._context is self._context

    def __hash__(self) -> int:
        return hash(self._context)

    def set_alpn_protocols(self, protocols: list[str]) -> None:
        """Nothing: the context offers what it was made for, or what its owner has chosen."""

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """A socket in TLS."""
        return self._context.wrap_socket(*args, **kwargs)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """TLS within TLS."""
        return self._context.wrap_bio(*args, **kwargs)


class Armed:
    """A TLS socket below another TLS, which for one receive of its own makes many here: each is armed anew.

    The bound does not begin anew with them: bytes of which nothing comes out above are a silence.
    """

    def __init__(self, sock: ssl.SSLSocket, connection: Any) -> None:
        self.socket, self._connection = sock, connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)

    @property
    def _io_refs(self) -> int:
        """How many files hold the socket open; urllib3 counts them from outside."""
        return self.socket._io_refs  # type: ignore[attr-defined, no-any-return]

    @_io_refs.setter
    def _io_refs(self, count: int) -> None:
        self.socket._io_refs = count  # type: ignore[attr-defined]

    def recv(self, size: int) -> bytes:
        """Receive once."""
        while True:
            left = self._left()
            arm(self.socket, min(left, SLICE))
            try:
                return self.socket.recv(size)
            except TimeoutError as error:
                if error.errno is not None or left <= SLICE:
                    raise

    def sendall(self, data: Any) -> None:
        """Send all, record by record."""
        rest = memoryview(data)
        while rest:
            arm(self.socket, self._left())
            rest = rest[self.socket.send(rest) :]

    def _left(self) -> float:
        left: float = self._connection.exchange.remaining()
        return left


def lowest(sock: Any) -> socket.socket:
    """The plain socket below one or two layers of TLS."""
    while not isinstance(sock, socket.socket):
        sock = sock.socket
    return sock


def is_silent(sock: Any) -> bool:
    """Whether nothing has come, nor the end; what is TLS's own, as its tickets, does not count, and is read here."""
    if not isinstance(sock, socket.socket):
        return True  # where TLS is spoken within TLS, there is no receive that does not wait
    sock.settimeout(0.0)
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
    return False


def check(sock: Any) -> None:
    """Check what a handshake has chosen, and close the socket where it cannot be spoken.

    Raises:
        AttemptError: it is not HTTP/1.1.
    """
    try:
        check_protocol(sock.selected_alpn_protocol(), "sync")
    except BaseException:
        sock.close()
        raise
