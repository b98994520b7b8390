"""Finds the proxy of each call; checks what a client is told of proxy and CA file when it is made."""

import functools
import ssl
from collections.abc import Mapping

from llmnet.core.credentials import in_proxy
from llmnet.core.errors import ConfigurationError
from llmnet.core.exchange import Exchange
from llmnet.core.hosts import is_here
from llmnet.net.proxy import Proxy, proxy_for, proxy_variables
from llmnet.net.tls import Use, ssl_context

# So many addresses have their proxy remembered.
_REMEMBERED = 64


class Proxies:
    """The proxies of a client: the one that it was given, or those that the environment names when it is made.

    Threads share it without a lock: nothing of it changes but what `functools` remembers, which sees to itself.

    Args:
        explicit: the caller's proxy, whatever the environment says; blank for none at all.
        environ: the environment, of which a wrong variable is an error only for the calls that need it.

    Raises:
        ConfigurationError: the caller's proxy cannot be used.
    """

    def __init__(self, explicit: str | None, environ: Mapping[str, str]) -> None:
        self._explicit = proxy_on_way("https://any", explicit, {})
        self._named = proxy_variables(environ) if explicit is None else {}
        find = functools.partial(proxy_on_way, explicit=None, environ=self._named)
        self._found = functools.lru_cache(_REMEMBERED)(find)

    def of(self, exchange: Exchange) -> Proxy | None:
        """The proxy that an attempt goes through, which is told of it and of the secrets that the proxy asks for.

        Raises:
            ConfigurationError: the environment names one that cannot be used.
        """
        proxy = self._for(exchange.request.url)
        if proxy is not None:
            exchange.routed(proxy.url, in_proxy(proxy.full_url))
        return proxy

    def _for(self, url: str) -> Proxy | None:
        """The proxy of an address; none of the environment's for a server of this process, however late it starts."""
        if not self._named:
            return self._explicit
        return None if is_here(url) else self._found(url)


def check_file(verify: bool | str | ssl.SSLContext, use: Use) -> None:
    """Check an explicit CA file; a wrong variable is an error only for the calls that need it.

    Raises:
        ConfigurationError: it is missing or holds no certificate.
    """
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


def need(module: str, asked: str, extra: str) -> None:
    """Check that the package of an extra is installed.

    Raises:
        ConfigurationError: it is not; the message names what to install.
    """
    import importlib.util  # noqa: PLC0415 - few clients have a proxy or speak HTTP/2

    if importlib.util.find_spec(module) is None:
        raise ConfigurationError(f"{asked} needs a package that is not installed: pip install 'llmnet[{extra}]'")
