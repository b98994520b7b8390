"""The proxies of the environment are read when a client is made: what the environment says later changes nothing."""

import asyncio
import functools

import pytest
from support.live import Sync, at_port, child_of
from support.proxy import Proxy
from support.subprocesses import in_child

import llmnet
from llmnet.testing import FakeServer

VARIABLES = ("http_proxy", "HTTP_PROXY", "all_proxy", "no_proxy", "REQUEST_METHOD")
THERE = "the proxy that listens"
NOWHERE = "http://127.0.0.1:9"

ENVIRONMENTS = [
    # when the client is made, when it is used, whether the proxy is asked
    ({}, {"http_proxy": THERE}, False),
    ({"http_proxy": THERE}, {}, True),
    ({"http_proxy": THERE}, {"http_proxy": NOWHERE}, True),
    ({"http_proxy": ""}, {"http_proxy": THERE}, False),
    ({"http_proxy": THERE}, {"http_proxy": ""}, True),
    ({"all_proxy": THERE}, {"all_proxy": THERE, "http_proxy": NOWHERE}, True),
    ({"http_proxy": THERE}, {"http_proxy": THERE, "no_proxy": "*"}, True),
    ({"http_proxy": THERE, "no_proxy": "p.test"}, {"http_proxy": THERE}, False),
    ({"HTTP_PROXY": THERE}, {"HTTP_PROXY": THERE, "REQUEST_METHOD": "GET"}, True),
    ({"HTTP_PROXY": THERE, "REQUEST_METHOD": "GET"}, {"HTTP_PROXY": THERE}, False),
]


@pytest.fixture(params=["sync", "fast", "httpx"])
def kind(request):
    """The sync front, and both engines of the async one."""
    return request.param


@pytest.fixture
def front(kind, request):
    return Sync() if kind == "sync" else request.getfixturevalue("awaited")


@pytest.fixture
def make(kind, front):
    """Makes a client."""
    return front.client if kind == "sync" else functools.partial(front.client, transport=kind)


@pytest.fixture
def environment(monkeypatch):
    """Sets the variables, and takes all others away."""

    def become(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return become


@pytest.fixture
def proxy():
    with Proxy() as proxy:
        yield proxy


@pytest.fixture
def fields(server, names):
    """Those of a client that talks to the server as to one of another process."""
    return {**at_port(server.port, max_retries=0), "base_url": f"http://p.test:{server.port}/v1"}


def address(proxy):
    return f"http://127.0.0.1:{proxy.port}"


def said(variables, proxy):
    return {name: address(proxy) if value == THERE else value for name, value in variables.items()}


@pytest.mark.parametrize(("made", "used", "asked"), ENVIRONMENTS)
def test_what_the_environment_says_later_changes_nothing(front, make, fields, environment, proxy, made, used, asked):
    environment(**said(made, proxy))
    with make(**fields) as client:
        environment(**said(used, proxy))
        assert [client.chat("hi").content for _ in range(2)] == ["hi", "hi"]
        assert child_of(front, client).chat("hi").content == "hi"
    assert len(proxy.requests) == (3 if asked else 0)


def test_one_that_cannot_be_used_fails_all_calls_that_need_it_and_no_client(kind, make, fields, environment, proxy):
    environment(http_proxy="gopher://x")
    with make(**fields) as client, make(**fields, proxy="") as another:
        environment(http_proxy=address(proxy))
        for call in (lambda: client.chat("hi"), client.warm)[: 1 if kind == "httpx" else 2] * 2:
            with pytest.raises(llmnet.ConfigurationError, match="the environment variable http_proxy cannot be used"):
                call()
        assert another.chat("hi").content == "hi"
    assert proxy.requests == []


def test_none_is_asked_for_a_server_of_this_process_for_as_long_as_it_runs(make, environment, proxy):
    server = FakeServer()
    with server:
        pass
    environment(http_proxy=address(proxy))
    with make(**at_port(server.port, max_retries=0)) as client:
        for number in range(2):
            with pytest.raises(llmnet.APIConnectionError):
                client.chat("hi")
            assert len(proxy.requests) == number + 1
            with server:
                assert client.chat("hi").content == "hi"
            assert len(proxy.requests) == number + 1


@pytest.mark.parametrize("engine", ["fast", "httpx"])
def test_all_loops_have_the_same(fields, environment, proxy, engine):
    environment(http_proxy=address(proxy))
    client = llmnet.AsyncClient(**fields, transport=engine)
    for variables in ({}, {"http_proxy": NOWHERE}):
        environment(**variables)
        assert asyncio.run(client.chat("hi")).content == "hi"
    asyncio.run(client.aclose())
    assert len(proxy.requests) == 2


def test_so_has_a_forked_child(fields, environment, proxy):
    environment(http_proxy=address(proxy))
    with llmnet.Client(**fields) as client:
        environment()
        assert client.chat("hi").content == "hi"
        assert in_child(lambda: client.chat("hi").content).result() == "hi"
    assert len(proxy.requests) == 2
