"""Calls to any HTTP API, of which nothing is known: judged by their status alone, their bodies left to the caller."""

import dataclasses
import math
import random
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from llmnet.core.admission.admission import Admission
from llmnet.core.bounds import Bounds, Clock, Timeout, positive, resolve_timeout
from llmnet.core.call import Call
from llmnet.core.chat import ChatResponse, StreamChunk
from llmnet.core.draft import Draft
from llmnet.core.errors import APIStatusError, ConfigurationError, LLMNetError
from llmnet.core.exchange import Exchange, Route
from llmnet.core.form_contract import Kind
from llmnet.core.http import Headers, Request
from llmnet.core.judge import Judge
from llmnet.core.record import Record
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.retry import RetryPolicy
from llmnet.core.sse import ServerSentEvent

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


class GenericForm:
    """The wire form of an API of which nothing is known: its bodies are left to the caller."""

    provider = "http"

    def authorise(self, request: Request, key: str | None) -> Request:
        """The request as it is: its credentials are the caller's."""
        return request

    def read_body(self, body: bytes | bytearray) -> ChatResponse | None:
        """Nothing is read."""

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

    def hint(self, error: LLMNetError) -> str:
        """Nothing is known of the address."""
        return ""

    def answer(self, draft: Draft) -> str:
        """There is none."""
        return ""

    def message(self, draft: Draft) -> dict[str, Any]:
        """There is no conversation."""
        return {}


class GenericReply(ReplyReader):
    """A reply whose body somebody else reads: whatever its status, it is theirs, and has begun with its head."""

    def open(self, status: int, headers: Headers) -> Kind:
        """Take note of the head."""
        self.status, self.headers, self.kind = status, headers, "json"
        return self.kind

    def fail(self, body: bytes) -> APIStatusError:
        """The error of an error status; its body stays unread, for it may be the last one and the caller's."""
        return self.form.parse_error(self.status or 0, self.headers, None)


class GenericCall(Call):
    """A call that shares nothing with others, and whose body somebody else reads.

    Args:
        request: what is sent.
        policy: how often.
        timeout: how long.
        clocks: where the time is read.
        replayable: whether the body can be sent a second time; if not, it must not meet a stale connection.

    Attributes:
        now: the Unix time.
    """

    chance: Callable[[], random.Random] = random.Random

    def __init__(
        self, request: Request, policy: RetryPolicy, timeout: Timeout, clocks: Clocks, *, replayable: bool = True
    ) -> None:
        route, bounds, rng = Route(form=GenericForm()), Bounds(timeout, clocks.clock), self.chance()
        super().__init__(
            route,
            request,
            bounds=bounds,
            judge=Judge(policy, bounds, route.gate, None, rng, renewable=False, wants_fresh=not replayable),
            admission=Admission(None, route.gate, bounds, policy.max_retry_after, rng),
            record=Record(bounds),
            wall=clocks.wall,
            reader=GenericReply,
        )
        self.now = clocks.wall

    def foreign(self, headers: Headers) -> Exchange:
        """An attempt that somebody else has made, and the headers that came of it."""
        exchange = self.begin()
        self._record.received(None, headers, None)
        return exchange


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

    def new(self, request: Request, bounds: Timeout, *, replayable: bool) -> GenericCall:
        """The call of one request, under the policy for any API.

        What is not idempotent is not repeated after a timeout, unless a key makes it so; a body that can be read but
        once is never sent again.
        """
        safe = request.method.upper() in IDEMPOTENT or "idempotency-key" in {name.lower() for name in request.headers}
        retries = self.policy.max_retries if replayable else 0
        policy = dataclasses.replace(self.policy, max_retries=retries, retry_timeouts=safe)
        return GenericCall(request, policy, bounds, self.waits, replayable=replayable)


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
