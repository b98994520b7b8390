"""The policy as urllib3 has a place for it: a `Retry` that asks the call what to do with what failed."""

import http.client
from typing import Any, Self

import requests
import urllib3
from urllib3.util.retry import RequestHistory

from llmnet.core.call import Call
from llmnet.core.http import Headers
from llmnet.core.outcome import Outcome
from llmnet.transports.classify import outcome_of

# What a library or the socket below it may raise; anything else is not ours to judge and passes at once.
FOREIGN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_SECONDS = 2.0
# urlopen calls itself for each attempt; before the stack gets deep the call is taken up again from below.
_DEPTH = 20


class Resend(Exception):  # noqa: N818 - a word between two functions of this room
    """The attempt is to be repeated, from a shallow stack."""


class PolicyRetry(urllib3.Retry):
    """Asks the call what to do; it counts nothing and waits for nothing itself."""

    def __init__(self, call: Call, history: tuple[RequestHistory, ...] = ()) -> None:
        super().__init__(
            total=None, redirect=0, raise_on_status=False, respect_retry_after_header=False, history=history
        )
        self.call = call

    def new(self, **kwargs: Any) -> Self:
        """The same call with a longer history."""
        return type(self)(self.call, kwargs.get("history", self.history))

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """All that is no success is put to the call."""
        return not 200 <= status_code < 300

    def increment(
        self, method: Any = None, url: Any = None, response: Any = None, error: Any = None, *_: Any, **__: Any
    ) -> Self:
        """Put a failed attempt to the call: a new `Retry` where it is repeated, else the final error is raised."""
        outcome = (
            outcome_of(error, self.call, proxied=is_proxied(error, self.call))
            if error
            else refusal(self.call, response)
        )
        self.call.judge(outcome)
        return self.after(method, url, response)

    def after(self, method: Any, url: Any, response: Any) -> Self:
        """The `Retry` of the attempt that follows a failed one."""
        # A key's function is asked from below, too: what it raises must not pass through libraries that would judge it.
        if len(self.history) >= _DEPTH or callable(self.call.key_source):
            if response is not None:
                response.close()
            raise Resend
        status = None if response is None else response.status
        # The error is left out: its frames would keep the pool alive for as long as the response.
        return self.new(history=(*self.history, RequestHistory(method, url, None, status, None)))

    def is_exhausted(self) -> bool:
        """The call says when to stop."""
        return False

    def sleep(self, response: Any = None) -> None:
        """Not here, where the failed connection is still held: the next `urlopen` waits."""


def refusal(call: Call, response: urllib3.BaseHTTPResponse) -> Outcome:
    """The outcome of an error reply; as much of its body as is worth reading is read."""
    exchange = call.exchange or call.begin(call.key)
    call.opened(response.status, Headers(response.headers.items()))
    return Outcome(exchange.fail(error_body(call, response)))


def error_body(call: Call, response: urllib3.BaseHTTPResponse) -> bytes:
    """An error body, bounded in bytes and time; read to its end, its connection serves again."""
    call.last(ERROR_BODY_SECONDS)
    body = bytearray()
    try:
        while len(body) < ERROR_BODY_BYTES:
            piece = response.read1(ERROR_BODY_BYTES - len(body), decode_content=False)
            if not piece:
                return bytes(body)
            body += piece
    except FOREIGN:
        pass
    response.close()
    return bytes(body)


def is_proxied(error: BaseException, call: Call) -> bool:
    """Whether a failure is to be laid at the proxy's door; urllib3 lays all there that happens behind one.

    Once the request itself is on its way, a loss is that of any connection.
    """
    return not call.sent and isinstance(error, urllib3.exceptions.ProxyError | requests.exceptions.ProxyError)
