"""One row for each provider: its addresses, keys and names, its APIs, and where it differs.

The facts: docs/vendors.md, Addresses and keys, and Errors.
"""

from typing import Any

from llmnet.providers.target import CHAT, MESSAGES, NATIVE, RESPONSES, Api, BaseVariable, Service, by_name


def _row(name: str, base_url: str, key_vars: str = "", **more: Any) -> Service:
    """A row with what most have alike: variables of a bearer key, if any, and a variable of the address."""
    more.setdefault("base_vars", (BaseVariable(f"{name.upper()}_BASE_URL"),))
    keys = tuple((variable, "bearer") for variable in key_vars.split())
    return Service(name=name, base_url=base_url, key_vars=keys, keyless=not keys, **more)


OPENAI = _row(
    "openai",
    "https://api.openai.com/v1",
    "OPENAI_API_KEY",
    apis={CHAT: Api(), RESPONSES: Api(RESPONSES)},
    env_headers={"OPENAI_ORG_ID": "openai-organization", "OPENAI_PROJECT_ID": "openai-project"},
)

ANTHROPIC = Service(
    name="anthropic",
    aliases=("claude",),
    families=("claude-",),
    base_url="https://api.anthropic.com",
    apis={MESSAGES: Api(MESSAGES)},
    key_vars=(("ANTHROPIC_API_KEY", "x-api-key"), ("ANTHROPIC_AUTH_TOKEN", "bearer")),
    base_vars=(BaseVariable("ANTHROPIC_BASE_URL"),),
    codes=by_name(
        quota="""
            enforced_spend_limit_reached contract_spend_limit_reached linked_organization_spend_limit_reached
            linked_organization_billing_unavailable
        """,
    ),
    messages=dict.fromkeys(("credit balance is too low", "You have reached your specified"), "quota"),
)

AZURE = Service(
    name="azure",
    aliases=("azure-openai",),
    apis={
        "v1": Api(path="/openai/v1"),
        "deployments": Api(path="/openai"),
        RESPONSES: Api(RESPONSES, "/openai/v1"),
    },
    key_vars=(("AZURE_OPENAI_AD_TOKEN", "bearer"), ("AZURE_OPENAI_API_KEY", "api-key")),
    base_vars=(BaseVariable("AZURE_OPENAI_ENDPOINT"),),
    bare_host=True,
)

DASHSCOPE = _row(
    "dashscope",
    "https://dashscope.aliyuncs.com",
    "DASHSCOPE_API_KEY",
    aliases=("qwen", "tongyi"),
    families=("qwen",),
    apis={
        "compatible": Api(path="/compatible-mode/v1"),
        NATIVE: Api(NATIVE, "/api/v1"),
        RESPONSES: Api(RESPONSES, "/compatible-mode/v1"),
        "anthropic": Api(MESSAGES, "/apps/anthropic"),
    },
    base_vars=(
        BaseVariable("DASHSCOPE_BASE_URL"),
        BaseVariable("DASHSCOPE_COMPATIBLE_BASE_URL", apis=("compatible", RESPONSES)),
        BaseVariable("DASHSCOPE_HTTP_BASE_URL", apis=(NATIVE,)),
    ),
    env_headers={"DASHSCOPE_WORKSPACE": "x-dashscope-workspace", "DASHSCOPE_WORKSPACE_ID": "x-dashscope-workspace"},
    bare_host=True,
    json_mode=True,
    embed_limits={"": 10, "text-embedding-v1": 25, "text-embedding-v2": 25},
    codes=by_name(
        # `insufficient_quota` is a throttle here (docs/vendors.md, Errors of DashScope).
        rate="insufficient_quota throttling limit_requests limit_burst_rate",
        quota="arrearage commoditynotpurchased *billoverdue budgetlimitexceeded allocationquota",
        key="invalidapikey",
        missing="modelnotfound model.notexist model_not_supported workspacenotfound",
        forbidden="accessdenied access_denied *.accessdenied",
        bad="datainspectionfailed data_inspection_failed invalidparameter unsupportedoperation badrequest",
    ),
    messages={f"{span} allocated quota exceeded": "quota" for span in ("Free", "hour", "week", "month")},
)

QIANFAN = _row(
    "qianfan",
    "https://qianfan.baidubce.com/v2",
    "QIANFAN_BEARER_TOKEN QIANFAN_API_KEY",
    aliases=("ernie", "wenxin", "baidu"),
    families=("ernie-",),
    apis={"v2": Api()},
    base_vars=(BaseVariable("QIANFAN_CONSOLE_API_BASE_URL", suffix="/v2"),),
    env_headers={"QIANFAN_APP_ID": "appid"},
    embed_limits={"": 16, "tao-8k": 1},
    codes=by_name(
        missing="invalid_model",
        quota="account_overdue",
        context="tokens_too_long characters_too_long",
        key="invalid_iam_token invalid_appid",
        rate="*rate_limit_exceeded",
    ),
)

FAKE = Service(
    name="fake",
    tagged=True,
    apis={
        CHAT: Api(path="/v1"),
        RESPONSES: Api(RESPONSES, "/v1"),
        MESSAGES: Api(MESSAGES),
        NATIVE: Api(NATIVE, "/api/v1"),
    },
    keyless=True,
    bare_host=True,
    base64_vectors=True,
)

_ZHIPU_CODES = by_name(
    quota="1113 1304 1308 1309 1310 1313", rate="1302 1303 1305 1312", key="1000 1001 1002 1003 1004",
    forbidden="1220 1311", missing="1211", context="1261", bad="1301",
)  # fmt: skip

_ROWS = (
    OPENAI, ANTHROPIC, AZURE, DASHSCOPE, QIANFAN, FAKE,
    _row(
        "deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY",
        families=("deepseek-",), returns_reasoning=True, json_mode=True,
    ),
    _row(
        "moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY",
        aliases=("kimi",), families=("kimi-", "moonshot-"), returns_reasoning=True, json_mode=True,
        codes=by_name(
            quota="exceeded_current_quota_error", rate="rate_limit_reached_error",
            overloaded="engine_overloaded_error",
        ),
    ),
    _row(
        "zhipu", "https://open.bigmodel.cn/api/paas/v4", "ZHIPUAI_API_KEY",
        aliases=("glm",), families=("glm-",), json_mode=True, codes=_ZHIPU_CODES,
    ),
    _row("zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", json_mode=True, codes=_ZHIPU_CODES),
    _row(
        "groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY",
        base_vars=(BaseVariable("GROQ_BASE_URL", suffix="/openai/v1"),),
        lacks=("logprobs", "top_logprobs", "logit_bias"),
    ),
    _row(
        "mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY",
        renames={"seed": "random_seed"}, usage_in_streams=False, lacks=("logprobs", "top_logprobs", "logit_bias"),
    ),
    _row("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    _row("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    _row("xai", "https://api.x.ai/v1", "XAI_API_KEY", aliases=("grok",), families=("grok-",)),
    _row("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN"),
    _row(
        "gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GOOGLE_API_KEY GEMINI_API_KEY",
        aliases=("google",), families=("gemini-",),
    ),
    _row("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    _row(
        "cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY",
        lacks=("frequency_penalty", "presence_penalty", "logit_bias"),
        # The same code for a minute's limit and a day's: only the message differs.
        codes=by_name(rate="token_quota_exceeded request_quota_exceeded"),
    ),
    _row("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    _row("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    _row(
        "minimax", "https://api.minimax.io/v1", "MINIMAX_API_KEY",
        codes=by_name(quota="1008 2056", rate="1002 1039 1041 2045", key="1004 2049", bad="1026 1027 1042 2013"),
    ),
    _row(
        "volcengine", "https://ark.cn-beijing.volces.com/api/v3", "ARK_API_KEY",
        aliases=("doubao", "ark"), families=("doubao-",),
        codes=by_name(
            quota="setlimitexceeded quotaexceeded accountoverdueerror",
            rate="inflightbatchsizeexceeded requestbursttoofast", overloaded="serveroverloaded",
        ),
    ),
    _row(
        "siliconflow", "https://api.siliconflow.cn/v1", "SILICONFLOW_API_KEY",
        codes=by_name(quota="30001 30011", overloaded="50501 50505"),
    ),
    _row("modelscope", "https://api-inference.modelscope.cn/v1", "MODELSCOPE_API_KEY"),
    _row("ollama", "http://localhost:11434/v1", tagged=True),
    _row("vllm", "http://localhost:8000/v1", tagged=True),
    _row("lmstudio", "http://localhost:1234/v1", tagged=True),
)  # fmt: skip

SERVICES = {service.name: service for service in _ROWS}

# By names and aliases.
NAMED = {name: service for service in SERVICES.values() for name in (service.name, *service.aliases)}
