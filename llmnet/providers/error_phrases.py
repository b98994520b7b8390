"""What vendors say in words where their code or status says less, or another thing: tables of phrases in lower case.

Only the vendor's own words count: what stands in quotes was said by the caller, or is a name that he gave.
"""

import re
from collections.abc import Callable, Collection

from llmnet.core.preview import cut
from llmnet.providers.error_codes import TOO_LARGE, TOO_LONG

# What is said is said in its beginning.
_HEARD = 4096

# An apostrophe within a word ends no quotation; one that was cut off lasts to the end.
_QUOTED = re.compile(
    r"(?<![\w\\])'(?:[^'\\]|\\.|(?<=\w)'(?=\w))*+(?:'(?!\w)|(?:(?<=…)|(?<=… ))\Z)"
    r'|(?<![\w\\])"(?:[^"\\]|\\.)*+(?:"|(?:(?<=…)|(?<=… ))\Z)|“[^“”]*”|「[^「」]*」',
    re.DOTALL,
)
# What a gateway quotes of the server behind it: the value of a field for messages, or a JSON text that has one.
_TOLD = re.compile(
    r"\b(?:message|msg|detail|error|error_msg|status_msg|error_description|reason|desc)['\"]?\s*[:=]\s*\Z"
)
_TELLING = re.compile(r'\\"(?:message|msg|detail|error)\\"')
_FIELD = 32

# A conversation is too long, by the words for its length; a rate is no length, and neither is the limit of a reply.
_LONG = re.compile(
    r"\b(?:input|prompt|message)s? (?:tokens?|token count|token length|length)\b(?:(?!\brate\b|\bper\b)[^.;\n]){0,40}"
    r"\b(?:exceeds?|exceeded|too long|longer than|only supports)\b"
    r"|\bexceed(?:s|ed|ing)?\b[^.;\n]{0,40}\bcontext (?:window|length|size|limit)"
    r"|\bcontext (?:window|length|size|limit)\b[^.;\n]{0,30}\bexceed"
    r"|(?:输入|上下文|消息|提示词?|prompt|(?<!max_)tokens?)(?:(?!参数|图|文件|音频|视频|速率|频率|每分钟)[^。；;，,]){0,12}"
    r"(?:超长|过长|超过|超出|超限)"
)

# The money is spent: waiting brings none.
_SPENT = (
    "insufficient balance", "insufficient account balance", "balance is insufficient", "balance insufficient",
    "balance is not enough", "balance not enough", "insufficient credit", "insufficient fund", "not enough credit",
    "out of credit", "no credits", "any credits", "more credits", "all available credits", "credits exhausted",
    "credits have been exhausted", "exhausted your credits", "monthly included credits", "credit balance",
    "spending limit", "spend limit", "spending cap", "billing hard limit", "check your billing",
    "budget has been exceeded", "exceeded budget", "exceededbudget", "over budget", "key limit exceeded",
    "credit limit exceeded", "credits are depleted", "credits depleted", "credits have been depleted",
    "balance is too low", "balance too low", "balance is negative", "negative balance", "add funds", "please top up",
    "payment required", "failure to pay", "non-payment", "unpaid", "overdue", "arrears", "please recharge",
    "quota is not enough", "quota not enough", "insufficient user quota", "欠费",
)  # fmt: skip
_SPENT_CHINESE = re.compile(
    r"(?<!并发)(?:余额|额度|配额|资源包|套餐|试用次数)[^。；;，,]{0,8}(?:不足|用尽|用完|耗尽|为0)"
)

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
    "exceeded the rate limit", "exceeded your rate limit", "rate limiting", "qps request limit", "concurrency limit",
    "请求过于频繁", "请求频率", "请求过多", "频率过高", "并发数过高", "并发数超过", "限流",
)  # fmt: skip

# What a name may have said that is less than what these words say.
_VAGUE = (None, "bad", "forbidden")


def word_of(said: str | None, message: str, status: int | None, *, hinted: bool) -> str | None:
    """The word of `error_codes.WORDS` that a message stands for; the one that was said by a name where it adds nothing.

    Args:
        said: what a name has said.
        message: the message.
        status: the HTTP status of the error, or `None` inside a success.
        hinted: whether the server says when to come back.
    """
    text = own_words(cut(message, _HEARD)).lower()
    throttled = said == "rate" or (said is None and status in (None, 429))
    rules: tuple[tuple[str, Collection[str | None], bool, Callable[[str], object]], ...] = (
        ("context", (None, "bad", "server"), status in _OF_LENGTH or (status or 0) >= 500, _is_long),
        ("too large", (None, "rate"), said == "rate" or status == 429, _any_of((TOO_LARGE,))),
        ("quota", (*_VAGUE, "rate", "key", "server", "overloaded"), True, _is_spent),
        ("quota", (*_VAGUE, "rate"), not (hinted and throttled), _USED_UP.search),
        ("quota", _VAGUE, not (hinted and throttled), _any_of(_EXCEEDED)),
        ("rate", _VAGUE, status in _OF_THROTTLES or (status or 0) >= 500, _any_of(_TOO_MANY)),
    )
    found = (word for word, less, fits, heard in rules if said in less and fits and heard(text))
    return next(found, said)


_OF_LENGTH = (None, 400, 413, 422)
_OF_THROTTLES = (None, 400, 403)


def own_words(message: str) -> str:
    """A message without what it quotes, but for the words of a server behind."""

    def kept(quoted: re.Match[str]) -> str:
        before = message[max(0, quoted.start() - _FIELD) : quoted.start()]
        return quoted[0] if _TOLD.search(before) or _TELLING.search(quoted[0]) else "''"

    return _QUOTED.sub(kept, message)


def _any_of(phrases: Collection[str]) -> Callable[[str], bool]:
    return lambda text: any(phrase in text for phrase in phrases)


def _is_long(text: str) -> bool:
    return _any_of(TOO_LONG)(text) or _LONG.search(text) is not None


def _is_spent(text: str) -> bool:
    return _any_of(_SPENT)(text) or _SPENT_CHINESE.search(text) is not None
