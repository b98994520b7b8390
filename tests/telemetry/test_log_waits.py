"""A call that waits for a retry or for a throttle says so at INFO, a crowd of them in a few lines; records have fields."""

import io
import json
import logging
import threading
import uuid

import pytest
from support.events_heard import QUICK
from support.live import PROMPT, Work, at, eventually

import llmnet
from llmnet.core.events import CallQueued, Held
from llmnet.core.logger import LOG, log_failure
from llmnet.telemetry import log
from llmnet.telemetry.log import fields
from llmnet.testing import Reply, fault

KEY = "sk-planted/Key+0123456789"


@pytest.fixture
def model():
    """A model of this test alone: how many of its waits are written is counted for the whole process."""
    return f"m-{uuid.uuid4().hex}"


def waits(caplog, model):
    return [r for r in caplog.records if f":{model} " in r.getMessage() and hasattr(r, "llmnet.wait")]


# -- the line ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["chat", "stream"])
def test_a_retry_and_a_throttle_say_in_what_time_and_why(front, server, caplog, model, way):
    caplog.set_level(logging.INFO, logger="llmnet")
    server.script(Reply(status=503, body="busy"), Reply(status=429, headers={"retry-after-ms": "70"}))
    with front.client(**at(server, model=model, retry=llmnet.RetryPolicy(max_retries=2, base_delay=0.01))) as client:
        client.chat("hi") if way == "chat" else list(client.stream_chat("hi"))
    first, second = waits(caplog, model)
    assert f"fake:{model} at 127.0.0.1:{server.port} again in " in first.getMessage()
    assert " attempt=2 of=3 " in first.getMessage()
    assert " s: attempt=3 of=4 " in second.getMessage()  # a throttle uses up no retry
    assert second.getMessage().endswith(" reason=throttled")
    assert (first.levelname, first.name) == ("INFO", "llmnet")
    assert vars(second)["llmnet.wait"] >= 0.07


def test_a_replay_at_once_and_a_call_that_ends_say_nothing_of_a_wait(front, server, caplog, model):
    caplog.set_level(logging.INFO, logger="llmnet")
    server.script(400)
    with front.client(**at(server, model=model)) as client, pytest.raises(llmnet.BadRequestError):
        client.chat("hi")
    assert waits(caplog, model) == []


def test_a_call_that_another_ones_throttle_holds_says_so(front, server, caplog, model):
    caplog.set_level(logging.INFO, logger="llmnet")
    server.script(Reply(status=429, headers={"retry-after-ms": "400"}))
    with front.client(**at(server, model=model, max_concurrent=2)) as client:
        first = Work(client.chat, "hi")
        eventually(lambda: waits(caplog, model))
        client.chat("there")
        first.result()
    own, held = waits(caplog, model)
    assert " again in " in own.getMessage()
    assert " held for 0." in held.getMessage()
    assert "cause='429 rate_limit_exceeded'" in held.getMessage()
    assert vars(held)["llmnet.call"] != vars(own)["llmnet.call"]


def test_a_hook_hears_of_no_event_that_is_for_the_log_alone(front, server, caplog, model):
    caplog.set_level(logging.INFO, logger="llmnet")
    heard = []
    server.script(Reply(status=429, headers={"retry-after-ms": "400"}))
    with front.client(**at(server, model=model, on_event=heard.append)) as client:
        first = Work(client.chat, "hi")
        eventually(lambda: waits(caplog, model))
        client.chat("there")
        first.result()
    assert len(waits(caplog, model)) == 2
    assert not [event for event in heard if isinstance(event, Held)]
    assert [event.left for event in heard if isinstance(event, llmnet.Throttled)] == [3]


# -- a crowd -----------------------------------------------------------------------------------------------------------


def test_of_a_crowd_a_few_lines_are_written_and_the_next_one_counts_the_others():
    waiting, lane = log._Waits(), ("p", "h", "m")  # private: time passes as the test says
    said = [waiting.left_out(lane, 100.0 + n / 100) for n in range(500)]
    assert said == [0] * 10 + [None] * 490
    assert waiting.left_out(("p", "h", "n"), 105.0) == 0
    assert waiting.left_out(lane, 110.5) == 490
    assert [waiting.left_out(lane, 110.6) for _ in range(10)] == [0] * 9 + [None]
    assert waiting.left_out(lane, 500.0) == 1
    assert waiting.left_out(lane, 999.0) == 0


def test_what_is_counted_is_bounded_however_many_models_are_named():
    waiting = log._Waits()  # private: as above
    for n in range(5000):
        waiting.left_out(("p", "h", f"m{n}"), 1.0)
    assert len(waiting._lanes) <= waiting.LANES  # private: nothing else tells


def test_threads_count_together():
    waiting, lane, said = log._Waits(), ("p", "h", "m"), []  # private: as above
    threads = [threading.Thread(target=lambda: said.append(waiting.left_out(lane, 1.0))) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PROMPT)
    assert sorted(said, key=str) == [0] * 10 + [None] * 30


def test_a_crowd_of_calls_over_real_sockets(front, server, caplog, model):
    caplog.set_level(logging.INFO, logger="llmnet")
    server.script(*[fault("429-zero")] * 30)
    rows = ["hi"] * 30
    policy = llmnet.RetryPolicy(base_delay=0.001, max_delay=0.002)
    with front.client(**at(server, model=model, retry=policy, max_concurrent=30)) as client:
        assert all(result.ok for result in client.batch(rows))
    assert 0 < len(waits(caplog, model)) <= log._Waits.MOST  # private: the figure


# -- fields ------------------------------------------------------------------------------------------------------------


class Json(logging.Formatter):
    """As formatters of JSON do: what a record has beyond the usual is written."""

    usual = set(vars(logging.makeLogRecord({})))

    def format(self, record):
        more = {name: value for name, value in vars(record).items() if name not in self.usual}
        return json.dumps({"message": record.getMessage(), **more})


@pytest.fixture
def written(caplog):
    caplog.set_level(logging.DEBUG, logger="llmnet")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(Json())
    LOG.addHandler(handler)
    yield lambda: [json.loads(line) for line in handler.stream.getvalue().splitlines()]
    LOG.removeHandler(handler)


def test_records_have_what_the_line_says_as_values(front, server, written, model):
    server.script(500, "one two three")
    with front.client(**at(server, model=model, retry=QUICK)) as client:
        reply = client.chat("hi")
    attempt, wait, success, call = [one for one in written() if one.get("gen_ai.request.model") == model]
    for one in (attempt, wait, success, call):
        assert one["gen_ai.provider.name"] == "fake"
        assert (one["server.address"], one["server.port"]) == ("127.0.0.1", server.port)
        assert one["llmnet.stream"] is False
        assert one["llmnet.call"] == call["llmnet.call"]
    assert attempt["http.response.status_code"] == 500
    assert attempt["error.type"] == wait["error.type"] == "llmnet.ServerError"
    assert (wait["llmnet.attempt"], wait["llmnet.max_attempts"], wait["llmnet.reason"]) == (2, 3, "transient")
    assert wait["llmnet.wait"] == attempt["llmnet.wait"] == reply.meta.attempts[0].wait
    assert call["llmnet.outcome"] == "ok"
    assert call["gen_ai.usage.input_tokens"] == reply.usage.input_tokens
    assert call["gen_ai.usage.output_tokens"] == reply.usage.output_tokens
    assert call["llmnet.request_id"] == reply.meta.request_id
    assert call["llmnet.elapsed"] == reply.meta.elapsed
    assert (call["http.response.status_code"], call["llmnet.attempts"]) == (200, 2)
    assert "error.type" not in call


def test_no_field_shows_a_secret_or_a_prompt(front, server, written):
    server.script(
        Reply(status=400, error={"code": KEY, "message": f"you sent {KEY}"}, headers={"x-request-id": KEY}),
    )
    with front.client(**at(server, api_key=KEY)) as client, pytest.raises(llmnet.BadRequestError):
        client.chat("a prompt")
    assert written()
    text = json.dumps(written())
    assert KEY not in text
    assert "a prompt" not in text


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("h.example.com", ("h.example.com", None)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", None)),
    ],
)
def test_host_and_port_are_two_fields(host, expected):
    told = fields(CallQueued(1, "p", host, "", False, 0.0), {})
    assert (told["server.address"], told.get("server.port")) == expected
    assert "gen_ai.request.model" not in told


def test_a_field_is_bounded():
    told = fields(CallQueued(1, "p", "h", "m" * 100_000, False, 0.0), {"request_id": "r" * 100_000})
    assert len(told["gen_ai.request.model"]) < 2000
    assert len(told["llmnet.request_id"]) < 2000


def test_lines_of_with_retry_and_of_failed_hooks_have_fields_too(written):
    @llmnet.with_retry(max_attempts=2, base_delay=0.001)
    def flaky(left=[1]):
        if left.pop():
            left.append(0)
            raise ConnectionError

    flaky()
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        log_failure("it failed", error)
    retry, failed = written()
    assert (retry["llmnet.attempt"], retry["llmnet.max_attempts"], retry["error.type"]) == (1, 2, "ConnectionError")
    assert failed["error.type"] == "ZeroDivisionError"
    assert failed["code.file.path"] == __file__


# -- nothing where nobody listens --------------------------------------------------------------------------------------


def test_no_event_is_made_where_info_is_off(front, server, monkeypatch, caplog, model):
    caplog.set_level(logging.WARNING, logger="llmnet")
    monkeypatch.setattr("llmnet.core.record.CallQueued", None)  # who made one would fail
    monkeypatch.setattr("llmnet.core.record.AttemptFailed", None)
    monkeypatch.setattr("llmnet.core.record.AttemptStarted", None)
    monkeypatch.setattr("llmnet.core.record.Held", None)
    server.script(500)
    with front.client(**at(server, model=model, retry=QUICK)) as client:
        client.chat("hi")
    assert caplog.records == []
