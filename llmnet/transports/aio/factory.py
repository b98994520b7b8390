"""`create_async_client`: an `httpx.AsyncClient` for any HTTP API, under the same policy and bounds as our own calls."""

import functools
import os
from collections.abc import Coroutine, Mapping
from typing import Any, Self

import httpx

from llmnet.core.errors import ConfigurationError
from llmnet.core.exchange import Exchange
from llmnet.core.http import Request
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.plain import public
from llmnet.net.proxy import Proxy
from llmnet.net.proxy_route import proxy_on_way
from llmnet.transports.aio.client import Client
from llmnet.transports.aio.reply import ERROR_BODY, OpenReply, last_bytes
from llmnet.transports.aio.transport import Transport
from llmnet.transports.aio.wait import AsyncWait
from llmnet.transports.generic import Calls, GenericCall, Seconds, spread

_POOL_SIZE = 100
# Where a request says that its body is streamed, which httpx keeps to itself.
_STREAMED = "llmnet.streamed"
# What no repetition mends, though httpx counts it among the errors of transport.
_FINAL = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


@public
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
    calls = Calls(max_retries, timeout, AsyncWait())
    return ApiClient(transport=ApiTransport(calls), timeout=calls.timeout)


class ApiClient(httpx.AsyncClient):
    """Tells its transport which bodies are streamed: these may take longer."""

    async def send(self, request: httpx.Request, *, stream: bool = False, **kwargs: Any) -> httpx.Response:
        """Send a request."""
        request.extensions = {**request.extensions, _STREAMED: stream}
        return await super().send(request, stream=stream, **kwargs)


class ApiTransport(httpx.AsyncBaseTransport):
    """Makes a call of each request, and has our transport carry it; on connections of the loop that it is sent from."""

    def __init__(self, calls: Calls[AsyncWait]) -> None:
        self.calls = calls
        self._carrier, self._closed = Carrier(proxy=None, verify=True, pool_size=_POOL_SIZE), False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request under bounds and policy."""
        call = self._call(request)
        while True:
            try:
                reply = await self._open(call, request)
            except AttemptError as failure:
                failed = failure
            except ConfigurationError as error:  # the proxy or the certificates that the environment names
                raise httpx.ConnectError(error.message, request=request) from None
            else:
                exchange = call.current
                exchange.head(reply.status, reply.headers)
                if reply.status < 400 or not call.decide(Outcome(exchange.reply.fail(b""))).retry:
                    return _response(reply, exchange, request)
                async with reply:
                    await last_bytes(reply, exchange, *ERROR_BODY)
                continue
            theirs = _theirs(failed, call.exchange, request)
            repeats = isinstance(theirs, httpx.TransportError) and not isinstance(theirs, _FINAL)
            if self._closed or not repeats or not call.decide(failed.outcome).retry:
                raise theirs  # outside of the handler: it keeps the causes that the library has given it

    async def _open(self, call: GenericCall, request: httpx.Request) -> OpenReply:
        call.enter()
        call.bounds.past_queue()  # the drained end of a refusal had a bound that counts no more
        await self.calls.waits.enter(call.admission, call.interruption)
        return await self._carrier.carry(call.begin(), functools.partial(_sent, request))

    def _call(self, request: httpx.Request) -> GenericCall:
        bounds = spread(_seconds(request, self.calls.timeout), stream=request.extensions.get(_STREAMED, False))
        plain = Request(method=request.method, url=str(request.url), headers=request.headers)
        return self.calls.new(plain, bounds, replayable=isinstance(request.stream, httpx.ByteStream))

    async def aclose(self) -> None:
        """Close all connections of the running loop; what fails from now on is not repeated."""
        self._closed = True
        await self._carrier.aclose()


class Carrier(Transport):
    """Goes through the proxy that the environment names at each request, as a session does, whatever the host."""

    def _proxy_of(self, exchange: Exchange) -> Proxy | None:
        return proxy_on_way(exchange.request.url, None, os.environ)


def _seconds(request: httpx.Request, default: float) -> Seconds:
    """The timeout that a request brings, in the words of `spread`."""
    said = request.extensions.get("timeout")
    if said is None:
        return default
    connect, read = said.get("connect"), said.get("read")
    same = connect is not None and {connect} == set(said.values())
    return connect if same else (connect, read)


def _sent(request: httpx.Request, client: Client, extensions: Mapping[str, Any]) -> Coroutine[Any, Any, httpx.Response]:
    """Send once; the caller's request is left as it is, for httpx makes those of redirects from it."""
    ours = httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, **extensions},
    )
    return client.transport.handle_async_request(ours)


def _response(reply: OpenReply, exchange: Exchange, request: httpx.Request) -> httpx.Response:
    """The response as the caller has it, its body read under our bounds."""
    response = reply.response
    response.headers.pop("set-cookie2", None)  # nobody sends it, and `http.cookiejar` takes more than linear time
    body = BoundedStream(reply, exchange, request)
    return httpx.Response(reply.status, headers=response.headers, stream=body, extensions=response.extensions)


class BoundedStream(httpx.AsyncByteStream):
    """The body of a response, read under the bounds of its call."""

    def __init__(self, reply: OpenReply, exchange: Exchange, request: httpx.Request) -> None:
        self._reply, self._exchange, self._request = reply, exchange, request

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            self._exchange.between()
            return await anext(self._reply)
        except AttemptError as failure:
            error = _theirs(failure, self._exchange, self._request)
        raise error

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._reply.aclose()


def _theirs(failure: AttemptError, exchange: Exchange | None, request: httpx.Request) -> BaseException:
    """What httpx would raise: its own error, or a timeout where a bound of ours has expired."""
    if failure.__cause__ is not None:
        return failure.__cause__
    expired = httpx.ReadTimeout if exchange is None or exchange.sent else httpx.ConnectTimeout
    return expired(failure.outcome.error.message, request=request)
