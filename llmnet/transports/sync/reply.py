"""The open reply of the sync transport, the raw bytes of a body under its bounds; and what has a failure judged.

The policy stands where urllib3 has a place for it: a `Retry` that hands the call back.
"""

import http.client
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NoReturn, Self

import requests
import urllib3

from llmnet.core.exchange import Exchange
from llmnet.core.http import Headers
from llmnet.core.interrupts import surely
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.transports.classify import outcome_of

# What a library or the socket below it may raise; anything else is not ours to judge and passes at once.
FOREIGN = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
READ_BYTES = 65536
# Seconds and bytes: what is read of an error, and of what follows a terminal event.
ERROR_BODY = (2.0, 64 * 1024)
DRAIN = (0.25, 64 * 1024)


class Response(requests.Response):
    """What `Session.send` sees of a reply; requests' own would come with a jar, and a guess at its encoding."""

    history: Any = ()
    cookies: Any = None

    def __init__(self, request: Any, raw: Any) -> None:
        self.status_code, self.reason, self.headers = raw.status, raw.reason, raw.headers
        self.raw, self.url, self.request = raw, request.url, request


class OpenReply:
    """A reply whose head has arrived: an iterator over the raw bytes of its body.

    Args:
        exchange: what it replies to.
        raw: a `Reply`, or the response of urllib3's that a mock gives in its place.

    Attributes:
        ended: whether all of it has been given out.
    """

    def __init__(self, exchange: Exchange, raw: Any) -> None:
        self._exchange, self._raw = exchange, raw
        self.ended = self._closed = False
        self.status, headers = raw.status, raw.headers
        self.headers = headers if isinstance(headers, Headers) else Headers(headers.items())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The next bytes of the body; none, while its reader is behind with those before."""
        return b"" if self._exchange.reply.behind else self._read()

    def _read(self) -> bytes:
        exchange = self._exchange
        try:
            # `iter_content` would hold back what a server sends without chunking (psf/requests#5536).
            data: bytes = self._raw.read1(READ_BYTES, False)
        except FOREIGN as error:
            outcome = outcome_of(error, exchange)
            if exchange.reply.survives(outcome):
                raise StopIteration from error
            raise AttemptError(outcome) from error
        except Exception:
            exchange.raise_if_stopped()  # connections that are closed under a stopped call may fail in any way
            raise
        self.ended = not data or self._raw.closed
        if not data:
            raise StopIteration
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; what still follows a terminal event is drained, briefly."""
        exchange = self._exchange
        try:
            if not self._closed and not self.ended and exchange.reply.done and exchange.stopped is None:
                last_bytes(self, exchange, *DRAIN)
        finally:
            self.drop()

    def drop(self) -> None:
        """Let go at once; a connection whose reply was not read to its end is closed.

        Its pool gets it only at the end of the reply, by itself: a finalizer comes by here, and the lock of a pool may
        be held by the very thread that runs it.
        """
        if not self.ended:
            self._raw.close()
        # At the end: what a Ctrl-C has kept from being done is left to the finalizer.
        self._closed = True

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            surely(self.drop)


def last_bytes(reply: Iterable[bytes], exchange: Exchange, seconds: float, size: int) -> bytes:
    """What is still read of a reply, bounded in time and size; read to its end, its connection serves again."""
    exchange.drain(seconds)
    body = bytearray()
    try:
        for data in reply:
            body += data
            if len(body) >= size or exchange.remaining() <= 0:
                break
    except AttemptError:
        pass
    return bytes(body[:size])


class Here(threading.local):
    """What a thread carries.

    Attributes:
        exchange: that which it sends for.
    """

    exchange: Any = None


class PolicyRetry(urllib3.Retry):
    """Asks the exchange what to do, and raises the answer: one `send` is one attempt, and the driver repeats it."""

    def __init__(self, here: Here) -> None:
        super().__init__(total=None, redirect=0, raise_on_status=False, respect_retry_after_header=False)
        self._here = here

    def new(self, **_: Any) -> Self:
        """The same: nothing is counted here."""
        return self

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """All that is no success is judged."""
        return not 200 <= status_code < 300

    def increment(
        self, method: Any = None, url: Any = None, response: Any = None, error: Any = None, *_: Any, **__: Any
    ) -> NoReturn:
        """Have a failed attempt judged.

        Raises:
            AttemptError: always.
        """
        exchange = self._here.exchange
        outcome = failure(error, exchange) if error else refusal(response, exchange)
        raise AttemptError(outcome, exchange.decide(outcome))

    def is_exhausted(self) -> bool:
        """The judge says when to stop."""
        return False


def refusal(response: Any, exchange: Exchange) -> Outcome:
    """The outcome of an error reply; as much of its body as is worth reading is read."""
    with OpenReply(exchange, response) as reply:
        exchange.head(reply.status, reply.headers)
        return Outcome(exchange.reply.fail(last_bytes(reply, exchange, *ERROR_BODY)))


def failure(error: BaseException, exchange: Exchange) -> Outcome:
    """The outcome of what a library has raised; urllib3 blames the proxy for every failure behind one.

    Once the request itself is on its way, a loss is that of any connection.
    """
    by_proxy = isinstance(error, urllib3.exceptions.ProxyError | requests.exceptions.ProxyError)
    return outcome_of(error, exchange, proxied=by_proxy and not exchange.sent)
