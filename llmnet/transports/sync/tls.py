"""TLS of the sync front: urllib3 sets nothing on a context of ours or the caller's, and TLS within TLS is bounded."""

import ssl
from typing import Any

from llmnet.net.tls import check_protocol
from llmnet.transports.sync.channel import LOOK, WOULD_WAIT, arm


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
    try:
        check_protocol(sock.selected_alpn_protocol(), "sync")
    except BaseException:
        sock.close()
        raise
