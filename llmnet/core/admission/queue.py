"""A queue for slots, first come first served, for threads and event loops at once: it waits for nobody, reads no clock.

Who gets no slot at once hands in `wake` and waits in its own way. There is no lock: joins and departures are noted, and
whoever has the turn works them off, one step after another, each of which does no harm when it is done twice. So a
finalizer or a signal handler may come in here on a thread that is in here already, and is served there and then; and a
Ctrl-C between two steps loses neither a slot nor a wake-up. A slot is given back without the turn, and taken without it
where nothing is noted and nobody waits: each is one step of a set, and what came in between is looked at after it.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from llmnet.core.interrupts import Turn

Wake = Callable[[], object]


class Owner(Protocol):
    """Where a ticket is waited for: an event loop; a thread needs none to be named, for it always leaves in order."""

    def is_closed(self) -> bool:
        """Whether nothing goes on there any more."""


class Visit:
    """Somebody who comes by, and may take the turn.

    Attributes:
        thread: the thread that it came on.
    """

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = threading.get_ident()


class Ticket(Visit):
    """A place in the queue, and then a slot.

    Args:
        owner: whose end leaves nobody to give the slot back.

    Attributes:
        granted: whether the slot is its own; once true it stays so.
        wake: what tells its owner that it has been granted, if it was not at once; set before it joins. Called from any
            thread, perhaps twice, perhaps just after it has left. A `RuntimeError` from it passes the slot on.
    """

    __slots__ = ("_owner", "granted", "wake")

    def __init__(self, owner: Owner | None = None) -> None:
        self._owner = owner
        self.wake: Wake | None = None
        self.granted = False

    @property
    def abandoned(self) -> bool:
        """Whether its event loop was closed under it."""
        return self._owner is not None and self._owner.is_closed()

    def _rouse(self) -> bool:
        """Tell the owner; false where nobody can hear it any more, for its event loop is closed."""
        try:
            if self.wake is not None:
                self.wake()
        except RuntimeError:
            return False
        return True


class FairQueue:
    """Gives out *limit* slots in the order in which they are asked for.

    Nothing here ever blocks. Tickets that wait are kept in an ordered dict instead of a deque: one that gives up is
    gone at once, however long the queue stands. Threads share it: who has the turn alone changes who waits; `_holders`
    is a set, to which a ticket is added before they are counted, so that of two who come at once both may step back,
    but never both take the last slot; `_noted` is a deque, whose `append` is one step of the interpreter; `active` and
    `waiting` are lengths of a moment ago.

    Args:
        limit: how many slots there are.
    """

    __slots__ = ("_heirs", "_holders", "_limit", "_noted", "_turn", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """Begin anew with all slots free: for a forked child, which lacks the thread that may have had the turn.

        Tickets given out before are unknown from then on: to leave with one does nothing.
        """
        self._turn = Turn()
        self._holders: set[Ticket] = set()
        self._waiting: OrderedDict[Ticket, None] = OrderedDict()
        # What is to be done, in order: a ticket, and whether it joins or leaves.
        self._noted: deque[tuple[Ticket, bool]] = deque()
        # At most one: the ticket that a free slot goes to, until its owner was woken.
        self._heirs: deque[Ticket] = deque()

    @property
    def active(self) -> int:
        """How many slots are taken."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """How many tickets wait."""
        return len(self._waiting)

    def __str__(self) -> str:
        """How full it is, and what helps."""
        return (
            f"{self.active} calls are under way and {self.waiting} wait; raise max_concurrent (now {self._limit}), or "
            "give many requests to batch(), which takes each when there is room for it"
        )

    def take(self, ticket: Ticket) -> bool:
        """Take a slot, where nobody is before this ticket; whether it has one. Who comes later finds the slot taken."""
        if not (self._noted or self._waiting or self._heirs) and self._fits(ticket):
            ticket.granted = True
        return ticket.granted

    def join(self, ticket: Ticket) -> None:
        """Ask for a slot with a ticket already in hand, which no interrupt can lose on its way back."""
        if not self.take(ticket):
            ticket.thread = threading.get_ident()
            self._note(ticket, joins=True, mine=ticket)

    def leave(self, ticket: Ticket) -> None:
        """Give the slot back, or stop waiting for one; at any moment, from any thread, any number of times."""
        if ticket.granted:
            self._holders.discard(ticket)
            if not self._has_work:
                return
        self._note(ticket, joins=False, mine=Visit())  # it waits itself, or somebody waits for its slot

    def _note(self, ticket: Ticket, *, joins: bool, mine: Visit) -> None:
        try:
            self._noted.append((ticket, joins))
            self.work_off(mine)
        except BaseException:  # a Ctrl-C: what it has kept from being done is done now
            self._turn.give(mine)
            self.work_off(mine)
            raise

    def work_off(self, mine: Visit) -> None:
        """Work off what is left, also by who was interrupted; who has the turn sees after it what was noted since."""
        while self._has_work:
            try:
                if not self._turn.take(mine):
                    self._serve_within(mine)
                    return
                while self._has_work:
                    self._step(mine)
            finally:
                self._turn.give(mine)

    @property
    def _has_work(self) -> bool:
        return bool(self._heirs or self._noted or (self._waiting and len(self._holders) < self._limit))

    def _serve_within(self, mine: Visit) -> None:
        """Serve a signal handler or a finalizer whose own thread has the turn: that one goes on only after it.

        It overtakes those who wait, for they cannot be served before it is gone. Nothing is taken off the notes: who
        has the turn has perhaps read one of them already, and all that is done here may be done again.
        """
        holder = self._turn.holder
        if not (isinstance(mine, Ticket) and isinstance(holder, Visit) and holder.thread == mine.thread):
            return
        for ticket, joins in list(self._noted):
            if not joins:
                self._holders.discard(ticket)
        if self._fits(mine):
            mine.granted = True

    def _fits(self, ticket: Ticket) -> bool:
        """Whether there is a slot for a ticket; then it is taken, before anybody else looks whether there is one."""
        self._holders.add(ticket)
        if ticket.granted or len(self._holders) <= self._limit:
            return True
        self._holders.discard(ticket)
        return False

    def _step(self, mine: Visit) -> None:
        """Do one thing that is left; interrupted, it is done again from its beginning, before anything else."""
        if self._heirs:
            heir = self._heirs[0]
            if self._fits(heir):  # or one that was served within has the slot
                heir.granted = True
                self._waiting.pop(heir, None)
                # Whoever joins with it sees that it is granted, and need not be woken.
                if heir is not mine and not heir._rouse():
                    self._noted.append((heir, False))
            self._heirs.popleft()
        elif self._noted:
            ticket, joins = self._noted[0]
            if joins:
                if not ticket.granted:  # within
                    self._take_back()
                    self._waiting[ticket] = None
            else:
                self._waiting.pop(ticket, None)
                self._holders.discard(ticket)
            self._noted.popleft()
        else:
            self._heirs.append(next(iter(self._waiting)))

    def _take_back(self) -> None:
        """Take slots back from those whose loop was closed under them.

        Where somebody waits, it was seen to when they came; again only where perhaps nobody is left to give one back.
        """
        holders, first = self._holders.copy(), next(iter(self._waiting), None)
        if first is None or first.abandoned or next(iter(holders), first).abandoned:
            for ticket in holders:
                if ticket.abandoned:
                    self._holders.discard(ticket)
