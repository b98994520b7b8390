"""How the sync front waits: clock, sleep, ticket, key and callback; the seam where tests put virtual time."""

import time
from collections.abc import Callable
from typing import Any

from llmnet.core.admission.admission import Admission
from llmnet.core.errors import ConfigurationError
from llmnet.core.headers import given_key
from llmnet.core.interrupts import SLICE, Latch
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.request import is_async_callable
from llmnet.core.stop import Interruptible
from llmnet.transports.key_callable import ASKED, asked, forgo


class SyncWait:
    """Waits of threads; every one ends early when its call is stopped."""

    clock = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def enter(self, admission: Admission, stop: Interruptible) -> None:
        """Wait for a call's turn: its delay after a failure, the gate, a slot; nothing is held while it sleeps.

        Raises:
            AttemptError: the time is over, or the call was stopped.
        """
        while True:
            if (wait := admission.wait_time()) > 0:
                self.sleep(wait, stop)
            elif admission.take():
                break
            else:
                self._queue(admission, stop)
        stop.bounds.past_queue()

    def sleep(self, seconds: float, stop: Interruptible) -> None:
        """Wait, unless the call is stopped."""
        self._until(Latch(), seconds, stop)

    def _queue(self, admission: Admission, stop: Interruptible) -> None:
        """Wait for a slot, first come, first served; the gate may be shut meanwhile."""
        turn = Latch()
        ticket = admission.join(turn.set)
        while not admission.look(ticket):
            self._until(turn, min(stop.remaining(), SLICE), stop)

    def _until(self, event: Latch, seconds: float, stop: Interruptible) -> None:
        stop.on_stop(event.set)
        try:
            wait_for(event, seconds)
        finally:
            stop.on_stop(None)
        stop.raise_if_stopped()


def wait_for(event: Latch, seconds: float) -> None:
    """Wait for an event, at most so long."""
    end = time.monotonic() + seconds
    while not event.wait(max(0.0, min(end - time.monotonic(), SLICE))) and time.monotonic() < end:
        pass


def ask_key(source: Callable[[], Any], stop: Interruptible) -> str:
    """The key of an attempt, from a callable that is asked each time, under the bounds of its call."""
    return given_key(_answer(source, stop))


def _answer(source: Callable[[], Any], stop: Interruptible) -> Any:
    """What a callable gives; it is called in a thread of its own, for it may block.

    Raises:
        AttemptError: the bound expired, or the call was stopped.
    """
    answer, over = asked(source), Latch()
    answer.add_done_callback(lambda _: over.set())
    try:
        stop.on_stop(over.set)
        wait_for(over, stop.remaining())
        stop.raise_if_stopped()
        if not answer.done():
            raise AttemptError(Outcome(stop.expired(ASKED)))
    except BaseException:
        forgo(source, answer)
        raise
    finally:
        stop.on_stop(None)
    return answer.result()


def notify(callback: Callable[[Any], Any] | None, value: Any) -> None:
    """Call a callback, if there is one."""
    if callback is not None:
        callback(value)


def check_plain(callback: object, name: str) -> None:
    """Refuse a coroutine function where nobody can await it."""
    if is_async_callable(callback):
        raise ConfigurationError(f"{name} is a coroutine function; use AsyncClient, or give a plain function")
