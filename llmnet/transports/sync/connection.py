"""Connections of the sync front: every connect and send runs under the nearest bound of its exchange."""

import functools
import socket
import ssl
import weakref
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError, ProtocolError, ProxyError

from llmnet.core.exchange import Exchange
from llmnet.net.proxy import Proxy, check_tunnel
from llmnet.net.sockets import Age, close_after_fork, shutdown
from llmnet.net.socks import talk
from llmnet.transports.request_head import authority, cached_lines, request_head
from llmnet.transports.sync.channel import Armed, Channel, arm, check, check_unanswered, closing, lowest
from llmnet.transports.sync.dial import addresses_of, converse, first_of
from llmnet.transports.sync.prepared import fields_of, host_of, written
from llmnet.transports.sync.reader import Reply


class Bounded:
    """What both kinds of connection add to urllib3's: they know which exchange they serve.

    One thread has it at a time: the pool lends it. Another that stops the call shuts its socket down through
    `on_stop`, whose lock sees to it that the connection has not moved on to another exchange.
    """

    exchange: Exchange
    age: Age
    through: Proxy | None = None
    channel: Channel
    served = _cut = False
    sock: socket.socket | None
    _handle: socket.socket | None = None
    _reply: Reply

    @property
    def too_old(self) -> bool:
        """Whether it has been connected for so long that it must not serve again."""
        return self.sock is not None and self.age.over

    def rest(self) -> None:
        """Serve no exchange: one that has ended must not touch a connection that moved on, nor be kept alive by it."""
        self._let_be()
        if self._cut:  # the rest of a request that was answered early would be taken for the next one
            self.close()
        vars(self).pop("exchange", None)

    def _new_conn(self) -> socket.socket:
        """Connect, if need be through a SOCKS proxy."""
        self.served = False
        self.exchange.connecting()
        host, port = str(self._dns_host), int(self.port)  # type: ignore[attr-defined]
        return self._joined(self.through, host, port) if self.through else self._dialled(host, port)

    def _joined(self, proxy: Proxy, host: str, port: int) -> socket.socket:
        """Have a SOCKS proxy connect to a host."""
        host = host if proxy.scheme == "socks5h" else addresses_of(host, port, self.exchange)[0][4][0]
        try:
            sock = self._dialled(proxy.host, proxy.port)
        except (NewConnectionError, OSError) as error:
            raise ProxyError("Cannot connect to proxy", error) from error
        with closing(sock):
            try:
                converse(sock, talk(proxy, host.strip("[]"), port), self.exchange)
                arm(sock, self.exchange.remaining())
            except OSError as error:
                raise ProxyError("the proxy made no connection", error) from error
        return sock

    def _dialled(self, host: str, port: int) -> socket.socket:
        """Resolve and connect."""
        addresses = addresses_of(host, port, self.exchange)
        try:
            sock = first_of(addresses, self.exchange)
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]
        with closing(sock):
            # A TLS handshake detaches the socket: what `stop` shuts down meanwhile is a second handle on it.
            self._handle = sock.dup()
            self.exchange.on_stop(functools.partial(shutdown, self._handle))
            arm(sock, self.exchange.remaining())
        return sock

    def connect(self) -> None:
        """Connect, with TLS and through the proxy where there is one."""
        try:
            super().connect()  # type: ignore[misc]
        except ConnectionError as error:
            # TCP stands, or this would be a `NewConnectionError`.
            raise ssl.SSLError(f"the connection was lost in the handshake: {error}") from error
        finally:
            self._let_be()
            if self._handle is not None:
                self._handle.close()
                self._handle = None
        assert self.sock is not None  # noqa: S101 - that is what connecting means
        self.age, self.channel, self._lines = Age(), Channel(self.sock), cached_lines()
        close_after_fork(lowest(self.sock))

    @property
    def is_connected(self) -> bool:
        """Whether it may serve: nothing has come unasked."""
        return self.sock is not None and self.channel.is_silent

    def request(
        self, method: str, url: str, body: Any = None, headers: Any = None, *, chunked: bool = False, **_: Any
    ) -> None:
        """Send a request, with no headers beside these but for the host and how its end is known.

        A server may answer, as by 413, while it takes no more of it: whoever only sent would wait for the bound.
        """
        if self.sock is None:
            self.connect()
        exchange, reply = self.exchange, Reply(self, method, url)
        self._reply, self._cut = reply, True
        exchange.on_stop(self.channel.stop)
        pieces = written(method, url, host_of(self, url), headers, body, self._lines, chunked=chunked)
        for number, piece in enumerate(pieces):
            exchange.sending()
            if number:
                check_unanswered(reply.is_answered)
            self.channel.send(piece, exchange, reply.is_answered)
            exchange.uploaded()
        self._cut = False

    def wait_for_room(self) -> None:
        """Wait until more of the request can be sent, or raise what ends it (`Channel.wait_for_room`)."""
        reply = vars(self).get("_reply")  # none where TLS itself has something to send while a reply is read
        self.channel.wait_for_room(self.exchange, reply and reply.is_answered)

    def getresponse(self) -> Any:
        """The reply; from now on the connection has served, and may be found stale."""
        reply: Reply = vars(self).pop("_reply")  # which has the connection
        try:
            reply.begin()
        finally:
            if reply.reader.begun:
                self.exchange.receiving()
        self.served = True
        return reply

    def close(self) -> None:
        """Close the connection, which nobody waits on any more."""
        self._let_be()
        vars(self).pop("_reply", None)
        super().close()  # type: ignore[misc]

    def _tunnel(self) -> None:
        """Have an HTTP proxy connect to the server (RFC 9110, 9.3.6)."""
        here: Any = self
        where = authority(here._tunnel_host, here._tunnel_port)
        try:
            self.channel = Channel(here.sock)
            head = request_head(b"CONNECT", where.encode("ascii"), fields_of({"Host": where, **here._tunnel_headers}))
            self.channel.send(head.data, self.exchange)
            reply = Reply(self, "CONNECT", where)
            reply.begin()
            check_tunnel(reply.reader.status, reply.reader.reason, exceeded=reply.reader.exceeded)
            arm(here.sock, self.exchange.remaining())
        except (OSError, ProtocolError) as error:
            raise ProxyError("the proxy made no tunnel", error) from error

    def _let_be(self) -> None:
        """From now on a stop leaves the connection alone: once closed, its number may be another's."""
        if "exchange" in vars(self):
            self.exchange.on_stop(None)


class PlainConnection(Bounded, HTTPConnection):
    """TCP."""


class SecureConnection(Bounded, HTTPSConnection):
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
