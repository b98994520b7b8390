"""`output_type` on both fronts and in every wire form: the value, and what is said of a reply that has none."""

import copy
import dataclasses
import json
import pickle
from typing import Literal, TypedDict

import msgspec
import pydantic
import pytest
from support.live import at, content
from support.wire_forms import FORMS

import llmnet
from llmnet.testing import Reply


class City(msgspec.Struct):
    name: str
    people: int


@dataclasses.dataclass
class Town:
    name: str
    people: int


class Place(TypedDict):
    name: str
    people: int


class Model(pydantic.BaseModel):
    name: str
    people: int


VALUES = [
    (City, City("Rome 7", 7)),
    (Town, Town("Rome 7", 7)),
    (Place, {"name": "Rome 7", "people": 7}),
    (Model, Model(name="Rome 7", people=7)),
]
OLDER = "claude-3-5-sonnet-latest"  # asked by a tool
# What a client needs to ask in each of the ways; all of them are spoken by the fake server.
WAYS = [
    *[{"form": form} for form in FORMS],
    {"form": "messages", "model": OLDER},
    {"form": "chat-completions", "provider": "deepseek", "api": None},
    *[{"form": form, "provider": "dashscope", "api": api} for form, api in (
        ("chat-completions", "compatible"), ("native", "native"), ("responses", "responses"), ("messages", "anthropic"),
    )],
]  # fmt: skip


def fields_of(server, way):
    way = dict(way)
    return at(server, way.pop("form")) | way


def named(way):
    return "-".join(str(value) for value in way.values() if value)


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_reply_has_the_value_of_the_type(server, front, way):
    with front.client(**fields_of(server, way)) as client:
        for kind, value in VALUES:
            reply = client.chat("Rome 7", output_type=kind)
            assert reply.parsed == value
            assert type(reply.parsed) is type(value)
            assert json.loads(reply.content) == {"name": "Rome 7", "people": 7}
            assert reply.finish_reason == "stop"
            assert reply.tool_calls == []
            assert reply.meta.status == 200


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_stream_has_it_at_its_end(server, front, way):
    with front.client(**fields_of(server, way)) as client:
        stream = client.stream_chat("Rome 7", output_type=City)
        text = content(stream)
        assert stream.response.parsed == City("Rome 7", 7)
        assert stream.response.content == text
        assert stream.partial.parsed == City("Rome 7", 7)


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_the_reply_can_be_sent_back(server, front, way):
    """That it came as a tool call shows nowhere: a call without its result would be refused."""
    with front.client(**fields_of(server, way)) as client:
        message = client.chat("Rome 7", output_type=City).message
        client.chat([{"role": "user", "content": "Rome 7"}, message, {"role": "user", "content": "Why?"}])
    assert "tool_use" not in server.requests[-1].body.decode()


@pytest.mark.parametrize("form", FORMS)
def test_without_it_there_is_none(server, front, form):
    with front.client(**at(server, form)) as client:
        assert client.chat("Rome").parsed is None
        assert client.chat("Rome", output_type=None).parsed is None
        first, second = (request.body for request in server.requests)
        assert first == second


def test_with_callbacks(server, front):
    replies = []
    with front.client(**at(server)) as client:
        callbacks = llmnet.StreamCallbacks(on_complete=replies.append)
        reply = client.chat("Rome 7", output_type=City, callbacks=callbacks)
    assert [one.parsed for one in replies] == [reply.parsed] == [City("Rome 7", 7)]


# (what the model says, the reason, what the message says)
FAILURES = {
    "refused": (Reply(refusal="I cannot help with that"), "refusal", "refused to give a City: I cannot help"),
    "filtered": (
        Reply(text='{"name": "R"', finish="content_filter"),
        "refusal",
        "refused to give a City (content_filter)",
    ),
    "cut": (Reply(text='{"name": "R', finish="length"), "length", "cut off after 11 characters of a City"),
    "cut behind": (Reply(text='{"name": "R", "people": 3}', finish="length"), "length", "cut off"),
    "no JSON": (Reply(text="Sure! Here it is"), "mismatch", "is no City: "),
    "empty": (Reply(text=" "), "mismatch", "is no City: "),
    "another field": (Reply(text='{"name": "R"}'), "mismatch", "missing required field `people`"),
    "another type": (Reply(text='{"name": "R", "people": "x"}'), "mismatch", "at `$.people`"),
}


# How the forms of Anthropic and DashScope refuse, stands below.
CASES = [
    (form, name)
    for form in FORMS
    for name in FAILURES
    if form not in ("messages", "native") or name not in ("refused", "filtered")
]


def check(server, error, reason, said):
    assert type(error) is llmnet.OutputError
    assert isinstance(error, llmnet.InvalidResponseError)
    assert error.reason == reason
    assert said in str(error)
    assert not error.retryable
    assert error.maybe_billed
    assert (error.provider, error.meta.status, len(error.meta.attempts)) == ("fake", 200, 1)
    assert len(server.requests) == 1  # never retried
    assert error.partial.meta is error.meta
    assert (error.to_dict()["class"], error.to_dict()["reason"]) == ("OutputError", reason)
    again = pickle.loads(pickle.dumps(error))
    assert (again.reason, again.partial.content, str(again)) == (reason, error.partial.content, str(error))


@pytest.mark.parametrize(("form", "name"), CASES)
def test_a_reply_without_the_value_is_an_error(server, front, form, name):
    reply, reason, said = FAILURES[name]
    server.script(reply)
    with front.client(**at(server, form)) as client, pytest.raises(llmnet.OutputError) as caught:
        client.chat("Rome", output_type=City)
    check(server, caught.value, reason, said)
    assert caught.value.partial.raw  # the whole reply
    assert caught.value.partial.content == (reply.text or "")


@pytest.mark.parametrize(("form", "name"), CASES)
def test_a_stream_tells_of_it_behind_its_chunks(server, front, form, name):
    reply, reason, said = FAILURES[name]
    server.script(reply)
    with front.client(**at(server, form)) as client:
        stream = client.stream_chat("Rome", output_type=City)
        with pytest.raises(llmnet.OutputError) as caught:
            list(stream)
        with pytest.raises(llmnet.StreamError):
            _ = stream.response
        assert stream.partial.content == caught.value.partial.content
    check(server, caught.value, reason, said)


def test_the_chunks_come_before_the_error(server, front):
    server.script(Reply(text="Sure! Here it is"))
    seen = []
    with front.client(**at(server)) as client, pytest.raises(llmnet.OutputError) as caught:
        seen.extend(client.stream_chat("Rome", output_type=City))
    assert content(seen) == "Sure! Here it is" == caught.value.partial.content


def test_the_words_of_anthropic_for_a_refusal(server, front):
    server.script(Reply(text="I would", finish="refusal"), Reply(text="I would", finish="refusal"))
    with front.client(**at(server, "messages")) as client:
        for ask in (client.chat, lambda *args, **more: list(client.stream_chat(*args, **more))):
            with pytest.raises(llmnet.OutputError, match=r"refused to give a City \(refusal\)") as caught:
                ask("Rome", output_type=City)
            assert (caught.value.reason, caught.value.partial.content) == ("refusal", "I would")


def test_the_callback_hears_of_it(server, front):
    server.script(Reply(text="no"))
    errors = []
    callbacks = llmnet.StreamCallbacks(on_error=errors.append)
    with front.client(**at(server)) as client, pytest.raises(llmnet.OutputError) as caught:
        client.chat("Rome", output_type=City, callbacks=callbacks)
    assert errors == [caught.value]


def test_a_mismatch_is_an_error_in_the_counts_too(server, front):
    server.script(Reply(text="no"))
    ended = []
    with front.client(**at(server), on_event=ended.append) as client, pytest.raises(llmnet.OutputError):
        client.chat("Rome", output_type=City)
    (finished,) = [event for event in ended if isinstance(event, llmnet.CallFinished)]
    assert finished.outcome == "error"
    assert [attempt.cause for attempt in finished.meta.attempts] == ["OutputError"]


def test_no_secret_stands_in_the_message(server, front):
    key = "sk-0123456789abcdef0123456789"
    server.script(Reply(text=json.dumps({"name": "R", "people": 1, "level": key})))
    kind = msgspec.defstruct("Kind", [("level", Literal["low"])])
    with front.client(**at(server, api_key=key)) as client, pytest.raises(llmnet.OutputError) as caught:
        client.chat("Rome", output_type=kind)
    assert "$.level" in str(caught.value)
    assert key not in str(caught.value)
    assert key not in repr(caught.value.__context__)


LONG_WORDS = {
    "a refusal": Reply(refusal="I cannot \x1b[31m\nhelp" + " no" * 30_000),
    "a field": Reply(text=json.dumps({"\x1b[31m\nno" * 20_000: 1})),
}


@pytest.mark.parametrize("name", LONG_WORDS)
@pytest.mark.parametrize("kind", [
    msgspec.defstruct("Closed", [("name", str, "")], forbid_unknown_fields=True),
    pydantic.create_model("Closed", __config__={"extra": "forbid"}, name=(str, "")),
])  # fmt: skip
def test_the_words_of_a_model_stand_in_the_message_as_a_short_line(server, front, kind, name):
    server.script(LONG_WORDS[name])
    with front.client(**at(server)) as client, pytest.raises(llmnet.OutputError) as caught:
        client.chat("Rome", output_type=kind)
    assert len(str(caught.value)) < 1500
    assert "\\x1b[31m" in str(caught.value)
    assert str(caught.value).isprintable()


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_a_reply_that_calls_tools_has_no_value_and_raises_only_when_asked(server, front, way):
    call = Reply(tool_calls=[{"id": "call_1", "name": "weather", "arguments": "{}"}])
    server.script(call, call)
    with front.client(**fields_of(server, way)) as client:
        reply = client.chat("Rome", tools=[WEATHER], output_type=City)
        stream = client.stream_chat("Rome", tools=[WEATHER], output_type=City)
        assert content(stream) == ""
    for one in (reply, stream.response, copy.copy(reply), pickle.loads(pickle.dumps(reply))):
        assert [call.name for call in one.tool_calls] == ["weather"]
        assert one.finish_reason == "tool_calls"
        with pytest.raises(llmnet.OutputError, match="no City: it calls tools") as caught:
            _ = one.parsed
        assert caught.value.reason == "mismatch"
        assert caught.value.partial is one
    assert (reply == copy.copy(reply), "weather" in repr(reply)) == (True, True)


def test_the_answer_beside_calls_is_no_call(server, front):
    """Models before structured output may call the caller's tools and give their answer at once."""
    answer = {"id": "t2", "name": "llmnet_answer", "arguments": '{"name": "R", "people": 1}'}
    server.script(Reply(tool_calls=[{"id": "t1", "name": "weather", "arguments": "{}"}, answer]))
    with front.client(**at(server, "messages", model=OLDER)) as client:
        reply = client.chat("Rome", tools=[WEATHER], output_type=City)
    assert [call.name for call in reply.tool_calls] == ["weather"]
    assert reply.finish_reason == "tool_calls"


def test_a_tool_of_the_callers_is_a_tool_whatever_is_like_its_name(server, front):
    server.script(Reply(tool_calls=[{"id": "t1", "name": "structured_output", "arguments": "{}"}]))
    with front.client(**at(server, "messages")) as client:
        assert [call.name for call in client.chat("Rome").tool_calls] == ["structured_output"]


WRONG = [
    ({"output_type": int}, "a pydantic model, a dataclass, a TypedDict or a msgspec.Struct, not int"),
    ({"output_type": list[City]}, "not list["),
    ({"output_type": City("Rome", 1)}, "a value of the type City"),
    ({"output_type": msgspec.defstruct("Odd", [("field", complex)])}, "Odd has no JSON schema"),
    ({"output_type": City, "response_format": {"type": "json_object"}}, "output_type and response_format both say"),
    ({"output_type": City, "output_config": {"format": {}}}, "output_type and output_config both say"),
    ({"output_type": City, "output_format": {"type": "json_schema"}}, "output_type and output_format both say"),
    ({"output_type": City, "text": {"format": {"type": "text"}}}, "output_type and text both say"),
    ({"out_put_type": City}, "misspelt output_type="),
]


@pytest.mark.parametrize(("params", "said"), WRONG)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_sent(server, front, params, said):
    with front.client(**at(server)) as client:
        for ask in (client.chat, client.stream_chat, lambda _, **more: client.batch(["Rome"], **more)):
            with pytest.raises(llmnet.ConfigurationError) as caught:
                ask("Rome", **params)
            assert said in str(caught.value)
    assert server.requests == []


def test_extra_body_may_ask_in_its_own_way(server, front):
    server.script(Reply(text='{"name": "R", "people": 1}'))
    with front.client(**at(server)) as client:
        body = {"response_format": {"type": "json_object"}}
        assert client.chat("Rome", output_type=City, extra_body=body).parsed == City("R", 1)
    assert server.requests[0].json["response_format"] == body["response_format"]


def test_an_error_of_the_type_itself_passes_as_it_is(server, front):
    class Odd(msgspec.Struct):
        name: str

        def __post_init__(self):
            raise KeyError("odd")

    server.script(Reply(text='{"name": "R"}'))
    with front.client(**at(server)) as client:
        with pytest.raises(KeyError, match="odd"):
            client.chat("Rome", output_type=Odd)
        assert client.chat("Rome").content == "Rome"  # the slot is free


# -- batches ----------------------------------------------------------------------------------------------------------


def test_rows_of_a_batch_have_it(server, front):
    server.script(Reply(text="no"))
    rows = [
        "Rome 1",
        {"prompt": "Rome 2", "custom_id": "two"},
        {"prompt": "Rome 3", "response_format": {"type": "text"}},
    ]
    with front.client(**at(server), max_concurrent=1) as client:
        failed, fine, wrong = client.batch(rows, output_type=City, ordered=True)
    assert type(failed) is type(wrong) is llmnet.BatchFailure
    assert (failed.ok, failed.response, failed.error.reason) == (False, None, "mismatch")
    assert failed.error.partial.content == "no"
    assert type(fine) is llmnet.BatchSuccess
    assert (fine.ok, fine.error, fine.custom_id) == (True, None, "two")
    assert fine.unwrap() is fine.response
    assert fine.unwrap().parsed == City("Rome 2", 2)
    assert isinstance(fine, llmnet.BatchResult)
    assert isinstance(failed, llmnet.BatchResult)
    with pytest.raises(llmnet.OutputError) as caught:
        failed.unwrap()
    assert caught.value is failed.error
    with pytest.raises(llmnet.ConfigurationError, match="response_format"):
        wrong.unwrap()


def test_a_row_may_have_a_type_of_its_own(server, front):
    rows = ["Rome 1", {"prompt": "Rome 2", "output_type": Town}]
    with front.client(**at(server)) as client:
        results = list(client.batch(rows, output_type=City, ordered=True))
    assert [result.unwrap().parsed for result in results] == [City("Rome 1", 1), Town("Rome 2", 2)]


def test_results_are_values():
    failed = llmnet.BatchFailure(index=3, error=ValueError("no"))
    fine = llmnet.BatchSuccess(index=4, response=llmnet.ChatResponse(content="x"))
    for result in (failed, fine):
        assert copy.copy(result) == result
        assert str(result.index) in repr(result)
    assert pickle.loads(pickle.dumps(fine)) == fine
    with pytest.raises(ValueError, match="neither"):
        llmnet.BatchResult(index=1).unwrap()
