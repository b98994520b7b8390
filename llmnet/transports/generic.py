"""Calls to any HTTP API, of which nothing is known: judged by their status alone, their bodies left to the caller."""

import dataclasses
import math
import random
import sys
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from llmnet.core.admission.gate import Gate
from llmnet.core.bounds import Bounds, Clock, Timeout, positive, resolve_timeout
from llmnet.core.call import Call
from llmnet.core.chat import StreamChunk
from llmnet.core.draft import Draft
from llmnet.core.errors import APIStatusError, ConfigurationError
from llmnet.core.http import Headers, Request
from llmnet.core.outcome import Outcome
from llmnet.core.retry import Decision, RetryPolicy
from llmnet.core.secrets import Secrets
from llmnet.core.sse import ServerSentEvent
from llmnet.core.wire_form import Kind

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})  # RFC 9110, 9.2.2

# Seconds for the whole, or a pair (connect, read) that bounds single waits, as the libraries take them.
Seconds = float | tuple[float | None, float | None]


class Clocks(Protocol):
    """Where a call reads the time; the waits of either front are such clocks."""

    @property
    def clock(self) -> Clock:
        """The monotonic time."""

    @property
    def wall(self) -> Clock:
        """The Unix time."""


W = TypeVar("W", bound=Clocks)


class PlainForm:
    """The wire form of an API of which nothing is known: its bodies are left to the caller."""

    provider = "http"

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """Nothing is read."""

    def parse_event(self, event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """Nothing is read."""

    def close(self, draft: Draft) -> StreamChunk | None:
        """Nothing is held."""

    def parse_error(self, status: int, headers: Mapping[str, str], payload: Any) -> APIStatusError:
        """An error of that status."""
        return APIStatusError(f"HTTP {status}", status=status, http_status=status)

    def find_error(self, payload: Any) -> bool:
        """Whatever a success holds is the caller's."""
        return False

    def message(self, draft: Draft) -> dict[str, Any]:
        """There is no conversation."""
        return {}


class PlainCall(Call):
    """A call that shares nothing with others, and whose body somebody else reads.

    Args:
        request: what is sent.
        policy: how often.
        bounds: how long.
        clocks: where the time is read.
        replayable: whether the body can be sent a second time.
    """

    chance: Callable[[], random.Random] = random.Random

    def __init__(
        self, request: Request, policy: RetryPolicy, bounds: Timeout, clocks: Clocks, *, replayable: bool = True
    ) -> None:
        super().__init__(
            PlainForm(),
            request,
            authorise=lambda request, _: request,
            policy=policy,
            bounds=Bounds(bounds, clocks.clock),
            rng=self.chance(),
            wall=clocks.wall,
            gate=Gate(),
            bucket=None,
            host="",
            secrets=Secrets(),
        )
        self.clocks, self._replayable = clocks, replayable

    def hold(self) -> float:
        """Seconds to wait before the next attempt; the drained end of a refusal had a bound that counts no more."""
        self.bounds.past_queue()
        return super().hold()

    def opened(self, status: int, headers: Headers) -> Kind:
        """The head of the reply has arrived, and with it the reply has begun: what is in it is not for us to see."""
        if self.exchange is None:
            self.begin(None)  # a mock answered in the place of the pool in which attempts begin
        kind = super().opened(status, Headers({k: v for k, v in headers.items() if k != "content-encoding"}))
        self.under_way.draft.begun = True
        return kind

    def refused(self, status: int, headers: Headers) -> Outcome:
        """The outcome of an error status; its body stays unread, for it may be the last one and the caller's."""
        self.opened(status, headers)
        return Outcome(self.form.parse_error(status, headers, None))

    @property
    def wants_fresh(self) -> bool:
        """Whether the attempt must take a new connection; what cannot be sent twice must not meet a stale one."""
        return not self._replayable or super().wants_fresh

    def decide(self, outcome: Outcome) -> Decision:
        """Judge a failed attempt; what cannot be sent twice is not, though the connection was to blame."""
        return super().decide(outcome if self._replayable else Outcome(outcome.error))


class Calls(Generic[W]):
    """Makes the calls of one session.

    Args:
        max_retries: retries after the first attempt.
        timeout: seconds for a request that brings no timeout of its own.
        waits: how they wait; the seam where tests put virtual time.

    Raises:
        ConfigurationError: a value is no such number.
    """

    def __init__(self, max_retries: int, timeout: float, waits: W) -> None:
        # Nobody shares a gate with the session, and `max_retries` shall mean what it says: a throttle is ordinary.
        self.policy = RetryPolicy(max_retries=max_retries, max_throttle_wait=0, budget=None)
        self.timeout = positive(timeout, "timeout")
        self.waits = waits

    def new(self, request: Request, bounds: Timeout, *, replayable: bool) -> PlainCall:
        """The call of one request, under the policy for any API.

        What is not idempotent is not repeated after a timeout, unless a key makes it so; a body that can be read but
        once is never sent again.
        """
        safe = request.method.upper() in IDEMPOTENT or "idempotency-key" in {name.lower() for name in request.headers}
        retries = self.policy.max_retries if replayable else 0
        policy = dataclasses.replace(self.policy, max_retries=retries, retry_timeouts=safe)
        call = PlainCall(request, policy, bounds, self.waits, replayable=replayable)
        call.outer = id(sys.exception())
        return call


def spread(seconds: Seconds, *, stream: bool) -> Timeout:
    """The bounds that a request's own timeout means; `None` in a pair is no bound.

    Raises:
        ValueError: it is no timeout, as the libraries say it.
    """
    try:
        if not isinstance(seconds, tuple):
            return resolve_timeout(positive(seconds, "timeout"), None, stream=stream, flex=False)
        connect, read = (math.inf if one is None else positive(one, "timeout") for one in seconds)
    except ConfigurationError as error:
        raise ValueError(str(error)) from None
    return Timeout(connect=connect, response=read, idle=read, total=math.inf)
