"""Connections of the sync front: every connect, send and receive runs under the nearest bound of its call.

urllib3 knows only timeouts of single socket operations. Here the reader below `http.client`'s buffer asks the call how
long it may wait before each receive, so that no way of dripping bytes outlives a bound, and no thread watches.
"""

import functools
import http.client
import io
import math
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from llmnet.core.call import Call
from llmnet.transports.names import AddrInfo, lookup
from llmnet.transports.sockets import TCP_OPTIONS, close_after_fork, shutdown
from llmnet.transports.waits import wait_for

BUFFER = 65536
# On Windows Ctrl-C does not end a receive: it is cut into slices.
_SLICE = 1.0 if socket.__dict__.get("SIO_RCVALL") else math.inf
_FOREVER = 1e9
_LAST_INFORMATIONAL, _SWITCHING = 199, 101


class BoundedReader(io.RawIOBase):
    """The bytes of a socket, each receive under the bound of its call that is nearest then."""

    def __init__(self, sock: socket.socket, call: Call) -> None:
        self._sock, self._call = sock, call
        # Keeps the socket open until the response is closed, as `http.client` expects of its file.
        self._kept = sock.makefile("rb", buffering=0)
        self.in_head = True

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive once; EOF inside the head of a reply is an error, not an empty reply."""
        n = self._receive(buffer)
        self._call.go_on()
        if n == 0 and self.in_head and self._call.heard:
            raise ConnectionResetError("the connection ended inside the head of the reply")
        self._call.heard |= n > 0
        return n

    def _receive(self, buffer: Any) -> int:
        left = self._call.left()
        while True:
            arm(self._sock, min(left, _SLICE))
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                left = self._call.bounds.left()[1]

    def close(self) -> None:
        """Let go of the socket, which nobody is blocked on any more."""
        if not self.closed:
            self._call.wakes(None)
            self._kept.close()
        super().close()


class Reply(http.client.HTTPResponse):
    """A response that reads through a `BoundedReader` and skips informational heads (RFC 9110, 15.2)."""

    def __init__(self, connection: "Bounded", sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self._reader = BoundedReader(sock, connection.call)
        self.fp = io.BufferedReader(self._reader, BUFFER)

    def begin(self) -> None:
        """Read the head."""
        super().begin()
        self._reader.in_head = False

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not _SWITCHING < status <= _LAST_INFORMATIONAL:
                return version, status, reason
            http.client.parse_headers(self.fp)


class Bounded:
    """What both kinds of connection add to urllib3's: they know whose call they serve."""

    call: Call
    served = False
    sock: socket.socket | None
    _handle: socket.socket | None = None

    @property
    def response_class(self) -> Callable[..., Reply]:
        """Responses that know their connection."""
        return functools.partial(Reply, self)

    def rest(self) -> None:
        """Serve no call: one that has ended must not touch a connection that moved on, nor be kept alive by it."""
        self._let_be()
        vars(self).pop("call", None)

    def _new_conn(self) -> socket.socket:
        """Resolve and connect; each address may take its share of what is left of the bound."""
        self.served = self.call.reused = False
        self.call.connecting()
        error: OSError | None = None
        addresses = self._addresses()
        for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return self._connected(address, self.call.left() / untried)
            except OSError as one:
                error = one
        raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]

    def _addresses(self) -> list[AddrInfo]:
        """Resolve the name; a stop ends the wait, and leaves the lookup to others who wait for it."""
        found = lookup(str(self._dns_host), int(self.port))  # type: ignore[attr-defined]
        over = threading.Event()
        self.call.wakes(over.set)
        found.done(over.set)
        try:
            wait_for(over, self.call.left())
        finally:
            found.forget(over.set)
        self.call.go_on()
        return found.result()

    def _connected(self, found: AddrInfo, seconds: float) -> socket.socket:
        family, kind, protocol, _, address = found
        sock = socket.socket(family, kind, protocol)
        try:
            for option in TCP_OPTIONS:
                sock.setsockopt(*option)
            # A TLS handshake detaches the socket: what `stop` shuts down meanwhile is a second handle on it.
            self._handle = sock.dup()
            self._wakeable(self._handle)
            arm(sock, seconds)
            sock.connect(address)
            arm(sock, self.call.left())
        except BaseException:
            self._drop_handle()
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        """Connect, with TLS and through the proxy where there is one."""
        try:
            super().connect()  # type: ignore[misc]
        finally:
            self._drop_handle()
        assert self.sock is not None  # noqa: S101 - that is what connecting means
        close_after_fork(self.sock)

    def getresponse(self) -> Any:
        """The reply; from now on the connection has served, and may be found stale."""
        sock = self.sock
        response = super().getresponse()  # type: ignore[misc]
        self.served = True
        # Where the reply ends with the connection, `http.client` has let go of the socket, but its body is still read.
        self._wakeable(sock)
        return response

    def send(self, data: Any) -> None:
        """Send under the bound that is nearest now; the first byte marks the request as sent."""
        if self.sock is None:
            self.connect()
        assert self.sock is not None  # noqa: S101 - connect() makes it
        self._wakeable(self._handle or self.sock)
        if not self._tunnelling():
            self.call.sending()
        for piece in _pieces(data):
            arm(self.sock, self.call.left())
            super().send(piece)  # type: ignore[misc]

    def close(self) -> None:
        """Close the connection, which nobody is blocked on any more."""
        self._let_be()
        super().close()  # type: ignore[misc]

    def _tunnelling(self) -> bool:
        """The CONNECT to a proxy is being sent: the request itself is not out yet."""
        return bool(getattr(self, "_tunnel_host", None)) and not getattr(self, "_has_tunnel", False)

    def _tunnel(self) -> None:
        self._has_tunnel = False
        super()._tunnel()  # type: ignore[misc]
        self._has_tunnel = True
        self._wakeable(self._handle)

    def _wakeable(self, sock: socket.socket | None) -> None:
        """From now on a stop ends the connection under whoever is blocked on it."""
        assert sock is not None  # noqa: S101 - there is a connection, or one is being made
        self.call.wakes(functools.partial(shutdown, sock))

    def _let_be(self) -> None:
        """From now on a stop leaves the connection alone: once closed, its number may be another's."""
        call: Call | None = vars(self).get("call")
        if call is not None:
            call.wakes(None)

    def _drop_handle(self) -> None:
        self._let_be()
        if self._handle is not None:
            self._handle.close()
            self._handle = None


def arm(sock: socket.socket, seconds: float) -> None:
    """Let the next operation on a socket take so long at most.

    Raises:
        TimeoutError: there is no time left.
    """
    if seconds <= 0:
        raise TimeoutError("timed out")
    sock.settimeout(None if seconds > _FOREVER else seconds)


def _pieces(data: Any) -> Iterable[Any]:
    """Cut bytes, so that a peer that takes them slowly meets the bound; files and iterators go as they are."""
    if not isinstance(data, bytes) or len(data) <= BUFFER:
        return (data,)
    return (data[at : at + BUFFER] for at in range(0, len(data), BUFFER))


class PlainConnection(Bounded, HTTPConnection):  # type: ignore[misc]
    """TCP."""


class SecureConnection(Bounded, HTTPSConnection):  # type: ignore[misc]
    """TLS."""
