"""OpenAI's chat form as everybody speaks it: what goes out to whom, and every quirk (docs/vendors.md, Chat completions)."""

import copy
import json
import random

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
from llmnet.providers.services import SERVICES
from llmnet.providers.target import Target, make_form
from llmnet.providers.writing import VENDOR

APIS = {"azure": "v1", "dashscope": "compatible", "qianfan": "v2"}
BASES = {
    "azure": "https://res.openai.azure.com/openai/v1",
    "dashscope": "https://dashscope.aliyuncs.com/compatible-mode/v1",
}


def form(provider="openai", **facts):
    service = SERVICES[provider]
    usual = {"api": APIS.get(provider, "chat-completions"), "base_url": BASES.get(provider, service.base_url)}
    return make_form("chat-completions", Target(**{"service": service, **usual, **facts}))


def request(provider="openai", messages="hi", *, stream=False, model="m", facts=None, **params):
    return form(provider, **(facts or {})).prepare(chat_request(messages, model, params, stream=stream))


def sent(*args, **kwargs):
    return json.loads(request(*args, **kwargs).body)


# -- what goes out ----------------------------------------------------------------------------------------------------


def test_a_simple_call_sends_only_its_arguments():
    assert sent() == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert (request().method, request().headers["content-type"]) == ("POST", "application/json")


CONVERSATION = [
    {"role": "system", "content": "Play."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x"}}],
        "name": "ann",
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "7"},
    {"role": "developer", "content": "Be brief."},
]


def test_messages_go_out_as_they_came():
    original = copy.deepcopy(CONVERSATION)
    assert sent(messages=original)["messages"] == CONVERSATION
    assert original == CONVERSATION


def test_items_of_a_vendor_stay_at_home():
    message = {"role": "assistant", "content": "a", VENDOR: {"form": "responses", "items": [{}], "content": "a"}}
    assert sent(messages=[message])["messages"] == [{"role": "assistant", "content": "a"}]


LIMITS = [
    ("openai", {}, "max_completion_tokens"),
    ("openai", {"base_url": "https://eu.api.openai.com/v1"}, "max_completion_tokens"),
    ("openai", {"base_url": "https://API.OpenAI.com/v1"}, "max_completion_tokens"),
    ("openai", {"base_url": "https://openai.com.evil.example/v1"}, "max_tokens"),
    ("openai", {"base_url": "https://notopenai.com/v1"}, "max_tokens"),
    ("openai", {"base_url": "http://localhost:8000/v1"}, "max_tokens"),
    ("azure", {}, "max_completion_tokens"),
    ("azure", {"api": "deployments", "base_url": "https://res.openai.azure.com/openai"}, "max_tokens"),
    ("dashscope", {}, "max_tokens"),
    ("qianfan", {}, "max_tokens"),
    ("deepseek", {}, "max_tokens"),
    ("mistral", {}, "max_tokens"),
]


@pytest.mark.parametrize(("provider", "facts", "name"), LIMITS)
def test_the_limit_goes_by_the_name_that_the_host_knows(provider, facts, name):
    assert sent(provider, facts=facts, max_tokens=7) == {**sent(provider, facts=facts), name: 7}
    # The caller's own newer name is sent unchanged to all of them.
    assert sent(provider, facts=facts, max_completion_tokens=7) == {
        **sent(provider, facts=facts),
        "max_completion_tokens": 7,
    }


USAGE_ASKED = {"stream": True, "stream_options": {"include_usage": True}}
OPTIONS = [
    ("openai", {}, USAGE_ASKED),
    ("azure", {}, USAGE_ASKED),
    ("dashscope", {}, USAGE_ASKED),
    ("qianfan", {}, USAGE_ASKED),
    ("mistral", {}, {"stream": True}),
    ("openai", {"stream_options": None}, {"stream": True}),
    (
        "openai",
        {"stream_options": {"include_obfuscation": False}},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
    ),
    ("mistral", {"stream_options": {"x": 1}}, {"stream": True, "stream_options": {"x": 1}}),
]


@pytest.mark.parametrize(("provider", "params", "expected"), OPTIONS)
def test_a_stream_asks_for_its_usage(provider, params, expected):
    assert sent(provider, stream=True, **params) == {**sent(provider), **expected}
    assert request(provider, stream=True).headers["accept"] == "text/event-stream"
    assert request(provider, stream=True).headers["accept-encoding"] == "identity"


def test_parameters_go_out_as_they_came_and_none_never():
    params = {
        "temperature": 0.5, "stop": ["x"], "n": 2, "seed": 1, "logit_bias": {"1": 2}, "reasoning_effort": "low", "user": "u",
        "response_format": {"type": "json_object"}, "tools": [], "tool_choice": "auto", "enable_thinking": True, "future": None,
    }  # fmt: skip
    original = copy.deepcopy(params)
    assert sent("openai", **params) == {
        **sent(),
        **{name: value for name, value in params.items() if value is not None},
    }
    assert params == original


def test_a_service_may_call_a_parameter_by_another_name():
    assert sent("mistral", seed=7) == {**sent("mistral"), "random_seed": 7}


CLASSIC = {"api": "deployments", "base_url": "https://res.openai.azure.com/openai", "api_version": "2024-10-21"}
BELOW = {**CLASSIC, "base_url": "https://res.openai.azure.com/openai/deployments/dep"}
ADDRESSES = [
    ("openai", {}, "https://api.openai.com/v1/chat/completions"),
    ("openai", {"base_url": "http://gateway/x/?team=a"}, "http://gateway/x/chat/completions?team=a"),
    ("azure", {}, "https://res.openai.azure.com/openai/v1/chat/completions"),
    (
        "azure",
        {"api_version": "preview"},
        "https://res.openai.azure.com/openai/v1/chat/completions?api-version=preview",
    ),
    (
        "azure",
        {"base_url": "https://res.services.ai.azure.com/models?api-version=2024-05-01-preview"},
        "https://res.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
    ),
    ("azure", CLASSIC, "https://res.openai.azure.com/openai/deployments/m/chat/completions?api-version=2024-10-21"),
    ("azure", BELOW, "https://res.openai.azure.com/openai/deployments/dep/chat/completions?api-version=2024-10-21"),
    ("dashscope", {}, "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions"),
    ("qianfan", {}, "https://qianfan.baidubce.com/v2/chat/completions"),
    ("gemini", {}, "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
    ("perplexity", {}, "https://api.perplexity.ai/chat/completions"),
    ("zhipu", {}, "https://open.bigmodel.cn/api/paas/v4/chat/completions"),
]


@pytest.mark.parametrize(("provider", "facts", "url"), ADDRESSES)
def test_addresses(provider, facts, url):
    assert request(provider, facts=facts).url == url


def test_a_deployment_is_quoted_in_the_path():
    assert "/deployments/a%2Fb%3Fc/chat/" in request("azure", facts=CLASSIC, model="a/b?c").url


@pytest.mark.parametrize("model", [".", ".."])
def test_no_deployment_leads_to_another_address(model):
    with pytest.raises(errors.ConfigurationError, match="leads to another address"):
        request("azure", facts=CLASSIC, model=model)


@pytest.mark.parametrize("facts", [CLASSIC, BELOW])
def test_azure_lists_models_next_to_its_deployments(facts):
    assert (
        form("azure", **facts).models_request(None).url
        == "https://res.openai.azure.com/openai/models?api-version=2024-10-21"
    )


@pytest.mark.parametrize(
    ("provider", "facts", "url", "more"),
    [
        ("openai", {}, "https://api.openai.com/v1/embeddings", {"encoding_format": "base64"}),
        (
            "azure",
            CLASSIC,
            "https://res.openai.azure.com/openai/deployments/m/embeddings?api-version=2024-10-21",
            {"encoding_format": "base64"},
        ),
        (
            "azure",
            BELOW,
            "https://res.openai.azure.com/openai/deployments/dep/embeddings?api-version=2024-10-21",
            {"encoding_format": "base64"},
        ),
        ("qianfan", {}, "https://qianfan.baidubce.com/v2/embeddings", {}),
    ],
)
def test_embeddings(provider, facts, url, more):
    asked = form(provider, **facts).embed_request(["a", "b"], "m", {"dimensions": 8, "user": None})
    assert (asked.method, asked.url) == ("POST", url)
    assert json.loads(asked.body) == {"model": "m", "input": ["a", "b"], "dimensions": 8, **more}


# -- complete replies ----------------------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def choice(message=None, finish="stop", index=0, **more):
    return {"index": index, "message": {"role": "assistant", **(message or {})}, "finish_reason": finish, **more}


def completion(*choices, **more):
    base = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-5.4-2026-03-05", "usage": USAGE}
    return {**base, "choices": list(choices), **more}


def read(payload, provider="openai", *, stream=False):
    exchange = ReplyReader(form(provider), stream=stream)
    exchange.open(200, Headers({"content-type": "application/json"}))
    return read_whole(exchange, json.dumps(payload).encode())


def reply_of(message, **more):
    return read(completion(choice(message, **more)))


def test_a_complete_reply():
    payload = completion(choice({"content": "Hello", "refusal": None, "annotations": []}))
    reply = read(payload)
    assert (reply.id, reply.model, reply.content, reply.provider) == (
        "chatcmpl-1",
        "gpt-5.4-2026-03-05",
        "Hello",
        "openai",
    )
    assert (reply.reasoning, reply.refusal, reply.tool_calls) == (None, None, [])
    assert (reply.finish_reason, reply.native_finish_reason) == (FinishReason.STOP, "stop")
    assert reply.usage == Usage(input_tokens=10, output_tokens=5, total_tokens=15)
    assert reply.raw == payload
    assert reply.message == {"role": "assistant", "content": "Hello"}


CONTENTS = [
    ({"content": None}, ("", None, None)),
    ({"content": ""}, ("", None, None)),
    ({}, ("", None, None)),
    ({"content": "a"}, ("a", None, None)),
    ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, ("ab", None, None)),
    ({"content": []}, ("", None, None)),
    # Mistral's reasoning models.
    (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
            ]
        },
        ("a", "hm", None),
    ),
    ({"content": None, "refusal": "no"}, ("", None, "no")),
    ({"content": "a", "reasoning_content": "hm"}, ("a", "hm", None)),
    (
        {"content": "a", "reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        ("a", "hm", None),
    ),
    ({"content": "a", "reasoning_content": "", "reasoning": "hm"}, ("a", "hm", None)),
    ({"content": "a", "reasoning_content": None}, ("a", None, None)),
    ({"content": None, "audio": {"id": "audio_1", "data": "AA==", "transcript": "a"}}, ("", None, None)),
]


@pytest.mark.parametrize(("message", "expected"), CONTENTS, ids=range(len(CONTENTS)))
def test_texts_of_a_message(message, expected):
    reply = reply_of(message)
    assert (reply.content, reply.reasoning, reply.refusal) == expected


def call(call_id, name="f", arguments="{}", **more):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


A, B = ToolCall(id="a", name="f", arguments="{}"), ToolCall(id="b", name="g", arguments='{"x":1}')
CALLS = [
    ({"tool_calls": None}, []),
    ({"tool_calls": []}, []),
    ({"tool_calls": [call("a"), call("b", "g", '{"x":1}')]}, [A, B]),
    ({"tool_calls": [call("a", index=0), call("b", "g", '{"x":1}', index=0)]}, [A, B]),
    ({"tool_calls": [call("b", "g", {"x": 1})]}, [ToolCall(id="b", name="g", arguments='{"x": 1}')]),
    ({"tool_calls": [call("a", arguments=None)]}, [ToolCall(id="a", name="f", arguments="")]),
    (
        {"tool_calls": [call(None), call(None, "g")]},
        [ToolCall(id="", name="f", arguments="{}"), ToolCall(id="", name="g", arguments="{}")],
    ),
    (
        {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "calc", "input": "4"}}]},
        [ToolCall(id="c", name="calc", arguments="4")],
    ),
    ({"function_call": {"name": "f", "arguments": "{}"}}, [ToolCall(id="", name="f", arguments="{}")]),
    ({"function_call": {"name": "", "arguments": ""}}, []),
    ({"function_call": {}, "tool_calls": None}, []),
    ({"function_call": {"name": "f", "arguments": "{}"}, "tool_calls": [call("a")]}, [A]),
]


@pytest.mark.parametrize(("message", "expected"), CALLS, ids=range(len(CALLS)))
def test_tool_calls(message, expected):
    assert reply_of({"content": None, **message}).tool_calls == expected


FINISHES = [
    ("stop", FinishReason.STOP), ("length", FinishReason.LENGTH), ("model_length", FinishReason.LENGTH),
    ("tool_calls", FinishReason.TOOL_CALLS), ("function_call", FinishReason.TOOL_CALLS),
    ("content_filter", FinishReason.CONTENT_FILTER), ("sensitive", FinishReason.CONTENT_FILTER), ("error", FinishReason.ERROR),
    ("insufficient_system_resource", FinishReason.ERROR), ("repetition", FinishReason.OTHER),
]  # fmt: skip


@pytest.mark.parametrize(("native", "finish"), FINISHES)
def test_finish_reasons(native, finish):
    reply = reply_of({"content": "a"}, finish=native)
    assert (reply.finish_reason, reply.native_finish_reason) == (finish, native)


@pytest.mark.parametrize("native", [None, ""])
def test_no_finish_reason_is_guessed(native):
    reply = reply_of({"content": "a"}, finish=native)
    assert (reply.finish_reason, reply.native_finish_reason) == (None, None)


@pytest.mark.parametrize(
    ("flag", "finish"),
    [
        (0, FinishReason.STOP),
        (1, FinishReason.STOP),
        (2, FinishReason.CONTENT_FILTER),
        (4, FinishReason.CONTENT_FILTER),
        (None, FinishReason.STOP),
    ],
)
def test_qianfan_flags_unsafe_content(flag, finish):
    reply = reply_of({"content": "a"}, flag=flag, ban_round=-1)
    assert (reply.finish_reason, reply.native_finish_reason) == (finish, "stop")


def test_a_forced_tool_choice_ends_with_stop():
    reply = reply_of({"content": None, "tool_calls": [call("a")]})
    assert (reply.finish_reason, reply.tool_calls) == (FinishReason.STOP, [A])


USAGES = [
    (None, {}),
    ({}, {}),
    ([], {}),
    ({"prompt_tokens": 3}, {"input_tokens": 3}),
    ({"prompt_tokens": 3, "completion_tokens": 2}, {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}),
    (
        {
            **USAGE,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        {"cached_tokens": 4, "cache_write_tokens": 2, "reasoning_tokens": 3},
    ),
    ({**USAGE, "prompt_tokens_details": {"cache_creation_input_tokens": 2}}, {"cache_write_tokens": 2}),
    ({**USAGE, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 2}, {"cached_tokens": 8}),
    (
        {
            **USAGE,
            "prompt_tokens_details": None,
            "completion_tokens_details": None,
            "cost": 0.1,
            "latency_checkpoint": {},
        },
        {},
    ),
]


@pytest.mark.parametrize(("usage", "expected"), USAGES, ids=range(len(USAGES)))
def test_usage(usage, expected):
    known = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15} if usage and "total_tokens" in usage else {}
    assert read(completion(choice({"content": "a"}), usage=usage)).usage == Usage(**known, **expected)


def test_of_several_choices_the_reply_is_the_first():
    payload = completion(choice({"content": "b"}, index=1), choice({"content": "a"}))
    reply = read(payload)
    assert reply.content == "a"
    assert reply.raw["choices"][0]["message"]["content"] == "b"


@pytest.mark.parametrize("payload", [{}, {"choices": []}, {"choices": None}, {"choices": {}}, [], "text", 7])
def test_a_reply_without_choices_is_none(payload):
    with pytest.raises(AttemptError) as caught:
        read(payload)
    assert isinstance(caught.value.outcome.error, errors.InvalidResponseError)


IN_SUCCESS = [
    (
        "openai",
        {"error": {"message": "pay", "type": "insufficient_quota", "code": "insufficient_quota"}},
        errors.QuotaExceededError,
        429,
    ),
    ("dashscope", {"error": {"message": "slow", "code": "insufficient_quota"}}, errors.RateLimitError, 429),
    ("openrouter", {"error": {"message": "slow", "code": 429}, "choices": []}, errors.RateLimitError, 429),
    ("openrouter", {"error": {"message": "cut", "code": "502"}}, errors.ServerError, 502),
    ("openai", {"error": {"message": "?", "type": None, "code": None}}, errors.ServerError, 500),
    ("openai", {"error": "out of order"}, errors.ServerError, 500),
    ("qianfan", {"code": "rpm_rate_limit_exceeded", "msg": "slow"}, errors.RateLimitError, 429),
    ("minimax", {"base_resp": {"status_code": 1008, "status_msg": "balance"}}, errors.QuotaExceededError, 429),
    (
        "vllm",
        {"object": "error", "message": "bad", "type": "BadRequestError", "code": 400},
        errors.BadRequestError,
        400,
    ),
]


@pytest.mark.parametrize(("provider", "payload", "cls", "status"), IN_SUCCESS, ids=range(len(IN_SUCCESS)))
@pytest.mark.parametrize("streamed", [True, False])
def test_errors_inside_a_success(provider, payload, cls, status, streamed):
    with pytest.raises(AttemptError) as caught:
        StreamReader(payload, provider=provider) if streamed else read(payload, provider)
    found = caught.value.outcome.error
    assert (type(found), found.status, found.http_status) == (cls, status, 200)


def test_a_plain_reply_to_a_stream_is_one_chunk():
    exchange = ReplyReader(form(), stream=True)
    exchange.open(200, Headers({"content-type": "application/json"}))
    exchange.feed(json.dumps(completion(choice({"content": "Hello"}))).encode())
    (chunk,) = exchange.end()
    assert (str(chunk), chunk.finish_reason, exchange.value.content) == ("Hello", "stop", "Hello")


@pytest.mark.parametrize(
    ("provider", "back"), [("deepseek", True), ("moonshot", True), ("qianfan", False), ("openai", False)]
)
def test_reasoning_goes_back_to_those_that_ask_for_it(provider, back):
    message = read(completion(choice({"content": "a", "reasoning_content": "hm"})), provider).message
    assert message == {"role": "assistant", "content": "a", **({"reasoning_content": "hm"} if back else {})}


# -- streams ----------------------------------------------------------------------------------------------------------


def chunk(delta=None, finish=None, index=0, **more):
    row = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-5.4", "choices": [row], **more}


def bare(row=None, **more):
    """A chunk with these fields in its only choice, or without one."""
    return {**chunk(), "choices": [row] if row else [], **more}


DONE = "[DONE]"
ROLE, END = chunk({"role": "assistant", "content": ""}), chunk(finish="stop")


class StreamReader:
    """A stream, event by event: its chunks, how many each event gave, and the reply."""

    def __init__(self, *events, provider="openai"):
        self.exchange = ReplyReader(form(provider), stream=True)
        self.exchange.open(200, Headers({"content-type": "text/event-stream"}))
        self.chunks, self.counts = [], []
        for event in events:
            chunks = self.exchange.feed(event if isinstance(event, bytes) else frame(event))
            self.chunks += chunks
            self.counts.append(len(chunks))
        self.chunks += self.exchange.end()
        self.reply = self.exchange.value


def frame(event):
    return f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode()


def content(text, **more):
    return chunk({"content": text}, **more)


def test_the_usual_stream():
    reader = StreamReader(ROLE, content("Hel"), content("lo"), END, bare(usage=USAGE), DONE)
    assert reader.counts == [0, 1, 1, 1, 1, 0]
    assert [str(c) for c in reader.chunks] == ["Hel", "lo", "", ""]
    assert [c.finish_reason for c in reader.chunks] == [None, None, "stop", None]
    assert reader.chunks[-1].usage == reader.reply.usage == Usage(input_tokens=10, output_tokens=5, total_tokens=15)
    assert reader.reply.raw is None
    assert (reader.reply.id, reader.reply.model, reader.reply.content) == ("chatcmpl-1", "gpt-5.4", "Hello")
    assert reader.chunks[0].raw["choices"][0]["delta"] == {"content": "Hel"}


AZURE_FIRST = {
    "choices": [],
    "id": "",
    "model": "",
    "object": "",
    "created": 0,
    "prompt_filter_results": [{"prompt_index": 0}],
}
QUIRKS = {
    "usage is null until its chunk": [content("Hel", usage=None), content("lo", usage=None), END, bare(usage=USAGE), DONE],
    "usage rides with the finish": [content("Hello"), chunk(finish="stop", usage=USAGE), DONE],
    "usage rides with the last text": [content("Hello", usage=USAGE), END, DONE],
    "usage in each chunk": [content("Hel", usage={"prompt_tokens": 1}), content("lo", usage=USAGE), END, DONE],
    "usage after the finish and another chunk": [content("Hello"), END, bare(moderation={}), bare(usage=USAGE), DONE],
    "Groq's usage": [content("Hello"), chunk(finish="stop", x_groq={"id": "req_1", "usage": USAGE}), DONE],
    "Azure opens with filter results": [AZURE_FIRST, ROLE, content("Hello"), END, bare(usage=USAGE), DONE],
    "Azure's asynchronous filter": [
        content("Hello"), bare({"index": 0, "content_filter_results": {}, "content_filter_offsets": {}}),
        bare({"index": 0, "finish_reason": None, "delta": None}), END, bare(usage=USAGE), DONE,
    ],
    "the finish comes with the text": [chunk({"content": "Hello"}, "stop"), bare(usage=USAGE), DONE],
    "the finish has no delta": [content("Hello"), bare({"index": 0, "finish_reason": "stop"}), bare(usage=USAGE), DONE],
    "the finish is an empty text until the end": [chunk({"content": "Hello"}, ""), END, bare(usage=USAGE), DONE],
    "the finish is absent until the end": [bare({"index": 0, "delta": {"content": "Hello"}}), END, bare(usage=USAGE), DONE],
    "a role in no delta, null in others": [content("Hel"), chunk({"role": None, "content": "lo", "tool_calls": None, "function_call": None, "refusal": None}), END, bare(usage=USAGE), DONE],
    "content in parts": [chunk({"content": [{"type": "text", "text": "Hel"}]}), chunk({"content": [{"type": "text", "text": "lo"}]}), END, bare(usage=USAGE), DONE],
    "other choices between": [content("Hel"), content("no", index=1), chunk(finish="length", index=1), content("lo"), END, bare(usage=USAGE), DONE],
    "no choice has an index": [bare({"delta": {"content": "Hello"}}), bare({"delta": {}, "finish_reason": "stop"}), bare(usage=USAGE), DONE],
    "comments, pings and empty events": [b": OPENROUTER PROCESSING\n\n", b"event: ping\ndata: {}\n\n", b"data:\n\n", content("Hello"), END, bare(usage=USAGE), DONE],
    "no blank behind the colon": [b"data:" + frame(content("Hello"))[6:], END, bare(usage=USAGE), b"data:[DONE]\n\n"],
    "carriage returns": [frame(content("Hello")).replace(b"\n", b"\r\n"), END, bare(usage=USAGE), b"data: [DONE]\r\n\r\n"],
    "padding": [content("Hello", obfuscation="x7"), END, bare(usage=USAGE), b"data:   [DONE]  \n\n"],
    "no end but its finish": [content("Hello"), END, bare(usage=USAGE)],
    "no blank line at the end": [content("Hello"), END, frame(bare(usage=USAGE)).rstrip()],
    "a service that opens with names only": [{"id": "chatcmpl-1", "model": "gpt-5.4"}, content("Hello", id="", model=""), END, bare(usage=USAGE), DONE],
    "something after the end": [content("Hello"), END, bare(usage=USAGE), DONE, content("?")],
}  # fmt: skip


@pytest.mark.parametrize("events", QUIRKS.values(), ids=QUIRKS)
def test_quirks_of_streams(events):
    reader = StreamReader(*events)
    reply = reader.reply
    assert "".join(map(str, reader.chunks)) == reply.content == "Hello"
    assert (reply.id, reply.model) == ("chatcmpl-1", "gpt-5.4")
    assert (reply.finish_reason, reply.native_finish_reason) == (FinishReason.STOP, "stop")
    assert reply.usage.total_tokens == 15
    assert (reply.tool_calls, reply.reasoning, reply.refusal) == ([], None, None)


def test_nothing_to_show_is_no_chunk():
    nothing = [
        AZURE_FIRST,
        ROLE,
        bare(),
        chunk({"content": None}),
        chunk({"content": ""}),
        {},
        bare(usage=None),
        chunk({"audio": {"expires_at": 1}}),
    ]
    assert StreamReader(*nothing, END, DONE).counts == [0] * len(nothing) + [1, 0]


@pytest.mark.parametrize(
    "delta",
    [
        {"audio": {"id": "audio_1", "data": "AA=="}},
        {"audio": {"transcript": "a"}},
        {"images": [{"image_url": {"url": "data:x"}}]},
    ],
)
def test_audio_and_images_are_chunks_that_only_raw_shows(delta):
    reader = StreamReader(chunk(delta), END, DONE)
    assert reader.counts == [1, 1, 0]
    assert reader.chunks[0].raw["choices"][0]["delta"] == delta
    assert reader.reply.content == ""


def test_reasoning_comes_before_the_text():
    reader = StreamReader(
        chunk({"content": None, "reasoning_content": "h"}), chunk({"content": None, "reasoning_content": "m"}),
        chunk({"content": "Hello", "reasoning_content": None}), chunk({"refusal": "no"}), END, DONE,
    )  # fmt: skip
    assert [c.reasoning for c in reader.chunks] == ["h", "m", None, None, None]
    assert (reader.reply.reasoning, reader.reply.content, reader.reply.refusal) == ("hm", "Hello", "no")


@pytest.mark.parametrize(
    "delta", [{"reasoning": "hm", "reasoning_details": [{"text": "hm"}]}, {"reasoning_content": "hm"}]
)
def test_reasoning_in_two_spellings(delta):
    assert StreamReader(chunk(delta), END, DONE).reply.reasoning == "hm"


def piece(arguments="", **more):
    return {"function": {"arguments": arguments}, **more}


def opening(call_id, name, arguments="", **more):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


WEATHER = [ToolCall(id="a", name="f", arguments='{"x":1}')]
TWO = [*WEATHER, ToolCall(id="b", name="g", arguments="[2]")]
TOOL_STREAMS = {
    "by index": ([[opening("a", "f", index=0)], [piece('{"x"', index=0)], [piece("", index=0)], [piece(":1}", index=0)]], WEATHER),
    "complete at once": ([[opening("a", "f", '{"x":1}', index=0)]], WEATHER),
    "parallel and interleaved": (
        [[opening("a", "f", index=0)], [opening("b", "g", index=1)], [piece('{"x"', index=0)], [piece("[2", index=1)], [piece(":1}", index=0), piece("]", index=1)]],
        TWO,
    ),
    "indexes that start at one": ([[opening("a", "f", '{"x":1}', index=1)], [opening("b", "g", "[2]", index=2)]], TWO),
    "DashScope: null arguments, empty ids, types repeated": (
        [
            [{"id": "a", "index": 0, "type": "function", "function": {"name": "f", "arguments": None}}],
            [{"id": "", "index": 0, "type": "function", "function": {"name": None, "arguments": '{"x":1}'}}],
            [{"id": "", "index": 0, "type": "function", "function": {"arguments": ""}}],
        ],
        WEATHER,
    ),
    "id in each delta": ([[opening("a", "f", index=0)], [piece('{"x"', index=0, id="a")], [piece(":1}", index=0, id="a")]], WEATHER),
    "another id in each delta": ([[opening("a", "f", index=0)], [piece('{"x"', index=0, id="u1")], [piece(":1}", index=0, id="u2")]], WEATHER),
    "no index": ([[opening("a", "f")], [piece('{"x"')], [piece(":1}")], [opening("b", "g")], [piece("[2]")]], TWO),
    "no index, id in each delta": ([[opening("a", "f")], [opening("b", "g")], [piece('{"x":1}', id="a")], [piece("[2]", id="b")]], TWO),
    "no index, both at once": ([[opening("a", "f", '{"x":1}'), opening("b", "g", "[2]")]], TWO),
    "one index for all": ([[opening("a", "f", '{"x":1}', index=0)], [opening("b", "g", "[2]", index=0)]], TWO),
    "{} before the real object": ([[opening("a", "f", "{}", index=0)], [piece('{"x"', index=0)], [piece(":1}", index=0)]], WEATHER),
    "no id at all": ([[opening(None, "f", '{"x":1}', index=0)]], [ToolCall(id="", name="f", arguments='{"x":1}')]),
    "arguments as an object": ([[{"id": "a", "index": 0, "function": {"name": "f", "arguments": {"x": 1}}}]], [ToolCall(id="a", name="f", arguments='{"x": 1}')]),
    "cut at its length": ([[opening("a", "f", '{"x', index=0)]], [ToolCall(id="a", name="f", arguments='{"x')]),
    "a custom tool": ([[{"id": "a", "index": 0, "type": "custom", "custom": {"name": "f", "input": "4"}}], [{"index": 0, "custom": {"input": "2"}}]], [ToolCall(id="a", name="f", arguments="42")]),
}  # fmt: skip


@pytest.mark.parametrize(("deltas", "expected"), TOOL_STREAMS.values(), ids=TOOL_STREAMS)
def test_tool_calls_in_streams(deltas, expected):
    reader = StreamReader(*[chunk({"tool_calls": rows}) for rows in deltas], chunk(finish="tool_calls"), DONE)
    assert reader.reply.tool_calls == expected
    pieces = [p for c in reader.chunks for p in c.tool_calls]
    assert all(p.id or p.name or p.arguments for p in pieces)
    assert len({p.index for p in pieces}) == len(expected)


def test_a_piece_of_a_call_is_a_chunk():
    reader = StreamReader(
        chunk({"tool_calls": [opening("a", "f", index=3)]}),
        chunk({"tool_calls": [piece("", index=3)]}),
        chunk({"tool_calls": [piece("{}", index=3)]}),
        END,
        DONE,
    )
    assert reader.counts == [1, 0, 1, 1, 0]
    assert [p for c in reader.chunks for p in c.tool_calls] == [
        ToolCallDelta(index=3, id="a", name="f"),
        ToolCallDelta(index=3, arguments="{}"),
    ]


def test_the_legacy_function_call_is_one_tool_call():
    deltas = [{"name": "f", "arguments": ""}, {"arguments": '{"x"'}, {"arguments": ":1}"}]
    reader = StreamReader(*[chunk({"function_call": delta}) for delta in deltas], chunk(finish="function_call"), DONE)
    assert reader.reply.tool_calls == [ToolCall(id="", name="f", arguments='{"x":1}')]
    assert reader.reply.finish_reason == FinishReason.TOOL_CALLS


def test_an_empty_legacy_call_in_each_delta_is_none():
    empty = {"name": "", "arguments": ""}
    assert (
        StreamReader(
            chunk({"content": "Hello", "function_call": empty}), chunk({"function_call": empty}), END, DONE
        ).reply.tool_calls
        == []
    )


def test_older_qianfan_streams_end_by_a_field_of_their_own():
    last = bare({"index": 0, "delta": {"content": "lo"}, "is_end": True, "need_clear_history": False})
    reply = StreamReader(content("Hel"), last).reply
    assert (reply.content, reply.finish_reason) == ("Hello", None)


@pytest.mark.parametrize(
    "events", [[], [ROLE], [content("Hel")], [content("Hel"), bare(usage=USAGE)], [content("Hel"), b"data: {"]]
)
def test_a_stream_without_end_or_finish_is_not_complete(events):
    with pytest.raises(AttemptError) as caught:
        StreamReader(*events)
    assert isinstance(caught.value.outcome.error, errors.IncompleteStreamError)


def test_an_error_after_text():
    exchange = ReplyReader(form("openrouter"), stream=True)
    exchange.open(200, Headers({"content-type": "text/event-stream"}))
    # OpenRouter's looks like an ordinary chunk except for the error next to its choices.
    late = chunk({"content": ""}, error={"code": 429, "message": "slow down"}, usage=USAGE)
    assert [str(c) for c in exchange.feed(frame(content("Hel")) + frame(late))] == ["Hel"]
    with pytest.raises(AttemptError) as caught:
        exchange.end()
    assert isinstance(caught.value.outcome.error, errors.RateLimitError)
    assert exchange.partial().content == "Hel"


def test_a_moderation_that_failed_is_no_failure_of_the_call():
    result = {"input": {"type": "error", "code": "x", "message": "y"}, "output": {}}
    assert StreamReader(content("Hello", moderation=result), END, DONE).reply.content == "Hello"
    filtered = bare({"index": 0, "delta": {}, "content_filter_results": {"error": {"code": "x", "message": "y"}}})
    assert StreamReader(content("Hello"), filtered, END, DONE).reply.content == "Hello"


def test_line_ends_of_unicode_are_text():
    text = "a\u2028b\u2029c\x85d\x0be"
    raw = b"data: " + json.dumps(content(text), ensure_ascii=False).encode() + b"\n\n"
    assert StreamReader(raw, END, DONE).reply.content == text


# -- recorded traffic -------------------------------------------------------------------------------------------------

ROWS = [
    row
    for provider, api in (
        ("openai", "chat-completions"), ("azure", "chat-completions"), ("dashscope", "chat-completions"),
        ("openai-compatible", "chat-completions"), ("qianfan", "v2"),
    )
    for row in recorded.rows(provider, api)
]  # fmt: skip
STREAMS = [row for row in ROWS if row["stream"]]


def form_of(row):
    return form("openai" if row["provider"] == "openai-compatible" else row["provider"])


@recorded.needs_recordings
@pytest.mark.parametrize("row", ROWS, ids=recorded.name)
def test_recorded_replies(row):
    chunks, value = recorded.replay(form_of(row), row, [recorded.body(row)])
    if row["kind"] == "error" or row["error_in_200"]:
        assert isinstance(value, errors.APIStatusError)
        wanted = row["expected"].get("error") or {}
        assert str(wanted.get("message", ""))[:60] in str(value)
        assert value.code == (None if wanted.get("code") is None else str(wanted["code"]))
        return
    assert recorded.check(row, value) == []
    assert not row["stream"] or "".join(map(str, chunks)) == value.content


@pytest.mark.slow
@recorded.needs_recordings
@pytest.mark.parametrize("row", STREAMS, ids=recorded.name)
def test_recorded_streams_do_not_depend_on_how_they_are_cut(row):
    assert recorded.differing(form_of(row), row, recorded.some_cuts(recorded.body(row), 1_000_000)) == []


@pytest.mark.heavy
@pytest.mark.timeout(600)
@recorded.needs_recordings
@pytest.mark.parametrize("row", STREAMS, ids=recorded.name)
def test_recorded_streams_at_every_cut(row):
    cuts = ([place] for place in recorded.every_cut(recorded.body(row)))
    assert recorded.differing(form_of(row), row, cuts) == []


@recorded.needs_recordings
@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] != "error"], ids=recorded.name)
def test_whatever_a_server_sends_only_our_errors_come_out(row):
    data, own, chance = recorded.body(row).decode(), form_of(row), random.Random(3)
    for _ in range(max(10, 60_000 // len(data))):
        spoiled = recorded.spoiled(data, row["stream"], chance)
        _, value = recorded.replay(own, row, [spoiled.encode("utf-8", "surrogatepass")])
        assert value is not None
