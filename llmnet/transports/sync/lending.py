"""Pools that lend a connection to an exchange, or make one for an exchange to come."""

from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, ProxyError

from llmnet.core.exchange import Exchange
from llmnet.net.proxy import Proxy
from llmnet.transports.sync.connection import PlainConnection, SecureConnection
from llmnet.transports.sync.reply import Here

# What urllib3 blames a proxy for that was not connected to yet.
WIRE = (HTTPError, OSError)


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
