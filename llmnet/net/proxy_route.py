"""Checks proxy and CA file of a client when it is made, and finds the proxy of each call."""

import importlib.util
import ssl
from collections.abc import Mapping

from llmnet.core.credentials import in_proxy
from llmnet.core.errors import ConfigurationError
from llmnet.core.exchange import Exchange
from llmnet.core.local_servers import is_here
from llmnet.net.proxy import Proxy, proxy_for
from llmnet.net.tls import Use, ssl_context


def check_route(proxy: str | None, verify: bool | str | ssl.SSLContext, use: Use) -> None:
    """Check an explicit proxy and an explicit CA file; a wrong variable is an error only for the calls that need it.

    Raises:
        ConfigurationError: the proxy is no address, or the file holds no certificate.
    """
    proxy_on_way("https://any", proxy, {})
    if isinstance(verify, str):
        ssl_context(verify, {}, use)


def proxy_on_way(url: str, explicit: str | None, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that a URL goes through, which can be spoken to.

    Raises:
        ConfigurationError: it cannot be used, or a package for it is missing; the message names its source.
    """
    proxy = proxy_for(url, explicit=explicit, environ=environ)
    if proxy is not None and proxy.speaks_socks:
        source = "proxy" if proxy.source == "argument" else f"the environment variable {proxy.source}"
        need("socksio", f"the SOCKS proxy in {source}", "socks")
    return proxy


def proxy_route(exchange: Exchange, explicit: str | None, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that an attempt goes through, which is told of it and of the secrets that the proxy asks for.

    That of the environment, which may have been named since the client was made, is not for servers of this process.

    Raises:
        ConfigurationError: as `proxy_on_way` does.
    """
    url = exchange.request.url
    proxy = proxy_on_way(url, explicit, {} if is_here(url) else environ)
    if proxy is not None:
        exchange.routed(proxy.url, in_proxy(proxy.full_url))
    return proxy


def need(module: str, asked: str, extra: str) -> None:
    """Check that the package of an extra is installed.

    Raises:
        ConfigurationError: it is not; the message names what to install.
    """
    if importlib.util.find_spec(module) is None:
        raise ConfigurationError(f"{asked} needs a package that is not installed: pip install 'llmnet[{extra}]'")
