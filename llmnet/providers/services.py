"""One row for each provider: its addresses, keys and names, its APIs, and where it differs.

Addresses and variables: docs/vendors.md, Addresses and keys; codes: docs/vendors.md, Errors.
"""

from typing import Any

from llmnet.providers.error_codes import by_name
from llmnet.providers.target import Api, BaseVariable, Service
from llmnet.providers.wire_forms import CHAT, MESSAGES, NATIVE, RESPONSES

OPENAI = Service(
    name="openai",
    base_url="https://api.openai.com/v1",
    apis={CHAT: Api(), RESPONSES: Api(form=RESPONSES)},
    key_vars=(("OPENAI_API_KEY", "bearer"),),
    base_vars=(BaseVariable(name="OPENAI_BASE_URL"),),
    env_headers={"OPENAI_ORG_ID": "openai-organization", "OPENAI_PROJECT_ID": "openai-project"},
)

ANTHROPIC = Service(
    name="anthropic",
    aliases=("claude",),
    families=("claude-",),
    base_url="https://api.anthropic.com",
    apis={MESSAGES: Api(form=MESSAGES)},
    key_vars=(("ANTHROPIC_API_KEY", "x-api-key"), ("ANTHROPIC_AUTH_TOKEN", "bearer")),
    base_vars=(BaseVariable(name="ANTHROPIC_BASE_URL"),),
    codes=by_name(
        quota=(
            "enforced_spend_limit_reached", "contract_spend_limit_reached", "linked_organization_spend_limit_reached",
            "linked_organization_billing_unavailable",
        ),
    ),
    messages=by_name(quota=("credit balance is too low", "You have reached your specified")),
)  # fmt: skip

AZURE = Service(
    name="azure",
    aliases=("azure-openai",),
    apis={
        "v1": Api(path="/openai/v1"),
        "deployments": Api(path="/openai"),
        RESPONSES: Api(form=RESPONSES, path="/openai/v1"),
    },
    key_vars=(("AZURE_OPENAI_AD_TOKEN", "bearer"), ("AZURE_OPENAI_API_KEY", "api-key")),
    base_vars=(BaseVariable(name="AZURE_OPENAI_ENDPOINT"),),
    bare_host=True,
)

DASHSCOPE = Service(
    name="dashscope",
    aliases=("qwen", "tongyi"),
    families=("qwen",),
    base_url="https://dashscope.aliyuncs.com",
    apis={
        "compatible": Api(path="/compatible-mode/v1"),
        NATIVE: Api(form=NATIVE, path="/api/v1"),
        RESPONSES: Api(form=RESPONSES, path="/compatible-mode/v1"),
        "anthropic": Api(form=MESSAGES, path="/apps/anthropic"),
    },
    key_vars=(("DASHSCOPE_API_KEY", "bearer"),),
    base_vars=(
        BaseVariable(name="DASHSCOPE_BASE_URL"),
        BaseVariable(name="DASHSCOPE_COMPATIBLE_BASE_URL", apis=("compatible", RESPONSES)),
        BaseVariable(name="DASHSCOPE_HTTP_BASE_URL", apis=(NATIVE,)),
    ),
    env_headers={"DASHSCOPE_WORKSPACE": "x-dashscope-workspace", "DASHSCOPE_WORKSPACE_ID": "x-dashscope-workspace"},
    bare_host=True,
    json_mode=True,
    embed_limits={"": 10, "text-embedding-v1": 25, "text-embedding-v2": 25},
    codes=by_name(
        # `insufficient_quota` is a throttle here (docs/vendors.md, Errors of DashScope).
        rate=("insufficient_quota", "throttling", "limit_requests", "limit_burst_rate"),
        quota=("arrearage", "commoditynotpurchased", "*billoverdue", "budgetlimitexceeded", "allocationquota"),
        key=("invalidapikey",),
        missing=("modelnotfound", "model.notexist", "model_not_supported", "workspacenotfound"),
        forbidden=("accessdenied", "access_denied", "*.accessdenied"),
        bad=(
            "datainspectionfailed", "data_inspection_failed", "invalidparameter", "unsupportedoperation", "badrequest",
        ),
    ),
    messages=by_name(quota=[f"{span} allocated quota exceeded" for span in ("Free", "hour", "week", "month")]),
)  # fmt: skip

QIANFAN = Service(
    name="qianfan",
    aliases=("ernie", "wenxin", "baidu"),
    families=("ernie-",),
    base_url="https://qianfan.baidubce.com/v2",
    apis={"v2": Api()},
    key_vars=(("QIANFAN_BEARER_TOKEN", "bearer"), ("QIANFAN_API_KEY", "bearer")),
    base_vars=(BaseVariable(name="QIANFAN_CONSOLE_API_BASE_URL", suffix="/v2"),),
    env_headers={"QIANFAN_APP_ID": "appid"},
    embed_limits={"": 16, "tao-8k": 1},
    codes=by_name(
        missing=("invalid_model",),
        quota=("account_overdue",),
        context=("tokens_too_long", "characters_too_long"),
        key=("invalid_iam_token", "invalid_appid"),
        rate=("*rate_limit_exceeded",),
    ),
)

FAKE = Service(
    name="fake",
    tagged=True,
    apis={
        CHAT: Api(path="/v1"),
        RESPONSES: Api(form=RESPONSES, path="/v1"),
        MESSAGES: Api(form=MESSAGES),
        NATIVE: Api(form=NATIVE, path="/api/v1"),
    },
    keyless=True,
    bare_host=True,
    base64_vectors=True,
)

_OWN_ROWS = (OPENAI, ANTHROPIC, AZURE, DASHSCOPE, QIANFAN, FAKE)

# name: (address, environment variables of the key); other differences are in `_QUIRKS`.
_COMPATIBLE: dict[str, tuple[str, str]] = {
    "deepseek": ("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "moonshot": ("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "zhipu": ("https://open.bigmodel.cn/api/paas/v4", "ZHIPUAI_API_KEY"),
    "zai": ("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    "groq": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "xai": ("https://api.x.ai/v1", "XAI_API_KEY"),
    "huggingface": ("https://router.huggingface.co/v1", "HF_TOKEN"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai", "GOOGLE_API_KEY GEMINI_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "perplexity": ("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "minimax": ("https://api.minimax.io/v1", "MINIMAX_API_KEY"),
    "volcengine": ("https://ark.cn-beijing.volces.com/api/v3", "ARK_API_KEY"),
    "siliconflow": ("https://api.siliconflow.cn/v1", "SILICONFLOW_API_KEY"),
    "modelscope": ("https://api-inference.modelscope.cn/v1", "MODELSCOPE_API_KEY"),
    "ollama": ("http://localhost:11434/v1", ""),
    "vllm": ("http://localhost:8000/v1", ""),
    "lmstudio": ("http://localhost:1234/v1", ""),
}

_ZHIPU_CODES = by_name(
    quota=("1113", "1304", "1308", "1309", "1310", "1313"),
    rate=("1302", "1303", "1305", "1312"),
    key=("1000", "1001", "1002", "1003", "1004"),
    forbidden=("1220", "1311"),
    missing=("1211",),
    context=("1261",),
    bad=("1301",),
)
_QUIRKS: dict[str, dict[str, Any]] = {
    "deepseek": {"families": ("deepseek-",), "returns_reasoning": True, "json_mode": True},
    "moonshot": {
        "aliases": ("kimi",),
        "families": ("kimi-", "moonshot-"),
        "returns_reasoning": True,
        "json_mode": True,
        "codes": by_name(
            quota=("exceeded_current_quota_error",),
            rate=("rate_limit_reached_error",),
            overloaded=("engine_overloaded_error",),
        ),
    },
    "zhipu": {"aliases": ("glm",), "families": ("glm-",), "json_mode": True, "codes": _ZHIPU_CODES},
    "zai": {"json_mode": True, "codes": _ZHIPU_CODES},
    "xai": {"aliases": ("grok",), "families": ("grok-",)},
    "gemini": {"aliases": ("google",), "families": ("gemini-",)},
    "minimax": {
        "codes": by_name(
            quota=("1008", "2056"),
            rate=("1002", "1039", "1041", "2045"),
            key=("1004", "2049"),
            bad=("1026", "1027", "1042", "2013"),
        ),
    },
    "volcengine": {
        "aliases": ("doubao", "ark"),
        "families": ("doubao-",),
        "codes": by_name(
            quota=("setlimitexceeded", "quotaexceeded", "accountoverdueerror"),
            rate=("inflightbatchsizeexceeded", "requestbursttoofast"),
            overloaded=("serveroverloaded",),
        ),
    },
    "siliconflow": {"codes": by_name(quota=("30001", "30011"), overloaded=("50501", "50505"))},
    **{name: {"tagged": True} for name in ("ollama", "vllm", "lmstudio")},
    "groq": {
        "base_vars": (BaseVariable(name="GROQ_BASE_URL", suffix="/openai/v1"),),
        "lacks": ("logprobs", "top_logprobs", "logit_bias"),
    },
    "cerebras": {
        "lacks": ("frequency_penalty", "presence_penalty", "logit_bias"),
        # The same code for a minute's limit and a day's: only the message differs.
        "codes": by_name(rate=("token_quota_exceeded", "request_quota_exceeded")),
    },
    "mistral": {
        "renames": {"seed": "random_seed"},
        "usage_in_streams": False,
        "lacks": ("logprobs", "top_logprobs", "logit_bias"),
    },
}


def _compatible(name: str, base_url: str, key_vars: str) -> Service:
    fields: dict[str, Any] = {
        "key_vars": tuple((variable, "bearer") for variable in key_vars.split()),
        "base_vars": (BaseVariable(name=f"{name.upper()}_BASE_URL"),),
        "keyless": not key_vars,
    }
    return Service(name=name, base_url=base_url, **fields | _QUIRKS.get(name, {}))


SERVICES: dict[str, Service] = {service.name: service for service in _OWN_ROWS} | {
    name: _compatible(name, *row) for name, row in _COMPATIBLE.items()
}

# By names and aliases.
NAMED: dict[str, Service] = {
    name: service for service in SERVICES.values() for name in (service.name, *service.aliases)
}
