"""One value for each event loop, made on it and closed on it: nothing that belongs to a loop is used on another."""

import asyncio
import contextlib
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """The values of all loops of a process.

    Args:
        make: makes the value of a loop.
        close: closes it, on that loop.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make, self._close = make, close
        self._lock = threading.Lock()
        self._kept: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = (
            weakref.WeakKeyDictionary()
        )

    async def here(self) -> T:
        """The value of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop in self._kept:
                return self._kept[loop][0]
            value = self._make()
            keeper = self._keep(weakref.ref(loop), value)
            self._kept[loop] = value, keeper
        await anext(keeper)
        return value

    async def _keep(self, loop: "weakref.ref[asyncio.AbstractEventLoop]", value: T) -> AsyncGenerator[None, None]:
        """Parked on a loop, which closes it when it shuts down: the only word that a loop sends to its guests."""
        try:
            yield
        finally:
            with self._lock, contextlib.suppress(KeyError):
                if (ended := loop()) is not None:
                    del self._kept[ended]
            await self._close(value)

    async def aclose(self) -> None:
        """Close the value of the running loop; those of other loops go with their loops."""
        with self._lock:
            _, keeper = self._kept.get(asyncio.get_running_loop(), (None, None))
        if keeper is not None:
            await keeper.aclose()
