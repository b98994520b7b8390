"""What vendors say in words where their code or status says less, or another thing: tables of phrases in lower case."""

import re
from collections.abc import Callable, Collection

from llmnet.providers.error_codes import TOO_LARGE, TOO_LONG

# The money is spent: waiting brings none.
_SPENT = (
    "insufficient balance", "insufficient account balance", "balance is insufficient", "balance insufficient",
    "balance is not enough", "balance not enough", "insufficient credit", "insufficient fund", "not enough credit",
    "out of credit", "no credits", "any credits", "more credits", "all available credits", "credits exhausted",
    "credits have been exhausted", "exhausted your credits", "monthly included credits", "credit balance",
    "spending limit", "spend limit", "spending cap", "billing hard limit", "check your billing",
    "budget has been exceeded", "exceeded budget", "exceededbudget", "over budget", "key limit exceeded",
    "payment required", "failure to pay", "unpaid", "overdue", "arrears", "please recharge", "quota is not enough",
    "quota not enough", "insufficient user quota",
    "余额不足", "欠费", "额度不足", "额度已用尽", "额度已耗尽", "配额不足",
)  # fmt: skip

# An allowance of a day, a month, a plan is used up, unless it is said that it comes back sooner.
_USED_UP = re.compile(
    r"per[-_ ]?(?:day|week|month)\b|/ ?(?:day|month)\b|usage limit|today's quota|try again tomorrow"
    r"|\b(?:hourly|daily|weekly|monthly)\b(?: \w+){0,3} (?:limit|quota|cap|allowance)|quota will be replenished"
    r"|每日|每天|今日|当日|每月|当月"
)

# A quota is exceeded, of which the words alone do not say how long it lasts.
_EXCEEDED = (
    "exceeded your current quota", "exceeded your quota", "exceeded the quota", "exceeded quota", "quota exceeded",
    "quota has been exceeded", "quota exhausted", "quota has been exhausted", "exhausted its free trial quota",
    "out of call volume quota",
)  # fmt: skip

# It is a throttle, whatever the status.
_TOO_MANY = (
    "too many requests", "rate limit exceeded", "rate limit reached", "rate limit has been", "exceeded rate limit",
    "exceeded the rate limit", "exceeded your rate limit", "rate limiting", "请求过于频繁", "请求频率", "限流",
)  # fmt: skip

# What a name may have said that is less than what these words say.
_VAGUE = (None, "bad", "forbidden")


def word_of(said: str | None, message: str, status: int | None, *, hinted: bool) -> str | None:
    """The word of `codes.WORDS` that a message stands for; the one that was said by a name where it adds nothing.

    Args:
        said: what a name has said.
        message: the message.
        status: the HTTP status of the error, or `None` inside a success.
        hinted: whether the server says when to come back.
    """
    text = message[:4096].lower()
    throttled = said == "rate" or (said is None and status in (None, 429))
    rules: tuple[tuple[str, Collection[str | None], bool, Callable[[str], object]], ...] = (
        ("context", (None, "bad", "server"), status in _OF_LENGTH or (status or 0) >= 500, _any_of(TOO_LONG)),
        ("too large", (None, "rate"), said == "rate" or status == 429, _any_of((TOO_LARGE,))),
        ("quota", (*_VAGUE, "rate", "key", "server", "overloaded"), True, _any_of(_SPENT)),
        ("quota", (*_VAGUE, "rate"), not (hinted and throttled), _USED_UP.search),
        ("quota", _VAGUE, not (hinted and throttled), _any_of(_EXCEEDED)),
        ("rate", _VAGUE, status in _OF_THROTTLES or (status or 0) >= 500, _any_of(_TOO_MANY)),
    )
    found = (word for word, less, fits, heard in rules if said in less and fits and heard(text))
    return next(found, said)


_OF_LENGTH = (None, 400, 413, 422)
_OF_THROTTLES = (None, 400, 403)


def _any_of(phrases: Collection[str]) -> Callable[[str], bool]:
    return lambda text: any(phrase in text for phrase in phrases)
