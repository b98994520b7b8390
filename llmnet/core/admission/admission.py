"""One call's way to its turn: the delay after the previous failure, the gate, a slot; it waits for nothing itself.

A front asks for the `wait_time` and sleeps as long, then `take`s a slot or `join`s those who wait for one, and
`settle`s once the attempt is over, however it ended.
"""

import random

from llmnet.core.admission.gate import NEVER, Gate, GateTurn
from llmnet.core.admission.queue import FairQueue, Owner, Ticket, Wake
from llmnet.core.bounds import Bounds
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.record import Record


class Admission:
    """The admission of one call, attempt after attempt.

    Args:
        queue: where calls wait for a slot; `None`: there are as many as are asked for.
        gate: what a throttle shuts.
        bounds: how long the call may wait.
        longest: seconds; a server that asks to wait longer than that is not obeyed (`max_retry_after`).
        rng: spreads those who come back when the gate opens.
        record: is told that the call is held at the gate, once for each time that this was shut.
    """

    __slots__ = (
        "_bounds", "_gate", "_longest", "_queue", "_record", "_resume_at", "_rng", "_ticket", "_told", "_turn",
    )  # fmt: skip

    def __init__(
        self,
        queue: FairQueue | None,
        gate: Gate,
        bounds: Bounds,
        longest: float,
        rng: random.Random,
        record: Record | None = None,
    ) -> None:
        self._queue, self._gate, self._bounds, self._longest = queue, gate, bounds, longest
        self._record, self._told, self._rng = record, NEVER, rng
        self._resume_at = bounds.started
        self._turn: GateTurn | None = None
        self._ticket: Ticket | None = None

    def delay(self, seconds: float) -> None:
        """The next attempt is so many seconds away."""
        self._resume_at = self._bounds.clock() + seconds

    def wait_time(self) -> float:
        """Seconds to wait, and to hold nothing meanwhile; asked again on waking, for the gate may have been shut anew.

        Raises:
            AttemptError: the gate is shut for longer than the call can wait, with an error like the one that shut it;
                or the time is over.
        """
        now = self._bounds.clock()
        phase, left = self._bounds.remaining(now)
        if self._gate.until == NEVER and self._resume_at <= now and left > 0:
            return 0.0
        hint = self._gate.hint(now)
        self._turn = self._turn or GateTurn(self._gate, self._rng)
        wait = hint if hint > self._longest else self._turn.wait_time(now, self._resume_at, left)
        if wait >= left or hint > self._longest:
            detail = f"the {phase} bound has {left:.1f}s left and max_retry_after is {self._longest:g}s"
            held = self._gate.refusal.error(max(wait, hint), detail) if left > 0 else self._bounds.error()
            raise AttemptError(Outcome(held, not_admitted=True))
        if wait > 0:
            self.settle()
            self._tell(wait)
        return wait

    def _tell(self, wait: float) -> None:
        """The gate is shut for longer than the call would wait for itself: what its own failure asks for is known."""
        until = self._gate.until  # read once: another thread may shut it
        if self._record is not None and until > max(self._told, self._resume_at):
            self._told = until
            self._record.held(wait, self._gate.refusal)

    def take(self, owner: Owner | None = None) -> bool:
        """Take a slot for whoever leads the call, unless others wait for one; whether the call has it."""
        if self._queue is None:
            return True
        if self._ticket is None:
            # It is known here before the queue has it: there is no moment in which a Ctrl-C could lose it.
            self._ticket = Ticket(owner)
            self._queue.take(self._ticket)
        return self._ticket.granted

    def join(self, wake: Wake) -> Ticket:
        """Queue for the slot that could not be taken; the ticket is granted later, and then wakes."""
        assert self._queue is not None  # noqa: S101 - without a queue `take` never fails
        assert self._ticket is not None  # noqa: S101 - `take` has made it
        self._ticket.wake = wake
        self._queue.join(self._ticket)
        return self._ticket

    def look(self, ticket: Ticket) -> bool:
        """Whether a place in the queue has become a slot; finishes work that an interrupted thread left.

        Raises:
            AttemptError: it has not, and the bound expired.
        """
        assert self._queue is not None  # noqa: S101 - it has given the ticket
        self._queue.work_off(ticket)
        if not ticket.granted and self._bounds.remaining()[1] <= 0:
            raise AttemptError(Outcome(self._bounds.error(f"in the queue, where {self._queue}"), not_admitted=True))
        return ticket.granted

    def settle(self) -> None:
        """Give the slot back, if there is one, or stop waiting for one; at any moment, any number of times."""
        if self._ticket is not None and self._queue is not None:
            self._queue.leave(self._ticket)
            self._ticket = None
