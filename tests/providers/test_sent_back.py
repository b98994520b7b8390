"""A reply is sent back to the same service in a form that it accepts: `reply.message`, complete and streamed."""

import json

import pytest
from support import recorded
from support.live import at_port
from support.replies import (
    DONE,
    block,
    chunk,
    completed,
    completion,
    form,
    message,
    output,
    peer,
    plain,
    read_json,
    response,
    sent,
    started,
    stopped,
    streamed,
    text_item,
)

from llmnet.providers.target import CHAT, MESSAGES, NATIVE, RESPONSES

USER = {"role": "user", "content": "hi"}
SIGNED = {"google": {"thought_signature": "c2ln"}}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
BESIDE = {"extra_content": SIGNED}


def through_json(reply):
    """The message, as a program may have kept it in a file."""
    return json.loads(json.dumps(reply.message))


def answers(reply):
    return [{"role": "tool", "tool_call_id": call.id, "content": "1"} for call in reply.tool_calls]


def assistant(own, reply, **changed):
    """The assistant message of the next turn, as the chat form sends it."""
    body = sent(own, USER, {**through_json(reply), **changed}, *answers(reply))
    messages = body["messages"] if "messages" in body else body["input"]["messages"]
    return messages[1]


def chats(body):
    """A message of the chat form, complete and streamed."""
    delta = {**body, "tool_calls": [{"index": i, **call} for i, call in enumerate(body.get("tool_calls", ()))]}
    return completion(body, "tool_calls"), [chunk(delta), chunk(finish="tool_calls"), DONE]


@pytest.mark.parametrize("how", ["complete", "streamed", "late", "twice"])
def test_extras_of_a_call_are_sent_back_with_it(how):
    own, (payload, events_sent) = form(provider="gemini"), chats({"tool_calls": [CALL | BESIDE, {**CALL, "id": "b"}]})
    if how == "late":
        rows = [{"index": 0, **CALL}, {"index": 1, **CALL, "id": "b"}]
        events_sent = [
            chunk({"tool_calls": rows}),
            chunk({"tool_calls": [{"index": 0, **BESIDE}]}),
            chunk(finish="tool_calls"),
            DONE,
        ]
    if how == "twice":
        events_sent = [chunk({"tool_calls": [CALL | BESIDE, {**CALL, "id": "b"}]}, finish="tool_calls"), DONE]
    reply = read_json(own, payload) if how == "complete" else streamed(own, *events_sent)
    first, second = assistant(own, reply)["tool_calls"]
    assert first == CALL | BESIDE
    assert second == {**CALL, "id": "b"}
    # A program may rewrite the text; the extras of the calls stay.
    assert assistant(own, reply, content="in short")["tool_calls"][0] == CALL | BESIDE
    # Other services would refuse what they do not know.
    assert "extra_content" not in json.dumps(sent(form(provider="mistral"), USER, reply.message, *answers(reply)))
    assert "vendor" not in assistant(own, reply)


DETAILS = [
    {"type": "reasoning.text", "text": "hm", "index": 0, "signature": "s"}, {"type": "reasoning.encrypted", "data": "x", "index": 1},
]  # fmt: skip
PIECES = [
    {"type": "reasoning.text", "text": "h", "index": 0}, {"type": "reasoning.text", "text": "m", "index": 0},
    {"type": "reasoning.text", "signature": "s", "index": 0}, {"type": "reasoning.encrypted", "data": "x", "index": 1},
]  # fmt: skip


def test_reasoning_details_go_back_as_they_came():
    own = form(provider="openrouter")
    at_once = read_json(own, completion({"content": "a", "reasoning_details": DETAILS}))
    pieces = streamed(
        own, *[chunk({"reasoning_details": [piece]}) for piece in PIECES], chunk({"content": "a"}, "stop"), DONE
    )
    for reply in (at_once, pieces):
        assert (reply.reasoning, assistant(own, reply)["reasoning_details"]) == ("hm", DETAILS)
        assert "reasoning_details" not in assistant(form(provider="mistral"), reply)


def test_signed_blocks_of_litellm_are_sent_back_unchanged():
    pieces = [
        {"type": "thinking", "thinking": "h"},
        {"type": "thinking", "thinking": "m"},
        {"type": "thinking", "thinking": "", "signature": "s"},
    ]
    reply = streamed(
        form(), *[chunk({"thinking_blocks": [piece]}) for piece in pieces], chunk({"content": "a"}, "stop"), DONE
    )
    assert assistant(form(), reply)["thinking_blocks"] == [{"type": "thinking", "thinking": "hm", "signature": "s"}]


@pytest.mark.parametrize("arguments", ["", " ", None])
@pytest.mark.parametrize("name", [CHAT, NATIVE])
def test_no_arguments_go_back_as_an_empty_object(name, arguments):
    call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": arguments}}
    payload, events_sent = chats({"content": None, "tool_calls": [call]})
    if name == NATIVE:
        payload = output({"content": "", "tool_calls": [call]})
        events_sent = [payload]
    for reply in (read_json(form(name), payload), streamed(form(name), *events_sent)):
        assert reply.tool_calls[0].arguments == (arguments or "")
        assert reply.tool_calls[0].json() == {}
        assert assistant(form(name), reply)["tool_calls"][0]["function"]["arguments"] == "{}"


def test_no_arguments_of_an_item_go_back_as_an_empty_object():
    item = {"type": "function_call", "id": "fc", "call_id": "a", "name": "now", "arguments": ""}
    for reply in (read_json(form(RESPONSES), response(item)), streamed(form(RESPONSES), completed(item))):
        assert sent(form(RESPONSES), USER, reply.message, *answers(reply))["input"][1] == {**item, "arguments": "{}"}


def test_half_an_emoji_in_an_id_can_be_sent_back():
    reply = read_json(form(), completion({"tool_calls": [{**CALL, "id": "a\ud83d"}]}))
    assert reply.tool_calls[0].id == assistant(form(), reply)["tool_calls"][0]["id"] == "a\ufffd"


def test_a_custom_call_goes_back_as_one():
    call = {"id": "a", "type": "custom", "custom": {"name": "calc", "input": "4 + 4"}}
    payload, events_sent = chats({"content": None, "tool_calls": [call]})
    for reply in (read_json(form(), payload), streamed(form(), *events_sent)):
        assert reply.tool_calls[0].arguments == "4 + 4"
        assert assistant(form(), reply)["tool_calls"] == [call]


@pytest.mark.parametrize(
    ("provider", "base_url", "kept"),
    [
        ("deepseek", "http://127.0.0.1:1", True),
        ("openai", "https://api.deepseek.com/v1", True),
        ("openai", "https://api.moonshot.cn/v1", True),
        ("openai", "https://api.openai.com/v1", False),
        ("qianfan", "https://qianfan.baidubce.com/v2", False),
    ],
)
def test_reasoning_goes_back_where_it_is_wanted(provider, base_url, kept):
    own = form(provider=provider, base_url=base_url)
    reply = read_json(own, completion({"content": "a", "reasoning_content": "hm"}))
    assert ("reasoning_content" in assistant(own, reply)) == kept


# -- Responses --------------------------------------------------------------------------------------------------------

THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
SEALED = {**THOUGHT, "id": "rs_2", "encrypted_content": "x"}
MESSAGE = {**text_item("Hello"), "id": "msg_1"}


def items(reply, **params):
    return sent(form(RESPONSES), USER, through_json(reply), **params)["input"][1:]


@pytest.mark.parametrize("streaming", [False, True])
def test_what_was_not_stored_is_known_by_what_is_encrypted_alone(streaming):
    def reply(**more):
        output_ = (THOUGHT, SEALED, MESSAGE)
        return (
            streamed(form(RESPONSES), completed(*output_, **more))
            if streaming
            else read_json(form(RESPONSES), response(*output_, **more))
        )

    assert items(reply()) == items(reply(store=True)) == [THOUGHT, SEALED, MESSAGE]
    assert items(reply(store=False)) == items(reply(), store=False) == [SEALED, MESSAGE]


def test_reasoning_goes_back_before_what_it_led_to_or_not_at_all():
    assert items(read_json(form(RESPONSES), response(MESSAGE, SEALED))) == [MESSAGE]
    cut = read_json(
        form(RESPONSES), response(SEALED, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    )
    assert items(cut) == []


# -- Anthropic's blocks -----------------------------------------------------------------------------------------------

BLOCKS = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello"}]
EVENTS = [
    started(), *block(0, {"type": "thinking_delta", "thinking": "hm"}, type="thinking", thinking=""),
    *block(1, {"type": "text_delta", "text": "Hello"}, type="text", text=""), *stopped(),
]  # fmt: skip
HOSTS = [
    ("https://api.anthropic.com", False),
    ("https://eu.anthropic.com/v1", False),
    ("https://api.deepseek.com/anthropic", True),
    ("https://dashscope.aliyuncs.com/apps/anthropic", True),
    ("https://anthropic.com.example.org", True),
    ("http://127.0.0.1:1", True),
]


@pytest.mark.parametrize(("base_url", "kept"), HOSTS)
def test_unsigned_thinking_is_sent_back_except_to_anthropic(base_url, kept):
    own = form(MESSAGES, base_url=base_url)
    for reply in (read_json(own, message(*BLOCKS)), streamed(own, *EVENTS)):
        assert sent(own, USER, through_json(reply))["messages"][1]["content"] == (BLOCKS if kept else BLOCKS[1:])


# -- recorded traffic -------------------------------------------------------------------------------------------------

RECORDED_AS = {"messages": MESSAGES, "responses": RESPONSES, "native-generation": NATIVE, "native-multimodal": NATIVE}
ROWS = [
    row
    for provider in ("openai", "azure", "anthropic", "dashscope", "openai-compatible", "qianfan")
    for row in recorded.rows(provider, "chat-completions", "v2", *RECORDED_AS)
    if row["kind"] in ("chat", "stream", "responses") and (row["expected"].get("tool_calls") or row["expected"].get("reasoning"))
]  # fmt: skip


def is_call(call):
    inner = call.get(call.get("type"))
    return (
        set(call) <= {"id", "type", "function", "custom", "extra_content"}
        and call["type"] in ("function", "custom")
        and isinstance(call["id"], str)
        and isinstance(inner["name"], str)
        and (call["type"] == "custom" or isinstance(json.loads(inner["arguments"]), dict))
    )


def check_chat(messages, reply):
    answer, *results = messages[1:]
    assert answer["role"] == "assistant"
    assert set(answer) <= {"role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning_details"}
    assert isinstance(answer["content"], str) or answer.get("tool_calls")
    assert all(map(is_call, answer.get("tool_calls", ())))
    assert [call["id"] for call in answer.get("tool_calls", ())] == [result["tool_call_id"] for result in results]


def check_blocks(body, reply):
    answer, *results = body["messages"][1:]
    assert (answer["role"], len(results)) == ("assistant", bool(reply.tool_calls))
    for one in answer["content"]:
        assert one["type"] != "text" or one["text"].strip()
        assert one["type"] != "thinking" or one["signature"]
        assert one["type"] != "tool_use" or isinstance(one["input"], dict)
    asked = [one["id"] for one in answer["content"] if one["type"] == "tool_use"]
    assert asked == [one["tool_use_id"] for turn in results for one in turn["content"] if one["type"] == "tool_result"]


def check_items(body, reply):
    items_sent = body["input"][1:]
    kinds = [item["type"] for item in items_sent]
    assert all(isinstance(item.get("id"), str) for item in items_sent if item["type"] in ("reasoning", "message"))
    assert not kinds or kinds[-1] != "reasoning"
    asked = [item["call_id"] for item in items_sent if item["type"] in ("function_call", "custom_tool_call")]
    assert asked == [
        item["call_id"] for item in items_sent if item["type"].endswith("_call_output") and item["call_id"] in asked
    ]
    assert all(
        isinstance(json.loads(item["arguments"]), dict) for item in items_sent if item["type"] == "function_call"
    )


@recorded.needs_recordings
@pytest.mark.parametrize("row", ROWS, ids=recorded.name)
def test_recorded_replies_go_back(row):
    name = RECORDED_AS.get(row["api"], CHAT)
    own = form(name, "anthropic" if name == MESSAGES else "dashscope" if name == NATIVE else "openai")
    _, reply = recorded.replay(own, row, [recorded.body(row)])
    if isinstance(reply, Exception):
        assert row["error_in_200"]
        return
    body = sent(own, USER, through_json(reply), *answers(reply))
    if name == MESSAGES:
        check_blocks(body, reply)
    elif name == RESPONSES:
        check_items(body, reply)
    else:
        check_chat(body.get("messages") or body["input"]["messages"], reply)


def test_on_both_fronts(front):
    payload, _ = chats({"content": None, "tool_calls": [CALL | BESIDE]})
    bodies = []

    def serve(connection):
        connection.sendall(plain(json.dumps(payload).encode()))

    with peer(serve, bodies) as port, front.client(**at_port(port)) as client:
        reply = client.chat("hi")
        client.chat([USER, reply.message, *answers(reply)])
    assert json.loads(bodies[1])["messages"][1]["tool_calls"] == [CALL | BESIDE]
