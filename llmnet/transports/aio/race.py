"""Connects to a host: its addresses are tried side by side (happy eyeballs, RFC 8305); the first to connect wins."""

import asyncio
import socket
from collections import deque
from collections.abc import Sequence

from llmnet.net.dns import AddrInfo
from llmnet.net.sockets import TCP_OPTIONS

# RFC 8305, 5: the head start of an address over the next one.
_HEAD_START = 0.25


async def first_of(addresses: Sequence[AddrInfo]) -> socket.socket:
    """The first connection that is made; what the others come to is closed.

    Raises:
        OSError: all failed; the error of the last one.
    """
    if len(addresses) == 1:
        return await connected(addresses[0])
    waiting, running = deque(addresses), set[asyncio.Task[socket.socket]]()
    error: BaseException = OSError("the name has no address")
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(connected(waiting.popleft())))
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
            task.add_done_callback(_close)
            task.cancel()


def _close(task: asyncio.Task[socket.socket]) -> None:
    """Close what has succeeded too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def connected(found: AddrInfo) -> socket.socket:
    """A connection to one address.

    Raises:
        OSError: it cannot be reached.
    """
    family, kind, protocol, _, address = found
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        for option in TCP_OPTIONS:
            sock.setsockopt(*option)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
