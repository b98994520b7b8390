"""The open reply of the async transport: raw bytes of a body under its exchange's bounds, then the connection back.

Bytes that have arrived can be more work than there is time for, and take no turn of the loop: it is given one then, so
that bounds, a cancellation and all other tasks are served.
"""

import asyncio
from collections.abc import AsyncIterable
from types import TracebackType
from typing import Protocol, Self

import httpx

from llmnet.core.exchange import Exchange
from llmnet.core.http import Headers
from llmnet.core.interrupts import surely
from llmnet.core.outcome import AttemptError
from llmnet.transports.aio.wait import Scope, finish, once
from llmnet.transports.classify import outcome_of

# What the library or the socket below it may raise; anything else is not ours to judge and passes at once.
FOREIGN = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError)
# Seconds and bytes: what is read of an error, and of what follows a terminal event.
ERROR_BODY = (2.0, 64 * 1024)
DRAIN = (0.25, 64 * 1024)
# So many pieces may be given out, one after another, before the loop gets a turn.
PIECES = 32
_NOTHING = httpx.ByteStream(b"")


class Body(Protocol):
    """The body of a reply, as its transport reads it."""

    @property
    def has_come(self) -> bool:
        """Whether its end has been read, and nothing is to be waited for."""

    async def read(self) -> bytes:
        """The next bytes; nothing at the end."""

    async def aclose(self) -> None:
        """Give the connection back."""


class HttpxBody:
    """A body that httpx reads, each step under the bounds of its exchange."""

    def __init__(self, exchange: Exchange, response: httpx.Response) -> None:
        self._exchange, self._response, self.has_come = exchange, response, False
        self._bytes = response.aiter_raw()

    async def read(self) -> bytes:
        """The next bytes; nothing at the end."""
        try:
            data = await Scope(self._exchange).run(self._next())
        except FOREIGN:
            raise
        except Exception as error:
            self._exchange.raise_if_stopped()  # connections that are closed under a stopped call may fail in any way
            if type(error).__module__.partition(".")[0] == "h2":  # which httpcore wraps in the head alone
                raise httpx.RemoteProtocolError(f"{type(error).__name__}: {error}") from error
            raise
        self.has_come = not data
        return data

    async def _next(self) -> bytes:
        async for data in self._bytes:
            if data:
                return data
        return b""

    async def aclose(self) -> None:
        """Give the connection back, whoever is cancelled meanwhile."""
        await once(self._response.aclose(), ending=True)


class OpenReply:
    """A reply whose head has arrived: an iterator over the raw bytes of its body."""

    def __init__(self, exchange: Exchange, response: httpx.Response, headers: Headers, body: Body) -> None:
        self._exchange, self.response, self._body = exchange, response, body
        self._loop = asyncio.get_running_loop()
        self._at_end = self._closed = False
        self._given = 0
        self.status, self.headers = response.status_code, headers

    @property
    def ended(self) -> bool:
        """Whether all of the body has been given out."""
        return self._at_end or self._body.has_come

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes of the body; none, while its reader is behind with those before."""
        exchange = self._exchange
        behind = exchange.reply.behind
        self._given += 1
        if behind or self._given % PIECES == 0:
            await asyncio.sleep(0)
            exchange.between()
        if behind:
            return b""
        try:
            data = await self._body.read()
        except FOREIGN as error:
            outcome = outcome_of(error, exchange)
            if exchange.reply.survives(outcome):
                raise StopAsyncIteration from error
            raise AttemptError(outcome) from error
        if not data:
            self._at_end = True
            raise StopAsyncIteration
        return data

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connection back; what still follows a terminal event is drained, briefly."""
        if self._closed:
            return
        self._closed = True
        exchange = self._exchange
        try:
            if not self.ended and exchange.reply.done and exchange.stopped is None:
                await last_bytes(self, exchange, *DRAIN)
        finally:
            try:
                await self._body.aclose()
            finally:
                # httpx ties the two to each other: whatever they hold, as the reply, would live until it is collected.
                self.response.stream = _NOTHING

    def drop(self) -> None:
        """Let go without waiting: the connection is closed by the loop that it belongs to, if that still runs."""
        finish(self._loop, self._body.aclose)
        self._closed = True

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            surely(self.drop)


async def last_bytes(reply: AsyncIterable[bytes], exchange: Exchange, seconds: float, size: int) -> bytes:
    """What is still read of a reply, bounded in time and size; read to its end, its connection serves again."""
    exchange.drain(seconds)
    body = bytearray()
    try:
        async for data in reply:
            body += data
            if len(body) >= size or exchange.remaining() <= 0:
                break
    except AttemptError:
        pass
    return bytes(body[:size])
