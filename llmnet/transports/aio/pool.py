"""Pools of httpx's own transport: how they connect is ours, and so is which connection serves, and how long.

httpcore's pool asks at each request each connection about each other one, and counts those in use among the idle it may
keep: with a hundred calls in flight that is most of the work, and beyond its limit no connection serves twice. Calls
wait in our own queue and never for a connection, so that little is left to do for a pool. HTTP/2, where one connection
serves many, keeps httpcore's.
"""

import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpcore
import httpx

from llmnet.net.proxy import Proxy
from llmnet.net.sockets import PATIENCE, Age
from llmnet.net.tls import Use
from llmnet.transports.aio.connect import Connector
from llmnet.transports.aio.idle import Host, Idle, Resting
from llmnet.transports.aio.stream import Dialler

_LENGTHS = {b"content-length", b"transfer-encoding"}


def transport_of(
    proxy: Proxy | None, verify: bool | str | ssl.SSLContext, kept: int, *, secure: bool, http2: bool = False
) -> httpx.AsyncHTTPTransport:
    """A transport of httpx's over connections of our own.

    Args:
        proxy: what it connects through.
        verify: what to trust (`ClientConfig.verify`).
        kept: how many idle connections it keeps; without any, each request makes a fresh one.
        secure: whether it is for `https` addresses.
        http2: whether HTTP/2 is offered.
    """
    forwarder = None
    if proxy and not (proxy.speaks_socks or secure):  # with whom TLS is spoken before httpcore has the connection
        forwarder = "http" + proxy.full_url.removeprefix(proxy.scheme)
    transport = httpx.AsyncHTTPTransport(
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # which none of its connections uses
        http2=http2,
        # No limit of connections: cancelled requests would leave its slots taken (encode/httpcore#1093).
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=kept, keepalive_expiry=PATIENCE),
        trust_env=False,
        proxy=forwarder,
    )
    # httpx offers no way to say how it is to connect.
    pool: Any = transport._pool
    create = pool.create_connection
    use: Use = "async h2" if http2 else "async"
    pool._network_backend = Dialler(Connector(proxy, verify, use if secure else None))
    if http2:
        pool.create_connection = lambda origin: Ageing(create(origin))
    else:
        transport._pool = Pool(lambda origin: Ageing(create(origin)), kept)  # type: ignore[assignment]
    return transport


class Pool:
    """Idle connections by origin; the last one to come is the first to go. One loop's alone.

    Args:
        create: makes a connection to an origin.
        kept: how many idle ones are kept for each.
    """

    def __init__(self, create: Callable[[httpcore.Origin], "Ageing"], kept: int) -> None:
        self._create, self._kept = create, kept
        self._idle: Idle[Ageing] = Idle()
        self._used: set[Ageing] = set()
        self._closed = False

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request on an idle connection or a new one; closing the response gives the connection back."""
        url = request.url
        if url.scheme not in (b"http", b"https"):
            raise httpcore.UnsupportedProtocol(f"{url.scheme.decode()}:// is no HTTP")
        host = (url.scheme, url.host, url.port)
        connection = await _youngest(self._idle.at(host)) or self._create(url.origin)
        self._used.add(connection)
        try:
            if self._closed:
                raise httpcore.ConnectError("the client was closed")
            response = await connection.handle_async_request(request)
        except BaseException:
            await self._end(connection)
            raise
        return httpcore.Response(
            status=response.status,
            headers=response.headers,
            content=Body(response.stream, lambda: self._back(connection, host)),
            extensions=response.extensions,
        )

    async def _back(self, connection: "Ageing", host: Host) -> None:
        """Keep a connection whose exchange has ended, if it will do for another one, and none for too long."""
        if len(self._idle.at(host)) < self._kept and connection.rest() and not self._closed:
            self._used.discard(connection)
            self._idle.keep(host, connection)
        else:
            await self._end(connection)
        for tired in self._idle.tidy():
            await tired.aclose()

    @property
    def in_use(self) -> bool:
        """Whether a request is under way."""
        return bool(self._used)

    async def _end(self, connection: "Ageing") -> None:
        self._used.discard(connection)
        await connection.aclose()

    async def aclose(self) -> None:
        """Close all connections; those that come back later are closed then, and no new one is made."""
        self._closed = True
        self._used.update(self._idle.clear())
        while self._used:
            await self._used.pop().aclose()


async def _youngest(idle: deque["Ageing"]) -> "Ageing | None":
    """The last connection to come that still serves."""
    while idle:
        connection = idle.pop()
        if not connection.has_expired():
            return connection
        await connection.aclose()
    return None


class Body:
    """A body whose end is told."""

    def __init__(self, inner: Any, ended: Callable[[], Awaitable[None]]) -> None:
        self._inner, self._ended = inner, ended
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._inner:
                yield part
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the body, and say that the connection is free."""
        if not self._closed:
            self._closed = True
            await self._inner.aclose()
            await self._ended()


class Ageing(Resting):
    """A connection of httpcore's that takes no request any more once it is over, and is closed when it has no other."""

    def __init__(self, inner: httpcore.AsyncConnectionInterface) -> None:
        self._inner, self._age, self._two_lengths = inner, Age(), False
        self._closed = False
        self.is_idle = inner.is_idle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def is_available(self) -> bool:
        """Whether it takes a request now."""
        return self._inner.is_available() and not self._over

    def has_expired(self) -> bool:
        """Whether its pool is to close it."""
        return self._inner.has_expired() or (self.is_idle() and self._over)

    def rest(self) -> bool:
        """Become idle, now that an exchange has ended; whether it may serve again."""
        self.begin_rest()
        return self.is_idle() and not self._over

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send a request; where the head of a reply gives two lengths, no second one is believed (RFC 9112, 6.3)."""
        try:
            response = await self._inner.handle_async_request(request)
        except httpcore.RemoteProtocolError as error:
            if "disconnected" in str(error) and _is_followed(_innermost(self._inner)):
                # httpcore takes half a head for none.
                error.args = ("the connection ended inside the head of the reply",)
            raise
        finally:
            if self._closed:  # before there was anything to close
                await self._inner.aclose()
        # For each request httpcore asks this of all its connections, for each of them: the shortest way counts.
        self.is_idle = _innermost(self._inner).is_idle
        self._two_lengths |= {name.lower() for name, _ in response.headers} >= _LENGTHS
        return response

    async def aclose(self) -> None:
        """Close it; if it is just being made, as soon as it is."""
        self._closed = True
        await self._inner.aclose()

    @property
    def _over(self) -> bool:
        """Whether it is old, or its server leaves, or what follows its last reply would be taken for the next one."""
        inner = _innermost(self._inner)
        is_left = getattr(getattr(inner, "_network_stream", None), "is_leaving", False)
        return self._age.over or self._two_lengths or _is_followed(inner) or is_left


def _innermost(connection: Any) -> Any:
    """The connection that speaks HTTP, below those that make it."""
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    return connection


def _is_followed(connection: Any) -> bool:
    """Whether bytes have come after the end of the last reply; h11 would keep them."""
    parser = getattr(connection, "_h11_state", None)
    return parser is not None and parser.trailing_data[0] != b""
