"""DashScope's native form: what goes out (docs/vendors.md, Translation), what comes of recorded and of troubled replies."""

import copy
import itertools
import json
import random

import pytest
from support import recorded
from support.replies import read_whole

from llmnet.core.chat import FinishReason, Usage
from llmnet.core.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    IncompleteStreamError,
    InvalidResponseError,
    RateLimitError,
    ServerError,
)
from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.request import chat_request
from llmnet.core.tool_call import ToolCall
from llmnet.providers.dashscope import Native
from llmnet.providers.services import DASHSCOPE
from llmnet.providers.target import Target
from llmnet.testing import Reply

BASE = "https://dashscope.aliyuncs.com/api/v1"
TEXT = f"{BASE}/services/aigc/text-generation/generation"
MULTIMODAL = f"{BASE}/services/aigc/multimodal-generation/generation"


def native(**fields):
    return Native(Target(service=DASHSCOPE, api="native", base_url=BASE, **fields))


FORM = native()
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}


def prepared(messages="hi", *, stream=False, form=FORM, **params):
    return form.prepare(chat_request(messages, "qwen-plus", params, stream=stream))


def sent(messages="hi", **kwargs):
    return json.loads(prepared(messages, **kwargs).body)


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


# -- requests -----------------------------------------------------------------------------------------------------------


def test_a_plain_request():
    request = prepared()
    assert (request.method, request.url) == ("POST", TEXT)
    assert json.loads(request.body) == {
        "model": "qwen-plus",
        "input": {"messages": [{"role": "user", "content": "hi"}]},
        "parameters": {"result_format": "message"},
    }
    assert "x-dashscope-sse" not in request.headers
    assert request.headers["accept"] == "application/json"


def test_a_stream_is_asked_for_by_header():
    request = prepared(stream=True)
    assert request.headers["x-dashscope-sse"] == "enable"
    assert request.headers["accept"] == "text/event-stream"
    body = json.loads(request.body)
    assert body["parameters"] == {"result_format": "message", "incremental_output": True}
    assert "stream" not in body


def test_the_callers_headers_stand():
    form = native(headers={"X-DashScope-SSE": "disable", "X-DashScope-WorkSpace": "ws"})
    headers = prepared(stream=True, form=form).headers
    assert headers["x-dashscope-sse"] == "disable"
    assert headers["x-dashscope-workspace"] == "ws"
    assert "x-dashscope-sse" not in prepared(stream=True, form=native(headers={"X-DashScope-SSE": None})).headers


@pytest.mark.parametrize(
    ("chat_params", "expected"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"reasoning_effort": "none"}, {"enable_thinking": False}),
        ({"reasoning_effort": "low"}, {"enable_thinking": True, "thinking_budget": 1024}),
        ({"reasoning_effort": "max"}, {"enable_thinking": True, "thinking_budget": 16384}),
        ({"reasoning_effort": "low", "thinking_budget": 7}, {"enable_thinking": True, "thinking_budget": 7}),
        ({"thinking_budget": 7, "reasoning_effort": "low"}, {"enable_thinking": True, "thinking_budget": 7}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"stop": "a"}, {"stop": "a"}),
        (
            {"n": 2, "seed": 3, "logprobs": True, "top_logprobs": 2},
            {"n": 2, "seed": 3, "logprobs": True, "top_logprobs": 2},
        ),
        ({"presence_penalty": 1.5}, {"presence_penalty": 1.5}),
        ({"repetition_penalty": 1.1, "top_k": 5}, {"repetition_penalty": 1.1, "top_k": 5}),
        ({"tools": [TOOL]}, {"tools": [TOOL]}),
        ({"tool_choice": "auto"}, {"tool_choice": "auto"}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        ({"tool_choice": "none"}, {"tool_choice": "none"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        (
            {"enable_search": True, "search_options": {"forced_search": True}},
            {"enable_search": True, "search_options": {"forced_search": True}},
        ),
        ({"something_new": {"a": 1}}, {"something_new": {"a": 1}}),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_parameters(chat_params, expected):
    assert sent(**chat_params)["parameters"] == {"result_format": "message", **expected}


@pytest.mark.parametrize(
    ("chat_params", "expected"),
    [
        ({"incremental_output": False}, {"result_format": "message", "incremental_output": False}),
        ({"incremental_output": None}, {"result_format": "message"}),
        ({"result_format": "text"}, {"result_format": "text", "incremental_output": True}),
        ({"result_format": None}, {"incremental_output": True}),
        ({"stream_options": None}, {"result_format": "message", "incremental_output": True}),
    ],
)
def test_the_callers_own_value_wins_over_a_default(chat_params, expected):
    assert sent(stream=True, **chat_params)["parameters"] == expected


@pytest.mark.parametrize(
    "chat_params",
    [
        {"user": "u"}, {"metadata": {"a": "b"}}, {"frequency_penalty": 1},
        {"stream_options": {"chunk_include_usage": True}},
        {"reasoning_effort": "enormous"}, {"reasoning_effort": ["low"]},
    ],
    ids=str,
)  # fmt: skip
def test_what_has_no_counterpart_is_refused(chat_params):
    with pytest.raises(ConfigurationError, match=next(iter(chat_params))):
        prepared(stream=True, **chat_params)


@pytest.mark.parametrize(
    ("messages", "url", "expected"),
    [
        ("hi", TEXT, [{"role": "user", "content": "hi"}]),
        ([{"role": "developer", "content": "d"}], TEXT, [{"role": "system", "content": "d"}]),
        ([{"role": "system", "content": "s"}], TEXT, [{"role": "system", "content": "s"}]),
        (user({"type": "text", "text": "a"}, {"type": "text", "text": "b"}), TEXT, [{"role": "user", "content": "ab"}]),
        (user({"text": "a"}), TEXT, [{"role": "user", "content": "a"}]),
        (user(), TEXT, [{"role": "user", "content": ""}]),
        (
            user({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
            TEXT,
            user({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
        ),
        (
            [{"role": "assistant", "content": "a", "reasoning_content": "r", "partial": True, "vendor": {"form": "x"}}],
            TEXT,
            [{"role": "assistant", "content": "a", "reasoning_content": "r", "partial": True}],
        ),
        (
            [{"role": "assistant", "tool_calls": [CALL]}],
            TEXT,
            [{"role": "assistant", "content": "", "tool_calls": [CALL]}],
        ),
        (
            user(
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "auto"}},
                {"type": "text", "text": "?"},
            ),
            MULTIMODAL,
            user({"image": "https://x/y.png"}, {"text": "?"}),
        ),
        (
            user({"type": "image_url", "image_url": "data:image/png;base64,AA==", "min_pixels": 9}),
            MULTIMODAL,
            user({"image": "data:image/png;base64,AA==", "min_pixels": 9}),
        ),
        (
            user({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
            MULTIMODAL,
            user({"audio": "data:audio/wav;base64,AA=="}),
        ),
        (
            user({"type": "input_audio", "input_audio": {"data": "https://x/y.mp3", "format": "mp3"}}),
            MULTIMODAL,
            user({"audio": "https://x/y.mp3"}),
        ),
        (
            user({"type": "input_audio", "input_audio": {"data": "data:audio/mp3;base64,AA=="}}),
            MULTIMODAL,
            user({"audio": "data:audio/mp3;base64,AA=="}),
        ),
        (user({"image": "oss://x", "max_pixels": 4}), MULTIMODAL, user({"image": "oss://x", "max_pixels": 4})),
        (user({"video": ["1.jpg", "2.jpg"], "fps": 2}), MULTIMODAL, user({"video": ["1.jpg", "2.jpg"], "fps": 2})),
        (user({"audio": "https://x/y.mp3"}), MULTIMODAL, user({"audio": "https://x/y.mp3"})),
        (
            [
                {"role": "system", "content": "s"},
                *user({"image": "i"}),
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            ],
            MULTIMODAL,
            [
                {"role": "system", "content": [{"text": "s"}]},
                *user({"image": "i"}),
                {"role": "assistant", "content": [], "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": [{"text": "sunny"}]},
            ],
        ),
    ],
)
def test_messages(messages, url, expected):
    before = copy.deepcopy(messages)
    request = prepared(messages)
    assert request.url == url
    assert json.loads(request.body)["input"]["messages"] == expected
    assert messages == before


@pytest.mark.parametrize(
    ("messages", "where"),
    [
        (
            user({"type": "text", "text": "a"}, {"type": "file", "file": {"file_id": "f"}}),
            r"messages\[0\].content\[1\]",
        ),
        (user({"type": "refusal", "refusal": "no"}), "refusal"),
        (user({"type": "text"}), r"content\[0\].text"),
        (user({"type": "image_url", "image_url": {}}), "image_url.url"),
        (user({"type": "image_url"}), "image_url.url"),
        (user({"type": "image_url", "image_url": {"url": "u", "detail": "high"}}), "detail"),
        (user({"type": "input_audio"}), "input_audio.data"),
        (user({"type": "input_audio", "input_audio": {"data": "AA=="}}), "input_audio.format"),
        (user({"type": ["text"]}), "type"),
        (user({}), "type None"),
        ([{"role": "function", "name": "f", "content": "x"}], "'tool'"),
        (
            [{"role": "tool", "tool_call_id": "c", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}],
            "only text",
        ),
    ],
)
def test_messages_without_a_counterpart(messages, where):
    with pytest.raises(ConfigurationError, match=where):
        prepared(messages)


def test_a_complete_conversation_with_tools():
    """Two turns, the assistant message of the first one sent back as the reply gave it."""
    opening = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Paris and Rome?"}]
    calls = [
        {
            "index": 0,
            "id": "call_1",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
        },
        {
            "index": 1,
            "id": "call_2",
            "type": "function",
            "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
        },
    ]
    message = {"role": "assistant", "content": "Let me see.", "reasoning_content": "Two calls.", "tool_calls": calls}
    reply = read_json(
        {"output": {"choices": [{"finish_reason": "tool_calls", "message": message}]}, "request_id": "r-1"}
    )
    assert reply.finish_reason is FinishReason.TOOL_CALLS
    assert reply.reasoning == "Two calls."
    assert [call.json() for call in reply.tool_calls] == [{"city": "Paris"}, {"city": "Rome"}]

    answers = [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "content": [{"type": "text", "text": f"{call.json()['city']}: "}, {"type": "text", "text": "sunny"}],
        }
        for call in reply.tool_calls
    ]
    body = sent([*opening, reply.message, *answers], tools=[TOOL], tool_choice="auto", max_completion_tokens=50)
    assert body == {
        "model": "qwen-plus",
        "input": {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Paris and Rome?"},
                {
                    "role": "assistant",
                    "content": "Let me see.",
                    "tool_calls": [{name: value for name, value in call.items() if name != "index"} for call in calls],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "Paris: sunny"},
                {"role": "tool", "tool_call_id": "call_2", "content": "Rome: sunny"},
            ]
        },
        "parameters": {"result_format": "message", "tools": [TOOL], "tool_choice": "auto", "max_tokens": 50},
    }


# -- replies ------------------------------------------------------------------------------------------------------------


def opened(*, stream, status=200, headers=None):
    exchange = ReplyReader(FORM, stream=stream)
    exchange.open(status, headers or Headers({"content-type": "text/event-stream" if stream else "application/json"}))
    return exchange


def read_json(payload, *, stream=False):
    exchange = opened(stream=stream, headers=Headers({"content-type": "application/json"}))
    return read_whole(exchange, json.dumps(payload).encode())


def frame(output, event="result", status=200, **fields):
    payload = {"output": output, "request_id": "r-1", **fields} if output is not None else fields
    return f"id:1\nevent:{event}\n:HTTP_STATUS/{status}\ndata:{json.dumps(payload)}\n\n".encode()


def text_frame(content="", finish="null", tokens=None, **message):
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    usage = {} if tokens is None else {"usage": {"input_tokens": 3, "output_tokens": tokens}}
    return frame({"choices": [choice]}, **usage)


def streamed(*frames):
    """The chunks and the reply of a stream."""
    exchange = opened(stream=True)
    chunks = exchange.feed(b"".join(frames))
    return [*chunks, *exchange.end()], exchange.value


def failure(*frames):
    """The error of a stream."""
    with pytest.raises(AttemptError) as caught:
        streamed(*frames)
    return caught.value.outcome.error


def test_a_stream():
    chunks, reply = streamed(text_frame("Hel", tokens=1), text_frame("lo", tokens=2), text_frame("", "stop", tokens=2))
    assert [str(chunk) for chunk in chunks] == ["Hel", "lo", ""]
    assert [chunk.usage.output_tokens for chunk in chunks] == [1, 2, 2]
    assert (reply.content, reply.finish_reason, reply.native_finish_reason) == ("Hello", FinishReason.STOP, "stop")
    assert reply.usage == Usage(input_tokens=3, output_tokens=2, total_tokens=5)
    assert (reply.id, reply.model, reply.provider, reply.raw) == ("r-1", "", "dashscope", None)
    assert reply.message == {"role": "assistant", "content": "Hello"}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["1", "1, ", "1, 2", "1, 2"], "1, 2"),
        (["ha", "ha", ""], "haha"),
        (["ha", "ha", "ha", "!"], "hahaha!"),
        (["no", "now", " it", ""], "nonow it"),
        (["OK", ""], "OK"),
    ],
)
def test_frames_that_repeat_and_frames_that_add(pieces, expected):
    finishes = ["null"] * (len(pieces) - 1) + ["stop"]
    chunks, reply = streamed(*(text_frame(piece, finish) for piece, finish in zip(pieces, finishes, strict=True)))
    assert reply.content == expected
    assert "".join(map(str, chunks)) == expected
    multimodal = [
        text_frame([{"text": piece}] if piece else [], finish) for piece, finish in zip(pieces, finishes, strict=True)
    ]
    assert streamed(*multimodal)[1].content == expected


def test_reasoning_then_text_both_repeated():
    frames = [text_frame("", reasoning_content=text) for text in ("H", "Hm", "Hm.")]
    frames += [text_frame(text, reasoning_content="Hm.") for text in ("Y", "Yes")]
    _, reply = streamed(*frames, text_frame("Yes", "stop", reasoning_content="Hm."))
    assert (reply.reasoning, reply.content) == ("Hm.", "Yes")


def fragment(arguments, index=0, call_id="", name=None):
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"index": index, "id": call_id, "type": "function", "function": function}


def test_tool_calls_in_fragments():
    chunks, reply = streamed(
        text_frame("", tool_calls=[fragment('{"a"', 0, "c1", "f")]),
        text_frame("", tool_calls=[fragment(": 1}", 0, "", "")]),
        text_frame("", tool_calls=[fragment(None, 1, "c2", "g")]),
        text_frame("", tool_calls=[fragment("{}", 1)]),
        text_frame("", "tool_calls"),
    )
    assert reply.tool_calls == [
        ToolCall(id="c1", name="f", arguments='{"a": 1}'),
        ToolCall(id="c2", name="g", arguments="{}"),
    ]
    assert [(d.index, d.id, d.name, d.arguments) for chunk in chunks for d in chunk.tool_calls] == [
        (0, "c1", "f", '{"a"'), (0, "", "", ": 1}"), (1, "c2", "g", ""), (1, "", "", "{}"),
    ]  # fmt: skip


def test_tool_calls_repeated_in_full():
    first, second = (
        (lambda arguments: fragment(arguments, 0, "c1", "f")),
        (lambda arguments: fragment(arguments, 1, "c2", "g")),
    )
    chunks, reply = streamed(
        text_frame("So:"),
        text_frame("So:", tool_calls=[first('{"a"')]),
        text_frame("So:", tool_calls=[first('{"a": 1}')]),
        text_frame("So:", tool_calls=[first('{"a": 1}'), second('{"b"')]),
        text_frame("So:", "tool_calls", tool_calls=[first('{"a": 1}'), second('{"b": 2}')]),
    )
    assert reply.content == "So:"
    assert reply.tool_calls == [
        ToolCall(id="c1", name="f", arguments='{"a": 1}'),
        ToolCall(id="c2", name="g", arguments='{"b": 2}'),
    ]
    pieces = [d for chunk in chunks for d in chunk.tool_calls]
    assert "".join(d.arguments for d in pieces if d.index == 1) == '{"b": 2}'
    assert [d.id for d in pieces if d.id] == ["c1", "c2"]


def test_the_text_form():
    frames = [
        frame({"text": text, "finish_reason": end}) for text, end in (("1+", "null"), ("1", None), ("=2", "stop"))
    ]
    assert streamed(*frames)[1].content == "1+1=2"
    reply = read_json(
        {"output": {"text": "hi", "finish_reason": "stop"}, "usage": {"input_tokens": 1}, "code": "", "message": ""}
    )
    assert (reply.content, reply.native_finish_reason, reply.usage) == ("hi", "stop", Usage(input_tokens=1))


def research(phase, content, **output):
    return frame(
        {
            "message": {
                "role": "assistant",
                "phase": phase,
                "content": content,
                "status": output.pop("status", "typing"),
            },
            **output,
        }
    )


RUNNING = {"fininshed": False, "fininshed_reason": "null"}


@pytest.mark.parametrize(
    ("end", "native"),
    [
        ({"fininshed": True, "fininshed_reason": "stop"}, "stop"),
        ({"fininshed": "true", "fininshed_reason": "null"}, None),
        ({"fininshed": True}, None),
        ({"finished": True, "finished_reason": "stop"}, "stop"),
        ({"status": "finished", **RUNNING}, None),  # the answer says so itself, then the stream ends
    ],
    ids=str,
)
def test_deep_research(end, native):
    chunks, reply = streamed(
        research("ResearchPlanning", "plan", **RUNNING),
        research("KeepAlive", "", usage={"input_tokens": 9}, **RUNNING),
        research("WebResearch", " search", **RUNNING),
        research("answer", "Because", **RUNNING),
        research("answer", ".", **end),
    )
    assert (reply.content, reply.reasoning, reply.native_finish_reason) == ("Because.", "plan search", native)
    assert [str(chunk) for chunk in chunks] == ["", "", "Because", "."]


def test_deep_research_that_is_cut():
    error = failure(research("answer", "Because", **RUNNING))
    assert isinstance(error, IncompleteStreamError)


@pytest.mark.parametrize("finish", ["null", None, ""])
def test_a_stream_without_its_end_is_incomplete(finish):
    error = failure(text_frame("Hel", finish))
    assert isinstance(error, IncompleteStreamError)


def test_nothing_is_read_after_the_end():
    _, reply = streamed(text_frame("a", "length"), text_frame("b", "stop"), b"data:broken\n\n")
    assert (reply.content, reply.finish_reason) == ("a", FinishReason.LENGTH)


def test_several_choices_give_the_first():
    def both(first, second, end):
        rows = [
            {"index": 1, "message": {"content": second}, "finish_reason": end},
            {"index": 0, "message": {"content": first}, "finish_reason": end},
        ]
        return frame({"choices": rows})

    alone = frame({"choices": [{"index": 1, "message": {"content": "?"}, "finish_reason": "stop"}]})
    assert streamed(alone, both("a", "x", "null"), both("b", "y", "stop"))[1].content == "ab"


@pytest.mark.parametrize(
    ("finish", "expected"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("odd", FinishReason.OTHER),
    ],
)
def test_finish_reasons(finish, expected):
    assert streamed(text_frame("a", finish))[1].finish_reason is expected


def test_unknown_things_are_skipped():
    strange = [
        b"data:[]\n\n",
        b"data:3\n\n",
        b": ping\n\n",
        b'data:{"output":null}\n\n',
        b"data:{}\n\n",
        frame({"choices": "?"}),
        frame({"message": 3}),
    ]
    chunks, reply = streamed(*strange, text_frame("a", new_field=1), text_frame("", "stop"))
    assert reply.content == "a"
    assert [str(chunk) for chunk in chunks] == ["a", ""]


def test_lines_without_blank_lines_between_them():
    frames = [
        text_frame("Hel", tokens=1),
        text_frame("lo", tokens=2, reasoning_content="r"),
        text_frame("!", "stop", tokens=3),
    ]
    chunks, reply = streamed(*(data.replace(b"\n\n", b"\n") for data in frames))
    assert (reply.content, reply.reasoning, reply.usage.output_tokens) == ("Hello!", "r", 3)
    assert [str(chunk) for chunk in chunks] == ["Hel", "lo", "!"]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, FinishReason.STOP]


def test_json_over_several_data_lines_is_one_frame():
    assert streamed(b'data:{"output":\ndata: {"text": "a",\ndata: "finish_reason": "stop"}}\n\n')[1].content == "a"


def test_a_line_that_is_no_json():
    error = failure(b"data:{oops\n\n")
    assert isinstance(error, InvalidResponseError)
    error = failure(text_frame("a").replace(b"\n\n", b"\n"), b"data:{oops\n\n")
    assert isinstance(error, InvalidResponseError)


def test_an_error_after_frames_without_blank_lines():
    frames = [text_frame("Hel"), frame(None, "error", 429, code="Throttling.RateQuota", message="slow down")]
    error = failure(*(data.replace(b"\n\n", b"\n") for data in frames))
    assert isinstance(error, RateLimitError)
    assert error.status == 429


@pytest.mark.parametrize(
    ("data", "cls", "status", "code"),
    [
        (
            frame(None, "error", 400, code="InvalidParameter", message="m", request_id="r"),
            BadRequestError,
            400,
            "InvalidParameter",
        ),
        (
            frame(None, "error", 429, code="Throttling.RateQuota", message="m"),
            RateLimitError,
            429,
            "Throttling.RateQuota",
        ),
        (
            b'event:error\nHTTP_STATUS/429 TOO_MANY_REQUESTS\ndata:{"code":"Throttling","message":"m"}\n\n',
            RateLimitError,
            429,
            "Throttling",
        ),
        (
            b'event:error\n: HTTP_STATUS/429\ndata:{"code":"Throttling","message":"m"}\n\n',
            RateLimitError,
            429,
            "Throttling",
        ),
        (b'event:error\ndata:{"code":"Throttling","message":"m"}\n\n', RateLimitError, 429, "Throttling"),
        (b'data:{"code":"InternalError","message":"m"}\n\n', ServerError, 500, "InternalError"),
        (
            frame({"choices": []}, "result", 200, code="InternalError.Algo", message="m"),
            ServerError,
            500,
            "InternalError.Algo",
        ),
        (frame({"text": "half"}, "result", 200, code="InternalError", message="m"), ServerError, 500, "InternalError"),
        (frame(None, "error", 500, message="no code"), ServerError, 500, None),
        (frame(None, "error", 401, code="InvalidApiKey", message="m"), AuthenticationError, 401, "InvalidApiKey"),
        (
            frame(None, "error", 400, code="DataInspectionFailed", message="m"),
            BadRequestError,
            400,
            "DataInspectionFailed",
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", text_frame("Hel", tokens=1)], ids=["first", "later"])
def test_errors_inside_a_stream(before, data, cls, status, code):
    exchange = opened(stream=True)
    chunks = exchange.feed(before)
    with pytest.raises(AttemptError) as caught:
        exchange.feed(data)
    error = caught.value.outcome.error
    assert type(error) is cls
    assert (error.status, error.http_status, error.code) == (status, 200, code)
    assert [str(chunk) for chunk in chunks] == ["Hel"] * bool(before)
    assert (exchange.partial().content if before else exchange.partial()) == ("Hel" if before else None)


def test_errors_of_plain_replies():
    for payload in (
        {"code": "InvalidParameter", "message": "m"},
        {"output": {"text": "x"}, "code": "InvalidParameter", "message": "m"},
    ):
        with pytest.raises(AttemptError) as caught:
            read_json(payload)
        assert isinstance(caught.value.outcome.error, BadRequestError)
    error = opened(stream=True, status=401, headers=Headers({"content-type": "application/json"})).fail(
        b'{"code":"InvalidApiKey","message":"m","request_id":"r"}'
    )
    assert isinstance(error, AuthenticationError)
    assert error.request_id == "r"


@pytest.mark.parametrize(
    "payload", [{}, [], "x", None, {"output": {}}, {"output": {"choices": []}}, {"output": []}, {"choices": [{}]}]
)
def test_a_reply_without_output_is_invalid(payload):
    with pytest.raises(AttemptError) as caught:
        read_json(payload)
    assert isinstance(caught.value.outcome.error, InvalidResponseError)


def test_a_plain_reply_to_a_stream_is_one_chunk():
    exchange = opened(stream=True, headers=Headers({"content-type": "application/json"}))
    exchange.feed(json.dumps({"output": {"text": "hi", "finish_reason": "stop"}}).encode())
    assert [str(chunk) for chunk in exchange.end()] == ["hi"]
    assert exchange.value.content == "hi"


# -- models and embeddings ----------------------------------------------------------------------------------------------


def test_pages_of_models():
    assert FORM.models_request(None).url == f"{BASE}/models?page_no=1&page_size=100"
    assert FORM.models_request("3").url == f"{BASE}/models?page_no=3&page_size=100"

    def page(number, size, total, *rows):
        return {
            "output": {"models": list(rows), "page_no": number, "page_size": size, "total": total},
            "request_id": "r",
        }

    models, cursor = FORM.parse_models(page(1, 2, 3, {"model": "qwen-a", "name": "Qwen A"}, {"name": "qwen-b"}))
    assert ([model.id for model in models], cursor) == (["qwen-a", "qwen-b"], "2")
    assert FORM.parse_models(page(2, 2, 3, {"model": "qwen-c"}))[1] is None
    assert FORM.parse_models(page(2, 2, 99))[1] is None
    assert FORM.parse_models({"output": {"models": [{"model": "a"}]}})[1] is None
    assert FORM.parse_models(page(True, "2", None, {"model": "a"}))[1] is None
    for bad in ({}, [], {"output": None}, {"output": {"models": {}}}):
        with pytest.raises(InvalidResponseError):
            FORM.parse_models(bad)


def test_embeddings():
    params = {"dimensions": 64, "text_type": "query", "encoding_format": "float", "output_type": None}
    request = FORM.embed_request(["a", "b"], "text-embedding-v4", params)
    assert (request.method, request.url) == ("POST", f"{BASE}/services/embeddings/text-embedding/text-embedding")
    assert json.loads(request.body) == {
        "model": "text-embedding-v4",
        "input": {"texts": ["a", "b"]},
        "parameters": {"dimension": 64, "text_type": "query"},
    }
    rows = [{"text_index": 1, "embedding": [2, 3]}, {"text_index": 0, "embedding": [0.5, 1]}]
    got = FORM.parse_embeddings({"output": {"embeddings": rows}, "usage": {"total_tokens": 4}}, 2)
    assert (got.vectors, got.usage) == ([[0.5, 1.0], [2.0, 3.0]], Usage(total_tokens=4))


@pytest.mark.parametrize(
    ("inputs", "params"), [([[1, 2]], {}), (["a"], {"encoding_format": "base64"}), (["a"], {"user": "u"})]
)
def test_embeddings_without_a_counterpart(inputs, params):
    with pytest.raises(ConfigurationError):
        FORM.embed_request(inputs, "text-embedding-v4", params)


@pytest.mark.parametrize(
    "payload",
    [{}, [], {"output": {}}, {"output": {"embeddings": []}}, {"output": {"embeddings": [{"embedding": "?"}]}}],
)
def test_embeddings_that_are_none(payload):
    with pytest.raises(InvalidResponseError):
        FORM.parse_embeddings(payload, 1)


# -- recorded traffic ---------------------------------------------------------------------------------------------------

CHATS = ("native-generation", "native-multimodal", "native-app")
STREAMS = [row for row in recorded.rows("dashscope", *CHATS) if row["kind"] == "stream"]
WHOLE = [row for row in recorded.rows("dashscope", *CHATS) if row["kind"] == "chat"]
ERRORS = [row for row in recorded.rows("dashscope", "native-generation", "other") if row["kind"] == "error"]


def cuts(data, seed=7):
    """Every place to cut a short stream once, and 500 random ways to cut a longer one."""
    if len(data) <= 8192:
        yield from ((data[:at], data[at:]) for at in range(len(data) + 1))
        return
    chance = random.Random(seed)
    for _ in range(500):
        places = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(chance.choice((1, 3, 20))))})
        yield tuple(data[a:b] for a, b in itertools.pairwise(places))


@pytest.mark.slow
@recorded.needs_recordings
@pytest.mark.parametrize("row", STREAMS, ids=recorded.name)
def test_recorded_streams_however_they_are_cut(row):
    data, head = recorded.body(row), recorded.headers(row)
    assert row["expected"]["incremental_output"] in (True, False)
    for pieces in cuts(data):
        exchange = opened(stream=True, headers=head)
        chunks = [chunk for piece in pieces for chunk in exchange.feed(piece)]
        if recorded.was_cut(row):
            with pytest.raises(AttemptError) as caught:
                exchange.end()
            assert isinstance(caught.value.outcome.error, IncompleteStreamError)
            assert exchange.partial().content == row["expected"]["text"]
            continue
        chunks += exchange.end()
        assert recorded.check(row, exchange.value) == []
        assert "".join(map(str, chunks)) == exchange.value.content
        assert exchange.value.id == row["expected"]["request_id"]


@recorded.needs_recordings
@pytest.mark.parametrize("row", [row for row in STREAMS if not recorded.was_cut(row)], ids=recorded.name)
def test_recorded_streams_made_to_repeat(row):
    """The same frames as a server would send them that takes no notice of `incremental_output`."""
    events, so_far, frames = (
        [json.loads(line[5:]) for line in recorded.body(row).splitlines() if line.startswith(b"data:")],
        {},
        [],
    )
    for payload in events:
        message = payload["output"]["choices"][0]["message"] if "choices" in payload["output"] else payload["output"]
        for name in ("content", "reasoning_content", "text"):
            if isinstance(message.get(name), str):
                message[name] = so_far[name] = so_far.get(name, "") + message[name]
        for call in message.get("tool_calls", ()):
            kept = so_far.setdefault("tools", {}).setdefault(call["index"], copy.deepcopy(call))
            if kept["function"] != call["function"]:
                kept["function"]["arguments"] += call["function"]["arguments"]
        if "tools" in so_far:
            message["tool_calls"] = copy.deepcopy(list(so_far["tools"].values()))
        frames.append(f"data:{json.dumps(payload)}\n\n".encode())
    assert recorded.check(row, streamed(*frames)[1]) == []


@recorded.needs_recordings
@pytest.mark.parametrize("row", WHOLE, ids=recorded.name)
def test_recorded_replies(row):
    exchange = opened(stream=False, headers=recorded.headers(row))
    reply = read_whole(exchange, recorded.body(row))
    assert recorded.check(row, reply) == []
    assert reply.raw == json.loads(recorded.body(row))


@recorded.needs_recordings
@pytest.mark.parametrize("row", recorded.rows("dashscope", "native-embeddings"), ids=recorded.name)
def test_recorded_embeddings(row):
    expected = row["expected"]
    got = FORM.parse_embeddings(json.loads(recorded.body(row)), expected["n"])
    assert [len(vector) for vector in got.vectors] == [expected["dim"]] * expected["n"]
    assert got.usage.total_tokens == expected["usage"]["total_tokens"]


@recorded.needs_recordings
@pytest.mark.parametrize("row", ERRORS, ids=recorded.name)
def test_recorded_errors(row):
    error = opened(stream=False, status=row["status"], headers=recorded.headers(row)).fail(recorded.body(row))
    expected = row["expected"]["error"]
    assert (error.status, error.code) == (row["status"], expected["code"])
    assert expected["message"] in str(error)


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_is_of_the_model_that_was_asked_for(front, server, stream):
    """No reply of this form names its model, but those of deep research."""
    body = {"output": {"text": "Hi", "finish_reason": "stop"}, "request_id": "r"}
    named = {**body, "output": {**body["output"], "model_name": "qwen-deep-research-2"}}
    with front.client(provider="dashscope", api="native", base_url=f"{server.url}/api/v1", model="qwen-plus") as client:
        for payload, params, model in (
            (body, {}, "qwen-plus"),
            (body, {"model": "other"}, "other"),
            (named, {}, "qwen-deep-research-2"),
        ):
            event = f"data:{json.dumps(payload)}\n\n"
            server.script(Reply(events=[event]) if stream else Reply(body=payload))
            if stream:
                opened = client.stream_chat("Hi", **params)
                assert [chunk.content for chunk in opened] == ["Hi"]
                assert opened.response.model == model
            else:
                assert client.chat("Hi", **params).model == model
