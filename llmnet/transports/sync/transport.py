"""The sync transport: a `requests.Session` whose adapter carries the policy, and the open replies that it gives."""

import os
import ssl
import sys

import requests

from llmnet.core.admission.queue import FairQueue
from llmnet.core.call import Call
from llmnet.core.errors import ConfigurationError
from llmnet.core.forks import abandon, renewed_after_fork
from llmnet.core.http import Headers
from llmnet.core.outcome import Fault, Outcome
from llmnet.net.proxy import Proxy
from llmnet.net.proxy_route import check_way, way_of
from llmnet.net.tls import ssl_context
from llmnet.transports.classify import outcome_of
from llmnet.transports.logs import hide_in_logs
from llmnet.transports.sync.pool import CallAdapter
from llmnet.transports.sync.reply import OpenReply
from llmnet.transports.sync.retry import FOREIGN, Resend, error_body, is_proxied
from llmnet.transports.sync.tls import Lent
from llmnet.transports.sync.wait import Waits, ask_key

# As everybody writes them: the matchers of `responses` tell cases apart.
_CUSTOMARY = {name.lower(): name for name in ("Accept", "Authorization", "Content-Type", "User-Agent")}


class _NoCookies(requests.cookies.RequestsCookieJar):
    """Keeps nothing: what is never sent would only grow."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Nothing is taken."""


class Transport:
    """Sends calls over pooled connections; made for all threads of a process.

    They share the adapter, which sees to itself, and a `requests.Session` of which nothing changes once it is made but
    its cookies, which have a lock.

    Args:
        queue: where calls wait for a slot.
        proxy: an explicit proxy, or `None` for the environment's.
        verify: what to trust (`ClientConfig.verify`).
        pool_size: idle connections kept for each host.
        http2: refused; requests has none.
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
        if http2:
            raise ConfigurationError("http2=True needs AsyncClient: requests speaks HTTP/1.1 only")
        check_way(proxy, verify, "sync")
        self.waits = Waits()
        self._queue, self._proxy, self._verify = queue, proxy, verify
        self._adapter = CallAdapter(self._enter, self._tls, pool_size)
        self._session = self._new_session()
        renewed_after_fork(self)

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        # The environment is read by rules of our own; netrc would replace the key (psf/requests#3929).
        session.trust_env = False
        session.cookies = _NoCookies()
        session.mount("https://", self._adapter)
        session.mount("http://", self._adapter)
        return session

    def renew(self) -> None:
        """Take a session whose locks are free, in a forked child; the adapter renews itself."""
        abandon(self._session)
        self._session = self._new_session()

    def _tls(self) -> Lent:
        return Lent(ssl_context(self._verify, os.environ, "sync"))

    def send(self, call: Call) -> "OpenReply":
        """Wait for the call's turn, send it, and give the open reply.

        Raises:
            Fault: the attempt failed and nobody has judged it.
            LLMNetError: it failed, and the call has said that it ends here.
        """
        call.outer = id(sys.exception())
        try:
            while True:
                # Outside of what follows: what the caller's own function raises for a key is not ours to judge.
                self._enter(call)
                try:
                    return self._send(call)
                except Resend:
                    continue
                except FOREIGN as error:
                    raise Fault(outcome_of(error, call, proxied=is_proxied(error, call))) from error
                except Exception:
                    call.go_on()  # connections that are closed under a stopped call may fail in any way
                    raise
        except BaseException:
            self.leave(call)
            raise

    def _send(self, call: Call) -> "OpenReply":
        proxy = way_of(call, self._proxy, os.environ)
        hide_in_logs(call.secrets)
        response = self._session.send(_prepared(call), stream=True, allow_redirects=False, proxies=_proxies(proxy))
        return self._opened(call, response)

    def _opened(self, call: Call, response: requests.Response) -> "OpenReply":
        if call.exchange is None:
            # A library that answers in the adapter's place retries without our pools, hence without a new attempt.
            call.begin(call.key)
        call.sending()
        try:
            if call.opened(response.status_code, Headers(response.headers.items())) == "error":
                # No `Retry` of ours has seen it: a library that mounts adapters of its own has answered.
                raise Fault(Outcome(call.under_way.fail(error_body(call, response.raw))))
        except Fault:
            response.close()
            raise
        return OpenReply(self.leave, call, response)

    def _enter(self, call: Call) -> None:
        """Wait until the call may send: its delay, the gate, a slot; nothing is held while it sleeps."""
        self.leave(call)
        while True:
            if (wait := call.hold()) > 0:
                self.waits.sleep(wait, call)
                continue
            self.waits.slot(self._queue, call)
            if call.hold() <= 0:
                break
            self.leave(call)
        call.bounds.past_queue()
        call.begin(ask_key(call))

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

    def close(self) -> None:
        """Close all idle connections."""
        self._session.close()


def _proxies(proxy: Proxy | None) -> dict[str, str]:
    """A proxy as requests takes it."""
    return {} if proxy is None else {"http": proxy.full_url, "https": proxy.full_url}


def _prepared(call: Call) -> requests.PreparedRequest:
    """The first attempt's request; libraries that answer in the adapter's place look at its headers."""
    request = call.under_way.request
    headers = {_CUSTOMARY.get(name, name): value for name, value in request.headers.items()}
    prepared = requests.Request(request.method, request.url, headers=headers, data=request.body).prepare()
    prepared.call = call  # type: ignore[attr-defined]
    return prepared
