"""The waits of one attempt on the fast transport: one timer for all, armed anew only where it fires too early."""

import asyncio
import contextlib
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
    """

    __slots__ = ("__weakref__", "_due", "_expired", "_loop", "_news", "_timer", "_when", "exchange")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self._loop = exchange, asyncio.get_running_loop()
        self._news: asyncio.Future[None] | None = None
        self._timer: asyncio.Handle | None = None
        self._due = self._when = math.inf
        self._expired = False

    async def wait(self) -> None:
        """Wait for news.

        Raises:
            AttemptError: the bound has expired, or the call was stopped.
        """
        self._news = news = self._loop.create_future()
        try:
            self.exchange.on_stop(self._stop)
            self._arm(self.exchange.remaining())
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

    def close(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # a loop that is closed has nobody left to wake
            self._loop.call_soon_threadsafe(self.wake)

    def _arm(self, seconds: float) -> None:
        self._due = self._loop.time() + max(seconds, 0.0)
        if self._due == math.inf or (self._timer is not None and self._when <= self._due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._when, self._timer = self._due, self._loop.call_at(self._due, self._look, _TURNS)

    def _look(self, turns: int) -> None:
        """Look whether the bound has expired: a later wait may have moved it."""
        self._timer = None
        if self._news is None:
            return
        if self._loop.time() < self._due:
            self._when, self._timer = self._due, self._loop.call_at(self._due, self._look, _TURNS)
        elif turns:
            self._when, self._timer = -math.inf, self._loop.call_soon(self._look, turns - 1)
        else:
            self._expired = True
            self.wake()
