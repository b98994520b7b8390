"""Requests of the sync front: as requests takes them, without what it does to find out what is known here; and written.

They go out in the pieces that the body comes in, each in one send where it can be.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests
from urllib3.util.request import body_to_chunks

from llmnet.core.exchange import Exchange
from llmnet.net.proxy import Proxy
from llmnet.net.sockets import AT_ONCE
from llmnet.transports.request_head import Fields, Lines, authority, request_head

# As everybody writes them: the matchers of `responses` tell cases apart.
_PORTS = {"http": 80, "https": 443}
_CUSTOMARY = {name.lower(): name for name in ("Accept", "Authorization", "Content-Type", "User-Agent")}
_PIECE = 16384  # bytes that a file is read in


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


def fields_of(headers: Mapping[str, str | bytes]) -> Fields:
    """Headers as they go out.

    Raises:
        ValueError: HTTP cannot carry one of them.
    """
    return [
        (name.encode("latin-1"), value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in headers.items()
    ]


def written(
    method: str, target: str, host: str, headers: Mapping[str, str], body: Any, lines: Lines, *, chunked: bool
) -> Iterator[bytes]:
    """A request in the pieces that its body comes in; the head goes with the first of them, unless that is large.

    Raises:
        ValueError: HTTP cannot carry it, or the body is not as long as its `Content-Length`.
    """
    framed = body_to_chunks(body, method, _PIECE)
    headers = _completed(headers, host, framed.content_length, chunked=chunked or framed.chunks is not None)
    head = request_head(method.encode("ascii"), target.encode("ascii"), fields_of(headers), lines)
    size, held = 0, head.data
    for chunk in filter(None, framed.chunks or ()):
        piece = chunk.encode() if isinstance(chunk, str) else bytes(memoryview(chunk))  # no number is so many zeros
        size += len(piece)
        head.check(size, is_over=False)
        if held and len(piece) > AT_ONCE:
            yield held
            held = b""
        yield held + head.framed(piece)
        held = b""
    head.check(size, is_over=True)
    if held or head.end:
        yield held + head.end


def host_of(connection: Any, url: str) -> str:
    """What the `Host` header says; of a proxy that forwards, a whole address is requested."""
    if not url.startswith("/"):
        return urlsplit(url).netloc
    tunnel = connection._tunnel_host
    host, port = (tunnel, connection._tunnel_port) if tunnel else (connection.host, connection.port)
    return authority(host, None if port == connection.default_port else port)


def _completed(headers: Mapping[str, str], host: str, length: int | None, *, chunked: bool) -> Mapping[str, str]:
    """Headers that say where a request goes and how its body ends, if it has one."""
    given = {name.lower() for name in headers}
    if length is None and "content-length" in given:  # requests adds chunks to the length of pieces that a caller gave
        headers = {name: value for name, value in headers.items() if name.lower() != "transfer-encoding"}
    ours = {} if "host" in given else {"Host": host}
    if not given & {"content-length", "transfer-encoding"} and (length is not None or chunked):
        ours |= {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    return {**ours, **headers}
