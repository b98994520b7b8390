"""OpenAI's Responses: what goes out, line by line (docs/vendors.md, Translation), and what is read from replies, made up and recorded."""

import copy
import json
import random
import re
import time

import pytest
from support import recorded
from support.replies import read_whole

from llmnet.core import errors
from llmnet.core.chat import FinishReason, Usage
from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.request import chat_request
from llmnet.core.tool_call import ToolCall, ToolCallDelta
from llmnet.providers.services import AZURE, DASHSCOPE, OPENAI
from llmnet.providers.target import Target, make_form
from llmnet.providers.writing import VENDOR

BASES = {
    "openai": (OPENAI, "https://api.openai.com/v1"),
    "azure": (AZURE, "https://res.openai.azure.com/openai/v1"),
    "dashscope": (DASHSCOPE, "https://dashscope.aliyuncs.com/compatible-mode/v1"),
}


def form(provider="openai", **facts):
    service, base = BASES[provider]
    return make_form("responses", Target(**{"service": service, "api": "responses", "base_url": base} | facts))


def sent(messages="hi", *, stream=False, model="gpt-5.4", **params):
    request = form().prepare(chat_request(messages, model, params, stream=stream))
    return json.loads(request.body)


def items(*messages):
    return sent(list(messages))["input"]


def user(*parts):
    return {"role": "user", "content": list(parts)}


# -- what goes out ----------------------------------------------------------------------------------------------------


def test_a_string_is_all_that_a_simple_call_sends():
    assert sent("hi") == {"model": "gpt-5.4", "input": [user({"type": "input_text", "text": "hi"})]}


@pytest.mark.parametrize(
    ("provider", "facts", "url"),
    [
        ("openai", {}, "https://api.openai.com/v1/responses"),
        ("azure", {}, "https://res.openai.azure.com/openai/v1/responses"),
        (
            "azure",
            {"base_url": "https://res.openai.azure.com/openai", "api_version": "2025-04-01-preview"},
            "https://res.openai.azure.com/openai/responses?api-version=2025-04-01-preview",
        ),
        ("openai", {"base_url": "http://gateway/x/?team=a"}, "http://gateway/x/responses?team=a"),
        ("dashscope", {}, "https://dashscope.aliyuncs.com/compatible-mode/v1/responses"),
    ],
)
def test_the_path_follows_the_base(provider, facts, url):
    request = form(provider, **facts).prepare(chat_request("hi", "m", {}, stream=False))
    assert (request.method, request.url) == ("POST", url)


def test_only_a_stream_says_so():
    chat = {stream: form().prepare(chat_request("hi", "m", {}, stream=stream)) for stream in (True, False)}
    assert json.loads(chat[True].body)["stream"] is True
    assert "stream" not in json.loads(chat[False].body)
    assert (chat[True].headers["accept"], chat[False].headers["accept"]) == ("text/event-stream", "application/json")


TEXT = {"type": "text", "text": "a"}
IMAGE = {"type": "input_image", "file_id": "file-1"}
IN, OUT = {"type": "input_text", "text": "a"}, {"type": "output_text", "text": "a", "annotations": []}


def spoke(*parts, place=0, **more):
    """A message of an assistant, as the item that is published for it."""
    item = {"type": "message", "id": f"msg_{place}", "status": "completed", "role": "assistant", "content": list(parts)}
    return {**item, **more}


MESSAGES = [
    ({"role": "system", "content": "a"}, [{"role": "system", "content": [IN]}]),
    ({"role": "developer", "content": [TEXT]}, [{"role": "developer", "content": [IN]}]),
    (user(TEXT), [user(IN)]),
    ({"role": "assistant", "content": "a"}, [spoke(OUT)]),
    ({"role": "assistant", "content": [TEXT]}, [spoke(OUT)]),
    ({"role": "assistant", "content": "", "refusal": None}, []),
    (
        {"role": "assistant", "content": None, "refusal": "no"},
        [spoke({"type": "refusal", "refusal": "no"})],
    ),
    (
        {"role": "assistant", "content": [TEXT, {"type": "refusal", "refusal": "no"}]},
        [spoke(OUT, {"type": "refusal", "refusal": "no"})],
    ),
    # Further fields in a reply of another service or an SDK.
    (
        {
            "role": "assistant",
            "content": "a",
            "reasoning_content": "hm",
            "annotations": [],
            "audio": None,
            "function_call": None,
        },
        [spoke(OUT)],
    ),
    # A message in the vendor's own form.
    (
        {"type": "message", "role": "assistant", "phase": "commentary", "content": [OUT]},
        [spoke(OUT, phase="commentary")],
    ),
    (
        user({"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}}),
        [user({"type": "input_image", "image_url": "https://x/a.png", "detail": "low"})],
    ),
    (
        user({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}),
        [user({"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"})],
    ),
    (
        user({"type": "image_url", "image_url": "https://x/a"}),
        [user({"type": "input_image", "image_url": "https://x/a", "detail": "auto"})],
    ),
    (
        user({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}}),
        [user({"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"})],
    ),
    (user({"type": "file", "file": {"file_id": "file-1"}}), [user({"type": "input_file", "file_id": "file-1"})]),
    (
        user({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
        [user({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}})],
    ),
    (
        user(IN, IMAGE, {"type": "input_file", "file_url": "https://x"}),
        [user(IN, {**IMAGE, "detail": "auto"}, {"type": "input_file", "file_url": "https://x"})],
    ),
    (
        {"role": "tool", "tool_call_id": "c1", "content": "7", "name": "roll"},
        [{"type": "function_call_output", "call_id": "c1", "output": "7"}],
    ),
    (
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [TEXT, {"type": "image_url", "image_url": {"url": "https://x"}}],
        },
        [
            {
                "type": "function_call_output",
                "call_id": "c1",
                "output": [IN, {"type": "input_image", "image_url": "https://x", "detail": "auto"}],
            }
        ],
    ),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES, ids=range(len(MESSAGES)))
def test_messages(message, expected):
    original = copy.deepcopy(message)
    assert items(message) == expected
    assert message == original


def call(call_id, name="roll", arguments="{}"):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_conversation_with_parallel_tool_calls():
    assert items(
        {"role": "system", "content": "Play."},
        user({"type": "text", "text": "Roll this"}, {"type": "image_url", "image_url": {"url": "https://x/die.png"}}),
        {
            "role": "assistant",
            "content": "Twice.",
            "tool_calls": [call("c1", arguments='{"n":2}'), call("c2", arguments="")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
        {"role": "tool", "tool_call_id": "c2", "content": "3"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "And?"},
    ) == [
        {"role": "system", "content": [{"type": "input_text", "text": "Play."}]},
        user(
            {"type": "input_text", "text": "Roll this"},
            {"type": "input_image", "image_url": "https://x/die.png", "detail": "auto"},
        ),
        spoke({**OUT, "text": "Twice."}, place=2),
        {"type": "function_call", "call_id": "c1", "name": "roll", "arguments": '{"n":2}'},
        {"type": "function_call", "call_id": "c2", "name": "roll", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "7"},
        {"type": "function_call_output", "call_id": "c2", "output": "3"},
        {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        user({"type": "input_text", "text": "And?"}),
    ]


def test_a_custom_tool_has_items_of_its_own():
    custom = {"id": "c1", "type": "custom", "custom": {"name": "calc", "input": "4 + 4"}}
    assert items(
        user(TEXT),
        {"role": "assistant", "content": None, "tool_calls": [custom]},
        {"role": "tool", "tool_call_id": "c1", "content": "8"},
    )[1:] == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "calc", "input": "4 + 4"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "8"},
    ]


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        ([{"role": "function", "name": "f", "content": "x"}], "messages[0]: the role 'function'"),
        ([{"role": "user", "content": "x", "name": "ann"}], "messages[0].name"),
        ([{"role": "assistant", "content": None, "audio": {"id": "audio_1"}}], "messages[0].audio"),
        ([{"role": "assistant", "content": None, "function_call": {"name": "f"}}], "messages[0].function_call"),
        (
            [user(TEXT), user(TEXT, {"type": "video_url", "video_url": {"url": "x"}})],
            "messages[1].content[1]: a part of type 'video_url'",
        ),
        ([user({"type": "document", "source": {}})], "'document'"),
        ([user({"no": "type"})], "messages[0].content[0]"),
    ],
)
def test_what_has_no_counterpart_is_named(messages, named):
    with pytest.raises(errors.ConfigurationError) as caught:
        items(*messages)
    assert named in str(caught.value)


FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}
SCHEMA = {"name": "s", "schema": {"type": "object"}, "strict": True}
GRAMMAR = {"definition": "start: x", "syntax": "lark"}
PARAMS = [
    ({"max_tokens": 7}, {"max_output_tokens": 7}),
    ({"max_completion_tokens": 7}, {"max_output_tokens": 7}),
    ({"max_output_tokens": 7}, {"max_output_tokens": 7}),
    ({"temperature": 0.5, "top_p": 0.9, "top_logprobs": 3}, {"temperature": 0.5, "top_p": 0.9, "top_logprobs": 3}),
    # Functions are strict here by default, in the chat form they are not.
    (
        {"tools": [{"type": "function", "function": FUNCTION}]},
        {"tools": [{"type": "function", **FUNCTION, "strict": False}]},
    ),
    (
        {"tools": [{"type": "function", "function": {**FUNCTION, "strict": True}}]},
        {"tools": [{"type": "function", **FUNCTION, "strict": True}]},
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {
            "tools": [
                {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
            ]
        },
    ),
    (
        {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": GRAMMAR}}}]},
        {"tools": [{"type": "custom", "name": "c", "format": {"type": "grammar", **GRAMMAR}}]},
    ),
    (
        {"tools": [{"type": "function", "name": "own"}, {"type": "web_search"}]},
        {"tools": [{"type": "function", "name": "own"}, {"type": "web_search"}]},
    ),
    *[({"tool_choice": choice}, {"tool_choice": choice}) for choice in ("auto", "required", "none")],
    (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tool_choice": {"type": "function", "name": "f"}},
    ),
    ({"tool_choice": {"type": "web_search"}}, {"tool_choice": {"type": "web_search"}}),
    (
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            }
        },
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
    ),
    ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
    (
        {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
        {"text": {"format": {"type": "json_schema", **SCHEMA}}},
    ),
    (
        {"response_format": {"type": "text"}, "verbosity": "low", "text": {"x": 1}},
        {"text": {"format": {"type": "text"}, "verbosity": "low", "x": 1}},
    ),
    ({"reasoning_effort": "none"}, {"reasoning": {"effort": "none"}}),
    (
        {"reasoning_effort": "high", "reasoning": {"summary": "auto"}},
        {"reasoning": {"effort": "high", "summary": "auto"}},
    ),
    ({"user": "u", "metadata": {"a": "b"}}, {"user": "u", "metadata": {"a": "b"}}),
    ({"instructions": "i", "store": False, "include": ["x"]}, {"instructions": "i", "store": False, "include": ["x"]}),
    ({"temperature": None, "stop": None}, {}),
    ({"future_word": [1]}, {"future_word": [1]}),
]


@pytest.mark.parametrize(("params", "expected"), PARAMS, ids=range(len(PARAMS)))
def test_parameters(params, expected):
    original = copy.deepcopy(params)
    body = sent("hi", **params)
    assert {name: value for name, value in body.items() if name not in ("model", "input")} == expected
    assert params == original


@pytest.mark.parametrize(
    "params",
    [
        {"stop": "x"},
        {"n": 2},
        {"seed": 1},
        {"logprobs": True},
        {"logit_bias": {"1": 1}},
        {"frequency_penalty": 1},
        {"presence_penalty": 1},
    ],
)
def test_parameters_without_counterpart_are_refused(params):
    with pytest.raises(errors.ConfigurationError, match=f"^{next(iter(params))} has no counterpart"):
        sent("hi", **params)


def test_a_parameter_under_both_its_names_is_refused():
    with pytest.raises(errors.ConfigurationError, match="max_tokens and max_output_tokens are two names"):
        sent("hi", max_output_tokens=8, max_tokens=7)


def test_a_response_format_that_is_no_object_is_refused():
    with pytest.raises(errors.ConfigurationError, match="response_format"):
        sent("hi", response_format="json")


# -- complete replies ----------------------------------------------------------------------------------------------------

USAGE = {
    "input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 15,
}  # fmt: skip
THOUGHT = {
    "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "xyz",
}  # fmt: skip
MESSAGE = {
    "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "final_answer",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}  # fmt: skip
CALLED = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "roll",
    "arguments": '{"n":2}',
    "status": "completed",
}
HOSTED = {"type": "web_search_call", "id": "ws_1", "status": "completed"}


def response(*output, **more):
    complete = {
        "id": "resp_1",
        "object": "response",
        "model": "gpt-5.4",
        "status": "completed",
        "error": None,
        "usage": USAGE,
    }
    return {**complete, "output": list(output), **more}


def read(payload, provider="openai"):
    exchange = ReplyReader(form(provider))
    exchange.open(200, Headers({"content-type": "application/json"}))
    return read_whole(exchange, json.dumps(payload).encode())


def test_a_complete_reply():
    reply = read(response(THOUGHT, HOSTED, MESSAGE, CALLED))
    assert (reply.id, reply.model, reply.provider) == ("resp_1", "gpt-5.4", "openai")
    assert (reply.content, reply.reasoning, reply.refusal) == ("Hello", "hm", None)
    assert reply.tool_calls == [ToolCall(id="call_1", name="roll", arguments='{"n":2}')]
    assert reply.usage == Usage(
        input_tokens=10, output_tokens=5, total_tokens=15, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=3
    )
    assert (reply.finish_reason, reply.native_finish_reason) == (FinishReason.TOOL_CALLS, "completed")
    assert reply.raw["output"][2]["content"][0]["text"] == "Hello"


def test_texts_are_joined_and_each_kind_goes_to_its_place():
    parts = [
        {"type": "output_text", "text": "a"},
        {"type": "refusal", "refusal": "no"},
        {"type": "output_text", "text": "b"},
    ]
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "deep"}]}
    reply = read(
        response(thought, {"type": "message", "content": parts}, {"type": "new_thing", "content": "x"}, MESSAGE)
    )
    assert (reply.content, reply.refusal, reply.reasoning) == ("abHello", "no", "deep")
    # A refusal is no finish reason of its own here.
    assert reply.finish_reason == FinishReason.STOP


def test_a_custom_tool_call_and_one_without_id():
    custom = {"type": "custom_tool_call", "call_id": "call_9", "name": "calc", "input": "4 + 4"}
    bare = {"type": "function_call", "name": "f"}
    assert read(response(custom, bare)).tool_calls == [
        ToolCall(id="call_9", name="calc", arguments="4 + 4"),
        ToolCall(id="", name="f", arguments=""),
    ]


@pytest.mark.parametrize(
    ("facts", "finish"),
    [
        ({"status": "completed"}, FinishReason.STOP),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, FinishReason.LENGTH),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_messages"}}, FinishReason.LENGTH),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, FinishReason.CONTENT_FILTER),
        ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, FinishReason.OTHER),
        ({"status": "incomplete", "incomplete_details": None}, FinishReason.OTHER),
        ({"status": "queued"}, FinishReason.PAUSED),
        ({"status": "in_progress"}, FinishReason.PAUSED),
        ({"status": "cancelled"}, FinishReason.ERROR),
        ({"status": "unheard_of"}, FinishReason.OTHER),
        ({"status": None}, None),
    ],
)
def test_finish_reasons(facts, finish):
    reply = read(response(MESSAGE, **facts))
    assert (reply.finish_reason, reply.native_finish_reason) == (finish, facts["status"])


def test_a_call_that_was_cut_ended_by_its_length():
    facts = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert read(response(CALLED, **facts)).finish_reason == FinishReason.LENGTH


def test_usage_that_is_not_sent_is_unknown():
    assert read(response(MESSAGE, usage=None)).usage == Usage()


@pytest.mark.parametrize("payload", [{"id": "resp_1", "status": "completed"}, {"output": {}}, [], "text", 7])
def test_a_reply_without_items_is_none(payload):
    with pytest.raises(AttemptError) as caught:
        read(payload)
    assert isinstance(caught.value.outcome.error, errors.InvalidResponseError)


FAILURES = [
    ({"code": "rate_limit_exceeded", "message": "slow"}, errors.RateLimitError, 429),
    ({"code": "insufficient_quota", "message": "pay"}, errors.QuotaExceededError, 429),
    ({"code": "server_error", "message": "oops"}, errors.ServerError, 500),
    ({"code": "invalid_prompt", "message": "bad"}, errors.BadRequestError, 400),
    ({"code": "invalid_image_format", "message": "bad"}, errors.BadRequestError, 400),
    ({"code": "something_new", "message": "?"}, errors.ServerError, 500),
]


@pytest.mark.parametrize(("error", "cls", "status"), FAILURES, ids=[row[0]["code"] for row in FAILURES])
def test_a_failed_reply_is_an_error(error, cls, status):
    with pytest.raises(AttemptError) as caught:
        read(response(status="failed", error=error))
    found = caught.value.outcome.error
    assert (type(found), found.status, found.http_status, found.code) == (cls, status, 200, error["code"])
    assert error["message"] in str(found)


def test_a_failure_that_does_not_say_why_is_an_error_too():
    with pytest.raises(AttemptError) as caught:
        read(response(status="failed"))
    assert isinstance(caught.value.outcome.error, errors.ServerError)


# -- streams ----------------------------------------------------------------------------------------------------------


def event(kind, **data):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def added(index, item):
    empty = {name: type(item[name])() for name in ("content", "summary", "arguments", "input") if name in item}
    return event("response.output_item.added", output_index=index, item={**item, **empty})


def delta(kind, piece, index=0):
    return event(f"response.{kind}.delta", output_index=index, delta=piece, obfuscation="x7")


def closed(index, item):
    return event("response.output_item.done", output_index=index, item=item)


def ended(*output, status="completed", **more):
    return event(f"response.{status}", response=response(*output, **{"status": status, **more}))


CREATED = event("response.created", response=response(status="in_progress", usage=None))
EVENTS = [
    CREATED,
    event("response.in_progress", response=response(status="in_progress", usage=None)),
    event("keepalive", sequence_number=2),
    added(0, THOUGHT),
    event("response.reasoning_summary_part.added", output_index=0, part={"type": "summary_text", "text": ""}),
    delta("reasoning_summary_text", "h"),
    delta("reasoning_summary_text", "m"),
    event("response.reasoning_summary_text.done", output_index=0, text="hm"),
    closed(0, THOUGHT),
    added(1, MESSAGE),
    event("response.content_part.added", output_index=1, part={"type": "output_text", "text": ""}),
    delta("output_text", "Hel", 1),
    delta("output_text", "lo", 1),
    event("response.output_text.done", output_index=1, text="Hello"),
    event("response.content_part.done", output_index=1, part=MESSAGE["content"][0]),
    closed(1, MESSAGE),
    added(2, CALLED),
    delta("function_call_arguments", '{"n"', 2),
    delta("function_call_arguments", "", 2),
    delta("function_call_arguments", ":2}", 2),
    event("response.function_call_arguments.done", output_index=2, arguments='{"n":2}'),
    closed(2, CALLED),
    event("response.unheard_of", output_index=2),
]


class StreamReader:
    """A stream, event by event: the chunks, and what the exchange thought after each event."""

    def __init__(self, *frames, provider="openai"):
        self.exchange = ReplyReader(form(provider), stream=True)
        self.exchange.open(200, Headers({"content-type": "text/event-stream"}))
        self.chunks, self.counts, self.bounds = [], [], []
        for frame in frames:
            chunks = self.exchange.feed(frame)
            self.chunks += chunks
            self.counts.append(len(chunks))
            self.bounds.append(self.exchange.bound)
        self.chunks += self.exchange.end()
        self.reply = self.exchange.value


def failure(*frames, provider="openai"):
    with pytest.raises(AttemptError) as caught:
        StreamReader(*frames, provider=provider)
    return caught.value.outcome.error


@pytest.mark.parametrize("output", [(THOUGHT, MESSAGE, CALLED), ()], ids=["complete at the end", "empty at the end"])
def test_a_stream_equals_the_complete_reply(output):
    reader, complete = StreamReader(*EVENTS, ended(*output)), read(response(THOUGHT, MESSAGE, CALLED))
    assert reader.reply.raw is None
    for name in (
        "id",
        "model",
        "content",
        "reasoning",
        "tool_calls",
        "finish_reason",
        "native_finish_reason",
        "usage",
        "message",
    ):
        assert getattr(reader.reply, name) == getattr(complete, name), name


def test_a_chunk_for_each_event_with_output_and_none_for_bookkeeping():
    reader = StreamReader(*EVENTS, ended(THOUGHT, MESSAGE, CALLED))
    with_chunks = [5, 6, 11, 12, 16, 17, 19, 23]
    assert [place for place, count in enumerate(reader.counts) if count] == with_chunks
    assert "".join(map(str, reader.chunks)) == "Hello"
    assert [chunk.reasoning for chunk in reader.chunks if chunk.reasoning] == ["h", "m"]
    assert [piece for chunk in reader.chunks for piece in chunk.tool_calls] == [
        ToolCallDelta(index=2, id="call_1", name="roll"),
        ToolCallDelta(index=2, arguments='{"n"'),
        ToolCallDelta(index=2, arguments=":2}"),
    ]
    last = reader.chunks[-1]
    assert (last.finish_reason, last.native_finish_reason, last.usage.total_tokens) == ("tool_calls", "completed", 15)
    assert last.raw["type"] == "response.completed"


def test_an_open_item_is_the_first_sign_of_output_and_may_be_silent_for_long():
    reader = StreamReader(
        CREATED, added(0, THOUGHT), closed(0, THOUGHT | {"summary": []}), added(1, MESSAGE), delta("output_text", "Hello", 1),
        closed(1, MESSAGE), added(2, HOSTED), added(3, HOSTED), closed(2, HOSTED), closed(3, HOSTED), ended(MESSAGE),
    )  # fmt: skip
    opened, spoke, searched = ["response"] * 3, ["idle"] * 2, ["response"] * 3  # one of two searches is done
    assert reader.bounds == [None, *opened, *spoke, *searched, "idle", "idle"]


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("refusal", "refusal"),
        ("reasoning_text", "reasoning"),
        ("reasoning_summary_text", "reasoning"),
        ("output_text", "content"),
    ],
)
def test_every_kind_of_text_has_its_place(kind, field):
    reader = StreamReader(delta(kind, "a"), delta(kind, ""), delta(kind, "b"), ended())
    assert getattr(reader.reply, field) == "ab"
    assert [getattr(chunk, field) for chunk in reader.chunks[:-1]] == ["a", "b"]


def test_a_custom_tool_call_streams_its_input():
    custom = {"type": "custom_tool_call", "call_id": "call_9", "name": "calc", "input": "4 + 4"}
    reader = StreamReader(
        added(0, custom),
        delta("custom_tool_call_input", "4 +"),
        delta("custom_tool_call_input", " 4"),
        closed(0, custom),
        ended(custom),
    )
    assert reader.reply.tool_calls == [ToolCall(id="call_9", name="calc", arguments="4 + 4")]
    assert reader.reply.finish_reason == FinishReason.TOOL_CALLS


def test_parallel_calls_are_kept_apart():
    other = {**CALLED, "call_id": "call_2", "arguments": "[1]"}
    frames = [
        added(0, CALLED),
        added(1, other),
        delta("function_call_arguments", "[1", 1),
        delta("function_call_arguments", '{"n":', 0),
    ]
    frames += [
        delta("function_call_arguments", "]", 1),
        delta("function_call_arguments", "2}", 0),
        closed(0, CALLED),
        closed(1, other),
    ]
    assert [(tool.id, tool.arguments) for tool in StreamReader(*frames, ended(CALLED, other)).reply.tool_calls] == [
        ("call_1", '{"n":2}'),
        ("call_2", "[1]"),
    ]


ALL = (THOUGHT, MESSAGE, CALLED)
PARTLY = {
    "no deltas": [*[closed(i, item) for i, item in enumerate(ALL)], ended(*ALL)],
    "no deltas, nothing at the end": [*[closed(i, item) for i, item in enumerate(ALL)], ended()],
    "only the end": [CREATED, ended(*ALL)],
    "only deltas and the end": [*[frame for frame in EVENTS if b"item.done" not in frame], ended(*ALL)],
    "half of the deltas": [
        delta("output_text", "Hel", 1),
        closed(0, THOUGHT),
        closed(1, MESSAGE),
        closed(2, CALLED),
        ended(*ALL),
    ],
    "places that differ at the end": [*EVENTS, ended(MESSAGE, THOUGHT, CALLED)],
    "the reasoning is left out at the end": [*EVENTS, ended(MESSAGE, CALLED)],
    "no name before the arguments": [*[frame for frame in EVENTS if b"item.added" not in frame], ended(*ALL)],
}


@pytest.mark.parametrize("frames", PARTLY.values(), ids=PARTLY)
def test_deltas_and_items_complete_each_other(frames):
    reader = StreamReader(*frames)
    assert "".join(map(str, reader.chunks)) == reader.reply.content == "Hello"
    assert reader.reply.reasoning == "hm"
    assert reader.reply.tool_calls == [ToolCall(id="call_1", name="roll", arguments='{"n":2}')]
    assert reader.reply.usage.total_tokens == 15


def test_a_complete_item_without_deltas_is_returned_when_it_is_done():
    reader = StreamReader(added(0, MESSAGE), closed(0, MESSAGE), ended(MESSAGE))
    assert reader.counts == [0, 1, 1]
    assert str(reader.chunks[0]) == "Hello"


def test_where_deltas_and_items_disagree_what_was_returned_stays():
    reader = StreamReader(delta("output_text", "Good-bye"), closed(0, MESSAGE), ended(MESSAGE))
    assert "".join(map(str, reader.chunks)) == reader.reply.content == "Good-bye"


def test_two_calls_at_one_place_are_two_calls():
    other = {**CALLED, "call_id": "call_2"}
    reader = StreamReader(closed(0, CALLED), closed(0, other), ended())
    assert [tool.id for tool in reader.reply.tool_calls] == ["call_1", "call_2"]
    assert reader.reply.message[VENDOR]["items"] == [CALLED, other]


def test_many_items_take_their_time_once():
    calls = [{**CALLED, "call_id": f"call_{n}"} for n in range(500)]
    begun = time.process_time()
    reader = StreamReader(*[added(n, item) + closed(n, item) for n, item in enumerate(calls)], ended())
    assert len(reader.reply.tool_calls) == 500
    assert time.process_time() - begun < 2


def test_a_call_without_id_is_one_call():
    bare = {"type": "function_call", "name": "f", "arguments": "{}"}
    reader = StreamReader(added(0, bare), delta("function_call_arguments", "{}"), closed(0, bare), ended(bare))
    assert reader.counts == [1, 1, 0, 1]
    assert reader.reply.tool_calls == [ToolCall(id="", name="f", arguments="{}")]


def test_images_and_audio_are_chunks_that_only_raw_shows():
    image = {"type": "image_generation_call", "id": "ig_1", "result": "AAAA"}
    frames = [
        added(0, {**image, "result": None}),
        event("response.image_generation_call.generating", output_index=0),
        event("response.image_generation_call.partial_image", output_index=0, partial_image_b64="AA"),
        closed(0, image),
        event("response.audio.delta", delta="UklG"),
        event("response.audio.done"),
        ended(image),
    ]
    reader = StreamReader(*frames)
    assert reader.counts == [0, 0, 1, 1, 1, 0, 1]
    assert reader.chunks[0].raw["partial_image_b64"] == "AA"
    assert reader.reply.content == ""


def test_a_program_of_the_models_is_no_error_code():
    frames = [
        event("response.code_interpreter_call_code.delta", delta="import", output_index=0),
        event("response.code_interpreter_call_code.done", code="import os", output_index=0),
        event("response.mcp_call.failed", output_index=0, error="tool failed"),
    ]
    assert StreamReader(*frames, ended(MESSAGE)).reply.content == "Hello"


@pytest.mark.parametrize(
    ("status", "details", "finish"),
    [
        ("incomplete", {"reason": "max_output_tokens"}, FinishReason.LENGTH),
        ("incomplete", {"reason": "content_filter"}, FinishReason.CONTENT_FILTER),
        ("cancelled", None, FinishReason.ERROR),
    ],
)
def test_terminal_events(status, details, finish):
    reader = StreamReader(delta("output_text", "Hel"), ended(MESSAGE, status=status, incomplete_details=details))
    assert (reader.reply.finish_reason, reader.reply.native_finish_reason) == (finish, status)
    assert reader.reply.content == "Hello"


def test_the_event_says_the_status_where_the_reply_does_not():
    reply = StreamReader(
        delta("output_text", "Hi"), event("response.completed", response={"id": "r", "status": None})
    ).reply
    assert (reply.native_finish_reason, reply.id, reply.usage) == ("completed", "r", Usage())


def test_nothing_counts_after_the_terminal_event():
    reader = StreamReader(ended(MESSAGE), delta("output_text", "?"), b"data: [DONE]\n\n")
    assert reader.reply.content == "Hello"


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n", CREATED])
def test_a_stream_without_its_terminal_event_is_not_complete(tail):
    assert isinstance(failure(CREATED, delta("output_text", "Hel"), tail), errors.IncompleteStreamError)


def test_the_terminal_event_needs_no_blank_line_after_it():
    assert StreamReader(delta("output_text", "Hello"), ended(MESSAGE).rstrip()).reply.content == "Hello"


@pytest.mark.parametrize(("error", "cls", "status"), FAILURES, ids=[row[0]["code"] for row in FAILURES])
@pytest.mark.parametrize("shape", ["flat", "nested", "failed"])
def test_errors_in_a_stream(shape, error, cls, status):
    frame = {
        "flat": event("error", **error, param=None, sequence_number=3),
        "nested": event("error", error={"type": error["code"], **error}),
        "failed": event("response.failed", response=response(status="failed", error=error)),
    }[shape]
    found = failure(CREATED, frame)
    assert (type(found), found.status, found.http_status, found.code) == (cls, status, 200, error["code"])
    assert error["message"] in str(found)


def test_of_two_errors_the_first_one_is_raised():
    first = event("error", error={"code": "insufficient_quota", "message": "pay"})
    second = event(
        "response.failed", response=response(status="failed", error={"code": "server_error", "message": "x"})
    )
    assert isinstance(failure(CREATED, first + second), errors.QuotaExceededError)


def test_the_same_code_means_something_else_at_dashscope():
    frame = event("error", code="insufficient_quota", message="tokens per minute")
    assert type(failure(CREATED, frame, provider="dashscope")) is errors.RateLimitError


def test_chunks_before_an_error_are_handed_out_first():
    exchange = ReplyReader(form(), stream=True)
    exchange.open(200, Headers({"content-type": "text/event-stream"}))
    chunks = exchange.feed(delta("output_text", "Hel") + event("error", code="server_error", message="x"))
    assert [str(chunk) for chunk in chunks] == ["Hel"]
    with pytest.raises(AttemptError):
        exchange.feed(b"")
    assert exchange.partial().content == "Hel"


def test_half_an_emoji_in_each_of_two_pieces():
    frames = b"".join(
        b'data: {"type":"response.output_text.delta","output_index":0,"delta":"%s"}\n\n' % half
        for half in (b"\\ud83d", b"\\ude00")
    )
    emoji = {**MESSAGE, "content": [{"type": "output_text", "text": "😀"}]}
    assert StreamReader(frames, closed(0, emoji), ended(emoji)).reply.content == "😀"


# -- the next turn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False])
def test_a_reply_goes_back_as_the_items_it_came_in(streamed):
    output = (THOUGHT, HOSTED, MESSAGE, CALLED)
    reply = StreamReader(ended(*output)).reply if streamed else read(response(*output))
    assert reply.message["content"] == "Hello"
    assert reply.message["tool_calls"] == [call("call_1", arguments='{"n":2}')]
    through_json = json.loads(json.dumps(reply.message))
    answer = {"role": "tool", "tool_call_id": "call_1", "content": "7"}
    assert items(user(TEXT), through_json, answer)[1:] == [
        *output,
        {"type": "function_call_output", "call_id": "call_1", "output": "7"},
    ]


def test_the_answer_to_a_custom_call_that_came_as_an_item():
    custom = {"type": "custom_tool_call", "call_id": "call_9", "name": "calc", "input": "4 + 4"}
    reply = read(response(custom))
    assert items(user(TEXT), reply.message, {"role": "tool", "tool_call_id": "call_9", "content": "8"})[1:] == [
        custom,
        {"type": "custom_tool_call_output", "call_id": "call_9", "output": "8"},
    ]


def test_a_text_that_the_caller_rewrote_goes_out_as_the_caller_says():
    message = {**read(response(THOUGHT, MESSAGE)).message, "content": "Hello there"}
    assert items(user(TEXT), message)[1:] == [spoke({**OUT, "text": "Hello there"}, place=1)]


def test_items_of_another_form_stay_at_home():
    message = {
        "role": "assistant",
        "content": "a",
        VENDOR: {"form": "messages", "items": [{"type": "text"}], "content": "a"},
    }
    assert items(message) == [spoke(OUT)]


def test_a_broken_stream_gives_a_plain_message():
    exchange = ReplyReader(form(), stream=True)
    exchange.open(200, Headers({"content-type": "text/event-stream"}))
    exchange.feed(b"".join(EVENTS[:12]))
    assert exchange.partial().message == {"role": "assistant", "content": "Hel"}


# -- models and embeddings --------------------------------------------------------------------------------------------


def test_models_and_embeddings_live_below_the_same_base():
    own = form()
    assert own.models_request(None).url == "https://api.openai.com/v1/models"
    request = own.embed_request(["a"], "text-embedding-3-small", {"dimensions": 8})
    assert request.url == "https://api.openai.com/v1/embeddings"
    assert json.loads(request.body) == {
        "model": "text-embedding-3-small",
        "input": ["a"],
        "encoding_format": "base64",
        "dimensions": 8,
    }


# -- recorded traffic -------------------------------------------------------------------------------------------------

ROWS = [row for provider in ("openai", "azure") for row in recorded.rows(provider, "responses")]
STREAMS = [row for row in ROWS if row["stream"]]


def expected(row):
    """The row; where deltas and final text of a recording differ, a stream returns the text of the deltas."""
    from_deltas = row["expected"].get("text_from_deltas")
    return row if from_deltas in (None, "") else {**row, "expected": {**row["expected"], "text": from_deltas}}


def was_forgotten(row):
    """Whether the vendor kept nothing of a reply, and sent no encrypted reasoning that could take its place."""
    data = re.sub(rb"\s", b"", recorded.body(row))
    return b'"store":false' in data and b'"encrypted_content":"' not in data


@recorded.needs_recordings
@pytest.mark.parametrize("row", ROWS, ids=recorded.name)
def test_recorded_replies(row):
    chunks, value = recorded.replay(form(row["provider"]), row, [recorded.body(row)])
    wanted = row["expected"].get("error")
    if wanted:
        assert isinstance(value, errors.APIStatusError)
        assert value.code == wanted["code"]
        assert wanted["message"][:60] in str(value)
        return
    assert recorded.check(expected(row), value) == []
    assert not row["stream"] or "".join(map(str, chunks)) == value.content
    kept = [kind for kind in row["expected"]["output_types"] if kind != "reasoning" or not was_forgotten(row)]
    assert len(items(user(TEXT), value.message)) == 1 + len(kept)


@pytest.mark.slow
@recorded.needs_recordings
@pytest.mark.parametrize("row", STREAMS, ids=recorded.name)
def test_recorded_streams_do_not_depend_on_how_they_are_cut(row):
    assert recorded.differing(form(row["provider"]), row, recorded.some_cuts(recorded.body(row), 3_000_000)) == []


@pytest.mark.heavy
@pytest.mark.timeout(600)
@recorded.needs_recordings
@pytest.mark.parametrize("row", STREAMS, ids=recorded.name)
def test_recorded_streams_at_every_cut(row):
    cuts = ([place] for place in recorded.every_cut(recorded.body(row)))
    assert recorded.differing(form(row["provider"]), row, cuts) == []


@recorded.needs_recordings
@pytest.mark.parametrize("row", STREAMS, ids=recorded.name)
def test_recorded_streams_that_end_early_say_so(row):
    data, own = recorded.body(row), form(row["provider"])
    end = data.rfind(b"event: response.")
    for place in random.Random(7).sample(range(1, end), 20):
        _, value = recorded.replay(own, row, [data[:place]])
        assert isinstance(value, errors.IncompleteStreamError | errors.QuotaExceededError)


@recorded.needs_recordings
@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] != "error"], ids=recorded.name)
def test_whatever_a_server_sends_only_our_errors_come_out(row):
    data, own, chance = recorded.body(row).decode(), form(row["provider"]), random.Random(3)
    for _ in range(max(10, 200_000 // len(data))):
        spoiled = recorded.spoiled(data, row["stream"], chance)
        _, value = recorded.replay(own, row, [spoiled.encode("utf-8", "surrogatepass")])
        assert value is not None
