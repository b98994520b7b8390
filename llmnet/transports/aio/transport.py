"""The async transport: one `httpx.AsyncClient` for each event loop."""

import os
import ssl
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, cast

import httpx

from llmnet.core.bounds import Bounds
from llmnet.core.exchange import Exchange
from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError
from llmnet.net.proxy import Proxy
from llmnet.net.proxy_route import Proxies, check_file, need
from llmnet.transports.aio.client import Client, ClientsByRoute, origin_of
from llmnet.transports.aio.fast import BODY, WATCH, FastTransport
from llmnet.transports.aio.http1 import Body
from llmnet.transports.aio.per_loop import PerLoop
from llmnet.transports.aio.reply import FOREIGN, HttpxBody, OpenReply
from llmnet.transports.aio.wait import Scope
from llmnet.transports.aio.watch import Watch
from llmnet.transports.classify import outcome_of
from llmnet.transports.logs import hide_in_logs

# Sends a request by a client, with extensions.
Sent: TypeAlias = "Callable[[Client, dict[str, Any]], Coroutine[Any, Any, httpx.Response]]"
# Libraries that answer in the place of httpx's own transport, and know no other one.
MOCKS = ("respx", "pytest_httpx", "vcr")


class Transport:
    """Carries exchanges over pooled connections; made for all event loops of a process.

    Args:
        proxy: an explicit proxy, or `None` for those that the environment names now.
        verify: what to trust (`ClientConfig.verify`).
        pool_size: idle connections kept in each loop.
        http2: whether HTTP/2 is offered.
        engine: `"fast"` is our own HTTP/1.1, `"httpx"` that of httpx, which alone speaks HTTP/2; `"auto"` takes ours
            wherever nothing asks for the other one.
    """

    def __init__(
        self,
        *,
        proxy: str | None,
        verify: bool | str | ssl.SSLContext,
        pool_size: int,
        http2: bool = False,
        engine: str = "auto",
    ) -> None:
        self._proxies = Proxies(proxy, os.environ)
        check_file(verify, "async h2" if http2 else "async")
        if http2:
            need("h2", "http2=True", "http2")
        self._verify, self._pool_size, self._http2 = verify, pool_size, http2
        self._engine = "httpx" if http2 else engine
        self._clients = PerLoop(ClientsByRoute, ClientsByRoute.aclose)

    def send(self, exchange: Exchange, bounds: Bounds) -> Coroutine[Any, Any, OpenReply]:
        """Send a request, and give the reply once its head is there (`core.transport`)."""
        return self.carry(exchange, lambda client, extensions: client.carry(exchange.request, extensions))

    async def carry(self, exchange: Exchange, sent: Sent) -> OpenReply:
        """Have a request sent by the client of its route, with the extensions that follow its steps.

        Raises:
            AttemptError: it failed; its cause is what the library has raised.
        """
        is_fast = self._is_fast
        client = await self._client(exchange, is_fast=is_fast)
        hide_in_logs(exchange.secrets)
        return await (carry_fast if is_fast else carry_slow)(exchange, client, sent)

    async def warm(self, exchange: Exchange, bounds: Bounds) -> None:
        """Connect for a request to come (`core.transport`); httpx's own engine connects for none but one that is sent.

        Raises:
            AttemptError: it failed.
        """
        if self._is_fast:
            client = await self._client(exchange, is_fast=True)
            try:
                await cast("FastTransport", client.transport).warm(exchange, origin_of(httpx.URL(exchange.request.url)))
            except FOREIGN as error:
                raise _failed(error, exchange) from error

    @property
    def _is_fast(self) -> bool:
        return self._engine == "fast" or (self._engine == "auto" and sys.modules.keys().isdisjoint(MOCKS))

    async def _client(self, exchange: Exchange, *, is_fast: bool) -> Client:
        """The client of the running loop for the route of an exchange."""
        by_route, proxy = await self._clients.here(), self._proxy_of(exchange)
        way = (proxy.full_url if proxy else "", exchange.request.url.startswith("https:"), exchange.fresh, is_fast)
        return by_route.clients.get(way) or await by_route.add(way, self._new_client(proxy, *way[1:]))

    def _new_client(self, proxy: Proxy | None, secure: bool, fresh: bool, is_fast: bool) -> Client:
        kept = 0 if fresh else self._pool_size
        if is_fast:
            return Client(FastTransport(proxy, self._verify, kept, secure=secure))
        from llmnet.transports.aio.pool import transport_of  # noqa: PLC0415 - on use: it loads httpcore

        return Client(transport_of(proxy, self._verify, kept, secure=secure, http2=self._http2))

    def _proxy_of(self, exchange: Exchange) -> Proxy | None:
        return self._proxies.of(exchange)

    async def aclose(self) -> None:
        """Close all connections; those of other loops when these come to it."""
        await self._clients.aclose()


async def carry_fast(exchange: Exchange, client: Client, sent: Sent) -> OpenReply:
    """Over connections of our own, which follow the exchange by themselves."""
    watch = Watch(exchange)
    try:
        response = await sent(client, {"timeout": {}, WATCH: watch})
    except FOREIGN as error:
        raise _failed(error, exchange) from error
    body: Body = response.extensions[BODY]
    return OpenReply(exchange, response, body.headers, body)


def _failed(error: BaseException, exchange: Exchange) -> AttemptError:
    return AttemptError(outcome_of(error, exchange, proxied=isinstance(error, httpx.ProxyError)))


async def carry_slow(exchange: Exchange, client: Client, sent: Sent) -> OpenReply:
    """Over those of httpx, whose steps are followed."""
    scope = Scope(exchange)
    try:
        response = await scope.run(sent(client, {"timeout": {}, "trace": trace(exchange, scope)}))
    except FOREIGN as error:
        raise _failed(error, exchange) from error
    except Exception:
        exchange.raise_if_stopped()  # connections that are closed under a stopped call may fail in any way
        raise
    return OpenReply(exchange, response, Headers(response.headers.multi_items()), HttpxBody(exchange, response))


def trace(exchange: Exchange, scope: Scope) -> Any:
    """Follow httpcore's steps: they are where a connection begins, is ready, and has been used before."""
    fresh = False

    async def follow(name: str, _: dict[str, Any]) -> None:
        nonlocal fresh
        step = name.partition(".")[2]
        if step == "connect_tcp.started":
            fresh = True
            exchange.raise_if_stopped()  # a pool that was closed under its request might connect anew
            exchange.connecting()
            scope.arm()
        elif step == "send_request_headers.started":
            exchange.connected(reused=not fresh)
            exchange.sending()
            scope.arm()
        elif step == "send_request_body.complete":
            exchange.uploaded()

    return follow
