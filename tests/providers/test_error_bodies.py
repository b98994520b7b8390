"""Every row of the vendors' error tables (docs/vendors.md, Errors), and every shape that a body may have."""

import json
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import recorded

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
from llmnet.core.http import Headers, Meta
from llmnet.core.json import readable
from llmnet.core.preview import SHOWN as SNIPPET
from llmnet.core.retry import RetryPolicy
from llmnet.core.retry_after import hint_in_body
from llmnet.providers.error_bodies import detail_of, find_error, has_code
from llmnet.providers.error_codes import (
    CATEGORIES,
    CORRECTIONS,
    STATUSES,
    category_of_names,
    class_of,
    lookup,
    status_error,
)
from llmnet.providers.services import SERVICES
from llmnet.providers.target import Service

BAD, KEY, DENIED, MISSING, CONFLICT = (
    BadRequestError,
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    ConflictError,
)
RATE, QUOTA, SERVER, BUSY, LONG, OTHER = (
    RateLimitError,
    QuotaExceededError,
    ServerError,
    OverloadedError,
    ContextLengthError,
    APIStatusError,
)


def error_of(service, status, body, headers=None, stream_status=None):
    error = status_error(SERVICES[service], status, Headers(headers or {}), body, stream_status)
    error.meta = Meta(headers=Headers(headers or {}))
    return error


def repeats(error):
    return RetryPolicy().repeats(error)


def openai(code=None, kind="invalid_request_error", message="m"):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind, code=None, message="m"):
    details = {"details": {"error_code": code}} if code else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}, "request_id": "req_1"}


def azure(code, **more):
    return {"error": {"code": code, "message": "m", **more}}


def native(code, message="m"):
    return {"code": code, "message": message, "request_id": "r"}


def qianfan(code, kind="invalid_request_error", message="m"):
    return {"error": {"code": code, "message": message, "type": kind}, "id": "as-1"}


# -- the tables: service, status, body → class, throttled, retried ----------------------------------------------------------

TABLE = [
    # docs/vendors.md, Errors of OpenAI
    ("openai", 400, openai("context_length_exceeded"), LONG, False, False),
    ("openai", 400, openai("unsupported_parameter"), BAD, False, False),
    ("openai", 400, openai("unsupported_value"), BAD, False, False),
    ("openai", 400, openai("missing_required_parameter"), BAD, False, False),
    ("openai", 400, openai("invalid_function_parameters"), BAD, False, False),
    ("openai", 400, openai("invalid_image_url"), BAD, False, False),
    ("openai", 400, openai("invalid_image_format"), BAD, False, False),
    ("openai", 400, openai("previous_response_not_found"), BAD, False, False),
    ("openai", 400, openai(None), BAD, False, False),
    ("openai", 400, openai("model_not_found"), MISSING, False, False),
    ("openai", 401, openai("invalid_api_key"), KEY, False, False),
    ("openai", 403, openai("unsupported_country_region_territory", "request_forbidden"), DENIED, False, False),
    ("openai", 404, openai("model_not_found"), MISSING, False, False),
    ("openai", 408, openai(None, "timeout"), OTHER, False, True),
    ("openai", 409, openai(None, "conflict"), CONFLICT, False, True),
    ("openai", 422, openai(None), BAD, False, False),
    ("openai", 429, openai("rate_limit_exceeded", "requests"), RATE, True, True),
    ("openai", 429, openai("rate_limit_exceeded", "tokens"), RATE, True, True),
    ("openai", 429, openai("rate_limit_exceeded", "tokens", "Request too large for gpt-x: Limit 1, Requested 30."), RATE, False, False),
    ("openai", 429, openai(None, "tokens", "Request too large for gpt-x: Limit 1, Requested 30."), RATE, False, False),
    ("openai", 429, openai("slow_down", "rate_limit_error"), RATE, True, True),
    ("openai", 503, openai("slow_down", "server_error"), RATE, True, True),
    ("openai", 429, openai("insufficient_quota", "insufficient_quota"), QUOTA, False, False),
    ("openai", 429, openai("credit_balance_exhausted", "insufficient_quota"), QUOTA, False, False),
    ("openai", 429, openai("organization_spend_limit_exceeded", "insufficient_quota"), QUOTA, False, False),
    ("openai", 429, openai("project_spend_limit_exceeded", "insufficient_quota"), QUOTA, False, False),
    ("openai", 429, openai("organization_usage_limit_exceeded", "insufficient_quota"), QUOTA, False, False),
    ("openai", 429, openai(None, "insufficient_quota"), QUOTA, False, False),
    ("openai", 429, openai("billing_hard_limit_reached", "invalid_request_error"), QUOTA, False, False),
    ("openai", 500, openai(None, "server_error"), SERVER, False, True),
    ("openai", 500, "", SERVER, False, True),
    ("openai", 503, openai("server_is_overloaded", "service_unavailable_error"), BUSY, True, True),
    ("openai", 503, openai(None, "service_unavailable_error"), SERVER, False, True),
    ("openai", 501, openai(None, "server_error"), SERVER, False, False),
    ("openai", 302, "", OTHER, False, False),
    ("openai", 418, "", OTHER, False, False),
    # Anthropic, 2.7
    ("anthropic", 400, anthropic("invalid_request_error"), BAD, False, False),
    ("anthropic", 400, anthropic("invalid_request_error", message="Your credit balance is too low to access"), QUOTA, False, False),
    ("anthropic", 400, anthropic("invalid_request_error", message="You have reached your specified workspace API usage limits."), QUOTA, False, False),
    ("anthropic", 400, anthropic("invalid_request_error", "organization_on_hold"), BAD, False, False),
    ("anthropic", 400, anthropic("invalid_request_error", message="prompt is too long: 210000 tokens > 200000 maximum"), LONG, False, False),
    ("anthropic", 401, anthropic("authentication_error"), KEY, False, False),
    ("anthropic", 402, anthropic("billing_error"), QUOTA, False, False),
    ("anthropic", 402, anthropic("billing_error", "linked_organization_spend_limit_reached"), QUOTA, False, False),
    ("anthropic", 402, anthropic("billing_error", "linked_organization_billing_unavailable"), QUOTA, False, False),
    ("anthropic", 403, anthropic("permission_error"), DENIED, False, False),
    ("anthropic", 404, anthropic("not_found_error"), MISSING, False, False),
    ("anthropic", 408, anthropic("invalid_request_error", "request_body_timeout"), OTHER, False, True),
    ("anthropic", 409, anthropic("conflict_error"), CONFLICT, False, True),
    ("anthropic", 413, anthropic("request_too_large"), BAD, False, False),
    ("anthropic", 413, anthropic("request_too_large", "request_body_too_large_after_decoding"), BAD, False, False),
    ("anthropic", 429, anthropic("rate_limit_error"), RATE, True, True),
    ("anthropic", 429, anthropic("rate_limit_error", "ramp_limit_exceeded"), RATE, True, True),
    ("anthropic", 429, anthropic("rate_limit_error", "enforced_spend_limit_reached"), QUOTA, False, False),
    ("anthropic", 429, anthropic("rate_limit_error", "contract_spend_limit_reached"), QUOTA, False, False),
    ("anthropic", 500, anthropic("api_error"), SERVER, False, True),
    ("anthropic", 503, anthropic("api_error", "cmek_context_unavailable"), SERVER, False, True),
    ("anthropic", 504, anthropic("timeout_error"), SERVER, False, True),
    ("anthropic", 529, anthropic("overloaded_error"), BUSY, True, True),
    ("anthropic", 529, "", BUSY, True, True),
    # Azure, 3.3
    ("azure", 401, azure("401"), KEY, False, False),
    ("azure", 404, azure("404"), MISSING, False, False),
    ("azure", 404, azure("DeploymentNotFound", type="invalid_request_error"), MISSING, False, False),
    ("azure", 400, azure("content_filter", status=400, param="prompt", innererror={"code": "ResponsibleAIPolicyViolation"}), BAD, False, False),
    ("azure", 429, azure("429"), RATE, True, True),
    ("azure", 429, azure("RateLimitReached", details="m"), RATE, True, True),
    ("azure", 429, azure("too_many_requests", type="too_many_requests"), RATE, True, True),
    ("azure", 500, {"statusCode": 500, "message": "Internal server error"}, SERVER, False, True),
    ("azure", 502, "<html><body>502 Bad Gateway</body></html>", SERVER, False, True),
    # DashScope: its own codes and those of the compatible mode
    ("dashscope", 400, native("InvalidParameter"), BAD, False, False),
    ("dashscope", 400, native("InvalidParameter.DataInspection"), BAD, False, False),
    ("dashscope", 400, native("InvalidParameter", "Range of input length should be [1, 129024]"), LONG, False, False),
    ("dashscope", 400, native("BadRequest.IllegalInput"), BAD, False, False),
    ("dashscope", 400, native("DataInspectionFailed"), BAD, False, False),
    ("dashscope", 400, openai("data_inspection_failed", "data_inspection_failed"), BAD, False, False),
    ("dashscope", 400, native("Arrearage"), QUOTA, False, False),
    ("dashscope", 400, openai("Arrearage", "Arrearage"), QUOTA, False, False),
    ("dashscope", 400, native("UnsupportedOperation"), BAD, False, False),
    ("dashscope", 401, native("InvalidApiKey"), KEY, False, False),
    ("dashscope", 401, openai("invalid_api_key"), KEY, False, False),
    ("dashscope", 401, openai(None), KEY, False, False),
    ("dashscope", 401, native("NOT AUTHORIZED"), KEY, False, False),
    ("dashscope", 401, native("invalid access token or token expired"), KEY, False, False),
    ("dashscope", 403, native("AccessDenied"), DENIED, False, False),
    ("dashscope", 403, openai("access_denied", "access_denied"), DENIED, False, False),
    ("dashscope", 403, native("AccessDenied.Unpurchased"), DENIED, False, False),
    ("dashscope", 403, native("Model.AccessDenied"), DENIED, False, False),
    ("dashscope", 403, native("App.AccessDenied"), DENIED, False, False),
    ("dashscope", 403, native("Workspace.AccessDenied"), DENIED, False, False),
    ("dashscope", 403, native("AllocationQuota.FreeTierOnly"), QUOTA, False, False),
    ("dashscope", 403, openai("AllocationQuota.FreeTierOnly", "AllocationQuota.FreeTierOnly"), QUOTA, False, False),
    ("dashscope", 404, native("ModelNotFound"), MISSING, False, False),
    ("dashscope", 404, native("Model.NotExist"), MISSING, False, False),
    ("dashscope", 404, openai("model_not_found"), MISSING, False, False),
    ("dashscope", 404, native("model_not_supported"), MISSING, False, False),
    ("dashscope", 404, native("WorkSpaceNotFound"), MISSING, False, False),
    ("dashscope", 404, native("NotFound"), MISSING, False, False),
    ("dashscope", 413, native("BadRequest.TooLarge"), BAD, False, False),
    ("dashscope", 429, native("Throttling"), RATE, True, True),
    ("dashscope", 429, native("Throttling.RateQuota"), RATE, True, True),
    ("dashscope", 429, native("LimitRequests"), RATE, True, True),
    ("dashscope", 429, openai("limit_requests", "limit_requests"), RATE, True, True),
    ("dashscope", 429, native("Throttling.BurstRate"), RATE, True, True),
    ("dashscope", 429, openai("limit_burst_rate", "limit_burst_rate"), RATE, True, True),
    ("dashscope", 429, native("Throttling.AllocationQuota"), RATE, True, True),
    ("dashscope", 429, openai("insufficient_quota", "insufficient_quota"), RATE, True, True),
    ("dashscope", 429, openai("insufficient_quota", "insufficient_quota", "Free allocated quota exceeded."), QUOTA, False, False),
    ("dashscope", 429, native("Throttling.AllocationQuota", "Free allocated quota exceeded."), QUOTA, False, False),
    ("dashscope", 429, native("CommodityNotPurchased"), QUOTA, False, False),
    ("dashscope", 429, native("PrepaidBillOverdue"), QUOTA, False, False),
    ("dashscope", 429, native("PostpaidBillOverdue"), QUOTA, False, False),
    ("dashscope", 429, native("BudgetLimitExceeded"), QUOTA, False, False),
    ("dashscope", 500, native("InternalError"), SERVER, False, True),
    ("dashscope", 500, openai("internal_error", "internal_error"), SERVER, False, True),
    ("dashscope", 500, native("InternalError.Algo"), SERVER, False, True),
    ("dashscope", 500, native("InternalError.Timeout"), SERVER, False, True),
    ("dashscope", 500, native("SystemError"), SERVER, False, True),
    ("dashscope", 500, native("ModelServiceFailed"), SERVER, False, True),
    ("dashscope", 500, native("RequestTimeOut"), SERVER, False, True),
    ("dashscope", 408, native("RequestTimeOut"), OTHER, False, True),
    ("dashscope", 500, native("ResponseTimeout"), SERVER, False, True),
    ("dashscope", 503, native("ModelServingError"), SERVER, False, True),
    ("dashscope", 500, native("ModelServingError"), SERVER, False, True),
    ("dashscope", 503, native("ModelUnavailable"), SERVER, False, True),
    ("dashscope", 503, native("ServiceUnavailable"), SERVER, False, True),
    ("dashscope", 504, native("GatewayTimeout"), SERVER, False, True),
    # Qianfan v2, 5.2
    ("qianfan", 400, qianfan("malformed_json"), BAD, False, False),
    ("qianfan", 400, qianfan("invalid_model", message="model is empty"), MISSING, False, False),
    ("qianfan", 400, qianfan("invalid_messages"), BAD, False, False),
    ("qianfan", 400, qianfan("invalid_argument"), BAD, False, False),
    ("qianfan", 400, qianfan("characters_too_long"), LONG, False, False),
    ("qianfan", 400, qianfan("tokens_too_long"), LONG, False, False),
    ("qianfan", 400, qianfan("invalid_image_url"), BAD, False, False),
    ("qianfan", 400, qianfan("invalid_plugin_argument"), BAD, False, False),
    ("qianfan", 400, qianfan("image_url_unsafe", "unsafe_request"), BAD, False, False),
    ("qianfan", 401, qianfan("invalid_model", message="No permission to use the model"), MISSING, False, False),
    ("qianfan", 401, qianfan("invalid_appid"), KEY, False, False),
    ("qianfan", 401, qianfan("invalid_iam_token"), KEY, False, False),
    ("qianfan", 401, qianfan("no_parameter_permission", "access_denied"), KEY, False, False),
    ("qianfan", 403, qianfan("account_overdue", "access_denied"), QUOTA, False, False),
    ("qianfan", 403, qianfan("model_offline", "access_denied"), DENIED, False, False),
    ("qianfan", 403, qianfan("system_unsafe", "unsafe_request"), DENIED, False, False),
    ("qianfan", 403, qianfan("user_setting_unsafe", "unsafe_request"), DENIED, False, False),
    ("qianfan", 403, qianfan("functions_unsafe", "unsafe_request"), DENIED, False, False),
    ("qianfan", 404, "404 page not found", MISSING, False, False),
    ("qianfan", 405, qianfan("method_not_supported"), OTHER, False, False),
    *(
        ("qianfan", 429, qianfan(f"{what}_rate_limit_exceeded", "rate_limit_exceeded"), RATE, True, True)
        for what in ("rpm", "tpm", "input_tpm", "output_tpm", "user", "cluster", "cluster_rpm", "cluster_tpm", "preemptible")
    ),
    ("qianfan", 429, qianfan("Offline_batch_reasoning_refused", "rate_limit_exceeded"), RATE, True, True),
    ("qianfan", 500, qianfan("internal_error", "Internal_error"), SERVER, False, True),
    ("qianfan", 500, qianfan("dispatch_internal_error", "Internal_error"), SERVER, False, True),
    ("qianfan", 500, qianfan("image_generation_interal_error", "Internal_error"), SERVER, False, True),
    # other services, 6 and 6.1
    ("deepseek", 401, openai("invalid_request_error", "authentication_error"), KEY, False, False),
    ("deepseek", 402, openai("invalid_request_error", "unknown_error", "Insufficient Balance"), QUOTA, False, False),
    ("deepseek", 400, openai("invalid_request_error", message="This model's maximum context length is 65536 tokens."), LONG, False, False),
    ("moonshot", 429, openai(None, "exceeded_current_quota_error"), QUOTA, False, False),
    ("moonshot", 429, openai(None, "rate_limit_reached_error"), RATE, True, True),
    ("moonshot", 429, openai(None, "engine_overloaded_error"), RATE, True, True),
    ("moonshot", 400, openai(None, message="Invalid request: Your request exceeded model token limit: 8192"), LONG, False, False),
    ("zhipu", 429, {"error": {"code": "1113", "message": "balance"}}, QUOTA, False, False),
    ("zhipu", 429, {"error": {"code": "1302", "message": "concurrency"}}, RATE, True, True),
    ("zhipu", 400, {"error": {"code": "1301", "message": "unsafe"}}, BAD, False, False),
    ("zai", 429, {"error": {"code": 1113, "message": "balance"}}, QUOTA, False, False),
    ("groq", 413, openai("rate_limit_exceeded", "tokens", "Request too large for model `x` on tokens per minute (TPM)"), RATE, False, False),
    ("mistral", 422, {"detail": [{"loc": ["body", "model"], "msg": "Field required", "type": "missing"}]}, BAD, False, False),
    ("openrouter", 402, {"error": {"code": 402, "message": "Insufficient credits"}}, QUOTA, False, False),
    ("openrouter", 502, {"error": {"code": 502, "message": "Provider returned error"}}, SERVER, False, True),
    ("siliconflow", 400, {"code": 20012, "message": "Model does not exist.", "data": None}, BAD, False, False),
    ("vllm", 400, {"object": "error", "message": "m", "type": "BadRequestError", "code": 400}, BAD, False, False),
    ("ollama", 404, {"error": "model 'x' not found"}, MISSING, False, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "status", "body", "cls", "throttled", "retried"), TABLE, ids=lambda value: str(value)[:60]
)
def test_the_vendors_tables(service, status, body, cls, throttled, retried):
    error = error_of(service, status, body)
    assert type(error) is cls
    assert (error.status, error.http_status) == (status, status)
    assert error.throttled is throttled
    assert repeats(error) is retried
    assert error.body == body
    assert str(error).startswith(f"HTTP {status}")
    assert pickle.loads(pickle.dumps(error)).__dict__.keys() == error.__dict__.keys()


def test_the_servers_advice_wins_over_its_status():
    assert not repeats(error_of("anthropic", 529, anthropic("overloaded_error"), {"x-should-retry": "false"}))
    assert repeats(error_of("anthropic", 400, anthropic("invalid_request_error"), {"x-should-retry": "true"}))
    spent = anthropic("rate_limit_error", "enforced_spend_limit_reached")
    assert not repeats(error_of("anthropic", 429, spent, {"x-should-retry": "true"}))


@pytest.mark.parametrize(
    ("body", "code", "kind", "request_id"),
    [
        (openai("invalid_api_key"), "invalid_api_key", "invalid_request_error", None),
        (openai(None), None, "invalid_request_error", None),
        (anthropic("billing_error", "linked_organization_billing_unavailable"), "linked_organization_billing_unavailable", "billing_error", "req_1"),
        (anthropic("api_error"), None, "api_error", "req_1"),
        (azure("404"), "404", None, None),
        (azure("content_filter", status=400), "content_filter", None, None),
        (native("InvalidApiKey"), "InvalidApiKey", None, "r"),
        (qianfan("invalid_model"), "invalid_model", "invalid_request_error", "as-1"),
        ({"error": {"code": 402, "message": "m"}}, "402", None, None),
        ({"object": "error", "message": "m", "type": "BadRequestError", "code": 400}, "400", "BadRequestError", None),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, "rate_limit_exceeded", None, None),
        ({"error": "invalid_client", "error_description": "Client authentication failed"}, "invalid_client", None, None),
        ([{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}], "429", "RESOURCE_EXHAUSTED", None),
        ({"base_resp": {"status_code": 1008, "status_msg": "m"}}, "1008", None, None),
        ({"statusCode": 429, "message": "m"}, "429", None, None),
    ],
)  # fmt: skip
def test_code_type_and_request_id(body, code, kind, request_id):
    error = error_of("openai", 400, body)
    assert (error.code, error.type, error.request_id) == (code, kind, request_id)


# -- shapes of bodies -------------------------------------------------------------------------------------------------------

DEEP = {"a": 1}
for _ in range(900):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "no body"),
        ("   ", "no body"),
        (None, "no body"),
        ({}, "{}"),
        ([], "[]"),
        ("404 page not found", "404 page not found"),
        (
            "<html>\n<head><title>502  Bad Gateway</title></head>\n</html>",
            "<html> <head><title>502 Bad Gateway</title></head> </html>",
        ),
        ("x" * 5000, "x" * SNIPPET + "…"),
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        (
            {"error": "invalid_client", "error_description": "Client authentication failed"},
            "Client authentication failed",
        ),
        ({"error": {"message": "m"}}, "m"),
        ({"error": {"message": {"a": 1}}}, "{'a': 1}"),
        ({"error": {"message": None, "code": "c"}}, "{'message': None, 'code': 'c'}"),
        ({"error": {"code": "c"}, "message": "outside"}, "outside"),
        ({"error": ["a", "b"]}, "{'error': ['a', 'b']}"),
        ([{"error": {"message": "Google's"}}], "Google's"),
        (["oops"], "oops"),
        ([[1]], "[1]"),
        ({"detail": "Not Found"}, "Not Found"),
        (
            {"detail": [{"loc": ["body", "model"], "msg": "Field required"}]},
            "[{'loc': ['body', 'model'], 'msg': 'Field required'}]",
        ),
        ({"code": "rpm_rate_limit_exceeded", "msg": "slow"}, "slow"),
        ({"error_code": 18, "error_msg": "Open api qps request limit reached"}, "Open api qps request limit reached"),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, "insufficient balance"),
        ({"statusCode": 503, "message": "The service is unavailable."}, "The service is unavailable."),
        ({"x_groq": {"error": "over capacity"}}, "over capacity"),
        (3, "3"),
        (True, "True"),
        (DEEP, "a body nested too deeply to be shown"),
    ],
    ids=lambda value: str(value)[:40] if value is not DEEP else "deep",
)
def test_messages(body, message):
    found = detail_of(body, {}).message
    assert found == message or (
        body is DEEP and found.startswith("{'a': {'a'")
    )  # as deep as this Python's stack allows


def test_an_empty_body_with_baidus_header():
    error = error_of("qianfan", 403, "", {"X-Bce-Error-Message": "The account is disabled"})
    assert type(error) is DENIED
    assert error.message == "HTTP 403: The account is disabled"


@pytest.mark.parametrize(
    ("inner", "cls", "code", "message"),
    [
        (
            {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": None}},
            RATE,
            "x",
            "You exceeded your current quota",
        ),
        ({"error": {"message": "too long", "code": "context_length_exceeded"}}, LONG, "x", "too long"),
        ({"message": "plain", "code": "Arrearage"}, QUOTA, "x", "plain"),
        ([1], BAD, "x", "[1]"),
    ],
)
def test_a_message_that_is_the_json_of_another_error(inner, cls, code, message):
    error = error_of("dashscope", 400, native("x", json.dumps(inner)))
    assert (type(error), error.code) == (cls, code)
    assert error.message.endswith(f"x: {message}")


def test_a_message_that_looks_like_json():
    assert detail_of({"error": {"message": "{oops"}}, {}).message == "{oops"
    assert detail_of({"error": {"message": '{"a": 1}'}}, {}).message == '{"a": 1}'


def google(*quotas, delay=None):
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota} for quota in quotas]}
    ]
    details += [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}] if delay else []
    return [
        {
            "error": {
                "code": 429,
                "message": "You exceeded your current quota",
                "status": "RESOURCE_EXHAUSTED",
                "details": details,
            }
        }
    ]


@pytest.mark.parametrize(
    ("body", "cls", "hint"),
    [
        (google("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", delay="38s"), RATE, 38.0),
        (google("GenerateContentInputTokensPerModelPerMinute", delay="34.07s"), RATE, 34.07),
        (google("GenerateRequestsPerDayPerProjectPerModel-FreeTier", delay="38s"), QUOTA, 38.0),
        (google("GenerateRequestsPerMinutePerProject", "GenerateRequestsPerDayPerProject"), QUOTA, None),
        (google(), RATE, None),
    ],
)
def test_googles_quotas(body, cls, hint):
    error = error_of("gemini", 429, body)
    assert (type(error), error.code, error.type) == (cls, "429", "RESOURCE_EXHAUSTED")
    assert repeats(error) is (cls is RATE)
    assert hint_in_body(error.body) == hint


def test_googles_wrong_key():
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    body = [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}}]
    assert type(error_of("gemini", 400, body)) is KEY


# -- errors inside a success ------------------------------------------------------------------------------------------------

INSIDE = [
    # service, payload, status of a comment → class, status, retried
    ("openai", openai("server_error", "server_error"), None, SERVER, 500, True),
    ("openai", openai("rate_limit_exceeded", "tokens"), None, RATE, 429, True),
    ("openai", openai(None, "invalid_request_error"), None, BAD, 400, False),
    ("openai", {"type": "error", "code": "rate_limit_exceeded", "message": "m", "sequence_number": 3}, None, RATE, 429, True),
    ("openai", {"type": "error", "error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "m"}}, None, QUOTA, 429, False),
    ("openai", {"type": "error", "code": "invalid_prompt", "message": "m"}, None, BAD, 400, False),
    ("openai", {"type": "error", "code": "image_too_small", "message": "m"}, None, BAD, 400, False),
    ("openai", {"type": "error", "code": "bio_policy", "message": "m"}, None, BAD, 400, False),
    ("openai", {"type": "error", "code": "misalignment_policy_violation", "message": "m"}, None, BAD, 400, False),
    ("openai", {"type": "error", "code": "data_residency_mismatch", "message": "m"}, None, BAD, 400, False),
    ("openai", {"type": "error", "code": "vector_store_timeout", "message": "m"}, None, SERVER, 504, True),
    ("openai", {"type": "error", "code": "never_heard_of", "message": "m"}, None, SERVER, 500, True),
    ("openai", {"type": "error", "message": "m"}, None, SERVER, 500, True),
    ("anthropic", anthropic("overloaded_error"), None, BUSY, 529, True),
    ("anthropic", anthropic("api_error"), None, SERVER, 500, True),
    ("anthropic", anthropic("rate_limit_error"), None, RATE, 429, True),
    ("anthropic", anthropic("rate_limit_error", "enforced_spend_limit_reached"), None, QUOTA, 429, False),
    ("anthropic", anthropic("timeout_error"), None, SERVER, 504, True),
    ("anthropic", anthropic("request_too_large"), None, BAD, 413, False),
    ("anthropic", anthropic("authentication_error"), None, KEY, 401, False),
    ("anthropic", anthropic("permission_error"), None, DENIED, 403, False),
    ("anthropic", anthropic("not_found_error"), None, MISSING, 404, False),
    ("anthropic", anthropic("conflict_error"), None, CONFLICT, 409, True),
    ("azure", openai("content_filter", None), None, BAD, 400, False),
    ("dashscope", native("InvalidParameter"), 400, BAD, 400, False),
    ("dashscope", native("Throttling.RateQuota"), 429, RATE, 429, True),
    ("dashscope", native("Throttling.RateQuota"), None, RATE, 429, True),
    ("dashscope", native("InternalError"), 500, SERVER, 500, True),
    ("dashscope", native("InternalError.Algo"), None, SERVER, 500, True),
    ("dashscope", native("ModelUnavailable"), 503, SERVER, 503, True),
    ("dashscope", native("InvalidApiKey"), None, KEY, 401, False),
    ("dashscope", native("DataInspectionFailed"), None, BAD, 400, False),
    ("dashscope", native("AccessDenied.Unpurchased"), None, DENIED, 403, False),
    ("dashscope", native("Arrearage"), None, QUOTA, 429, False),
    ("qianfan", {"code": "rpm_rate_limit_exceeded", "msg": "m"}, None, RATE, 429, True),
    ("qianfan", qianfan("internal_error", "Internal_error", "high load"), None, SERVER, 500, True),
    ("qianfan", qianfan("invalid_messages"), None, BAD, 400, False),
    ("minimax", {"base_resp": {"status_code": 1008, "status_msg": "m"}, "choices": None}, None, QUOTA, 429, False),
    ("minimax", {"base_resp": {"status_code": 1002, "status_msg": "m"}}, None, RATE, 429, True),
    ("minimax", {"base_resp": {"status_code": 1004, "status_msg": "m"}}, None, KEY, 401, False),
    ("minimax", {"base_resp": {"status_code": 1000, "status_msg": "m"}}, None, SERVER, 500, True),
    ("openrouter", {"error": {"code": 400, "message": "Token limit reached"}, "choices": [{"delta": {}}]}, None, BAD, 400, False),
    ("openrouter", {"error": {"code": 502, "message": "m"}, "choices": [{"delta": {}, "finish_reason": "error"}]}, None, SERVER, 502, True),
    ("openrouter", {"error": {"code": "429", "message": "m"}}, None, RATE, 429, True),
    ("groq", {"choices": [{"delta": {}}], "x_groq": {"id": "r", "error": "over capacity"}}, None, SERVER, 500, True),
    ("vllm", {"object": "error", "message": "m", "type": "NotFoundError", "code": 404}, None, MISSING, 404, False),
    ("vllm", {"error": {"message": "m", "type": "InternalServerError", "code": 500}}, None, SERVER, 500, True),
    ("gemini", [{"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}], None, SERVER, 503, True),
    ("gemini", {"error": {"message": "m", "status": "RESOURCE_EXHAUSTED"}}, None, RATE, 429, True),
    ("siliconflow", {"code": 20012, "message": "m", "data": None}, None, SERVER, 500, True),
    ("ollama", {"error": "unexpected EOF"}, None, SERVER, 500, True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("service", "payload", "stream_status", "cls", "status", "retried"), INSIDE, ids=lambda value: str(value)[:60]
)
def test_errors_inside_a_success(service, payload, stream_status, cls, status, retried):
    assert find_error(payload)
    error = error_of(service, 200, payload, stream_status=stream_status)
    assert type(error) is cls
    assert (error.status, error.http_status) == (status, 200)
    assert repeats(error) is retried


@pytest.mark.parametrize(
    "payload",
    [
        {}, [], [{"id": "m"}], None, 3, "text", True,
        {"error": None, "choices": []}, {"error": "", "choices": []}, {"error": {}, "output": []},
        {"code": "", "message": "", "output": {"text": "x"}}, {"code": "200"}, {"code": 0}, {"code": None}, {"code": "Success"},
        {"status_code": 200, "code": "", "output": {}}, {"code": "InvalidParameter", "choices": [1]},
        {"base_resp": {"status_code": 0, "status_msg": "success"}}, {"base_resp": {"status_code": "0"}}, {"base_resp": None},
        {"x_groq": {"id": "r", "usage": {}}}, {"x_groq": {"error": None}},
        {"type": "response.code_interpreter_call_code.done", "code": "print(1)"},
        {"type": "message_start"}, {"object": "chat.completion.chunk", "choices": [], "moderation": {"input": {"type": "error"}}},
        {"choices": [{"content_filter_results": {"error": {"code": "x"}}}]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_error(payload):
    assert not find_error(payload)


# -- names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a", 1), ("b.c", 2), ("b.d", 3), ("x.y", None), ("rpm_limit", 4), ("limit", None), ("a.z", 1), ("q.d", 3)],
)
def test_a_name_means_itself_a_pattern_or_its_family(name, expected):
    assert lookup(name, {"a": 1, "b.c": 2, "*.d": 3, "*_limit": 4, "b": 5}) == expected


def test_names_of_the_service_come_first():
    service = Service(name="own", codes={"insufficient_quota": "rate"}, messages={"Free quota": "quota"})
    assert category_of_names(service, ["insufficient_quota"], "") == "rate"
    assert category_of_names(service, ["insufficient_quota"], "Free quota used up") == "quota"
    assert category_of_names(service, ["nothing", "model_not_found"], "") == "missing"
    assert category_of_names(service, [], "") is None


def test_tables_are_in_lower_case_and_name_known_categories():
    for service in (Service(name="all", codes=CORRECTIONS), *SERVICES.values()):
        assert all(name == name.lower() for name in service.codes)
        assert {*service.codes.values(), *service.messages.values()} <= CATEGORIES.keys()
    assert all(name == name.lower() for name in STATUSES)
    assert all(issubclass(cls, class_of(status)) for cls, status in CATEGORIES.values())


# -- whatever may come ------------------------------------------------------------------------------------------------------

WORDS_ON_WIRES = st.sampled_from(
    ["error", "code", "type", "message", "msg", "status", "details", "detail", "request_id", "id", "base_resp", "status_code", "x_groq", "choices",
     "violations", "quotaId", "reason", "error_code", "insufficient_quota", "429", "", "0", '{"error":', '{"message": "{}"}']
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | WORDS_ON_WIRES
PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS_ON_WIRES | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(
    PAYLOADS,
    st.sampled_from(sorted(SERVICES)),
    st.integers(0, 999),
    st.none() | st.integers(400, 599),
    st.dictionaries(st.sampled_from(["retry-after", "x-bce-error-message", "X-Request-Id"]), st.text()),
)
def test_reading_an_error_never_fails(payload, service, status, stream_status, headers):
    error = error_of(service, status, payload, headers, stream_status)
    assert isinstance(error, APIStatusError)
    assert error.http_status == status
    assert error.status == stream_status or stream_status is None
    assert not 200 <= error.status < 300
    assert error.code is None or isinstance(error.code, str)
    assert error.type is None or isinstance(error.type, str)
    assert isinstance(find_error(payload), bool)
    assert isinstance(repeats(error), bool)
    assert not (isinstance(error, QuotaExceededError) and repeats(error))
    str(error)
    pickle.loads(pickle.dumps(error))


@given(st.binary(max_size=80), st.integers(300, 599))
def test_reading_any_bytes_never_fails(body, status):
    assert error_of("openai", status, readable(body)).status == status


# -- recorded traffic -------------------------------------------------------------------------------------------------------

PROVIDERS = ("openai", "anthropic", "azure", "dashscope", "qianfan", "openai-compatible")
BUILT = [row for provider in PROVIDERS for row in recorded.rows(provider) if row["api"] not in ("v1", "oauth")]
ERRORS = [row for row in BUILT if row["kind"] == "error"]
GOOD = [row for row in BUILT if row["kind"] != "error" and row["status"] < 300]
EXPECTED = {400: BAD, 401: KEY, 402: QUOTA, 403: DENIED, 404: MISSING, 409: CONFLICT, 413: BAD, 422: BAD, 429: RATE}


def service_of(row):
    return row["provider"] if row["provider"] in SERVICES else "openai"


@recorded.needs_recordings
@pytest.mark.parametrize("row", ERRORS, ids=recorded.name)
def test_recorded_errors(row):
    error = error_of(service_of(row), row["status"], readable(recorded.body(row)), recorded.headers(row))
    expected = row["expected"].get("error") or {}
    usual = EXPECTED.get(row["status"], SERVER if row["status"] >= 500 else OTHER)
    assert isinstance(error, (usual, QUOTA, KEY, RATE, MISSING))
    assert error.status == error.http_status == row["status"]
    if expected.get("code") not in (None, ""):
        assert error.code == str(expected["code"])
    if expected.get("type"):
        assert error.type == expected["type"]
    assert str(expected.get("message") or "")[:60] in str(error)


def payloads(row):
    """The JSON values of a recorded body."""
    body = recorded.body(row)
    if not row["stream"]:
        return [readable(body)]
    lines = re.findall(rb"^data: ?(.*?)\r?$", body, re.MULTILINE)
    return [readable(line) for line in lines]


@recorded.needs_recordings
@pytest.mark.parametrize("row", GOOD, ids=recorded.name)
def test_recorded_successes_hold_no_error(row):
    found = [payload for payload in payloads(row) if find_error(payload)]
    assert len(found) == bool(row.get("error_in_200"))
    for payload in found:
        error = error_of(service_of(row), 200, payload)
        assert error.status >= 400
        assert row["expected"]["error"]["message"][:60] in str(error)


def test_a_code_next_to_a_reply():
    assert has_code({"code": "x"})
    assert not has_code({"code": ""})
