"""Tries addresses side by side (happy eyeballs, RFC 8305): the first that connects wins."""

import errno
import os
import selectors
import socket
from collections import deque
from collections.abc import Iterable

from llmnet.core.exchange import Exchange
from llmnet.net.dns import AddrInfo
from llmnet.net.sockets import TCP_OPTIONS, shutdown
from llmnet.transports.sync.channel import LOOK

# It needs no descriptor of its own, and `select` takes none from 1024 on; Windows has that alone.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
# RFC 8305, 5: the head start of an address over the next one; one that fails gives it up.
_HEAD_START = 0.25
_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)


def first_of(addresses: Iterable[AddrInfo], exchange: Exchange) -> socket.socket:
    """Connect to the first address that answers, within the bounds of an exchange; what else was begun is closed.

    Raises:
        OSError: none does; the error of the last one.
        TimeoutError: the bound expired.
        AttemptError: the call was stopped.
    """
    tried, winner = list[socket.socket](), None
    try:
        exchange.on_stop(lambda: deque(map(shutdown, [*tried]), 0))
        with _Selector() as selector:
            winner = _race(deque(addresses), exchange, tried, selector)
        return winner
    finally:
        exchange.on_stop(None)  # before any is closed, whose number may then be another's
        for sock in tried:
            if sock is not winner:
                sock.close()


def _race(
    waiting: deque[AddrInfo], exchange: Exchange, tried: list[socket.socket], selector: selectors.BaseSelector
) -> socket.socket:
    error = OSError("the name has no address")
    while waiting or selector.get_map():
        try:
            if waiting:
                selector.register(_begun(waiting.popleft(), tried), selectors.EVENT_WRITE)
        except OSError as one:
            error = one
            continue
        left = exchange.remaining()
        events = selector.select(max(0.0, min(left, _HEAD_START if waiting else LOOK)))
        if not events and left <= 0:
            raise TimeoutError("timed out")
        for key, _ in events:
            sock: socket.socket = key.fileobj  # type: ignore[assignment]
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return sock
            selector.unregister(sock)
            error = OSError(code, os.strerror(code))
    raise error


def _begun(found: AddrInfo, tried: list[socket.socket]) -> socket.socket:
    """A socket that is about to connect."""
    family, kind, protocol, _, address = found
    sock = socket.socket(family, kind, protocol)
    tried.append(sock)
    for option in TCP_OPTIONS:
        sock.setsockopt(*option)
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code not in _UNDER_WAY:
        raise OSError(code, os.strerror(code))
    return sock
