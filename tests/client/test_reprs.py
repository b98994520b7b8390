"""What a console shows of clients, streams, stats and meta: one line, which says what somebody wants to know, and no secret."""

import pytest
from support.live import WORDS, Work, at, eventually

import llmnet
from llmnet.core.http import Headers
from llmnet.telemetry.stats import Histogram
from llmnet.testing import Reply

KEY = "sk-a-key-that-nobody-may-see"


def named(front, name):
    return f"Async{name}" if front.name == "async" else name


def test_a_client_shows_where_its_calls_go(front, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"https://gateway.example/v1?key={KEY}")
    with front.client(model="openai:gpt-5.4-mini", api_key=KEY) as client:
        shown = repr(getattr(client, "_client", client))
        assert shown == (
            f"{named(front, 'Client')}(provider='openai', model='gpt-5.4-mini', base_url='https://gateway.example/v1', "
            "api='chat-completions', max_retries=3)"
        )
        assert repr(client.config) == (
            "ClientConfig(provider='openai', model='gpt-5.4-mini', base_url=None, api=None, max_retries=3)"
        )


def test_a_client_of_the_embedded_server_names_no_port(front):
    with front.client(model="fake:m") as client:
        assert "base_url='fake:'" in repr(getattr(client, "_client", client))


def test_a_batch_shows_how_far_it_is(front, server):
    with front.client(**at(server)) as client, client.batch(["a", "b", "c"], max_concurrent=1) as batch:

        def shown():
            return repr(getattr(batch, "_batch", batch))

        name = named(front, "Batch")
        assert shown() == f"<{name}: 0 rows taken, 0 of them done, 0 results given>"
        assert len(list(batch)) == 3
        assert shown() == f"<{name}: 3 rows taken, 3 of them done, 3 results given, no more are taken>"


def test_a_stream_shows_how_far_it_is(front, server):
    server.script(Reply(text=WORDS, hold="body"), Reply(hold=True))
    with front.client(**at(server)) as client:
        stream, name = client.stream_chat("hi"), named(front, "ChatStream")
        assert repr(stream) == f"<{name} of 'm': not sent yet, 0 chunks so far>"
        with stream:
            assert repr(stream) == f"<{name} of 'm': open, 0 chunks so far>"
            next(stream)
            assert repr(stream) == f"<{name} of 'm': open, 1 chunk so far>"
            server.release()
            rest = len(list(stream))
            assert rest
        assert repr(stream) == f"<{name} of 'm': ended, {rest + 1} chunks>"
        held = client.stream_chat("hi")
        work = Work(lambda: next(held))
        eventually(lambda: server.request_count == 2)
        assert repr(held) == f"<{name} of 'm': waiting for its reply, 0 chunks so far>"
        held.cancel()
        with pytest.raises(llmnet.StreamCancelledError):
            work.result()
        assert repr(held) == f"<{name} of 'm': closed, 0 chunks>"
        api_stream = client.request("GET", "/models", stream=True)
        assert repr(api_stream) == f"<{named(front, 'APIStream')}: not sent yet, 0 chunks so far>"


def test_stats_are_a_line(front, server):
    server.script("a", "b", 400)
    with front.client(**at(server)) as client:
        assert repr(client.stats) == "<Stats: 0 calls>"
        client.chat("hi")
        client.chat("hi")
        with pytest.raises(llmnet.BadRequestError):
            client.chat("hi")
        assert repr(client.stats) == "<Stats: 3 calls, 1 error, 2 ok>"
        assert "\n" not in repr(client.stats[0])
    assert repr(Histogram(bounds=(1.0,), counts=(2, 1), total=4.5)) == "Histogram(count=3, total=4.500)"


def test_meta_is_a_line_as_a_value_and_a_line_an_attempt_as_text():
    meta = llmnet.Meta(
        status=200,
        request_id="req-1",
        headers=Headers([("x-long", "x" * 1000)]),
        queued=0.5,
        elapsed=5.25,
        attempts=[
            llmnet.Attempt(cause="APIConnectionError (send)", transparent=True, elapsed=0.004),
            llmnet.Attempt(status=429, cause="429 rate_limit_exceeded", wait=3.6, sent=True, elapsed=0.21),
            llmnet.Attempt(status=200, cause="IncompleteStreamError", wait=0.25, sent=True, elapsed=1),
            llmnet.Attempt(status=200, sent=True, elapsed=1.234),
        ],
    )
    assert repr(meta) == "Meta(status=200, request_id='req-1', attempts=4, queued=0.500, elapsed=5.250)"
    assert str(meta).splitlines() == [
        "attempt 1: APIConnectionError (send) after 0.00 s, not sent, again at once",
        "attempt 2: 429 rate_limit_exceeded after 0.21 s, again in 3.60 s",
        "attempt 3: IncompleteStreamError (HTTP 200) after 1.00 s, again in 0.25 s",
        "attempt 4: 200 after 1.23 s",
    ]
    assert str(llmnet.Meta()) == "no attempt"


@pytest.mark.parametrize("kind", [llmnet.Client, llmnet.AsyncClient])
def test_a_client_that_was_refused_is_shown_too(kind):
    client = kind.__new__(kind)
    with pytest.raises(llmnet.ConfigurationError):
        client.__init__(base_url="nowhere")
    assert repr(client) == f"<{kind.__name__} that was not made>"


def test_the_meta_of_a_real_call(front, server):
    server.script(500, "fine")
    with front.client(**at(server, retry=llmnet.RetryPolicy(base_delay=0.001))) as client:
        reply = client.chat("hi")
    first, second = str(reply.meta).splitlines()
    assert first.startswith("attempt 1: 500 ")
    assert second.startswith("attempt 2: 200 after ")
    assert "\n" not in repr(reply)
