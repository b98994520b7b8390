"""The error that an event carries says of its attempt what the caller would be told, had the call ended there."""

import time

import pytest
from support.fronts import FACTS
from support.live import at, eventually

import llmnet
from llmnet.testing import Reply, fault

QUICK = llmnet.RetryPolicy(max_retries=1, base_delay=0.001, max_delay=0.002)
FAILURES = {
    "500": Reply(status=500),
    "429": Reply(status=429, headers={"retry-after": "500"}),
    "401": Reply(status=401),
    "refused path": Reply(status=404, headers={"content-type": "text/html"}, body="<html>no such page</html>"),
    "silent": fault("silent"),
    "short body": fault("short-body"),
    "html": fault("html-in-200"),
}


class Told:
    """A hook that keeps what each event said at its time."""

    def __init__(self):
        self.events, self.then = [], []

    def __call__(self, event):
        time.sleep(0.001)  # so that a clock of any system shows that time has passed
        self.events.append(event)
        self.then.append(event.to_dict())

    def of(self, kind):
        return [(event, then) for event, then in zip(self.events, self.then, strict=True) if isinstance(event, kind)]


def failure(front, server, told, **fields):
    timeout = llmnet.Timeout(response=0.1)
    with front.client(**at(server, **{"on_event": told, "timeout": timeout, "retry": QUICK, **fields})) as client:
        with pytest.raises(llmnet.LLMNetError) as caught:
            client.chat("Hi")
        return caught.value


def unlike(said):
    """What two errors of one kind may have different: when each was."""
    return {name: fact for name, fact in said.items() if name not in ("elapsed", "request_id", "attempts")}


@pytest.mark.parametrize("name", FAILURES)
def test_the_error_of_each_attempt_is_complete(front, server, name):
    server.handler = lambda request: FAILURES[name]
    told = Told()
    raised = failure(front, server, told)
    ((finished, end),) = told.of(llmnet.CallFinished)
    failed = told.of(llmnet.AttemptFailed)
    assert finished.error is raised
    for number, (event, then) in enumerate(failed, 1):
        assert unlike(then["error"]) == unlike(end["error"])
        assert len(then["error"]["attempts"]) == number
        assert 0 < then["error"]["elapsed"] <= then["at"]
        assert event.error.retryable or not event.retried
        assert event.error.repeated
        # Kept, an error says the same later, unless it has become the one that was raised.
        assert event.error is raised or event.error.to_dict() == then["error"]
    *_, (_, last) = failed
    assert (last["error"]["provider"], last["error"]["host"]) == (raised.provider, raised.host)
    said = {fact: getattr(raised, fact) for fact in FACTS if hasattr(raised, fact)}
    assert {fact: last["error"][fact] for fact in said} == said


def test_what_the_first_attempt_may_have_cost_is_said_of_the_second(front, server):
    server.script(fault("silent"), Reply(status=500))
    told = Told()
    raised = failure(front, server, told)
    assert [then["error"]["maybe_billed"] for _, then in told.of(llmnet.AttemptFailed)] == [True, True]
    assert raised.maybe_billed


def test_a_total_bound(front, server):
    server.script(Reply(silent=True))
    told = Told()
    raised = failure(front, server, told, timeout=llmnet.Timeout(total=0.1))
    ((_, then),) = told.of(llmnet.AttemptFailed)
    facts = then["error"]["phase"], then["error"]["retryable"], then["error"]["maybe_billed"]
    assert facts == (raised.phase, raised.retryable, raised.maybe_billed) == ("total", False, True)


def test_a_throttle_that_is_waited_out(front, server):
    server.script(Reply(status=429), "fine")
    told = Told()
    with front.client(**at(server, on_event=told, retry=QUICK)) as client:
        assert client.chat("Hi").content == "fine"
    ((event, then),) = told.of(llmnet.Throttled)
    assert (then["retried"], then["error"]["retryable"], then["error"]["host"]) == (True, True, event.host)
    assert len(event.error.meta.attempts) == 1
    assert event.error.meta.status == event.error.status == 429


def test_a_stream_that_is_cut_shows_what_had_arrived(front, server):
    server.script(fault("stream-reset"))
    told = Told()
    with front.client(**at(server, on_event=told)) as client, pytest.raises(llmnet.IncompleteStreamError) as caught:
        list(client.stream_chat("Hi"))
    ((_, then),) = told.of(llmnet.AttemptFailed)
    assert then["error"]["partial"]["content"] == caught.value.partial.content == "one"


def test_what_had_arrived_by_an_attempt_goes_as_far_as_that_attempt(front, server):
    server.script(Reply(text="one two three", cut=300, reset=True), Reply(status=500))  # behind the role, before a word
    told = Told()
    with front.client(**at(server, on_event=told, retry=QUICK)) as client, pytest.raises(llmnet.LLMNetError):
        list(client.stream_chat("Hi"))
    (event, _), _ = told.of(llmnet.AttemptFailed)
    assert len(event.error.partial.meta.attempts) == 1


def test_a_call_that_is_cancelled_while_nobody_reads(front, server):
    server.script(Reply(text="one two three", pace=0.01))
    told = Told()
    with front.client(**at(server, on_event=told)) as client:
        stream = client.stream_chat("Hi")
        next(stream)
        stream.cancel()
        stream.close()
        eventually(lambda: told.of(llmnet.CallFinished))
    ((finished, end),) = told.of(llmnet.CallFinished)
    assert (finished.outcome, end["error"]["class"]) == ("cancelled", "StreamCancelledError")
    assert (end["error"]["host"], end["error"]["maybe_billed"]) == (finished.host, True)
    assert [then["error"]["host"] for _, then in told.of(llmnet.AttemptFailed)] == [finished.host]
