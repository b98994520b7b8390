"""How the sync front waits: clock, sleep, ticket, key and callback; the seam where tests put virtual time."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from llmnet.core.admission.queue import FairQueue, Ticket
from llmnet.core.call import Call
from llmnet.core.errors import ConfigurationError
from llmnet.core.headers import checked_key, given_key
from llmnet.core.outcome import Fault, Outcome
from llmnet.core.request import is_async_callable
from llmnet.transports.key_callable import ASKED, asked, forgo

# On Windows Ctrl-C does not end the wait for a lock, elsewhere it may come the moment before one.
_SLICE = 1.0


class Waits:
    """Waits of threads; every one ends early when its call is stopped."""

    clock = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def sleep(self, seconds: float, call: Call) -> None:
        """Wait, unless the call is stopped."""
        self._until(Latch(), seconds, call)

    def slot(self, queue: FairQueue, call: Call) -> None:
        """Wait for a slot, first come, first served; whoever ends the call leaves with its ticket, slot or no slot.

        Raises:
            Fault: the bound expired, or the call was stopped.
        """
        turn = Latch()
        # The call has the ticket before the queue does: there is no moment in which a Ctrl-C could lose it.
        ticket = call.ticket = Ticket(turn.set)
        queue.join(ticket)
        while not ticket.granted:
            self._until(turn, min(call.left(), _SLICE), call)
            queue.settle(ticket)
            if not ticket.granted and call.bounds.left()[1] <= 0:
                raise Fault(Outcome(call.expired(f"in the queue, where {queue}")))

    def _until(self, event: "Latch", seconds: float, call: Call) -> None:
        call.wakes(event.set)
        try:
            wait_for(event, seconds)
        finally:
            call.wakes(None)
        call.go_on()


class Latch:
    """Lets one through who waits; a finalizer or a signal handler may set it on the very thread that waits.

    The lock of a `threading.Event` would be held there. It has nothing but its own lock.
    """

    __slots__ = ("_shut",)

    def __init__(self) -> None:
        self._shut = threading.Lock()
        self._shut.acquire()

    def set(self) -> None:
        """Let one through, now or when one comes."""
        with contextlib.suppress(RuntimeError):  # it is set already
            self._shut.release()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; whether it was set."""
        return self._shut.acquire(timeout=seconds)


def wait_for(event: Latch, seconds: float) -> None:
    """Wait for an event, at most so long."""
    end = time.monotonic() + seconds
    while not event.wait(max(0.0, min(end - time.monotonic(), _SLICE))) and time.monotonic() < end:
        pass


def ask_key(call: Call) -> str | None:
    """The key of an attempt: as given, or from a callable that is asked each time, under the call's bounds."""
    source = call.key_source
    return given_key(_said_by(source, call)) if callable(source) else checked_key(source)


def _said_by(source: Callable[[], Any], call: Call) -> Any:
    """What a callable gives; it is called in a thread of its own, for it may block.

    Raises:
        Fault: the bound expired, or the call was stopped.
    """
    answer, over = asked(source), Latch()
    answer.add_done_callback(lambda _: over.set())
    try:
        call.wakes(over.set)
        wait_for(over, call.left())
        call.go_on()
        if not answer.done():
            raise Fault(Outcome(call.expired(ASKED)))
    except BaseException:
        forgo(source, answer)
        raise
    finally:
        call.wakes(None)
    return answer.result()


def tell(callback: Callable[[Any], Any] | None, value: Any) -> None:
    """Call a callback, if there is one."""
    if callback is not None:
        callback(value)


def check_plain(callback: object, name: str) -> None:
    """Refuse a coroutine function where nobody can await it."""
    if is_async_callable(callback):
        raise ConfigurationError(f"{name} is a coroutine function; use AsyncClient, or give a plain function")
