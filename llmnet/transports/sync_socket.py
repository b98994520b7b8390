"""Connections of the sync front: every connect, send and receive runs under the nearest bound of its call.

urllib3 knows only timeouts of single socket operations. Here the reader below `http.client`'s buffer asks the call how
long it may wait before each receive, so that no way of dripping bytes outlives a bound, and no thread watches.
"""

import functools
import http.client
import io
import socket
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from llmnet.core.call import Call
from llmnet.transports.names import lookup
from llmnet.transports.sockets import TCP_OPTIONS, shutdown

BUFFER = 65536
# On Windows Ctrl-C does not end a receive: it is cut into slices.
_SLICE = 1.0 if socket.__dict__.get("SIO_RCVALL") else None
_LAST_INFORMATIONAL, _SWITCHING = 199, 101


class BoundedReader(io.RawIOBase):
    """The bytes of a socket, each receive under the bound of the connection's call that is nearest then."""

    def __init__(self, sock: socket.socket, connection: "Bounded") -> None:
        self._sock, self._connection = sock, connection
        # Keeps the socket open until the response is closed, as `http.client` expects of its file.
        self._kept = sock.makefile("rb", buffering=0)
        self._heard = 0

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive once; EOF inside the head of a reply is an error, not an empty reply."""
        call = self._connection.call
        n = self._receive(buffer, call)
        if call.stopped is not None:
            raise call.stopped
        if n == 0 and self._heard and not call.heard:
            raise ConnectionResetError("the connection ended inside the head of the reply")
        self._heard += n
        return n

    def _receive(self, buffer: Any, call: Call) -> int:
        left = call.left()
        while True:
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(min(left, _SLICE) if _SLICE else _finite(left))
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                left = call.bounds.left()[1]

    def close(self) -> None:
        """Let go of the socket."""
        self._kept.close()
        super().close()


class Reply(http.client.HTTPResponse):
    """A response that reads through a `BoundedReader` and skips informational heads (RFC 9110, 15.2)."""

    def __init__(self, connection: "Bounded", sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(BoundedReader(sock, connection), BUFFER)

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

    def _new_conn(self) -> socket.socket:
        """Resolve and connect, each address under what is left of the bound."""
        host, port = str(self._dns_host), int(self.port)  # type: ignore[attr-defined]
        self.served = self.call.reused = False
        self.call.connecting()
        error: OSError | None = None
        for family, kind, protocol, _, address in lookup(host, port).wait(self.call.left()):
            try:
                return self._connected(socket.socket(family, kind, protocol), address)
            except TimeoutError:
                raise
            except OSError as one:
                error = one
        raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]

    def _connected(self, sock: socket.socket, address: Any) -> socket.socket:
        try:
            for option in TCP_OPTIONS:
                sock.setsockopt(*option)
            # A TLS handshake detaches the socket: what `stop` shuts down meanwhile is a second handle on it.
            self._handle = sock.dup()
            self.call.wakes(functools.partial(shutdown, self._handle))
            sock.settimeout(_finite(self.call.left()))
            sock.connect(address)
            sock.settimeout(_finite(self.call.left()))
        except BaseException:
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        """Connect, with TLS and through the proxy where there is one."""
        try:
            super().connect()  # type: ignore[misc]
        finally:
            if self._handle is not None:
                self._handle.close()
                self._handle = None

    def getresponse(self) -> Any:
        """The reply; from now on the connection has served, and may be found stale."""
        response = super().getresponse()  # type: ignore[misc]
        self.served = True
        return response

    def send(self, data: Any) -> None:
        """Send under the bound that is nearest now; the first byte marks the request as sent."""
        if self.sock is None:
            self.connect()
        assert self.sock is not None  # noqa: S101 - connect() makes it
        self.call.wakes(functools.partial(shutdown, self.sock))
        if self._tunnelling():
            self.sock.settimeout(_finite(self.call.left()))
        else:
            self.call.sending()
            self.sock.settimeout(_finite(max(self.call.left(), 0.001)))
        super().send(data)  # type: ignore[misc]

    def _tunnelling(self) -> bool:
        """The CONNECT to a proxy is being sent: the request itself is not out yet."""
        return bool(getattr(self, "_tunnel_host", None)) and not getattr(self, "_has_tunnel", False)

    def _tunnel(self) -> None:
        self._has_tunnel = False
        super()._tunnel()  # type: ignore[misc]
        self._has_tunnel = True


def _finite(seconds: float) -> float | None:
    return None if seconds > 1e9 else max(seconds, 0.0005)


class PlainConnection(Bounded, HTTPConnection):  # type: ignore[misc]
    """TCP."""


class SecureConnection(Bounded, HTTPSConnection):  # type: ignore[misc]
    """TLS."""
