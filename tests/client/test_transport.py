"""A transport of the caller's own: both clients drive it as they drive ours, and say what is wrong with it."""

import json

import pytest

import llmnet
from llmnet.core.errors import APIConnectionError
from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError, Outcome

JSON, EVENTS = {"content-type": "application/json"}, {"content-type": "text/event-stream"}
QUICK = llmnet.RetryPolicy(base_delay=0.001)


def said(text):
    message = {"role": "assistant", "content": text}
    return json.dumps({"id": "1", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}).encode()


def streamed(*words):
    for word in words:
        yield b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % word.encode()
    yield b'data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Memory:
    """A transport that has its replies at hand: (status, headers, pieces of the body), or an exception."""

    def __init__(self, *script):
        self.script, self.requests, self.closed, self.open = list(script), [], 0, 0

    def send(self, exchange, bounds):
        assert bounds.remaining()[1] > 0
        self.requests.append(exchange.request)
        said = self.script.pop(0)
        if isinstance(said, Exception):
            raise said
        self.open += 1
        return Opened(self, *said)

    def close(self):
        self.closed += 1


class AsyncMemory(Memory):
    async def send(self, exchange, bounds):
        return super().send(exchange, bounds)

    close = None

    async def aclose(self):
        self.closed += 1


class Opened:
    def __init__(self, memory, status, headers, pieces):
        self._memory, self.status, self.headers, self._pieces = memory, status, Headers(headers), pieces

    def __iter__(self):
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self):
        for piece in self:
            yield piece

    def close(self):
        self._memory.open -= 1

    async def aclose(self):
        self.close()


def memory(front, *script):
    return (Memory if front.name == "sync" else AsyncMemory)(*script)


def lost():
    return AttemptError(Outcome(APIConnectionError("the tape broke", phase="body")))


def client_of(front, transport, **fields):
    fields = {"base_url": "http://model.test/v1", "api_key": "sk-secret-key", "retry": QUICK, **fields}
    return front.client(model="openai:m", transport=transport, **fields)


def test_a_reply_comes_from_memory(front):
    transport = memory(front, (200, JSON | {"x-request-id": "r-1"}, [said("hello")]))
    with client_of(front, transport) as client:
        reply = client.chat("hi")
        assert (reply.content, reply.meta.request_id, client.request_count) == ("hello", "r-1", 1)
        assert [attempt.sent for attempt in reply.meta.attempts] == [True]
        (request,) = transport.requests
        assert (request.url, request.headers["authorization"]) == (
            "http://model.test/v1/chat/completions",
            "Bearer sk-secret-key",
        )
        assert (transport.open, client._common.queue.active) == (0, 0)
    assert transport.closed == 1


def test_a_stream_comes_from_memory(front):
    transport = memory(front, (200, EVENTS, streamed("one ", "two")))
    with client_of(front, transport) as client, client.stream_chat("hi") as stream:
        assert [chunk.content for chunk in stream if chunk.content] == ["one ", "two"]
        assert stream.response.content == "one two"
        assert transport.open == 0


def test_what_fails_is_sent_again_by_the_driver(front):
    busy = (503, JSON, [b'{"error":{"message":"bu', b'sy"}}'])
    transport = memory(front, busy, lost(), (200, JSON, [b'{"id"', lost()]), (200, JSON, [said("at last")]))
    with client_of(front, transport) as client:
        reply = client.chat("hi")
        assert reply.content == "at last"
        assert [attempt.status for attempt in reply.meta.attempts] == [503, None, 200, 200]
        # What was never told of sending has not been sent.
        assert [attempt.sent for attempt in reply.meta.attempts] == [True, False, True, True]
        assert (len(transport.requests), transport.open, client._common.queue.active) == (4, 0, 0)


def test_an_error_is_typed_and_holds_no_secret(front):
    echo = b'{"error":{"message":"no such key: sk-secret-key","code":"invalid_api_key"}}'
    with client_of(front, memory(front, (401, JSON, [echo]))) as client:
        with pytest.raises(llmnet.AuthenticationError, match=r"no such key: \*\*\*") as caught:
            client.chat("hi")
        assert (caught.value.code, caught.value.meta.status) == ("invalid_api_key", 401)


def test_an_error_of_its_own_is_the_callers_and_is_not_repeated(front):
    transport = memory(front, ZeroDivisionError("a bug"), (200, JSON, [said("well")]))
    with client_of(front, transport, max_concurrent=1) as client:
        with pytest.raises(ZeroDivisionError):
            client.chat("hi")
        assert client.chat("hi").content == "well"


def test_one_that_takes_too_long_ends_at_its_bound(front):
    """Where it asks how long it may take: it is its own part to keep to that."""
    expired = AttemptError(Outcome(llmnet.APITimeoutError("too late", phase="response")))
    with client_of(front, memory(front, expired), max_retries=0) as client:
        with pytest.raises(llmnet.APITimeoutError, match="too late") as caught:
            client.chat("hi")
        assert caught.value.host == "model.test"


@pytest.mark.parametrize("field", [{"proxy": "http://proxy.test:1"}, {"verify": False}, {"http2": True}], ids=str)
def test_what_it_could_not_know_of_is_refused(front, field):
    (name,) = field
    with pytest.raises(llmnet.ConfigurationError, match=f"{name} says nothing to a transport of your own"):
        client_of(front, memory(front), **field)


def test_the_other_front_has_another_one():
    with pytest.raises(
        llmnet.ConfigurationError, match=r"transport=AsyncMemory is made for the other client.* close\(\)"
    ):
        llmnet.Client("openai:m", api_key="k", transport=AsyncMemory())
    with pytest.raises(llmnet.ConfigurationError, match=r"transport=Memory is made for the other client.* aclose\(\)"):
        llmnet.AsyncClient("openai:m", api_key="k", transport=Memory())


@pytest.mark.parametrize("wrong", [object(), Memory, 5], ids=["object", "class", "number"])
def test_what_is_no_transport_is_named(wrong):
    with pytest.raises(llmnet.ConfigurationError, match=r"transport must be .* send\(exchange, bounds\) and close\(\)"):
        llmnet.Client("openai:m", api_key="k", transport=wrong)
