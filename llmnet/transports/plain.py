"""A call to any HTTP API, for the building blocks that hand out a library's own session: judged by status alone."""

import dataclasses
import random
import time
from collections.abc import Mapping
from typing import Any

from llmnet.core.bounds import Bounds, Timeout
from llmnet.core.call import Call
from llmnet.core.chat import StreamChunk
from llmnet.core.draft import Draft
from llmnet.core.errors import APIStatusError
from llmnet.core.gate import Gate
from llmnet.core.http import Headers, Request
from llmnet.core.outcome import Outcome
from llmnet.core.retry import RetryPolicy
from llmnet.core.secrets import Secrets
from llmnet.core.sse import ServerSentEvent

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})  # RFC 9110, 9.2.2


class PlainForm:
    """The wire form of an API of which nothing is known: its bodies are left to the caller."""

    provider = "http"

    def parse(self, payload: Any, draft: Draft) -> StreamChunk | None:
        """Nothing is read."""

    def parse_event(self, event: ServerSentEvent, draft: Draft) -> StreamChunk | None:
        """Nothing is read."""

    def parse_error(self, status: int, headers: Mapping[str, str], payload: Any) -> APIStatusError:
        """An error of that status."""
        return APIStatusError(f"HTTP {status}", status=status, http_status=status)

    def find_error(self, payload: Any) -> bool:
        """Whatever a success holds is the caller's."""
        return False

    def message(self, draft: Draft) -> dict[str, Any]:
        """There is no conversation."""
        return {}


def plain_call(request: Request, policy: RetryPolicy, timeout: Timeout, *, host: str = "") -> Call:
    """A call that shares nothing with others."""
    return Call(
        PlainForm(),
        request,
        authorise=lambda request, _: request,
        policy=policy,
        bounds=Bounds(timeout, time.monotonic),
        rng=random.Random(),
        wall=time.time,
        gate=Gate(),
        bucket=None,
        host=host,
        secrets=Secrets(),
    )


def policy_for(policy: RetryPolicy, method: str, headers: Mapping[str, str], *, replayable: bool) -> RetryPolicy:
    """The policy for one request of any API.

    What is not idempotent is not repeated after a timeout, unless a key makes it so; a body that can be read but
    once is never sent again.
    """
    if not replayable:
        return dataclasses.replace(policy, max_retries=0)
    safe = method.upper() in IDEMPOTENT or "idempotency-key" in {name.lower() for name in headers}
    return dataclasses.replace(policy, retry_timeouts=policy.retry_timeouts and safe)


def status_outcome(call: Call, status: int, headers: Headers) -> Outcome:
    """The outcome of an error status whose body stays unread."""
    call.opened(status, headers)
    return Outcome(call.under_way.form.parse_error(status, headers, None))
