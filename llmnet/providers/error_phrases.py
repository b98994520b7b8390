"""Error messages that are more precise than their code or status: tables of phrases in lower case.

Only the vendor's own text counts: quoted text comes from the caller, or is a name that the caller chose.
"""

import re
from collections.abc import Collection

from llmnet.core.preview import cut

# Only the beginning of a message is read; nothing that matters comes later.
_READ = 4096

# An apostrophe within a word ends no quotation; a quotation that was cut off lasts to the end.
_QUOTED = re.compile(
    r"(?<![\w\\])'(?:[^'\\]|\\.|(?<=\w)'(?=\w))*+(?:'(?!\w)|(?:(?<=…)|(?<=… ))\Z)"
    r'|(?<![\w\\])"(?:[^"\\]|\\.)*+(?:"|(?:(?<=…)|(?<=… ))\Z)|“[^“”]*”|「[^「」]*」',
    re.DOTALL,
)
# What a gateway quotes of its upstream server: the value of a field for messages, or a JSON text with such a field.
_MESSAGE_FIELD = re.compile(
    r"\b(?:message|msg|detail|error|error_msg|status_msg|error_description|reason|desc)['\"]?\s*[:=]\s*\Z"
)
_JSON_MESSAGE = re.compile(r'\\"(?:message|msg|detail|error)\\"')
_FIELD_CHARS = 32

# A conversation is too long.
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

# A rate limit that one request alone exceeds.
TOO_LARGE = "request too large"

# The same; a rate is no length, and neither is the limit of a reply.
_LONG = re.compile(
    r"\b(?:input|prompt|message)s? (?:tokens?|token count|token length|length)\b(?:(?!\brate\b|\bper\b)[^.;\n]){0,40}"
    r"\b(?:exceeds?|exceeded|too long|longer than|only supports)\b"
    r"|\bexceed(?:s|ed|ing)?\b[^.;\n]{0,40}\bcontext (?:window|length|size|limit)"
    r"|\bcontext (?:window|length|size|limit)\b[^.;\n]{0,30}\bexceed"
    r"|(?:输入|上下文|消息|提示词?|prompt|(?<!max_)tokens?)(?:(?!参数|图|文件|音频|视频|速率|频率|每分钟)[^。；;，,]){0,12}"
    r"(?:超长|过长|超过|超出|超限)"
)

# The money is spent: waiting does not help.
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

# The allowance of a day, a month or a plan is used up, unless the server names an earlier time.
_USED_UP = re.compile(
    r"per[-_ ]?(?:day|week|month)\b|/ ?(?:day|month)\b|usage limit|today's quota|try again tomorrow"
    r"|\b(?:hourly|daily|weekly|monthly)\b(?: \w+){0,3} (?:limit|quota|cap|allowance)|quota will be replenished"
    r"|每日|每天|今日|当日|每月|当月"
)

# A quota is exceeded, but the message does not say for how long.
_EXCEEDED = (
    "exceeded your current quota", "exceeded your quota", "exceeded the quota", "exceeded quota", "quota exceeded",
    "quota has been exceeded", "quota exhausted", "quota has been exhausted", "exhausted its free trial quota",
    "out of call volume quota",
)  # fmt: skip

# A throttle, whatever the status.
_TOO_MANY = (
    "too many requests", "rate limit exceeded", "rate limit reached", "rate limit has been", "exceeded rate limit",
    "exceeded the rate limit", "exceeded your rate limit", "rate limiting", "qps request limit", "concurrency limit",
    "请求过于频繁", "请求频率", "请求过多", "频率过高", "并发数过高", "并发数超过", "限流",
)  # fmt: skip

# Categories that a more precise phrase replaces.
_VAGUE = (None, "bad", "forbidden")


def category_of(known: str | None, message: str, status: int | None, *, hinted: bool) -> str | None:
    """The category of `error_codes.CATEGORIES` that a message means, or the known one where the message adds nothing.

    The *known* one is that of the error's names; the *status* is `None` inside a success; of an error that is *hinted*
    the server names a time to come back.
    """
    text = without_quotes(cut(message, _READ)).lower()
    is_server = status is not None and status >= 500
    of_length = known in (None, "bad", "server") and (is_server or status in (None, 400, 413, 422))
    if of_length and _says(text, TOO_LONG, _LONG):
        return "context"
    if (known == "rate" or (known is None and status == 429)) and TOO_LARGE in text:
        return "too large"
    if known in (*_VAGUE, "rate", "key", "server", "overloaded") and _says(text, _SPENT, _SPENT_CHINESE):
        return "quota"
    waits = hinted and (known == "rate" or (known is None and status in (None, 429)))
    if known in (*_VAGUE, "rate") and not waits and _USED_UP.search(text):
        return "quota"
    if known in _VAGUE and not waits and _says(text, _EXCEEDED):
        return "quota"
    if known in _VAGUE and (is_server or status in (None, 400, 403)) and _says(text, _TOO_MANY):
        return "rate"
    return known


def without_quotes(message: str) -> str:
    """A message without what it quotes, except the message of an upstream server."""

    def kept(quoted: re.Match[str]) -> str:
        before = message[max(0, quoted.start() - _FIELD_CHARS) : quoted.start()]
        return quoted[0] if _MESSAGE_FIELD.search(before) or _JSON_MESSAGE.search(quoted[0]) else "''"

    return _QUOTED.sub(kept, message)


def _says(text: str, phrases: Collection[str], pattern: re.Pattern[str] | None = None) -> bool:
    return any(phrase in text for phrase in phrases) or bool(pattern and pattern.search(text))
