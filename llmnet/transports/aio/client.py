"""The client of httpx's that requests are sent by: each is built once, and goes out as it is."""

import functools
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import httpx

from llmnet.core.http import Request
from llmnet.transports.aio.by_route import ByRoute, in_use
from llmnet.transports.aio.prepared import Common, Prepared


class _NoCookies(httpx.Cookies):
    """Keeps nothing: what is never sent would only grow."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Nothing is taken."""


class _AsItIs(httpx.Auth):
    """Sends a request with the credential that it has."""

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The request, once."""
        yield request


_NONE, _AS_IT_IS = _NoCookies(), _AsItIs()


class Client(httpx.AsyncClient):
    """A client of httpx's around a transport, without a cookie jar."""

    cookies = property(lambda _: _NONE, lambda *_: None)

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(transport=transport, trust_env=False, timeout=None)
        self.transport = transport
        # But for their bodies a client's requests are much the same. What is kept holds credentials, and goes with it.
        self._common = functools.lru_cache(16)(Common)

    def carry(self, request: Request, extensions: dict[str, Any]) -> Coroutine[Any, Any, httpx.Response]:
        """Send a request, with extensions."""
        common = self._common(request.method, request.url, tuple(request.headers.items()))
        return self.send(Prepared(common, request.body, extensions), stream=True, auth=_AS_IT_IS)


class ClientsByRoute(ByRoute[Client]):
    """The clients of one event loop, by the way that a request goes: that loop's alone."""

    def __init__(self) -> None:
        super().__init__(lambda client: in_use(client.transport))
