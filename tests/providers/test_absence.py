"""A success without a reply is an error that quotes what came instead, in every wire form and on both fronts."""

import json

import pytest
from support.live import at_port
from support.replies import (
    DONE,
    STREAM_HEAD,
    chunk,
    chunked,
    completed,
    completion,
    events,
    form,
    message,
    output,
    peer,
    plain,
    read_json,
    response,
    started,
    stopped,
    streamed,
)

import llmnet
from llmnet.core.errors import APIStatusError, IncompleteStreamError, InvalidResponseError, LLMNetError, ServerError
from llmnet.providers.target import CHAT, MESSAGES, NATIVE, RESPONSES

WORDS = "upstream is asleep"
FAILURES = [
    {"detail": WORDS}, {"errors": [{"message": WORDS}]}, {"errorMessage": WORDS}, {"success": False, "message": WORDS},
    {"status": 503, "title": WORDS}, {"failure": {"reason": WORDS}},
]  # fmt: skip
ABSENT = [
    (CHAT, {"choices": [{}]}),
    (CHAT, {"choices": [None]}),
    (CHAT, {"choices": ["Hello"]}),
    (CHAT, {"choices": [{"message": {}}]}),
    (CHAT, {"choices": [{"message": {"role": "assistant"}}]}),
    (CHAT, {"choices": [{"message": None, "finish_reason": "stop"}]}),
    (CHAT, {"choices": [{"index": 0, "finish_reason": "stop"}]}),
    (CHAT, {"message": "Hello"}),
    (RESPONSES, {"output": [{}]}),
    (RESPONSES, {"output": [None]}),
    (RESPONSES, {"output": None}),
    (RESPONSES, {"output": []}),
    (RESPONSES, response()),
    (MESSAGES, {"content": [{}]}),
    (MESSAGES, {"content": [None]}),
    (MESSAGES, {"content": None, "stop_reason": "end_turn"}),
    (NATIVE, {"output": {}}),
    (NATIVE, {"output": {"choices": [{}]}}),
    (NATIVE, {"output": {"choices": [None]}}),
    (NATIVE, {"output": {"text": None, "finish_reason": "stop"}}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "payload"), ABSENT, ids=range(len(ABSENT)))
def test_a_complete_body_without_a_reply(name, payload):
    error = read_json(form(name), payload)
    assert type(error) is InvalidResponseError
    assert str(payload)[:60] in str(error)


@pytest.mark.parametrize("payload", FAILURES, ids=range(len(FAILURES)))
@pytest.mark.parametrize("name", [CHAT, RESPONSES, MESSAGES, NATIVE])
def test_a_failure_of_an_unknown_shape(name, payload):
    error = read_json(form(name), payload)
    assert isinstance(error, ServerError)
    assert (error.http_status, WORDS in str(error)) == (200, True)


HI = chunk({"content": "Hi"})
ROLE = chunk({"role": "assistant"})
WITHOUT_REPLY = [
    (CHAT, [DONE]),
    (CHAT, ["null", "5", '"x"', DONE]),
    (CHAT, [{"choices": []}, DONE]),
    (CHAT, [{"choices": [{}]}, DONE]),
    (CHAT, [{"choices": [None]}, DONE]),
    (CHAT, [{"choices": [{"index": 0, "finish_reason": "stop"}]}, DONE]),
    (CHAT, [ROLE, DONE]),
    (CHAT, [{"choices": [], "usage": {"prompt_tokens": 1}}, DONE]),
    (RESPONSES, [{"type": "response.completed"}]),
    (RESPONSES, [{"type": "response.completed", "response": {}}]),
    (RESPONSES, [completed()]),
    (RESPONSES, [completed({})]),
    (MESSAGES, [{"type": "message_stop"}]),
    (MESSAGES, [{"type": "ping"}, {"type": "message_stop"}]),
    (MESSAGES, [started(), {"type": "message_stop"}]),
    (NATIVE, [{"output": {"choices": [{"finish_reason": "stop"}]}}]),
    (NATIVE, [{"output": {"finish_reason": "stop"}}]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "stream_events"), WITHOUT_REPLY, ids=range(len(WITHOUT_REPLY)))
def test_a_stream_that_ends_before_any_reply(name, stream_events):
    assert type(streamed(form(name), *stream_events)) is InvalidResponseError


@pytest.mark.parametrize("payload", FAILURES, ids=range(len(FAILURES)))
@pytest.mark.parametrize(
    ("name", "before", "behind"),
    [
        (CHAT, [], [DONE]), (CHAT, [ROLE], [DONE]), (CHAT, [HI], [DONE]), (CHAT, [], []), (CHAT, [HI], []),
        (MESSAGES, [], [{"type": "message_stop"}]), (MESSAGES, [started()], []), (RESPONSES, [], []), (NATIVE, [], []),
    ],
)  # fmt: skip
def test_a_failure_of_an_unknown_shape_in_a_stream(name, before, payload, behind):
    error = streamed(form(name), *before, payload, *behind)
    assert isinstance(error, ServerError)
    assert WORDS in str(error)


def test_a_failure_that_is_no_event_at_all():
    bare = b'{"error": {"message": "upstream is asleep"}}\n'
    assert WORDS in str(streamed(form(), chunk({"role": "assistant", "content": ""}), bare, DONE))
    assert WORDS in str(streamed(form(), bare, DONE))
    assert WORDS in str(streamed(form(), WORDS))


@pytest.mark.parametrize("payload", FAILURES, ids=range(len(FAILURES)))
def test_what_looks_like_a_failure_takes_nothing_from_a_reply_that_has_finished(payload):
    assert streamed(form(), HI, payload, chunk(finish="stop"), DONE).content == "Hi"


@pytest.mark.parametrize(
    "last", ["queue position 7", b"queue position 7", b": queue position 7", b"<p>\nqueue position 7</p>\n"]
)
@pytest.mark.parametrize("before", [[], [ROLE], [HI]])
def test_the_last_event_of_a_stream_that_breaks_off(before, last):
    error = streamed(form(), *before, last)
    assert isinstance(error, IncompleteStreamError)
    assert "queue position 7" in str(error)


BROKEN = {"code": 502, "message": WORDS}
IN_A_CHOICE = [
    {"choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "error", "error": BROKEN}]},
    {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": BROKEN}]},
    {"choices": [{"index": 0, "delta": {"error": BROKEN}}]},
    {"choices": [{"index": 0, "message": {"error": BROKEN}}]},
]


@pytest.mark.parametrize("payload", IN_A_CHOICE, ids=range(len(IN_A_CHOICE)))
def test_a_failure_inside_a_choice(payload):
    """As OpenRouter sends an upstream failure."""
    mid = streamed(form(), HI, payload, DONE)
    for error in (read_json(form(), payload), streamed(form(), payload, DONE), mid):
        assert isinstance(error, ServerError)
        assert (error.status, WORDS in str(error)) == (502, True)


def test_a_hollow_failure_inside_a_choice():
    for hollow in ({}, None, "", {"code": 0, "message": "success"}):
        payload = completion({"content": "Hi", "error": hollow}, choice={"error": hollow})
        assert read_json(form(), payload).content == streamed(form(), payload, DONE).content == "Hi"


SPOKEN = [
    {"status": "error", "message": WORDS}, {"__type": "ThrottlingException", "message": WORDS}, {"err": WORDS},
    {"fault": {"faultstring": WORDS}}, f"<html>{WORDS}</html>",
]  # fmt: skip


@pytest.mark.parametrize("payload", [*FAILURES, *SPOKEN], ids=range(len(FAILURES) + len(SPOKEN)))
@pytest.mark.parametrize("end", [[DONE], [chunk(finish="stop"), DONE]])
def test_a_failure_in_a_stream_without_output(payload, end):
    error = streamed(form(), chunk({"role": "assistant", "content": ""}), payload, *end)
    assert isinstance(error, APIStatusError)
    assert WORDS in str(error)


@pytest.mark.parametrize("payload", SPOKEN, ids=range(len(SPOKEN)))
def test_a_failure_after_output_without_a_finish(payload):
    assert WORDS in str(streamed(form(), HI, payload, DONE))
    assert streamed(form(), HI, payload, chunk(finish="stop"), DONE).content == "Hi"


EMPTY = [
    (CHAT, completion({"content": ""}), [chunk({"content": ""}), DONE]),
    (CHAT, completion({"content": None}), [chunk(finish="stop"), DONE]),
    (CHAT, completion({"role": "assistant"}), [ROLE, chunk(finish="stop"), DONE]),
    (RESPONSES, response({"type": "message", "content": []}), [completed({"type": "message", "content": []})]),
    (RESPONSES, response(usage={"input_tokens": 1, "output_tokens": 0}), [completed(usage={"input_tokens": 1, "output_tokens": 0})]),
    (RESPONSES, response(status="incomplete"), [{"type": "response.incomplete", "response": response(status="incomplete")}]),
    (MESSAGES, message(), [started(), *stopped()]),
    (NATIVE, output({"content": ""}), [output({"content": ""})]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "payload", "stream_events"), EMPTY, ids=range(len(EMPTY)))
def test_a_reply_with_an_empty_field_is_empty(name, payload, stream_events):
    assert read_json(form(name), payload).content == streamed(form(name), *stream_events).content == ""


def test_lists_that_are_none():
    for payload in ({"object": "list"}, {"data": {}}, {"data": [{}]}, {"detail": WORDS}, None):
        with pytest.raises(InvalidResponseError):
            form().parse_models(payload)
    for payload in ({"data": None}, {"data": []}, {"data": [None]}, {"detail": WORDS}):
        with pytest.raises(InvalidResponseError):
            form().parse_embeddings(payload, 1)


@pytest.mark.parametrize("name", [CHAT, RESPONSES, MESSAGES, NATIVE])
@pytest.mark.parametrize("stream", [False, True])
def test_on_both_fronts(front, name, stream):
    payload, end = {"detail": WORDS}, {MESSAGES: {"type": "message_stop"}, CHAT: DONE}.get(name)
    reply = plain(json.dumps(payload).encode())
    if stream:
        reply = STREAM_HEAD + chunked(events(payload, *([end] if end else ()))) + b"0\r\n\r\n"
    fields = {**at_port(0), "api": name, "max_retries": 0, "timeout": 20}
    with (
        peer(lambda connection: connection.sendall(reply)) as port,
        front.client(**_at(port, fields)) as client,
        pytest.raises(LLMNetError, match=WORDS) as caught,
    ):
        list(client.stream_chat("hi")) if stream else client.chat("hi")
    assert isinstance(caught.value, llmnet.ServerError)


def _at(port, fields):
    return {**fields, "base_url": f"http://127.0.0.1:{port}/v1"}


def test_a_failure_inside_a_choice_on_both_fronts(front):
    stream_events = STREAM_HEAD + chunked(events(HI, IN_A_CHOICE[1], DONE)) + b"0\r\n\r\n"
    with (
        peer(lambda connection: connection.sendall(stream_events)) as port,
        front.client(**_at(port, {**at_port(0), "max_retries": 0, "timeout": 20})) as client,
        pytest.raises(llmnet.ServerError, match=WORDS) as caught,
    ):
        list(client.stream_chat("hi"))
    assert (caught.value.partial.content, caught.value.status, caught.value.http_status) == ("Hi", 502, 200)
