"""The client of httpx's that requests are sent by: each is built once, and goes out as it is."""

import functools
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import httpx

from llmnet.core.http import Request
from llmnet.transports.aio.by_route import ByRoute, in_use
from llmnet.transports.aio.connect import Origin
from llmnet.transports.aio.fast import ORIGIN, origin_of


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
        self.prepared = functools.lru_cache(16)(_prepared)


class ClientsByRoute(ByRoute[Client]):
    """The clients of one event loop, by the way that a request goes: that loop's alone."""

    def __init__(self) -> None:
        super().__init__(lambda client: in_use(client.transport))


def _prepared(url: str, headers: tuple[tuple[str, str], ...]) -> tuple[httpx.URL, httpx.Headers, Origin]:
    """Address and headers as httpx has them, and where the address is."""
    parsed = httpx.URL(url)
    # As bytes: of texts httpx takes only ASCII.
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    host = [] if any(name == b"host" for name, _ in given) else [(b"host", parsed.netloc)]
    return parsed, httpx.Headers([*host, *given]), origin_of(parsed)


def send_request(request: Request, client: Client, extensions: dict[str, Any]) -> Coroutine[Any, Any, httpx.Response]:
    """Send a request by a client, with more extensions."""
    url, headers, origin = client.prepared(request.url, tuple(request.headers.items()))
    body, extensions[ORIGIN] = request.body, origin
    stream = httpx.ByteStream(body or b"")
    theirs = httpx.Request(request.method, url, headers=headers, stream=stream, extensions=extensions)
    if body is not None:
        theirs.headers["content-length"] = str(len(body))
    return client.send(theirs, stream=True, auth=_AS_IT_IS)
