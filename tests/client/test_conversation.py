"""A conversation with tools through every wire form: the body that the server receives, line by line (docs/vendors.md, Translation)."""

import asyncio

import pytest
from support.live import at
from support.wire_forms import FORMS

import llmnet
from llmnet.testing import Reply

PIXEL = "data:image/png;base64,iVBORw0KGgo="
CALLS = [
    {"id": "call_1", "name": "weather", "arguments": '{"city": "杭州"}'},
    {"id": "call_2", "name": "clock", "arguments": "{}"},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "now",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    },
    {"type": "function", "function": {"name": "clock"}},
]
OPENING = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}],
    },
]
ANSWERS = [
    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    {"role": "tool", "tool_call_id": "call_2", "content": "noon"},
]


def converse(server, form, front, *, stream):
    server.script(Reply(text="Let me look.", reasoning="Two tools", tool_calls=CALLS), "Sunny at noon.")
    fields = at(server, form, api_key="sk-test")
    messages = [dict(message) for message in OPENING]
    if front == "sync":
        with llmnet.Client(**fields) as client:
            first = ask(client, messages, stream)
            messages += [first.message, *ANSWERS]
            return first, ask(client, messages, stream)

    async def run():
        async with llmnet.AsyncClient(**fields) as client:
            first = await aask(client, messages, stream)
            messages.extend([first.message, *ANSWERS])
            return first, await aask(client, messages, stream)

    return asyncio.run(run())


def ask(client, messages, stream):
    if not stream:
        return client.chat(messages, tools=TOOLS, tool_choice="auto")
    with client.stream_chat(messages, tools=TOOLS, tool_choice="auto") as opened:
        for _ in opened:
            pass
    return opened.response


async def aask(client, messages, stream):
    if not stream:
        return await client.chat(messages, tools=TOOLS, tool_choice="auto")
    async with client.stream_chat(messages, tools=TOOLS, tool_choice="auto") as opened:
        async for _ in opened:
            pass
    return opened.response


@pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream"])
@pytest.mark.parametrize("front", ["sync", "async"])
@pytest.mark.parametrize("form", FORMS)
def test_a_round_trip(server, form, front, stream):
    first, last = converse(server, form, front, stream=stream)
    assert (first.content, first.reasoning) == ("Let me look.", "Two tools")
    assert [(call.id, call.name, call.json()) for call in first.tool_calls] == [
        ("call_1", "weather", {"city": "杭州"}),
        ("call_2", "clock", {}),
    ]
    assert first.finish_reason == "tool_calls"
    assert last.content == "Sunny at noon."
    CHECKS[form](server.requests[1].json)
    assert (server.requests[1].json.get("stream") is True) == (stream and form != "native")


def check_chat(body):
    system, user, assistant, *answers = body["messages"]
    assert (system, user, answers) == (OPENING[0], OPENING[1], ANSWERS)
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_1", "call_2"]
    assert [call["function"]["name"] for call in assistant["tool_calls"]] == ["weather", "clock"]
    assert assistant["content"] == "Let me look."
    assert "vendor" not in assistant
    assert (body["tools"], body["tool_choice"]) == (TOOLS, "auto")


def check_messages(body):
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    user, assistant, answers = body["messages"]
    assert user["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
    ]
    kinds = [block["type"] for block in assistant["content"]]
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]
    assert assistant["content"][0]["signature"]
    assert assistant["content"][2]["input"] == {"city": "杭州"}
    assert answers["role"] == "user"
    assert [(block["type"], block["tool_use_id"]) for block in answers["content"]] == [
        ("tool_result", "call_1"),
        ("tool_result", "call_2"),
    ]
    assert body["tool_choice"] == {"type": "auto"}
    assert body["tools"][0]["input_schema"]["properties"] == {"city": {"type": "string"}}
    assert body["tools"][1]["input_schema"]["type"] == "object"
    assert body["max_tokens"] == 8192


def check_responses(body):
    system, user, *rest = body["input"]
    assert system["role"] == "system"
    assert user["content"] == [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
    ]
    kinds = [item["type"] for item in rest]
    assert kinds == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
    ]
    assert [item["call_id"] for item in rest[2:]] == ["call_1", "call_2", "call_1", "call_2"]
    assert [item["output"] for item in rest[4:]] == ["sunny", "noon"]
    assert body["tools"][0]["name"] == "weather"
    assert body["tool_choice"] == "auto"


def check_native(body):
    system, user, assistant, *answers = body["input"]["messages"]
    assert system["content"] in ("Be brief.", [{"text": "Be brief."}])
    assert user["content"] == [{"text": "What is this?"}, {"image": PIXEL}]
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_1", "call_2"]
    assert [answer["tool_call_id"] for answer in answers] == ["call_1", "call_2"]
    assert body["parameters"]["tools"] == TOOLS
    assert body["parameters"]["result_format"] == "message"


CHECKS = {
    "chat-completions": check_chat,
    "messages": check_messages,
    "responses": check_responses,
    "native": check_native,
}
