"""A queue for slots, first come first served, for threads and event loops at once: it waits for nobody, reads no clock.

Who gets no slot at once hands in `wake` and waits in its own way. The rest is a lock that is held for a few steps only.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable

Wake = Callable[[], object]


class Ticket:
    """A place in the queue, and then a slot.

    Attributes:
        granted: whether the slot is its own; once true it stays so.
    """

    __slots__ = ("_wake", "granted")

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self.granted = False

    def _rouse(self) -> bool:
        """Tell the owner; false where nobody can hear it any more, for its event loop is closed."""
        try:
            self._wake()
        except RuntimeError:
            return False
        return True


class FairQueue:
    """Gives out *limit* slots in the order in which they are asked for.

    `leave` never blocks, so that a finalizer may call it wherever the garbage collector happens to run it, even on a
    thread that is inside the queue: it notes the departure, and whoever holds the lock deals with it. Tickets that wait
    are kept in an ordered dict instead of a deque: one that gives up is gone at once, however long the queue stands.
    Threads share it: `_lock` guards who holds and who waits; `_leaving` is a deque, whose `append` and `popleft` are
    one step of the interpreter each; `active` and `waiting` are lengths of a moment ago.

    Args:
        limit: how many slots there are.
    """

    __slots__ = ("_holders", "_leaving", "_limit", "_lock", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """Begin anew with all slots free: for a forked child, whose copy of the lock may be held by a thread it lacks.

        Tickets given out before are strangers from then on: to leave with one does nothing.
        """
        self._lock = threading.Lock()
        self._holders: set[Ticket] = set()
        self._waiting: OrderedDict[Ticket, None] = OrderedDict()
        self._leaving: deque[Ticket] = deque()

    @property
    def active(self) -> int:
        """How many slots are taken."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """How many tickets wait."""
        return len(self._waiting)

    def enter(self, wake: Wake) -> Ticket:
        """Ask for a slot.

        Args:
            wake: called once the slot is granted, if it was not at once; from any thread, perhaps before this returns,
                perhaps just after the ticket has left. A `RuntimeError` from it passes the slot on.

        Returns:
            The ticket; whoever has one must `leave` with it, slot or no slot.
        """
        ticket = Ticket(wake)
        self.join(ticket)
        return ticket

    def __str__(self) -> str:
        return f"{self.active} calls are under way and {self.waiting} wait"

    def join(self, ticket: Ticket) -> None:
        """Ask for a slot with a ticket already in hand, which no interrupt can lose on its way back."""
        with self._lock:
            if self._waiting or len(self._holders) >= self._limit:
                self._waiting[ticket] = None
            else:
                self._grant(ticket)
        self._settle()

    def leave(self, ticket: Ticket) -> None:
        """Give the slot back, or stop waiting for one; at any moment, from any thread, any number of times."""
        self._leaving.append(ticket)
        self._settle()

    def _settle(self) -> None:
        """Deal with all departures noted. If another has the lock, it comes by here after it and sees them."""
        while self._leaving and self._lock.acquire(blocking=False):
            try:
                heir = self._remove(self._leaving.popleft()) if self._leaving else None
            finally:
                self._lock.release()
            if heir is not None and not heir._rouse():
                self._leaving.append(heir)

    def _remove(self, ticket: Ticket) -> Ticket | None:
        """Forget a ticket; the one that its slot goes to, if any."""
        self._waiting.pop(ticket, None)
        if ticket not in self._holders:
            return None
        self._holders.remove(ticket)
        if not self._waiting:
            return None
        heir, _ = self._waiting.popitem(last=False)
        self._grant(heir)
        return heir

    def _grant(self, ticket: Ticket) -> None:
        self._holders.add(ticket)
        ticket.granted = True
