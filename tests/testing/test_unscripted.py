"""`FakeServer` where nobody has scripted it: what it refuses and in whose words, what models are called after, tools, formats."""

import http.client
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.live import at
from support.wire_forms import FORMS

import llmnet
from llmnet.testing.faults import FAULTS
from llmnet.testing.script import Headers, Received
from llmnet.testing.unscripted import default_reply
from llmnet.testing.wire_forms import render

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
NATIVE = "/api/v1/services/aigc/text-generation/generation"
EMBEDDINGS = "/v1/embeddings"
VERSION = {"anthropic-version": "2023-06-01"}
HI = [{"role": "user", "content": "Hi"}]
COMPLETE = {
    CHAT: {"model": "m", "messages": HI},
    RESPONSES: {"model": "m", "input": HI},
    MESSAGES: {"model": "m", "messages": HI, "max_tokens": 9},
    COUNT: {"model": "m", "messages": HI},
    NATIVE: {"model": "m", "input": {"messages": HI}},
    EMBEDDINGS: {"model": "m", "input": "Hi"},
}


def call(server, path, body=b"", method="POST", **headers):
    """Send one request; status, headers and body of the reply, decoded where it is JSON."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data or None, {name.replace("_", "-"): v for name, v in headers.items()})
        response = connection.getresponse()
        content = response.read()
        if content and response.headers["content-type"] == "application/json":
            content = json.loads(content)
        return response.status, response.headers, content or None
    finally:
        connection.close()


# ------------------------------------------------------------------------------------------------------------ refusals


def is_openai(headers, body):
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return headers["x-request-id"].startswith("req_") and body["error"]["type"], body["error"]["message"]


def is_anthropic(headers, body):
    assert set(body) == {"type", "error", "request_id"}
    assert (body["type"], set(body["error"])) == ("error", {"type", "message"})
    assert headers["request-id"] == body["request_id"]
    return body["error"]["type"], body["error"]["message"]


def is_native(headers, body):
    assert set(body) == {"code", "message", "request_id"}
    assert headers["x-request-id"] == body["request_id"]
    return body["code"], body["message"]


SHAPES = {
    CHAT: is_openai,
    RESPONSES: is_openai,
    EMBEDDINGS: is_openai,
    MESSAGES: is_anthropic,
    COUNT: is_anthropic,
    NATIVE: is_native,
}


@pytest.mark.parametrize("path", SHAPES)
def test_a_refusal_is_in_the_shape_of_its_path(server, path):
    for body in (b"", b"{", b"[1]", b'"text"', b"{}"):
        status, headers, reply = call(server, path, body)
        assert (status, SHAPES[path](headers, reply)[0]) in {(400, "invalid_request_error"), (400, "InvalidParameter")}
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        status, headers, reply = call(server, path, method=method)
        assert (status, headers["allow"]) == (405, "POST")
        assert method in SHAPES[path](headers, reply)[1]
    assert call(server, path, method="HEAD")[::2] == (405, None)
    assert call(server, path, COMPLETE[path])[0] == 200


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, body in COMPLETE.items() for name in body])
def test_each_field_that_a_vendor_requires_is_required(server, path, name):
    without = {other: value for other, value in COMPLETE[path].items() if other != name}
    for body in (without, without | {name: None}, without | {name: 2.5}):
        status, headers, reply = call(server, path, body)
        assert status == 400
        assert name in SHAPES[path](headers, reply)[1]


def test_what_stands_for_a_field_is_as_good(server):
    assert call(server, "/openai/deployments/dep%201/chat/completions", {"messages": HI})[2]["model"] == "dep 1"
    for other in ("previous_response_id", "conversation"):
        assert call(server, RESPONSES, {"model": "m", other: "resp_1"})[0] == 200
    assert call(server, RESPONSES, {"prompt": {"id": "pmpt_1"}})[0] == 200


@pytest.mark.parametrize(
    ("path", "headers", "shape", "word"),
    [
        ("/v1/nowhere", {}, is_openai, "invalid_request_error"),
        ("/", {}, is_openai, "invalid_request_error"),
        ("/v1/messages/batches", {}, is_anthropic, "not_found_error"),
        ("/apps/anthropic/v1/messages/x", {}, is_anthropic, "not_found_error"),
        ("/v1/files", VERSION, is_anthropic, "not_found_error"),
        ("/api/v1/tasks/7", {}, is_native, "NotFound"),
    ],
)
def test_an_unknown_path_is_404_in_the_words_of_whose_it_would_be(server, path, headers, shape, word):
    for method in ("GET", "POST"):
        status, got, reply = call(server, path, b"{}", method=method, **headers)
        assert (status, shape(got, reply)[0]) == (404, word)
    server.script(429)
    assert shape(*call(server, path, **headers)[1:])[0] in {"requests", "rate_limit_error", "Throttling.RateQuota"}


def test_a_model_is_found_by_its_id_or_is_not_there(server):
    listed = call(server, "/v1/models", method="GET")[2]["data"]
    for row in (listed[0], listed[-1]):
        assert call(server, f"/v1/models/{row['id']}", method="GET")[2] == row
    first = call(server, "/v1/models", method="GET", **VERSION)[2]["data"][0]
    assert call(server, f"/v1/models/{first['id']}", method="GET", **VERSION)[2] == first
    for name in ("gpt%2Fx", "gpt/x", "error-429"):
        status, headers, reply = call(server, f"/v1/models/{name}", method="GET")
        assert (status, is_openai(headers, reply)[0], reply["error"]["code"]) == (
            404,
            "invalid_request_error",
            "model_not_found",
        )
        assert name.replace("%2F", "/") in reply["error"]["message"]
        status, headers, reply = call(server, f"/v1/models/{name}", method="GET", **VERSION)
        assert (status, is_anthropic(headers, reply)[0]) == (404, "not_found_error")
    assert call(server, "/v1/models", b"{}")[:1] == (405,)


def test_count_tokens_counts_what_the_usage_counts(server):
    asked = {**COMPLETE[MESSAGES], "messages": [{"role": "user", "content": "one two three"}]}
    assert call(server, COUNT, asked)[2] == {"input_tokens": 3}
    assert call(server, MESSAGES, asked)[2]["usage"]["input_tokens"] == 3


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CHAT, {"messages": [{"role": "user", "content": 5}]}),
        (CHAT, {"stream": True, "stream_options": "include_usage"}),
        (NATIVE, {"parameters": ["result_format"]}),
        (NATIVE, {"input": {"messages": {"role": "user"}}}),
        (EMBEDDINGS, {"input": [None, 1, {"text": "x"}]}),
        (EMBEDDINGS, {"dimensions": "five", "encoding_format": "base64"}),
        ("/api/v1/services/embeddings/text-embedding/text-embedding", {"input": {"texts": 5}}),
        ("/api/v1/services/embeddings/text-embedding/text-embedding", {"input": {"texts": [5]}, "parameters": 5}),
    ],
)
def test_fields_of_the_wrong_type_deeper_down_are_passed_over(server, path, more):
    assert call(server, path, {**COMPLETE.get(path, {"model": "m"}), **more})[0] == 200


def test_a_query_that_is_no_number_is_passed_over(server):
    for path in ("/v1/models?limit=x", "/api/v1/models?page_no=x&page_size=y"):
        assert call(server, path, method="GET", **VERSION)[0] == 200


def test_scripts_and_handlers_are_asked_before_anything_is_refused(server):
    server.script("scripted")
    assert call(server, CHAT, b"{")[0] == 200
    server.handler = lambda request: "handled" if request.body == b"{" else None
    assert call(server, CHAT, b"{")[2]["choices"][0]["message"]["content"] == "handled"
    assert call(server, CHAT, b"[")[0] == 400


# ------------------------------------------------------------------------------------------------------------- choices


def test_as_many_choices_as_asked_for_and_their_usage_summed(server):
    reply = call(server, CHAT, {**COMPLETE[CHAT], "n": 3})[2]
    assert [(one["index"], one["message"]["content"]) for one in reply["choices"]] == [(0, "Hi"), (1, "Hi"), (2, "Hi")]
    assert reply["usage"] == {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
    for odd in (0, -1, True, "3", None):
        assert len(call(server, CHAT, {**COMPLETE[CHAT], "n": odd})[2]["choices"]) == 1


def test_our_clients_read_the_first_of_several_choices(server, front):
    with front.client(**at(server)) as client:
        reply = client.chat("one two", n=2)
        stream = client.stream_chat("one two", n=2)
        chunks = list(stream)
    for one in (reply, stream.response):
        assert (one.content, one.finish_reason, one.usage.output_tokens) == ("one two", "stop", 4)
    assert "".join(chunk.content for chunk in chunks) == "one two"
    assert len(reply.raw["choices"]) == 2


# ------------------------------------------------------------------------------------- failures that models are called


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, llmnet.BadRequestError),
        (401, llmnet.AuthenticationError),
        (404, llmnet.NotFoundError),
        (429, llmnet.RateLimitError),
        (500, llmnet.ServerError),
        (529, llmnet.OverloadedError),
    ],
)
def test_a_model_called_after_a_status_fails_with_it(server, front, form, status, error):
    with front.client(**at(server, form, model=f"error-{status}", max_retries=0)) as client:
        with pytest.raises(error) as plain:
            client.chat("Hi")
        with pytest.raises(error) as streamed:
            list(client.stream_chat("Hi"))
    assert plain.value.status == streamed.value.status == status
    assert client.request_count == 2


@pytest.mark.parametrize("form", FORMS)
def test_a_model_called_after_a_fault_of_the_kit_has_it(server, front, form):
    with front.client(**at(server, form, max_retries=0)) as client:
        with pytest.raises(llmnet.APIConnectionError):
            client.chat("Hi", model="fault-eof-before-head")
        with pytest.raises(llmnet.ServerError, match="gone"):
            list(client.stream_chat("Hi", model="fault-stream-error"))


@pytest.mark.parametrize(
    "model", ["error-", "error-200", "error-4290", "fault-", "fault-nothing", "fault-eof-at-accept"]
)
def test_a_failure_that_there_is_not_is_a_model_that_there_is_not(server, model):
    status, headers, reply = call(server, CHAT, {**COMPLETE[CHAT], "model": model})
    assert (status, reply["error"]["code"], is_openai(headers, reply)[1]) == (
        404,
        "model_not_found",
        f"The model '{model}' does not exist",
    )
    assert call(server, EMBEDDINGS, {**COMPLETE[EMBEDDINGS], "model": model})[0] == 404


def test_every_fault_after_a_request_is_a_model():
    known = [name for name, reply in FAULTS.items() if reply.at == "request"]
    assert [default_reply(received(CHAT, {**COMPLETE[CHAT], "model": f"fault-{name}"})) for name in known] == [
        FAULTS[name] for name in known
    ]


# --------------------------------------------------------------------------------------------------------------- tools

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}, "unit": {"enum": ["C", "F"]}},
    "required": ["days", "city"],
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "now"}},
]
FORCED = {"type": "function", "function": {"name": "now"}}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_that_must_be_called_is(server, front, form, streamed):
    def ask(**more):
        if not streamed:
            return client.chat("3 days in 杭州, 2 people", **more)
        stream = client.stream_chat("3 days in 杭州, 2 people", **more)
        list(stream)
        return stream.response

    with front.client(**at(server, form)) as client:
        (called,) = ask(tools=TOOLS, tool_choice="required").tool_calls
        assert (called.name, called.json()) == ("weather", {"city": "3 days in 杭州, 2 people", "days": 3})
        (named,) = ask(tools=TOOLS, tool_choice=FORCED).tool_calls
        assert (named.name, named.json()) == ("now", {})
        assert named.id != called.id
        for choice in ("none", "auto"):
            reply = ask(tools=TOOLS, tool_choice=choice)
            assert (reply.content, reply.tool_calls) == ("3 days in 杭州, 2 people", [])


@pytest.mark.parametrize("form", FORMS)
def test_a_model_of_its_own_calls_tools_until_their_results_are_in(server, front, form):
    messages = [{"role": "user", "content": "2 days"}]
    with front.client(**at(server, form, model="fake-tools")) as client:
        assert client.chat(messages).content == "2 days"
        assert client.chat(messages, tools=TOOLS, tool_choice="none").tool_calls == []
        first = client.chat(messages, tools=TOOLS)
        (called,) = first.tool_calls
        assert (called.json(), first.finish_reason) == ({"city": "2 days", "days": 2}, "tool_calls")
        messages += [first.message, {"role": "tool", "tool_call_id": called.id, "content": "sunny"}]
        second = client.chat(messages, tools=TOOLS)
        assert (second.content, second.tool_calls) == ("2 days", [])
        messages += [second.message, {"role": "user", "content": "again"}]
        (again,) = client.chat(messages, tools=TOOLS).tool_calls
        assert again.id != called.id


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CHAT, {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "other"}}}),
        (CHAT, {"tool_choice": "required"}),
        (RESPONSES, {"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function", "name": "g"}}),
        (MESSAGES, {"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "tool", "name": "g"}}),
        (MESSAGES, {"tool_choice": {"type": "any"}}),
        (NATIVE, {"parameters": {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "other"}}}}),
    ],
)
def test_a_choice_of_a_tool_that_is_not_there_is_refused(server, path, more):
    status, headers, reply = call(server, path, {**COMPLETE[path], **more})
    assert status == 400
    assert "tool" in SHAPES[path](headers, reply)[1].lower()


@pytest.mark.parametrize(
    ("path", "more", "name"),
    [
        (RESPONSES, {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}}, None),
        (RESPONSES, {"tools": [{"type": "web_search"}], "tool_choice": "required"}, None),
        (RESPONSES, {"tools": [{"type": "custom", "name": "c"}], "tool_choice": {"type": "custom", "name": "c"}}, None),
        (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, None),
        (
            MESSAGES,
            {"tools": [{"type": "custom", "name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}},
            "f",
        ),
        (
            CHAT,
            {
                "tools": TOOLS,
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": TOOLS[1:]}},
            },
            "now",
        ),
        (
            RESPONSES,
            {
                "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "g"}],
                },
            },
            "g",
        ),
    ],
)
def test_every_way_to_choose_a_tool(path, more, name):
    reply = default_reply(received(path, {**COMPLETE[path], **more}))
    assert (reply.status, [one["name"] for one in reply.tool_calls or ()]) == (200, [name] if name else [])


# ------------------------------------------------------------------------------------------------------ formats, stops

SCHEMA = {
    "type": "object",
    "properties": {"setup": {"type": "string"}, "rating": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    "required": ["setup", "rating"],
    "additionalProperties": False,
}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "joke", "schema": SCHEMA, "strict": True}}


@pytest.mark.parametrize("form", FORMS)
def test_a_reply_has_the_format_that_was_asked_for(server, front, form):
    with front.client(**at(server, form)) as client:
        reply = client.chat("Rate 7", response_format=JSON_SCHEMA)
        stream = client.stream_chat("Rate 7", response_format=JSON_SCHEMA)
        list(stream)
        for one in (reply, stream.response):
            assert json.loads(one.content) == {"setup": "Rate 7", "rating": 7}
        if form != "messages":  # which has no counterpart
            asked = {"response_format": {"type": "json_object"}}
            assert json.loads(client.chat("plain", **asked).content) == {"text": "plain"}
            assert client.chat('{"already": 1}', **asked).content == '{"already": 1}'
            named = "JSON with 'setup' and \"punchline\""
            assert json.loads(client.chat(named, **asked).content) == {"setup": named, "punchline": named}
        assert client.chat("plain", response_format={"type": "text"}).content == "plain"


@pytest.mark.parametrize("form", ["chat-completions", "messages", "native"])
def test_an_echo_ends_where_it_was_told_to(server, front, form):
    with front.client(**at(server, form)) as client:
        for stop in ("two", ["three", "two", ""]):
            reply = client.chat("one two three", stop=stop)
            stream = client.stream_chat("one two three", stop=stop)
            list(stream)
            assert (reply.content, reply.finish_reason) == ("one ", "stop")
            assert (stream.response.content, stream.response.finish_reason) == ("one ", "stop")
        assert client.chat("one two three", stop=["four"]).content == "one two three"
    if form == "messages":
        assert (reply.raw["stop_reason"], reply.raw["stop_sequence"]) == ("stop_sequence", "two")


# -------------------------------------------------------------------------------------------------------- any request


def received(path, body):
    return Received("POST", path, {}, Headers({}), json.dumps(body).encode(), 1)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
WORDS = [
    "model",
    "n",
    "stop",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "response_format",
    "text",
    "output_config",
    "parameters",
    "messages",
    "input",
    "format",
    "type",
    "function",
    "name",
    "input_schema",
    "schema",
    "json_schema",
    "role",
    "content",
    "texts",
    "dimensions",
    "encoding_format",
    "incremental_output",
    "allowed_tools",
    "mode",
    "result_format",
    "dimension",
]
bodies = st.recursive(
    scalars | st.sampled_from(["function", "tool", "any", "json_schema", "json_object", "user", "allowed_tools"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=12,
)


@given(st.sampled_from(list(COMPLETE)), st.dictionaries(st.sampled_from(WORDS), bodies, max_size=6))
@settings(max_examples=50)
def test_every_body_has_an_answer(path, more):
    request = received(path, {**COMPLETE[path], **more})
    content = render(default_reply(request), request, 1)
    assert content.stream or json.loads(b"".join(content.parts)) is not None
