"""The clients of httpx's that requests are sent by: what many requests have in common is made once.

Their headers are made if somebody looks at them. Only what is patched into httpx does, as a tracer that adds a header;
it finds, and may change, what goes out: the headers, the address and the method.
"""

import functools
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeAlias

import httpx
import msgspec

from llmnet.core.http import Request
from llmnet.net.sockets import WAYS
from llmnet.transports.request_head import Head

Way: TypeAlias = tuple[str, bool, bool, bool]
"""The proxy, credentials included; whether TLS is spoken; whether each request must have a connection of its own;
whether our own transport serves."""

_PORTS = {"http": 80, "https": 443}


class Origin(msgspec.Struct, frozen=True):
    """Where a request goes, as its address names it; the host of an IPv6 address without brackets."""

    host: str
    port: int
    secure: bool


class Common:
    """What requests to one address with the same headers have in common.

    Attributes:
        method: their method.
        url: the address.
        origin: where that is.
        headers: all but that of the length.
        head: the head of one without a body, once it was written.
    """

    __slots__ = ("head", "headers", "method", "origin", "url")

    def __init__(self, method: str, url: str, headers: tuple[tuple[str, str], ...]) -> None:
        self.method, self.url = method, httpx.URL(url)
        # As bytes: of texts httpx takes only ASCII.
        given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        host = [] if any(name == b"host" for name, _ in given) else [(b"host", self.url.netloc)]
        self.headers, self.origin = httpx.Headers([*host, *given]), origin_of(self.url)
        self.head: Head | None = None


class Prepared(httpx.Request):
    """A request of httpx's with a body that is there as a whole, or with none."""

    def __init__(self, common: Common, body: bytes | None, extensions: dict[str, Any]) -> None:
        super().__init__(common.method, common.url, stream=httpx.ByteStream(body or b""), extensions=extensions)
        del self.headers  # there are none yet: the property makes them
        self.common, self.body, self.url = common, body, common.url

    @functools.cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override]  # in the place of the attribute
        """Those of all, and the length of the body."""
        headers = httpx.Headers(self.common.headers)
        if self.body is not None:
            headers["content-length"] = str(len(self.body))
        return headers

    @property
    def is_as_made(self) -> bool:
        """Whether nobody has looked at the headers, who may have changed them, nor given another address or method."""
        return "headers" not in vars(self) and self.url is self.common.url and self.method == self.common.method


def origin_of(url: httpx.URL) -> Origin:
    """Where an address is.

    Raises:
        httpx.UnsupportedProtocol: it is no `http` or `https` address.
    """
    port = _PORTS.get(url.scheme)
    if port is None or not url.host:
        raise httpx.UnsupportedProtocol(f"{url.scheme}:// is no HTTP")
    return Origin(url.raw_host.decode("ascii"), url.port or port, url.scheme == "https")


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

    @property
    def in_use(self) -> bool:
        """Whether a request is under way on its connections, in a pool of ours or of httpcore."""
        pool: Any = getattr(self.transport, "_pool", self.transport)
        return pool.in_use if hasattr(pool, "in_use") else not all(one.is_idle() for one in pool.connections)


class ClientsByRoute:
    """The clients of one event loop, by the way of a request; of very many only those in use and the newest stay.

    Attributes:
        clients: by way. Whoever finds none adds one before anything is awaited, so that there are never two.
    """

    def __init__(self) -> None:
        self.clients: dict[Way, Client] = {}

    async def add(self, way: Way, client: Client) -> Client:
        """Have a client serve a way from now on."""
        self.clients[way] = client
        for old in list(self.clients)[:-WAYS]:
            if not self.clients[old].in_use:
                await self.clients.pop(old).aclose()
                break
        return client

    async def aclose(self) -> None:
        """Close all of them."""
        while self.clients:
            await self.clients.popitem()[1].aclose()
