"""How to test a program that talks to a model: `pytest test_with_fake.py` needs neither key nor network."""

from collections.abc import Iterator

import pytest

import llmnet
from llmnet.testing import FakeServer, Reply, fault


def summarise(client: llmnet.Client, text: str) -> str:
    """The program under test."""
    try:
        reply = client.chat(f"Summarise: {text}", max_tokens=100)
    except llmnet.ContextLengthError:
        return summarise(client, text[: len(text) // 2])
    return reply.content


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def client(server: FakeServer) -> Iterator[llmnet.Client]:
    quick = llmnet.RetryPolicy(base_delay=0.001)  # retries within milliseconds
    with llmnet.Client("openai:m", base_url=server.url + "/v1", api_key="sk-test", retry=quick) as client:
        yield client


def test_what_is_asked(server: FakeServer, client: llmnet.Client) -> None:
    server.script("It rained.")
    assert summarise(client, "It rained all day.") == "It rained."
    assert server.requests[0].json["messages"] == [{"role": "user", "content": "Summarise: It rained all day."}]


def test_a_failure_that_passes(server: FakeServer, client: llmnet.Client) -> None:
    server.script(503, fault("reset-before-head"), "It rained.")
    assert summarise(client, "It rained all day.") == "It rained."
    assert server.request_count == 3


def test_a_text_that_is_too_long(server: FakeServer, client: llmnet.Client) -> None:
    server.script(Reply(status=400, error={"code": "context_length_exceeded", "message": "too long"}))
    assert summarise(client, "12345678") == "Summarise: 1234"  # unscripted, the server sends back what it is asked


def test_a_failure_that_stays(server: FakeServer, client: llmnet.Client) -> None:
    server.script(401)
    with pytest.raises(llmnet.AuthenticationError):
        summarise(client, "It rained all day.")
