"""How the async front waits: clock, sleep, ticket, key and callback; the seam where tests put virtual time."""

import asyncio
import contextlib
import functools
import inspect
import math
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar, cast

from llmnet.core.admission.admission import Admission
from llmnet.core.headers import given_key
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.request import is_async_callable
from llmnet.core.stop import Interruptible
from llmnet.transports.key_callable import ASKED, asked, forgo, loud

T = TypeVar("T")

# Turns of the loop that bytes take, through TLS and all layers of the library, from the socket to whoever waits.
_TURNS = 16

# Of all loops; a task is added and discarded in one step of the interpreter each, and nobody goes through them.
_ENDING: set[asyncio.Task[None]] = set()


class AsyncWait:
    """Waits of tasks; every one ends early when its call is stopped, and passes a cancellation on at once."""

    clock = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def enter(self, admission: Admission, stop: Interruptible) -> None:
        """Wait for a call's turn: its delay after a failure, the gate, a slot; nothing is held while it sleeps.

        Raises:
            AttemptError: the time is over, or the call was stopped.
        """
        while True:
            if (wait := admission.wait_time()) > 0:
                await self.sleep(wait, stop)
            elif admission.take(asyncio.get_running_loop()):
                break
            else:
                await self._queue(admission, stop)
        stop.bounds.past_queue()

    async def sleep(self, seconds: float, stop: Interruptible) -> None:
        """Wait, unless the call is stopped."""
        await self._until(asyncio.Event(), seconds, stop)

    async def _queue(self, admission: Admission, stop: Interruptible) -> None:
        """Wait for a slot, first come, first served; the gate may be shut meanwhile."""
        turn, loop = asyncio.Event(), asyncio.get_running_loop()
        # Where the loop is closed, this raises, and the queue passes the slot on.
        ticket = admission.join(lambda: loop.call_soon_threadsafe(turn.set))
        while not admission.look(ticket):
            await self._until(turn, stop.remaining(), stop)

    async def _until(self, event: asyncio.Event, seconds: float, stop: Interruptible) -> None:
        loop = asyncio.get_running_loop()
        stop.on_stop(lambda: wake(loop, event.set))
        try:
            async with asyncio.timeout(None if math.isinf(seconds) else max(seconds, 0.0)):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            stop.on_stop(None)
        stop.raise_if_stopped()


class Scope:
    """A wait for a step of the HTTP library, under the nearest bound of the call, armed anew as phases change.

    Args:
        stop: whose bounds hold: an attempt's, or a call's between attempts.
        detail: what the error of an expired bound says of the step, if anything.
    """

    def __init__(self, stop: Interruptible, detail: str = "") -> None:
        self._stop, self._detail = stop, detail
        self._loop = asyncio.get_running_loop()
        self._timeout: asyncio.Timeout | None = None
        self._timer: asyncio.Handle | None = None

    async def run(self, step: Awaitable[T]) -> T:
        """Await a step.

        Raises:
            AttemptError: the bound expired, or the call was stopped.
        """
        try:
            async with asyncio.timeout(None) as self._timeout:
                self._stop.on_stop(lambda: wake(self._loop, self._end))
                self.arm()
                return await once(step)
        except TimeoutError:
            if not self._timeout or not self._timeout.expired():
                raise
            raise AttemptError(Outcome(self._stop.expired(self._detail))) from None
        finally:
            self._timeout = None
            if self._timer is not None:
                self._timer.cancel()
            self._stop.on_stop(None)
            if inspect.iscoroutine(step):
                step.close()

    def arm(self) -> None:
        """Move the deadline to the nearest bound; a phase of the call has begun."""
        if self._timeout is not None:
            if self._timer is not None:
                self._timer.cancel()
            left = self._stop.remaining()
            if left <= 0 and not self._stop.bounds.may_look():
                self._end()
            elif not math.isinf(left):
                self._timer = self._loop.call_later(max(left, 0.0), self._look, _TURNS)

    def _look(self, turns: int) -> None:
        """The bound has expired, perhaps while the loop was busy: what has come by now has a few turns to be read."""
        _, left = self._stop.bounds.remaining()
        if left > 0:  # timers of uvloop are up to a millisecond early
            self._timer = self._loop.call_later(left, self._look, turns)
            return
        if turns:
            self._timer = self._loop.call_soon(self._look, turns - 1)
        else:
            self._end()

    def _end(self) -> None:
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(self._loop.time())


@types.coroutine
def once(step: Awaitable[T], *, ending: bool = False) -> Generator[Any, Any, T]:
    """Await a step that hears of one cancellation at most, or, where it is *ending* something, of none until its end.

    The HTTP library gives the loop a turn before it closes what was cancelled: whoever is cancelled again in that turn
    would leave a connection open that nobody knows of. What it cancels itself, and takes back, is no end.
    """
    steps, task = step.__await__(), cast("asyncio.Task[Any]", asyncio.current_task())
    go, late, counted = functools.partial(next, steps), None, math.inf
    while True:
        try:
            waited = go()
        except BaseException as end:
            if late is not None:
                raise late from None
            if isinstance(end, StopIteration):
                return cast(T, end.value)
            raise
        go = functools.partial(next, steps)
        try:
            yield waited
        except BaseException as error:  # noqa: BLE001 - it is passed on
            again = ending or task.cancelling() > counted
            if again and waited is None and isinstance(error, asyncio.CancelledError):
                late = error
            else:
                go, counted = functools.partial(steps.throw, error), task.cancelling()


def wake(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> None:
    """Call on the loop's own thread; one that is closed has nobody left to wake."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


def finish(loop: asyncio.AbstractEventLoop, end: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have a loop run what nobody waits for; it would not itself keep the task alive."""

    def start() -> None:
        task = loop.create_task(end())
        _ENDING.add(task)
        task.add_done_callback(_ENDING.discard)

    wake(loop, start)


async def ask_key(source: Callable[[], Any], stop: Interruptible) -> str:
    """The key of an attempt, from a callable that is asked each time, under the bounds of its call."""
    return given_key(await Scope(stop, ASKED).run(_answer(source)))


async def _answer(source: Callable[[], Any]) -> Any:
    """What a callable gives; a plain one is called in a thread of its own, for it may block."""
    try:
        answer = source() if is_async_callable(source) else await _from_thread(source)
        return await answer if inspect.isawaitable(answer) else answer
    except StopAsyncIteration as error:  # of a StopIteration Python itself makes one
        raise loud(error) from error


async def _from_thread(source: Callable[[], Any]) -> Any:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    answer = asked(source)
    answer.add_done_callback(lambda _: wake(loop, over.set))
    try:
        await over.wait()
    except BaseException:
        forgo(source, answer)
        raise
    return answer.result()


async def notify(callback: Callable[[Any], Any] | None, value: Any) -> None:
    """Call a callback, if there is one, and await what it gives."""
    if callback is not None:
        answer = callback(value)
        if inspect.isawaitable(answer):
            await answer


def check_plain(callback: object, name: str) -> None:
    """Both plain functions and coroutine functions can be called here."""
