"""The acceptance test of the architecture: one script of faults, two fronts, equal decisions, waits, hits and errors."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fronts import run_async, run_sync
from support.live import ENGINE, at
from support.scripted import SCRIPTED, THROTTLE
from support.wire_forms import FORMS

import llmnet
from llmnet.testing import Reply, fault

TOOLS = [
    {"id": "call_1", "name": "look", "arguments": '{"at": "the sky"}'},
    {"id": "call_2", "name": "hear", "arguments": "{}"},
]

# name: (replies, options of the client, options of the call)
SCENARIOS = {
    "ok": ([], {}, {}),
    "tools": ([Reply(text="", tool_calls=TOOLS)], {}, {}),
    "reasoning": ([Reply(text="Yes.", reasoning="Let me think")], {}, {}),
    "refusal": ([Reply(text="", refusal="I will not")], {}, {}),
    "length": ([Reply(text="Half", finish="length")], {}, {}),
    "filtered": ([Reply(text="", finish="content_filter")], {}, {}),
    "500 then ok": ([500], {}, {}),
    "502, 503, 504 then ok": ([502, 503, 504], {}, {}),
    "500 for ever": ([500] * 9, {}, {}),
    "sixty failures": ([500] * 60, {"retry": llmnet.RetryPolicy(max_retries=60, budget=None)}, {}),
    "no retries": ([500], {"max_retries": 0}, {}),
    "429 with a date": ([Reply(status=429, headers={"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"})], {}, {}),
    "429 with seconds": ([THROTTLE], {}, {}),
    "429 with ms": ([Reply(status=429, headers={"retry-after-ms": "1500"})], {}, {}),
    "429 without a hint": ([429, 429], {}, {}),
    "429 beyond the cap": ([Reply(status=429, headers={"retry-after": "86400"})], {}, {}),
    "429 for ever": ([THROTTLE] * 40, {}, {}),
    "429 made ordinary": ([THROTTLE] * 5, {"retry": llmnet.RetryPolicy(max_throttle_wait=0)}, {}),
    "429 without retries": ([THROTTLE], {"max_retries": 0}, {}),
    "429 beyond total": ([THROTTLE], {"timeout": 5}, {}),
    "529": ([529], {}, {}),
    "503 with Retry-After": ([Reply(status=503, headers={"retry-after": "3"})] * 5, {}, {}),
    "quota": (
        [Reply(status=429, error={"code": "insufficient_quota", "type": "insufficient_quota", "message": "money"})],
        {},
        {},
    ),
    "400": ([400], {}, {}),
    "400 that asks for it": ([Reply(status=400, headers={"x-should-retry": "true"})], {}, {}),
    "500 that forbids it": ([Reply(status=500, headers={"x-should-retry": "false"})], {}, {}),
    "401": ([401], {}, {}),
    "403": ([403], {}, {}),
    "404": ([404], {}, {}),
    "409": ([409], {}, {}),
    "413": ([413], {}, {}),
    "422": ([422], {}, {}),
    "408": ([408], {}, {}),
    "redirect": ([Reply(status=307, headers={"location": "http://127.0.0.1:9/"}, body="")], {}, {}),
    "999": ([Reply(status=599, body="?")] * 2, {}, {}),
    "html error": (
        [Reply(status=502, headers={"content-type": "text/html"}, body="<html>Bad gateway</html>")] * 9,
        {},
        {},
    ),
    "empty error": ([Reply(status=500, body=b"")] * 9, {}, {}),
    "html success": ([Reply(headers={"content-type": "text/html"}, body="<html>Log in</html>")], {}, {}),
    "empty success": ([Reply(body=b"", headers={"content-type": "application/json"})] * 9, {}, {}),
    "broken JSON": ([Reply(body=b'{"choices": [', headers={"content-type": "application/json"})], {}, {}),
    "error inside a success": ([Reply(error={"code": "rate_limit_exceeded", "message": "slow"})], {}, {}),
    "gone before a byte": ([Reply(drop=True)], {}, {}),
    "gone for ever": ([Reply(drop=True)] * 9, {}, {}),
    "cut": ([Reply(text="This is a longer text that is cut", cut=60)] * 9, {"max_retries": 1}, {}),
    "truncated": ([Reply(text="This is a longer text", truncate=True)] * 9, {"max_retries": 1}, {}),
    "error event first": (
        [
            Reply(
                error_event={"type": "overloaded_error", "code": "server_is_overloaded", "message": "busy"},
                error_event_at=0,
            )
        ],
        {},
        {},
    ),
    "error event": (
        [
            Reply(
                text="one two three four",
                error_event={"type": "server_error", "code": "server_error", "message": "gone"},
            )
        ],
        {},
        {},
    ),
    "split at every byte": ([Reply(text="Grüße, 世界 🌍!", split=1)], {}, {}),
    "gzip": ([Reply(text="compressed text", gzip=True)], {}, {}),
    "close": ([Reply(text="close", close=True)], {}, {}),
    "unknown coding": (
        [Reply(body=b"xxxx", headers={"content-encoding": "br", "content-type": "application/json"})],
        {},
        {},
    ),
    "the extra header": ([], {"headers": {"x-mine": "1"}}, {"extra_headers": {"x-mine": "2"}}),
    "params": ([], {}, {"temperature": 0.5, "max_tokens": 7}),
}


def both(server, script, options, call, *, form, stream):
    fields = at(server, form, **options)
    traces = []
    for run in (run_sync, run_async):
        server.reset()
        server.script(*script)
        traces.append(run(server, fields, stream=stream, **call))
    return traces


@pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_both_fronts_do_the_same(server, name, form, stream):
    script, options, call = SCENARIOS[name]
    sync, awaited = both(server, script, options, call, form=form, stream=stream)
    assert sync == awaited
    assert sync.hits == sum(sent for _, _, _, sent, _ in sync.attempts) == sync.counted


# Faults in which a bound has to expire take real time: tests/client/test_bounds.py has them. One that comes before the request
# may be met while the client connects, sends or reads.


# h11, in httpx's own engine, takes a length beside chunks: a row of tests/matrix/rows_pool.py.
SAME = [reply for reply in SCRIPTED if ENGINE == "fast" or reply != fault("both-lengths")]


@pytest.mark.parametrize("examples", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_both_fronts_do_the_same_whatever_happens(server, examples):
    @settings(max_examples=examples)
    @given(
        script=st.lists(st.sampled_from(SAME), max_size=7),
        form=st.sampled_from(sorted(FORMS)),
        stream=st.booleans(),
        retries=st.integers(0, 4),
        total=st.sampled_from([3.0, 30.0, 600.0]),
    )
    def law(script, form, stream, retries, total):
        options = {"max_retries": retries, "timeout": llmnet.Timeout(total=total)}
        sync, awaited = both(server, script, options, {}, form=form, stream=stream)
        assert sync == awaited

    law()


def test_a_trace_can_differ(server):
    """The comparison itself is no formality."""
    first, _ = both(server, [500], {}, {}, form="chat-completions", stream=False)
    second, _ = both(server, [502], {}, {}, form="chat-completions", stream=False)
    assert first != second
