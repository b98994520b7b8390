"""The client of httpx's that requests are sent by: each is built once, and goes out as it is."""

import functools
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import httpx

from llmnet.core.http import Request
from llmnet.transports.aio.by_route import ByRoute, in_use
from llmnet.transports.aio.connect import Origin
from llmnet.transports.aio.fast import KNOWN, FastTransport
from llmnet.transports.request_head import completed


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
        # But for their bodies, those of a client's calls are few; they hold credentials, and go with it.
        self.prepared = functools.lru_cache(16)(functools.partial(_prepared, transport))


class ClientsByRoute(ByRoute[Client]):
    """The clients of one event loop, by the way that a request goes: that loop's alone."""

    def __init__(self) -> None:
        super().__init__(lambda client: in_use(client.transport))


def _prepared(
    transport: httpx.AsyncBaseTransport, method: str, url: str, headers: tuple[tuple[str, str], ...]
) -> tuple[httpx.Request, Origin | None, bytes]:
    """A request without its body, where it goes, and what goes out before the line that says how long the body is."""
    # As bytes: of texts httpx takes only ASCII.
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    parsed = httpx.URL(url)
    host = [] if any(name == b"host" for name, _ in given) else [(b"host", parsed.netloc)]
    request = httpx.Request(method, parsed, headers=[*host, *given], stream=httpx.ByteStream(b""))
    if not isinstance(transport, FastTransport):
        return request, None, b""
    origin, head = transport.known(request)
    return request, origin, head.data[:-2]


def send_request(request: Request, client: Client, extensions: dict[str, Any]) -> Coroutine[Any, Any, httpx.Response]:
    """Send a request by a client, with more extensions."""
    alike, origin, start = client.prepared(request.method, request.url, tuple(request.headers.items()))
    body, size = request.body or b"", None if request.body is None else len(request.body)
    if origin is not None:
        extensions[KNOWN] = origin, completed(start, size)
    theirs = httpx.Request(
        alike.method, alike.url, headers=alike.headers, stream=httpx.ByteStream(body), extensions=extensions
    )
    if size is not None:
        theirs.headers["content-length"] = str(size)
    return client.send(theirs, stream=True, auth=_AS_IT_IS)
