"""What the vendors' error codes, types and phrases mean: one table for all, and one that each service may add."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

import msgspec

from llmnet.core import errors
from llmnet.core.errors import APIStatusError, ServerError

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
CORRECTIONS: dict[str, str] = {
    **dict.fromkeys((
        "insufficient_quota", "organization_usage_limit_exceeded", "quota_exceeded", "quotaexceeded", "quota_exhausted",
        "insufficient_user_quota", "insufficient_token_quota", "pre_consume_token_quota_failed", "dailylimitexceeded",
        "servicequotaexceededexception", "*insufficient*balance*", "*insufficient*credit*", "*insufficient*fund*",
        "*credit*exhausted*", "*credit_limit*", "*billing*", "*payment*required*", "*overdue*", "*arrear*",
        "*spend*limit*", "*budget*exceeded*", "*exceeded*budget*", "*usage_limit*", "*daily*limit*",
        "*per_day*", "*per-day*",
        "*perday*",  # the quotaId of a Google quota that comes back tomorrow
    ), "quota"),
    **dict.fromkeys((
        "context_length_exceeded", "exceed_context_size_error", "contextwindowexceedederror", "tokens_limit_reached",
        "model_max_prompt_tokens_exceeded", "prompt_too_long", "input_too_long", "*context_length*exceed*",
        "*context_window*exceed*", "*exceed*context*",
    ), "context"),
    **dict.fromkeys((
        "rate_limit_exceeded", "ratelimitreached", "slow_down", "resource_exhausted", "too_many_requests",
        "toomanyrequests*", "throttl*", "*rate_limit*", "*ratelimit*",
    ), "rate"),
    **dict.fromkeys(("*overloaded*", "capacity_exceeded"), "overloaded"),
    "api_key_invalid": "key",
    "model_not_found": "missing",
    "deploymentnotfound": "missing",
}  # fmt: skip

# Messages of vendors without a code for a conversation that is too long, in lower case; patterns: `error_phrases`.
TOO_LONG = (
    "maximum context length", "maximum prompt length", "maximum model length", "maximum allowed length",
    "exceed the context", "exceeds the context", "exceeded the context", "context length is only",
    "context length of only", "reached context length of", "context the overflows", "max context size",
    "model's context length", "model's maximum context", "greater than the context length", "prompt is too long",
    "input is too long", "prompt too long", "contextwindowexceeded", "exceeded model token limit",
    "exceed max message tokens", "range of input length should be", "exceeds the maximum number of tokens allowed",
    "number of tokens in the prompt cannot exceed", "`inputs` must have less than", "too many input tokens",
    "`inputs` tokens + `max_new_tokens`", "too many tokens: ", "too long to fit into the model", "max_seq_len",
    "max_num_tokens", "too large to process", "最大上下文",
)  # fmt: skip

# The message of a rate limit that one request alone exceeds, in lower case.
TOO_LARGE = "request too large"

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


class Codes(msgspec.Struct, frozen=True, kw_only=True):
    """What one service's codes and messages mean beyond the common tables.

    Attributes:
        corrections: a name, as in `CORRECTIONS`, to a key of `CATEGORIES`.
        messages: a piece of the message to a key of `CATEGORIES`, for vendors whose codes are too vague.
    """

    corrections: Mapping[str, str] = {}
    messages: Mapping[str, str] = {}

    def category(self, names: Iterable[str], message: str) -> str | None:
        """The category of a message or of names; for each name the service's own table comes first."""
        by_message = next((category for piece, category in self.messages.items() if piece in message), None)
        found = (lookup(name, table) for name in names for table in (self.corrections, CORRECTIONS))
        return by_message or next(filter(None, found), None)


# What the codes of the compatible services say, by service (docs/vendors.md, Errors of the services).
_ZHIPU = Codes(
    corrections={
        **dict.fromkeys(("1113", "1304", "1308", "1309", "1310", "1313"), "quota"),
        **dict.fromkeys(("1302", "1303", "1305", "1312"), "rate"),
        **dict.fromkeys(("1000", "1001", "1002", "1003", "1004"), "key"),
        **dict.fromkeys(("1220", "1311"), "forbidden"),
        "1211": "missing", "1261": "context", "1301": "bad",
    }
)  # fmt: skip
CODES: dict[str, Codes] = {
    "moonshot": Codes(
        corrections={
            "exceeded_current_quota_error": "quota",
            "rate_limit_reached_error": "rate",
            "engine_overloaded_error": "overloaded",
        }
    ),
    "zhipu": _ZHIPU,
    "zai": _ZHIPU,
    "minimax": Codes(
        corrections={
            **dict.fromkeys(("1008", "2056"), "quota"),
            **dict.fromkeys(("1002", "1039", "1041", "2045"), "rate"),
            **dict.fromkeys(("1004", "2049"), "key"),
            **dict.fromkeys(("1026", "1027", "1042", "2013"), "bad"),
        }
    ),
    "volcengine": Codes(
        corrections={
            **dict.fromkeys(("setlimitexceeded", "quotaexceeded", "accountoverdueerror"), "quota"),
            **dict.fromkeys(("inflightbatchsizeexceeded", "requestbursttoofast"), "rate"),
            "serveroverloaded": "overloaded",
        }
    ),
    "siliconflow": Codes(
        corrections={"30001": "quota", "30011": "quota", "50501": "overloaded", "50505": "overloaded"}
    ),
    # The same code for a minute's limit and a day's: only the message differs.
    "cerebras": Codes(corrections={"token_quota_exceeded": "rate", "request_quota_exceeded": "rate"}),
}


def lookup(name: str, table: Mapping[str, T]) -> T | None:
    """The entry of a table for a name: for the name itself, a pattern that it fits, or its part before a dot."""
    fits = (pattern for pattern in table if "*" in pattern and fnmatchcase(name, pattern))
    return next((table[key] for key in (name, *fits, name.partition(".")[0]) if key in table), None)


def class_of(status: int) -> type[APIStatusError]:
    """The class of an HTTP status."""
    return BY_STATUS.get(status) or (ServerError if 500 <= status < 600 else APIStatusError)
