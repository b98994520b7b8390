"""How httpx's own transport connects: names are resolved by our threads, addresses are tried side by side."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

import httpcore
import httpx

from llmnet.transports.names import lookup

# RFC 8305, 5: the head start of an address over the next one.
_HEAD_START = 0.25

Attempt: TypeAlias = Callable[[], Coroutine[Any, Any, httpcore.AsyncNetworkStream]]
Task: TypeAlias = asyncio.Task[httpcore.AsyncNetworkStream]


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
    waiting, running = deque(attempts), set[Task]()
    error: BaseException = httpcore.ConnectError("the name has no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(waiting.popleft()()))
            patience = _HEAD_START if waiting else None
            done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                running.discard(task)
                if (failure := task.exception()) is None:
                    return task.result()
                error = failure
        raise error
    finally:
        await _end(running)


async def _end(running: set[Task]) -> None:
    """Cancel what is still being tried, and close what succeeded too late."""
    for task in running:
        task.cancel()
    for late in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(late, httpcore.AsyncNetworkStream):
            await late.aclose()
