"""What the names and the status of an error mean: one table for all vendors, and one that each service may add.

The class comes from the status, corrected by the vendor's code; inside a success the body itself gives the status.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from llmnet.core import errors
from llmnet.core.errors import APIStatusError, ServerError
from llmnet.core.preview import kept
from llmnet.core.resets import reset_in_body
from llmnet.core.retry_after import hint_in_body, parse_retry_after
from llmnet.providers.error_bodies import Detail, detail_of
from llmnet.providers.target import Service, by_name

T = TypeVar("T")

BY_STATUS: dict[int, type[APIStatusError]] = {
    400: errors.BadRequestError, 401: errors.AuthenticationError, 402: errors.QuotaExceededError,
    403: errors.PermissionDeniedError, 404: errors.NotFoundError, 409: errors.ConflictError,
    413: errors.BadRequestError, 422: errors.BadRequestError, 429: errors.RateLimitError, 529: errors.OverloadedError,
}  # fmt: skip

# What an error is about: its class, and its status where it comes inside a success.
CATEGORIES: dict[str, tuple[type[APIStatusError], int]] = {
    "quota": (errors.QuotaExceededError, 429),
    "rate": (errors.RateLimitError, 429),
    "too large": (errors.RateLimitError, 429),  # one request exceeds the limit of a minute: waiting does not help
    "overloaded": (errors.OverloadedError, 529),
    "context": (errors.ContextLengthError, 400),
    "bad": (errors.BadRequestError, 400),
    "key": (errors.AuthenticationError, 401),
    "forbidden": (errors.PermissionDeniedError, 403),
    "missing": (errors.NotFoundError, 404),
    "server": (ServerError, 500),
}

# Waiting does not help with these, even where they come as a 429 or a 503.
PERMANENT = ("bad", "key", "forbidden", "missing", "too large")

# Names that are more precise than the status they come with, in lower case, `*` for anything (docs/vendors.md, Errors).
# `*perday*` is in the quotaId of a Google quota that comes back tomorrow.
CORRECTIONS = by_name(
    quota="""
        insufficient_quota organization_usage_limit_exceeded quota_exceeded quotaexceeded quota_exhausted
        insufficient_user_quota insufficient_token_quota pre_consume_token_quota_failed dailylimitexceeded
        servicequotaexceededexception *insufficient*balance* *insufficient*credit* *insufficient*fund*
        *credit*exhausted* *credit_limit* *billing* *payment*required* *overdue* *arrear* *spend*limit*
        *budget*exceeded* *exceeded*budget* *usage_limit* *daily*limit* *per_day* *per-day* *perday*
    """,
    context="""
        context_length_exceeded exceed_context_size_error contextwindowexceedederror tokens_limit_reached
        model_max_prompt_tokens_exceeded prompt_too_long input_too_long *context_length*exceed*
        *context_window*exceed* *exceed*context*
    """,
    rate="""
        rate_limit_exceeded ratelimitreached slow_down resource_exhausted too_many_requests toomanyrequests* throttl*
        *rate_limit* *ratelimit*
    """,
    overloaded="*overloaded* capacity_exceeded",
    key="api_key_invalid",
    missing="model_not_found deploymentnotfound",
)

# The status that a name comes with where the reply has one; exact names come before patterns.
STATUSES: dict[str, int] = {
    "authentication_error": 401, "authenticationerror": 401, "invalid_api_key": 401, "unauthenticated": 401,
    "permission_error": 403, "permission_denied": 403, "not_found_error": 404, "notfounderror": 404, "not_found": 404,
    "conflict_error": 409, "request_too_large": 413, "rate_limit_error": 429, "resource_exhausted": 429,
    "requests": 429, "tokens": 429, "server_error": 500, "api_error": 500, "internal_error": 500, "internal": 500,
    "internalservererror": 500, "service_unavailable_error": 503, "unavailable": 503, "timeout_error": 504,
    "deadline_exceeded": 504, "vector_store_timeout": 504, "content_filter": 400, "badrequesterror": 400,
    "failed_precondition": 400, "data_residency_mismatch": 400, "invalid_*": 400, "*image*": 400, "*_policy*": 400,
}  # fmt: skip


UNKNOWN_IN_SUCCESS = 500


def status_error(
    service: Service, http_status: int, headers: Mapping[str, str], payload: Any, stream_status: int | None = None
) -> APIStatusError:
    """The typed error of an error body; *stream_status* is that inside a stream, as in DashScope's comment lines."""
    from llmnet.providers.error_phrases import category_of  # noqa: PLC0415 - on use: its patterns are many

    detail = detail_of(payload, headers)
    status = stream_status or (http_status if not 200 <= http_status < 300 else None)
    by_name = category_of_names(service, detail.names, detail.message)
    text = f"{detail.message} {detail.upstream}"
    category = category_of(by_name, text, status, hinted=_is_hinted(headers, payload))
    status = status or detail.number or _status_within(category, detail)
    name = detail.code or detail.type
    return _class(category, status)(
        f"HTTP {http_status}{f' {name}' if name else ''}: {detail.message}",
        status=status,
        http_status=http_status,
        code=detail.code,
        type=detail.type,
        body=kept(payload),
        request_id=detail.request_id,
        throttled=category in ("rate", "overloaded") or (category is None and status in (429, 529)),
        **({"final": True} if category in PERMANENT and (status == 429 or status >= 500) else {}),
    )


def _is_hinted(headers: Mapping[str, str], payload: Any) -> bool:
    """Whether the server names a time to come back; which one does not matter here."""
    hints = (parse_retry_after(headers, 0.0), hint_in_body(payload), reset_in_body(payload, 0.0))
    return any(hint is not None for hint in hints)


def _class(category: str | None, status: int) -> type[APIStatusError]:
    """The class; an overload that comes with a status below 500 is an ordinary throttle."""
    if category == "overloaded" and status < 500:
        category = "rate"
    return CATEGORIES[category][0] if category else class_of(status)


def _status_within(category: str | None, detail: Detail) -> int:
    """The status that an error inside a success stands for."""
    if category:
        return CATEGORIES[category][1]
    return next((status for name in detail.names if (status := lookup(name, STATUSES))), UNKNOWN_IN_SUCCESS)


def category_of_names(service: Service, names: Iterable[str], message: str) -> str | None:
    """The category of a message or of names at a service; for each name the service's own table comes first."""
    by_message = next((category for piece, category in service.messages.items() if piece in message), None)
    found = (lookup(name, table) for name in names for table in (service.codes, CORRECTIONS))
    return by_message or next(filter(None, found), None)


def lookup(name: str, table: Mapping[str, T]) -> T | None:
    """The entry of a table for a name: for the name itself, a pattern that it fits, or its part before a dot."""
    fits = (pattern for pattern in table if "*" in pattern and fnmatchcase(name, pattern))
    return next((table[key] for key in (name, *fits, name.partition(".")[0]) if key in table), None)


def class_of(status: int) -> type[APIStatusError]:
    """The class of an HTTP status."""
    return BY_STATUS.get(status) or (ServerError if 500 <= status < 600 else APIStatusError)
