"""The waits of one attempt on the fast transport, under one timer a connection, which outlives the attempt."""

import asyncio
import contextvars
import math

from llmnet.core.bounds import Bounds
from llmnet.core.exchange import Exchange
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.transports.aio.wait import wake

# Turns of the loop, after a bound has expired, in which what has come while the loop was busy is still read.
_TURNS = 4


class Watch:
    """Waits for news of a connection, under the nearest bound of an exchange.

    Its loop's alone, but for `_stop`, which any thread may call.

    Attributes:
        exchange: whose bounds hold.
        alarm: the timer of the connection that serves it.
    """

    __slots__ = ("__weakref__", "_loop", "_news", "_over", "alarm", "exchange")

    alarm: "Alarm"

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self._loop = exchange, asyncio.get_running_loop()
        self._news: asyncio.Future[None] | None = None
        self._over = False

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for news."""
        return self._news is not None

    async def wait(self) -> None:
        """Wait for news.

        Raises:
            AttemptError: the bound has expired, or the call was stopped.
        """
        self.exchange.on_stop(self._stop)  # it stays until the attempt ends: to be woken does no harm
        self.alarm.set(self)
        self._news = self._loop.create_future()
        try:
            await self._news
        finally:
            self._news = None  # not in `wake`: who is woken again and again still waits, and has its bound
        if self._over:
            raise AttemptError(Outcome(self.exchange.expired()))

    def wake(self) -> None:
        """There is news."""
        news = self._news
        if news is not None and not news.done():
            news.set_result(None)

    def end(self) -> None:
        """The bound has expired, or the call was stopped."""
        self._over = True
        self.wake()

    def _stop(self) -> None:
        wake(self._loop, self.end)


class Alarm:
    """The timer of a connection. It is armed anew only where it would fire too late: for most exchanges not once.

    Its loop's alone. What it calls runs in no caller's context, for it may last longer than the caller.
    """

    __slots__ = ("_loop", "_timer", "_watch", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.Handle | None = None
        self._watch: Watch | None = None
        self._when = math.inf  # by the clock of the bounds

    def set(self, watch: Watch) -> None:
        """Have a watch expire with the nearest bound, if it still waits then."""
        self._watch = watch
        if self._timer is None or self._when > watch.exchange.bounds.due:
            self._arm(watch.exchange.bounds)

    def rest(self) -> None:
        """Nobody waits any more, until somebody does again."""
        self._watch = None

    def end(self) -> None:
        """Nobody will wait any more."""
        self._watch = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, bounds: Bounds) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._when, (_, left) = bounds.due, bounds.remaining()
        if left < math.inf:
            self._timer = self._loop.call_later(max(left, 0.0), self._look, _TURNS, context=contextvars.Context())

    def _look(self, turns: int) -> None:
        """Look whether the bound has expired: a later wait may have moved it."""
        self._timer = None
        if self._watch is None or not self._watch.is_waiting:
            return
        bounds = self._watch.exchange.bounds
        if bounds.remaining()[1] > 0:
            self._arm(bounds)
        elif turns:
            self._timer = self._loop.call_soon(self._look, turns - 1)
        else:
            self._watch.end()
