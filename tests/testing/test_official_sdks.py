"""The official SDKs take `FakeServer` for the vendor, scripted or not: chat, streams, tools, errors, models, embeddings."""

import base64
import json
import struct

import pytest

from llmnet.testing import FakeServer, Reply
from llmnet.testing.wire_forms.common import MODEL_IDS

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

USER = [{"role": "user", "content": "Hello big world"}]
CALL = {"id": "call_7", "name": "weather", "arguments": '{"city": "Hangzhou", "days": 3}'}
CHAT_TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
DAYS = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
ASKED = [{"role": "user", "content": "for 3 days"}]
BROKEN = {"type": "overloaded_error", "code": "busy", "message": "Overloaded"}


@pytest.fixture
def server():
    with FakeServer() as running:
        yield running


@pytest.fixture
def chat_gpt(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk-fake", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(server):
    with anthropic.Anthropic(base_url=server.url, api_key="sk-fake", max_retries=0) as client:
        yield client


# -------------------------------------------------------------------------------------------------------------- openai


def test_openai_chat(server, chat_gpt):
    reply = chat_gpt.chat.completions.create(model="gpt", messages=USER)
    assert (reply.model, reply.choices[0].message.content, reply.choices[0].finish_reason) == (
        "gpt",
        "Hello big world",
        "stop",
    )
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (3, 6)
    assert reply._request_id == "req_fake_1"
    assert server.requests[0].headers["authorization"] == "Bearer sk-fake"


def test_openai_stream(server, chat_gpt):
    server.script(Reply(text="one two three", split=1))
    options = {"include_usage": True}
    chunks = list(chat_gpt.chat.completions.create(model="gpt", messages=USER, stream=True, stream_options=options))
    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices] == ["", "one", " two", " three", None]
    assert chunks[-1].usage.completion_tokens == 3


def test_openai_tool_call(server, chat_gpt):
    server.script(Reply(tool_calls=[CALL]), Reply(tool_calls=[CALL]))
    asked = {"model": "gpt", "messages": USER, "tools": [CHAT_TOOL]}
    message = chat_gpt.chat.completions.create(**asked).choices[0].message
    with chat_gpt.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0].message
    for tool in (message.tool_calls[0], streamed.tool_calls[0]):
        assert {"id": tool.id, "name": tool.function.name, "arguments": tool.function.arguments} == CALL
    assert message.content is None


async def test_openai_async_stream(server):
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k") as client:
        stream = await client.chat.completions.create(model="gpt", messages=USER, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello big world"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, "AuthenticationError"), (404, "NotFoundError"), (429, "RateLimitError"), (500, "InternalServerError")],
)
def test_openai_and_anthropic_errors(server, chat_gpt, claude, status, error):
    server.script(Reply(status, error={"message": "No."}), Reply(status, error={"message": "No."}))
    with pytest.raises(getattr(openai, error)) as caught:
        chat_gpt.chat.completions.create(model="gpt", messages=USER)
    assert (caught.value.body["message"], caught.value.request_id) == ("No.", "req_fake_1")
    with pytest.raises(getattr(anthropic, error)) as caught:
        claude.messages.create(model="claude", messages=USER, max_tokens=10)
    assert (caught.value.body["error"]["message"], caught.value.request_id) == ("No.", "req_fake_2")


def test_openai_error_in_a_stream(server, chat_gpt):
    server.script(Reply(error_event=BROKEN), Reply(error_event=BROKEN))
    chunks = chat_gpt.chat.completions.create(model="gpt", messages=USER, stream=True)
    assert [next(chunks).choices[0].delta.content for _ in range(3)] == ["", "Hello", " big"]
    with pytest.raises(openai.APIError, match="Overloaded"):
        next(chunks)
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(chat_gpt.responses.create(model="gpt", input="Hello big world", stream=True))


def test_openai_retries_by_itself(server):
    server.script(Reply(500, headers={"retry-after-ms": "1"}), Reply(drop=True), "third")
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=2) as client:
        assert client.chat.completions.create(model="gpt", messages=USER).choices[0].message.content == "third"
    assert server.request_count == 3


def test_openai_models_and_embeddings(chat_gpt):
    assert tuple(model.id for model in chat_gpt.models.list()) == MODEL_IDS
    packed = chat_gpt.embeddings.create(model="e", input=["one", "two"])  # the SDK asks for base64 by itself
    plain = chat_gpt.embeddings.create(model="e", input=["one", "two"], encoding_format="float")
    assert [row.embedding for row in packed.data] == [row.embedding for row in plain.data]
    text = chat_gpt.embeddings.create(model="e", input="one", encoding_format="base64", dimensions=3).data[0].embedding
    assert len(struct.unpack("<3f", base64.b64decode(text))) == 3


def test_openai_responses(server, chat_gpt):
    reply = Reply(text="one two three", reasoning="Well then", tool_calls=[CALL])
    server.script(reply, reply, Reply(text="cut", finish="length"))
    reply = chat_gpt.responses.create(model="gpt", input="hi")
    with chat_gpt.responses.stream(model="gpt", input="hi") as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()
    for one in (reply, streamed):
        reasoning, message, tool = one.output
        assert one.output_text == message.content[0].text == "one two three"
        assert reasoning.summary[0].text == "Well then"
        assert {"id": tool.call_id, "name": tool.name, "arguments": tool.arguments} == CALL
        assert one.usage.total_tokens == one.usage.input_tokens + one.usage.output_tokens
    assert kinds.count("response.output_text.delta") == 3
    cut = chat_gpt.responses.create(model="gpt", input="hi")
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_openai_azure(server):
    with openai.AzureOpenAI(azure_endpoint=server.url, api_key="k", api_version="2024-10-21") as client:
        reply = client.chat.completions.create(model="deployed", messages=USER)
    assert reply.choices[0].message.content == "Hello big world"
    assert server.requests[0].path == "/openai/deployments/deployed/chat/completions"


def test_openai_choices(chat_gpt):
    asked = {"model": "gpt", "messages": USER, "n": 2}
    reply = chat_gpt.chat.completions.create(**asked)
    with chat_gpt.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        streamed = stream.get_final_completion()
    for one in (reply, streamed):
        assert [choice.index for choice in one.choices] == [0, 1]
        assert {choice.message.content for choice in one.choices} == {"Hello big world"}
        assert {choice.finish_reason for choice in one.choices} == {"stop"}
        assert (one.usage.completion_tokens, one.usage.total_tokens) == (6, 9)


def test_openai_tools_without_a_script(chat_gpt):
    tool = {"type": "function", "function": {"name": "forecast", "parameters": DAYS}}
    asked = {"model": "gpt", "messages": ASKED, "tools": [CHAT_TOOL, tool]}
    asked["tool_choice"] = {"type": "function", "function": {"name": "forecast"}}
    message = chat_gpt.chat.completions.create(**asked).choices[0].message
    with chat_gpt.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0].message
    for one in (message, streamed):
        assert [call.function.name for call in one.tool_calls] == ["forecast"]
        assert json.loads(one.tool_calls[0].function.arguments) == {"days": 3}
    flat = {"type": "function", "name": "forecast", "parameters": DAYS, "strict": None}
    asked = {"model": "gpt", "input": ASKED, "tools": [flat], "tool_choice": "required"}
    with chat_gpt.responses.stream(**asked) as stream:
        list(stream)
        streamed = stream.get_final_response()
    for one in (chat_gpt.responses.create(**asked), streamed):
        assert (one.output[0].name, json.loads(one.output[0].arguments)) == ("forecast", {"days": 3})
        assert (one.tool_choice, one.tools[0].name) == ("required", "forecast")


def test_openai_parses_what_it_asked_a_format_for(chat_gpt):
    pydantic = pytest.importorskip("pydantic")
    trip = pydantic.create_model("Trip", days=(int, ...), city=(str, ...))
    parsed = (
        chat_gpt.chat.completions.parse(model="gpt", messages=ASKED, response_format=trip).choices[0].message.parsed
    )
    assert parsed == trip(days=3, city="for 3 days")
    assert chat_gpt.responses.parse(model="gpt", input="for 3 days", text_format=trip).output_parsed == parsed


def test_openai_refusals(server, chat_gpt):
    assert chat_gpt.models.retrieve("fake-7").id == "fake-7"
    with pytest.raises(openai.NotFoundError, match="gpt-9") as caught:
        chat_gpt.models.retrieve("gpt-9")
    assert (caught.value.code, caught.value.type) == ("model_not_found", "invalid_request_error")
    with pytest.raises(openai.NotFoundError, match="Unknown path"):
        chat_gpt.files.list()
    with pytest.raises(openai.BadRequestError, match="messages") as caught:
        chat_gpt.chat.completions.create(model="gpt", messages=None)
    assert caught.value.param == "messages"
    server.script("next")  # only what is not scripted is refused
    assert chat_gpt.chat.completions.create(model="gpt", messages=None).choices[0].message.content == "next"


@pytest.mark.parametrize(
    ("model", "error"),
    [("error-401", "AuthenticationError"), ("error-429", "RateLimitError"), ("error-503", "InternalServerError")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_models_called_after_errors(chat_gpt, claude, model, error, stream):
    for ask in (chat_gpt.chat.completions.create, chat_gpt.responses.create, claude.messages.create):
        own = {"input": "Hi"} if ask == chat_gpt.responses.create else {"messages": USER}
        own |= {"max_tokens": 9} if ask == claude.messages.create else {}
        sdk = anthropic if ask == claude.messages.create else openai
        with pytest.raises(getattr(sdk, error), match="The fake server"):
            ask(model=model, stream=stream, **own)


# ----------------------------------------------------------------------------------------------------------- anthropic


def test_anthropic_chat(server, claude):
    server.script(Reply(text="Good day", reasoning="Well then"))
    reply = claude.messages.create(model="claude", messages=USER, max_tokens=10)
    assert [block.type for block in reply.content] == ["thinking", "text"]
    assert (reply.content[0].thinking, reply.content[1].text) == ("Well then", "Good day")
    assert (reply.stop_reason, reply.usage.input_tokens, reply._request_id) == ("end_turn", 3, "req_fake_1")


def test_anthropic_stream_with_thinking_and_tools(server, claude):
    server.script(Reply(text="Good day", reasoning="Well then", tool_calls=[CALL], split=1))
    with claude.messages.stream(model="claude", messages=USER, max_tokens=10) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    thinking, text_block, tool = message.content
    assert text == text_block.text == "Good day"
    assert (thinking.thinking, bool(thinking.signature)) == ("Well then", True)
    assert (tool.id, tool.name, tool.input) == ("call_7", "weather", json.loads(CALL["arguments"]))
    assert (message.stop_reason, message.usage.input_tokens) == ("tool_use", 3)
    assert message.usage.output_tokens > 4


def test_anthropic_error_in_a_stream(server, claude):
    server.script(Reply(error_event=BROKEN))
    events = claude.messages.create(model="claude", messages=USER, max_tokens=10, stream=True)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(events)


def test_anthropic_models_over_all_pages(server, claude):
    assert tuple(model.id for model in claude.models.list()) == MODEL_IDS
    assert server.request_count == 2


def test_anthropic_counts_tokens(claude):
    assert claude.messages.count_tokens(model="claude", messages=USER).input_tokens == 3


def test_anthropic_tools_without_a_script(claude):
    asked = {"model": "claude", "messages": ASKED, "max_tokens": 99, "tools": [{"name": "f", "input_schema": DAYS}]}
    asked["tool_choice"] = {"type": "any"}
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for one in (claude.messages.create(**asked), streamed):
        (block,) = one.content
        assert (one.stop_reason, block.name, block.input) == ("tool_use", "f", {"days": 3})


def test_anthropic_stops_where_it_was_told_to(claude):
    asked = {"model": "claude", "messages": USER, "max_tokens": 99, "stop_sequences": ["big"]}
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for one in (claude.messages.create(**asked), streamed):
        assert (one.content[0].text, one.stop_reason, one.stop_sequence) == ("Hello ", "stop_sequence", "big")


def test_anthropic_refusals(claude):
    assert claude.models.retrieve("fake-7").display_name == "Fake-7"
    with pytest.raises(anthropic.NotFoundError, match="claude-9") as caught:
        claude.models.retrieve("claude-9")
    assert caught.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.NotFoundError) as caught:
        claude.messages.batches.list()
    assert caught.value.body["request_id"] == caught.value.request_id
    with pytest.raises(anthropic.BadRequestError, match="messages: Field required"):
        claude.messages.create(model="claude", max_tokens=9, messages=None)


async def test_anthropic_async(server):
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="k") as client:
        reply = await client.messages.create(model="claude", messages=USER, max_tokens=10)
    assert reply.content[0].text == "Hello big world"
