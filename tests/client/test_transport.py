"""A transport of the caller's own: both clients drive it as they drive ours, and say what is wrong with it."""

import json
import tracemalloc

import pytest
from support.inside import replace_parts
from support.live import slots

import llmnet
from llmnet.core.errors import APIConnectionError
from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError, Outcome

JSON, EVENTS = {"content-type": "application/json"}, {"content-type": "text/event-stream"}
QUICK = llmnet.RetryPolicy(base_delay=0.001)


def said(text):
    message = {"role": "assistant", "content": text}
    return json.dumps({"id": "1", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}).encode()


LAST = b"\r\n\r\n"


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
            self.ended = piece is LAST
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
        assert (transport.open, slots(client)) == (0, 0)
    assert transport.closed == 1


def test_a_stream_comes_from_memory(front):
    transport = memory(front, (200, EVENTS, streamed("one ", "two")))
    with client_of(front, transport) as client, client.stream_chat("hi") as stream:
        assert [chunk.content for chunk in stream if chunk.content] == ["one ", "two"]
        assert stream.response.content == "one two"
        assert transport.open == 0


def test_a_reply_that_says_that_it_has_ended_is_asked_for_no_more(front):
    late = AssertionError("asked for more")
    transport = memory(front, (200, JSON, [said("hello"), LAST, late]), (200, EVENTS, [*streamed("one"), LAST, late]))
    with client_of(front, transport) as client:
        assert client.chat("hi").content == "hello"
        assert client.chat("hi").content == "one"
        assert (transport.open, slots(client)) == (0, 0)


def test_what_a_stream_says_before_it_breaks_off_is_delivered_though_it_has_ended(front):
    transport = memory(front, (200, EVENTS, [next(streamed("one")) + LAST, LAST]))
    with client_of(front, transport) as client, client.stream_chat("hi") as stream:
        assert next(stream).content == "one"
        with pytest.raises(llmnet.IncompleteStreamError):
            next(stream)


def test_what_fails_is_sent_again_by_the_driver(front):
    busy = (503, JSON, [b'{"error":{"message":"bu', b'sy"}}'])
    transport = memory(front, busy, lost(), (200, JSON, [b'{"id"', lost()]), (200, JSON, [said("at last")]))
    with client_of(front, transport) as client:
        reply = client.chat("hi")
        assert reply.content == "at last"
        assert [attempt.status for attempt in reply.meta.attempts] == [503, None, 200, 200]
        # What was never told of sending has not been sent.
        assert [attempt.sent for attempt in reply.meta.attempts] == [True, False, True, True]
        assert (len(transport.requests), transport.open, slots(client)) == (4, 0, 0)


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


# -- what it does wrong -------------------------------------------------------------------------------------------------


class Awkward(Opened):
    """Fails where it is closed."""

    def close(self):
        super().close()
        raise lost()


@pytest.mark.parametrize(
    ("status", "pieces", "ends"),
    [(200, [said("well")], "well"), (503, [b"{}"], "well"), (200, [b'{"id"', lost()], "well"), (400, [b"{}"], "400")],
    ids=["whole", "busy", "cut", "refused"],
)
def test_a_close_that_fails_hides_nothing(front, monkeypatch, status, pieces, ends):
    monkeypatch.setitem(globals(), "Opened", Awkward)
    transport = memory(front, (status, JSON, pieces), (200, JSON, [said("well")]))
    with client_of(front, transport) as client:
        try:
            heard = client.chat("hi").content
        except llmnet.BadRequestError as error:
            heard = str(error.status)
        assert (heard, transport.open, slots(client)) == (ends, 0, 0)


def test_a_close_that_fails_after_the_last_chunk_is_no_error_of_the_stream(front, monkeypatch):
    monkeypatch.setitem(globals(), "Opened", Awkward)
    with client_of(front, memory(front, (200, EVENTS, streamed("well")))) as client, client.stream_chat("hi") as stream:
        assert [chunk.content for chunk in stream if chunk.content] == ["well"]
        assert stream.response.content == "well"


class NoBody(Opened):
    """Cannot be iterated over."""

    __iter__ = __aiter__ = None


def test_a_reply_without_a_body_is_closed(front, monkeypatch):
    monkeypatch.setitem(globals(), "Opened", NoBody)
    transport = memory(front, (200, JSON, []))
    with client_of(front, transport) as client:
        with pytest.raises(TypeError):
            client.chat("hi")
        assert (transport.open, slots(client)) == (0, 0)


@pytest.mark.parametrize("piece", [b" ", b""], ids=["blank", "nothing"])
@pytest.mark.parametrize("status", [200, 500])
def test_one_that_asks_for_no_bound_does_not_drip_beyond_it(front, status, piece):
    transport = memory(front)
    with client_of(front, transport, max_retries=0, timeout=llmnet.Timeout(total=30.0)) as client:
        now = [0.0]
        replace_parts(client, clock=lambda: now[0])

        def pieces():
            while now[0] < 300.0:
                now[0] += 1.0
                yield piece

        transport.script.append((status, JSON, pieces()))
        with pytest.raises(llmnet.APITimeoutError if status == 200 else llmnet.ServerError) as caught:
            client.chat("hi")
        assert getattr(caught.value, "phase", "total") == "total"
        assert now[0] <= 32.0 if status == 200 else now[0] <= 3.0
        assert transport.open == 0


def test_headers_may_be_a_plain_mapping(front, monkeypatch):
    class Plain(Opened):
        def __init__(self, memory, status, headers, pieces):
            super().__init__(memory, status, headers, pieces)
            self.headers = headers

    monkeypatch.setitem(globals(), "Opened", Plain)
    transport = memory(front, (200, {"Content-Type": "application/json", "X-Request-Id": "r-1"}, [said("well")]))
    with client_of(front, transport) as client:
        assert client.chat("hi").meta.request_id == "r-1"


@pytest.mark.parametrize(("kind", "attempts"), [(llmnet.CallQueued, 0), (llmnet.AttemptStarted, 1)])
def test_nothing_is_sent_for_a_stream_that_its_hook_has_cancelled(front, kind, attempts):
    transport, streams = memory(front, (200, EVENTS, streamed("too late"))), []

    def hook(event):
        if isinstance(event, kind):
            streams[0].cancel()

    with client_of(front, transport, on_event=hook) as client:
        streams.append(client.stream_chat("hi"))
        with pytest.raises(llmnet.StreamCancelledError) as caught:
            next(streams[0])
        assert (transport.requests, len(caught.value.meta.attempts)) == ([], attempts)


@pytest.mark.parametrize(("head", "seen"), [({}, "b-***"), ({"x-request-id": "h-1"}, "h-1")])
def test_the_id_in_a_body_counts_where_the_head_has_none(front, head, seen):
    message = {"role": "assistant", "content": "hello"}
    body = {"request_id": "b-sk-secret-key", "output": {"choices": [{"finish_reason": "stop", "message": message}]}}
    transport = memory(front, (200, JSON | head, [json.dumps(body).encode()]))
    native = {"provider": "dashscope", "api": "native", "base_url": "http://model.test/api/v1", "model": "m"}
    with front.client(**native, api_key="sk-secret-key", transport=transport) as client:
        assert client.chat("hi").meta.request_id == seen


def test_what_had_come_of_a_stream_that_is_whole_is_had_by_who_closes_its_client(front):
    words = [f"word {number} " for number in range(1000)]
    transport = memory(front, (200, EVENTS, [b"".join(streamed(*words))]))
    with client_of(front, transport) as client:
        stream, heard = client.stream_chat("hi"), []
        while "ended" not in repr(stream):
            heard.append(str(next(stream)))
        assert len(heard) < len(words)
        client.close()
        assert "".join([*heard, *map(str, stream)]) == "".join(words)


@pytest.mark.parametrize(("kind", "begins"), [(JSON, b'{"'), (EVENTS, b"data: ")], ids=["JSON", "events"])
def test_a_stream_that_has_failed_keeps_no_body(front, kind, begins):
    size = 4 << 20
    pieces = [begins, *[b"x" * (size // 256)] * 256, lost()]
    with client_of(front, memory(front, (200, kind, pieces)), max_retries=0) as client:
        tracemalloc.start()
        try:
            stream = client.stream_chat("hi")
            with pytest.raises(llmnet.LLMNetError):
                list(stream)
            assert tracemalloc.get_traced_memory()[0] < size / 2
        finally:
            tracemalloc.stop()


def refilled(data, size=20):
    """Pieces of a body, all in the one buffer of a transport that fills it again."""
    buffer = bytearray()
    for at in range(0, len(data), size):
        buffer[:] = data[at : at + size]
        yield buffer


def test_a_buffer_that_is_filled_again_is_the_transports():
    with llmnet.Client("openai:m", api_key="sk-test", transport=Memory((200, JSON, refilled(said("Hello"))))) as client:
        assert client.chat("hi").content == "Hello"
