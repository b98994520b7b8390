"""The idle connections of one host in the sync front: the last one to come is the first to go, and none waits for ever.

urllib3's own queue is filled with as many empty places as it may keep connections, and has a lock, which a finalizer or
a signal handler may meet on the very thread that holds it.
"""

import contextlib
import queue
import time
from collections import deque
from typing import Any

from llmnet.net.sockets import MAX_AGE, PATIENCE


class Idle:
    """A queue for a pool of urllib3's that takes and gives at once, and does not fill up with what it is filled with.

    Threads share it: `_idle` is a deque, whose `append`, `pop` and `popleft` are one step of the interpreter each.

    Args:
        kept: how many connections are kept at most.
    """

    clock = staticmethod(time.monotonic)

    def __init__(self, kept: int) -> None:
        self._kept, self._idle = kept, deque[tuple[float, Any]]()
        self._used_at = self.clock()

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """Take out the last connection to come; nobody waits here for one.

        Raises:
            queue.Empty: there is none.
        """
        self._used_at = self.clock()
        try:
            return self._idle.pop()[1]
        except IndexError:
            raise queue.Empty from None

    def put(self, conn: Any, block: bool = False) -> None:
        """Keep a connection; an empty place, as urllib3 puts in first, needs no keeping.

        Raises:
            queue.Full: so many are not kept.
        """
        self._used_at = self.clock()
        if conn is None:
            return
        if len(self._idle) >= self._kept:
            raise queue.Full
        self._idle.append((self._used_at, conn))
        self.tidy()

    def qsize(self) -> int:
        """How many there are."""
        return len(self._idle)

    def tidy(self) -> None:
        """Close what has been idle for too long."""
        old = self.clock() - PATIENCE
        with contextlib.suppress(IndexError):  # another thread has taken the last one
            while self._idle[0][0] <= old:
                self._idle.popleft()[1].close()

    @property
    def forgotten(self) -> bool:
        """Whether nobody has come by for so long that no connection of that time would serve any more."""
        return not self._idle and self.clock() - self._used_at >= MAX_AGE


def tidy(pools: Any) -> None:
    """Close what has been idle for too long, and forget hosts where nobody goes any more."""
    for key in pools.keys():  # noqa: SIM118 - no mapping: it refuses to be iterated
        idle = getattr(pools.get(key), "pool", None)
        if idle is not None:
            idle.tidy()
            if idle.forgotten:
                pools.pop(key, None)
