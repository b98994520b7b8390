"""What serves each way that the requests of one event loop go; of very many only those in use and the newest stay."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from llmnet.net.sockets import WAYS

Way = tuple[str, bool, bool, bool]
"""The proxy, credentials included; whether TLS is spoken; whether each request must have a connection of its own;
whether our own transport serves."""


class Closable(Protocol):
    """What holds connections."""

    async def aclose(self) -> None:
        """Close them."""


T = TypeVar("T", bound=Closable)


def in_use(transport: Any) -> bool:
    """Whether a request is under way on the connections of a transport of httpx, in a pool of ours or of httpcore."""
    pool = getattr(transport, "_pool", transport)
    return pool.in_use if hasattr(pool, "in_use") else not all(one.is_idle() for one in pool.connections)


class ByRoute(Generic[T]):
    """What serves each way.

    Args:
        in_use: whether something serves a request right now.

    Attributes:
        clients: by way. Whoever finds none adds one before anything is awaited, so that there are never two.
    """

    def __init__(self, in_use: Callable[[T], bool]) -> None:
        self._in_use = in_use
        self.clients: dict[Way, T] = {}

    async def add(self, way: Way, client: T) -> T:
        """Have something serve a way from now on."""
        self.clients[way] = client
        for old in list(self.clients)[:-WAYS]:
            if not self._in_use(self.clients[old]):
                await self.clients.pop(old).aclose()
                break
        return client

    async def aclose(self) -> None:
        """Close all of them."""
        while self.clients:
            await self.clients.popitem()[1].aclose()
