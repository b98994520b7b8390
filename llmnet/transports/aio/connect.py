"""Makes the connections of both engines: name, TCP, proxy and TLS. Bounds are kept by whoever waits for them."""

import asyncio
import base64
import contextlib
import contextvars
import os
import ssl
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

import httpx

from llmnet.net.dns import lookup
from llmnet.net.proxy import Proxy, check_tunnel
from llmnet.net.socks import Talk, ended, talk
from llmnet.net.tls import Use, check_protocol, ssl_context
from llmnet.transports.aio.connection import Connection
from llmnet.transports.aio.race import first_of
from llmnet.transports.http1_reader import Http1Reader
from llmnet.transports.request_head import Fields, authority, request_head

T = TypeVar("T")

# The bound of the exchange ends a handshake; asyncio's own would end it after a minute.
_FOREVER = 1e6


class Connector:
    """Connects to servers.

    Args:
        proxy: what it connects through.
        verify: what to trust (`ClientConfig.verify`).
        use: what TLS with the servers is for; `None` for none: an HTTP proxy makes no tunnel then.
    """

    def __init__(self, proxy: Proxy | None, verify: bool | str | ssl.SSLContext, use: Use | None) -> None:
        self._proxy, self._use = proxy, use
        self._tls = ssl_context(verify, os.environ, use) if use else None
        self._proxy_tls = ssl_context(verify, os.environ, "async") if proxy and proxy.scheme == "https" else None

    async def connect(self, host: str, port: int) -> Connection:
        """Connect to a server.

        Raises:
            httpx.ConnectError: it cannot be reached, or TLS fails.
            httpx.ProxyError: the proxy fails.
        """
        if self._proxy is None:
            connection = await _dialled(host, port)
        else:
            address = host
            if self._proxy.scheme == "socks5":  # which leaves names to us
                with _connecting():
                    (*_, (address, *_)), *_ = await lookup(host, port).awaited()
            try:
                connection = await self._through(self._proxy, address, port)
            except (httpx.ConnectError, OSError) as error:
                raise httpx.ProxyError(f"Cannot connect to proxy: {error}") from error
        if self._tls is not None and self._use is not None:
            with _closing(connection):
                await _secure(connection, self._tls, host, self._use)
        return connection

    async def _through(self, proxy: Proxy, host: str, port: int) -> Connection:
        connection = await _dialled(proxy.host, proxy.port)
        with _closing(connection):
            if self._proxy_tls is not None:
                await _secure(connection, self._proxy_tls, proxy.host, "async")
            if proxy.speaks_socks:
                await _converse(connection, talk(proxy, host, port))
            elif self._tls is not None:
                await _tunnel(connection, proxy, host, port)
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
        sock = await first_of(addresses)
    _, connection = await _without_context(asyncio.get_running_loop().create_connection(Connection, sock=sock))
    return connection


@types.coroutine
def _without_context(work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await what makes a callback that outlives the caller: it would hold all that is in the caller's context."""
    context, step, value = contextvars.Context(), work.send, None
    while True:
        try:
            waited = context.run(step, value)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            step, value = work.send, (yield waited)
        except BaseException as error:  # noqa: BLE001 - it is passed on
            step, value = work.throw, error


async def _secure(connection: Connection, context: ssl.SSLContext, host: str, use: Use) -> None:
    """Speak TLS from now on; within a tunnel it is TLS in TLS.

    Raises:
        httpx.ConnectError: the handshake fails.
    """
    begin, below = asyncio.get_running_loop().start_tls, connection.transport
    connection.renew()
    try:
        above = await _without_context(
            begin(below, connection, context, server_hostname=host, ssl_handshake_timeout=_FOREVER)
        )
    except ConnectionError as error:
        raise httpx.ConnectError(str(error)) from ssl.SSLError(f"the connection was lost in the handshake: {error}")
    except OSError as error:
        raise httpx.ConnectError(str(error)) from error
    assert above is not None  # noqa: S101 - only a closed one gives none
    connection.speak(above)
    check_protocol(above.get_extra_info("ssl_object").selected_alpn_protocol(), use)


async def _tunnel(connection: Connection, proxy: Proxy, host: str, port: int) -> None:
    """Have an HTTP proxy connect to a server (RFC 9110, 9.3.6).

    Raises:
        httpx.ProxyError: it answers nothing that could be read.
        ProxyRefusedError: it does not.
    """
    where = authority(host, port).encode("ascii")
    news, reader = asyncio.Event(), Http1Reader("CONNECT")
    connection.begin(news.set, reader)
    fields = [(b"Host", where), (b"Accept", b"*/*"), *proxy_headers(proxy)]
    connection.transport.write(request_head(b"CONNECT", where, fields).data)
    while reader.status is None:
        if reader.error is not None:
            raise httpx.ProxyError(f"the proxy made no tunnel: {reader.error}") from reader.error
        await news.wait()
        news.clear()
    check_tunnel(reader.status, reader.reason, exceeded=reader.exceeded)
    connection.rest()


def proxy_headers(proxy: Proxy) -> Fields:
    """The header fields that are for the proxy (RFC 7617)."""
    if proxy.username is None:
        return []
    credentials = f"{proxy.username}:{proxy.password or ''}".encode()
    return [(b"Proxy-Authorization", b"Basic " + base64.b64encode(credentials))]


class Incoming:
    """Keeps what comes over a connection until it is taken."""

    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes that nobody has taken yet."""
        return len(self.data)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self.data += data

    def eof(self, *, failed: bool = False) -> None:
        """The connection has ended, as it says itself."""

    def take(self, most: int) -> bytes:
        """Give so many bytes, or all there are."""
        data = bytes(self.data[:most])
        del self.data[:most]
        return data


async def _converse(connection: Connection, what: Talk) -> None:
    """Speak with a SOCKS proxy.

    Raises:
        OSError: it makes no connection.
    """
    news, answer = asyncio.Event(), Incoming()
    said: Any = None
    connection.begin(news.set, answer)
    with contextlib.suppress(StopIteration):
        while True:
            message, size = what.send(said)
            connection.transport.write(message)
            while answer.buffered < size:
                if connection.lost:
                    ended()
                await news.wait()
                news.clear()
            said = answer.take(size)
    connection.rest()
