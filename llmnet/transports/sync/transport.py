"""The sync transport: a `requests.Session` whose adapter carries the policy."""

import os
import ssl
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import requests

from llmnet.core.bounds import Bounds
from llmnet.core.errors import ConfigurationError
from llmnet.core.exchange import Exchange
from llmnet.core.forks import abandon, register_after_fork
from llmnet.core.outcome import AttemptError
from llmnet.net.proxy_route import Proxies, check_file
from llmnet.net.tls import ssl_context
from llmnet.transports.logs import hide_in_logs
from llmnet.transports.sync.lending import Lent
from llmnet.transports.sync.pool import PoolAdapter
from llmnet.transports.sync.prepared import Origin, Prepared
from llmnet.transports.sync.reply import FOREIGN, OpenReply, Response, failure

# Libraries that answer in the place of the adapter, or of the connections below it.
MOCKS = ("responses", "requests_mock", "vcr")


class _Session(requests.Session):
    """Follows no redirect, and keeps no cookie: a `Reply` shows it none."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:
        """Nothing follows."""
        return iter(())


class CallAdapter(PoolAdapter):
    """The adapter of a client: one TLS context for all connections, made for the first that needs it."""

    def __init__(self, verify: bool | str | ssl.SSLContext, pool_size: int) -> None:
        self._verify = verify
        super().__init__(pool_size)

    def _tls(self) -> Lent:
        return Lent(ssl_context(self._verify, os.environ, "sync"))

    def send(
        self, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send on behalf of the exchange of the request."""
        return self.serve(request.exchange, request, stream, *args, **kwargs)

    def _made(self, proxy: str, **kwargs: Any) -> Any:
        """TLS with a proxy, too, is as the client was told."""
        if proxy.startswith("https:"):
            kwargs["ssl_context"] = kwargs["proxy_ssl_context"] = self._tls()
        return super()._made(proxy, **kwargs)

    def warm(self, request: Any) -> None:
        """Add an idle connection for such a request."""
        is_secure = request.place.origin.scheme == "https"
        self.get_connection_with_tls_context(request).warm(request.exchange, secure=is_secure)

    def close(self) -> None:
        """Close all idle connections now, and others when they come back."""
        self.closed = True
        super().close()

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Make a response of what has come."""
        return Response(req, resp)

    def add_headers(self, request: Any, **_: Any) -> None:
        """Those of the exchange; it is the last moment to add to them."""
        request.finish()

    def request_url(self, request: Any, proxies: Any) -> str:
        """What is asked for."""
        return str(request.target)

    def cert_verify(self, *_: Any) -> None:
        """Nothing: requests would add the roots of certifi to a caller's private context."""

    def get_connection_with_tls_context(self, request: Any, *_: Any, **__: Any) -> Any:
        """The pool of a request; our context stands in for requests' own settings."""
        manager = self.proxy_manager_for(request.proxy) if request.proxy else self.poolmanager
        origin: Origin = request.place.origin
        if origin.scheme == "http" and manager.proxy is not None:  # which is sent to the proxy
            origin = Origin(manager.proxy.scheme, manager.proxy.host, manager.proxy.port)
        tls = self._tls() if origin.scheme == "https" else None
        return manager.connection_from_pool_key(
            (origin, tls), {**manager.connection_pool_kw, **msgspec.structs.asdict(origin), "ssl_context": tls}
        )


class Transport:
    """Carries exchanges over pooled connections, for all threads of a process.

    They share the adapter, which sees to itself, and a session of which only the cookies change, which have a lock.

    Args:
        proxy: the proxy, or `None` for those that the environment names now.
        verify: what to trust (`ClientConfig.verify`).
        pool_size: idle connections kept for each host.
        http2: refused; requests has none.
        engine: of the async front.
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
        self._proxies = Proxies(proxy, os.environ)
        check_file(verify, "sync")
        self._adapter = CallAdapter(verify, pool_size)
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

    def send(self, exchange: Exchange, bounds: Bounds) -> OpenReply:
        """Send a request, and give the reply once its head is there (`core.transport`)."""
        return OpenReply(exchange, self._carry(exchange, self._sent).raw)

    def _sent(self, request: Prepared) -> requests.Response:
        proxies = {"all": request.proxy} if request.proxy else {}
        return self._session.send(request, stream=True, allow_redirects=False, proxies=proxies)

    def warm(self, exchange: Exchange, bounds: Bounds) -> None:
        """Connect for a request to come (`core.transport`), unless a library answers in its place."""
        if sys.modules.keys().isdisjoint(MOCKS):
            self._carry(exchange, self._adapter.warm)

    def _carry(self, exchange: Exchange, step: Callable[[Prepared], Any]) -> Any:
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
