"""What the sync front lends: the connections of a host to exchanges, the last to come first; a TLS context to urllib3.

urllib3's own queue is filled with as many empty places as it may keep connections, and has a lock, which a finalizer or
a signal handler may meet on the very thread that holds it.
"""

import contextlib
import queue
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, ProxyError

from llmnet.core.exchange import Exchange
from llmnet.net.proxy import Proxy
from llmnet.net.sockets import MAX_AGE, PATIENCE
from llmnet.transports.sync.connection import PlainConnection, SecureConnection
from llmnet.transports.sync.reply import Here

# What urllib3 blames a proxy for that was not connected to yet.
WIRE = (HTTPError, OSError)


class Lent:
    """A context as urllib3 sees it, which looks for a pool by it; what urllib3 sets is set on this alone."""

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


class Idle:
    """A queue for a pool of urllib3's that takes and gives at once, and does not fill up with what it is filled with.

    Threads share it: `_idle` is a deque, whose `append`, `pop` and `popleft` are one step of the interpreter each.

    Args:
        kept: how many connections are kept at most.
    """

    clock = staticmethod(time.monotonic)

    def __init__(self, kept: int) -> None:
        self._kept, self._idle = kept, deque[tuple[float, Any]]()
        self._used_at = self.clock()

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """Take out the last connection to come; nobody waits here for one.

        Raises:
            queue.Empty: there is none.
        """
        self._used_at = self.clock()
        try:
            return self._idle.pop()[1]
        except IndexError:
            raise queue.Empty from None

    def put(self, conn: Any, block: bool = False) -> None:
        """Keep a connection; an empty place, as urllib3 puts in first, needs no keeping.

        Raises:
            queue.Full: so many are not kept.
        """
        self._used_at = self.clock()
        if conn is None:
            return
        if len(self._idle) >= self._kept:
            raise queue.Full
        self._idle.append((self._used_at, conn))
        self.tidy()

    def qsize(self) -> int:
        """How many there are."""
        return len(self._idle)

    def tidy(self) -> None:
        """Close what has been idle for too long."""
        old = self.clock() - PATIENCE
        with contextlib.suppress(IndexError):  # another thread has taken the last one
            while self._idle[0][0] <= old:
                self._idle.popleft()[1].close()

    @property
    def forgotten(self) -> bool:
        """Whether nobody has come by for so long that no connection of that time would serve any more."""
        return not self._idle and self.clock() - self._used_at >= MAX_AGE


class Lending:
    """What both kinds of pool add to urllib3's: each connection serves an exchange."""

    closed: Callable[[], bool]
    here: Here
    through: Proxy | None = None

    def _get_conn(self, timeout: float | None = None) -> Any:
        """Lend a connection to the exchange in hand, which it must know before a proxy is told where to connect."""
        conn = self._lent(super()._get_conn(timeout), self.here.exchange)  # type: ignore[misc]
        if conn.exchange.fresh or conn.too_old:
            conn.close()
        conn.exchange.connected(reused=conn.sock is not None)
        return conn

    def _lent(self, conn: Any, exchange: Exchange) -> Any:
        conn.exchange, conn.through = exchange, self.through
        return conn

    def warm(self, exchange: Exchange, *, secure: bool) -> None:
        """Add a connection to the idle ones, as `urlopen` makes them.

        Args:
            exchange: whose bounds hold.
            secure: whether TLS is spoken with the server: through an HTTP proxy that takes a tunnel.
        """
        pool: Any = self
        conn = self._lent(pool._new_conn(), exchange)
        try:
            if pool.proxy is not None and secure:
                pool._prepare_proxy(conn)
            else:
                conn.connect()
        except BaseException as error:
            conn.close()
            if isinstance(error, WIRE) and conn.proxy and not conn.has_connected_to_proxy:
                raise ProxyError("Cannot connect to proxy", error) from error
            raise
        self._put_conn(conn)

    def _put_conn(self, conn: Any) -> None:
        """Take a connection back from its exchange; it is closed where the client is."""
        if conn is not None:
            conn.rest()
        super()._put_conn(conn)  # type: ignore[misc]
        if conn is not None and self.closed():  # perhaps just now, before it was back
            conn.close()


class PlainPool(Lending, urllib3.HTTPConnectionPool):
    """Plain connections to one host."""

    ConnectionCls = PlainConnection


class SecurePool(Lending, urllib3.HTTPSConnectionPool):
    """TLS connections to one host."""

    ConnectionCls = SecureConnection


def tidy(pools: Any) -> None:
    """Close what has been idle for too long, and forget hosts where nobody goes any more."""
    for key in pools.keys():  # noqa: SIM118 - no mapping: it refuses to be iterated
        idle = getattr(pools.get(key), "pool", None)
        if idle is not None:
            idle.tidy()
            if idle.forgotten:
                pools.pop(key, None)
