"""The async transport: one `httpx.AsyncClient` for each event loop, and the open replies that it gives."""

import os
import ssl
import sys
from typing import Any

import httpx

from llmnet.core.admission.queue import FairQueue
from llmnet.core.call import Call
from llmnet.core.http import Headers
from llmnet.core.outcome import Fault, Outcome
from llmnet.net.proxy_route import check_way, need, way_of
from llmnet.transports.aio.by_route import Ways, in_use
from llmnet.transports.aio.per_loop import PerLoop
from llmnet.transports.aio.pool import transport_of
from llmnet.transports.aio.reply import FOREIGN, OpenReply
from llmnet.transports.aio.wait import Awaits, Scope, ask_key
from llmnet.transports.classify import outcome_of
from llmnet.transports.logs import hide_in_logs


class _NoCookies(httpx.Cookies):
    """Keeps nothing: what is never sent would only grow."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Nothing is taken."""


_NONE = _NoCookies()


class _Client(httpx.AsyncClient):
    """A client of httpx's around a transport, without a cookie jar."""

    cookies = property(lambda _: _NONE, lambda *_: None)

    def __init__(self, transport: httpx.AsyncHTTPTransport) -> None:
        super().__init__(transport=transport, trust_env=False, timeout=None)
        self.transport = transport


class Lanes(Ways[_Client]):
    """The clients of one event loop, by the way that a request goes: that loop's alone."""

    def __init__(self) -> None:
        super().__init__(lambda client: in_use(client.transport))


class Transport:
    """Sends calls over pooled connections; made for all event loops of a process.

    Args:
        queue: where calls wait for a slot.
        proxy: an explicit proxy, or `None` for the environment's.
        verify: what to trust (`ClientConfig.verify`).
        pool_size: idle connections kept in each loop.
        http2: whether HTTP/2 is offered.
    """

    def __init__(
        self,
        queue: FairQueue,
        *,
        proxy: str | None,
        verify: bool | str | ssl.SSLContext,
        pool_size: int,
        http2: bool = False,
    ) -> None:
        check_way(proxy, verify, "async h2" if http2 else "async")
        if http2:
            need("h2", "http2=True", "http2")
        self.waits = Awaits()
        self._queue, self._proxy, self._verify, self._pool_size, self._http2 = queue, proxy, verify, pool_size, http2
        self._lanes = PerLoop(Lanes, Lanes.aclose)

    async def send(self, call: Call) -> "OpenReply":
        """Wait for the call's turn, send it, and give the open reply.

        Raises:
            Fault: the attempt failed and nobody has judged it.
            LLMNetError: the call has said that it ends here.
        """
        call.outer = id(sys.exception())
        try:
            # Outside of what follows: what the caller's own function raises for a key is not ours to judge.
            await self._enter(call)
            scope = Scope(call)
            try:
                return await self._send(call, scope)
            except FOREIGN as error:
                raise Fault(outcome_of(error, call, proxied=is_proxied(error, scope))) from error
            except Exception:
                call.go_on()  # connections that are closed under a stopped call may fail in any way
                raise
        except BaseException:
            self.leave(call)
            raise

    async def _send(self, call: Call, scope: Scope) -> "OpenReply":
        client = await self._client(call)
        hide_in_logs(call.secrets)
        response = await scope.run(client.send(_request(call, scope), stream=True))
        call.sending()
        reply = OpenReply(self.leave, call, response)
        try:
            if call.opened(response.status_code, Headers(response.headers.multi_items())) == "error":
                raise Fault(Outcome(call.under_way.fail(await reply.error_body())))
        except BaseException:
            await reply.aclose()
            raise
        return reply

    async def _enter(self, call: Call) -> None:
        """Wait until the call may send: its delay, the gate, a slot; nothing is held while it sleeps."""
        self.leave(call)
        while True:
            if (wait := call.hold()) > 0:
                await self.waits.sleep(wait, call)
                continue
            await self.waits.slot(self._queue, call)
            if call.hold() <= 0:
                break
            self.leave(call)
        call.bounds.past_queue()
        call.begin(await ask_key(call))

    def leave(self, call: Call) -> None:
        """Give the call's slot back, if it holds one; nothing of this attempt is left to be woken."""
        call.wakes(None)
        if call.ticket is not None:
            self._queue.leave(call.ticket)
            call.ticket = None

    def end(self, call: Call, error: BaseException | None) -> None:
        """Nobody goes on with a call: nothing of it is left, even if a Ctrl-C has come before it left by itself."""
        self.leave(call)
        call.end(error)

    async def _client(self, call: Call) -> httpx.AsyncClient:
        """The client of the running loop for the way that a call goes."""
        lanes = await self._lanes.here()
        url, fresh = call.request.url, call.wants_fresh
        proxy = way_of(call, self._proxy, os.environ)
        way = (proxy.full_url if proxy else "", url.startswith("https:"), fresh)
        kept = 0 if fresh else self._pool_size
        return await lanes.get(
            way, lambda: _Client(transport_of(proxy, self._verify, kept, secure=way[1], http2=self._http2))
        )

    async def aclose(self) -> None:
        """Close all connections; those of other loops when these come to it."""
        await self._lanes.aclose()


def _request(call: Call, scope: Scope) -> httpx.Request:
    request = call.under_way.request
    return httpx.Request(
        request.method,
        request.url,
        # As bytes: of texts httpx takes only ASCII.
        headers=[(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()],
        content=request.body,
        extensions={"timeout": {}, "trace": trace(call, scope)},
    )


def is_proxied(error: BaseException, scope: Scope) -> bool:
    """Whether a failure is to be laid at the proxy's door."""
    return scope.at_proxy or isinstance(error, httpx.ProxyError)


def _server(call: Call) -> tuple[str, int]:
    """Host and port of the request, as httpcore dials them; it dials others only where they are a proxy's."""
    url = httpx.URL(call.request.url)
    return url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)


def trace(call: Call, scope: Scope) -> Any:
    """Follow httpcore's steps: they are where a connection begins, is ready, and has been used before."""
    fresh, stream = False, None

    async def follow(name: str, info: dict[str, Any]) -> None:
        nonlocal fresh, stream
        step = name.partition(".")[2]
        if step == "connect_tcp.started":
            fresh = True
            scope.at_proxy = (info["host"], info["port"]) != _server(call)
            call.go_on()  # a pool that was closed under its request might connect anew
            call.connecting()
            scope.arm()
        elif step == "connect_tcp.complete":
            stream = info["return_value"]
        elif step == "start_tls.failed" and stream is not None:
            # httpcore itself would forget the socket of a handshake that is cancelled, and leave it open.
            await stream.aclose()
        elif name == "proxy.start_tls.started":  # through its tunnel, with the server
            scope.at_proxy = False
        elif step == "send_request_headers.started" and info["request"].method != b"CONNECT":
            scope.at_proxy = False
            call.reused, call.uploading = not fresh, True
            call.sending()
            scope.arm()
        elif step == "send_request_body.complete":
            call.uploading = False

    return follow
