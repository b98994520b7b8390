"""Finds the proxy that a URL goes through, for both fronts, by the `proxy` argument and the environment alone.

The rules are those that curl and requests share. A lower-case variable wins over its upper-case twin even when it is
empty, which is how a user switches the twin off. A variable that names no proxy is an error only for the requests
that would have gone through it.
"""

import functools
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

import msgspec

from llmnet.core.errors import ConfigurationError
from llmnet.core.hosts import is_address

# Statuses of a proxy that cannot reach the server now; any other refusal would be repeated.
_PASSING = (502, 503, 504)
# The schemes of proxies, each with its default port.
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
# A lone surrogate is a byte of the environment that is no UTF-8: no header could carry it.
_AUTHORITY = (
    r"(?:(?P<user>[^/?#\ud800-\udfff]*)@)?"
    r"(?P<host>\[[^\[\]/?#@\ud800-\udfff]+\]|[^\[\]:/?#@\\\s\x00-\x20\x7f\ud800-\udfff]+)"
    r"(?::(?P<port>[0-9]{0,5}))?/?"
)
_NO_PROXY_ENTRY = r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?"

_FIX = "write it like http://user:password@host:3128, special characters of user and password percent-encoded"


class Proxy(msgspec.Struct, frozen=True):
    """A proxy, and where it was found; its repr shows no credentials.

    Attributes:
        url: its address without credentials, port included.
        scheme: its protocol; `socks5h` resolves names itself.
        host: its host, an IPv6 address without brackets.
        source: `"argument"`, or the name of the variable that it was read from.
    """

    url: str
    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    source: str = "argument"

    def __repr__(self) -> str:
        return f"Proxy(url={self.url!r}, source={self.source!r})"

    @property
    def speaks_socks(self) -> bool:
        """Whether its protocol is SOCKS."""
        return self.scheme.startswith("socks")

    @property
    def full_url(self) -> str:
        """Its address with the credentials, percent-encoded; a secret."""
        if self.username is None:
            return self.url
        # Without the colon requests would read no credentials at all.
        credentials = f"{quote(self.username, safe='')}:{quote(self.password or '', safe='')}"
        return self.url.replace("://", f"://{credentials}@", 1)


class ProxyRefusedError(OSError):
    """A proxy makes no connection.

    Attributes:
        retryable: whether it may make one later.
    """

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


def check_tunnel(status: int | None, reason: bytes, *, exceeded: bool) -> None:
    """Check the answer to CONNECT, and whether more has come with it: no server speaks before its client in TLS.

    Raises:
        ProxyRefusedError: there is no tunnel, or it begins with what is not the server's.
    """
    if status is None or not 200 <= status < 300:
        said = f"{status} {reason.decode('latin-1')}".rstrip()
        raise ProxyRefusedError(f"it answered {said}", retryable=status in _PASSING)
    if exceeded:
        raise ProxyRefusedError("bytes that no server can have sent came with its answer to CONNECT", retryable=False)


def proxy_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What an environment says of proxies now; blank variables too, and what says that it is a CGI server's."""
    return {
        name: value
        for name in list(environ)  # another thread may take one away meanwhile
        if (name.lower().endswith("_proxy") or name == "REQUEST_METHOD") and (value := environ.get(name)) is not None
    }


def proxy_for(url: str, *, explicit: str | None, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that a URL goes through; an *explicit* one wins over environment and `NO_PROXY`, a blank one is none.

    Raises:
        ConfigurationError: the proxy that the URL needs cannot be used; the message names its source, not its value.
    """
    if explicit is not None:
        return _parsed(explicit, "argument") if explicit.strip() else None
    source, value = _variable(url.partition(":")[0].lower(), environ)
    _, exempt = _read("no_proxy", environ)
    if not value or (exempt and _listed(exempt.lower(), *_target(url))):
        return None
    return _parsed(value, source)


def _variable(scheme: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Name and value of the variable that names the proxy of a scheme; blank where none does."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        source, value = _read(name, environ)
        # A CGI server may have made it from a request's `Proxy:` header (httpoxy). The names are compared as they are
        # listed: looked up, `http_proxy` finds `HTTP_PROXY` on Windows.
        forgeable = name == "http_proxy" and "REQUEST_METHOD" in environ and name not in set(environ)
        if value and not forgeable:
            return source, value
    return "", ""


def _read(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """A variable by its lower-case name, or else by its upper-case one."""
    source = name if name in environ else name.upper()
    return source, environ.get(source, "").strip()


@functools.lru_cache(maxsize=256)  # `create_async_client` asks for every request, and networks are slow
def _listed(entries: str, host: str, port: int | None) -> bool:
    return any(_covers(entry, host, port) for entry in re.split(r"[\s,]+", entries) if entry)


def _target(url: str) -> tuple[str, int | None]:
    """Host and port of a URL."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        raise ConfigurationError("the address to request has no valid host and port") from None


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether one entry of `NO_PROXY` covers a host: a name covers all below it, an address is a network of one."""
    parts = re.fullmatch(_NO_PROXY_ENTRY, entry)
    name = (parts["v6"] or parts["name"]) if parts else entry  # an IPv6 address or network without brackets
    if parts and parts["port"] and int(parts["port"]) != port:
        return False
    if name == "*":
        return True
    if is_address(host):
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
    suffix = name.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(suffix) and f".{host}".endswith(f".{suffix}")


def _parsed(text: str, source: str) -> Proxy:
    """Read a proxy's address; a bare `host:port` speaks HTTP."""
    named, separator, rest = text.strip().partition("://")
    if not separator or not re.fullmatch(_SCHEME, named):
        named, rest = "http", text.strip()
    scheme, parts = named.lower(), re.fullmatch(_AUTHORITY, rest)
    if scheme not in _PORTS:
        raise _unusable(source, f"its scheme is none of {', '.join(_PORTS)}")
    if parts is None:
        raise _unusable(source, "it is no host and port")
    host, port = parts["host"].lower(), int(parts["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise _unusable(source, "its port is not between 1 and 65535")
    if host.startswith("[") and not (":" in host and is_address(host[1:-1])):
        raise _unusable(source, "there is no IPv6 address in its brackets")
    user, colon, password = (parts["user"] or "").partition(":")
    return Proxy(
        f"{scheme}://{host}:{port}",
        scheme,
        host.strip("[]"),
        port,
        username=unquote(user) if parts["user"] else None,
        password=unquote(password) if colon else None,
        source=source,
    )


def _unusable(source: str, why: str) -> ConfigurationError:
    """The error of an address that cannot be used; it shows none of it, for any part may be the password."""
    if source == "argument":
        return ConfigurationError(f"proxy cannot be used: {why}; {_FIX}")
    fix = f"{_FIX}, or unset {source}, or list the host in NO_PROXY"
    return ConfigurationError(f"the proxy in the environment variable {source} cannot be used: {why}; {fix}")
