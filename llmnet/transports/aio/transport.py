"""The async transport: one `httpx.AsyncClient` for each event loop."""

import functools
import os
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

from llmnet.core.bounds import Bounds
from llmnet.core.exchange import Exchange
from llmnet.core.http import Request
from llmnet.core.outcome import AttemptError
from llmnet.net.proxy import Proxy
from llmnet.net.proxy_route import check_route, need, proxy_route
from llmnet.transports.aio.by_route import ByRoute, in_use
from llmnet.transports.aio.per_loop import PerLoop
from llmnet.transports.aio.pool import transport_of
from llmnet.transports.aio.reply import FOREIGN, OpenReply
from llmnet.transports.aio.wait import Scope
from llmnet.transports.classify import outcome_of
from llmnet.transports.logs import hide_in_logs


class _NoCookies(httpx.Cookies):
    """Keeps nothing: what is never sent would only grow."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Nothing is taken."""


_NONE = _NoCookies()


class Client(httpx.AsyncClient):
    """A client of httpx's around a transport, without a cookie jar."""

    cookies = property(lambda _: _NONE, lambda *_: None)

    def __init__(self, transport: httpx.AsyncHTTPTransport) -> None:
        super().__init__(transport=transport, trust_env=False, timeout=None)
        self.transport = transport


class ClientsByRoute(ByRoute[Client]):
    """The clients of one event loop, by the way that a request goes: that loop's alone."""

    def __init__(self) -> None:
        super().__init__(lambda client: in_use(client.transport))


class Transport:
    """Carries exchanges over pooled connections; made for all event loops of a process.

    Args:
        proxy: an explicit proxy, or `None` for the environment's.
        verify: what to trust (`ClientConfig.verify`).
        pool_size: idle connections kept in each loop.
        http2: whether HTTP/2 is offered.
    """

    def __init__(
        self,
        *,
        proxy: str | None,
        verify: bool | str | ssl.SSLContext,
        pool_size: int,
        http2: bool = False,
    ) -> None:
        check_route(proxy, verify, "async h2" if http2 else "async")
        if http2:
            need("h2", "http2=True", "http2")
        self._proxy, self._verify, self._pool_size, self._http2 = proxy, verify, pool_size, http2
        self._clients = PerLoop(ClientsByRoute, ClientsByRoute.aclose)

    def send(self, exchange: Exchange, bounds: Bounds) -> Coroutine[Any, Any, OpenReply]:
        """Send a request, and give the reply once its head is there (`core.transport`)."""
        return self.carry(exchange, functools.partial(_sent, exchange.request))

    async def carry(
        self, exchange: Exchange, sent: Callable[["Client", dict[str, Any]], Coroutine[Any, Any, httpx.Response]]
    ) -> OpenReply:
        """Have a request sent by the client of its route, with the extensions that follow its steps.

        Raises:
            AttemptError: it failed; its cause is what the library has raised.
        """
        scope = Scope(exchange)
        try:
            client = await self._client(exchange)
            hide_in_logs(exchange.secrets)
            steps = {"timeout": {}, "trace": trace(exchange, scope)}
            return OpenReply(exchange, await scope.run(sent(client, steps)))
        except FOREIGN as error:
            raise AttemptError(outcome_of(error, exchange, proxied=is_proxied(error, scope))) from error
        except Exception:
            exchange.raise_if_stopped()  # connections that are closed under a stopped call may fail in any way
            raise

    async def _client(self, exchange: Exchange) -> Client:
        """The client of the running loop for the route of an exchange."""
        clients = await self._clients.here()
        fresh, proxy = exchange.fresh, self._proxy_of(exchange)
        way = (proxy.full_url if proxy else "", exchange.request.url.startswith("https:"), fresh)
        kept = 0 if fresh else self._pool_size
        return await clients.get(
            way, lambda: Client(transport_of(proxy, self._verify, kept, secure=way[1], http2=self._http2))
        )

    def _proxy_of(self, exchange: Exchange) -> Proxy | None:
        return proxy_route(exchange, self._proxy, os.environ)

    async def aclose(self) -> None:
        """Close all connections; those of other loops when these come to it."""
        await self._clients.aclose()


def _sent(request: Request, client: Client, extensions: dict[str, Any]) -> Coroutine[Any, Any, httpx.Response]:
    # As bytes: of texts httpx takes only ASCII.
    headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()]
    theirs = httpx.Request(request.method, request.url, headers=headers, content=request.body, extensions=extensions)
    return client.send(theirs, stream=True)


def is_proxied(error: BaseException, scope: Scope) -> bool:
    """Whether it is the proxy that has failed."""
    return scope.at_proxy or isinstance(error, httpx.ProxyError)


def _server(exchange: Exchange) -> tuple[str, int]:
    """Host and port of the request, as httpcore dials them; it dials others only where they are a proxy's."""
    url = httpx.URL(exchange.request.url)
    return url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)


def trace(exchange: Exchange, scope: Scope) -> Any:
    """Follow httpcore's steps: they are where a connection begins, is ready, and has been used before."""
    fresh, stream = False, None

    async def follow(name: str, info: dict[str, Any]) -> None:
        nonlocal fresh, stream
        step = name.partition(".")[2]
        if step == "connect_tcp.started":
            fresh = True
            scope.at_proxy = (info["host"], info["port"]) != _server(exchange)
            exchange.raise_if_stopped()  # a pool that was closed under its request might connect anew
            exchange.connecting()
            scope.arm()
        elif step == "connect_tcp.complete":
            stream = info["return_value"]
        elif step == "start_tls.failed" and stream is not None:
            # httpcore itself would forget the socket of a handshake that is cancelled, and leave it open.
            await stream.aclose()
        elif name == "proxy.start_tls.started":  # through its tunnel, with the server
            scope.at_proxy = False
        elif step == "send_request_headers.started" and info["request"].method != b"CONNECT":
            scope.at_proxy = False
            exchange.connected(reused=not fresh)
            exchange.sending()
            scope.arm()
        elif step == "send_request_body.complete":
            exchange.uploaded()

    return follow
