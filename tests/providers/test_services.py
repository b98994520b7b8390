"""Addresses, variables, what each service does in its own way (docs/vendors.md, Addresses and keys)."""

from urllib.parse import urlsplit

import pytest

from llmnet.providers.services import SERVICES
from llmnet.providers.target import WIRE_FORMS, Api, BaseVariable, Service, Target

# name: address, variables of the key, quirks (docs/vendors.md, Services)
TABLE = {
    "deepseek": ("https://api.deepseek.com", ["DEEPSEEK_API_KEY"], {"returns_reasoning": True}),
    "moonshot": ("https://api.moonshot.ai/v1", ["MOONSHOT_API_KEY"], {"returns_reasoning": True}),
    "zhipu": ("https://open.bigmodel.cn/api/paas/v4", ["ZHIPUAI_API_KEY"], {}),
    "zai": ("https://api.z.ai/api/paas/v4", ["ZAI_API_KEY"], {}),
    "groq": ("https://api.groq.com/openai/v1", ["GROQ_API_KEY"], {}),
    "mistral": ("https://api.mistral.ai/v1", ["MISTRAL_API_KEY"], {"renames": {"seed": "random_seed"}}),
    "openrouter": ("https://openrouter.ai/api/v1", ["OPENROUTER_API_KEY"], {}),
    "together": ("https://api.together.xyz/v1", ["TOGETHER_API_KEY"], {}),
    "xai": ("https://api.x.ai/v1", ["XAI_API_KEY"], {}),
    "huggingface": ("https://router.huggingface.co/v1", ["HF_TOKEN"], {}),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta/openai", ["GOOGLE_API_KEY", "GEMINI_API_KEY"], {}),
    "fireworks": ("https://api.fireworks.ai/inference/v1", ["FIREWORKS_API_KEY"], {}),
    "cerebras": ("https://api.cerebras.ai/v1", ["CEREBRAS_API_KEY"], {}),
    "perplexity": ("https://api.perplexity.ai", ["PERPLEXITY_API_KEY"], {}),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", ["DEEPINFRA_API_KEY"], {}),
    "minimax": ("https://api.minimax.io/v1", ["MINIMAX_API_KEY"], {}),
    "volcengine": ("https://ark.cn-beijing.volces.com/api/v3", ["ARK_API_KEY"], {}),
    "siliconflow": ("https://api.siliconflow.cn/v1", ["SILICONFLOW_API_KEY"], {}),
    "modelscope": ("https://api-inference.modelscope.cn/v1", ["MODELSCOPE_API_KEY"], {}),
    "ollama": ("http://localhost:11434/v1", [], {"keyless": True}),
    "vllm": ("http://localhost:8000/v1", [], {"keyless": True}),
    "lmstudio": ("http://localhost:1234/v1", [], {"keyless": True}),
}
OWN = ("openai", "anthropic", "azure", "dashscope", "qianfan", "fake")
COMPATIBLE = sorted(TABLE)


def test_the_table_is_complete():
    assert set(SERVICES) == {*OWN, *TABLE}
    assert all(service.name == name for name, service in SERVICES.items())


@pytest.mark.parametrize("name", COMPATIBLE)
def test_compatible_services(name):
    base_url, variables, quirks = TABLE[name]
    service = SERVICES[name]
    assert service.base_url == base_url
    assert service.key_vars == tuple((variable, "bearer") for variable in variables)
    assert dict(service.apis) == {"chat-completions": Api()}
    assert service.keyless is (not variables)
    assert not service.bare_host
    assert not service.base64_vectors
    usual = Service(name=name)
    for quirk in ("returns_reasoning", "renames", "keyless", "env_headers", "embed_limits"):
        assert getattr(service, quirk) == quirks.get(quirk, getattr(usual, quirk))


@pytest.mark.parametrize("name", COMPATIBLE)
def test_address_variables_of_compatible_services(name):
    suffix = "/openai/v1" if name == "groq" else ""
    assert SERVICES[name].base_vars == (BaseVariable(name=f"{name.upper()}_BASE_URL", suffix=suffix),)


@pytest.mark.parametrize(
    ("name", "base_url", "keys"),
    [
        ("openai", "https://api.openai.com/v1", (("OPENAI_API_KEY", "bearer"),)),
        (
            "anthropic",
            "https://api.anthropic.com",
            (("ANTHROPIC_API_KEY", "x-api-key"), ("ANTHROPIC_AUTH_TOKEN", "bearer")),
        ),
        ("azure", "", (("AZURE_OPENAI_AD_TOKEN", "bearer"), ("AZURE_OPENAI_API_KEY", "api-key"))),
        ("dashscope", "https://dashscope.aliyuncs.com", (("DASHSCOPE_API_KEY", "bearer"),)),
        (
            "qianfan",
            "https://qianfan.baidubce.com/v2",
            (("QIANFAN_BEARER_TOKEN", "bearer"), ("QIANFAN_API_KEY", "bearer")),
        ),
        ("fake", "", ()),
    ],
)
def test_addresses_and_keys_of_its_own(name, base_url, keys):
    assert (SERVICES[name].base_url, SERVICES[name].key_vars) == (base_url, keys)


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("openai", [("OPENAI_BASE_URL", "", ())]),
        ("anthropic", [("ANTHROPIC_BASE_URL", "", ())]),
        ("azure", [("AZURE_OPENAI_ENDPOINT", "", ())]),
        (
            "dashscope",
            [
                ("DASHSCOPE_BASE_URL", "", ()),
                ("DASHSCOPE_COMPATIBLE_BASE_URL", "", ("compatible", "responses")),
                ("DASHSCOPE_HTTP_BASE_URL", "", ("native",)),
            ],
        ),
        ("qianfan", [("QIANFAN_CONSOLE_API_BASE_URL", "/v2", ())]),
        ("fake", []),
    ],
)
def test_address_variables_of_its_own(name, variables):
    assert [(v.name, v.suffix, v.apis) for v in SERVICES[name].base_vars] == variables


# Of each provider its APIs, the usual one first: name, wire form, and path (docs/vendors.md, Addresses and keys).
@pytest.mark.parametrize(
    ("name", "apis"),
    [
        ("openai", [("chat-completions", "chat-completions", ""), ("responses", "responses", "")]),
        ("anthropic", [("messages", "messages", "")]),
        (
            "azure",
            [
                ("v1", "chat-completions", "/openai/v1"),
                ("deployments", "chat-completions", "/openai"),
                ("responses", "responses", "/openai/v1"),
            ],
        ),
        (
            "dashscope",
            [
                ("compatible", "chat-completions", "/compatible-mode/v1"),
                ("native", "native", "/api/v1"),
                ("responses", "responses", "/compatible-mode/v1"),
                ("anthropic", "messages", "/apps/anthropic"),
            ],
        ),
        ("qianfan", [("v2", "chat-completions", "")]),
        (
            "fake",
            [
                ("chat-completions", "chat-completions", "/v1"),
                ("responses", "responses", "/v1"),
                ("messages", "messages", ""),
                ("native", "native", "/api/v1"),
            ],
        ),
    ],
)
def test_apis_of_its_own(name, apis):
    assert [(api, row.form, row.path) for api, row in SERVICES[name].apis.items()] == apis
    assert SERVICES[name].bare_host is any(path for _, _, path in apis)


def test_the_fake_server_speaks_every_wire_form():
    assert {name: api.form for name, api in SERVICES["fake"].apis.items()} == {name: name for name in WIRE_FORMS}


def test_variables_that_go_out_as_headers():
    assert {name: dict(service.env_headers) for name, service in SERVICES.items() if service.env_headers} == {
        "openai": {"OPENAI_ORG_ID": "openai-organization", "OPENAI_PROJECT_ID": "openai-project"},
        "dashscope": {
            "DASHSCOPE_WORKSPACE": "x-dashscope-workspace",
            "DASHSCOPE_WORKSPACE_ID": "x-dashscope-workspace",
        },
        "qianfan": {"QIANFAN_APP_ID": "appid"},
    }


# docs/vendors.md, Embeddings
@pytest.mark.parametrize(
    ("name", "model", "limit"),
    [
        ("openai", "text-embedding-3-small", 2048),
        ("azure", "any", 2048),
        ("dashscope", "text-embedding-v4", 10),
        ("dashscope", "text-embedding-v3", 10),
        ("dashscope", "text-embedding-v1", 25),
        ("dashscope", "text-embedding-v2", 25),
        ("dashscope", "Text-Embedding-V2", 25),
        ("dashscope", "", 10),
        ("qianfan", "embedding-v1", 16),
        ("qianfan", "bge-large-zh", 16),
        ("qianfan", "tao-8k", 1),
        ("mistral", "mistral-embed", 2048),
        ("fake", "fake-1", 2048),
    ],
)
def test_embedding_limits(name, model, limit):
    assert SERVICES[name].embed_limit(model) == limit


def test_base64_is_asked_for_only_where_it_is_known_to_work():
    assert {name for name, service in SERVICES.items() if target(service).base64_vectors} == {
        "openai",
        "azure",
        "dashscope",
        "fake",
    }
    assert {name for name, service in SERVICES.items() if target(service, STRANGER).base64_vectors} == {"fake"}


STRANGER = "http://localhost:8080/v1"
AT = [
    # an address, what is known of it
    ("https://eu.api.openai.com/v1", True), ("https://API.OpenAI.com:443/v1", True), ("https://openai.com.evil.example", False),
    ("https://myopenai.com/v1", False), ("https://openrouter.ai/api/v1", False), (STRANGER, False),
    ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", True), ("https://res.openai.azure.com/openai/v1", True),
    ("https://res.services.ai.azure.com/openai/v1", False), ("https://gateway.example/azure/openai/v1", False),
]  # fmt: skip


@pytest.mark.parametrize(("base_url", "known"), AT)
def test_whose_vectors_come_in_base64_is_known_of_hosts(base_url, known):
    for name in ("openai", "azure", "dashscope", "vllm", "mistral"):
        assert target(SERVICES[name], base_url).base64_vectors is known


def target(service, base_url=None, **facts):
    base = base_url or service.base_url or "https://res.openai.azure.com"
    return Target(service=service, api=next(iter(service.apis)), base_url=base, **facts)


def test_usage_in_streams_is_asked_for_wherever_it_is_understood():
    assert {name for name, service in SERVICES.items() if not target(service).usage_in_streams} == {"mistral"}
    assert not target(SERVICES["openai"], "https://api.mistral.ai/v1").usage_in_streams
    for version, known in (("2024-02-01", False), ("2024-08-01-preview", False), ("2024-10-21", True)):
        facts = {"service": SERVICES["azure"], "api": "deployments", "base_url": "https://res.openai.azure.com/openai"}
        assert Target(**facts, api_version=version).usage_in_streams is known
        facts["base_url"] += f"?api-version={version}"
        assert Target(**facts).usage_in_streams is known
        assert Target(**{**facts, "api": "v1"}).usage_in_streams


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_addresses_are_addresses_and_tables_are_complete(service):
    parts = urlsplit(service.base_url)
    assert parts.scheme in (("http",) if parts.hostname == "localhost" else ("", "https"))
    assert not service.base_url.endswith("/")
    assert "" in service.embed_limits
    assert all(scheme in ("bearer", "x-api-key", "api-key") for _, scheme in service.key_vars)
    assert all(set(variable.apis) <= set(service.apis) for variable in service.base_vars)
    assert service.keyless is (not service.key_vars)
    assert Target(service=service, api=next(iter(service.apis)), base_url=service.base_url or "https://host").host
