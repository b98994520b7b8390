"""Anthropic's Messages: what goes out, line by line (docs/vendors.md, Translation), and what is read from replies, made up and recorded."""

import copy
import json
import random

import pytest
from support import recorded
from support.replies import read_whole

from llmnet.core.chat import FinishReason, Usage
from llmnet.core.draft import Draft
from llmnet.core.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContextLengthError,
    IncompleteStreamError,
    InvalidResponseError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.request import chat_request
from llmnet.core.tool_call import ToolCallDelta
from llmnet.providers.anthropic import Messages
from llmnet.providers.services import ANTHROPIC
from llmnet.providers.target import Target
from llmnet.providers.writing import VENDOR

BASE = "https://api.anthropic.com"
EVENTS = Headers({"content-type": "text/event-stream"})
JSON = Headers({"content-type": "application/json"})
PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="


def form(base_url=BASE, **fields):
    return Messages(Target(service=ANTHROPIC, api="messages", base_url=base_url, scheme="x-api-key", **fields))


def prepared(messages="Hi", *, model="claude-x", stream=False, base_url=BASE, **params):
    return form(base_url).prepare(chat_request(messages, model, params, stream=stream))


def sent(messages="Hi", **options):
    return json.loads(prepared(messages, **options).body)


def turns(*messages):
    return sent(list(messages))["messages"]


def parts(*values):
    return turns({"role": "user", "content": list(values)})[0]["content"]


def text(built, **more):
    return {"type": "text", "text": built, **more}


def call(call_id, name, arguments):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


USER = {"role": "user", "content": "Hi"}


def sent_back(reply):
    """The blocks of a reply in the next turn."""
    built = turns(USER, json.loads(json.dumps(reply.message)), USER)
    return built[1]["content"] if len(built) == 3 else []


# -- the request ------------------------------------------------------------------------------------------------------


def test_the_simplest_request_holds_nothing_more():
    request = prepared()
    assert (request.method, request.url) == ("POST", "https://api.anthropic.com/v1/messages")
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert json.loads(request.body) == {
        "model": "claude-x", "max_tokens": 8192, "messages": [{"role": "user", "content": [text("Hi")]}],
    }  # fmt: skip


def test_stream_is_sent_only_when_streaming():
    request = prepared(stream=True)
    assert json.loads(request.body)["stream"] is True
    assert request.headers["accept"] == "text/event-stream"
    assert "stream" not in sent()


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://h", "https://h/v1/messages"),
        ("https://h/", "https://h/v1/messages"),
        ("https://h/v1", "https://h/v1/messages"),
        ("https://h/v1/", "https://h/v1/messages"),
        ("https://h/proxy/v1", "https://h/proxy/v1/messages"),
        ("https://h/v12", "https://h/v12/v1/messages"),
        ("https://h/apps/anthropic", "https://h/apps/anthropic/v1/messages"),
        ("https://h/v1?tenant=a", "https://h/v1/messages?tenant=a"),
    ],
)
def test_address(base, url):
    assert prepared(base_url=base).url == url


def test_key_and_version_of_the_callers_own():
    ours = form(headers={"Anthropic-Version": "2026-10-21"})
    request = ours.prepare(chat_request("Hi", "m", {}, stream=False))
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert ours.authorise(request, "sk-1").headers["x-api-key"] == "sk-1"


ADAPTIVE, OFF = {"type": "adaptive"}, {"type": "disabled"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}
OWN_TOOL = {"type": "web_search_20260318", "name": "web_search", "max_uses": 3}


@pytest.mark.parametrize(
    ("params", "body"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 0}, {"max_tokens": 0}),
        ({"max_tokens": None}, {"max_tokens": 8192}),
        ({"max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.5, "top_k": 4}, {"top_p": 0.5, "top_k": 4}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop_sequences": ["A", "B"]}),
        ({"user": "u1"}, {"metadata": {"user_id": "u1"}}),
        ({"metadata": {"user_id": "u1"}}, {"metadata": {"user_id": "u1"}}),
        ({"service_tier": "standard_only", "speed": "fast"}, {"service_tier": "standard_only", "speed": "fast"}),
        ({"tools": [TOOL]}, {"tools": [{"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True}]}),
        ({"tools": [OWN_TOOL]}, {"tools": [OWN_TOOL]}),
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            {"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]},
        ),
        (
            {"tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}]},
            {
                "tools": [
                    {
                        "name": "f",
                        "description": "d",
                        "input_schema": SCHEMA,
                        "strict": True,
                        "cache_control": {"type": "ephemeral"},
                    }
                ]
            },
        ),
        (
            {
                "tools": [
                    {"type": "function", "function": {"name": "f", "parameters": {"properties": {}}, "strict": None}}
                ]
            },
            {"tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]},
        ),
        ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}),
        ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": {"type": "tool", "name": "f"}},
        ),
        ({"tool_choice": {"type": "tool", "name": "f"}}, {"tool_choice": {"type": "tool", "name": "f"}}),
        ({"tool_choice": {"type": "any"}}, {"tool_choice": {"type": "any"}}),
        ({"parallel_tool_calls": True}, {}),
        ({"parallel_tool_calls": False}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        ),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
            {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "strict": True, "schema": SCHEMA},
                }
            },
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
        ({"reasoning_effort": "none"}, {"thinking": OFF}),
        ({"reasoning_effort": "minimal"}, {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}),
        ({"reasoning_effort": "high"}, {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
        ({"reasoning_effort": "max"}, {"thinking": ADAPTIVE, "output_config": {"effort": "max"}}),
        (
            {"reasoning_effort": "low", "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
            {
                "thinking": ADAPTIVE,
                "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
            },
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}, "reasoning_effort": "low"},
            {"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "low"}},
        ),
        (
            {"model": "claude-haiku-4-5", "reasoning_effort": "low"},
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        ),
        (
            {"model": "claude-opus-4-1-20250805", "reasoning_effort": "max", "max_tokens": 32000},
            {"max_tokens": 32000, "thinking": {"type": "enabled", "budget_tokens": 16384}},
        ),
        (
            {"model": "claude-sonnet-4-20250514", "reasoning_effort": "max"},
            {"thinking": {"type": "enabled", "budget_tokens": 7168}},
        ),
        (
            {"model": "claude-sonnet-4-6", "reasoning_effort": "low"},
            {"thinking": ADAPTIVE, "output_config": {"effort": "low"}},
        ),
        ({"stream_options": None}, {}),
        ({"context_management": {"edits": []}}, {"context_management": {"edits": []}}),
    ],
    ids=str,
)
def test_parameters(params, body):
    before = copy.deepcopy(params)
    plain = sent(model=params.get("model", "claude-x"))
    assert sent(**params) == plain | body
    assert params == before


@pytest.mark.parametrize(
    "params",
    [
        {"n": 2},
        {"seed": 1},
        {"logprobs": True},
        {"top_logprobs": 2},
        {"logit_bias": {"1": 1}},
        {"presence_penalty": 0.1},
        {"frequency_penalty": 0.1},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
        {"metadata": {"trace": "1"}},
        {"metadata": {"trace": "1", "user_id": "u"}},
        {"tool_choice": "sometimes"},
        {"tool_choice": {"type": "function"}},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
        {"tools": [{"type": "function", "name": "flat"}]},
        {"tools": [{"type": "custom", "custom": {"name": "c"}}]},
        {"reasoning_effort": 3},
        {"reasoning_effort": "huge", "model": "claude-3-7-sonnet-latest"},
    ],
    ids=str,
)
def test_a_parameter_without_counterpart_is_an_error_that_names_it(params):
    with pytest.raises(ConfigurationError, match=next(iter(params))):
        sent(**params)


def test_system_and_developer_messages_are_hoisted_in_order():
    cached = text("B", cache_control={"type": "ephemeral"})
    body = sent(
        [
            {"role": "system", "content": "A"},
            USER,
            {"role": "developer", "content": [cached, text("")]},
            {"role": "assistant", "content": "Yes?"},
            {"role": "system", "content": "C"},
            {"role": "system", "content": ""},
        ]
    )
    assert body["system"] == [text("A"), cached, text("C")]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"]
    assert "system" not in sent([{"role": "system", "content": ""}, USER])


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (text("a", cache_control={"type": "ephemeral"}), text("a", cache_control={"type": "ephemeral"})),
        ({"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "high"}}, {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}}),
        ({"type": "image_url", "image_url": "https://h/a.png"}, {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}}),
        ({"type": "image_url", "image_url": {"url": PNG}}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}),
        ({"type": "image_url", "image_url": {"url": "data:image/JPG;base64,QUJD"}}, {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}}),
        (
            {"type": "image_url", "image_url": {"url": PNG}, "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}, "cache_control": {"type": "ephemeral"}},
        ),
        (
            {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "title": "a.pdf"},
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/markdown;charset=utf-8;base64,5L2g5aW9"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "你好"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/plain,a%20b"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a b"}},
        ),
        ({"type": "file", "file": {"file_data": "https://h/a.pdf"}}, {"type": "document", "source": {"type": "url", "url": "https://h/a.pdf"}}),
        ({"type": "file", "file": {"file_id": "file_1"}}, {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_parts(part, block):
    assert parts(part) == [block]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "x"},
            "citations": {"enabled": True},
        },
        {"type": "tool_result", "tool_use_id": "t", "content": "42", "is_error": True},
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "redacted_thinking", "data": "…"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "something_new", "of": {"the": "vendor"}},
    ],
    ids=lambda block: block["type"],
)
def test_blocks_of_the_vendors_own_pass_as_they_are(block):
    assert parts(block) == [block]
    assert turns(USER, {"role": "assistant", "content": [block]})[1]["content"] == [block]


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"type": "image_url", "image_url": {"url": "http://h/a.png"}}, "image_url must be an https"),
        ({"type": "image_url", "image_url": {"url": "a.png"}}, "image_url must be an https"),
        ({"type": "image_url", "image_url": None}, "image_url must be an https"),
        ({"type": "image_url", "image_url": {"url": "https://h/a", "detail": "low"}}, "image_url.detail"),
        ({"type": "image_url", "image_url": {"url": "data:image/bmp;base64,QUJD"}}, "image_url must be base64"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,abc"}}, "image_url must be base64"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64"}}, "image_url is no data URL"),
        ({"type": "file", "file": {"file_data": "data:application/zip;base64,QUJD"}}, "file.file_data must be a PDF"),
        ({"type": "file", "file": {"file_data": "data:text/plain;base64,%%%"}}, "file.file_data holds no text"),
        ({"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}, "file.file_data holds no text"),
        ({"type": "file", "file": {}}, "file.file_data must be an https"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "input_audio has no counterpart"),
        ({"type": "video_url", "video_url": {"url": "https://h/v"}}, "video_url has no counterpart"),
        ({"text": "untyped"}, "type must name"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_part_without_counterpart_is_an_error_that_names_its_path(part, path):
    with pytest.raises(ConfigurationError, match=r"messages\[1\]\.content\[1\]\." + path):
        sent([USER, {"role": "user", "content": [text("a"), part]}])


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"role": "function", "name": "f", "content": "1"}, "role 'function'"),
        ({"role": "user", "name": "Ann", "content": "1"}, "name"),
        ({"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        ({"role": "assistant", "content": None, "audio": {"id": "a"}}, "audio"),
        ({"role": "assistant", "content": "The", "prefix": True}, "prefix"),
        ({"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {}}]}, r"tool_calls\[0\]"),
        (
            {"role": "assistant", "tool_calls": [call("a", "f", "{}"), call("b", "f", "{")]},
            r"tool_calls\[1\]\.function\.arguments",
        ),
        ({"role": "assistant", "tool_calls": [call("a", "f", "[1]")]}, r"tool_calls\[0\]\.function\.arguments"),
        ({"role": "system", "content": [text("a"), {"type": "image_url", "image_url": PNG}]}, r"content\[1\]"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_message_without_counterpart_is_an_error_that_names_its_path(message, path):
    with pytest.raises(ConfigurationError, match=r"messages\[1\]\." + path):
        sent([USER, message])


@pytest.mark.parametrize("arguments", ["", "  ", "{}", "null", None])
def test_no_arguments_are_an_empty_object(arguments):
    asked = turns(USER, {"role": "assistant", "content": None, "tool_calls": [call("a", "f", arguments)]})[1]
    assert asked["content"] == [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]


def test_blank_text_and_unsigned_thinking_are_dropped():
    built = turns(
        {"role": "user", "content": [text(""), text("a"), text(" \n")]},
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}, text("b")],
            "reasoning_content": "hm",
        },
        {"role": "user", "content": ""},
        {"role": "assistant", "content": None},
    )
    assert built == [{"role": "user", "content": [text("a")]}, {"role": "assistant", "content": [text("b")]}]


@pytest.mark.parametrize(
    "messages", ["", [{"role": "system", "content": "A"}], [{"role": "user", "content": [text(" ")]}]]
)
def test_nothing_to_answer_is_an_error(messages):
    with pytest.raises(ConfigurationError, match="nothing to answer"):
        sent(messages)


def test_a_refusal_of_another_vendor_becomes_text():
    assert turns(USER, {"role": "assistant", "content": None, "refusal": "I won't.", "annotations": []})[1][
        "content"
    ] == [text("I won't.")]
    assert turns(USER, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]})[1]["content"] == [
        text("No.")
    ]


def test_a_complete_tool_conversation():
    messages = [
        {"role": "system", "content": "Use tools."},
        {"role": "user", "content": [text("Which is warmer?"), {"type": "image_url", "image_url": {"url": PNG}}]},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                call("t1", "weather", '{"city": "Oslo"}'),
                call("t2", "weather", '{"city": "Rome"}'),
                call("t3", "now", ""),
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "4°"},
        {
            "role": "tool",
            "tool_call_id": "t2",
            "content": [text("map"), {"type": "image_url", "image_url": {"url": PNG}}],
            "is_error": False,
        },
        {"role": "tool", "tool_call_id": "t3", "content": "boom", "is_error": True, "name": "now"},
        {"role": "user", "content": "And in Paris?"},
        {"role": "assistant", "content": "Rome."},
        {"role": "user", "content": "Thanks"},
    ]
    before = copy.deepcopy(messages)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    body = sent(messages, tools=[TOOL])
    assert messages == before
    assert body["system"] == [text("Use tools.")]
    assert body["messages"] == [
        {"role": "user", "content": [text("Which is warmer?"), image]},
        {
            "role": "assistant",
            "content": [
                text("Let me look."),
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "t2", "name": "weather", "input": {"city": "Rome"}},
                {"type": "tool_use", "id": "t3", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "4°"},
                {"type": "tool_result", "tool_use_id": "t2", "content": [text("map"), image], "is_error": False},
                {"type": "tool_result", "tool_use_id": "t3", "content": "boom", "is_error": True},
                text("And in Paris?"),
            ],
        },
        {"role": "assistant", "content": [text("Rome.")]},
        {"role": "user", "content": [text("Thanks")]},
    ]


def test_tool_results_come_first_and_empty_ones_are_answers():
    built = turns(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call("a", "f", "{}"), call("b", "f", "{}")]},
        {"role": "tool", "tool_call_id": "a", "content": ""},
        {"role": "user", "content": "Wait"},
        {"role": "tool", "tool_call_id": "b", "content": [text("")]},
    )
    assert built[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a"}, {"type": "tool_result", "tool_use_id": "b"}, text("Wait"),
    ]  # fmt: skip


def test_a_tool_result_repeats_the_toolset_of_its_call():
    use = {"type": "tool_use", "id": "a", "name": "click", "input": {}, "toolset_name": "computer"}
    built = turns(USER, {"role": "assistant", "content": [use]}, {"role": "tool", "tool_call_id": "a", "content": "ok"})
    assert built[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "ok", "toolset_name": "computer"}
    ]


# -- the complete reply -----------------------------------------------------------------------------------------------


def exchange(*, stream):
    client = form()
    return ReplyReader(client, stream=stream)


def complete(**fields):
    payload = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [text("Hello")],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 2}, **fields,
    }  # fmt: skip
    one = exchange(stream=False)
    one.open(200, JSON)
    return read_whole(one, json.dumps(payload).encode())


THOUGHT = {"type": "thinking", "thinking": "Hm. ", "signature": "sig"}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}


def test_a_complete_reply():
    cited = text("Hello ", citations=[{"type": "char_location", "cited_text": "x"}])
    blocks = [THOUGHT, SEARCH, FOUND, cited, text("you"), {"type": "redacted_thinking", "data": "…"}, USE]
    reply = complete(content=blocks, stop_reason="tool_use")
    assert (reply.id, reply.model, reply.provider) == ("msg_1", "claude-x", "anthropic")
    assert (reply.content, reply.reasoning, reply.refusal) == ("Hello you", "Hm. ", None)
    assert [(c.id, c.name, c.arguments) for c in reply.tool_calls] == [("t1", "f", '{"a": 1}')]
    assert (reply.finish_reason, reply.native_finish_reason) == (FinishReason.TOOL_CALLS, "tool_use")
    assert reply.raw["content"] == blocks
    assert reply.message["content"] == "Hello you"
    assert reply.message["tool_calls"] == [call("t1", "f", '{"a": 1}')]
    assert turns(USER, reply.message) == [
        {"role": "user", "content": [text("Hi")]}, {"role": "assistant", "content": blocks},
    ]  # fmt: skip


def test_what_the_caller_rewrote_is_sent_as_rewritten():
    reply = complete(content=[THOUGHT, text("Hello")])
    assert turns(USER, {**reply.message, "content": "Hallo"})[1]["content"] == [text("Hallo")]


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("tool_use", "tool_calls"),
        ("model_context_window_exceeded", "length"), ("pause_turn", "paused"), ("compaction", "paused"),
        ("refusal", "refusal"), ("something_new", "other"),
    ],
)  # fmt: skip
def test_stop_reasons(stop, reason):
    reply = complete(stop_reason=stop)
    assert (reply.finish_reason, reply.native_finish_reason) == (reason, stop)


@pytest.mark.parametrize("stop", [None, ""])
def test_no_stop_reason_is_never_guessed(stop):
    assert complete(stop_reason=stop).finish_reason is None


@pytest.mark.parametrize(
    ("details", "refusal"),
    [
        ({"type": "refusal", "category": "cyber", "explanation": "Policy."}, "Policy."),
        ({"type": "refusal", "category": None, "explanation": None}, None),
        (None, None),
    ],
)
def test_refusals(details, refusal):
    reply = complete(content=[], stop_reason="refusal", stop_details=details)
    assert (reply.finish_reason, reply.refusal, reply.content) == (FinishReason.REFUSAL, refusal, "")
    assert reply.message == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("usage", "figures"),
    [
        (
            {
                "input_tokens": 10, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 4},
            },
            Usage(input_tokens=60, output_tokens=5, total_tokens=65, cached_tokens=30, cache_write_tokens=20, reasoning_tokens=4),
        ),
        ({"input_tokens": 10, "output_tokens": 5}, Usage(input_tokens=10, output_tokens=5, total_tokens=15)),
        ({"input_tokens": 10, "cache_read_input_tokens": None}, Usage(input_tokens=10)),
        ({"output_tokens": 5, "cache_read_input_tokens": 7}, Usage(output_tokens=5, cached_tokens=7)),
        ({}, Usage()),
        (None, Usage()),
    ],
    ids=str,
)  # fmt: skip
def test_usage(usage, figures):
    assert complete(usage=usage).usage == figures


@pytest.mark.parametrize(
    "payload", [b"[]", b"{}", b'{"content": null}', b'{"content": [{}, null]}', b'{"type": "message"}', b"3"]
)
def test_a_reply_without_blocks_is_invalid(payload):
    one = exchange(stream=False)
    one.open(200, JSON)
    with pytest.raises(AttemptError) as caught:
        read_whole(one, payload)
    assert isinstance(caught.value.outcome.error, InvalidResponseError)


def test_half_an_emoji_does_not_spoil_the_next_turn():
    one = exchange(stream=False)
    one.open(200, JSON)
    reply = read_whole(
        one,
        rb'{"id":"m","content":[{"type":"text","text":"a\ud83d"},{"type":"tool_use","id":"t","name":"f","input":{"x":"\ude00"}}]}',
    )
    assert reply.content == "a\ufffd"
    assert reply.tool_calls[0].json() == {"x": "\ufffd"}
    assert sent_back(reply) == [
        text("a\ufffd"),
        {"type": "tool_use", "id": "t", "name": "f", "input": {"x": "\ufffd"}},
    ]


# -- the reply, streamed ----------------------------------------------------------------------------------------------


def event(kind, **payload):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **payload})}   \n\n"


def start(message_id="msg_1", **message):
    head = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
    }
    return event("message_start", message={**head, "usage": {"input_tokens": 9, "output_tokens": 1}, **message})


def opened(index, **block):
    return event("content_block_start", index=index, content_block=block)


def grown(index, kind, **delta):
    return event("content_block_delta", index=index, delta={"type": kind, **delta})


def stopped(index):
    return event("content_block_stop", index=index)


def ended(reason="end_turn", usage={"output_tokens": 7}, **delta):
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None, **delta}, usage=usage)


STOP = event("message_stop")
PING = event("ping")


def stream():
    one = exchange(stream=True)
    one.open(200, EVENTS)
    return one


def fed(one, *pieces):
    return [chunk for piece in pieces for chunk in one.feed(piece)] + one.end()


def streamed(*events):
    """The exchange of a stream at its end, and its chunks."""
    one = stream()
    return one, fed(one, "".join(events).encode())


def failed(*events):
    """The exchange of a stream that fails, and its error."""
    one = stream()
    with pytest.raises(AttemptError) as caught:
        fed(one, *(event if isinstance(event, bytes) else event.encode() for event in events))
    return one, caught.value.outcome.error


def test_a_complete_stream():
    blocks = [
        THOUGHT,
        {"type": "redacted_thinking", "data": "…"},
        text("Hi you", citations=[{"cited_text": "x"}, {"cited_text": "y"}]),
        SEARCH,
        FOUND,
        USE,
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}, "caller": {"type": "direct"}},
    ]
    one, chunks = streamed(
        start(), PING,
        opened(0, type="thinking", thinking="", signature=""), PING,
        grown(0, "thinking_delta", thinking="Hm"), grown(0, "thinking_delta", thinking=". "),
        grown(0, "signature_delta", signature="sig"), stopped(0),
        opened(1, **blocks[1]), stopped(1),
        opened(2, type="text", text=""), grown(2, "text_delta", text="Hi"),
        grown(2, "citations_delta", citation={"cited_text": "x"}), grown(2, "citations_delta", citation={"cited_text": "y"}),
        grown(2, "text_delta", text=" you"), stopped(2),
        opened(3, **{**SEARCH, "input": {}}), grown(3, "input_json_delta", partial_json=""),
        grown(3, "input_json_delta", partial_json='{"query": "x"}'), stopped(3),
        opened(4, **FOUND), stopped(4),
        opened(5, **{**USE, "input": {}}), grown(5, "input_json_delta", partial_json=""),
        grown(5, "input_json_delta", partial_json='{"a"'), grown(5, "input_json_delta", partial_json=": 1}"), stopped(5),
        opened(6, **blocks[6]), grown(6, "input_json_delta", partial_json=""), stopped(6),
        event("something_new", index=9), ended("tool_use", {"output_tokens": 7, "input_tokens": None}), STOP, "data: [DONE]\n\n",
    )  # fmt: skip
    reply = one.value
    assert (reply.id, reply.model, reply.content, reply.reasoning) == ("msg_1", "claude-x", "Hi you", "Hm. ")
    assert [(c.id, c.name, c.arguments) for c in reply.tool_calls] == [("t1", "f", '{"a": 1}'), ("t2", "g", "{}")]
    assert (reply.finish_reason, reply.native_finish_reason) == (FinishReason.TOOL_CALLS, "tool_use")
    assert reply.usage == Usage(input_tokens=9, output_tokens=7, total_tokens=16)
    assert reply.raw is None
    assert [(c.reasoning, c.content, c.tool_calls, c.finish_reason, c.usage) for c in chunks] == [
        ("Hm", "", [], None, None),
        (". ", "", [], None, None),
        (None, "Hi", [], None, None),
        (None, " you", [], None, None),
        (None, "", [ToolCallDelta(index=0, id="t1", name="f")], None, None),
        (None, "", [ToolCallDelta(index=0, arguments='{"a"')], None, None),
        (None, "", [ToolCallDelta(index=0, arguments=": 1}")], None, None),
        (None, "", [ToolCallDelta(index=1, id="t2", name="g")], None, None),
        (None, "", [ToolCallDelta(index=1, arguments="{}")], None, None),
        (None, "", [], FinishReason.TOOL_CALLS, reply.usage),
    ]
    assert sent_back(reply) == blocks


def test_a_stream_and_a_complete_reply_agree():
    message = complete(content=[THOUGHT, text("Hello"), USE], stop_reason="tool_use").message
    one, _ = streamed(
        start(), opened(0, type="thinking", thinking=""), grown(0, "thinking_delta", thinking="Hm. "),
        grown(0, "signature_delta", signature="sig"), stopped(0), opened(1, type="text", text="Hel"), grown(1, "text_delta", text="lo"),
        stopped(1), opened(2, **USE), stopped(2), ended("tool_use"), STOP,
    )  # fmt: skip
    assert one.value.message == message


def test_a_compaction_is_set_and_goes_back():
    block = {"type": "compaction", "content": "sum", "encrypted_content": None}
    one, chunks = streamed(
        start(), opened(0, type="compaction", content=None), grown(0, "compaction_delta", content="sum", encrypted_content=None),
        stopped(0), ended("compaction"), STOP,
    )  # fmt: skip
    assert (one.value.content, one.value.finish_reason, len(chunks)) == ("", FinishReason.PAUSED, 1)
    assert sent_back(one.value) == [block]


def test_hidden_thinking_is_sent_back_with_its_signature():
    one, _ = streamed(
        start(), opened(0, type="thinking", thinking="", signature=""), grown(0, "signature_delta", signature="s"), stopped(0),
        opened(1, type="text", text=""), grown(1, "text_delta", text="A"), stopped(1), ended(), STOP,
    )  # fmt: skip
    assert one.value.reasoning is None
    assert sent_back(one.value) == [
        {"type": "thinking", "thinking": "", "signature": "s"},
        text("A"),
    ]


def test_tool_input_that_broke_off_at_the_limit():
    one, _ = streamed(
        start(), opened(0, type="tool_use", id="t", name="f", input={}), grown(0, "input_json_delta", partial_json='{"a": "b'),
        stopped(0), ended("max_tokens"), STOP,
    )  # fmt: skip
    (asked,) = one.value.tool_calls
    assert (asked.arguments, one.value.finish_reason) == ('{"a": "b', FinishReason.LENGTH)
    with pytest.raises(InvalidResponseError):
        asked.json()
    assert sent_back(one.value) == [{"type": "tool_use", "id": "t", "name": "f", "input": {"INVALID_JSON": '{"a": "b'}}]


@pytest.mark.parametrize("stops", [(stopped(0),), ()], ids=["stopped", "never stopped"])
def test_tool_input_that_came_all_at_once(stops):
    one, chunks = streamed(start(), opened(0, **USE), *stops, ended("tool_use"), STOP)
    assert one.value.tool_calls[0].json() == {"a": 1}
    assert "".join(delta.arguments for chunk in chunks for delta in chunk.tool_calls) == '{"a": 1}'


def test_a_refused_stream_without_any_block():
    one, chunks = streamed(
        start(), PING, ended("refusal", stop_details={"type": "refusal", "explanation": "No."}), STOP
    )
    assert (one.value.finish_reason, one.value.refusal, one.value.content) == (FinishReason.REFUSAL, "No.", "")
    assert [(c.refusal, c.finish_reason) for c in chunks] == [("No.", FinishReason.REFUSAL)]


def test_usage_is_cumulative_and_null_wipes_nothing():
    first = {"input_tokens": 0, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 1}
    last = {
        "input_tokens": 4,
        "cache_read_input_tokens": None,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
    }
    one, (chunk,) = streamed(start(usage=first), ended("end_turn", last), STOP)
    assert one.value.usage == chunk.usage
    assert chunk.usage == Usage(
        input_tokens=11, output_tokens=7, total_tokens=18, cached_tokens=5, cache_write_tokens=2, reasoning_tokens=3
    )


def test_usage_that_the_end_does_not_repeat_stays():
    one, (chunk,) = streamed(start(), ended("end_turn", None), STOP)
    assert chunk.usage is None
    assert one.value.usage == Usage(input_tokens=9, output_tokens=1, total_tokens=10)


def test_a_repeated_start_is_ignored_and_another_one_is_a_splice():
    built = opened(0, type="text", text="") + grown(0, "text_delta", text="A")
    one, _ = streamed(start(), start(), built, start(), stopped(0), ended(), STOP)
    assert one.value.content == "A"
    one, error = failed(start(), built, start("msg_2"))
    assert isinstance(error, InvalidResponseError)
    assert one.partial().content == "A"


def test_a_start_that_brings_blocks():
    one, _ = streamed(start(content=[text("A"), USE]), opened(2, type="text", text="B"), stopped(2), ended(), STOP)
    assert (one.value.content, one.value.tool_calls[0].json()) == ("AB", {"a": 1})


def test_gateways_that_number_all_blocks_alike_or_open_none():
    one, _ = streamed(
        start(), opened(0, type="thinking", thinking=""), grown(0, "thinking_delta", thinking="Hm"), grown(0, "signature_delta", signature="s"),
        stopped(0), opened(0, type="text", text=""), grown(0, "text_delta", text="A"), stopped(0),
        grown(1, "text_delta", text="B"), grown(2, "thinking_delta", thinking="?"), grown(3, "input_json_delta", partial_json="{}"),
        grown(4, "new_delta", x=1), stopped(7), ended(), STOP,
    )  # fmt: skip
    assert (one.value.content, one.value.reasoning, one.value.tool_calls) == ("AB", "Hm?", [])
    assert sent_back(one.value) == [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        text("A"),
        text("B"),
    ]


def test_an_emoji_cut_over_two_deltas():
    one, chunks = streamed(
        start(), opened(0, type="text", text=""), grown(0, "text_delta", text="\ud83d"), grown(0, "text_delta", text="\ude00"), stopped(0),
        ended(), STOP,
    )  # fmt: skip
    assert one.value.content == "😀" == "".join(map(str, chunks))
    assert one.value.message == {"role": "assistant", "content": "😀"}


def test_signs_of_life():
    one, seen = stream(), []
    for piece in (
        start(), PING, opened(0, type="thinking", thinking=""), grown(0, "thinking_delta", thinking="a"), stopped(0),
        opened(1, type="tool_use", id="t", name="f", input={}), grown(1, "input_json_delta", partial_json="{}"), stopped(1), ended(), STOP,
    ):  # fmt: skip
        one.feed(piece.encode())
        seen.append((one.draft.begun, one.draft.silent, one.done))
    no, yes = False, True
    assert seen == [
        (no, no, no), (no, no, no), (yes, yes, no), (yes, no, no), (yes, no, no),
        (yes, yes, no), (yes, no, no), (yes, no, no), (yes, no, no), (yes, no, yes),
    ]  # fmt: skip


def test_the_end_of_a_refused_stream_is_a_sign_of_life():
    draft = Draft()
    form().read_event({"type": "message_delta", "delta": {}}, None, draft)
    assert draft.begun


@pytest.mark.parametrize("kept", range(1, 5))
def test_a_stream_without_its_stop_is_incomplete(kept):
    events = (start(), opened(0, type="text", text=""), grown(0, "text_delta", text="A"), ended())
    one, error = failed(*events[:kept])
    assert isinstance(error, IncompleteStreamError)
    assert one.partial().content == ("A" if kept > 2 else "")
    assert one.partial().usage.input_tokens == 9


def test_citations_that_are_no_list_break_nothing():
    opening = opened(0, type="text", text="", citations=True)
    one, _ = streamed(start(), opening, grown(0, "citations_delta", citation={"x": 1}), stopped(0), ended(), STOP)
    assert (one.value.content, one.value.message["content"]) == ("", "")


def test_malformed_events_break_nothing():
    one, _ = streamed(
        event("message_start", message=None), event("content_block_start", index=None, content_block=None), event("content_block_delta", delta=[]),
        event("content_block_stop"), event("content_block_delta", index=0, delta={"type": "text_delta", "text": None}), "data: 3\n\n", "data: {}\n\n",
        event("message_delta", delta=None, usage=3), 'event: message_stop\ndata: {"x": 1}\n\n',
    )  # fmt: skip
    assert (one.value.content, one.value.finish_reason, one.value.message[VENDOR]["items"]) == ("", None, [{}])


# -- errors -----------------------------------------------------------------------------------------------------------


def problem(kind, message="no", **details):
    error = {"type": kind, "message": message} | ({"details": details} if details else {})
    return {"type": "error", "error": error, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("kind", "cls", "status"),
    [
        ("overloaded_error", OverloadedError, 529),
        ("rate_limit_error", RateLimitError, 429),
        ("api_error", ServerError, 500),
        ("timeout_error", ServerError, 504),
        ("invalid_request_error", BadRequestError, 400),
        ("authentication_error", AuthenticationError, 401),
        ("permission_error", PermissionDeniedError, 403),
        ("not_found_error", NotFoundError, 404),
        ("billing_error", QuotaExceededError, 429),
        ("something_new", ServerError, 500),
    ],
)
def test_an_error_inside_a_stream_is_that_of_its_status(kind, cls, status):
    built = start() + opened(0, type="text", text="") + grown(0, "text_delta", text="A")
    one, error = failed(built, f"event: error\ndata: {json.dumps(problem(kind))}\n\n")
    assert type(error) is cls
    assert (error.status, error.http_status, error.type, error.request_id) == (status, 200, kind, "req_1")
    assert one.partial().content == "A"


@pytest.mark.parametrize(
    ("status", "payload", "cls"),
    [
        (400, problem("invalid_request_error"), BadRequestError),
        (400, problem("invalid_request_error", "Your credit balance is too low to access the API"), QuotaExceededError),
        (
            400,
            problem("invalid_request_error", "You have reached your specified workspace API usage limits."),
            QuotaExceededError,
        ),
        (
            400,
            problem("invalid_request_error", "prompt is too long: 215000 tokens > 200000 maximum"),
            ContextLengthError,
        ),
        (401, problem("authentication_error"), AuthenticationError),
        (402, problem("billing_error"), QuotaExceededError),
        (402, problem("billing_error", error_code="linked_organization_spend_limit_reached"), QuotaExceededError),
        (403, problem("permission_error"), PermissionDeniedError),
        (404, problem("not_found_error"), NotFoundError),
        (408, problem("invalid_request_error", error_code="request_body_timeout"), APIStatusError),
        (413, problem("request_too_large"), BadRequestError),
        (429, problem("rate_limit_error"), RateLimitError),
        (429, problem("rate_limit_error", error_code="ramp_limit_exceeded"), RateLimitError),
        (429, problem("rate_limit_error", error_code="enforced_spend_limit_reached"), QuotaExceededError),
        (429, problem("rate_limit_error", error_code="contract_spend_limit_reached"), QuotaExceededError),
        (500, problem("api_error"), ServerError),
        (504, problem("timeout_error"), ServerError),
        (529, problem("overloaded_error"), OverloadedError),
        (529, "<html>", OverloadedError),
    ],
    ids=lambda value: str(value)[:80],
)
def test_errors_by_status(status, payload, cls):
    one = exchange(stream=True)
    one.open(status, JSON)
    error = one.fail(json.dumps(payload).encode() if isinstance(payload, dict) else payload.encode())
    assert type(error) is cls
    assert (error.status, error.http_status) == (status, status)


# -- models and embeddings --------------------------------------------------------------------------------------------


def test_models_come_in_pages():
    page = {
        "data": [{"id": "a", "retires_at": "2027-01-01T00:00:00Z", "lifecycle": "active"}, {"id": "b"}],
        "has_more": True,
        "last_id": "b",
    }
    assert form().models_request(None).url == f"{BASE}/v1/models?limit=1000"
    assert form("https://h/v1").models_request("b c").url == "https://h/v1/models?limit=1000&after_id=b+c"
    models, cursor = form().parse_models(page)
    assert ([(m.id, m.retires_at) for m in models], cursor) == ([("a", "2027-01-01T00:00:00Z"), ("b", None)], "b")
    assert form().parse_models(page | {"has_more": False})[1] is None
    assert form().parse_models({"data": [], "has_more": True, "last_id": None}) == ([], None)


def test_there_are_no_embeddings():
    with pytest.raises(ConfigurationError, match="embed"):
        form().embed_request(["x"], "m", {})


# -- recorded traffic -------------------------------------------------------------------------------------------------

ROWS = recorded.rows("anthropic", "messages", "models")
STREAMS = [row for row in ROWS if row["stream"]]
EVERY_CUT = 8192


def replayed(*pieces):
    """The value of a recorded stream that arrives in these pieces."""
    one = stream()
    assert "".join(map(str, fed(one, *pieces))) == one.value.content
    return one.value


def cuts_of(body):
    """Every place up to 8 KiB where a body may be cut, and 500 beyond."""
    beyond = range(EVERY_CUT, len(body))
    return [*range(1, min(len(body), EVERY_CUT)), *random.Random(len(body)).choices(beyond, k=500 if beyond else 0)]


@recorded.needs_recordings
@pytest.mark.parametrize("row", STREAMS, ids=recorded.name)
def test_recorded_streams(row):
    body = recorded.body(row)
    value = replayed(body)
    assert recorded.check(row, value) == []
    assert [block["type"] for block in sent_back(value)] == [
        kind for kind in row["expected"]["block_types"] if kind != "text" or value.content
    ]
    assert replayed(*(body[i : i + 1] for i in range(len(body)))) == value
    cuts = cuts_of(body)
    for cut in random.Random(row["file"]).sample(cuts, min(300, len(cuts))):
        assert replayed(body[:cut], body[cut:]) == value


@recorded.needs_recordings
@pytest.mark.heavy
@pytest.mark.parametrize("row", STREAMS, ids=recorded.name)
def test_recorded_streams_cut_anywhere(row):
    body = recorded.body(row)
    value = replayed(body)
    for cut in cuts_of(body):
        assert replayed(body[:cut], body[cut:]) == value


@recorded.needs_recordings
@pytest.mark.parametrize("row", STREAMS, ids=recorded.name)
def test_recorded_streams_that_end_too_early(row):
    body = recorded.body(row)
    for end in range(0, body.index(b"event: message_stop"), 97):
        assert isinstance(failed(body[:end])[1], IncompleteStreamError)


@recorded.needs_recordings
@pytest.mark.parametrize("row", [row for row in ROWS if not row["stream"]], ids=recorded.name)
def test_recorded_replies(row):
    one = exchange(stream=False)
    one.open(row["status"], recorded.headers(row))
    if row["kind"] == "error":
        error, expected = one.fail(recorded.body(row)), row["expected"]["error"]
        assert (error.status, error.type) == (row["status"], expected["type"])
        assert expected["message"] in str(error)
    elif row["kind"] == "models":
        models, cursor = form().parse_models(json.loads(recorded.body(row)))
        assert (len(models), models[0].id, cursor) == (row["expected"]["n"], row["expected"]["first_id"], None)
    else:
        reply = read_whole(one, recorded.body(row))
        assert recorded.check(row, reply) == []
        assert sent_back(reply) == reply.raw["content"]
