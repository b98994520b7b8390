"""The policy as urllib3 has a place for it: a `Retry` that has each failure judged, and hands the call back."""

import threading
from typing import Any, NoReturn, Self

import requests
import urllib3

from llmnet.core.exchange import Exchange
from llmnet.core.outcome import AttemptError, Outcome
from llmnet.transports.classify import outcome_of
from llmnet.transports.sync.reply import ERROR_BODY, OpenReply, last_bytes


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
