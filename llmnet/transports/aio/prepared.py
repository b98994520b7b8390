"""The requests of our own clients: what many have in common is made once, and their headers if somebody looks at them.

Only what is patched into httpx does look, as a tracer that adds a header; it finds, and may change, what goes out: the
headers, the address and the method.
"""

import functools
from typing import Any

import httpx
import msgspec

from llmnet.transports.request_head import Head

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
