"""Tries addresses side by side (happy eyeballs, RFC 8305): the first that connects wins."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

# RFC 8305, 5: the head start of an address over the next one.
_HEAD_START = 0.25


async def first_of(tries: Sequence[Callable[[], Coroutine[Any, Any, T]]], close: Callable[[T], Awaitable[object]]) -> T:
    """The first connection that is made; what the others come to is closed.

    Raises:
        Exception: all failed; the error of the last one.
    """
    if len(tries) == 1:
        return await tries[0]()
    waiting, running = deque(tries), set[asyncio.Task[T]]()
    error: BaseException = OSError("the name has no address")
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
        await _end(running, close)


async def _end(running: set[asyncio.Task[T]], close: Callable[[T], Awaitable[object]]) -> None:
    """Cancel what is still being tried, and close what succeeded too late."""
    for task in running:
        task.cancel()
    for late in await asyncio.gather(*running, return_exceptions=True):
        if not isinstance(late, BaseException):
            await close(late)
