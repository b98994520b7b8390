"""What a client is told of the way to its host is checked when it is told, not when a call first goes that way."""

import importlib.util
import ssl

from llmnet.core.errors import ConfigurationError
from llmnet.transports.proxies import proxy_for
from llmnet.transports.tls import ssl_context


def check_way(proxy: str | None, verify: bool | str | ssl.SSLContext) -> None:
    """Check an explicit proxy and an explicit CA file; what the environment says harms only the calls that need it.

    Raises:
        ConfigurationError: the proxy is no address, or the file holds no certificate.
    """
    proxy_for("https://any", explicit=proxy, environ={})
    if isinstance(verify, str):
        ssl_context(verify, {})


def need(module: str, asked: str, extra: str) -> None:
    """Check that the package behind an extra is there.

    Raises:
        ConfigurationError: it is not; the message says what to install.
    """
    if importlib.util.find_spec(module) is None:
        raise ConfigurationError(f"{asked} needs a package that is not installed: pip install 'llmnet[{extra}]'")
