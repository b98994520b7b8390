"""Tries addresses side by side (happy eyeballs, RFC 8305): the first that connects wins."""

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from llmnet.transports.aio.wait import finish

T = TypeVar("T")

# RFC 8305, 5: the head start of an address over the next one.
_HEAD_START = 0.25


async def first_of(
    tries: Sequence[Callable[[], Coroutine[Any, Any, T]]], close: Callable[[T], Coroutine[Any, Any, None]]
) -> T:
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
        # Nothing is awaited any more: a cancellation would come between the winner and who is to have it.
        for task in running:
            task.add_done_callback(functools.partial(_late, close))
            task.cancel()


def _late(close: Callable[[T], Coroutine[Any, Any, None]], task: asyncio.Task[T]) -> None:
    """Close what has succeeded too late."""
    if not task.cancelled() and task.exception() is None:
        finish(task.get_loop(), functools.partial(close, task.result()))
