"""`FakeServer` seen from outside: each wire form and each fault, over real sockets and by the standard library alone."""

import asyncio
import base64
import contextlib
import dataclasses
import gc
import gzip
import http.client
import itertools
import json
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.live import eventually
from support.paths import CHECKOUT

from llmnet.testing import FakeServer, Received, Reply, fault
from llmnet.testing.connection import read_requests
from llmnet.testing.reply_steps import Action, steps
from llmnet.testing.script import Headers
from llmnet.testing.wire_forms.common import Content, last_user_text, pieces

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
NATIVE = "/api/v1/services/aigc/text-generation/generation"
MULTIMODAL = "/api/v1/services/aigc/multimodal-generation/generation"
PATHS = [CHAT, RESPONSES, MESSAGES, NATIVE, MULTIMODAL]
TOOLS = [{"id": "call_7", "name": "weather", "arguments": '{"city": "Hangzhou", "days": 3}'}]


@pytest.fixture
def server():
    with FakeServer() as running:
        yield running


def asking(path, text="Hello big world", stream=False, **more):
    """Body and headers that ask *text* in the form of the path."""
    turns = [{"role": "user", "content": text}]
    if "/generation" in path:
        parameters = {"result_format": "message", "incremental_output": True, **more}
        body = {"model": "m-1", "input": {"messages": turns}, "parameters": parameters}
        return body, {"X-DashScope-SSE": "enable"} if stream else {}
    body = {"model": "m-1", ("input" if path == RESPONSES else "messages"): turns, **more}
    body |= {"max_tokens": 99} if path == MESSAGES else {}
    return body | ({"stream": True} if stream else {}), {}


def call(server, path=CHAT, body=None, headers=None, method=None, connection=None):
    """Send one request; status, headers and body of the reply."""
    own = connection or http.client.HTTPConnection(server.host, server.port, timeout=20)
    try:
        data = None if body is None else json.dumps(body)
        own.request(method or ("GET" if body is None else "POST"), path, data, headers or {})
        response = own.getresponse()
        return response.status, response.headers, response.read()
    finally:
        if connection is None:
            own.close()


def ask(server, path=CHAT, **asked):
    status, headers, data = call(server, path, *asking(path, **asked))
    return status, headers, json.loads(data)


def events(server, path=CHAT, **asked):
    """Ask for a stream; its blocks as (fields, comments, decoded data)."""
    status, headers, data = call(server, path, *asking(path, stream=True, **asked))
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    return [read_block(block) for block in data.decode().split("\n\n")[:-1]]


def read_block(block):
    fields = dict(line.split(":", 1) for line in block.split("\n") if not line.startswith(":"))
    comments = [line[1:] for line in block.split("\n") if line.startswith(":")]
    data = fields["data"].strip()
    return fields.get("event", "").strip(), comments, data if data == "[DONE]" else json.loads(data)


def connect(server):
    return socket.create_connection((server.host, server.port), timeout=20)


def request_bytes(path=CHAT, **asked):
    body, headers = asking(path, **asked)
    data = json.dumps(body).encode()
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {len(data)}\r\n\r\n".encode() + data


def to_the_end(sock):
    """All bytes until the server's FIN."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def exactly(sock, size):
    got = b""
    while len(got) < size:
        got += sock.recv(size - len(got)) or pytest.fail(f"closed after {got!r}")
    return got


def head_of(sock):
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += exactly(sock, 1)
    return got


def raw(server, *replies, **asked):
    """Everything the server writes in answer to one request until it closes."""
    server.script(*replies)
    with connect(server) as sock:
        sock.sendall(request_bytes(**asked))
        return to_the_end(sock)


# ---------------------------------------------------------------------------------------------------- the four wire forms


def facts(path, reply):
    """What a reply that is no stream says: text, reasoning, (id, name, arguments) of the tools, finish word."""
    if path == CHAT:
        message = reply["choices"][0]["message"]
        finish = reply["choices"][0]["finish_reason"]
        return message["content"], message.get("reasoning_content"), chat_calls(message), finish
    if path == RESPONSES:
        items = {item["type"]: item for item in reply["output"]}
        text = items["message"]["content"][0]["text"] if "message" in items else None
        reasoning = items["reasoning"]["summary"][0]["text"] if "reasoning" in items else None
        calls = [(i["call_id"], i["name"], i["arguments"]) for i in reply["output"] if i["type"] == "function_call"]
        return text, reasoning, calls, reply["status"]
    if path == MESSAGES:
        blocks = {block["type"]: block for block in reply["content"]}
        calls = [(b["id"], b["name"], json.dumps(b["input"])) for b in reply["content"] if b["type"] == "tool_use"]
        text, reasoning = blocks.get("text", {}).get("text"), blocks.get("thinking", {}).get("thinking")
        return text, reasoning, calls, reply["stop_reason"]
    choice = reply["output"]["choices"][0]
    text = choice["message"]["content"]
    text = "".join(part["text"] for part in text) if path == MULTIMODAL else text
    return (
        text or None,
        choice["message"].get("reasoning_content"),
        chat_calls(choice["message"]),
        choice["finish_reason"],
    )


def chat_calls(message):
    calls = message.get("tool_calls", ())
    return [(one["id"], one["function"]["name"], one["function"]["arguments"]) for one in calls]


def streamed(path, blocks):
    """What a stream says, in the same words as `facts`."""
    if path == CHAT:
        assert blocks.pop()[2] == "[DONE]"
        deltas = [block[2]["choices"][0]["delta"] for block in blocks]
        return (*folded(deltas), blocks[-1][2]["choices"][0]["finish_reason"])
    if path == RESPONSES:
        assert [block[2]["sequence_number"] for block in blocks] == list(range(len(blocks)))
        assert all(event == data["type"] for event, _, data in blocks)
        assert [event for event, _, _ in blocks][:2] == ["response.created", "response.in_progress"]
        complete = facts(path, blocks[-1][2]["response"])
        grown = {
            name: "".join(data["delta"] for event, _, data in blocks if event == f"response.{name}.delta")
            for name in ("output_text", "reasoning_summary_text", "function_call_arguments")
        }
        assert grown == {
            "output_text": complete[0] or "",
            "reasoning_summary_text": complete[1] or "",
            "function_call_arguments": "".join(arguments for _, _, arguments in complete[2]),
        }
        return complete
    if path == MESSAGES:
        assert all(event == data["type"] for event, _, data in blocks)
        assert (blocks[0][0], blocks[-1][0]) == ("message_start", "message_stop")
        content = [data["content_block"] for event, _, data in blocks if event == "content_block_start"]
        for event, _, data in blocks:
            if event == "content_block_delta":
                kind = data["delta"].pop("type")
                block = content[data["index"]]
                block["signed"] = block.get("signed") or kind == "signature_delta"
                for name, piece in data["delta"].items():
                    block[name] = block.get(name, "") + piece
        for block in content:
            block["input"] = json.loads(block.pop("partial_json", "{}"))
        assert all(block["signed"] for block in content if block["type"] == "thinking")
        ending = next(data for event, _, data in blocks if event == "message_delta")
        return facts(path, {"content": content, **ending["delta"]})
    assert {(event, *comments) for event, comments, _ in blocks} == {("result", "HTTP_STATUS/200")}
    choices = [data["output"]["choices"][0] for _, _, data in blocks]
    assert {choice["finish_reason"] for choice in choices[:-1]} <= {"null"}
    deltas = [choice["message"] for choice in choices]
    if path == MULTIMODAL:
        deltas = [{**delta, "content": "".join(part["text"] for part in delta["content"])} for delta in deltas]
    return (*folded(deltas), choices[-1]["finish_reason"])


def folded(deltas):
    calls = []
    for fragment in (one for delta in deltas for one in delta.get("tool_calls", ())):
        if fragment["index"] == len(calls):
            calls.append([fragment["id"], fragment["function"]["name"], ""])
        calls[fragment["index"]][2] += fragment["function"]["arguments"]
    text, reasoning = ("".join(d.get(name) or "" for d in deltas) for name in ("content", "reasoning_content"))
    return text or None, reasoning or None, [tuple(one) for one in calls]


FINISH = {
    CHAT: {"stop": "stop", "tool_calls": "tool_calls", "length": "length", "odd": "odd"},
    RESPONSES: {"stop": "completed", "tool_calls": "completed", "length": "incomplete", "odd": "odd"},
    MESSAGES: {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "odd": "odd"},
}
REPLIES = [
    Reply(),
    Reply(text="one two three"),
    Reply(text="漢字と😀\u2028line", reasoning="let me\nsee  "),
    Reply(tool_calls=TOOLS),
    Reply(reasoning="a tool", text="I look.", tool_calls=[*TOOLS, {"id": "b", "name": "g", "arguments": "{}"}]),
    Reply(text="cut sho", finish="length"),
    Reply(finish="odd"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_says_the_same_whole_and_streamed_in_every_form(server, path, reply):
    server.script(reply, reply)
    complete = facts(path, ask(server, path)[2])
    text = "Hello big world" if reply.text is None and not reply.tool_calls else reply.text
    calls = [(one["id"], one["name"], one["arguments"]) for one in reply.tool_calls or ()]
    finish = reply.finish or ("tool_calls" if calls else "stop")
    assert complete == (text, reply.reasoning, calls, FINISH.get(path, FINISH[CHAT])[finish])
    assert streamed(path, events(server, path)) == complete


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("arguments", [{"city": "Köln", "days": [1, 2]}, {}])
def test_arguments_that_are_no_text_are_sent_as_json(server, path, arguments):
    server.script(Reply(tool_calls=[{"name": "f", "arguments": arguments}]))
    ((_, name, said),) = facts(path, ask(server, path)[2])[2]
    assert (name, json.loads(said)) == ("f", arguments)


@pytest.mark.parametrize("call", [{"arguments": {}}, {"name": 1}, "f"])
def test_a_tool_call_without_a_name_is_refused_where_it_is_written(call):
    with pytest.raises(TypeError, match=r"tool_calls\[1\] must be a dict like"):
        Reply(tool_calls=[{"name": "f"}, call])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "Hi"}, "status must be a whole number, not 'Hi'; for a text write Reply(text=…)"),
        ({"status": True}, "status must be a whole number, not True"),
        ({"text": 5}, "text must be a text, not 5"),
        ({"headers": [("a", "b")]}, "headers must be a dict, not [('a', 'b')]"),
        ({"body": 5}, "body must be bytes, a text, a dict or a list, not 5"),
        ({"tool_calls": 5}, "tool_calls must be a list, not 5"),
        ({"events": 5}, "events must be a list or another iterable, not 5"),
        ({"delay": "1"}, "delay must be a number, not '1'"),
        ({"reset": 1}, "reset must be True or False, not 1"),
        ({"hold": "head"}, "hold must be True or False or 'body', not 'head'"),
        ({"at": "end"}, "at must be 'accept', 'hello' or 'request', not 'end'"),
    ],
)
def test_a_field_of_another_type_is_refused_where_it_is_written(fields, said):
    with pytest.raises(TypeError, match=f"^{re.escape(said)}$"):
        Reply(**fields)


def test_fields_that_differ_from_their_defaults_are_taken():
    body = {"a": [1]}
    reply = Reply(
        delay=1, drip=0.5, cut=0, hold="body", chunked=False, body=body, events=iter(["x"]), raw=b"", at="hello"
    )
    assert (reply.delay, reply.body, reply.hold) == (1, body, "body")


@dataclasses.dataclass(frozen=True)
class OwnReply(Reply):
    """A reply with fields of a test's own, which no class checks: one may be anything, one names what is not here."""

    note: Any = None
    seen: "NotDefined | None" = None  # noqa: F821 - as a name that only a type checker imports


def test_what_a_subclass_adds_to_a_reply_may_be_anything_and_the_rest_is_checked():
    reply = OwnReply(text="x", note=5, seen=[1])
    assert (reply.note, reply.seen) == (5, [1])
    with pytest.raises(TypeError, match=r"^text must be a text, not 5$"):
        OwnReply(text=5)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/a/b/openai/deployments/d/chat/completions?api-version=1", asking(CHAT)[0]),
        (
            "/v2/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello big world"}]}]},
        ),
        (RESPONSES, {"model": "m", "input": "Hello big world"}),
        (NATIVE, {"model": "m", "input": {"prompt": "Hello big world"}, "parameters": {"result_format": "message"}}),
        (
            MULTIMODAL,
            {
                "model": "m",
                "input": {"messages": [{"role": "user", "content": [{"image": "x"}, {"text": "Hello big world"}]}]},
            },
        ),
        (
            CHAT,
            {
                "model": "m",
                "messages": [*asking(CHAT)[0]["messages"], {"role": "assistant", "content": "no"}, {"role": "tool"}],
            },
        ),
    ],
)
def test_the_echo_finds_the_last_user_text(server, path, body):
    status, _, data = call(server, path, body)
    assert status == 200
    assert "Hello big world" in data.decode()


@pytest.mark.parametrize(
    "fields", [{}, {"messages": 5}, {"messages": [None, 3, "x"]}, {"input": [1, 2]}, {"messages": None}]
)
def test_a_request_without_a_user_text_echoes_nothing(fields):
    assert last_user_text(fields) == ""


@pytest.mark.parametrize("text", ["", " ", "a", "a  b\n", "x" * 100, " \n漢字 " * 9])
def test_pieces_lose_nothing(text):
    assert "".join(pieces(text)) == text


def test_usage_is_deterministic_and_streamed_only_when_asked_for(server):
    counts = {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    assert ask(server)[2]["usage"] == counts
    assert all("usage" not in data for _, _, data in events(server)[:-1])
    *others, last, _ = events(server, stream_options={"include_usage": True})
    assert (last[2]["choices"], last[2]["usage"]) == ([], counts)
    assert {data["usage"] for _, _, data in others} == {None}
    assert ask(server, MESSAGES)[2]["usage"] == {"input_tokens": 3, "output_tokens": 3}
    assert ask(server, RESPONSES)[2]["usage"]["total_tokens"] == 6
    assert [data["usage"]["output_tokens"] for _, _, data in events(server, NATIVE)] == [1, 2, 3, 3]


def test_usage_model_and_refusal_are_scripted_in_unified_words(server):
    server.script(*[Reply(usage={"input_tokens": 9, "extra": 1}, model="other", refusal="I will not.")] * 3)
    chat, responses, messages = (ask(server, path)[2] for path in (CHAT, RESPONSES, MESSAGES))
    assert chat["usage"] == {"prompt_tokens": 9, "extra": 1}
    assert chat["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "I will not."}
    assert responses["output"][0]["content"] == [{"type": "refusal", "refusal": "I will not."}]
    assert (messages["content"], messages["stop_reason"], messages["model"]) == ([], "refusal", "other")
    server.script(Reply(usage={}))
    assert ask(server)[2]["usage"] is None


def test_a_refusal_is_streamed(server):
    server.script(*[Reply(refusal="I will not.")] * 3)
    assert (
        "".join(data["choices"][0]["delta"].get("refusal", "") for _, _, data in events(server)[:-1]) == "I will not."
    )
    deltas = [data["delta"] for event, _, data in events(server, RESPONSES) if event == "response.refusal.delta"]
    assert "".join(deltas) == "I will not."
    assert events(server, MESSAGES)[-2][2]["delta"]["stop_details"]["explanation"] == "I will not."


def test_native_frames_are_written_without_spaces_and_repeat_unless_told_to_add(server):
    body, headers = asking(NATIVE, stream=True, incremental_output=False)
    data = call(server, NATIVE, body, headers)[2]
    assert data.startswith(b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"output":')
    texts = [
        read_block(block)[2]["output"]["choices"][0]["message"]["content"] for block in data.decode().split("\n\n")[:-1]
    ]
    assert texts == ["Hello", "Hello big", "Hello big world", "Hello big world"]
    server.script(Reply(tool_calls=TOOLS))
    repeated = [facts(NATIVE, frame)[2] for _, _, frame in events(server, NATIVE, incremental_output=False)]
    assert repeated[-1] == [("call_7", "weather", TOOLS[0]["arguments"])]
    assert all(len(calls) == 1 for calls in repeated)


def test_native_without_a_result_format_answers_in_the_old_form_and_ignores_stream_in_the_body(server):
    body = {"model": "m", "input": {"prompt": "hi"}, "stream": True}
    assert json.loads(call(server, NATIVE, body)[2])["output"] == {"text": "hi", "finish_reason": "stop"}


# -------------------------------------------------------------------------------------------------------------- errors

ERROR_TYPES = {
    401: ("invalid_api_key", "authentication_error", "InvalidApiKey"),
    404: ("model_not_found", "not_found_error", "ModelNotFound"),
    429: ("rate_limit_exceeded", "rate_limit_error", "Throttling.RateQuota"),
    400: (None, "invalid_request_error", "InvalidParameter"),
    500: (None, "api_error", "InternalError"),
    529: (None, "overloaded_error", "InternalError"),
}


@pytest.mark.parametrize("status", ERROR_TYPES)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_status_has_the_body_of_its_wire_form_also_when_a_stream_was_asked_for(server, status, stream):
    server.script(status, status, status, status)
    found = [call(server, path, *asking(path, stream=stream)) for path in (CHAT, RESPONSES, MESSAGES, NATIVE)]
    assert {(one[0], one[1]["content-type"]) for one in found} == {(status, "application/json")}
    chat, responses, messages, native = (json.loads(one[2]) for one in found)
    assert (chat["error"]["code"], messages["error"]["type"], native["code"]) == ERROR_TYPES[status]
    assert responses == chat
    assert set(chat["error"]) == {"message", "type", "param", "code"}
    assert messages["request_id"] == found[2][1]["request-id"] == "req_fake_3"
    assert native["request_id"] == found[3][1]["x-request-id"] == "req_fake_4"


def test_error_fields_override_and_also_make_an_error_inside_a_success(server):
    own = {"code": "insufficient_quota", "type": "insufficient_quota", "message": "Pay first.", "param": "model"}
    server.script(Reply(429, error=own), Reply(429, error=own), Reply(429, error=own), Reply(200, error=own))
    assert ask(server)[2] == {"error": own}
    assert ask(server, MESSAGES)[2]["error"] == {
        "type": "insufficient_quota",
        "message": "Pay first.",
        "details": {"error_code": "insufficient_quota"},
    }
    assert ask(server, NATIVE)[2] == {"code": own["code"], "message": "Pay first.", "request_id": "req_fake_3"}
    assert ask(server)[::2] == (200, {"error": own})


OVERLOADED = {"code": "busy", "type": "overloaded_error", "message": "Overloaded", "status": 429}


def test_an_error_event_ends_the_stream_after_half_of_the_deltas_in_the_wire_forms_own_way(server):
    server.script(*[Reply(text="a b c d", error_event=OVERLOADED)] * 4)
    chat, responses, messages, native = (events(server, path) for path in (CHAT, RESPONSES, MESSAGES, NATIVE))
    assert [block[2]["choices"][0]["delta"].get("content") for block in chat[:-1]] == ["", "a", " b"]
    assert chat[-1][2] == {
        "error": {"message": "Overloaded", "type": "overloaded_error", "param": None, "code": "busy"}
    }
    assert [event for event, _, _ in responses][-4:] == [
        *["response.output_text.delta"] * 2,
        "error",
        "response.failed",
    ]
    assert responses[-1][2]["response"]["error"] == {"code": "busy", "message": "Overloaded"}
    assert [data["sequence_number"] for _, _, data in responses] == list(range(len(responses)))
    assert [event for event, _, _ in messages][-3:] == [*["content_block_delta"] * 2, "error"]
    assert messages[-1][2]["error"]["type"] == "overloaded_error"
    assert native[-1] == (
        "error",
        ["HTTP_STATUS/429"],
        {"code": "busy", "message": "Overloaded", "request_id": "req_fake_4"},
    )
    assert len(native) == 3


@pytest.mark.parametrize(("at", "deltas"), [(0, 0), (1, 1), (3, 3), (99, 4)])
def test_an_error_event_comes_after_as_many_deltas_as_wanted(server, at, deltas):
    server.script(*[Reply(text="a b c d", error_event=OVERLOADED, error_event_at=at)] * 4)
    assert [event for event, _, _ in events(server, MESSAGES)].count("content_block_delta") == deltas
    opening = [event for event, _, _ in events(server, RESPONSES)]
    assert opening.count("response.output_text.delta") == deltas
    assert opening[:2] == ["response.created", "response.in_progress"]
    assert len(events(server, NATIVE)) == deltas + 1
    assert len(events(server, CHAT)) == (deltas + 2 if at else 1)


@pytest.mark.parametrize("path", PATHS)
def test_a_truncated_stream_ends_cleanly_before_its_finish(server, path):
    server.script(Reply(truncate=True))
    _, headers, data = call(server, path, *asking(path, stream=True))
    assert headers["transfer-encoding"] == "chunked"
    assert b"world" in data
    for terminal in (b"[DONE]", b"message_stop", b"message_delta", b"response.completed", b'reason":"stop"'):
        assert terminal not in data


def test_an_unknown_path_is_404_unless_scripted(server):
    status, headers, data = call(server, "/nowhere")
    assert (status, json.loads(data)["error"]["type"]) == (404, "invalid_request_error")
    assert headers["x-request-id"] == "req_fake_1"
    server.script(503, "plain", 204, Reply(body={"a": [1]}))
    assert [call(server, "/nowhere")[::2] for _ in range(4)][1:] == [(200, b"plain"), (204, b""), (200, b'{"a":[1]}')]


# ------------------------------------------------------------------------------------------------------------ listings


def test_embeddings_are_deterministic_in_order_and_equal_in_both_encodings(server):
    body = {"model": "e", "input": ["one two", "three"], "dimensions": 5}
    plain = json.loads(call(server, "/v1/embeddings", body)[2])
    packed = json.loads(call(server, "/v1/embeddings", {**body, "encoding_format": "base64"})[2])
    vectors = [row["embedding"] for row in plain["data"]]
    assert [list(struct.unpack("<5f", base64.b64decode(row["embedding"]))) for row in packed["data"]] == vectors
    assert vectors[0] != vectors[1]
    assert [row["index"] for row in plain["data"]] == [0, 1]
    assert plain["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    alone = json.loads(call(server, "/v1/embeddings", {"model": "e", "input": "one two", "dimensions": 5})[2])["data"]
    assert [row["embedding"] for row in alone] == vectors[:1]


@pytest.mark.parametrize(("value", "count"), [("x", 1), (["x", "y"], 2), ([1, 2, 3], 1), ([[1], [2, 3]], 2), ([], 0)])
def test_embeddings_take_every_kind_of_input(server, value, count):
    rows = json.loads(call(server, "/v1/embeddings", {"model": "e", "input": value})[2])["data"]
    assert [len(row["embedding"]) for row in rows] == [8] * count


def test_native_embeddings(server):
    body = {"model": "e", "input": {"texts": ["one two", "three"]}, "parameters": {"dimension": 4}}
    reply = json.loads(call(server, "/api/v1/services/embeddings/text-embedding/text-embedding", body)[2])
    assert [(row["text_index"], len(row["embedding"])) for row in reply["output"]["embeddings"]] == [(0, 4), (1, 4)]
    assert reply["usage"] == {"total_tokens": 3}


def test_models_have_the_pages_of_each_vendor(server):
    everything = [row["id"] for row in json.loads(call(server, "/v1/models")[2])["data"]]
    version = {"anthropic-version": "2023-06-01"}
    first = json.loads(call(server, "/v1/models", headers=version)[2])
    second = json.loads(call(server, f"/v1/models?after_id={first['last_id']}&limit=20", headers=version)[2])
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert [row["id"] for row in first["data"] + second["data"]] == everything
    pages = [json.loads(call(server, f"/api/v1/models?page_no={n}&page_size=10")[2])["output"] for n in (1, 2, 3, 4)]
    assert [row["model"] for page in pages for row in page["models"]] == everything
    assert {page["total"] for page in pages} == {len(everything)}
    assert pages[3]["models"] == []


# -------------------------------------------------------------------------------------- requests, counters, life cycle


def test_received_requests_are_kept_as_they_came(server):
    call(server, "/v1/chat/completions?a=1&b=%20x&b=y", {"messages": []}, {"X-Mixed-Case": "yes"})
    received = server.requests[0]
    assert (received.method, received.path) == ("POST", CHAT)
    assert received.query == {"a": "1", "b": "y"}
    assert received.headers["x-mixed-case"] == received.headers["X-MIXED-CASE"] == received.headers.get("X-Mixed-Case")
    assert "X-mixed-case" in received.headers
    assert "x-mixed-case" in dict(received.headers)
    assert (received.json, received.body) == ({"messages": []}, b'{"messages": []}')
    call(server, "/", method="POST", headers={"Content-Length": "0"})
    assert server.requests[1].json is None


def test_a_chunked_request_body_with_trailers_and_pipelining_is_read(server):
    chunked = b'4;x=y\r\n{"in\r\n18\r\nput": "hi", "model": "m"\r\n1\r\n}\r\n0\r\nTrailer: 1\r\n\r\n'
    head = b"POST /v1/responses HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    with connect(server) as sock:
        sock.sendall(head + b"\r\n" + chunked + head + b"Connection: close\r\n\r\n" + chunked)
        assert to_the_end(sock).count(b"HTTP/1.1 200 OK") == 2
    assert [request.json for request in server.requests] == [{"input": "hi", "model": "m"}] * 2


def test_every_cut_of_a_request_is_read_the_same():
    sent = request_bytes() + b"GET /x?y HTTP/1.0\r\nA: 1\r\na: 2\r\n\r\n"
    for at in range(len(sent)):
        buffer = bytearray()
        reader = read_requests(buffer, 1)
        found = []
        for part in (sent[:at], sent[at:]):
            buffer += part
            found += iter(lambda reader=reader: next(reader), None)
        assert [one.path for one in found] == [CHAT, "/x"]
        assert found[1].headers == {"a": "1, 2"}
        assert (found[0].last, found[1].last) == (False, True)


def test_expect_100_continue_is_answered_before_the_body(server):
    with connect(server) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
        assert head_of(sock) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert server.request_count == 0
        sock.sendall(b"{}")
        assert to_the_end(sock).startswith(b"HTTP/1.1 404 ")
    assert server.requests[0].json == {}


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\r\n\r\n", b"GET /\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"],
)
def test_what_is_not_http_is_a_bad_request(server, garbage):
    with connect(server) as sock:
        sock.sendall(garbage)
        assert to_the_end(sock).startswith(b"HTTP/1.1 400 ")


def test_a_body_of_64_mb_is_read(server):
    body = b"x" * 2**26
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("POST", "/", body)
    assert connection.getresponse().status == 404
    connection.close()
    assert server.requests[0].body == body


def test_connections_are_kept_counted_and_numbered(server):
    kept = http.client.HTTPConnection(server.host, server.port, timeout=20)
    for _ in range(3):
        call(server, connection=kept)
    call(server)
    assert (server.connections, [request.connection for request in server.requests]) == (2, [1, 1, 1, 2])
    kept.close()


def test_held_replies_are_counted_as_active_and_released_together(server):
    server.script(*[Reply(hold=True)] * 8, "free")
    with ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(ask, server) for _ in range(8)]
        server.wait_for_requests(8)
        assert (server.active, server.peak) == (8, 8)
        assert call(server, *[CHAT, asking(CHAT)[0]])[0] == 200
        assert (server.request_count, server.peak) == (9, 9)
        assert not any(reply.done() for reply in replies)
        server.release()
        assert {reply.result()[0] for reply in replies} == {200}


def test_a_release_counts_for_requests_that_are_not_yet_where_they_wait(server):
    server.script(Reply(delay=0.05, hold=True))
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(ask, server)
        server.wait_for_requests(1)
        server.release()
        assert reply.result()[0] == 200


def test_hold_body_sends_half_and_waits(server):
    server.script(Reply(hold="body", text="a b c d"), Reply(hold="body", body="0123456789"))
    with connect(server) as sock:
        sock.sendall(request_bytes(stream=True))
        got = head_of(sock)
        while got.count(b"data: ") < 3:
            got += exactly(sock, 1)
        server.release()
        while not got.endswith(b"0\r\n\r\n"):
            got += exactly(sock, 1)
        assert got.count(b"data: ") == 7
        sock.sendall(request_bytes())
        assert b"content-length: 10" in head_of(sock)
        assert exactly(sock, 5) == b"01234"
        server.wait_for_requests(2)
        server.release()
        assert exactly(sock, 5) == b"56789"


def test_wait_for_requests_gives_up(server):
    with pytest.raises(TimeoutError, match="0 of 1 requests"):
        server.wait_for_requests(1, timeout=0.01)


def test_reset_forgets(server):
    server.script(500, 500)
    assert ask(server)[0] == 500
    server.reset()
    assert (server.request_count, server.connections, server.peak, server.requests) == (0, 0, 0, [])
    assert (server.active, server.peak) == (0, 0)  # whoever has read a reply finds its request gone
    status, headers, _ = ask(server)
    assert (status, headers["x-request-id"]) == (200, "req_fake_1")
    assert server.requests[0].connection == 2


def test_a_handler_is_asked_when_the_script_is_empty(server):
    def limit(request: Received) -> Reply | None:
        assert server.active >= 1
        return Reply(429) if "busy" in request.path else None

    server.handler = limit
    server.script("scripted")
    assert [call(server, path)[0] for path in ("/busy", "/busy", "/v1/models")] == [200, 429, 200]
    server.handler = lambda _: "text"
    assert call(server, "/")[2] == b"text"


def test_a_handler_that_fails_closes_the_connection_and_is_logged(server, caplog):
    server.handler = lambda _: 1 / 0
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        call(server)
    assert "ZeroDivisionError" in caplog.text
    server.handler = None
    assert call(server, "/v1/models")[0] == 200
    assert server.peak == 1


UNENDING = [
    Reply(silent=True),
    Reply(stall=3),
    Reply(hold=True),
    Reply(hold="body"),
    Reply(delay=1000),
    Reply(drip=1000),
    Reply(drip_head=1000),
    Reply(pace=1000, events=["a", "b"]),
    Reply(events=itertools.repeat(b"data: endless\n\n")),
]


@pytest.mark.parametrize("reply", UNENDING)
@pytest.mark.parametrize("secure", [False, True])
def test_a_stop_ends_every_fault_at_once_and_leaves_nothing(reply, secure, tls):
    before = set(threading.enumerate())
    with FakeServer(tls=tls[0] if secure else None) as server:
        server.script(reply)
        with connect(server) as plain, wrapped(plain, tls[1] if secure else None) as sock:
            sock.sendall(request_bytes())
            server.wait_for_requests(1)
            assert server.active == 1
            server.stop()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                to_the_end(sock)
        assert server.active == 0
        assert set(threading.enumerate()) <= before
        server.stop()
    gc.collect()  # an unclosed transport would warn, and warnings are errors


def test_a_client_that_leaves_ends_its_reply(server):
    server.script(Reply(silent=True), Reply(hold=True), Reply(drip=1000))
    for number in range(1, 4):
        with connect(server) as sock:
            sock.sendall(request_bytes())
            server.wait_for_requests(number)
    active = []
    server.handler = lambda _: active.append(server.active)
    call(server, "/v1/models")  # the loop reads a FIN before what comes over a connection made later
    assert active == [1]
    server.release()
    assert call(server, "/v1/models")[0] == 200


def test_a_server_starts_again_at_the_same_address(server):
    port, url = server.port, server.url
    assert server.start() is server
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    server.start()
    assert (server.port, server.url) == (port, url)
    assert ask(server)[0] == 200


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_may_come_while_a_connection_is_being_accepted(turns):
    """In debug mode asyncio tells what it could not accept, and some releases tell of it from a finalizer."""
    loop, told = asyncio.get_running_loop(), []
    loop.set_debug(True)
    loop.set_exception_handler(lambda _, context: told.append(context))
    async with FakeServer() as server:
        client = socket.create_connection((server.host, server.port))
        for _ in range(turns):
            await asyncio.sleep(0)
    client.close()
    gc.collect()
    assert told == []


async def test_the_server_runs_in_the_running_loop_too():
    async with FakeServer() as server:
        server.script(Reply(hold=True), Reply(silent=True))
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request_bytes())
        await asyncio.to_thread(server.wait_for_requests, 1)
        server.release()
        assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
        _, silent = await asyncio.open_connection(server.host, server.port)
        silent.write(request_bytes())
        await asyncio.to_thread(server.wait_for_requests, 2)
    assert server.active == 0
    for one in (writer, silent):
        one.close()


EMBEDDED = """
import json, os, threading, urllib.request
from llmnet.testing import embedded_url, server
def ask():
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    with urllib.request.urlopen(embedded_url() + "/chat/completions", body, timeout=20) as reply:
        return json.load(reply)
urls, threads = set(), [threading.Thread(target=lambda: urls.add(embedded_url())) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert urls == {embedded_url()}
assert [ask()["id"][-1] for _ in range(2)] == ["1", "2"]
assert server._servers[os.getpid()].requests == []
if hasattr(os, "fork"):
    parent = embedded_url()
    child = os.fork()
    if child == 0:
        assert ask()["choices"][0]["message"]["content"] == "hi"
        raise SystemExit(embedded_url() == parent)
    assert os.waitpid(child, 0)[1] == 0
    assert ask()["id"].endswith("3")
"""


def test_the_embedded_server_is_one_per_process_keeps_nothing_and_ends_silently():
    command = [sys.executable, "-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning", "-c", EMBEDDED]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60, text=True, cwd=CHECKOUT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -------------------------------------------------------------------------------------------------------------- faults


def taken(planned):
    """All steps, but for those that write nothing."""

    def to_the_last():
        yield from (yield from planned)

    return [step for step in to_the_last() if step != b""]


def planned(reply, *parts, stream=True):
    """The steps for a body of these parts, without the head."""
    kind = "text/event-stream" if stream else "application/json"
    head, *rest = taken(steps(reply, Content(kind, parts, stream), last=False))
    first = head.partition(b"\r\n\r\n")[2]
    return [first, *rest] if first else rest


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(), [b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"]),
        (Reply(chunked=False), [b"abcd", Action.CLOSE]),
        (Reply(split=3, chunked=False), [b"abc", 0.0, b"d", Action.CLOSE]),
        (Reply(split=1), [b"1\r\na\r\n", 0.0, b"1\r\nb\r\n", 0.0, b"1\r\nc\r\n", 0.0, b"1\r\nd\r\n0\r\n\r\n"]),
        (Reply(drip=2, chunked=False), [b"a", 2.0, b"b", 2.0, b"c", 2.0, b"d", Action.CLOSE]),
        (Reply(drip=2, split=2, chunked=False), [b"ab", 2.0, b"cd", Action.CLOSE]),
        (Reply(pace=5, chunked=False), [b"ab", 5.0, b"cd", Action.CLOSE]),
        (Reply(hold="body", chunked=False), [b"ab", Action.HOLD, b"cd", Action.CLOSE]),
        (Reply(cut=3, chunked=False), [b"abc", Action.ABORT]),
        (Reply(cut=0, chunked=False), [Action.ABORT]),
        (Reply(cut=3, reset=True, chunked=False), [b"abc", Action.RESET]),
        (Reply(stall=1, chunked=False), [b"a", Action.STALL]),
        (Reply(cut=99, chunked=False), [b"abcd", Action.ABORT]),
        (Reply(reset=True, chunked=False), [b"abcd", Action.RESET]),
        (Reply(drop_idle=True), [b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", Action.CLOSE]),
    ],
)
def test_each_fault_is_a_list_of_steps(reply, expected):
    assert planned(reply, b"ab", b"cd") == expected


def test_what_comes_before_the_head_is_said_in_order():
    assert list(itertools.islice(steps(Reply(delay=3, hold=True), Content("x", [b""]), last=False), 2)) == [
        3.0,
        Action.HOLD,
    ]
    dripping = taken(steps(Reply(drip_head=1), Content("x", [b"{}"]), last=False))
    assert b"".join(step for step in dripping if isinstance(step, bytes)).endswith(b"\r\n\r\n{}")
    assert dripping[1::2] == [1.0] * (len(dripping) // 2)


def test_silent_never_answers_and_drop_closes_without_a_byte(server):
    assert raw(server, Reply(drop=True)) == b""
    server.script(Reply(silent=True))
    with connect(server) as sock:
        sock.sendall(request_bytes())
        server.wait_for_requests(2)
        assert call(server, "/v1/models")[0] == 200
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)


@pytest.mark.parametrize(
    "reply", [Reply(drop=True, reset=True), Reply(cut=2, reset=True), Reply(raw=b"HTTP", reset=True)]
)
def test_reset_is_a_tcp_reset(server, reply):
    with pytest.raises(ConnectionResetError):
        raw(server, reply)


def test_a_reset_after_a_whole_reply_leaves_the_reply_readable(server):
    server.script(Reply(body="ok", reset=True))
    with connect(server) as sock:
        sock.sendall(request_bytes())
        assert b"content-length: 2" in head_of(sock)
        assert exactly(sock, 2) == b"ok"
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_cut_ends_the_body_early_in_both_framings(server):
    head, _, body = raw(server, Reply(body="0123456789", cut=4)).partition(b"\r\n\r\n")
    assert (b"content-length: 10" in head, body) == (True, b"0123")
    head, _, body = raw(server, Reply(cut=4, events=["data: x\n\n"])).partition(b"\r\n\r\n")
    assert (b"transfer-encoding: chunked" in head, body) == (True, b"4\r\ndata\r\n")


def test_stall_sends_so_much_and_then_nothing(server):
    server.script(Reply(body="0123456789", stall=4))
    with connect(server) as sock:
        sock.sendall(request_bytes())
        head_of(sock)
        assert exactly(sock, 4) == b"0123"
        assert call(server, "/v1/models")[0] == 200
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)


@pytest.mark.parametrize(
    "reply", [Reply(split=1), Reply(drip=0.0), Reply(drip_head=0.0), Reply(split=7, gzip=True), Reply(pace=0.0)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_slow_writing_changes_no_byte(server, reply, stream):
    expected = call(server, *[CHAT, *asking(CHAT, stream=stream)])[2].replace(b"fake_1", b"fake_2")
    server.script(reply)
    _, headers, data = call(server, *[CHAT, *asking(CHAT, stream=stream)])
    assert (gzip.decompress(data) if reply.gzip else data) == expected
    assert (headers["content-encoding"] == "gzip") is reply.gzip


def test_gzip_is_flushed_at_every_event(server):
    server.script(Reply(gzip=True, hold="body", events=["data: one\n\n", "data: two\n\n"], chunked=False))
    unpacker = zlib.decompressobj(wbits=31)
    with connect(server) as sock:
        sock.sendall(request_bytes())
        head_of(sock)
        got = b""
        while not got:
            got += unpacker.decompress(sock.recv(65536))
        assert got == b"data: one\n\n"
        server.release()
        assert unpacker.decompress(to_the_end(sock)) == b"data: two\n\n"


def test_raw_replaces_everything(server):
    assert raw(server, Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le")) == b"HTTP/1.1 200 OK\r\nContent-Le"
    assert raw(server, Reply(raw=b"0123456789", cut=3)) == b"012"


def test_body_events_and_headers_are_sent_as_given(server):
    server.script(
        Reply(502, body="<html>", headers={"Content-Type": "text/html", "X-Request-Id": None, "retry-after": "7"}),
        Reply(body=b"\xff{", headers={"content-length": "5"}, close=True),
        Reply(events=[": hi\n\n", b"data: \xff\n\n"]),
        Reply(204),
    )
    status, headers, data = call(server)
    assert (status, headers["content-type"], headers["retry-after"], data) == (502, "text/html", "7", b"<html>")
    assert headers["x-request-id"] is None
    with pytest.raises(http.client.IncompleteRead, match="2 bytes read, 3 more"):
        call(server)
    assert call(server)[2] == b": hi\n\ndata: \xff\n\n"
    status, headers, data = call(server)
    assert (status, data, headers["content-length"], headers["transfer-encoding"]) == (204, b"", None, None)


def test_framing_is_chosen(server):
    server.script(
        Reply(chunked=True), Reply(chunked=False), Reply(chunked=False, events=["data: x\n\n"]), Reply(close=True)
    )
    found = [call(server, CHAT, asking(CHAT)[0])[1] for _ in range(4)]
    names = ("transfer-encoding", "content-length", "connection")
    assert [[name in headers for name in names] for headers in found] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
        [False, True, True],
    ]


@pytest.mark.parametrize("reply", [Reply(), Reply(chunked=True), Reply(events=["data: x\n\n"])])
def test_the_answer_to_head_has_the_head_of_a_body_alone(server, reply):
    server.script(reply, "next")
    with connect(server) as sock:
        sock.sendall(f"HEAD {CHAT} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = head_of(sock)
        assert b"content-length: " in head or b"transfer-encoding: chunked" in head
        sock.sendall(request_bytes().replace(b"Host: x", b"Connection: close"))
        assert to_the_end(sock).startswith(b"HTTP/1.1 200 OK")


def test_a_connection_dropped_while_idle_promised_to_stay(server):
    head, _, body = raw(server, Reply(drop_idle=True, body="ok")).partition(b"\r\n\r\n")
    assert (b"connection: close" in head.lower(), body) == (False, b"ok")


def test_endless_events_wait_for_a_slow_reader(server):
    produced = itertools.count()
    server.script(Reply(events=(b"data: %d\n\n" % number for number in produced)))
    with connect(server) as sock:
        sock.sendall(request_bytes())
        assert exactly(sock, 2**20).count(b"data: ") > 10_000
        call(server, "/v1/models")
    assert next(produced) < 10_000_000


# ----------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def tls():
    """A server's context and one that trusts it."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return serving, trusting


def wrapped(sock, context):
    if context is None:
        return socket.socket(fileno=sock.detach())
    # without the flag Python shows an end without close_notify as a clean one
    return context.wrap_socket(sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False)


def test_tls_serves_and_a_cut_is_no_clean_end(tls):
    serving, trusting = tls
    with FakeServer(tls=serving) as server:
        assert server.url.startswith("https://127.0.0.1:")
        server.script(Reply(close=True), Reply(cut=5, chunked=False, events=["data: x\n\n"]))
        with connect(server) as plain, wrapped(plain, trusting) as sock:
            sock.sendall(request_bytes())
            assert b"Hello big world" in to_the_end(sock)
        with connect(server) as plain, wrapped(plain, trusting) as sock:
            sock.sendall(request_bytes())
            head_of(sock)
            assert exactly(sock, 5) == b"data:"
            with pytest.raises(ssl.SSLEOFError):
                sock.recv(1)


def test_a_stop_does_not_wait_for_a_handshake(tls):
    with FakeServer(tls=tls[0]) as server, connect(server) as never_speaks:
        with connect(server) as plain, wrapped(plain, tls[1]):
            pass  # the loop has accepted both
        server.stop()
        assert to_the_end(never_speaks) == b""
    gc.collect()


def test_headers_are_a_mapping():
    headers = Headers({"a": "1"})
    assert (headers["A"], len(headers), list(headers), headers) == ("1", 1, ["a"], {"a": "1"})
    assert repr(headers) == "{'a': '1'}"
    assert "b" not in headers


@pytest.mark.parametrize("reply", [Reply(at="accept"), Reply(at="accept", drop=True, raw=b"x"), fault("eof-at-accept")])
def test_a_connection_can_be_closed_before_a_word(server, reply):
    server.script(reply)
    with connect(server) as sock:
        assert to_the_end(sock) == b""
    assert (server.connections, server.request_count, server.active) == (1, 0, 0)
    assert ask(server)[0] == 200


def test_bytes_can_be_the_first_word_whatever_the_client_would_say(server):
    server.script(Reply(at="accept", raw=b"SSH-2.0\r\n", delay=0.01), Reply(at="accept", raw=b"ab", hold=True, split=1))
    with connect(server) as sock:
        assert to_the_end(sock) == b"SSH-2.0\r\n"
    with connect(server) as sock:
        eventually(lambda: server.connections == 2)
        server.release()
        assert to_the_end(sock) == b"ab"


@pytest.mark.parametrize("begun", [b"G", b"\x16\x03\x01"])
def test_bytes_can_be_the_answer_to_the_first_ones_whatever_these_are(server, begun):
    server.script(fault("tls-alert"), fault("eof-at-hello"))
    for answer in (b"\x15\x03\x03\x00\x02\x02\x0a", b""):
        with connect(server) as sock:
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            sock.setblocking(True)
            sock.sendall(begun)
            assert to_the_end(sock) == answer


@pytest.mark.parametrize("name", ["reset-at-accept", "reset-at-hello"])
def test_a_connection_can_be_reset_before_a_request(server, name):
    def begin():
        with connect(server) as sock:
            sock.sendall(b"G")
            return sock.recv(1)

    server.script(fault(name))
    with pytest.raises(ConnectionResetError):
        begin()
    assert server.request_count == 0


def test_a_server_that_is_silent_from_the_beginning_hears_no_request(server):
    server.script(fault("silent-at-accept"), "received")
    with connect(server) as mute:
        mute.sendall(request_bytes())
        assert b"received" in call(server, body={})[2]
        assert (server.connections, server.request_count) == (2, 1)
        mute.setblocking(False)
        with pytest.raises(BlockingIOError):
            mute.recv(1)


def test_a_reply_waits_for_its_moment_and_so_do_those_behind_it(server):
    server.script("one", fault("eof-at-accept"), "two")
    kept = http.client.HTTPConnection(server.host, server.port, timeout=20)
    with contextlib.closing(kept):
        assert b"one" in call(server, body={}, connection=kept)[2]
        assert b"two" not in call(server, body={}, connection=kept)[2]
        with connect(server) as sock:
            assert to_the_end(sock) == b""
        assert b"two" in call(server, body={}, connection=kept)[2]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        *((f"proxy-{status}", f"HTTP/1.1 {status} ") for status in (403, 407, 502, 503, 504)),
        ("proxy-cut", "HTTP/1.1 200 Conn"),
    ],
)
def test_a_proxy_that_makes_no_tunnel(server, name, answer):
    server.script(fault(name, close=True))
    with connect(server) as sock:
        sock.sendall(b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n")
        assert to_the_end(sock).startswith(answer.encode())
    (received,) = server.requests
    assert (received.method, received.path) == ("CONNECT", "api.example:443")
