"""`create_session`: a `requests.Session` for any HTTP API, under the same policy and bounds as our own calls."""

from collections.abc import Mapping
from typing import Any, NoReturn

import requests
import urllib3
from requests.utils import rewind_body
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, ProtocolError, ReadTimeoutError

from llmnet.core.errors import APITimeoutError, LLMNetError
from llmnet.core.exchange import Exchange
from llmnet.core.http import Headers, Request
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.core.plain import public
from llmnet.transports.generic import Calls, GenericCall, spread
from llmnet.transports.sync.pool import PoolAdapter
from llmnet.transports.sync.reader import Reply
from llmnet.transports.sync.reply import ERROR_BODY, OpenReply, PolicyRetry, failure, last_bytes
from llmnet.transports.sync.wait import SyncWait

_POOL_SIZE = 100


@public
def create_session(max_retries: int = 3, timeout: float = 30.0) -> requests.Session:
    """Make a session that retries and times out as our clients do, for any HTTP API.

    It raises requests' own exceptions, and returns the last response once retries are used up. Retried are lost
    connections and the statuses of `RetryPolicy`, for POST too; a timeout only where the method is idempotent or the
    request carries an `Idempotency-Key`. What fails while a body is read is not sent again.

    Args:
        max_retries: retries after the first attempt.
        timeout: seconds for the whole of a request, its retries and its body included; with `stream=True` for each
            wait, and ten minutes in all. A request's own `timeout=` takes its place; a pair (connect, read) bounds
            single waits alone, as requests has it.

    Raises:
        ConfigurationError: a value is no such number.
    """
    adapter = ApiAdapter(Calls(max_retries, timeout, SyncWait()))
    session = requests.Session()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class ApiRetry(PolicyRetry):
    """Hands back what is sent again; in the end the library's own error is raised, or its last response returned."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """Error statuses are judged; a redirect is the session's to follow."""
        return status_code >= 400

    def increment(
        self,
        method: Any = None,
        url: Any = None,
        response: Any = None,
        error: Any = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> NoReturn:
        """Have a failed attempt judged; an error body is read only when it is not the caller's."""
        exchange = self._here.exchange
        if response is not None:
            exchange.head(response.status, Headers(response.headers.items()))
        outcome = failure(error, exchange) if error else Outcome(exchange.reply.fail(b""))
        decision = exchange.decide(outcome)
        if not decision.retry:
            raise _last(error, outcome.error, exchange, _pool, url)
        if response is not None:
            with OpenReply(exchange, response) as reply:
                last_bytes(reply, exchange, *ERROR_BODY)
        raise AttemptError(outcome, decision)


def _last(error: Any, ours: LLMNetError, exchange: Exchange, pool: Any, url: Any) -> urllib3.exceptions.HTTPError:
    """What urllib3 is to end with: requests knows its own name for each; for a status it is the response itself."""
    if isinstance(ours, APITimeoutError):
        if exchange.sent:
            return ReadTimeoutError(pool, url, ours.message)
        error = ConnectTimeoutError(ours.message)
    return error if isinstance(error, ReadTimeoutError | ProtocolError) else MaxRetryError(pool, url, error)


class ApiAdapter(PoolAdapter):
    """Makes a call of each request, and sends it."""

    def __init__(self, calls: Calls[SyncWait]) -> None:
        self.calls = calls
        super().__init__(_POOL_SIZE, ApiRetry)

    def send(
        self, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send a request under bounds and policy."""
        bounds = spread(self.calls.timeout if timeout is None else timeout, stream=stream)
        plain = Request(method=request.method, url=request.url, headers=_texts(request.headers))
        call = self.calls.new(plain, bounds, replayable=_replayable(request.body))
        while True:
            exchange = self._begin(call, request)
            try:
                response = self.serve(exchange, request, stream, *args, **kwargs)
            except AttemptError:
                _rewind(request)
            else:
                exchange.head(response.status_code, Headers(response.headers.items()))
                return response

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Make a response of one that is as urllib3 has it, which decodes its body."""
        return super().build_response(req, resp.wrapped() if isinstance(resp, Reply) else resp)

    def _begin(self, call: GenericCall, request: requests.PreparedRequest) -> Exchange:
        call.enter()
        call.bounds.past_queue()  # the drained end of a refusal had a bound that counts no more
        try:
            self.calls.waits.enter(call.admission, call.interruption)
        except AttemptError as over:  # an error body that came slowly has taken the rest of the time
            raise requests.ReadTimeout(over.outcome.error.message, request=request) from None
        return call.begin()


def _texts(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    return {name: value.decode("latin-1") if isinstance(value, bytes) else value for name, value in headers.items()}


def _replayable(body: Any) -> bool:
    """Whether a body can be sent more than once: bytes, or a file, which urllib3 rewinds."""
    if body is None or isinstance(body, str | bytes | bytearray | memoryview):
        return True
    seekable = getattr(body, "seekable", None)
    return seekable is not None and bool(seekable())


def _rewind(request: requests.PreparedRequest) -> None:
    if hasattr(request.body, "seek"):
        rewind_body(request)
