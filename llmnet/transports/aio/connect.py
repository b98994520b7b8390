"""Makes the connections of the fast transport: name, TCP, proxy and TLS, under the bounds of one exchange."""

import asyncio
import base64
import contextlib
import functools
import os
import socket
import ssl
from typing import Any

import httpx
import msgspec

from llmnet.net.dns import AddrInfo, lookup
from llmnet.net.proxy import Proxy, check_tunnel
from llmnet.net.sockets import TCP_OPTIONS
from llmnet.net.socks import Talk, ended, talk
from llmnet.net.tls import check_protocol, ssl_context
from llmnet.transports.aio.connection import Connection
from llmnet.transports.aio.context import without_context
from llmnet.transports.aio.race import first_of
from llmnet.transports.aio.watch import Watch
from llmnet.transports.http1_reader import Http1Reader
from llmnet.transports.request_head import Fields, authority, request_head

# The bound of the exchange ends a handshake; asyncio's own would end it after a minute.
_FOREVER = 1e6


class Origin(msgspec.Struct, frozen=True):
    """Where a request goes, as its address names it; the host of an IPv6 address without brackets."""

    host: str
    port: int
    secure: bool


class Connector:
    """Connects to origins.

    Args:
        proxy: what it connects through.
        verify: what to trust (`ClientConfig.verify`).
        secure: whether it is for `https` addresses: only then is a context made.
    """

    def __init__(self, proxy: Proxy | None, verify: bool | str | ssl.SSLContext, *, secure: bool) -> None:
        self._proxy = proxy
        self._tls = ssl_context(verify, os.environ, "async") if secure else None
        self._proxy_tls = ssl_context(verify, os.environ, "async") if proxy and proxy.scheme == "https" else None

    async def connect(self, watch: Watch, origin: Origin) -> Connection:
        """Connect to an origin.

        Raises:
            httpx.ConnectError: it cannot be reached, or TLS fails.
            httpx.ProxyError: the proxy fails.
        """
        proxy = self._proxy
        if proxy is None:
            connection = await _dialled(origin.host, origin.port)
        else:
            host = origin.host
            if proxy.scheme == "socks5":  # which leaves names to us
                with _connecting():
                    (*_, (host, *_)), *_ = await lookup(host, origin.port).awaited()
            try:
                connection = await self._through(proxy, watch, Origin(host, origin.port, origin.secure))
            except (httpx.ConnectError, OSError) as error:
                raise httpx.ProxyError(f"Cannot connect to proxy: {error}") from error
        if self._tls is not None:
            with _closing(connection):
                await _secure(connection, self._tls, origin.host)
        return connection

    async def _through(self, proxy: Proxy, watch: Watch, origin: Origin) -> Connection:
        connection = await _dialled(proxy.host, proxy.port)
        with _closing(connection):
            if self._proxy_tls is not None:
                await _secure(connection, self._proxy_tls, proxy.host)
            if proxy.speaks_socks:
                await _converse(connection, watch, talk(proxy, origin.host, origin.port))
            elif origin.secure:
                await _tunnel(connection, watch, proxy, origin)
        return connection


@contextlib.contextmanager
def _closing(connection: Connection) -> Any:
    """End a connection if a step towards it fails, or is cancelled."""
    try:
        yield
    except BaseException:
        connection.abort()
        raise


@contextlib.contextmanager
def _connecting() -> Any:
    """Call it a failure to connect if a name has no address, or no address answers."""
    try:
        yield
    except OSError as error:
        raise httpx.ConnectError(str(error)) from error


async def _dialled(host: str, port: int) -> Connection:
    """A TCP connection to the first address of a host that answers."""
    with _connecting():
        addresses = await lookup(host, port).awaited()
        sock = await first_of([functools.partial(_tcp, address) for address in addresses], _close)
    _, connection = await without_context(asyncio.get_running_loop().create_connection(Connection, sock=sock))
    return connection


async def _close(sock: socket.socket) -> None:
    sock.close()


async def _tcp(found: AddrInfo) -> socket.socket:
    family, kind, protocol, _, address = found
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        for option in TCP_OPTIONS:
            sock.setsockopt(*option)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _secure(connection: Connection, context: ssl.SSLContext, host: str) -> None:
    """Speak TLS from now on; within a tunnel it is TLS in TLS.

    Raises:
        httpx.ConnectError: the handshake fails.
    """
    begin, below = asyncio.get_running_loop().start_tls, connection.transport
    try:
        above = await without_context(
            begin(below, connection, context, server_hostname=host, ssl_handshake_timeout=_FOREVER)
        )
    except ConnectionError as error:
        raise httpx.ConnectError(str(error)) from ssl.SSLError(f"the connection was lost in the handshake: {error}")
    except OSError as error:
        raise httpx.ConnectError(str(error)) from error
    assert above is not None  # noqa: S101 - only a closed one gives none
    connection.speak(above)
    check_protocol(above.get_extra_info("ssl_object").selected_alpn_protocol(), "async")


async def _tunnel(connection: Connection, watch: Watch, proxy: Proxy, origin: Origin) -> None:
    """Have an HTTP proxy connect to an origin (RFC 9110, 9.3.6).

    Raises:
        httpx.ProxyError: it answers nothing that could be read.
        ProxyRefusedError: it does not.
    """
    where = authority(origin.host, origin.port).encode("ascii")
    reader = Http1Reader("CONNECT")
    connection.begin(watch, reader)
    fields = [(b"Host", where), (b"Accept", b"*/*"), *proxy_headers(proxy)]
    connection.transport.write(request_head(b"CONNECT", where, fields).data)
    while reader.status is None:
        if reader.error is not None:
            raise httpx.ProxyError(f"the proxy made no tunnel: {reader.error}") from reader.error
        await watch.news()
    check_tunnel(reader.status, reader.reason, exceeded=reader.exceeded)
    connection.rest()


def proxy_headers(proxy: Proxy) -> Fields:
    """The header fields that are for the proxy (RFC 7617)."""
    if proxy.username is None:
        return []
    credentials = f"{proxy.username}:{proxy.password or ''}".encode()
    return [(b"Proxy-Authorization", b"Basic " + base64.b64encode(credentials))]


class _Answer:
    """Gathers what a SOCKS proxy answers."""

    def __init__(self) -> None:
        self.data, self.is_over, self.buffered = b"", False, 0

    def feed(self, data: bytes) -> None:
        self.data += data

    def eof(self, *, failed: bool = False) -> None:
        self.is_over = True


async def _converse(connection: Connection, watch: Watch, what: Talk) -> None:
    """Speak with a SOCKS proxy.

    Raises:
        OSError: it makes no connection.
    """
    answer: _Answer = _Answer()
    said: Any = None
    connection.begin(watch, answer)
    with contextlib.suppress(StopIteration):
        while True:
            message, size = what.send(said)
            connection.transport.write(message)
            while len(answer.data) < size:
                if answer.is_over:
                    ended()
                await watch.news()
            said, answer.data = answer.data[:size], answer.data[size:]
    connection.rest()
