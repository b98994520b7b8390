"""The open reply of the async transport: raw bytes of a body under the call's bounds, then connection and slot back.

Bytes that have arrived can be more work than there is time for, and take no turn of the loop: it is given one then, so
that bounds, a cancellation and all other tasks are served.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from llmnet.core.call import Call
from llmnet.core.finalizer import surely
from llmnet.core.outcome import Fault
from llmnet.transports.aio.wait import Scope, finish, once
from llmnet.transports.classify import outcome_of

# What the library or the socket below it may raise; anything else is not ours to judge and passes at once.
FOREIGN = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError)
ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_SECONDS = 2.0
DRAIN_BYTES = 64 * 1024
DRAIN_SECONDS = 0.25
# As many pieces may have been at hand without a turn of the loop.
PIECES = 32


class OpenReply:
    """A success whose head has arrived: an iterator over the raw bytes of its body."""

    def __init__(self, leave: Callable[[Call], None], call: Call, response: httpx.Response) -> None:
        self._leave, self._call, self._response = leave, call, response
        self._bytes = response.aiter_raw()
        self._loop = asyncio.get_running_loop()
        self._at_end = self._closed = False
        self._given = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes of the body; none, while the exchange is behind with those before."""
        try:
            return await Scope(self._call).run(self._next())
        except FOREIGN as error:
            outcome = outcome_of(error, self._call)
            if self._call.under_way.survives(outcome):
                raise StopAsyncIteration from error
            raise Fault(outcome) from error
        except StopAsyncIteration:
            raise
        except Exception:
            self._call.go_on()  # connections that are closed under a stopped call may fail in any way
            raise

    async def _next(self) -> bytes:
        behind = self._call.under_way.behind
        self._given += 1
        if behind or self._given % PIECES == 0:
            await asyncio.sleep(0)
        if behind:
            return b""
        try:
            return await anext(self._bytes)
        except StopAsyncIteration:
            self._at_end = True
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def error_body(self) -> bytes:
        """An error body, bounded in bytes and time; read to its end, its connection serves again."""
        return await self._last(ERROR_BODY_SECONDS, ERROR_BODY_BYTES)

    async def _last(self, seconds: float, size: int) -> bytes:
        self._call.last(seconds)
        body = bytearray()
        try:
            async for data in self:
                body += data
                if len(body) >= size:
                    break
        except Fault:
            pass
        return bytes(body[:size])

    async def aclose(self) -> None:
        """Give connection and slot back; what still follows a terminal event is drained, briefly."""
        if self._closed:
            return
        self._closed = True
        exchange = self._call.exchange
        try:
            if not self._at_end and exchange is not None and exchange.done and self._call.stopped is None:
                await self._last(DRAIN_SECONDS, DRAIN_BYTES)
        finally:
            try:
                await once(self._response.aclose(), ending=True)
            finally:
                # httpx ties the two to each other: whatever they hold, as the reply, would live until it is collected.
                self._response.stream = httpx.ByteStream(b"")
                self._leave(self._call)

    def drop(self) -> None:
        """Let go without waiting: the connection is closed by the loop that it belongs to, if that still runs."""
        self._leave(self._call)
        finish(self._loop, self._response.aclose)
        self._closed = True

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            surely(self.drop)
