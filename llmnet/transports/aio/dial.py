"""How httpx's own transport connects: names are resolved by our threads, addresses are tried side by side."""

import contextlib
import os
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeAlias

import httpcore

from llmnet.net.dns import lookup
from llmnet.net.proxy import Proxy
from llmnet.net.sockets import TCP_OPTIONS
from llmnet.net.socks import Talk, ended, talk
from llmnet.net.tls import Use, check_protocol, ssl_context
from llmnet.transports.aio.race import first_of
from llmnet.transports.aio.tcp_stream import Keeping

Attempt: TypeAlias = Callable[[], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]


class Handshake(NamedTuple):
    """A TLS handshake that a connection is to make: by which context, and what for."""

    context: ssl.SSLContext
    use: Use


def handshakes_of(
    proxy: Proxy | None, verify: bool | str | ssl.SSLContext, *, secure: bool, http2: bool
) -> list[Handshake]:
    """The TLS handshakes on the way, the proxy's first."""
    uses: list[Use] = ["async"] if proxy is not None and proxy.scheme == "https" else []
    if secure:
        uses.append("async h2" if http2 else "async")
    return [Handshake(ssl_context(verify, os.environ, use), use) for use in uses]


class Dialler(httpcore.AsyncNetworkBackend):
    """A backend of httpcore around its own, which would resolve names in an executor that is joined at exit.

    Args:
        inner: httpcore's own.
        handshakes: what each connection will make of them, in this order.
    """

    def __init__(self, inner: httpcore.AsyncNetworkBackend, handshakes: Sequence[Handshake]) -> None:
        self._inner, self._handshakes = inner, handshakes

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host that answers.

        Raises:
            httpcore.ConnectError: none did, or the name has none.
        """
        addresses = await _resolved(host, port)
        kwargs["socket_options"] = TCP_OPTIONS  # of a proxy's connections httpcore forgets what it was told

        def attempt(address: str) -> Attempt:
            return lambda: self._inner.connect_tcp(address, port, *args, **kwargs)

        stream: Any = await first_of([attempt(address) for address in addresses], _close)
        stream._stream = Keeping(stream._stream)
        return Securing(stream, self._handshakes)  # type: ignore[return-value]

    async def sleep(self, seconds: float) -> None:
        """Pause; httpcore does so only between retries, of which it makes none."""
        await self._inner.sleep(seconds)


class Securing:
    """A stream of httpcore's that begins TLS by our contexts, not by the one on which httpcore sets protocols."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, handshakes: Sequence[Handshake]) -> None:
        self._inner, self._handshakes = inner, handshakes
        self.read, self.write, self.aclose = inner.read, inner.write, inner.aclose
        self.get_extra_info = inner.get_extra_info

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "Securing":
        """The same over TLS."""
        (context, use), *rest = self._handshakes
        inner = await self._inner.start_tls(context, server_hostname, timeout)
        try:
            check_protocol(inner.get_extra_info("ssl_object").selected_alpn_protocol(), use)
        except BaseException:
            await inner.aclose()
            raise
        return Securing(inner, rest)


class SocksDialler(Dialler):
    """The same through a SOCKS5 proxy: httpcore's own way forgets sockets, and takes an answer in pieces for none."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend, handshakes: Sequence[Handshake], proxy: Proxy) -> None:
        super().__init__(inner, handshakes)
        self._proxy = proxy

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        """Have the proxy connect to a host.

        Raises:
            httpcore.ConnectError: the host's name has no address.
            httpcore.ProxyError: the proxy cannot be reached, or makes no connection.
        """
        proxy = self._proxy
        host = host if proxy.scheme == "socks5h" else (await _resolved(host, port))[0]
        try:
            stream = await super().connect_tcp(proxy.host, proxy.port, *args, **kwargs)
        except httpcore.ConnectError as error:
            raise httpcore.ProxyError(f"Cannot connect to proxy: {error}") from error
        try:
            await _say(stream, talk(proxy, host.strip("[]"), port))
        except BaseException as error:
            await stream.aclose()
            if isinstance(error, OSError | httpcore.NetworkError):
                raise httpcore.ProxyError(f"the proxy made no connection: {error}") from error
            raise
        return stream


async def _say(stream: httpcore.AsyncNetworkStream, what: Talk) -> None:
    """Speak with a SOCKS proxy."""
    heard: Any = None
    with contextlib.suppress(StopIteration):
        while True:
            said, size = what.send(heard)
            await stream.write(said)
            heard = b""
            while len(heard) < size:
                heard += await stream.read(size - len(heard)) or ended()


async def _resolved(host: str, port: int) -> list[str]:
    """The addresses of a host.

    Raises:
        httpcore.ConnectError: it has none.
    """
    try:
        found = await lookup(host, port).awaited()
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    return [address[0] for *_, address in found]


async def _close(stream: httpcore.AsyncNetworkStream) -> None:
    await stream.aclose()
