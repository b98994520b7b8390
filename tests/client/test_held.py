"""Calls that a throttle holds back: who cannot wait so long hears at once what shut the gate, and sends nothing."""

import gc
import weakref

import pytest
from support.fronts import virtual
from support.live import at

import llmnet
from llmnet.testing import Reply

BUSY = b'{"error": {"message": "over the limit of sk-not-to-be-shown", "type": "busy", "code": "too_busy"}}'
FACTS = (
    "status",
    "http_status",
    "code",
    "type",
    "retryable",
    "repeated",
    "maybe_billed",
    "provider",
    "host",
    "partial",
)


def refusal(status, seconds):
    headers = {} if seconds is None else {"retry-after": str(seconds)}
    return Reply(status=status, headers={**headers, "content-type": "application/json"}, body=BUSY)


def failure(act, *args, **params):
    with pytest.raises(llmnet.LLMNetError) as caught:
        act(*args, **params)
    return caught.value


@pytest.mark.parametrize(
    ("status", "cls"), [(429, llmnet.RateLimitError), (503, llmnet.ServerError), (529, llmnet.OverloadedError)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_who_has_no_time_hears_what_shut_the_gate(front, server, status, cls, stream):
    server.script(refusal(status, 60))
    with front.client(**at(server, api_key="sk-not-to-be-shown", timeout=20)) as client:
        time = virtual(client)
        first = failure(client.chat, "Hi")
        time.now += 10
        bounds = llmnet.Timeout(total=20)
        ask = (lambda: next(client.stream_chat("Hi", timeout=bounds))) if stream else (lambda: client.chat("Hi"))
        held = failure(ask)
        assert type(held) is type(first)
        assert isinstance(held, cls)
        assert {name: getattr(held, name) for name in FACTS} == {name: getattr(first, name) for name in FACTS}
        assert held.retry_after == pytest.approx(50)
        assert "it holds all calls for another 50.0s, and the total bound has 20.0s left" in held.message
        assert "sk-not-to-be-shown" not in f"{held} {held!r} {vars(held)}"
        assert (held.meta.attempts, time.sleeps, server.request_count) == ([], [], 1)


def test_a_throttle_that_named_no_time_is_told_too(front, server):
    server.script(refusal(429, None))
    with front.client(**at(server, retry=llmnet.RetryPolicy(max_throttle_wait=0.01))) as client:
        time = virtual(client)
        assert failure(client.chat, "Hi").retry_after is None
        held = failure(client.chat, "Hi", timeout=llmnet.Timeout(queue=0.1))
        assert isinstance(held, llmnet.RateLimitError)
        assert 0.4 < held.retry_after < 1.1
        assert "the queue bound has 0.1s left" in held.message
        assert client.chat("Hi", timeout=llmnet.Timeout(queue=60)).content == "Hi", "who has time waits"
        assert len(time.sleeps) == 1


def test_a_wait_that_nobody_obeys_is_asked_for_once(front, server):
    server.script(refusal(429, 7200))
    with front.client(**at(server)) as client:
        time = virtual(client)
        assert failure(client.chat, "Hi").retry_after == 7200
        held = failure(client.chat, "Hi", timeout=llmnet.Timeout(total=1e6))
        assert isinstance(held, llmnet.RateLimitError)
        assert (held.retry_after, server.request_count) == (7200, 1)
        assert "max_retry_after is 120s" in held.message
        time.now += 3600
        assert client.chat("Hi").content == "Hi", "after an hour one asks again"
        assert (time.sleeps, server.request_count) == ([], 2)


def test_who_is_held_for_a_while_waits_for_the_rest_of_a_long_time(front, server):
    server.script(refusal(429, 200))
    with front.client(**at(server)) as client:
        time = virtual(client)
        failure(client.chat, "Hi")
        time.now += 100
        assert client.chat("Hi").content == "Hi"
        assert time.sleeps == [100]


def test_a_batch_asks_as_often_as_it_has_workers(front, server):
    server.handler = lambda request: refusal(429, 7200)
    with front.client(**at(server)) as client, client.batch(["Hi"] * 200, max_concurrent=4) as batch:
        results = list(batch)
        assert {type(result.error) for result in results} == {llmnet.RateLimitError}
        assert len(results) == 200
        assert server.request_count <= 4


@pytest.mark.parametrize(
    "options", [{"max_retries": 0}, {"retry": llmnet.RetryPolicy(max_throttle_wait=0, max_retries=1)}]
)
def test_whose_throttles_are_ordinary_shuts_no_gate(front, server, options):
    server.script(refusal(429, 7200))
    with front.client(**at(server, **options)) as client:
        failure(client.chat, "Hi")
        assert client.chat("Hi").content == "Hi"


def test_a_gate_keeps_no_error_alive(front, server):
    server.script(refusal(429, 7200))
    with front.client(**at(server)) as client:
        error = weakref.ref(failure(client.chat, "Hi"))
        gc.collect()
        assert error() is None
        assert isinstance(failure(client.chat, "Hi"), llmnet.RateLimitError)


@pytest.mark.parametrize("seed", range(20))
def test_a_hint_that_fits_is_waited_for(front, server, seed):
    server.script(refusal(429, 15))
    with front.client(**at(server, timeout=16)) as client:
        time = virtual(client, seed=seed)
        assert client.chat("Hi").content == "Hi"
        assert 15 <= sum(time.sleeps) <= 15.5
