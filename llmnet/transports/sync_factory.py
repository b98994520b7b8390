"""`create_session`: a `requests.Session` for any HTTP API, under the same policy and bounds as our own calls."""

import math
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from llmnet.core.bounds import Timeout, positive, resolve_timeout
from llmnet.core.call import Call
from llmnet.core.http import Headers, Request
from llmnet.core.retry import RetryPolicy, count
from llmnet.transports.faults import outcome_of
from llmnet.transports.plain import plain_call, policy_for, status_outcome
from llmnet.transports.sync_retry import PolicyRetry, PoolAdapter, Resend, is_proxied


def create_session(max_retries: int = 3, timeout: float = 30.0) -> requests.Session:
    """Make a session that retries and times out as our clients do.

    It raises requests' own exceptions, and returns the last response once retries are used up. POST is retried, after a
    timeout only if it carries an `Idempotency-Key`. What fails while a body is read is not sent again.

    Args:
        max_retries: retries after the first attempt.
        timeout: seconds for the whole of a request, retries included; a request's own `timeout=` takes its place.

    Raises:
        ConfigurationError: a value is no such number.
    """
    adapter = ApiAdapter(RetryPolicy(max_retries=count(max_retries, "max_retries")), positive(timeout, "timeout"))
    session = requests.Session()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class ApiRetry(PolicyRetry):
    """Asks the call what to do; in the end the library's own error is raised, or its last response returned."""

    def new(self, **kwargs: Any) -> "ApiRetry":
        """The same call with a longer history."""
        return ApiRetry(self.call, kwargs.get("history", self.history))

    def increment(
        self, method: Any = None, url: Any = None, response: Any = None, error: Any = None, _pool: Any = None, *_: Any
    ) -> "ApiRetry":
        """Put a failed attempt to the call."""
        if self.call.exchange is None:
            self.call.begin(None)
        if error is not None:
            outcome = outcome_of(error, self.call, proxied=is_proxied(error))
        else:
            outcome = status_outcome(self.call, response.status, Headers(response.headers.items()))
        if self.call.decide(outcome).retry:
            return self.new()
        if isinstance(error, urllib3.exceptions.ReadTimeoutError | urllib3.exceptions.ProtocolError):
            raise error
        # urllib3 returns the response of an exhausted status, since `raise_on_status` is off.
        raise urllib3.exceptions.MaxRetryError(_pool, url, error)


class ApiAdapter(PoolAdapter):
    """Makes a call of each request."""

    def __init__(self, policy: RetryPolicy, timeout: float) -> None:
        self._policy, self._timeout = policy, timeout
        super().__init__(_enter, pool_size=100, retry=ApiRetry)

    def send(
        self, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send a request under bounds and policy."""
        replayable = request.body is None or isinstance(request.body, str | bytes)
        policy = policy_for(self._policy, request.method, request.headers, replayable=replayable)
        bounds = self._bounds(timeout, stream=stream)
        plain = Request(method=request.method, url=request.url, headers=_texts(request.headers))
        request.call = plain_call(plain, policy, bounds, host=urlsplit(request.url).netloc)
        while True:
            try:
                return super().send(request, stream, None, *args, **kwargs)
            except Resend:
                continue

    def _bounds(self, timeout: Any, *, stream: bool) -> Timeout:
        if isinstance(timeout, tuple):
            connect, read = (math.inf if seconds is None else positive(seconds, "timeout") for seconds in timeout)
            return Timeout(connect=connect, response=read, idle=read, total=math.inf)
        seconds = self._timeout if timeout is None else timeout
        return resolve_timeout(seconds, None, stream=stream, flex=False)


def _texts(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    return {name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in headers.items()}


def _enter(call: Call) -> None:
    while (wait := call.hold()) > 0:
        time.sleep(wait)
    call.begin(None)
