"""`responses` and `respx` answer the default clients as they answer the libraries: no socket is made, and all is seen."""

import json
import socket

import httpx
import pytest
import requests
import responses
import respx
from responses import matchers
from support.fronts import virtual

import llmnet

pytestmark = pytest.mark.mocks

BASE = "https://api.openai.com/v1"
CHAT = BASE + "/chat/completions"
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
EVENTS = (
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
    b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"lo!"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
BUSY = {"error": {"message": "busy", "type": "server_error", "code": None}}
WRONG = {"error": {"message": "no such parameter", "type": "invalid_request_error", "code": "bad"}}
EVENT_STREAM = {"content-type": "text/event-stream"}
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(autouse=True)
def no_socket(monkeypatch):
    """Whoever would connect, or only resolve a name, fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError("a mocked call went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def client():
    with llmnet.Client("openai:m", api_key="sk-test") as client:
        virtual(client)
        yield client


@pytest.fixture
def mock():
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
async def aclient():
    async with llmnet.AsyncClient("openai:m", api_key="sk-test") as client:
        virtual(client)
        yield client


@pytest.fixture
def amock():
    with respx.mock() as mock:
        yield mock


def seen(request):
    """What a mock knows of a request."""
    body = request.content if isinstance(request, httpx.Request) else request.body
    return request.headers["authorization"], request.headers["content-type"], json.loads(body)


SEEN = ("Bearer sk-test", "application/json", BODY)


class TestResponses:
    def test_chat(self, client, mock):
        mock.post(
            CHAT,
            json=REPLY,
            headers={"x-request-id": "req-1"},
            match=[matchers.header_matcher({"Authorization": "Bearer sk-test"}), matchers.json_params_matcher(BODY)],
        )
        reply = client.chat("Hi")
        assert (reply.content, reply.usage.total_tokens, reply.meta.request_id) == ("Hello!", 3, "req-1")
        assert seen(mock.calls[0].request) == SEEN
        assert (client.request_count, len(reply.meta.attempts)) == (1, 1)

    def test_stream(self, client, mock):
        mock.post(CHAT, body=EVENTS, headers=EVENT_STREAM)
        with client.stream_chat("Hi") as stream:
            assert [chunk.content for chunk in stream] == ["Hel", "lo!"]
        assert stream.response.finish_reason == "stop"

    def test_error(self, client, mock):
        mock.post(CHAT, status=400, json=WRONG)
        with pytest.raises(llmnet.BadRequestError, match="no such parameter") as caught:
            client.chat("Hi")
        assert (caught.value.code, caught.value.body) == ("bad", WRONG)
        assert len(mock.calls) == 1

    @pytest.mark.parametrize("statuses", [[503], [500, 502], [429, 429, 429]])
    def test_retry(self, client, mock, statuses):
        for status in statuses:
            mock.post(CHAT, status=status, json=BUSY)
        mock.post(CHAT, json=REPLY)
        reply = client.chat("Hi")
        assert reply.content == "Hello!"
        assert [attempt.status for attempt in reply.meta.attempts] == [*statuses, 200]
        assert [seen(call.request) for call in mock.calls] == [SEEN] * (len(statuses) + 1)

    def test_retries_that_are_used_up(self, client, mock):
        mock.post(CHAT, status=500, json=BUSY)
        with pytest.raises(llmnet.ServerError, match="busy") as caught:
            client.chat("Hi")
        assert len(mock.calls) == len(caught.value.meta.attempts) == 4

    def test_connection_error(self, client, mock):
        mock.post(CHAT, body=requests.ConnectionError("gone"))
        with pytest.raises(llmnet.APIConnectionError, match="gone"):
            client.chat("Hi")
        assert len(mock.calls) == 4

    def test_connection_error_then_a_reply(self, client, mock):
        mock.post(CHAT, body=requests.ConnectionError("gone"))
        mock.post(CHAT, json=REPLY)
        assert client.chat("Hi").content == "Hello!"

    def test_stream_that_is_retried_and_one_that_is_cut(self, client, mock):
        mock.post(CHAT, status=503)
        mock.post(CHAT, body=EVENTS, headers=EVENT_STREAM)
        assert [chunk.content for chunk in client.stream_chat("Hi")] == ["Hel", "lo!"]
        mock.upsert(responses.POST, CHAT, body=EVENTS[:80], headers=EVENT_STREAM)
        with pytest.raises(llmnet.IncompleteStreamError) as caught:
            list(client.stream_chat("Hi"))
        assert caught.value.partial.content == "Hel"

    def test_list_models(self, client, mock):
        mock.get(BASE + "/models", json={"object": "list", "data": [{"id": "m"}, {"id": "n"}]})
        assert [model.id for model in client.list_models()] == ["m", "n"]

    def test_embed(self, client, mock):
        data = [{"index": 0, "embedding": [0.5, 1.0]}, {"index": 1, "embedding": [0.0, 2.0]}]
        mock.post(BASE + "/embeddings", json={"data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}})
        assert client.embed(["a", "b"]).vectors == [[0.5, 1.0], [0.0, 2.0]]
        assert json.loads(mock.calls[0].request.body)["input"] == ["a", "b"]

    def test_what_no_mock_expects(self, client, mock):
        with pytest.raises(llmnet.APIConnectionError, match="doesn't match any registered mock"):
            client.chat("Hi")


class TestRespx:
    async def test_chat(self, aclient, amock):
        route = amock.post(CHAT, headers={"Authorization": "Bearer sk-test"}, json=BODY)
        route.respond(json=REPLY, headers={"x-request-id": "req-1"})
        reply = await aclient.chat("Hi")
        assert (reply.content, reply.usage.total_tokens, reply.meta.request_id) == ("Hello!", 3, "req-1")
        assert seen(route.calls[0].request) == SEEN
        assert (aclient.request_count, len(reply.meta.attempts)) == (1, 1)

    async def test_stream(self, aclient, amock):
        amock.post(CHAT).respond(content=EVENTS, headers=EVENT_STREAM)
        async with aclient.stream_chat("Hi") as stream:
            assert [chunk.content async for chunk in stream] == ["Hel", "lo!"]
        assert stream.response.finish_reason == "stop"

    async def test_error(self, aclient, amock):
        route = amock.post(CHAT).respond(400, json=WRONG)
        with pytest.raises(llmnet.BadRequestError, match="no such parameter") as caught:
            await aclient.chat("Hi")
        assert (caught.value.code, caught.value.body) == ("bad", WRONG)
        assert route.call_count == 1

    @pytest.mark.parametrize("statuses", [[503], [500, 502], [429, 429, 429]])
    async def test_retry(self, aclient, amock, statuses):
        replies = [httpx.Response(status, json=BUSY) for status in statuses]
        route = amock.post(CHAT).mock(side_effect=[*replies, httpx.Response(200, json=REPLY)])
        reply = await aclient.chat("Hi")
        assert reply.content == "Hello!"
        assert [attempt.status for attempt in reply.meta.attempts] == [*statuses, 200]
        assert [seen(call.request) for call in route.calls] == [SEEN] * (len(statuses) + 1)

    async def test_retries_that_are_used_up(self, aclient, amock):
        route = amock.post(CHAT).respond(500, json=BUSY)
        with pytest.raises(llmnet.ServerError, match="busy") as caught:
            await aclient.chat("Hi")
        assert route.call_count == len(caught.value.meta.attempts) == 4

    async def test_connection_error(self, aclient, amock):
        route = amock.post(CHAT).mock(side_effect=httpx.ConnectError("gone"))
        with pytest.raises(llmnet.APIConnectionError):
            await aclient.chat("Hi")
        assert route.call_count == 4

    async def test_connection_error_then_a_reply(self, aclient, amock):
        amock.post(CHAT).mock(side_effect=[httpx.ConnectError("gone"), httpx.Response(200, json=REPLY)])
        assert (await aclient.chat("Hi")).content == "Hello!"

    async def test_stream_that_is_retried_and_one_that_is_cut(self, aclient, amock):
        route = amock.post(CHAT)
        good = httpx.Response(200, content=EVENTS, headers=EVENT_STREAM)
        route.mock(side_effect=[httpx.Response(503), good])
        assert [chunk.content async for chunk in aclient.stream_chat("Hi")] == ["Hel", "lo!"]
        route.respond(content=EVENTS[:80], headers=EVENT_STREAM)
        with pytest.raises(llmnet.IncompleteStreamError) as caught:
            [chunk async for chunk in aclient.stream_chat("Hi")]
        assert caught.value.partial.content == "Hel"

    async def test_list_models(self, aclient, amock):
        amock.get(BASE + "/models").respond(json={"object": "list", "data": [{"id": "m"}, {"id": "n"}]})
        assert [model.id for model in await aclient.list_models()] == ["m", "n"]

    async def test_embed(self, aclient, amock):
        data = [{"index": 0, "embedding": [0.5, 1.0]}, {"index": 1, "embedding": [0.0, 2.0]}]
        route = amock.post(BASE + "/embeddings")
        route.respond(json={"data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}})
        assert (await aclient.embed(["a", "b"])).vectors == [[0.5, 1.0], [0.0, 2.0]]
        assert json.loads(route.calls[0].request.content)["input"] == ["a", "b"]


async def test_the_guard_guards():
    with pytest.raises(AssertionError, match="network"):
        requests.get("http://127.0.0.1:9/", timeout=1)


async def test_a_mocked_client_is_not_warmed(mock, amock, client, aclient):
    """It would go to the network; the fixture `no_socket` refuses that."""
    client.warm()
    await aclient.warm()
