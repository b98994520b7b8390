"""Steps towards a connection: resolves a name, tries its addresses side by side, and speaks with a SOCKS proxy."""

import contextlib
import errno
import os
import selectors
import socket
from collections import deque
from collections.abc import Iterable
from typing import Any

from llmnet.core.exchange import Exchange
from llmnet.core.interrupts import Latch
from llmnet.net.dns import AddrInfo, lookup
from llmnet.net.sockets import TCP_OPTIONS, shutdown
from llmnet.net.socks import Talk, ended
from llmnet.transports.sync.channel import LOOK, Channel
from llmnet.transports.sync.wait import wait_for

# It needs no descriptor of its own, and `select` takes none from 1024 on; Windows has that alone.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
# RFC 8305, 5: the head start of an address over the next one; one that fails gives it up.
_HEAD_START = 0.25
_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)


def addresses_of(host: str, port: int, exchange: Exchange) -> list[AddrInfo]:
    """Resolve a name; a stop ends the wait, and leaves the lookup to others who wait for it."""
    found, over = lookup(host, port), Latch()
    exchange.on_stop(over.set)
    with found.waking(over.set):
        wait_for(over, exchange.remaining())
    exchange.raise_if_stopped()
    return found.wait(0)


def first_of(addresses: Iterable[AddrInfo], exchange: Exchange) -> socket.socket:
    """Connect to the first address that answers (happy eyeballs, RFC 8305); what else was begun is closed.

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


def converse(sock: socket.socket, what: Talk, exchange: Exchange) -> None:
    """Speak with a SOCKS proxy."""
    channel = Channel(sock)
    answer: Any = None
    with contextlib.suppress(StopIteration):
        while True:
            message, size = what.send(answer)
            channel.send(message, exchange)
            answer = b""
            while len(answer) < size:
                answer += channel.receive(exchange, size - len(answer)) or ended()
