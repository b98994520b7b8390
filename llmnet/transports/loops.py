"""One value for each event loop, made on it and closed on it: nothing that belongs to a loop is used on another."""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

from llmnet.transports.awaits import finish
from llmnet.transports.forks import abandon, renewed_after_fork

T = TypeVar("T")


class PerLoop(Generic[T]):
    """The values of all loops of a process.

    `_lock` guards which there are; a value is its loop's alone.

    Args:
        make: makes the value of a loop.
        close: closes it, on that loop.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make, self._close = make, close
        self._begin()
        renewed_after_fork(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._kept: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = (
            weakref.WeakKeyDictionary()
        )

    def renew(self) -> None:
        """Begin with no value, in a forked child: those of the parent belong to loops that it lacks."""
        abandon(self._kept)
        self._begin()

    async def here(self) -> T:
        """The value of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop in self._kept:
                return self._kept[loop][0]
            self._forget_closed()
            value = self._make()
            keeper = self._keep(weakref.ref(loop), value)
            self._kept[loop] = value, keeper
        await anext(keeper)
        return value

    def _forget_closed(self) -> None:
        """Let go of loops that were closed without a word to their guests; the values would keep them for ever."""
        for loop in [loop for ref in self._kept.keyrefs() if (loop := ref()) is not None and loop.is_closed()]:
            self._kept.pop(loop, None)

    async def _keep(self, loop: "weakref.ref[asyncio.AbstractEventLoop]", value: T) -> AsyncGenerator[None, None]:
        """Parked on a loop, which closes it when it shuts down: the only word that a loop sends to its guests."""
        try:
            yield
        finally:
            with self._lock:
                if (ended := loop()) is not None:
                    self._kept.pop(ended, None)
            await self._close(value)

    async def aclose(self) -> None:
        """Close all values: that of the running loop now, the others when their loops come to it, or end."""
        with self._lock:
            keepers = {loop: keeper for loop, (_, keeper) in self._kept.items()}
        here = keepers.pop(asyncio.get_running_loop(), None)
        for loop, keeper in keepers.items():
            finish(loop, keeper.aclose)
        if here is not None:
            await here.aclose()
