"""What belongs to one attempt alone: the key that it is given, and what its reply has said."""

import httpx
import pytest
import requests
from support.live import at, slots

import llmnet
from llmnet.testing import Reply, fault

pytestmark = pytest.mark.threads

QUICK = llmnet.RetryPolicy(base_delay=0.001)
FAMILIAR = [OSError("vault"), TimeoutError("vault"), requests.ConnectionError("vault"), httpx.ReadError("vault")]


@pytest.mark.parametrize("error", FAMILIAR, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("failures", [0, 1], ids=["at once", "after a failure"])
def test_what_a_key_function_raises_passes_as_it_is(server, front, error, failures):
    """It looks like an error of the network and is none: nothing is sent again for it."""
    asked = []

    def key():
        asked.append(1)
        if len(asked) > failures:
            raise error
        return "sk-1"

    server.script(*[500] * failures)
    with front.client(**at(server, api_key=key, retry=QUICK, max_concurrent=1)) as client:
        with pytest.raises(type(error)) as caught:
            client.chat("hi")
        assert (type(caught.value), caught.value.args) == (type(error), ("vault",))
        assert (len(asked), server.request_count, slots(client)) == (failures + 1, failures, 0)


@pytest.mark.parametrize("last", [fault("eof-before-head"), fault("reset-before-head")], ids=["EOF", "RST"])
def test_an_attempt_without_a_head_has_none_of_the_attempt_before(server, front, last):
    server.script(Reply(status=500, headers={"x-request-id": "req_1"}, close=True), last)
    with (
        front.client(**at(server, retry=QUICK, max_retries=1)) as client,
        pytest.raises(llmnet.APIConnectionError) as caught,
    ):
        client.chat("hi")
    meta = caught.value.meta
    assert [attempt.status for attempt in meta.attempts] == [500, None]
    assert (meta.status, meta.request_id, len(meta.headers)) == (None, None, 0)
