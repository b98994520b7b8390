"""`create_async_client`: an `httpx.AsyncClient` for any HTTP API, under the same policy and bounds as our own calls."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any, Self

import httpx

from llmnet.core.call import Call
from llmnet.core.errors import APITimeoutError, ConfigurationError
from llmnet.core.http import Headers, Request
from llmnet.core.outcome import Fault
from llmnet.net.proxy_route import proxy_on_way
from llmnet.transports.aio.by_route import Ways, in_use
from llmnet.transports.aio.per_loop import PerLoop
from llmnet.transports.aio.pool import transport_of
from llmnet.transports.aio.reply import ERROR_BODY_BYTES, ERROR_BODY_SECONDS, PIECES
from llmnet.transports.aio.transport import is_proxied, trace
from llmnet.transports.aio.wait import Awaits, Scope
from llmnet.transports.classify import outcome_of
from llmnet.transports.generic import Calls, PlainCall, Seconds, spread

_POOL_SIZE = 100
# Where a request says that its body is streamed, which httpx keeps to itself.
_STREAMED = "llmnet.streamed"
# What no repetition mends, though httpx counts it among the errors of transport.
_FINAL = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


def create_async_client(max_retries: int = 3, timeout: float = 30.0) -> httpx.AsyncClient:
    """Make a client that retries and times out as our clients do, for any HTTP API.

    It raises httpx's own exceptions, and returns the last response once retries are used up. Retried are lost
    connections and the statuses of `RetryPolicy`, for POST too; a timeout only where the method is idempotent or the
    request carries an `Idempotency-Key`. What fails while a body is read is not sent again.

    Args:
        max_retries: retries after the first attempt.
        timeout: seconds for the whole of a request, its retries and its body included; in `stream()` for each wait,
            and ten minutes in all. A request's own `timeout=` takes its place; an `httpx.Timeout` of unequal parts
            bounds single waits alone, as httpx has it.

    Raises:
        ConfigurationError: a value is no such number.
    """
    calls = Calls(max_retries, timeout, Awaits())
    return ApiClient(transport=ApiTransport(calls), timeout=calls.timeout)


class ApiClient(httpx.AsyncClient):
    """Tells its transport which bodies are streamed: these may take longer."""

    async def send(self, request: httpx.Request, *, stream: bool = False, **kwargs: Any) -> httpx.Response:
        """Send a request."""
        request.extensions = {**request.extensions, _STREAMED: stream}
        return await super().send(request, stream=stream, **kwargs)


class ApiTransport(httpx.AsyncBaseTransport):
    """Makes a call of each request, and sends it; on connections of the loop that it is sent from."""

    def __init__(self, calls: Calls[Awaits]) -> None:
        self.calls = calls
        self._pools: PerLoop[Pools] = PerLoop(Pools, Pools.aclose)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request under bounds and policy."""
        call = self._call(request)
        pools = await self._pools.here()
        while True:
            await self._enter(call, request)
            scope = Scope(call)
            try:
                pool = await pools.of(request, fresh=call.wants_fresh)
                response = await _attempt(pool, call, request, scope)
            except _FINAL:
                raise
            except httpx.TransportError as error:
                if not call.decide(outcome_of(error, call, proxied=is_proxied(error, scope))).retry:
                    raise
            except Fault as fault:
                if not call.decide(fault.outcome).retry:
                    raise _timeout_of(fault, call, request) from None
            else:
                if not _repeats(call, response):
                    return response
                await _drain(call, response)

    def _call(self, request: httpx.Request) -> PlainCall:
        bounds = spread(_seconds(request, self.calls.timeout), stream=request.extensions.get(_STREAMED, False))
        plain = Request(method=request.method, url=str(request.url), headers=request.headers)
        return self.calls.new(plain, bounds, replayable=isinstance(request.stream, httpx.ByteStream))

    async def _enter(self, call: Call, request: httpx.Request) -> None:
        try:
            while (wait := call.hold()) > 0:
                await self.calls.waits.sleep(wait, call)
        except APITimeoutError as error:  # an error body that came slowly has taken the rest of the time
            raise httpx.ReadTimeout(error.message, request=request) from None
        call.begin(None)

    async def aclose(self) -> None:
        """Close all connections of the running loop."""
        await self._pools.aclose()


class Pools(Ways[httpx.AsyncHTTPTransport]):
    """The connections of one event loop, by the proxy that they go through: that loop's alone."""

    def __init__(self) -> None:
        super().__init__(in_use)

    async def of(self, request: httpx.Request, *, fresh: bool) -> httpx.AsyncHTTPTransport:
        """The pool for a request; one that keeps nothing where the connection must be *fresh*.

        Raises:
            httpx.ConnectError: the proxy or the certificates that the environment names cannot be used.
        """
        try:
            proxy = proxy_on_way(str(request.url), None, os.environ)
            way = (proxy.full_url if proxy else "", request.url.scheme == "https", fresh)
            kept = 0 if fresh else _POOL_SIZE
            return await self.get(way, lambda: transport_of(proxy, True, kept, secure=way[1]))
        except ConfigurationError as error:
            raise httpx.ConnectError(error.message, request=request) from None


def _seconds(request: httpx.Request, default: float) -> Seconds:
    """The timeout that a request brings, in the words of `spread`."""
    said = request.extensions.get("timeout")
    if said is None:
        return default
    connect, read = said.get("connect"), said.get("read")
    same = connect is not None and {connect} == set(said.values())
    return connect if same else (connect, read)


async def _attempt(
    pool: httpx.AsyncHTTPTransport, call: PlainCall, request: httpx.Request, scope: Scope
) -> httpx.Response:
    """Send once; the caller's request is left as it is, for httpx makes those of redirects from it."""
    response = await scope.run(pool.handle_async_request(_ours(call, request, scope)))
    call.sending()
    response.headers.pop("set-cookie2", None)  # nobody sends it, and `http.cookiejar` takes more than linear time
    response.stream = BoundedStream(response.stream, call, request)
    return response


def _ours(call: Call, request: httpx.Request, scope: Scope) -> httpx.Request:
    extensions = {**request.extensions, "timeout": {}, "trace": trace(call, scope)}
    return httpx.Request(
        request.method, request.url, headers=request.headers, stream=request.stream, extensions=extensions
    )


def _repeats(call: PlainCall, response: httpx.Response) -> bool:
    """Whether a reply is an error that the call repeats; if not, its body is the caller's."""
    status, headers = response.status_code, Headers(response.headers.multi_items())
    if status < 400:
        call.opened(status, headers)
        return False
    return call.decide(call.refused(status, headers)).retry


async def _drain(call: PlainCall, response: httpx.Response) -> None:
    """Read an error body that nobody wants, within bounds, so that its connection serves again."""
    call.last(ERROR_BODY_SECONDS)
    with contextlib.suppress(httpx.TransportError):
        size = 0
        async for piece in response.aiter_raw():
            size += len(piece)
            if size > ERROR_BODY_BYTES:
                break
    await response.aclose()


class BoundedStream(httpx.AsyncByteStream):
    """The body of a response, read under the bounds of its call."""

    def __init__(self, inner: Any, call: Call, request: httpx.Request) -> None:
        self._inner, self._call, self._request = inner, call, request
        self._pieces: AsyncIterator[bytes] = aiter(inner)
        self._given = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await Scope(self._call).run(self._next())
        except Fault as fault:
            raise _timeout_of(fault, self._call, self._request) from None

    async def _next(self) -> bytes:
        self._given += 1
        if self._given % PIECES == 0:
            await asyncio.sleep(0)  # pieces that are at hand take no turn of the loop
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._inner.aclose()


def _timeout_of(fault: Fault, call: Call, request: httpx.Request) -> httpx.TimeoutException:
    """A bound that expired, in httpx's words."""
    expired = httpx.ReadTimeout if call.sent else httpx.ConnectTimeout
    return expired(fault.outcome.error.message, request=request)
