"""The policy mounted on a `requests.Session`: a `urllib3.Retry` that asks the call, and pools in which attempts begin.

urllib3 re-enters the pool's `urlopen` for every attempt. That is where the call waits for its turn, when the failed
connection is given back and nothing is held, and where headers and key of the new attempt are taken.
"""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import RequestHistory

from llmnet.core.call import Call
from llmnet.core.http import Headers
from llmnet.core.outcome import Outcome
from llmnet.transports.faults import outcome_of
from llmnet.transports.forks import abandon, renewed_after_fork
from llmnet.transports.sync_socket import PlainConnection, SecureConnection

# What a library or the socket below it may raise; anything else is not ours to judge and passes at once.
FOREIGN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_SECONDS = 2.0
# urlopen calls itself for each attempt; before the stack gets deep the call is taken up again from below.
_DEPTH = 20

Enter = Callable[[Call], None]


class Resend(Exception):  # noqa: N818 - a word between two functions of this room
    """The attempt is to be repeated, from a shallow stack."""


class PolicyRetry(urllib3.Retry):
    """Asks the call what to do; it counts nothing and waits for nothing itself."""

    def __init__(self, call: Call, history: tuple[RequestHistory, ...] = ()) -> None:
        super().__init__(
            total=None, redirect=0, raise_on_status=False, respect_retry_after_header=False, history=history
        )
        self.call = call

    def new(self, **kwargs: Any) -> Self:
        """The same call with a longer history."""
        return type(self)(self.call, kwargs.get("history", self.history))

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """All that is no success is put to the call."""
        return not 200 <= status_code < 300

    def increment(
        self, method: Any = None, url: Any = None, response: Any = None, error: Any = None, *_: Any, **__: Any
    ) -> Self:
        """Put a failed attempt to the call: a new `Retry` where it is repeated, else the final error is raised."""
        outcome = outcome_of(error, self.call, proxied=is_proxied(error)) if error else refusal(self.call, response)
        self.call.judge(outcome)
        return self.after(method, url, response)

    def after(self, method: Any, url: Any, response: Any) -> Self:
        """The `Retry` of the attempt that follows a failed one."""
        # A key's function is asked from below, too: what it raises must not pass through libraries that would judge it.
        if len(self.history) >= _DEPTH or callable(self.call.key_source):
            if response is not None:
                response.close()
            raise Resend
        status = None if response is None else response.status
        # The error is left out: its frames would keep the pool alive for as long as the response.
        return self.new(history=(*self.history, RequestHistory(method, url, None, status, None)))

    def is_exhausted(self) -> bool:
        """The call says when to stop."""
        return False

    def sleep(self, response: Any = None) -> None:
        """Not here, where the failed connection is still held: the next `urlopen` waits."""


def refusal(call: Call, response: urllib3.BaseHTTPResponse) -> Outcome:
    """The outcome of an error reply; as much of its body as is worth reading is read."""
    exchange = call.exchange or call.begin(call.key)
    call.opened(response.status, Headers(response.headers.items()))
    return Outcome(exchange.fail(error_body(call, response)))


def error_body(call: Call, response: urllib3.BaseHTTPResponse) -> bytes:
    """An error body, bounded in bytes and time; read to its end, its connection serves again."""
    call.last(ERROR_BODY_SECONDS)
    body = b""
    try:
        while len(body) < ERROR_BODY_BYTES:
            piece = response.read1(ERROR_BODY_BYTES - len(body), decode_content=False)
            if not piece:
                return body
            body += piece
    except FOREIGN:
        pass
    response.close()
    return body


def is_proxied(error: BaseException) -> bool:
    """Whether urllib3 or requests lays a failure at the proxy's door."""
    return isinstance(
        error, urllib3.exceptions.ProxyError | requests.exceptions.ProxyError
    ) or "Tunnel connection failed" in str(error)


# urllib3 adds these where they are missing, though the caller may have removed them.
_NONE_OF_THEIRS = dict.fromkeys(("user-agent", "accept-encoding"), urllib3.util.SKIP_HEADER)


class Attempts:
    """What both kinds of pool add to urllib3's: each request goes through its call's turn, headers and bounds."""

    enter: Enter
    here: threading.local

    def urlopen(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        retries: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Begin an attempt and send it."""
        call: Call = retries.call
        if call.exchange is None:
            self.enter(call)
        ours = {**_NONE_OF_THEIRS, **call.under_way.request.headers}
        return super().urlopen(method, url, body, ours, retries, *args, **kwargs)  # type: ignore[misc]

    def _get_conn(self, timeout: float | None = None) -> Any:
        """Lend a connection to the call in hand; it must know whose it is before a proxy is told where to connect."""
        conn = super()._get_conn(timeout)  # type: ignore[misc]
        call = conn.call = self.here.call
        if call.wants_fresh:
            conn.close()
        call.reused = conn.served and conn.sock is not None
        return conn

    def _put_conn(self, conn: Any) -> None:
        """Take a connection back from its call."""
        if conn is not None:
            conn.rest()
        super()._put_conn(conn)  # type: ignore[misc]


class PlainPool(Attempts, urllib3.HTTPConnectionPool):  # type: ignore[misc]
    """Plain connections to one host."""

    ConnectionCls = PlainConnection


class SecurePool(Attempts, urllib3.HTTPSConnectionPool):  # type: ignore[misc]
    """TLS connections to one host."""

    ConnectionCls = SecureConnection


class PoolAdapter(HTTPAdapter):
    """Sends on behalf of the call that the thread carries, through pools in which attempts begin."""

    def __init__(self, enter: Enter, pool_size: int, retry: Callable[[Call], urllib3.Retry] = PolicyRetry) -> None:
        self._here = threading.local()
        self._retry = retry
        ours = {"enter": staticmethod(enter), "here": self._here}
        self._pools = {
            "http": type("PlainPool", (PlainPool,), ours),
            "https": type("SecurePool", (SecurePool,), ours),
        }
        self._pool_size = pool_size
        super().__init__(pool_maxsize=pool_size)
        renewed_after_fork(self)

    def renew(self) -> None:
        """Begin with no connection, in a forked child."""
        abandon((self.poolmanager, self.proxy_manager))
        super().__init__(pool_maxsize=self._pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Pools of ours."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Pools of ours behind a proxy, too."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager

    def close(self) -> None:
        """Close all idle connections now; urllib3 leaves it to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - no mapping: it refuses to be iterated
                manager.pools[key].close()
        super().close()

    @contextlib.contextmanager
    def carrying(self, call: Call) -> Iterator[None]:
        """Have this thread's sends serve a call; a send within a send, as mocks make them, gives it back."""
        before, self._here.call = getattr(self._here, "call", None), call
        try:
            yield
        finally:
            self._here.call = before

    @property
    def max_retries(self) -> Any:
        """A fresh `Retry` for the call in hand; requests reads this once for every send."""
        call = getattr(self._here, "call", None)
        return urllib3.Retry(0, read=False) if call is None else self._retry(call)

    @max_retries.setter
    def max_retries(self, value: object) -> None:
        """HTTPAdapter sets its default here; the policy stands."""


class CallAdapter(PoolAdapter):
    """The adapter of a client: one TLS context for all connections, made when the first of them needs it."""

    def __init__(self, enter: Enter, tls: Callable[[], Any], pool_size: int) -> None:
        self._tls = tls
        super().__init__(enter, pool_size)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Send on behalf of the call that the request belongs to."""
        with self.carrying(request.call):
            return super().send(request, *args, **kwargs)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: requests would add the roots of certifi to a caller's private context."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Say which pool a request belongs to; our context stands in for requests' own settings."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        pool.pop("ca_certs", None)
        pool.pop("ca_cert_dir", None)
        return host, {**pool, "ssl_context": self._tls()} if host["scheme"] == "https" else pool
