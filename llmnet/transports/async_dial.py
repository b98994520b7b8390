"""How httpx's own transport connects: names are resolved by our threads, addresses are tried side by side."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import httpcore
import httpx

from llmnet.transports.names import lookup

# RFC 8305, 5: the head start of an address over the next one.
_HEAD_START = 0.25

Attempt = Callable[[], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]


def dialling(transport: httpx.AsyncHTTPTransport) -> httpx.AsyncHTTPTransport:
    """The same transport, connecting as it is said here; httpx offers no way to give it that."""
    pool = transport._pool
    pool._network_backend = Dialler(pool._network_backend)
    return transport


class Dialler(httpcore.AsyncNetworkBackend):
    """A backend of httpcore around its own, which would resolve names in an executor that is joined at exit."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host that answers.

        Raises:
            httpcore.ConnectError: none did, or the name has none.
        """
        try:
            found = await lookup(host, port).awaited()
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = dict.fromkeys(address[0] for *_, address in found)

        def attempt(address: str) -> Attempt:
            return lambda: self._inner.connect_tcp(address, port, *args, **kwargs)

        return await first_of([attempt(address) for address in addresses])

    async def sleep(self, seconds: float) -> None:
        """Pause; httpcore does so only between retries, of which it makes none."""
        await self._inner.sleep(seconds)


async def first_of(attempts: Sequence[Attempt]) -> httpcore.AsyncNetworkStream:
    """The first connection that is made; what the others come to is closed.

    Raises:
        httpcore.ConnectError: all failed; the error of the last one.
    """
    if len(attempts) == 1:
        return await attempts[0]()
    running: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
    try:
        for n, attempt in enumerate(attempts, 1):
            running.add(asyncio.create_task(attempt()))
            last = n == len(attempts)
            while running and (won := await _winner(running, patient=last)) is None and last:
                pass
            if won is not None:
                running.discard(won)
                return won.result()
    finally:
        await _close(running)


