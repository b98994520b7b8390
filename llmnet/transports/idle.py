"""Where a pool of urllib3 keeps its idle connections: no lock is taken, so that whoever comes by never waits.

A signal handler that closes the client, or a finalizer, may come by on a thread that is in here already; the lock of a
`queue.LifoQueue` would be held there.
"""

import queue
from collections import deque
from typing import Any


class Idle:
    """The idle connections of one pool; the last one to come is the first to go.

    Threads share it: `_kept` is a deque, whose `append` and `pop` are one step of the interpreter each.
    """

    def __init__(self, maxsize: int) -> None:
        self._kept: deque[Any] = deque()
        self._maxsize = maxsize

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """Take one out; nobody waits here for a connection.

        Raises:
            queue.Empty: there is none.
        """
        try:
            return self._kept.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, conn: Any, block: bool = False) -> None:
        """Put one in.

        Raises:
            queue.Full: so many are not kept.
        """
        if len(self._kept) >= self._maxsize:
            raise queue.Full
        self._kept.append(conn)

    def qsize(self) -> int:
        """How many there are."""
        return len(self._kept)
