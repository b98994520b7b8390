"""Connections of the sync front: every connect and send runs under the nearest bound of its exchange."""

import contextlib
import functools
import http.client
import socket
import ssl
import weakref
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError, ProxyError

from llmnet.core.exchange import Exchange
from llmnet.core.latch import Latch
from llmnet.net.dns import AddrInfo, lookup
from llmnet.net.proxy import Proxy
from llmnet.net.sockets import TCP_OPTIONS, Age, close_after_fork, shutdown
from llmnet.net.socks import Talk, ended, talk
from llmnet.transports.sync.reader import Reply, arm
from llmnet.transports.sync.tls import Armed, check, lowest
from llmnet.transports.sync.upload import upload
from llmnet.transports.sync.wait import wait_for


class Bounded:
    """What both kinds of connection add to urllib3's: they know which exchange they serve.

    One thread has it at a time: the pool lends it. Another that stops the call shuts its socket down through
    `on_stop`, whose lock sees to it that the connection has not moved on to another exchange.
    """

    exchange: Exchange
    age: Age
    through: Proxy | None = None
    debuglevel = 0  # whatever `http.client` is told: it would print the credentials
    served = _cut = False
    early = b""  # of the reply, read while the request was still being sent
    reply: Reply | None = None
    sock: socket.socket | None
    _handle: socket.socket | None = None

    @property
    def response_class(self) -> Callable[..., Reply]:
        """Responses that know their connection."""
        return functools.partial(Reply, self)

    @property
    def too_old(self) -> bool:
        """Whether it is connected, and has been for so long that it must not serve again."""
        return self.sock is not None and self.age.over

    def rest(self) -> None:
        """Serve no exchange: one that has ended must not touch a connection that moved on, nor be kept alive by it."""
        self._let_be()
        if self._cut:  # the rest of a request that was answered early would be taken for the next one
            self.close()
        vars(self).pop("exchange", None)

    def _new_conn(self) -> socket.socket:
        """Connect to the host, if need be through a SOCKS proxy."""
        self.served = False
        self.exchange.connecting()
        host, port = str(self._dns_host), int(self.port)  # type: ignore[attr-defined]
        return self._joined(self.through, host, port) if self.through else self._dialled(host, port)

    def _joined(self, proxy: Proxy, host: str, port: int) -> socket.socket:
        """Have a SOCKS proxy connect to a host."""
        host = host if proxy.scheme == "socks5h" else self._addresses(host, port)[0][4][0]
        try:
            sock = self._dialled(proxy.host, proxy.port)
        except (NewConnectionError, OSError) as error:
            raise ProxyError("Cannot connect to proxy", error) from error
        try:
            self._say(sock, talk(proxy, host.strip("[]"), port))
        except BaseException as error:
            self._drop_handle()
            sock.close()
            if isinstance(error, OSError):
                raise ProxyError("the proxy made no connection", error) from error
            raise
        return sock

    def _say(self, sock: socket.socket, what: Talk) -> None:
        """Speak with a SOCKS proxy."""
        answer: Any = None
        with contextlib.suppress(StopIteration):
            while True:
                message, size = what.send(answer)
                sock.sendall(message)
                answer = b""
                while len(answer) < size:
                    arm(sock, self.exchange.remaining())
                    answer += sock.recv(size - len(answer)) or ended()
        arm(sock, self.exchange.remaining())

    def _dialled(self, host: str, port: int) -> socket.socket:
        """Resolve and connect; each address may take its share of what is left of the bound."""
        error: OSError | None = None
        addresses = self._addresses(host, port)
        for untried, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return self._connected(address, self.exchange.remaining() / untried)
            except OSError as one:
                error = one
        raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]

    def _addresses(self, host: str, port: int) -> list[AddrInfo]:
        """Resolve the name; a stop ends the wait, and leaves the lookup to others who wait for it."""
        found = lookup(host, port)
        over = Latch()
        self.exchange.on_stop(over.set)
        with found.waking(over.set):
            wait_for(over, self.exchange.remaining())
        self.exchange.raise_if_stopped()
        return found.wait(0)

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
            arm(sock, self.exchange.remaining())
        except BaseException:
            self._drop_handle()
            sock.close()
            raise
        return sock

    def connect(self) -> None:
        """Connect, with TLS and through the proxy where there is one."""
        try:
            super().connect()  # type: ignore[misc]
        except ConnectionError as error:
            # TCP stands, or this would be a `NewConnectionError`.
            raise ssl.SSLError(f"the connection was lost in the handshake: {error}") from error
        finally:
            self._drop_handle()
        assert self.sock is not None  # noqa: S101 - that is what connecting means
        self.age = Age()
        close_after_fork(lowest(self.sock))

    def getresponse(self) -> Any:
        """The reply; from now on the connection has served, and may be found stale."""
        sock = self.sock
        try:
            response = super().getresponse()  # type: ignore[misc]
        except BaseException:
            if self.reply is not None:
                self.reply.close()  # urllib3 looks at the head again, and forgets a reply that it refuses
            raise
        finally:
            self.reply = None
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
            self.exchange.sending()
        self._cut = True
        upload(self.sock, data, self.exchange, super().send, self._keep)  # type: ignore[misc]
        self._cut = False
        self.exchange.uploaded()

    def _keep(self, early: bytes) -> None:
        self.early = early

    def close(self) -> None:
        """Close the connection, which nobody is blocked on any more."""
        self._let_be()
        self.early = b""
        super().close()  # type: ignore[misc]

    def _tunnelling(self) -> bool:
        """The CONNECT to a proxy is being sent: the request itself is not out yet."""
        return bool(getattr(self, "_tunnel_host", None)) and not getattr(self, "_has_tunnel", False)

    def _tunnel(self) -> None:
        self._has_tunnel = False
        try:
            super()._tunnel()  # type: ignore[misc]
        except (OSError, http.client.HTTPException) as error:
            raise ProxyError("the proxy made no tunnel", error) from error
        self._has_tunnel = True
        self._wakeable(self._handle)

    def _wakeable(self, sock: socket.socket | None) -> None:
        """From now on a stop ends the connection under whoever is blocked on it."""
        assert sock is not None  # noqa: S101 - there is a connection, or one is being made
        self.exchange.on_stop(functools.partial(shutdown, lowest(sock)))

    def _let_be(self) -> None:
        """From now on a stop leaves the connection alone: once closed, its number may be another's."""
        exchange: Exchange | None = vars(self).get("exchange")
        if exchange is not None:
            exchange.on_stop(None)

    def _drop_handle(self) -> None:
        self._let_be()
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class PlainConnection(Bounded, HTTPConnection):  # type: ignore[misc]
    """TCP."""


class SecureConnection(Bounded, HTTPSConnection):  # type: ignore[misc]
    """TLS."""

    def connect(self) -> None:
        """Connect; what is spoken above TLS must be what the handshake has chosen."""
        super().connect()
        check(self.sock)

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> Any:
        """TLS with a proxy; where TLS with the server goes through it, each step of that one is armed."""
        secure = super()._connect_tls_proxy(hostname, sock)
        check(secure)
        return Armed(secure, weakref.proxy(self)) if self._tunnel_host else secure
