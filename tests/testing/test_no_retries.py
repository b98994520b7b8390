"""`no_retries`: within it nothing is sent again, whoever sends; what the server counts is looked at."""

import asyncio
import concurrent.futures
import threading

import pytest
import tenacity
from support.live import at

import llmnet
from llmnet.testing import Reply, no_retries

QUICK = llmnet.RetryPolicy(base_delay=0.001, max_delay=0.002)
FAILURES = [500, Reply(status=429, headers={"retry-after": "0.01"}), Reply(drop=True), Reply(text="half of it", cut=20)]


@pytest.mark.parametrize("failure", FAILURES, ids=["status", "throttle", "connection", "body"])
def test_a_client_sends_once(front, server, failure):
    with front.client(**at(server, retry=QUICK)) as client:
        server.script(failure, "fine")
        with no_retries(), pytest.raises(llmnet.LLMNetError) as caught:
            client.chat("hi")
        assert (server.request_count, len(caught.value.meta.attempts), caught.value.repeated) == (1, 1, False)
        assert client.chat("hi").content == "fine"
        server.script(failure, "again")
        assert client.chat("hi").content == "again"  # as before


def test_a_throttle_keeps_no_other_call_waiting(front, server):
    server.script(Reply(status=429, headers={"retry-after": "30"}), "fine")
    with front.client(**at(server)) as client, no_retries():
        with pytest.raises(llmnet.RateLimitError):
            client.chat("hi")
        assert client.chat("hi").content == "fine"


def test_a_refused_key_is_not_renewed(front, server):
    keys = iter(["old", "new"])
    server.script(401, "fine")
    with front.client(**at(server, api_key=lambda: next(keys))) as client:
        with no_retries(), pytest.raises(llmnet.AuthenticationError):
            client.chat("hi")
        assert server.request_count == 1


def test_a_dead_connection_is_still_replaced(front, server):
    server.script(Reply(text="one", drop_idle=True), "two")
    with front.client(**at(server)) as client, no_retries():
        assert client.chat("hi").content == "one"
        assert client.chat("hi").content == "two"


def test_streams_requests_and_batches_send_once(front, server):
    with front.client(**at(server, retry=QUICK)) as client, no_retries():
        server.script(500, 500, 500)
        with pytest.raises(llmnet.ServerError):
            list(client.stream_chat("hi"))
        with pytest.raises(llmnet.ServerError):
            client.request("GET", "/files")
        with client.batch(["hi"]) as batch:
            assert [type(result.error) for result in batch] == [llmnet.ServerError]
        assert server.request_count == 3


def test_the_factories_send_once(server):
    server.script(500, 500)
    with no_retries():
        with llmnet.create_session() as session:
            assert session.get(f"{server.url}/v1/models").status_code == 500

        async def awaited():
            async with llmnet.create_async_client() as client:
                return (await client.get(f"{server.url}/v1/models")).status_code

        assert asyncio.run(awaited()) == 500
    assert server.request_count == 2


def again():
    raise tenacity.TryAgain


@pytest.mark.parametrize("error", [ConnectionError, tenacity.TryAgain])
def test_decorated_functions_are_called_once(error):
    calls = []

    def fail():
        calls.append(1)
        raise error

    async def fail_later():
        fail()

    decorated = [llmnet.with_retry(base_delay=0.001)(function) for function in (fail, fail_later)]
    with no_retries():
        with pytest.raises((error, tenacity.RetryError)):
            decorated[0]()
        with pytest.raises((error, tenacity.RetryError)):
            asyncio.run(decorated[1]())
        with pytest.raises((error, tenacity.RetryError)):
            llmnet.retry_with_backoff(fail, base_delay=0.001)
    assert len(calls) == 3


def test_a_client_inside_a_decorator_is_asked_once(server):
    server.script(500, 500)
    with llmnet.Client(**at(server, retry=QUICK)) as client, no_retries(), pytest.raises(llmnet.ServerError):
        llmnet.with_retry(base_delay=0.001)(client.chat)("hi")
    assert server.request_count == 1


def test_it_holds_in_all_threads_and_ends_with_the_last_block(server):
    both, done = threading.Barrier(2), threading.Event()

    def other():
        with no_retries():
            both.wait()
            done.wait()

    with llmnet.Client(**at(server, retry=QUICK)) as client, concurrent.futures.ThreadPoolExecutor() as pool:

        def fails():
            server.script(500, "fine")
            with pytest.raises(llmnet.ServerError):
                client.chat("hi")
            assert client.chat("hi").content == "fine"

        with no_retries():
            waiting = pool.submit(other)
            both.wait()
            with pytest.raises(ZeroDivisionError), no_retries():
                raise ZeroDivisionError
            pool.submit(fails).result()
        fails()  # the other thread is still in its block
        done.set()
        waiting.result()
        server.script(500, "fine")
        assert client.chat("hi").content == "fine"


@no_retries()
def test_it_decorates_a_test(server):
    server.script(500)
    with llmnet.Client(**at(server, retry=QUICK)) as client, pytest.raises(llmnet.ServerError):
        client.chat("hi")
    assert server.request_count == 1
