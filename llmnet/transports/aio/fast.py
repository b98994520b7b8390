"""HTTP/1.1 of our own under `httpx.AsyncClient`: a pool by origin; the last connection to come serves first."""

import ssl

import httpx

from llmnet.core.exchange import Exchange
from llmnet.net.proxy import Proxy
from llmnet.transports.aio.client import Origin, Prepared, origin_of
from llmnet.transports.aio.connect import Connector
from llmnet.transports.aio.connection import Connection
from llmnet.transports.aio.http1 import Body, ask, head_of
from llmnet.transports.aio.idle import Idle
from llmnet.transports.aio.wait import Scope
from llmnet.transports.aio.watch import Watch
from llmnet.transports.http1_reader import Http1Reader
from llmnet.transports.request_head import Head, cached_lines

WATCH, BODY = "llmnet.watch", "llmnet.body"
"""Extensions. Of a request: the waits of its attempt. Of a response: its body, which is asked for the headers where the
request is one of our own clients."""


class FastTransport(httpx.AsyncBaseTransport):
    """Carries requests that have a `Watch`, over connections of one event loop.

    Args:
        proxy: what it connects through.
        verify: what to trust (`ClientConfig.verify`).
        kept: how many idle connections it keeps for each origin.
        secure: whether it is for `https` addresses.
    """

    def __init__(self, proxy: Proxy | None, verify: bool | str | ssl.SSLContext, kept: int, *, secure: bool) -> None:
        self._connector, self._kept = Connector(proxy, verify, "async" if secure else None), kept
        # An HTTP proxy is asked for plain addresses as they are; all else it, or a SOCKS proxy, has no part in.
        self._forwards = proxy if proxy is not None and not proxy.speaks_socks and not secure else None
        self._idle: Idle[Connection] = Idle()
        self._used: set[Connection] = set()
        self._connecting, self._closed = 0, False
        self._lines = cached_lines()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on an idle connection or a new one; closing the response gives the connection back.

        Raises:
            httpx.TransportError: it failed.
            AttemptError: a bound has expired, or the call was stopped.
        """
        watch: Watch = request.extensions[WATCH]
        made = request if isinstance(request, Prepared) and request.is_as_made else None
        origin = made.common.origin if made else origin_of(request.url)
        head = self._head_of(made) if made else head_of(request, self._forwards, self._lines)
        idle = self._youngest(origin)
        connection = idle or await self._connected(watch.exchange, origin)
        self._used.add(connection)
        reader = Http1Reader(request.method)
        try:
            watch.exchange.connected(reused=idle is not None)
            watch.alarm = connection.alarm
            connection.begin(watch.wake, reader)
            await ask(connection, watch, reader, head, request)
        except BaseException:
            self._end(connection)
            raise
        finally:
            watch.exchange.received |= reader.begun
        headers = None if isinstance(request, Prepared) else httpx.Headers(reader.headers.pairs, "latin-1")
        body = Body(connection, reader, watch, self._back)
        return httpx.Response(
            reader.status or 0,
            headers=headers,
            stream=body,
            extensions={BODY: body, "http_version": b"HTTP/" + reader.version.encode(), "reason_phrase": reader.reason},
        )

    def _head_of(self, request: Prepared) -> Head:
        common, body = request.common, request.body
        if common.head is None:
            common.head = head_of(Prepared(common, None, {}), self._forwards, self._lines)
        return common.head if body is None else common.head.with_length(len(body))

    async def warm(self, exchange: Exchange, origin: Origin) -> None:
        """Add a connection to the idle ones.

        Raises:
            httpx.TransportError: it failed.
            AttemptError: a bound has expired, or the call was stopped.
        """
        self._keep(await self._connected(exchange, origin))

    def _youngest(self, origin: Origin) -> Connection | None:
        """The last idle connection to come that will do."""
        idle = self._idle.at(origin)
        while idle:
            connection = idle.pop()
            # What has come before the first exchange may be TLS's own, as its tickets are.
            if connection.usable and not (connection.is_tired or (connection.served and connection.is_followed)):
                return connection
            connection.abort()
        return None

    async def _connected(self, exchange: Exchange, origin: Origin) -> Connection:
        exchange.raise_if_stopped()  # a client may have been closed under its request
        exchange.connecting()
        self._connecting += 1
        try:
            connection = await Scope(exchange).run(self._connector.connect(origin.host, origin.port))
        finally:
            self._connecting -= 1
        connection.origin = origin
        if self._closed:
            connection.abort()
            raise httpx.ConnectError("the client was closed")
        return connection

    def _back(self, connection: Connection, reader: Http1Reader) -> None:
        connection.served = True
        if reader.done and reader.reusable:
            self._keep(connection)
        else:
            self._end(connection)

    def _keep(self, connection: Connection) -> None:
        """Keep a connection for the next exchange, if it will do for one, and none for too long."""
        if self._closed or len(self._idle.at(connection.origin)) >= self._kept or not connection.usable:
            self._end(connection)
            return
        self._used.discard(connection)
        connection.rest()
        self._idle.keep(connection.origin, connection)
        for tired in self._idle.tidy():
            tired.abort()

    def _end(self, connection: Connection) -> None:
        self._used.discard(connection)
        connection.abort()

    @property
    def in_use(self) -> bool:
        """Whether a request is under way."""
        return bool(self._used or self._connecting)

    async def aclose(self) -> None:
        """End all connections; those that come back later end then, and no new one is made."""
        self._closed = True
        for connection in [*self._idle.clear(), *self._used]:
            connection.abort()
        self._used.clear()
