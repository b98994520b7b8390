"""What the vendors' error codes, types and phrases mean: one table for all, and one that each service may add."""

import dataclasses
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

from llmnet.core.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)

T = TypeVar("T")

BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError, 401: AuthenticationError, 402: QuotaExceededError, 403: PermissionDeniedError,
    404: NotFoundError, 409: ConflictError, 413: BadRequestError, 422: BadRequestError, 429: RateLimitError,
    529: OverloadedError,
}  # fmt: skip

# What a name may say: the class, and the status that it stands for inside a success.
WORDS: dict[str, tuple[type[APIStatusError], int]] = {
    "quota": (QuotaExceededError, 429),
    "rate": (RateLimitError, 429),
    "too large": (RateLimitError, 429),  # one request is more than the limit of a whole minute: waiting does not help
    "overloaded": (OverloadedError, 529),
    "context": (ContextLengthError, 400),
    "bad": (BadRequestError, 400),
    "key": (AuthenticationError, 401),
    "forbidden": (PermissionDeniedError, 403),
    "missing": (NotFoundError, 404),
    "server": (ServerError, 500),
}

# Names that say more than the status they come with, in lower case, `*` for anything (PROTOCOLS 1.8–6.1).
CORRECTIONS: dict[str, str] = {
    "insufficient_quota": "quota",
    "credit_balance_exhausted": "quota",
    "organization_spend_limit_exceeded": "quota",
    "project_spend_limit_exceeded": "quota",
    "organization_usage_limit_exceeded": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "quota_exceeded": "quota",
    "billing_error": "quota",
    "*perday*": "quota",  # the quotaId of a Google quota that comes back tomorrow
    "context_length_exceeded": "context",
    "api_key_invalid": "key",
    "model_not_found": "missing",
    "deploymentnotfound": "missing",
    "rate_limit_exceeded": "rate",
    "ratelimitreached": "rate",
    "slow_down": "rate",
    "server_is_overloaded": "overloaded",
    "overloaded_error": "overloaded",
}

# How vendors without a code for it say that a conversation is too long, in lower case.
TOO_LONG = (
    "maximum context length", "maximum prompt length", "exceeds the context window", "exceed context limit",
    "prompt is too long", "exceeded model token limit", "range of input length should be",
    "exceeds the maximum number of tokens allowed",
)  # fmt: skip

# How a rate limit says that one request alone is more than it, in lower case.
TOO_LARGE = "request too large"

# The status that a name comes with wherever a status is said; exact names come before patterns.
STATUSES: dict[str, int] = {
    "authentication_error": 401, "authenticationerror": 401, "invalid_api_key": 401, "unauthenticated": 401,
    "permission_error": 403, "permission_denied": 403, "not_found_error": 404, "notfounderror": 404, "not_found": 404,
    "conflict_error": 409, "request_too_large": 413, "rate_limit_error": 429, "resource_exhausted": 429,
    "requests": 429, "tokens": 429, "server_error": 500, "api_error": 500, "internal_error": 500, "internal": 500,
    "internalservererror": 500, "service_unavailable_error": 503, "unavailable": 503, "timeout_error": 504,
    "deadline_exceeded": 504, "vector_store_timeout": 504, "content_filter": 400, "badrequesterror": 400,
    "failed_precondition": 400, "data_residency_mismatch": 400, "invalid_*": 400, "*image*": 400, "*_policy*": 400,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """What one service's codes and messages say beyond the common tables.

    Attributes:
        corrections: a name, as in `CORRECTIONS`, to a word of `WORDS`.
        messages: a piece of the message to a word, for vendors that say the important thing in prose alone.
    """

    corrections: Mapping[str, str] = dataclasses.field(default_factory=dict)
    messages: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def word(self, names: Iterable[str], message: str) -> str | None:
        """The word that a message or names stand for; for each name the service's own table comes first."""
        said = next((word for piece, word in self.messages.items() if piece in message), None)
        tables = (self.corrections, CORRECTIONS)
        return said or next((word for name in names for table in tables if (word := meaning(name, table))), None)


def meaning(name: str, table: Mapping[str, T]) -> T | None:
    """What a table says of a name: of the name itself, of a pattern that it fits, or of its family before a dot."""
    fits = (pattern for pattern in table if "*" in pattern and fnmatchcase(name, pattern))
    return next((table[key] for key in (name, *fits, name.partition(".")[0]) if key in table), None)


def class_of(status: int) -> type[APIStatusError]:
    """The class of an HTTP status."""
    return BY_STATUS.get(status) or (ServerError if 500 <= status < 600 else APIStatusError)
