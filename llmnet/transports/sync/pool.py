"""The adapter of a `requests.Session`: each send is on behalf of an exchange, over pools of ours."""

import threading
import time
from typing import Any, Self

import requests
import urllib3
from requests.adapters import HTTPAdapter

from llmnet.core.errors import ConfigurationError
from llmnet.core.exchange import Exchange
from llmnet.core.forks import abandon, register_after_fork
from llmnet.net.proxy import Proxy
from llmnet.net.proxy_route import proxy_on_way
from llmnet.net.sockets import HOSTS, PATIENCE, WAYS
from llmnet.transports.sync.lending import Idle, PlainPool, SecurePool, tidy
from llmnet.transports.sync.reply import Here, PolicyRetry

_NO_RETRY = urllib3.Retry(0, read=False)


class _Unbounded(urllib3.Timeout):
    """No timeout of urllib3's: the bounds are those of the exchange."""

    def clone(self) -> Self:
        """The same: nothing is measured here."""
        return self

    def start_connect(self) -> float:
        """Nothing."""
        return 0.0


_UNBOUNDED: Any = _Unbounded()


class PoolAdapter(HTTPAdapter):
    """Sends on behalf of the exchange that the thread carries.

    Threads share it: `_making` guards `proxy_manager`, into which only what is finished is put, so that it is read
    without; urllib3's managers and pools have locks of their own; `_here` is each thread's own.
    """

    closed = False

    def __init__(self, pool_size: int, retry: type[PolicyRetry] = PolicyRetry) -> None:
        self._here = Here()
        self._retry = retry(self._here)
        self._pool_size, self._tidy_at = pool_size, 0.0
        self._set_up()
        register_after_fork(self)

    def _set_up(self) -> None:
        self._making = threading.RLock()
        # urllib3 fills each queue with as many empty places as it is told of here; how many are kept the queue knows.
        super().__init__(pool_connections=HOSTS, pool_maxsize=1)

    def after_fork(self) -> None:
        """Begin with no connection, in a forked child."""
        abandon((self.poolmanager, self.proxy_manager))
        self._set_up()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Pools of ours."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._classes()

    def _classes(self, through: Proxy | None = None) -> dict[str, Any]:
        """The kinds of pool, by the scheme of what is requested."""
        kept, closed = self._pool_size, staticmethod(lambda: self.closed)
        ours: dict[str, Any] = {"here": self._here, "through": through, "closed": closed}
        ours["QueueCls"] = staticmethod(lambda _: Idle(kept))
        return {
            "http": type("PlainPool", (PlainPool,), ours),
            "https": type("SecurePool", (SecurePool,), ours),
        }

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Pools of ours behind a proxy, too; what urllib3 has for SOCKS would wait beyond our bounds."""
        found = self.proxy_manager.get(proxy)
        if found is None:
            with self._making:
                found = self.proxy_manager.get(proxy) or self._made(proxy, **kwargs)
                self.proxy_manager[proxy] = found
                for old in [*self.proxy_manager][:-WAYS]:
                    del self.proxy_manager[old]
        return found

    def _made(self, proxy: str, **kwargs: Any) -> Any:
        """A manager of pools behind a proxy; requests' own would be seen by other threads before its pools are ours."""
        through = _socks_proxy(proxy)
        if through is not None:
            manager = urllib3.PoolManager(HOSTS, maxsize=1, **kwargs)
        else:
            headers = self.proxy_headers(proxy)
            manager = urllib3.proxy_from_url(proxy, proxy_headers=headers, num_pools=HOSTS, maxsize=1, **kwargs)
        manager.pool_classes_by_scheme = self._classes(through)
        return manager

    def _tidy(self) -> None:
        """Once in a while close what has been idle for too long, and forget where nobody goes any more."""
        now = time.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + PATIENCE
        for manager in self._managers():
            tidy(manager.pools)

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """The credentials of a proxy, in UTF-8 as the other front has them; requests would take Latin-1."""
        user, password = (part.encode() for part in requests.utils.get_auth_from_url(proxy))
        return {"Proxy-Authorization": requests.auth._basic_auth_str(user, password)} if user else {}

    def close(self) -> None:
        """Close all idle connections now; urllib3 leaves it to the garbage collector."""
        for manager in self._managers():
            for key in manager.pools.keys():  # noqa: SIM118 - no mapping: it refuses to be iterated
                if (pool := manager.pools.get(key)) is not None:  # another thread may have put a newer one in its place
                    pool.close()
            manager.clear()

    def _managers(self) -> list[Any]:
        with self._making:
            return [self.poolmanager, *self.proxy_manager.values()]

    def serve(self, exchange: Exchange, request: Any, stream: bool, *args: Any, **kwargs: Any) -> requests.Response:
        """Send on behalf of an exchange; a send within a send, as mocks make them, gives the thread back."""
        self._tidy()
        here = self._here
        before, here.exchange = here.exchange, exchange
        try:
            return super().send(request, stream, _UNBOUNDED, *args, **kwargs)
        finally:
            here.exchange = before

    @property
    def max_retries(self) -> Any:
        """What urllib3 asks about a failure; requests reads this once for every send."""
        return _NO_RETRY if self._here.exchange is None else self._retry

    @max_retries.setter
    def max_retries(self, value: object) -> None:
        """HTTPAdapter sets its default here; the policy stands."""


def _socks_proxy(address: str) -> Proxy | None:
    """The proxy of an address, if it speaks SOCKS."""
    if not address.lower().startswith("socks"):
        return None
    try:
        return proxy_on_way("https://any", address, {})
    except ConfigurationError as error:
        raise requests.exceptions.InvalidProxyURL(error.message) from None
