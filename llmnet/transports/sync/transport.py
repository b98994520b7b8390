"""The sync transport: a `requests.Session` whose adapter carries the policy."""

import os
import ssl
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import requests

from llmnet.core.bounds import Bounds
from llmnet.core.errors import ConfigurationError
from llmnet.core.exchange import Exchange
from llmnet.core.forks import abandon, register_after_fork
from llmnet.core.outcome import AttemptError
from llmnet.net.proxy_route import Proxies, check_file
from llmnet.net.tls import ssl_context
from llmnet.transports.logs import hide_in_logs
from llmnet.transports.sync.pool import CallAdapter
from llmnet.transports.sync.prepared import Prepared
from llmnet.transports.sync.reply import FOREIGN, OpenReply, failure

T = TypeVar("T")
# Libraries that answer in the place of the session's adapter, or of the connections below it.
MOCKS = ("responses", "requests_mock", "vcr")


class _Session(requests.Session):
    """Follows no redirect, and keeps no cookie: a `Reply` shows it none."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:
        """Nothing follows."""
        return iter(())


class Lent:
    """A context as urllib3 sees it: what it sets is set on this, and connections are made by the context as it is.

    Equal ones lend the same context, for urllib3 looks for a pool by it.
    """

    # What urllib3 asks before it would warn of each request, and compare names itself: the context alone decides.
    verify_mode, check_hostname = ssl.CERT_REQUIRED, True

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lent) and other._context is self._context

    def __hash__(self) -> int:
        return hash(self._context)

    def set_alpn_protocols(self, protocols: list[str]) -> None:
        """Nothing: the context offers what it was made for, or what its owner has chosen."""

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """A socket in TLS."""
        return self._context.wrap_socket(*args, **kwargs)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """TLS within TLS."""
        return self._context.wrap_bio(*args, **kwargs)


class Transport:
    """Carries exchanges over pooled connections; made for all threads of a process.

    They share the adapter, which sees to itself, and a `requests.Session` of which nothing changes once it is made but
    its cookies, which have a lock.

    Args:
        proxy: an explicit proxy, or `None` for those that the environment names now.
        verify: what to trust (`ClientConfig.verify`).
        pool_size: idle connections kept for each host.
        http2: refused; requests has none.
        engine: of the async front; here there is but one.
    """

    def __init__(
        self,
        *,
        proxy: str | None,
        verify: bool | str | ssl.SSLContext,
        pool_size: int,
        http2: bool = False,
        engine: str = "auto",
    ) -> None:
        if http2:
            raise ConfigurationError("http2=True needs AsyncClient: requests speaks HTTP/1.1 only")
        self._proxies, self._verify = Proxies(proxy, os.environ), verify
        check_file(verify, "sync")
        self._adapter = CallAdapter(self._tls, pool_size)
        self._session = self._new_session()
        register_after_fork(self)

    def _new_session(self) -> requests.Session:
        session = _Session()
        # The environment is read by rules of our own; netrc would replace the key (psf/requests#3929).
        session.trust_env = False
        session.mount("https://", self._adapter)
        session.mount("http://", self._adapter)
        return session

    def after_fork(self) -> None:
        """Take a session whose locks are free, in a forked child; the adapter renews itself."""
        abandon(self._session)
        self._session = self._new_session()

    def _tls(self) -> Lent:
        return Lent(ssl_context(self._verify, os.environ, "sync"))

    def send(self, exchange: Exchange, bounds: Bounds) -> OpenReply:
        """Send a request, and give the reply once its head is there (`core.transport`)."""
        return OpenReply(exchange, self._carry(exchange, self._sent).raw)

    def _sent(self, request: Prepared) -> requests.Response:
        proxies = {"all": request.proxy} if request.proxy else {}
        return self._session.send(request, stream=True, allow_redirects=False, proxies=proxies)

    def warm(self, exchange: Exchange, bounds: Bounds) -> None:
        """Connect for a request to come (`core.transport`); beside libraries that answer in its place, do nothing."""
        if sys.modules.keys().isdisjoint(MOCKS):
            self._carry(exchange, self._adapter.warm)

    def _carry(self, exchange: Exchange, step: Callable[[Prepared], T]) -> T:
        try:
            proxy = self._proxies.of(exchange)
            hide_in_logs(exchange.secrets)
            return step(Prepared(exchange, proxy))
        except FOREIGN as error:
            raise AttemptError(failure(error, exchange)) from error
        except Exception:
            exchange.raise_if_stopped()  # connections that are closed under a stopped call may fail in any way
            raise

    def close(self) -> None:
        """Close all idle connections."""
        self._session.close()
