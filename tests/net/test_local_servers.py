"""A proxy of the environment is not asked for a server of this process: it could not reach it, or would hear all."""

import asyncio

import pytest
from support.acts import FRONTS, attempt
from support.live import at
from support.proxy import Proxy
from support.subprocesses import in_child

import llmnet
from llmnet.cli import main
from llmnet.core.hosts import SERVERS, is_here
from llmnet.testing import FakeServer

VARIABLES = ("http_proxy", "HTTP_PROXY", "all_proxy")
NOWHERE = "http://127.0.0.1:9"


def hello(front, *positional, **fields):
    return attempt(front, positional, fields, lambda client: client.chat("hi")).content


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("value", [NOWHERE, "gopher://what", "::::"])
def test_the_embedded_server_is_reached_whatever_the_environment_says(front, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    for api in ("chat-completions", "messages"):
        assert hello(front, "fake:m", api=api) == "hi"


def test_the_first_command_of_the_readme(monkeypatch, capsys):
    monkeypatch.setenv("http_proxy", NOWHERE)
    assert main(["chat", "Hello!"]) == 0
    assert capsys.readouterr().out == "Hello!\n"


@pytest.mark.parametrize("front", FRONTS)
def test_nor_is_one_asked_in_a_forked_child(front, monkeypatch):
    monkeypatch.setenv("http_proxy", NOWHERE)
    assert hello(front, "fake:m") == "hi"
    client = llmnet.Client("fake:m")
    assert client.chat("hi").content == "hi"
    child = in_child(lambda: [hello(front, "fake:m"), client.chat("hi").content])
    assert child.result() == "['hi', 'hi']"
    client.close()


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_of_this_process(front, server, monkeypatch, host):
    fields = {**at(server), "base_url": f"http://{host}:{server.port}/v1"}
    with Proxy() as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        monkeypatch.setenv("http_proxy", address)
        assert hello(front, **fields) == "hi"
        assert proxy.requests == []
        monkeypatch.delenv("http_proxy")
        assert hello(front, **fields, proxy=address) == "hi"
        assert len(proxy.requests) == 1


def test_the_factories_ask_it(server, monkeypatch):
    async def get():
        async with llmnet.create_async_client() as client:
            return (await client.get(f"{server.url}/v1/models")).status_code

    with Proxy() as proxy, llmnet.create_session() as session:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert session.get(f"{server.url}/v1/models").status_code == 200
        assert asyncio.run(get()) == 200
        assert len(proxy.requests) == 2


@pytest.mark.parametrize("front", FRONTS)
def test_others_go_through_it(front, server, monkeypatch):
    """The proxy itself is a host of another kind: it has no `FakeServer` behind its port."""
    with Proxy() as proxy, Proxy() as other:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(llmnet.LLMNetError):
            hello(front, **{**at(server), "base_url": f"http://127.0.0.1:{other.port}/v1", "max_retries": 0})
        assert len(proxy.requests) == 1


def test_a_server_is_here_for_as_long_as_it_listens():
    known = set(SERVERS)
    server = FakeServer()
    for _ in range(2):
        with server:
            assert is_here(f"{server.url}/v1/chat?x=1")
            assert is_here(f"http://localhost:{server.port}")
            assert not is_here(f"http://example.com:{server.port}")
            assert not is_here("http://127.0.0.1/")
        assert not is_here(server.url)

    with FakeServer(host="0.0.0.0") as everywhere:
        assert is_here(f"http://localhost:{everywhere.port}/v1")

    async def in_a_loop():
        async with FakeServer() as awaited:
            return is_here(awaited.url)

    assert asyncio.run(in_a_loop())
    assert known == SERVERS
