"""The plugin of pytest: within `fake_llm` all clients reach one server, whatever they ask the environment for."""

import os
import subprocess
import sys
import tomllib

import anthropic
import openai
import pytest
from support.paths import CHECKOUT
from support.subprocesses import run_python

import llmnet
from llmnet.providers.services import SERVICES
from llmnet.testing import FakeServer, pytest_plugin
from llmnet.testing.pytest_plugin import variables

fake_llm = pytest_plugin.fake_llm
APIS = [(service.name, api) for service in SERVICES.values() for api in service.apis if service.name != "fake"]


@pytest.mark.parametrize(("provider", "api"), APIS)
def test_every_api_of_every_provider_is_led_to_it(fake_llm, provider, api):
    with llmnet.Client(provider=provider, api=api, model="m") as client:
        assert client.config.effective_base_url.startswith(fake_llm.url)
        assert client.chat("Hello").content == "Hello"
        assert "".join(chunk.content for chunk in client.stream_chat("Hello again")) == "Hello again"
    assert fake_llm.request_count == 2


@pytest.mark.parametrize(("provider", "api"), APIS)
def test_every_list_of_models_is_the_providers(fake_llm, provider, api):
    with llmnet.Client(provider=provider, api=api, model="m") as client:
        try:
            found = client.list_models()
        except llmnet.ConfigurationError:  # it has none
            assert fake_llm.request_count == 0
        else:
            assert "fake-tools" in [model.id for model in found]


def test_it_takes_scripts_and_shows_requests(fake_llm):
    fake_llm.script("It is sunny.")
    with llmnet.Client("openai:gpt-5.4-mini") as client:
        assert client.chat("Weather?").content == "It is sunny."
    assert fake_llm.requests[0].json["messages"] == [{"role": "user", "content": "Weather?"}]


def test_the_vendors_own_clients_reach_it(fake_llm):
    messages = [{"role": "user", "content": "Hello"}]
    with openai.OpenAI() as client:
        assert client.chat.completions.create(model="m", messages=messages).choices[0].message.content == "Hello"
    with openai.AzureOpenAI() as client:
        assert client.chat.completions.create(model="m", messages=messages).choices[0].message.content == "Hello"
    with anthropic.Anthropic() as client:
        assert client.messages.create(model="m", max_tokens=9, messages=messages).content[0].text == "Hello"
    assert fake_llm.request_count == 3


def test_what_the_environment_says_otherwise_counts_no_more(monkeypatch, request):
    given = {"OPENAI_ORG_ID": "org-1", "ANTHROPIC_AUTH_TOKEN": "t", "AZURE_OPENAI_AD_TOKEN": "t", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "intranet"}  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    server = request.getfixturevalue("fake_llm")
    with openai.OpenAI(max_retries=0) as client:
        assert client.models.list().data
    assert os.environ["NO_PROXY"] == "127.0.0.1,intranet"
    assert {"OPENAI_ORG_ID", "ANTHROPIC_AUTH_TOKEN", "AZURE_OPENAI_AD_TOKEN"}.isdisjoint(os.environ)
    assert "openai-organization" not in server.requests[0].headers


def test_every_variable_of_every_provider_is_set_or_taken_away():
    names = {name for service in SERVICES.values() for name, _ in service.key_vars}
    names |= {variable.name for service in SERVICES.values() for variable in service.base_vars}
    names |= {name for service in SERVICES.values() for name in service.env_headers}
    assert names <= set(variables("http://127.0.0.1:5", {}))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("OPENAI_BASE_URL", "/v1"),
        ("ANTHROPIC_BASE_URL", ""),
        ("AZURE_OPENAI_ENDPOINT", ""),
        ("GROQ_BASE_URL", ""),  # to which Groq's own client appends /openai/v1
        ("DASHSCOPE_HTTP_BASE_URL", "/api/v1"),
        ("ZHIPU_BASE_URL", "/api/paas/v4"),
    ],
)
def test_an_address_is_as_the_vendors_own_client_takes_it(name, path):
    assert variables("http://127.0.0.1:5", {})[name] == f"http://127.0.0.1:5{path}"


def test_pytest_finds_it_by_its_entry_point():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"llmnet": pytest_plugin.__name__}


def test_a_start_of_pytest_loads_next_to_nothing():
    program = """
import sys, pytest
before = set(sys.modules)
import llmnet.testing.pytest_plugin
new = set(sys.modules) - before
assert {name for name in new if not name.startswith("llmnet")} <= {"weakref", "_weakrefset"}, new
assert len(new) < 12, new
print("fine")
"""
    run_python(program)


SUITE = """
import os
import llmnet
from llmnet.testing import Reply

def test_one(fake_llm):
    fake_llm.script(Reply(text="scripted"))
    with llmnet.Client("openai:m") as client:
        assert client.chat("Hello").content == "scripted"

def test_it_is_gone():
    assert "OPENAI_BASE_URL" not in os.environ

async def ask():
    async with llmnet.AsyncClient("anthropic:m") as client:
        return (await client.chat("Hello")).content

def test_async(fake_llm):
    import asyncio
    assert asyncio.run(ask()) == "Hello"
"""


@pytest.mark.slow
def test_a_suite_of_somebody_elses_uses_it(tmp_path):
    (tmp_path / "test_theirs.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", pytest_plugin.__name__, tmp_path]
    # Other plugins have warnings of their own; this one would be found twice where it is installed.
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_server_is_made_for_each_test(fake_llm):
    assert isinstance(fake_llm, FakeServer)
    assert fake_llm.request_count == 0
