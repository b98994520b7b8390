"""One value for each event loop, made on it and closed on it: nothing that belongs to a loop is used on another."""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

from llmnet.core.forks import abandon, register_after_fork
from llmnet.transports.aio.wait import finish

T = TypeVar("T")


class PerLoop(Generic[T]):
    """The values of all loops of a process.

    With each goes its keeper, a generator parked on the loop, which ends when that shuts down: the only word that a
    loop sends to what was made on it. `_lock` guards which there are; a value is its loop's alone.

    Args:
        make: makes the value of a loop.
        close: closes it, on that loop, in one step.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make, self._close = make, close
        self._begin()
        register_after_fork(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._kept = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]]()

    def after_fork(self) -> None:
        """Begin with no value, in a forked child: those of the parent belong to loops that it lacks."""
        abandon(self._kept)
        self._begin()

    async def here(self) -> T:
        """The value of the running loop."""
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)  # without the lock: it is one look, and nobody else adds a value for this loop
        if kept is None:
            with self._lock:
                self._forget_closed()
                value = self._make()
                kept = self._kept[loop] = value, self._keep(value, weakref.ref(loop))
            await anext(kept[1])
        return kept[0]

    async def _keep(self, value: T, loop: "weakref.ref[asyncio.AbstractEventLoop]") -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            with self._lock:
                if (ended := loop()) is not None:
                    self._kept.pop(ended, None)
            await self._close(value)

    def _forget_closed(self) -> None:
        """Let go of loops that were closed without a word; their values would keep them for ever."""
        for loop in [loop for ref in self._kept.keyrefs() if (loop := ref()) is not None and loop.is_closed()]:
            self._kept.pop(loop, None)

    async def aclose(self) -> None:
        """Close all values: that of the running loop now, the others when their loops come to it, or end."""
        with self._lock:
            keepers = {loop: keeper for loop, (_, keeper) in self._kept.items()}
            self._kept.clear()
        here = keepers.pop(asyncio.get_running_loop(), None)
        for loop, keeper in keepers.items():
            finish(loop, keeper.aclose)
        if here is not None:
            await here.aclose()
