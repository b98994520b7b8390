"""Every error a caller can meet, as one tree; an error only holds facts, it decides nothing and does no I/O.

LLMNetError
├─ ConfigurationError
├─ APIConnectionError ─ APITimeoutError
├─ APIStatusError
│  ├─ BadRequestError ─ ContextLengthError
│  ├─ AuthenticationError · PermissionDeniedError · NotFoundError · ConflictError
│  ├─ RateLimitError ─ QuotaExceededError
│  └─ ServerError ─ OverloadedError
├─ InvalidResponseError ─ OutputError
└─ StreamError
   ├─ IncompleteStreamError
   └─ StreamCancelledError
"""

from typing import TYPE_CHECKING, Any, Literal

from llmnet.core.plain import Returnable, public

if TYPE_CHECKING:
    from llmnet.core.chat import ChatResponse
    from llmnet.core.http import Meta

Phase = Literal["dns", "connect", "tls", "proxy", "send", "response", "body"]
OutputReason = Literal["refusal", "length", "mismatch"]
TimeoutPhase = Literal["queue", "connect", "response", "idle", "total"]


@public
class LLMNetError(Returnable, Exception):
    """Base of all errors of llmnet.

    Attributes:
        message: what happened, without the context that `str()` adds.
        provider: the name of the service, where one was involved.
        host: the host that was called, where one was.
        retryable: whether the same request may succeed when it is sent again.
        maybe_billed: whether the vendor may have done, and charged for, the work.
        repeated: whether a client has retried it, as far as its policy allows; nobody else should.
        partial: the `ChatResponse` as far as it had arrived, or `None`.
        meta: status, request id, headers, attempts and times, or `None` before any I/O.
    """

    retryable: bool = False
    maybe_billed: bool = False
    repeated: bool = False

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if cls.__module__ == __name__:
            public(cls)

    def __init__(self, message: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.provider: str | None = None
        self.host: str | None = None
        self.partial: ChatResponse | None = None
        self.meta: Meta | None = None
        self.__dict__.update(facts)

    @property
    def help(self) -> str:
        """Where its class is described: cause, what to do, whether it is repeated."""
        public_class = next(one for one in type(self).__mro__ if one.__module__ == "llmnet")
        return f"docs/errors.md#{public_class.__name__.lower()}"

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.provider, self.host and f"({self.host})")))
        context = ", ".join(self._context())
        return (f"{where}: " if where else "") + self.message + (f" [{context}]" if context else "")

    def _context(self) -> list[str]:
        said = [f"phase={phase}"] if (phase := getattr(self, "phase", None)) else []
        if self.meta is not None:
            said += [f"attempts={len(self.meta.attempts)}", f"elapsed={self.meta.elapsed:.2f}s"]
            said += [f"request_id={self.meta.request_id}"] if self.meta.request_id else []
        return said

    def to_dict(self) -> dict[str, Any]:
        """What is known of it as JSON types, the attempts and the reply so far included; `None` where nothing is."""
        meta, partial = self.meta, self.partial
        return {
            "class": type(self).__name__,
            "message": self.message,
            **{name: getattr(self, name, None) for name in _TOLD},
            "request_id": getattr(self, "request_id", None) or (meta and meta.request_id),
            "elapsed": meta and meta.elapsed,
            "attempts": [attempt.to_dict() for attempt in meta.attempts] if meta else [],
            "partial": partial and partial.to_dict(),
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message), self.__dict__


_TOLD = (
    "provider", "host", "phase", "reason", "status", "http_status", "code", "type", "retry_after", "retryable",
    "maybe_billed",
)  # fmt: skip


def _rebuild(cls: type[LLMNetError], message: str) -> LLMNetError:
    """Make an error again from its pickle; its facts follow as the state."""
    return cls(message)


class ConfigurationError(LLMNetError):
    """A bad argument, a missing key, an unknown provider: raised before any I/O."""


class APIConnectionError(LLMNetError):
    """The connection could not be made or was lost; `.phase` says in which part of the exchange."""

    retryable = True
    phase: Phase | TimeoutPhase | None = None


class APITimeoutError(APIConnectionError):
    """A bound expired; `.phase` is the bound: queue, connect, response, idle or total."""


class APIStatusError(LLMNetError):
    """The server answered with an error, by HTTP status or inside a success.

    Attributes:
        status: the status that the error stands for (429 for a rate limit inside a 200).
        http_status: the status that came.
        code: the vendor's machine-readable code, as text.
        type: the vendor's error type.
        body: the error body as decoded JSON, or as text.
        request_id: the vendor's id of the request.
        retry_after: seconds the server asked to wait, or `None`.
        throttled: the vendor's code says that it is a throttle, whatever the status.
        final: no repetition can mend it, whatever the status.
    """

    status: int = 0
    http_status: int = 0
    code: str | None = None
    type: str | None = None
    body: Any = None
    request_id: str | None = None
    retry_after: float | None = None
    throttled: bool = False
    final: bool = False


class BadRequestError(APIStatusError):
    """The request is wrong (400, 413, 422)."""

    status = 400


class ContextLengthError(BadRequestError):
    """The conversation is longer than the model's context."""


class AuthenticationError(APIStatusError):
    """The key is missing, wrong or expired (401)."""

    status = 401


class PermissionDeniedError(APIStatusError):
    """The key may not do this (403)."""

    status = 403


class NotFoundError(APIStatusError):
    """No such model, deployment or address (404)."""

    status = 404


class ConflictError(APIStatusError):
    """Another request is in the way (409)."""

    status = 409


class RateLimitError(APIStatusError):
    """Too many requests or tokens for now (429)."""

    status = 429


class QuotaExceededError(RateLimitError):
    """The money or the allowance is used up (402, and the vendors' codes for it); never retried."""


class ServerError(APIStatusError):
    """The server failed (5xx)."""

    status = 500


class OverloadedError(ServerError):
    """The server has too much to do (503 with such a code, 529)."""

    status = 529


class InvalidResponseError(LLMNetError):
    """A success that is not what was promised: HTML, broken JSON, too large, no choices."""

    maybe_billed = True


class OutputError(InvalidResponseError):
    """A whole reply without a value of `output_type`; never retried, and `.partial` is that reply.

    Attributes:
        reason: `"refusal"`: the model refused, or its vendor filtered what it said; `"length"`: the reply was cut off;
            `"mismatch"`: it is no JSON, does not fit the type (the message names the field), or calls tools.
    """

    reason: OutputReason = "mismatch"


class StreamError(LLMNetError):
    """A stream was used wrongly, or failed."""


class IncompleteStreamError(StreamError):
    """The stream ended, by EOF or reset, before its terminal event; `.partial` has what had arrived."""

    retryable = True
    maybe_billed = True


class StreamCancelledError(StreamError):
    """`cancel()` was called."""
