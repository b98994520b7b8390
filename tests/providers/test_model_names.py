"""What a model string means: its provider, the model's own name, and that no key is sent to another provider."""

import copy
import dataclasses
import json
import pickle

import pytest
from support.acts import FRONTS, attempt
from support.inside import resolved_of

import llmnet
from llmnet import ClientConfig, ConfigurationError
from llmnet.cli import main
from llmnet.providers.services import NAMED, SERVICES

SECRET = "Zq8-sEcReT-4711"
KEY = f"sk-{SECRET}"
ELSEWHERE = "https://gateway.test/v1"
LOCAL = ("ollama", "lmstudio", "vllm", "fake")

ALIASES = {
    "qwen": "dashscope", "tongyi": "dashscope", "ernie": "qianfan", "wenxin": "qianfan", "baidu": "qianfan",
    "kimi": "moonshot", "glm": "zhipu", "doubao": "volcengine", "ark": "volcengine", "google": "gemini",
    "claude": "anthropic", "grok": "xai", "azure-openai": "azure",
}  # fmt: skip
FAMILIES = {
    "claude-haiku-5-5": "anthropic", "Claude-3": "anthropic", "gemini-3-pro": "gemini", "qwen-plus": "dashscope",
    "Qwen3-32B": "dashscope", "qwen/qwen3-32b": "dashscope", "ernie-5": "qianfan", "glm-5": "zhipu",
    "kimi-k3": "moonshot", "moonshot-v1-8k": "moonshot", "deepseek-chat": "deepseek", "grok-5": "xai",
    "doubao-pro": "volcengine", " kimi-k3 ": "moonshot", "anthropic/claude-haiku-5.5": "anthropic", "azure/gpt-4o": "azure",
    "gemini/gemini-3-pro": "gemini", "models/gemini-3-pro": "gemini", "openrouter/openai/gpt-4o": "openrouter",
    "anthropic/c": "anthropic", "\u200bclaude-3": "anthropic", "\xa0kimi-k3": "moonshot", "groq/llama": "groq",
    "ollama/llama3": "ollama", "xai/g": "xai", "Claude / x": "anthropic", "us.anthropic.claude-haiku-v1": "anthropic",
    "deepseek/deepseek-chat": "deepseek",
}  # fmt: skip
UNKNOWN = {
    "opnai:gpt": "openai", "antropic:claude": "anthropic", "gogle:gemini": "google", "dash-scope:m": "dashscope",
    "llama3:8b": "ollama", "llama3\uff1a8b": "ollama", "azureopenai:x": "azure-openai", "qwen2.5:7b": "qwen", "grok-5:x": "grok", f"{SECRET}:x": "openrouter",
    "通义千问:qwen-plus": "dashscope", "文心一言\uff1aernie-5": "qianfan", "火山引擎:x": "volcengine", "aliyun:qwen": "dashscope",
}  # fmt: skip


def refusal(front, *expected, positional=(), action=lambda client: None, **fields):
    with pytest.raises(ConfigurationError) as caught:
        attempt(front, positional, fields, action)
    for text in expected:
        assert text in str(caught.value)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def names(front, model, **fields):
    found = attempt(front, (model,), {"api_key": KEY, **fields}, lambda client: [client.config, client])
    config, client = found
    assert resolved_of(client).model == config.model
    return str(config.provider), config.model


def test_the_tables_are_those_of_the_services():
    assert {name: service.name for name, service in NAMED.items() if name != service.name} == ALIASES
    assert {family for service in SERVICES.values() for family in service.families} == {
        "claude-", "gemini-", "qwen", "ernie-", "glm-", "kimi-", "moonshot-", "deepseek-", "grok-", "doubao-",
    }  # fmt: skip
    assert {name for name, service in SERVICES.items() if service.tagged} == set(LOCAL)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("alias", [*SERVICES, *ALIASES])
def test_every_name_of_a_service(front, alias):
    address = {"base_url": ELSEWHERE} if NAMED[alias].name == "azure" else {}
    for written in (f"{alias}:m:1", f"{alias.upper()}: m:1 ", f" {alias}\uff1am:1"):
        assert names(front, written, **address) == (NAMED[alias].name, "m:1")
    assert names(front, "m", provider=alias, **address) == (NAMED[alias].name, "m")
    assert names(front, f"{alias}:m", provider=NAMED[alias].name, **address) == (NAMED[alias].name, "m")


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("model", "provider"), [*FAMILIES.items(), *((name, name) for name in ("anthropic", "groq"))])
def test_a_bare_model_of_another_vendor(front, monkeypatch, model, provider):
    for arguments in ({"positional": (model,)}, {"model": model}, {"positional": (ClientConfig(model=model),)}):
        refusal(front, f'"{provider}:"', "provider=", api_key=KEY, **arguments)
    with pytest.raises(ConfigurationError, match=f'"{provider}:"'):
        _ = ClientConfig(model=model).effective_base_url
    for placed in ({"provider": "openai"}, {"base_url": ELSEWHERE}, {"provider": "groq", "base_url": ELSEWHERE}):
        assert names(front, model, **placed) == (placed.get("provider", "openai"), model.strip())
    monkeypatch.setenv("OPENAI_BASE_URL", ELSEWHERE)
    assert names(front, model) == ("openai", model.strip())
    assert ClientConfig(model=model).effective_base_url == ELSEWHERE


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("model", "hint"), UNKNOWN.items())
def test_a_prefix_that_names_no_provider(front, monkeypatch, model, hint):
    expected = ["openrouter", "anthropic"] if SECRET in model else [f'"{hint}:"']
    for arguments in ({"positional": (model,)}, {"model": model}):
        refusal(front, *expected, "provider=", "base_url=", api_key=KEY, **arguments)
    for placed in ({"provider": "openai"}, {"base_url": ELSEWHERE}, *({"provider": name} for name in LOCAL)):
        assert names(front, model, **placed) == (placed.get("provider", "openai"), model)
    monkeypatch.setenv("OPENAI_BASE_URL", ELSEWHERE)
    assert names(front, model) == ("openai", model)


@pytest.mark.parametrize("front", FRONTS)
def test_a_key_in_the_place_of_a_provider_is_not_quoted(front):
    refusal(front, "provider", "openrouter", provider=SECRET)
    refusal(front, "provider", "openrouter", provider=f"{SECRET}-aliyun-{SECRET}")
    refusal(front, "provider", "'opnai'", "did you mean 'openai'?", provider="opnai")


CALLED = {
    "通义千问": "dashscope", "阿里云百炼": "dashscope", "文心一言": "qianfan", "百度": "qianfan", "智谱AI": "zhipu",
    "豆包": "volcengine", "月之暗面": "moonshot", "深度求索": "deepseek", "硅基流动": "siliconflow", "bailian": "dashscope",
}  # fmt: skip


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("called", "name"), CALLED.items())
def test_a_nickname_of_a_service_gets_its_name_as_a_hint(front, called, name):
    refusal(front, f"'{called}'", f"did you mean '{name}'?", provider=called)


@pytest.mark.parametrize(
    "model", ["gpt-5.4-mini", "ft:gpt-4o:org::id", "openai/gpt-4o", ":x", "meta/llama", "my-org/model", "m"]
)
def test_what_is_no_other_vendors_goes_to_openai(model):
    assert names("sync", model) == ("openai", model)


def test_a_gateways_name_for_a_model_differs_from_the_vendors_own():
    text = refusal("sync", positional=("anthropic/claude-3",), api_key=KEY)
    assert '"anthropic:" and its name there' in text
    assert '"openrouter:"' in text
    assert '"anthropic:" before it' in refusal("sync", positional=("claude-3",), api_key=KEY)
    assert '"moonshot:" and the name of a model' in refusal("sync", positional=("kimi",), api_key=KEY)


@pytest.mark.parametrize("front", FRONTS)
def test_two_that_disagree(front):
    for arguments in ({"positional": ("anthropic:x",)}, {"model": "claude:x"}):
        refusal(front, "anthropic", "openai", '"openai:"', api_key=KEY, provider="openai", **arguments)
    config = ClientConfig(model="anthropic:claude", api_key=KEY)
    refusal(front, "openai", "anthropic", positional=(config,), model="openai:gpt")
    assert names(front, "openai:anthropic:x") == ("openai", "anthropic:x")


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("model", ["llama3:8b", "mistral:7b", "openai:x", "qwen:7b", "deepseek-r1:7b", "claude-x"])
def test_where_any_prefix_is_part_of_the_model(front, monkeypatch, model):
    for provider in LOCAL:
        assert names(front, model, provider=provider) == (provider, model)
        assert names(front, f"{provider}:{model}") == (provider, model)
    assert names(front, model, provider="groq", base_url=ELSEWHERE) == ("groq", model)
    monkeypatch.setenv("GROQ_BASE_URL", "https://gateway.test")
    assert names(front, model, provider="groq") == ("groq", model)


# -- calls ------------------------------------------------------------------------------------------------------------

CALLS = {
    "chat": lambda client, model: client.chat("hi", model=model),
    "stream": lambda client, model: client.stream_chat("hi", model=model),
    "embed": lambda client, model: client.embed("hi", model=model),
    "batch": lambda client, model: client.batch(["hi"], model=model),
    "child": lambda client, model: client.with_options(model=model),
}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", CALLS)
@pytest.mark.parametrize(
    ("client", "model", "expected"),
    [
        ("gpt-5", "anthropic:claude", ["anthropic", "openai"]),
        ("openai:gpt-5", "anthropic:claude", ["anthropic", "openai"]),
        ("openai:gpt-5", "qwen:qwen-plus", ["dashscope", "openai"]),
        ("anthropic:claude", "openai:gpt-5", ["openai", "anthropic", '"anthropic:"']),
        ("gpt-5", "opnai:gpt", ['"openai:"']),
        ("gpt-5", f"{SECRET}:8b", ["anthropic"]),
        ("gpt-5", "claude-haiku-5-5", ['"anthropic:"']),
        ("gpt-5", "groq", ['"groq:"']),
    ],
)
def test_a_call_for_another_provider_is_refused(front, how, client, model, expected):
    refusal(front, *expected, positional=(client,), api_key=KEY, action=lambda made: CALLS[how](made, model))


@pytest.mark.parametrize("front", FRONTS)
def test_an_address_alone_names_no_provider(front, server):
    for how in CALLS.values():
        act = lambda client, how=how: how(client, "anthropic:claude")  # noqa: E731
        refusal(front, "anthropic", "openai", positional=("m",), base_url=server.url, api_key=KEY, action=act)
    assert server.request_count == 0


SENT = [
    # the client, a call's model, what is sent
    ({"model": "openai:m"}, "openai:x", "x"),
    ({"model": "openai:m"}, "x", "x"),
    ({"model": " m "}, " x ", "x"),
    ({"model": " m "}, None, "m"),
    ({"model": "openai:m"}, "openai\uff1ax", "x"),
    ({"model": "openai:m"}, None, "m"),
    ({"model": "openai:m"}, "openai:anthropic:x", "anthropic:x"),
    ({"model": "openai:m"}, "llama3:8b", "llama3:8b"),
    ({"model": "openai:m"}, "mistral:7b", "mistral:7b"),
    ({"model": "openai:m"}, "claude-3", "claude-3"),
    ({"model": "groq:m"}, "mistral:7b", "mistral:7b"),
    ({"model": "m"}, "llama3:8b", "llama3:8b"),
    ({"model": "m"}, "claude-3", "claude-3"),
    ({"model": "m"}, "openai:x", "x"),
    ({"model": "fake:m"}, "openai:x", "openai:x"),
    ({"model": "fake:m"}, "fake:openai:x", "openai:x"),
    ({"model": "ollama:m"}, "mistral:7b", "mistral:7b"),
    ({"provider": "vllm", "model": "m"}, "qwen:7b", "qwen:7b"),
    ({"model": "openai:anthropic:x"}, None, "anthropic:x"),
    ({"model": "openai:openai:x"}, None, "openai:x"),
]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("fields", "model", "sent"), SENT)
def test_what_a_call_sends(server, front, fields, model, sent):
    fields = {**fields, "base_url": f"{server.url}/v1"}
    attempt(front, (), fields, lambda client: client.chat("hi", model=model))
    attempt(front, (), fields, lambda client: client.with_options(max_retries=1).chat("hi", model=model))
    attempt(front, (), fields, lambda client: client.embed("hi", model=model))
    assert [request.json["model"] for request in server.requests] == [sent] * 3


def test_a_row_names_its_model_as_a_call_does(server):
    rows = [{"prompt": "a", "model": "openai:x"}, {"prompt": "b", "model": "anthropic:x"}, {"prompt": "c"}]
    with llmnet.Client("m", base_url=f"{server.url}/v1") as client:
        good, bad, usual = client.batch(rows, ordered=True)
    assert (good.ok, usual.ok, type(bad.error)) == (True, True, ConfigurationError)
    assert sorted(request.json["model"] for request in server.requests) == ["m", "x"]


def test_a_childs_model_may_come_with_its_provider(server):
    with llmnet.Client("gpt-5", api_key=KEY) as client:
        child = client.with_options(provider="anthropic", model="claude:x", base_url=server.url)
        assert (child.config.provider, child.config.model) == ("anthropic", "x")
        other = client.with_options(provider="groq", model="mistral:7b", base_url=f"{server.url}/v1")
        assert (other.config.provider, other.config.model) == ("groq", "mistral:7b")


KEPT = [
    {"api_key": KEY},
    {"api_key": lambda: KEY},
    {"api_key": None, "headers": {"Authorization": f"Bearer {SECRET}"}},
]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("arguments", KEPT)
@pytest.mark.parametrize("model", ["gpt-5", "openai:gpt-5"])
def test_no_key_goes_along_to_another_provider(front, monkeypatch, server, arguments, model):
    field = "headers" if "headers" in arguments else "api_key"
    expected = [f"{field} was given for openai", "moonshot"]
    move = {"provider": "kimi", "model": "k2"}
    refusal(front, *expected, positional=(model,), **arguments, action=lambda client: client.with_options(**move))
    refusal(front, *expected, positional=(ClientConfig(model=model, **arguments),), **move)
    for more in ({"api_key": "k", "headers": None}, {"base_url": f"{server.url}/v1"}):
        attempt(front, (model,), arguments, lambda client, more=more: client.with_options(**move, **more))
    monkeypatch.setenv("MOONSHOT_API_KEY", "own")
    keys = []
    own = {**move, "api_key": None, "headers": None}

    def note(client):
        keys.append(resolved_of(client.with_options(**own)).key)

    attempt(front, (model,), arguments, note)
    assert keys == ["own"]


@pytest.mark.parametrize(
    ("model", "text"), [("opnai:x", "openai"), ("claude-3", "anthropic"), ("llama3:8b", "ollama"), ("x", "OPENAI_API")]
)
def test_the_command_line_reads_it_alike(model, text, capsys, tmp_path):
    rows = tmp_path / "in.jsonl"
    rows.write_text(json.dumps({"prompt": "a"}))
    for command in (["chat", "Hi"], ["models"], ["batch", str(rows)]):
        assert main([*command, "-m", model]) == 2
        out, err = capsys.readouterr()
        assert (out, text in err, err.count("\n")) == ("", True, 1)


# -- configs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model": "gpt"},
        {"model": "anthropic:claude"},
        {"model": "groq:mistral:7b"},
        {"model": "openai:openai:x"},
        {"provider": "ollama", "model": "mistral:7b"},
        {"provider": "openai", "model": "claude-3"},
        {"model": "openai:", "max_retries": 5},
    ],
)
def test_a_config_is_read_once_however_it_is_handed_on(fields):
    config = ClientConfig(**fields)
    for again in (
        copy.copy(config),
        copy.deepcopy(config),
        pickle.loads(pickle.dumps(config)),
        config.over({"timeout": 5}).over({"timeout": config.timeout}),
        config.over({"provider": config.provider}) if config.is_named else config,
    ):
        assert again == config
        assert (again.is_named, str(again.provider)) == (config.is_named, str(config.provider))
    if "openai:" not in (config.model or ""):
        assert dataclasses.replace(config, timeout=5).model == config.model


def test_a_base_of_settings_takes_any_model_string():
    base = pickle.loads(pickle.dumps(ClientConfig(timeout=5)))
    with llmnet.Client(base, model="anthropic:claude", api_key=KEY) as client:
        assert (client.config.provider, client.config.model, client.config.timeout) == ("anthropic", "claude", 5)
    refusal("sync", '"anthropic:"', positional=(base,), model="claude-3", api_key=KEY)
