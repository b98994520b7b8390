"""What a client is told and what the environment adds: where its calls go, with which credentials, and how often."""

import asyncio
import copy
import dataclasses
import pickle
import time

import pytest
from support.acts import FRONTS, attempt
from support.inside import resolved_of

import llmnet
from llmnet import ClientConfig, ConfigurationError, Provider, RetryPolicy, Timeout
from llmnet.providers.services import SERVICES
from llmnet.testing import Reply

KEY = "sk-test-4711-abcdef"
CREDENTIALS = ("authorization", "x-api-key", "api-key")


def set_all(monkeypatch, environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def hello(client):
    return client.chat("hi")


def sent(server, front, positional=(), action=hello, **fields):
    """The one request that an act makes."""
    attempt(front, positional, {"model": "m", **fields}, action)
    assert server.request_count == 1
    return server.requests[0]


def credentials(request):
    return {name: request.headers[name] for name in CREDENTIALS if name in request.headers}


# -- values -----------------------------------------------------------------------------------------------------------


def test_defaults():
    config = ClientConfig()
    assert {f.name: getattr(config, f.name) for f in dataclasses.fields(config)} == {
        "provider": Provider.OPENAI,
        "api": None,
        "model": None,
        "api_key": None,
        "base_url": None,
        "timeout": Timeout(),
        "max_retries": 3,
        "retry": None,
        "max_concurrent": 100,
        "headers": None,
        "proxy": None,
        "verify": True,
        "http2": False,
        "api_version": None,
        "on_event": None,
        "transport": "auto",
        "defaults": None,
        "system": None,
    }
    assert config.policy == RetryPolicy()
    assert repr(config.max_retries) == "3"


def test_a_config_cannot_be_changed_and_takes_no_positional_arguments():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ClientConfig().model = "m"
    with pytest.raises(TypeError):
        ClientConfig("openai:m")


@pytest.mark.parametrize("name", ["openai", "OpenAI", "OPENAI", Provider.OPENAI])
def test_providers_are_known_whatever_their_case(name):
    provider = ClientConfig(provider=name).provider
    assert provider is Provider.OPENAI
    assert ClientConfig(provider="DeepSeek").provider == "deepseek"


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("openai:gpt-5.4-mini", {}, ("openai", "gpt-5.4-mini")),
        ("anthropic:claude-haiku-5-5", {}, ("anthropic", "claude-haiku-5-5")),
        ("Anthropic:Claude", {}, ("anthropic", "Claude")),
        ("gpt-5.4-mini", {}, ("openai", "gpt-5.4-mini")),
        ("ollama:llama3:70b", {}, ("ollama", "llama3:70b")),
        ("ollama:openai:x", {}, ("ollama", "openai:x")),
        ("ft:gpt-4o:org::id", {}, ("openai", "ft:gpt-4o:org::id")),
        ("openai/gpt-4o", {}, ("openai", "openai/gpt-4o")),
        (":gpt", {}, ("openai", ":gpt")),
        ("openai:", {}, ("openai", None)),
        ("openai", {}, ("openai", "openai")),
        ("openrouter:meta/llama-3:free", {}, ("openrouter", "meta/llama-3:free")),
        ("openai:gpt", {"provider": "openai"}, ("openai", "gpt")),
        ("llama3:70b", {"provider": "ollama"}, ("ollama", "llama3:70b")),
        ("openai:x", {"provider": Provider.FAKE}, ("fake", "openai:x")),
    ],
)
def test_model_strings(model, fields, expected):
    for client in (
        llmnet.Client(model, api_key=KEY, **fields),
        llmnet.Client(model=model, api_key=KEY, **fields),
        llmnet.Client(ClientConfig(model=model, **fields), api_key=KEY),
    ):
        with client:
            assert (client.config.provider, client.config.model) == expected


def test_fields_override_a_config_and_leave_it_as_it_was():
    config = ClientConfig(provider="fake", model="a", max_concurrent=5, headers={"x-a": "1"})
    with llmnet.Client(config, model="b", max_retries=1) as client:
        assert client.config == dataclasses.replace(config, model="b", max_retries=1)
        assert (client.config.max_concurrent, client.config.headers) == (5, {"x-a": "1"})
    assert (config.model, config.max_retries) == ("a", 3)


SEVEN = RetryPolicy(max_retries=7, base_delay=0.25)
NONE = RetryPolicy(max_retries=0)


@pytest.mark.parametrize(
    ("config", "fields", "options", "expected"),
    [
        ({}, {}, {}, 3),
        ({"max_retries": 1}, {}, {}, 1),
        ({"retry": SEVEN}, {}, {}, 7),
        ({"max_retries": 1, "retry": SEVEN}, {}, {}, 1),
        ({"max_retries": 3, "retry": SEVEN}, {}, {}, 3),
        ({"max_retries": 0, "retry": SEVEN}, {}, {}, 0),
        ({}, {"max_retries": 0}, {}, 0),
        ({}, {"retry": SEVEN}, {}, 7),
        ({"retry": NONE}, {"retry": SEVEN}, {}, 7),
        ({"retry": SEVEN}, {"max_retries": 2}, {}, 2),
        ({"max_retries": 2}, {"retry": SEVEN}, {}, 2),
        ({}, {}, {"max_retries": 4}, 4),
        ({}, {}, {"retry": SEVEN}, 7),
        ({}, {"retry": SEVEN}, {"max_retries": 1}, 1),
        ({}, {"max_retries": 1}, {"retry": SEVEN}, 1),
        ({}, {"max_retries": 1}, {"retry": SEVEN, "max_retries": 5}, 5),
        ({}, {"retry": SEVEN}, {"retry": NONE}, 0),
        ({}, {"retry": SEVEN}, {"retry": None}, 3),
        ({}, {"retry": SEVEN}, {"model": "x"}, 7),
        ({}, {"max_retries": 1}, {"model": "x"}, 1),
    ],
)
def test_max_retries_wins_over_a_policy(config, fields, options, expected):
    with llmnet.Client(ClientConfig(provider="fake", **config), **fields) as client:
        child = client.with_options(**options)
        policy = next((f["retry"] for f in (options, fields, config) if "retry" in f), None) or RetryPolicy()
        assert child.config.max_retries == expected
        assert child.config.policy == dataclasses.replace(policy, max_retries=expected)


def test_replacing_a_field_makes_no_default_explicit():
    config = dataclasses.replace(ClientConfig(), model="m")
    assert dataclasses.replace(config, retry=SEVEN).max_retries == 7
    assert dataclasses.replace(ClientConfig(max_retries=3), retry=SEVEN).max_retries == 3


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_configs_can_be_copied(again):
    config = ClientConfig(provider="azure", api_key=KEY, base_url="https://h/v1", headers={"x": None}, retry=SEVEN)
    twin = again(config)
    assert twin == config
    assert dataclasses.replace(twin, retry=NONE).max_retries == 0
    assert again(ClientConfig()) == ClientConfig()


# -- where calls go ---------------------------------------------------------------------------------------------------

PUBLIC = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "dashscope": "https://dashscope.aliyuncs.com/compatible-mode/v1",
    "qianfan": "https://qianfan.baidubce.com/v2",
    "fake": "fake:",
    "deepseek": "https://api.deepseek.com",
    "groq": "https://api.groq.com/openai/v1",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "zhipu": "https://open.bigmodel.cn/api/paas/v4",
    "volcengine": "https://ark.cn-beijing.volces.com/api/v3",
    "ollama": "http://localhost:11434/v1",
    "vllm": "http://localhost:8000/v1",
}


@pytest.mark.parametrize(("provider", "expected"), PUBLIC.items())
def test_public_addresses(provider, expected):
    assert ClientConfig(provider=provider).effective_base_url == expected


HOST = "https://h.example"
ADDRESSES = [
    # fields, environment, where calls go
    ({"base_url": f"{HOST}/v1"}, {"OPENAI_BASE_URL": "https://other/v1"}, f"{HOST}/v1"),
    ({"base_url": f"{HOST}/v1?a=b"}, {}, f"{HOST}/v1?a=b"),
    ({"base_url": HOST}, {}, HOST),
    ({"base_url": f" {HOST}/v1 "}, {}, f"{HOST}/v1"),
    ({"base_url": "https://bücher.example/v1"}, {}, "https://bücher.example/v1"),
    ({"base_url": "http://[::1]:8000/v1"}, {}, "http://[::1]:8000/v1"),
    ({"base_url": "http://my_host:65535"}, {}, "http://my_host:65535"),
    ({}, {"OPENAI_BASE_URL": f"{HOST}/v1"}, f"{HOST}/v1"),
    ({}, {"OPENAI_BASE_URL": f" {HOST}/v1/ "}, f"{HOST}/v1"),
    ({}, {"OPENAI_BASE_URL": "  "}, PUBLIC["openai"]),
    ({}, {"ANTHROPIC_BASE_URL": HOST}, PUBLIC["openai"]),
    ({"api": "responses"}, {"OPENAI_BASE_URL": f"{HOST}/v1"}, f"{HOST}/v1"),
    ({"provider": "anthropic"}, {"ANTHROPIC_BASE_URL": HOST}, HOST),
    ({"provider": "anthropic", "base_url": f"{HOST}/v1"}, {}, f"{HOST}/v1"),
    ({"provider": "deepseek"}, {"DEEPSEEK_BASE_URL": f"{HOST}/v1"}, f"{HOST}/v1"),
    ({"provider": "ollama"}, {"OLLAMA_BASE_URL": "http://box:11434/v1"}, "http://box:11434/v1"),
    ({"provider": "groq"}, {"GROQ_BASE_URL": HOST}, f"{HOST}/openai/v1"),
    ({"provider": "groq"}, {"GROQ_BASE_URL": f"{HOST}/"}, f"{HOST}/openai/v1"),
    ({"provider": "groq"}, {"GROQ_BASE_URL": f"{HOST}/openai/v1"}, f"{HOST}/openai/v1"),
    ({"provider": "groq"}, {"GROQ_BASE_URL": f"{HOST}?a=b"}, f"{HOST}/openai/v1?a=b"),
    ({"provider": "groq", "base_url": HOST}, {}, HOST),
    ({"provider": "qianfan"}, {"QIANFAN_CONSOLE_API_BASE_URL": HOST}, f"{HOST}/v2"),
    ({"provider": "qianfan"}, {"QIANFAN_CONSOLE_API_BASE_URL": f"{HOST}/v2/"}, f"{HOST}/v2"),
    ({"provider": "qianfan", "base_url": f"{HOST}/v2/coding"}, {}, f"{HOST}/v2/coding"),
    ({"provider": "fake", "base_url": HOST}, {}, f"{HOST}/v1"),
    ({"provider": "fake", "base_url": HOST, "api": "messages"}, {}, HOST),
    ({"provider": "fake", "base_url": HOST, "api": "native"}, {}, f"{HOST}/api/v1"),
    # DashScope: a bare host is completed by the wire form (docs/vendors.md, Addresses and keys)
    ({"provider": "dashscope", "api": "native"}, {}, "https://dashscope.aliyuncs.com/api/v1"),
    ({"provider": "dashscope", "api": "responses"}, {}, "https://dashscope.aliyuncs.com/compatible-mode/v1"),
    ({"provider": "dashscope", "api": "anthropic"}, {}, "https://dashscope.aliyuncs.com/apps/anthropic"),
    ({"provider": "dashscope", "base_url": HOST}, {}, f"{HOST}/compatible-mode/v1"),
    ({"provider": "dashscope", "base_url": f"{HOST}/", "api": "native"}, {}, f"{HOST}/api/v1"),
    ({"provider": "dashscope", "base_url": f"{HOST}?a=b", "api": "native"}, {}, f"{HOST}/api/v1?a=b"),
    ({"provider": "dashscope", "base_url": f"{HOST}/v1", "api": "native"}, {}, f"{HOST}/v1"),
    ({"provider": "dashscope"}, {"DASHSCOPE_BASE_URL": HOST}, f"{HOST}/compatible-mode/v1"),
    ({"provider": "dashscope", "api": "native"}, {"DASHSCOPE_BASE_URL": f"{HOST}/x"}, f"{HOST}/x"),
    ({"provider": "dashscope"}, {"DASHSCOPE_COMPATIBLE_BASE_URL": f"{HOST}/c"}, f"{HOST}/c"),
    ({"provider": "dashscope", "api": "responses"}, {"DASHSCOPE_COMPATIBLE_BASE_URL": f"{HOST}/c"}, f"{HOST}/c"),
    (
        {"provider": "dashscope", "api": "native"},
        {"DASHSCOPE_COMPATIBLE_BASE_URL": f"{HOST}/c"},
        "https://dashscope.aliyuncs.com/api/v1",
    ),
    ({"provider": "dashscope", "api": "native"}, {"DASHSCOPE_HTTP_BASE_URL": f"{HOST}/api/v1"}, f"{HOST}/api/v1"),
    ({"provider": "dashscope"}, {"DASHSCOPE_HTTP_BASE_URL": f"{HOST}/api/v1"}, PUBLIC["dashscope"]),
    (
        {"provider": "dashscope"},
        {"DASHSCOPE_WORKSPACE": "ws-1", "DASHSCOPE_REGION": "cn-beijing"},
        "https://ws-1.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
    ),
    (
        {"provider": "dashscope", "api": "native"},
        {"DASHSCOPE_WORKSPACE_ID": " ws-1 ", "DASHSCOPE_API_REGION": "ap-southeast-1"},
        "https://ws-1.ap-southeast-1.maas.aliyuncs.com/api/v1",
    ),
    ({"provider": "dashscope"}, {"DASHSCOPE_WORKSPACE": "ws-1"}, PUBLIC["dashscope"]),
    ({"provider": "dashscope"}, {"DASHSCOPE_REGION": "cn-beijing"}, PUBLIC["dashscope"]),
    (
        {"provider": "dashscope"},
        {"DASHSCOPE_WORKSPACE": "w", "DASHSCOPE_REGION": "r", "DASHSCOPE_BASE_URL": f"{HOST}/v1"},
        f"{HOST}/v1",
    ),
    ({"provider": "azure"}, {"AZURE_OPENAI_ENDPOINT": f"{HOST}/"}, f"{HOST}/openai/v1"),
    ({"provider": "azure", "api": "deployments"}, {"AZURE_OPENAI_ENDPOINT": HOST}, f"{HOST}/openai"),
    ({"provider": "azure", "base_url": HOST}, {"AZURE_OPENAI_ENDPOINT": "https://other"}, f"{HOST}/openai/v1"),
]


@pytest.mark.parametrize(("fields", "environ", "expected"), ADDRESSES)
def test_effective_base_url(monkeypatch, fields, environ, expected):
    set_all(monkeypatch, environ)
    assert ClientConfig(**fields).effective_base_url == expected


def test_every_provider_has_a_variable_for_its_address(monkeypatch):
    for name, service in SERVICES.items():
        for variable in service.base_vars:
            monkeypatch.setenv(variable.name, f"{HOST}/x")
            api = variable.apis[0] if variable.apis else None
            assert ClientConfig(provider=name, api=api).effective_base_url == f"{HOST}/x{variable.suffix}"
            monkeypatch.delenv(variable.name)


def test_the_environment_is_read_when_a_client_is_made(monkeypatch):
    config = ClientConfig(model="m", api_key=KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{HOST}/v1")
    assert config.effective_base_url == f"{HOST}/v1"
    with llmnet.Client(config) as client:
        monkeypatch.setenv("OPENAI_BASE_URL", "https://later/v1")
        assert resolved_of(client).target.base_url == f"{HOST}/v1"


def test_azure_without_an_address_has_none():
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_ENDPOINT"):
        _ = ClientConfig(provider="azure").effective_base_url


# Path and query of an address as it may be pasted; what is given beside it; the base, the wire form, and the default
# model that come of it; and the path and query that a chat with the model "m" goes to.
CLASSIC, VERSION = "/openai/deployments", "api-version=2024-10-21"
AZURE = [
    ("", {}, "/openai/v1", "v1", "m", "/openai/v1/chat/completions"),
    ("/", {}, "/openai/v1", "v1", "m", "/openai/v1/chat/completions"),
    ("/openai", {}, "/openai/v1", "v1", "m", "/openai/v1/chat/completions"),
    ("/openai/", {}, "/openai/v1", "v1", "m", "/openai/v1/chat/completions"),
    ("/openai/v1", {}, "/openai/v1", "v1", "m", "/openai/v1/chat/completions"),
    ("/openai/v1/", {}, "/openai/v1", "v1", "m", "/openai/v1/chat/completions"),
    ("/openai/v1/chat/completions", {}, "/openai/v1", "v1", "m", "/openai/v1/chat/completions"),
    ("/openai/v1/models", {}, "/openai/v1", "v1", "m", "/openai/v1/chat/completions"),
    (
        "/openai/v1?api-version=preview",
        {},
        "/openai/v1?api-version=preview",
        "v1",
        "m",
        "/openai/v1/chat/completions?api-version=preview",
    ),
    ("", {"api_version": "preview"}, "/openai/v1", "v1", "m", "/openai/v1/chat/completions?api-version=preview"),
    ("", {"api": "responses"}, "/openai/v1", "responses", "m", "/openai/v1/responses"),
    ("/openai/v1/responses", {"api": "responses"}, "/openai/v1", "responses", "m", "/openai/v1/responses"),
    (
        "/openai/responses?api-version=2025-04-01-preview",
        {"api": "responses"},
        "/openai?api-version=2025-04-01-preview",
        "responses",
        "m",
        "/openai/responses?api-version=2025-04-01-preview",
    ),
    (
        "",
        {"api": "deployments", "api_version": "2024-10-21"},
        "/openai",
        "deployments",
        "m",
        f"{CLASSIC}/m/chat/completions?{VERSION}",
    ),
    (
        "/openai/v1",
        {"api": "deployments", "api_version": "2024-10-21"},
        "/openai",
        "deployments",
        "m",
        f"{CLASSIC}/m/chat/completions?{VERSION}",
    ),
    (
        f"{CLASSIC}/d-1",
        {"api_version": "2024-10-21"},
        f"{CLASSIC}/d-1",
        "deployments",
        "d-1",
        f"{CLASSIC}/d-1/chat/completions?{VERSION}",
    ),
    (
        f"{CLASSIC}/d-1/chat/completions?{VERSION}",
        {},
        f"{CLASSIC}/d-1?{VERSION}",
        "deployments",
        "d-1",
        f"{CLASSIC}/d-1/chat/completions?{VERSION}",
    ),
    (
        f"{CLASSIC}/d%201/embeddings?{VERSION}",
        {},
        f"{CLASSIC}/d%201?{VERSION}",
        "deployments",
        "d 1",
        f"{CLASSIC}/d%201/chat/completions?{VERSION}",
    ),
    (
        f"{CLASSIC}/?{VERSION}",
        {},
        f"/openai?{VERSION}",
        "deployments",
        "m",
        f"{CLASSIC}/m/chat/completions?{VERSION}",
    ),
    (f"{CLASSIC}/d-1", {"api": "v1"}, "/openai/v1", "v1", "d-1", "/openai/v1/chat/completions"),
    (f"{CLASSIC}/d-1", {"api": "responses"}, "/openai/v1", "responses", "d-1", "/openai/v1/responses"),
    ("/models", {}, "/models", "v1", "m", "/models/chat/completions"),
    (
        "/models/chat/completions?api-version=2024-05-01-preview",
        {},
        "/models?api-version=2024-05-01-preview",
        "v1",
        "m",
        "/models/chat/completions?api-version=2024-05-01-preview",
    ),
    ("/gateway/openai", {}, "/gateway/openai", "v1", "m", "/gateway/openai/chat/completions"),
    (
        "/api/projects/p/openai/v1",
        {},
        "/api/projects/p/openai/v1",
        "v1",
        "m",
        "/api/projects/p/openai/v1/chat/completions",
    ),
    (
        f"/gateway{CLASSIC}/d-1",
        {"api_version": "2024-10-21"},
        f"/gateway{CLASSIC}/d-1",
        "deployments",
        "d-1",
        f"/gateway{CLASSIC}/d-1/chat/completions?{VERSION}",
    ),
]


@pytest.mark.parametrize("by", ["argument", "variable"])
@pytest.mark.parametrize(("tail", "fields", "base", "api", "model", "goes_to"), AZURE)
def test_shapes_of_azures_address(server, monkeypatch, by, tail, fields, base, api, model, goes_to):
    fields = {"provider": "azure", "api_key": KEY, **fields}
    if by == "argument":
        fields["base_url"] = server.url + tail
    else:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.url + tail)
    assert ClientConfig(**fields).effective_base_url.removeprefix(server.url).rstrip("/") == base.rstrip("/")
    with llmnet.Client(**fields) as client:
        resolved = resolved_of(client)
        assert resolved.target.api == api
        assert resolved.model == (model if model != "m" else None)
        client.chat("hi", model=None if resolved.model else "m")
    request = server.requests[0]
    query = "&".join(f"{name}={value}" for name, value in request.query.items())
    assert request.path + (f"?{query}" if query else "") == goes_to
    assert credentials(request) == {"api-key": KEY}
    assert request.json.get("model") == model


@pytest.mark.parametrize(
    ("fields", "environ", "version"),
    [
        ({"api": "deployments", "api_version": "A"}, {}, "A"),
        ({"api": "deployments"}, {"OPENAI_API_VERSION": " B "}, "B"),
        ({"api": "deployments", "api_version": "A"}, {"OPENAI_API_VERSION": "B"}, "A"),
        ({"api": "v1"}, {"OPENAI_API_VERSION": "B"}, None),
        ({"api": "v1", "api_version": "A"}, {"OPENAI_API_VERSION": "B"}, "A"),
        ({"api": "responses"}, {"OPENAI_API_VERSION": "B"}, None),
        ({"api": "responses", "api_version": "A"}, {}, "A"),
        ({"provider": "openai", "api_version": "A"}, {"OPENAI_API_VERSION": "B"}, None),
    ],
)
def test_which_api_version_is_sent(server, monkeypatch, fields, environ, version):
    set_all(monkeypatch, environ)
    request = sent(server, "sync", **{"provider": "azure", "base_url": server.url, **fields})
    assert request.query.get("api-version") == version


@pytest.mark.parametrize("api", [None, "deployments"])
def test_azures_models_and_embeddings(server, api):
    fields = {
        "provider": "azure",
        "base_url": server.url,
        "api": api,
        "api_version": "A",
        "model": "emb",
        "api_key": KEY,
    }
    with llmnet.Client(**fields) as client:
        client.embed("text")
        client.list_models()
    paths = [(request.path, request.query) for request in server.requests]
    below = "/openai/v1" if api is None else "/openai"
    deployed = f"{below}/deployments/emb" if api else below
    assert paths == [(f"{deployed}/embeddings", {"api-version": "A"}), (f"{below}/models", {"api-version": "A"})]


# The path of each wire form below a base that stays as it is.
@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"provider": "openai", "base_url": "/x"}, "/x/chat/completions"),
        ({"provider": "openai", "base_url": "/x/"}, "/x/chat/completions"),
        ({"provider": "openai", "base_url": "", "api": "responses"}, "/responses"),
        ({"provider": "anthropic", "base_url": ""}, "/v1/messages"),
        ({"provider": "anthropic", "base_url": "/v1"}, "/v1/messages"),
        ({"provider": "anthropic", "base_url": "/proxy"}, "/proxy/v1/messages"),
        ({"provider": "anthropic", "base_url": "/proxy/v1/"}, "/proxy/v1/messages"),
        ({"provider": "dashscope", "base_url": ""}, "/compatible-mode/v1/chat/completions"),
        ({"provider": "dashscope", "base_url": "", "api": "anthropic"}, "/apps/anthropic/v1/messages"),
        (
            {"provider": "dashscope", "base_url": "", "api": "native"},
            "/api/v1/services/aigc/text-generation/generation",
        ),
        ({"provider": "qianfan", "base_url": "/v2"}, "/v2/chat/completions"),
        ({"provider": "groq", "base_url": "/openai/v1"}, "/openai/v1/chat/completions"),
    ],
)
def test_a_base_is_used_as_given_and_its_query_kept(server, fields, path):
    request = sent(server, "sync", **{**fields, "base_url": f"{server.url}{fields['base_url']}?tenant=a%20b"})
    assert (request.path, request.query) == (path, {"tenant": "a b"})


CALLS = [
    ({}, "/v1/chat/completions", "/chat/completions"),
    ({}, "/v1/chat/completions/", "/chat/completions"),
    ({"provider": "deepseek"}, "/chat/completions?a=b", "/chat/completions"),
    ({"api": "responses"}, "/v1/responses", "/responses"),
    ({}, "/v1/responses", "/responses"),
    ({}, "/v1/completions", "/completions"),
    ({}, "/v1/embeddings", "/embeddings"),
    ({"provider": "anthropic"}, "/v1/messages", "/v1/messages"),
    ({"provider": "anthropic"}, "/proxy/messages", "/messages"),
    ({"provider": "dashscope"}, "/compatible-mode/v1/chat/completions", "/chat/completions"),
    (
        {"provider": "dashscope", "api": "native"},
        "/api/v1/services/aigc/multimodal-generation/generation",
        "/services/aigc/multimodal-generation/generation",
    ),
]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("fields", "path", "cut"), CALLS)
def test_an_address_of_a_call_is_no_base(server, front, monkeypatch, fields, path, cut):
    url = f"{server.url}{path}"
    with pytest.raises(ConfigurationError, match=f"^base_url ends in {cut}, .*without that"):
        sent(server, front, **{**fields, "base_url": url})
    name = f"{fields.get('provider', 'openai').upper()}_BASE_URL"
    monkeypatch.setenv(name, url)
    with pytest.raises(ConfigurationError, match=f"^{name} ends in {cut}, .*without that"):
        sent(server, front, **{"api_key": "k", **fields, "base_url": None})
    assert server.requests == []


def test_blanks_and_line_ends_around_a_base_are_taken_away(server):
    assert sent(server, "sync", base_url=f" {server.url}/v1\r\n").path == "/v1/chat/completions"


def test_the_fake_provider_starts_a_server_of_its_own():
    config = ClientConfig(provider="fake", model="m")
    assert config.effective_base_url == "fake:"
    for api in SERVICES["fake"].apis:
        with llmnet.Client(config, api=api) as client:
            assert client.chat("echo me").content == "echo me"


# -- keys -------------------------------------------------------------------------------------------------------------

BEARER, X_API_KEY, API_KEY = {"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}, {"api-key": KEY}
OTHER = "sk-other-1234567"


async def ask():
    return KEY


KEYS = [
    # fields, environment, credentials that arrive
    ({"api_key": KEY}, {}, BEARER),
    ({"api_key": f"  {KEY}\n"}, {}, BEARER),
    ({"api_key": KEY, "api": "responses"}, {}, BEARER),
    ({"api_key": lambda: f" {KEY}\n"}, {}, BEARER),
    ({}, {"OPENAI_API_KEY": KEY}, BEARER),
    ({}, {"OPENAI_API_KEY": f" {KEY}\n"}, BEARER),
    ({"api_key": ""}, {"OPENAI_API_KEY": KEY}, BEARER),
    ({"api_key": " \t\n"}, {"OPENAI_API_KEY": KEY}, BEARER),
    ({"api_key": KEY}, {"OPENAI_API_KEY": OTHER}, BEARER),
    ({}, {"OPENAI_API_KEY": " "}, {}),
    ({}, {"ANTHROPIC_API_KEY": KEY}, {}),
    ({}, {}, {}),
    ({"api_key": " "}, {}, {}),
    ({"provider": "anthropic", "api_key": KEY}, {}, X_API_KEY),
    ({"provider": "anthropic", "api_key": lambda: KEY}, {}, X_API_KEY),
    ({"provider": "anthropic"}, {"ANTHROPIC_API_KEY": KEY}, X_API_KEY),
    ({"provider": "anthropic"}, {"ANTHROPIC_AUTH_TOKEN": KEY}, BEARER),
    ({"provider": "anthropic"}, {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": OTHER}, X_API_KEY),
    ({"provider": "anthropic"}, {"ANTHROPIC_API_KEY": " ", "ANTHROPIC_AUTH_TOKEN": KEY}, BEARER),
    ({"provider": "anthropic"}, {}, {}),
    ({"provider": "azure", "api_key": KEY}, {}, API_KEY),
    ({"provider": "azure", "api_key": KEY}, {"AZURE_OPENAI_AD_TOKEN": OTHER}, API_KEY),
    ({"provider": "azure", "api_key": lambda: KEY}, {}, BEARER),
    ({"provider": "azure"}, {"AZURE_OPENAI_API_KEY": KEY}, API_KEY),
    ({"provider": "azure"}, {"AZURE_OPENAI_AD_TOKEN": KEY}, BEARER),
    ({"provider": "azure"}, {"AZURE_OPENAI_AD_TOKEN": KEY, "AZURE_OPENAI_API_KEY": OTHER}, BEARER),
    ({"provider": "azure", "api": "responses"}, {"AZURE_OPENAI_API_KEY": KEY}, API_KEY),
    ({"provider": "azure"}, {"OPENAI_API_KEY": KEY}, {}),
    ({"provider": "dashscope", "api_key": KEY}, {}, BEARER),
    ({"provider": "dashscope", "api": "native"}, {"DASHSCOPE_API_KEY": KEY}, BEARER),
    ({"provider": "dashscope", "api": "responses"}, {"DASHSCOPE_API_KEY": KEY}, BEARER),
    ({"provider": "dashscope", "api": "anthropic"}, {"DASHSCOPE_API_KEY": KEY}, X_API_KEY),
    ({"provider": "dashscope", "api": "anthropic", "api_key": KEY}, {}, X_API_KEY),
    ({"provider": "qianfan", "api_key": KEY}, {}, BEARER),
    ({"provider": "qianfan"}, {"QIANFAN_BEARER_TOKEN": KEY, "QIANFAN_API_KEY": OTHER}, BEARER),
    ({"provider": "qianfan"}, {"QIANFAN_API_KEY": KEY}, BEARER),
    ({"provider": "gemini"}, {"GEMINI_API_KEY": KEY}, BEARER),
    ({"provider": "gemini"}, {"GEMINI_API_KEY": OTHER, "GOOGLE_API_KEY": KEY}, BEARER),
    ({"provider": "huggingface"}, {"HF_TOKEN": KEY}, BEARER),
    ({"provider": "ollama"}, {}, {}),
    ({"provider": "ollama", "api_key": KEY}, {}, BEARER),
    ({"provider": "vllm", "api_key": KEY}, {}, BEARER),
    ({"provider": "fake"}, {}, {}),
    ({"provider": "fake", "api_key": KEY}, {}, BEARER),
]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("fields", "environ", "expected"), KEYS)
def test_keys_and_how_they_are_sent(server, monkeypatch, front, fields, environ, expected):
    set_all(monkeypatch, environ)
    assert credentials(sent(server, front, base_url=f"{server.url}/v1", **fields)) == expected


@pytest.mark.parametrize("provider", [name for name, service in SERVICES.items() if service.key_vars])
def test_every_provider_reads_its_variables(server, monkeypatch, provider):
    for variable, scheme in SERVICES[provider].key_vars:
        server.reset()
        monkeypatch.setenv(variable, KEY)
        expected = {"bearer": BEARER, "x-api-key": X_API_KEY, "api-key": API_KEY}[scheme]
        assert credentials(sent(server, "sync", provider=provider, base_url=server.url)) == expected
        monkeypatch.delenv(variable)


@pytest.mark.parametrize("action", [hello, lambda c: c.embed("text"), lambda c: c.list_models()])
def test_async_callables_give_keys_too(server, action):
    assert credentials(sent(server, "async", base_url=f"{server.url}/v1", api_key=ask, action=action)) == BEARER

    class Vault:
        async def __call__(self):
            return KEY

    server.reset()
    assert credentials(sent(server, "async", base_url=f"{server.url}/v1", api_key=Vault(), action=action)) == BEARER


@pytest.mark.parametrize("front", FRONTS)
def test_an_address_of_ones_own_in_the_environment_needs_no_key(server, monkeypatch, front):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    assert credentials(sent(server, front)) == {}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "dashscope", "qianfan", "deepseek"])
def test_a_header_may_be_the_key(provider):
    for headers in ({"Authorization": "Bearer x"}, {"X-API-Key": "x"}, {"API-KEY": "x"}):
        llmnet.Client(provider=provider, headers=headers).close()
    for headers in ({"Authorization": None}, {"Authorization": ""}, {"x-other": "x"}):
        with pytest.raises(ConfigurationError, match="api_key="):
            llmnet.Client(provider=provider, headers=headers)


@pytest.mark.parametrize("front", FRONTS)
def test_a_callable_is_asked_for_every_attempt(server, front):
    keys = iter(["key-one-1", "key-two-2", "key-three"])
    server.script(500, 500)
    fields = {"model": "m", "base_url": f"{server.url}/v1", "api_key": lambda: next(keys)}
    attempt(front, (), {**fields, "retry": RetryPolicy(base_delay=0.01)}, hello)
    assert [r.headers["authorization"][7:] for r in server.requests] == ["key-one-1", "key-two-2", "key-three"]


class Keys:
    """Gives keys in turn, the last one for ever, and counts how often it was asked."""

    def __init__(self, *keys):
        self.keys, self.asked = list(keys), 0

    def __call__(self):
        self.asked += 1
        return self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]


def only(key):
    """A server's handler that takes one key."""
    return lambda request: None if request.headers.get("authorization") == f"Bearer {key}" else 401


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("method", ["chat", "stream", "embed"])
def test_after_a_401_another_key_is_tried_at_once(server, front, method):
    server.handler = only("new-key-1")
    keys = Keys("old-key-1", "new-key-1")
    fields = {"model": "m", "base_url": f"{server.url}/v1", "api_key": keys}
    fields["retry"] = RetryPolicy(max_retries=1, base_delay=30, max_delay=30)

    def act(client):
        if method == "embed":
            return client.embed("text")
        callbacks = llmnet.StreamCallbacks(on_chunk=lambda chunk: None) if method == "stream" else None
        return client.chat("hi", callbacks=callbacks)

    begun = time.monotonic()
    reply = attempt(front, (), fields, act)
    assert time.monotonic() - begun < 5
    assert [(a.status, a.wait, a.sent) for a in reply.meta.attempts] == [(401, 0.0, True), (200, 0.0, True)]
    assert (keys.asked, server.request_count) == (2, 2)


@pytest.mark.parametrize("front", FRONTS)
def test_a_refused_key_uses_up_no_retry(server, front):
    server.script(401, 500)
    keys = Keys("old-key-1", "new-key-1")
    fields = {"model": "m", "base_url": f"{server.url}/v1", "api_key": keys}
    attempt(front, (), {**fields, "retry": RetryPolicy(max_retries=1, base_delay=0.01)}, hello)
    assert (keys.asked, server.request_count) == (3, 3)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("key", "retries", "asked", "requests"),
    [
        (Keys("same-key-1"), 3, 2, 1),  # asked once more, but there is nothing new to try
        (Keys("bad-key-1", "bad-key-2", "bad-key-3"), 3, 2, 2),  # once, not for ever
        (Keys("bad-key-1", "good-key-1"), 0, 1, 1),  # max_retries=0 sends exactly one request
        ("bad-key-1", 3, None, 1),
    ],
)
def test_when_a_401_is_final(server, front, key, retries, asked, requests):
    key = copy.deepcopy(key)
    server.handler = only("good-key-1")
    fields = {"model": "m", "base_url": f"{server.url}/v1", "api_key": key, "max_retries": retries}
    with pytest.raises(llmnet.AuthenticationError) as caught:
        attempt(front, (), fields, hello)
    assert server.request_count == requests
    assert getattr(key, "asked", None) == asked
    assert [a.status for a in caught.value.meta.attempts] == [401] * requests


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    "fault", [429, 500, 503, 529, Reply(status=429, headers={"retry-after": "0"}), Reply(drop=True)]
)
@pytest.mark.parametrize("fields", [{"max_retries": 0}, {"retry": NONE}, {"max_retries": 0, "retry": SEVEN}])
def test_max_retries_0_sends_exactly_one_request(server, front, fault, fields):
    server.script(fault)
    with pytest.raises((llmnet.APIStatusError, llmnet.APIConnectionError)):
        attempt(front, (), {"model": "m", "base_url": f"{server.url}/v1", **fields}, hello)
    assert server.request_count == 1


# -- headers ----------------------------------------------------------------------------------------------------------

OURS = {"authorization", "user-agent", "content-type", "accept", "accept-encoding"}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("where", ["headers", "extra_headers"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"authorization": f"Bearer {KEY}", "accept": "application/json"}),
        ({"X-New": "1"}, {"x-new": "1", "authorization": f"Bearer {KEY}"}),
        ({"X-New": " 1\t"}, {"x-new": "1"}),
        ({"x-new": "grün"}, {"x-new": "grün"}),
        ({"x-new": ""}, {"x-new": ""}),
        ({"x-new": None}, {"x-new": None}),
        ({"authorization": "Basic abc"}, {"authorization": "Basic abc"}),
        ({"AUTHORIZATION": "Basic abc"}, {"authorization": "Basic abc"}),
        ({"Authorization": None}, {"authorization": None}),
        ({"aUTHORIZATION": None}, {"authorization": None}),
        ({"User-Agent": "mine/1"}, {"user-agent": "mine/1"}),
        ({"USER-AGENT": None}, {"user-agent": None}),
        ({"Accept-Encoding": None, "accept": None}, {"accept-encoding": None, "accept": None}),
        ({"Content-Type": None}, {"content-type": None}),
        ({"ACCEPT": "text/plain"}, {"accept": "text/plain"}),
        ({"Content-Type": "application/json; charset=utf-8"}, {"content-type": "application/json; charset=utf-8"}),
        ({"Accept-Encoding": "identity"}, {"accept-encoding": "identity"}),
        ({"Host": "virtual.example"}, {"host": "virtual.example"}),
    ],
)
def test_headers_replace_ours_whatever_their_case(server, front, where, given, expected):
    fields = {"base_url": f"{server.url}/v1", "api_key": KEY}
    if where == "headers":
        request = sent(server, front, headers=given, **fields)
    else:
        request = sent(server, front, action=lambda c: c.chat("hi", extra_headers=given), **fields)
    assert {name: request.headers.get(name) for name in expected} == expected
    assert len(request.headers.get("authorization", "").split(",")) == 1


@pytest.mark.parametrize("front", FRONTS)
def test_headers_of_a_call_lie_over_those_of_the_client(server, front):
    fields = {"base_url": f"{server.url}/v1", "headers": {"X-A": "1", "X-B": "1", "Authorization": "Bearer mine"}}
    extra = {"x-a": "2", "x-b": None, "x-c": "2"}
    request = sent(server, front, action=lambda c: c.chat("hi", extra_headers=extra), **fields)
    headers = {name: request.headers.get(name) for name in ("x-a", "x-b", "x-c", "authorization")}
    assert headers == {"x-a": "2", "x-b": None, "x-c": "2", "authorization": "Bearer mine"}
    server.reset()
    extra = {"AUTHORIZATION": None}
    request = sent(server, front, action=lambda c: c.embed("text", extra_headers=extra), **fields)
    assert credentials(request) == {}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("fields", "environ", "expected"),
    [
        ({}, {"OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": " proj-1 "}, {"openai-organization": "org-1", "openai-project": "proj-1"}),
        ({}, {"OPENAI_ORG_ID": " "}, {"openai-organization": None}),
        ({"headers": {"OpenAI-Organization": "mine"}}, {"OPENAI_ORG_ID": "org-1"}, {"openai-organization": "mine"}),
        ({"headers": {"OpenAI-Organization": None}}, {"OPENAI_ORG_ID": "org-1"}, {"openai-organization": None}),
        ({"provider": "deepseek"}, {"OPENAI_ORG_ID": "org-1"}, {"openai-organization": None}),
        ({"provider": "dashscope"}, {"DASHSCOPE_WORKSPACE": "ws"}, {"x-dashscope-workspace": "ws"}),
        ({"provider": "dashscope"}, {"DASHSCOPE_WORKSPACE_ID": "ws"}, {"x-dashscope-workspace": "ws"}),
        ({"provider": "qianfan"}, {"QIANFAN_APP_ID": "app-1"}, {"appid": "app-1"}),
    ],
)  # fmt: skip
def test_headers_from_the_environment(server, monkeypatch, front, fields, environ, expected):
    set_all(monkeypatch, environ)
    request = sent(server, front, base_url=f"{server.url}/v1", **fields)
    assert {name: request.headers.get(name) for name in expected} == expected


@pytest.mark.parametrize("front", FRONTS)
def test_both_fronts_call_themselves_alike(server, front):
    request = sent(server, front, base_url=f"{server.url}/v1", api_key=KEY)
    assert request.headers["user-agent"] == f"llmnet/{llmnet.__version__}"
    assert set(request.headers) <= OURS | {"host", "content-length", "connection"}


# -- children, and what is no more ------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", FRONTS)
def test_a_child_may_go_elsewhere_with_another_key(server, front):
    fields = {"model": "m", "base_url": f"{server.url}/v1", "api_key": KEY}

    def act(client):
        return client.with_options(provider="anthropic", base_url=server.url, api_key=OTHER, model="n").chat("hi")

    attempt(front, (), fields, act)
    assert (server.requests[0].path, credentials(server.requests[0])) == ("/v1/messages", {"x-api-key": OTHER})


QIANFAN_V1 = [
    # fields, environment, words of the message
    ({"base_url": "https://aip.baidubce.com"}, {}, ["base_url"]),
    ({"base_url": "https://AIP.baidubce.com", "api_key": KEY}, {}, ["base_url"]),
    ({"base_url": "https://gw/rpc/2.0/ai_custom/v1/wenxinworkshop/chat", "api_key": KEY}, {}, ["base_url"]),
    ({"api_key": KEY}, {"QIANFAN_CONSOLE_API_BASE_URL": "https://aip.baidubce.com"}, ["QIANFAN_CONSOLE_API_BASE_URL"]),
    ({"api_key": KEY}, {"QIANFAN_BASE_URL": "https://aip.baidubce.com"}, ["QIANFAN_BASE_URL"]),
    ({}, {"QIANFAN_AK": "a", "QIANFAN_SK": "s"}, ["QIANFAN_AK", "QIANFAN_SK"]),
    ({}, {"QIANFAN_ACCESS_KEY": "a", "QIANFAN_SECRET_KEY": "s"}, ["QIANFAN_ACCESS_KEY", "QIANFAN_SECRET_KEY"]),
    ({}, {"QIANFAN_ACCESS_TOKEN": "24.abc"}, ["QIANFAN_ACCESS_TOKEN"]),
    ({"base_url": "https://qianfan.baidubce.com/v2"}, {"QIANFAN_AK": "a", "QIANFAN_SK": "s"}, ["QIANFAN_AK"]),
]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("fields", "environ", "words"), QIANFAN_V1)
def test_qianfan_v1_is_switched_off_and_v2_is_named(monkeypatch, front, fields, environ, words):
    set_all(monkeypatch, environ)
    with pytest.raises(ConfigurationError) as caught:
        attempt(front, (), {"provider": "qianfan", "model": "m", **fields})
    for word in [*words, "v1", "switched off", "QIANFAN_BEARER_TOKEN", "api_key=", "https://qianfan.baidubce.com/v2"]:
        assert word in str(caught.value)


@pytest.mark.parametrize("environ", [row[1] for row in QIANFAN_V1 if len(row[1]) == 2])
def test_old_keys_beside_a_bearer_token_harm_nobody(server, monkeypatch, environ):
    set_all(monkeypatch, {**environ, "QIANFAN_BEARER_TOKEN": KEY})
    assert credentials(sent(server, "sync", provider="qianfan", base_url=f"{server.url}/v2")) == BEARER


def test_a_lone_half_of_an_old_pair_is_just_a_missing_key(monkeypatch):
    monkeypatch.setenv("QIANFAN_AK", "a")
    with pytest.raises(ConfigurationError, match=r"no key for qianfan: give api_key= or set QIANFAN_BEARER_TOKEN"):
        llmnet.Client("qianfan:ernie-5")


def test_a_client_serves_several_loops(server):
    client = llmnet.AsyncClient(model="m", base_url=f"{server.url}/v1", api_key=ask)
    replies = [asyncio.run(client.chat(f"turn {i}")).content for i in range(2)]
    assert replies == ["turn 0", "turn 1"]
    asyncio.run(client.aclose())
