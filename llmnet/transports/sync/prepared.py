"""Requests of a client as requests takes them, made without what it does to find out what is known here."""

import functools
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from llmnet.core.exchange import Exchange
from llmnet.net.proxy import Proxy

# As everybody writes them: the matchers of `responses` tell cases apart.
_PORTS = {"http": 80, "https": 443}
_CUSTOMARY = {name.lower(): name for name in ("Accept", "Authorization", "Content-Type", "User-Agent")}


class Origin(msgspec.Struct, frozen=True):
    """Whom an address belongs to."""

    scheme: str
    host: str
    port: int


class Place(msgspec.Struct, frozen=True):
    """Where an address leads.

    Attributes:
        url: the address, percent-encoded.
        target: what its server is asked for.
        origin: whom it belongs to.
    """

    url: str
    target: str
    origin: Origin


class Prepared(requests.PreparedRequest):
    """A request that serves an exchange.

    Libraries that answer in the adapter's place look at its headers; tracers that wrap `Session.send` add their own.

    Args:
        exchange: has the request.
        proxy: what it goes through.

    Attributes:
        place: where it goes.
        target: what the server, or a proxy that forwards, is asked for.
        proxy: the address of the proxy, with its credentials, or "".
    """

    _headers: Any = None

    def __init__(self, exchange: Exchange, proxy: Proxy | None) -> None:
        super().__init__()
        request = exchange.request
        self.exchange, self.place, self.proxy = exchange, place_of(request.url), proxy.full_url if proxy else ""
        self.method, self.url, self.body = request.method, self.place.url, request.body
        forwards = proxy is not None and not proxy.speaks_socks and self.place.origin.scheme == "http"
        self.target = self.url if forwards else self.place.target

    @property
    def headers(self) -> Any:
        """The headers as requests has them, made for whoever looks at them first, and perhaps changes them."""
        if self._headers is None:
            headers = {_CUSTOMARY.get(name, name): value for name, value in self._ours().items()}
            self._headers = requests.structures.CaseInsensitiveDict(headers)
        return self._headers

    @headers.setter
    def headers(self, headers: Any) -> None:
        self._headers = headers

    def finish(self) -> None:
        """Send the headers of the exchange, where nobody has looked at them: a dict is all that is needed."""
        if self._headers is None:
            self._headers = self._ours()

    def _ours(self) -> dict[str, str]:
        body, headers = self.body, self.exchange.request.headers
        return {**headers} if body is None else {**headers, "Content-Length": str(len(body))}


@functools.lru_cache(256)  # the calls of a client have few addresses
def place_of(url: str) -> Place:
    """Where an address leads.

    Raises:
        requests.RequestException: it is none.
    """
    request = requests.PreparedRequest()
    request.prepare_url(url, None)
    parts = urlsplit(str(request.url))
    origin = Origin(parts.scheme, str(parts.hostname), parts.port or _PORTS[parts.scheme])
    return Place(requests.utils.urldefragauth(str(request.url)), request.path_url, origin)
