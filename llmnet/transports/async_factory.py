"""`create_async_client`: an `httpx.AsyncClient` for any HTTP API, under the same policy and bounds as our own calls."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx

from llmnet.core.bounds import Timeout, positive, resolve_timeout
from llmnet.core.call import Call
from llmnet.core.errors import APITimeoutError
from llmnet.core.http import Headers, Request
from llmnet.core.outcome import Fault, Outcome
from llmnet.core.retry import RetryPolicy, count
from llmnet.transports.async_transport import httpx_proxy, trace
from llmnet.transports.awaits import Scope
from llmnet.transports.faults import outcome_of
from llmnet.transports.plain import plain_call, policy_for, status_outcome
from llmnet.transports.proxies import proxy_for
from llmnet.transports.sockets import TCP_OPTIONS
from llmnet.transports.tls import ssl_context


def create_async_client(max_retries: int = 3, timeout: float = 30.0) -> httpx.AsyncClient:
    """Make a client that retries and times out as our clients do.

    It raises httpx's own exceptions, and returns the last response once retries are used up. POST is retried, after a
    timeout only if it carries an `Idempotency-Key`. What fails while a body is read is not sent again.

    Args:
        max_retries: retries after the first attempt.
        timeout: seconds for the whole of a request, retries included.

    Raises:
        ConfigurationError: a value is no such number.
    """
    policy = RetryPolicy(max_retries=count(max_retries, "max_retries"))
    bounds = resolve_timeout(positive(timeout, "timeout"), None, stream=False, flex=False)
    return httpx.AsyncClient(transport=ApiTransport(policy, bounds), timeout=None)  # noqa: S113 - our bounds hold


class ApiTransport(httpx.AsyncBaseTransport):
    """Makes a call of each request; a transport of its own for each proxy that the environment names."""

    def __init__(self, policy: RetryPolicy, timeout: Timeout) -> None:
        self._policy, self._timeout = policy, timeout
        self._inner: dict[str | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request under bounds and policy."""
        call = self._call(request)
        while True:
            await _enter(call)
            try:
                response = await self._attempt(call, request)
            except httpx.HTTPError as error:
                if not call.decide(outcome_of(error, call, proxied=isinstance(error, httpx.ProxyError))).retry:
                    raise
                continue
            except Fault as fault:
                if not call.decide(fault.outcome).retry:
                    raise _timeout_of(fault.outcome, request) from None
                continue
            if not await self._again(call, response):
                return response

    async def _attempt(self, call: Call, request: httpx.Request) -> httpx.Response:
        scope = Scope(call)
        request.extensions = {**request.extensions, "timeout": {}, "trace": trace(call, scope)}
        response = await scope.run(self._transport(str(request.url)).handle_async_request(request))
        call.sending()
        response.stream = BoundedStream(response.stream, call, request)
        return response

    async def _again(self, call: Call, response: httpx.Response) -> bool:
        headers = Headers(response.headers.multi_items())
        if 200 <= response.status_code < 400:
            call.opened(response.status_code, headers)
            return False
        if not call.decide(status_outcome(call, response.status_code, headers)).retry:
            return False
        await response.aclose()
        return True

    def _call(self, request: httpx.Request) -> Call:
        replayable = isinstance(request.stream, httpx.ByteStream)
        policy = policy_for(self._policy, request.method, request.headers, replayable=replayable)
        return plain_call(
            Request(method=request.method, url=str(request.url)), policy, self._timeout, host=request.url.host
        )

    def _transport(self, url: str) -> httpx.AsyncHTTPTransport:
        proxy = proxy_for(url, explicit=None, environ=os.environ)
        name = proxy.full_url if proxy else None
        if name not in self._inner:
            self._inner[name] = httpx.AsyncHTTPTransport(
                verify=ssl_context(True, os.environ),
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
                trust_env=False,
                proxy=httpx_proxy(proxy),
                socket_options=TCP_OPTIONS,
            )
        return self._inner[name]

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._inner.values():
            await transport.aclose()


class BoundedStream(httpx.AsyncByteStream):
    """The body of a response, read under the bounds of its call."""

    def __init__(self, inner: Any, call: Call, request: httpx.Request) -> None:
        self._inner, self._call, self._request = inner, call, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self._inner.__aiter__()
        while True:
            try:
                piece = await Scope(self._call).run(anext(pieces, None))
            except Fault as fault:
                raise _timeout_of(fault.outcome, self._request) from None
            if piece is None:
                return
            yield piece

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._inner.aclose()


def _timeout_of(outcome: Outcome, request: httpx.Request) -> httpx.HTTPError:
    """A bound that expired, in httpx's words."""
    phase = outcome.error.phase if isinstance(outcome.error, APITimeoutError) else None
    cls = httpx.ConnectTimeout if phase == "connect" else httpx.ReadTimeout
    return cls(outcome.error.message, request=request)


async def _enter(call: Call) -> None:
    while (wait := call.hold()) > 0:  # noqa: ASYNC110 - the gate is asked again on waking
        await asyncio.sleep(wait)
    call.begin(None)
