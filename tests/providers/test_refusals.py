"""Permanent refusals and throttles, by codes, by messages and by the time that they last; both fronts."""

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.live import at

import llmnet
from llmnet.core.errors import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from llmnet.core.http import Headers, Meta
from llmnet.core.resets import reset_in_body
from llmnet.core.retry import RetryPolicy
from llmnet.core.retry_after import LONGEST
from llmnet.providers.error_codes import status_error
from llmnet.providers.services import SERVICES
from llmnet.testing import Reply

NOW = 1_790_000_000.0
QUOTA, RATE, LONG, DENIED, BAD, BUSY = (
    QuotaExceededError, RateLimitError, ContextLengthError, PermissionDeniedError, BadRequestError, OverloadedError,
)  # fmt: skip


def error_body(message, code=None, kind=None):
    return {"error": {"message": message, "type": kind, "code": code}}


def read(service, status, body, headers=None):
    headers = Headers(headers or {})
    error = status_error(SERVICES[service], status, headers, body)
    error.meta = Meta(headers=headers)
    return error


PERMANENT = [
    # money, in messages or under unknown codes, whatever the status
    ("openai", 400, error_body("Insufficient Balance", "invalid_request_error", "unknown_error"), QUOTA),
    ("openai", 403, error_body("Sorry, your account balance is insufficient", 30001), QUOTA),
    ("openai", 403, error_body("user quota is not enough", "insufficient_user_quota", "one_api_error"), QUOTA),
    ("openai", 403, error_body("预扣费额度失败, 用户剩余额度: ¥0.00", "pre_consume_token_quota_failed", "new_api_error"), QUOTA),
    ("openai", 401, error_body("[sk-***] 该令牌额度已用尽", None, "new_api_error"), QUOTA),
    ("openai", 429, error_body("您的账户已欠费，请充值后重试"), QUOTA),
    ("openai", 429, error_body("Budget has been exceeded! Current cost: 0.12, Max budget: 0.1", "429", "budget_exceeded"), QUOTA),
    ("openai", 400, error_body("Budget has been exceeded! Current cost: 0.12", "400", "budget_exceeded"), QUOTA),
    ("openai", 412, error_body("Account x is suspended, possibly due to reaching the monthly spending limit"), QUOTA),
    ("openai", 500, error_body("insufficient balance"), QUOTA),
    ("openai", 403, {"code": "BILLING_DISABLED", "message": "m"}, QUOTA),
    ("openai", 402, "Payment Required", QUOTA),
    ("xai", 429, {"code": "Some resource has been exhausted", "error": "Your team has used all available credits."}, QUOTA),
    ("xai", 403, {"code": "The caller does not have permission", "error": "Your team doesn't have any credits yet."}, QUOTA),
    ("openrouter", 403, error_body("Key limit exceeded (total limit)", 403), QUOTA),
    ("openrouter", 402, error_body("This request requires more credits, or fewer max_tokens.", 402), QUOTA),
    ("perplexity", 401, error_body("You exceeded your current quota", 401, "insufficient_quota"), QUOTA),
    ("volcengine", 403, error_body("m", "AccountOverdueError", "Forbidden"), QUOTA),
    ("volcengine", 429, error_body("m", "SetLimitExceeded", "TooManyRequests"), QUOTA),
    ("siliconflow", 403, {"code": 30001, "message": "m", "data": None}, QUOTA),
    ("minimax", 200, {"base_resp": {"status_code": 2056, "status_msg": "usage limit exceeded"}}, QUOTA),
    # allowances of a day, a month, a plan
    ("openrouter", 429, error_body("Rate limit exceeded: free-models-per-day.", 429), QUOTA),
    ("openai", 429, error_body("You have reached your daily limit"), QUOTA),
    ("openai", 429, error_body("You are using a Trial key, which is limited to 1000 API calls / month."), QUOTA),
    ("openai", 429, error_body("Monthly API call quota is used up", "rate_limit_exceeded"), QUOTA),
    ("openai", 403, error_body("Out of call volume quota. Quota will be replenished in 06:12:34.", 403), QUOTA),
    ("openai", 403, error_body("m", "quotaExceeded"), QUOTA),
    ("openai", 403, error_body("m", "dailyLimitExceeded"), QUOTA),
    ("openai", 429, error_body("you've reached your weekly usage limit, please upgrade to continue"), QUOTA),
    ("openai", 429, error_body("The usage limit has been reached", None, "usage_limit_reached"), QUOTA),
    ("openai", 429, error_body("You exceeded your current quota, please check your plan"), QUOTA),
    ("modelscope", 429, error_body("You have exceeded today's quota for model x, please try again tomorrow"), QUOTA),
    ("cerebras", 429, error_body("Tokens per day limit exceeded", "token_quota_exceeded", "too_many_tokens_error"), QUOTA),
    *(("zhipu", 429, error_body("m", code), QUOTA) for code in ("1113", "1304", "1308", "1310")),
    # conversations that are too long
    ("openai", 400, error_body("request (9 tokens) exceeds the available context size (4 tokens)", 400, "exceed_context_size_error"), LONG),
    ("openai", 500, error_body("the request exceeds the available context size. try increasing it", 500, "server_error"), LONG),
    ("openai", 500, error_body("m", 500, "exceed_context_size_error"), LONG),
    ("openai", 400, error_body("Context size has been exceeded.", 400, "invalid_request_error"), LONG),
    ("openai", 400, error_body("The input (9 tokens) is longer than the model's context length (4 tokens)."), LONG),
    ("openai", 400, error_body("Requested token count exceeds the model's maximum context length of 4 tokens."), LONG),
    ("openai", 400, error_body("Input length (9 tokens) exceeds the maximum allowed length (4 tokens)."), LONG),
    ("openai", 400, error_body("The decoder prompt (length 9) is longer than the maximum model length of 4."), LONG),
    ("openai", 400, {"error": "The model is loaded with context length of only 4 tokens, which is not enough"}, LONG),
    ("openai", 400, {"error": "the number of tokens to keep is greater than the context length"}, LONG),
    ("openai", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4"}, LONG),
    ("openai", 422, {"error": "`inputs` must have less than 4 tokens. Given: 9", "error_type": "validation"}, LONG),
    ("openai", 413, error_body("Request body too large for m. Max size: 8000 tokens.", "tokens_limit_reached"), LONG),
    ("openai", 400, error_body("litellm.ContextWindowExceededError: litellm.BadRequestError: m", "400"), LONG),
    ("minimax", 200, {"base_resp": {"status_code": 2013, "status_msg": "invalid params, context window exceeds limit"}}, LONG),
    ("zhipu", 400, error_body("Prompt 超长", "1261"), LONG),
    ("openrouter", 400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {
        "raw": '{"error":{"message":"This endpoint\'s maximum context length is 4 tokens.","code":400}}'}}}, LONG),
    *(("openai", 400, error_body(wording), LONG) for wording in (
        "Input token length too long", "Input length 9 exceeds the maximum length 4. Request id: x",
        "length of prompt_tokens (9) must be less than max_seq_len (4).", "Input length exceeds the limit",
        "Unable to submit request because the input token count is 9 but model only supports up to 4.",
        "Reached context length of 4 tokens with this model", "Requested tokens (9) exceed context window of 4",
        "prompt token count of 9 exceeds the limit of 4", "Input tokens exceed the configured limit of 4 tokens.",
        "too many tokens: size limit exceeded by 5 tokens.", "Number of input tokens exceeds maximum length.",
        "The prompt (total length 9) is too long to fit into the model", "input (9 tokens) is larger than the max context size",
        "输入长度超过限制", "token数量超过上限", "Prompt超长", "提示词过长", "消息过长，超出上下文窗口", "模型最大上下文长度为 4",
    )),
    ("openai", 500, error_body("input (9 tokens) is too large to process. increase the physical batch size"), LONG),
    ("openrouter", 502, {"error": {"message": "Provider returned error", "code": 502, "metadata": {
        "raw": {"detail": "Insufficient balance"}}}}, QUOTA),
    *(("openai", 403, error_body(wording), QUOTA) for wording in (
        "额度用尽", "您的套餐额度已用完", "账户余额为0", "账户可用余额不足", "资源包已用完", "您的免费试用次数已用完", "配额已用尽",
        "Account balance too low", "Negative balance. Please add funds",
    )),
    ("together", 429, error_body("Credit limit exceeded, please navigate to https://x/billing", None, "credit_limit"), QUOTA),
    ("gemini", 429, error_body("Your prepayment credits are depleted.", 429), QUOTA),
    *(("dashscope", 429, error_body(f"{span} allocated quota exceeded.", "insufficient_quota", "insufficient_quota"), QUOTA)
      for span in ("hour", "week", "month")),
    # the message of an upstream server, in any quotes
    ("openai", 400, error_body("Error code: 400 - {'error': {'message': \"This model's maximum context length is 4 tokens\"}}"), LONG),
    ("openai", 500, error_body('x: AnthropicException - {"error":{"message":"Your credit balance is too low"}}. Handle'), QUOTA),
    ("openai", 500, error_body('upstream error: {"error":"Insufficient Balance"}'), QUOTA),
    ("openai", 500, error_body('bad body "{\\"error\\":{\\"message\\":\\"Insufficient balance\\"}}"'), QUOTA),
    ("openai", 403, error_body("Your team's credit balance is spent, and the model's 'x' too"), QUOTA),
    # waiting does not help with what is wrong in the request
    ("openai", 503, error_body("当前分组 default 下对于模型 m 无可用渠道", "model_not_found", "new_api_error"), NotFoundError),
    ("openai", 429, error_body("m", "model_not_found"), NotFoundError),
    ("openai", 500, error_body("m", "api_key_invalid"), AuthenticationError),
    # and what only looks like one of these
    ("openai", 400, error_body("max_tokens 超过上限"), BAD),
    ("openai", 400, error_body("输入参数 temperature 超出范围"), BAD),
    ("openai", 400, error_body("max_tokens is too large: 9. This model supports at most 4 completion tokens"), BAD),
    ("openai", 400, error_body("The value is too long: a string with maximum length 4"), BAD),
    ("openai", 403, error_body("Project does not have access to model", "model_not_found"), NotFoundError),
    ("openai", 403, error_body("The request is blocked by our content policy"), DENIED),
    ("openai", 401, error_body("Incorrect API key provided", "invalid_api_key"), AuthenticationError),
    ("openai", 400, error_body("'n' must be 1 for this model"), BAD),
]  # fmt: skip


@pytest.mark.parametrize(("service", "status", "body", "cls"), PERMANENT, ids=lambda value: str(value)[:70])
def test_permanent_refusals(service, status, body, cls):
    error = read(service, status, body)
    assert type(error) is cls
    assert not error.throttled
    assert not RetryPolicy().repeats(error)


WORDS = "My invoice is overdue. Rate limit exceeded, it's said; the prompt is too long for today's quota: 余额不足"
ITEM = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": {"messages": [{"content": WORDS}]}}
QUOTING = [
    (400, error_body(f"messages[0].content: invalid value '{WORDS}'"), BAD),
    (400, error_body(f'messages[0].content: invalid value "{WORDS}"'), BAD),
    (400, error_body(f"内容“{WORDS}”不合法"), BAD),
    (400, error_body(f"{[ITEM]}"), BAD),
    (400, error_body(f"1 error [type=value_error, input_value={{'messages': [{WORDS!r}]}}, input_type=dict]"), BAD),
    (422, {"detail": [ITEM]}, BAD),
    (
        500,
        error_body(f"Failed to parse messages: no 'content'; messages = {json.dumps([{'text': WORDS}])}"),
        ServerError,
    ),
    (
        500,
        error_body(f"Failed to parse messages: messages = {json.dumps([{'text': 'x' * 3900 + WORDS * 9}])}"),
        ServerError,
    ),
    (400, error_body("Invalid schema for function 'list_overdue': in context=('properties', 'unpaid_per_day')"), BAD),
    (403, error_body("The prompt 'what is the daily quota for fish' was flagged"), DENIED),
]


@pytest.mark.parametrize(("status", "body", "cls"), QUOTING, ids=lambda value: str(value)[:70])
def test_quoted_text_of_the_caller_is_not_read_as_the_vendors(status, body, cls):
    error = read("openai", status, body)
    assert type(error) is cls
    assert not error.throttled


@pytest.mark.parametrize(
    "quote", ["' ", " '", " 'a", '"', ' "', "a'", "\\'", '\\"', "“", "'…", "exceed context input tokens "]
)
def test_quotes_are_read_in_time_that_grows_as_a_message_does(quote):
    started = time.perf_counter()
    for _ in range(20):
        read("openai", 400, error_body(quote * 4096))
    assert time.perf_counter() - started < 2


THROTTLES = [
    ("openai", 403, error_body("m", "rateLimitExceeded"), RATE),
    ("openai", 403, error_body("API rate limit exceeded for your address"), RATE),
    ("openai", 400, error_body("Too many requests, please slow down"), RATE),
    ("openai", 400, error_body("m", "Throttling.User"), RATE),
    ("openai", 400, error_body("m", None, "rate_limit_error"), RATE),
    ("openai", 500, error_body("Rate limit reached for model x"), RATE),
    ("openai", 200, error_body("请求过于频繁，请稍后再试"), RATE),
    ("openai", 200, error_body("Rate limit exceeded"), RATE),
    ("openai", 400, error_body("m", "model_overloaded"), RATE),
    ("openai", 503, error_body("m", "model_overloaded"), BUSY),
    ("openai", 429, error_body("You exceeded your current quota, please retry in 33s."), RATE),
    ("openai", 429, error_body("Rate limit reached on tokens per day (TPD): Limit 9, Used 9. Please try again in 7m12s.", "rate_limit_exceeded", "tokens"), RATE),
    ("gemini", 429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota"}}], RATE),
    ("dashscope", 429, error_body("You exceeded your current quota, please check your plan", "insufficient_quota", "insufficient_quota"), RATE),
    ("cerebras", 429, error_body("Requests per minute limit exceeded", "request_quota_exceeded", "too_many_requests_error"), RATE),
    ("zhipu", 429, error_body("m", "1302"), RATE),
    ("minimax", 200, {"base_resp": {"status_code": 2045, "status_msg": "rate growth limit"}}, RATE),
    ("volcengine", 429, error_body("m", "ServerOverloaded", "TooManyRequests"), RATE),
    ("volcengine", 429, error_body("m", "ModelAccountTpmRateLimitExceeded", "TooManyRequests"), RATE),
    ("azure", 429, error_body("m", "too_many_requests"), RATE),
    ("groq", 498, error_body("Flex tier capacity exceeded", "capacity_exceeded", "flex_error"), RATE),
    *(("openai", 400, error_body(wording), RATE) for wording in ("请求频率过高", "并发数超过限制", "Open api qps request limit reached")),
    ("openai", 500, error_body("input tokens per minute exceeded: rate limit exceeded"), RATE),
]  # fmt: skip


@pytest.mark.parametrize(("service", "status", "body", "cls"), THROTTLES, ids=lambda value: str(value)[:70])
def test_throttles(service, status, body, cls):
    error = read(service, status, body)
    assert type(error) is cls
    assert error.throttled
    assert RetryPolicy().repeats(error)


def test_an_allowance_that_comes_back_soon_is_a_throttle():
    daily = error_body("You have reached your daily limit")
    assert type(read("openai", 429, daily, {"retry-after": "30"})) is RATE
    assert type(read("openai", 403, daily, {"retry-after": "30"})) is QUOTA
    assert type(read("openai", 429, error_body("Insufficient Balance"), {"retry-after": "30"})) is QUOTA
    assert type(read("openai", 500, error_body("Internal error"), {"retry-after": "30"})) is ServerError


# -- when a limit ends ------------------------------------------------------------------------------------------------


def quoted(**headers):
    return {"error": {"message": "m", "code": 429, "metadata": {"headers": headers}}}


HOUR = 3600.0
RESETS = [
    (quoted(**{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int((NOW + HOUR) * 1000))}), HOUR),
    (quoted(**{"X-RateLimit-Reset": str(int(NOW + HOUR))}), HOUR),
    (quoted(**{"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": str(int(NOW + HOUR))}), None),
    (quoted(**{"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h", "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "2h"}), HOUR),
    (quoted(**{"Retry-After": "7"}), 7.0),
    ({"error": {"type": "usage_limit_reached", "resets_at": NOW + HOUR, "resets_in_seconds": 3599}}, HOUR),
    ({"error": {"message": "m", "retry_after": 12.5}}, 12.5),
    ({"error": {"message": "m"}, "retry_after": "30"}, 30.0),
    ({"message": "m", "details": {"retryAfterMs": 1500}}, 1.5),
    ({"error": {"metadata": {"reset_at": datetime.fromtimestamp(NOW + HOUR, UTC).isoformat()}}}, HOUR),
    (error_body("Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 40000 seconds before retrying."), 40000.0),
    (error_body("The limit resets in 3h 12m."), 11520.0),
    (error_body("Please wait for 2 minutes, then try again"), 120.0),
    (error_body("Please wait a moment; 5 of 7 are waiting"), None),
    (error_body("wait 5"), None),
    ({"error": {"retry_after": True}}, None),
    ({"error": {"retry_after": "soon"}}, None),
    ({"error": "m"}, None),
    ([], None),
    (None, None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "seconds"), RESETS, ids=lambda value: str(value)[:70])
def test_when_a_limit_ends_by_a_body(body, seconds):
    assert reset_in_body(body, NOW) == (None if seconds is None else pytest.approx(seconds))


NAMES = st.sampled_from(["error", "metadata", "headers", "details", "retry_after", "resets_at", "X-RateLimit-Reset"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4),
)


@given(JSON, st.floats(0, 4e9))
def test_reading_a_body_never_fails(payload, now):
    found = reset_in_body(payload, now)
    assert found is None or 0.0 <= found <= LONGEST


def test_a_cap_that_ends_in_hours_is_raised_at_once(front, server):
    reset = str(int((time.time() + 10 * HOUR) * 1000))
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    error = {"message": "Rate limit exceeded: free-models-per-day.", "code": 429, "metadata": {"headers": headers}}
    server.script(*[Reply(status=429, body={"error": error})] * 5)
    with front.client(**at(server)) as client, pytest.raises(llmnet.RateLimitError) as caught:
        client.chat("hi")
    assert 9 * HOUR < caught.value.retry_after < 11 * HOUR
    assert (server.request_count, caught.value.code) == (1, "429")


def test_a_spent_quota_in_prose_is_asked_for_once(front, server):
    server.script(*[Reply(status=403, body=error_body("Sorry, your account balance is insufficient"))] * 5)
    with front.client(**at(server)) as client, pytest.raises(llmnet.QuotaExceededError):
        client.chat("hi")
    assert server.request_count == 1


def test_a_conversation_that_is_too_long_is_sent_once_under_a_500(front, server):
    body = {"error": {"code": 500, "type": "exceed_context_size_error", "message": "m"}}
    server.script(*[Reply(status=500, body=body)] * 5)
    with front.client(**at(server)) as client, pytest.raises(llmnet.ContextLengthError) as caught:
        client.chat("hi")
    assert (server.request_count, caught.value.status) == (1, 500)
