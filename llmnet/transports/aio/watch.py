"""The waits of one attempt on the fast transport, under one timer a connection, which outlives the attempt."""

import asyncio
import contextlib
import contextvars
import math

from llmnet.core.exchange import Exchange
from llmnet.core.outcome import AttemptError, Outcome

# Turns of the loop, after a bound has expired, in which what has come while the loop was busy is still read.
_TURNS = 4


class Watch:
    """Waits for news of a connection, under the nearest bound of an exchange.

    Its loop's alone, but for `_stop`, which any thread may call.

    Attributes:
        exchange: whose bounds hold.
        alarm: the timer of the connection that serves it.
    """

    __slots__ = ("__weakref__", "_expired", "_loop", "_news", "alarm", "exchange")

    alarm: "Alarm"

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self._loop = exchange, asyncio.get_running_loop()
        self._news: asyncio.Future[None] | None = None
        self._expired = False

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for news."""
        return self._news is not None

    async def wait(self) -> None:
        """Wait for news.

        Raises:
            AttemptError: the bound has expired, or the call was stopped.
        """
        self._news = news = self._loop.create_future()
        try:
            self.exchange.on_stop(self._stop)
            self.alarm.set(self, self.exchange.remaining())
            await news
        finally:
            self._news = None
            self.exchange.on_stop(None)
        self.exchange.raise_if_stopped()
        if self._expired:
            raise AttemptError(Outcome(self.exchange.expired()))

    async def news(self) -> None:
        """Wait for news; somebody else sees to the bounds."""
        self._news = news = self._loop.create_future()
        await news

    def wake(self) -> None:
        """There is news."""
        news = self._news
        if news is not None and not news.done():
            news.set_result(None)

    def expire(self) -> None:
        """The bound has expired."""
        self._expired = True
        self.wake()

    def _stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that is closed has nobody left to wake
            self._loop.call_soon_threadsafe(self.wake)


class Alarm:
    """The timer of a connection. It is armed anew only where it would fire too late: for most exchanges not once.

    Its loop's alone. What it calls runs in no caller's context, for it may last longer than the caller.
    """

    __slots__ = ("_due", "_loop", "_timer", "_watch", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.Handle | None = None
        self._watch: Watch | None = None
        self._due = self._when = math.inf

    def set(self, watch: Watch, seconds: float) -> None:
        """Have a watch expire in so many seconds, if it still waits then."""
        self._watch, self._due = watch, self._loop.time() + max(seconds, 0.0)
        if self._due == math.inf or (self._timer is not None and self._when <= self._due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._arm()

    def rest(self) -> None:
        """Nobody waits any more, until somebody does again."""
        self._watch = None

    def end(self) -> None:
        """Nobody will wait any more."""
        self._watch = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._when = self._due
        self._timer = self._loop.call_at(self._due, self._look, _TURNS, context=contextvars.Context())

    def _look(self, turns: int) -> None:
        """Look whether the bound has expired: a later wait may have moved it."""
        self._timer = None
        if self._watch is None or not self._watch.is_waiting:
            return
        if self._loop.time() < self._due:
            self._arm()
        elif turns:
            self._when, self._timer = -math.inf, self._loop.call_soon(self._look, turns - 1)
        else:
            self._watch.expire()
