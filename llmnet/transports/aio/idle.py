"""The idle connections of a pool of the async front, by host: none waits for ever, and hosts do not add up for ever."""

import time
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeAlias, TypeVar

from llmnet.net.sockets import HOSTS, PATIENCE

Host: TypeAlias = Hashable
"""Scheme, name and port."""


class Resting:
    """A connection that knows for how long it has been idle."""

    _idle_since = 0.0

    def begin_rest(self) -> None:
        """Be idle, from now on."""
        self._idle_since = time.monotonic()

    @property
    def is_tired(self) -> bool:
        """Whether it has been idle for too long."""
        return time.monotonic() - self._idle_since >= PATIENCE


C = TypeVar("C", bound=Resting)


class Idle(Generic[C]):
    """Idle connections of the hosts that were asked last."""

    def __init__(self) -> None:
        self._hosts: OrderedDict[Host, deque[C]] = OrderedDict()
        self._look_at = 0.0

    def at(self, host: Host) -> deque[C]:
        """Those of a host; the last one to come is the first to go."""
        return self._hosts.get(host, deque())

    def keep(self, host: Host, connection: C) -> None:
        """Add one."""
        self._hosts.setdefault(host, deque()).append(connection)
        self._hosts.move_to_end(host)

    def tidy(self) -> list[C]:
        """Those to close: of too many hosts, and once in a while what has been idle for too long."""
        gone: list[C] = []
        while len(self._hosts) > HOSTS:
            gone += self._hosts.popitem(last=False)[1]
        if (now := time.monotonic()) >= self._look_at:
            self._look_at = now + PATIENCE
            for host, idle in [*self._hosts.items()]:
                while idle and idle[0].is_tired:
                    gone.append(idle.popleft())
                if not idle:
                    del self._hosts[host]
        return gone

    def clear(self) -> list[C]:
        """All of them, which are kept no more."""
        gone = [connection for idle in self._hosts.values() for connection in idle]
        self._hosts.clear()
        return gone
