"""One value for each event loop, made on it and closed on it: nothing that belongs to a loop is used on another."""

import asyncio
import functools
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import AsyncGeneratorType
from typing import Generic, TypeVar, cast

from llmnet.core.forks import abandon, register_after_fork
from llmnet.transports.aio.wait import finish, once

T = TypeVar("T")


class LoopValue(Generic[T]):
    """The value of one loop, and that loop's alone; whoever comes to close it while another does so waits for that one.

    Attributes:
        keeper: a generator parked on the loop, which closes it when it shuts down: the only word that a loop sends to
            what was made on it.
    """

    def __init__(self, value: T, close: Callable[[T], Awaitable[None]], ended: Callable[[], None]) -> None:
        self.value, self._close = value, close
        self._closing = asyncio.Lock()
        self.keeper = cast("AsyncGeneratorType[None, None]", self._keep(ended))

    async def _keep(self, ended: Callable[[], None]) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            ended()
            await self._shut()

    async def _shut(self) -> None:
        async with self._closing:
            # Cancelled in its midst, it would leave open what nobody knows of any more.
            await once(self._close(self.value), ending=True)

    async def aclose(self) -> None:
        """Close the value, then end the keeper, which has nothing to wait for by then: no two can meet in there."""
        await self._shut()
        if not self.keeper.ag_running:  # or the loop has come to it meanwhile
            await self.keeper.aclose()


class PerLoop(Generic[T]):
    """The values of all loops of a process.

    `_lock` guards which there are; a value is its loop's alone.

    Args:
        make: makes the value of a loop.
        close: closes it, on that loop; done again, it finds nothing left to do.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make, self._close = make, close
        self._begin()
        register_after_fork(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._kept: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopValue[T]] = weakref.WeakKeyDictionary()

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
                kept = LoopValue(self._make(), self._close, functools.partial(self._forget, weakref.ref(loop)))
                self._kept[loop] = kept
            await anext(kept.keeper)
        return kept.value

    def _forget_closed(self) -> None:
        """Let go of loops that were closed without a word; their values would keep them for ever."""
        for loop in [loop for ref in self._kept.keyrefs() if (loop := ref()) is not None and loop.is_closed()]:
            self._kept.pop(loop, None)

    def _forget(self, ref: "weakref.ref[asyncio.AbstractEventLoop]") -> None:
        with self._lock:
            if (ended := ref()) is not None:
                self._kept.pop(ended, None)

    async def aclose(self) -> None:
        """Close all values: that of the running loop now, the others when their loops come to it, or end."""
        with self._lock:
            values = dict(self._kept)
            self._kept.clear()
        here = values.pop(asyncio.get_running_loop(), None)
        for loop, kept in values.items():
            finish(loop, kept.aclose)
        if here is not None:
            await here.aclose()
