"""`tools=[function]`: what the vendor gets in each wire form, and the function that a call of the reply means."""

import copy
import gc
import json
import pickle
import weakref
from typing import TypedDict

import pytest
from support.acts import FRONTS, attempt
from support.live import at
from support.wire_forms import FORMS

import llmnet
from llmnet import ConfigurationError, ToolCall
from llmnet.testing import Reply


class City(TypedDict):
    name: str


def weather(city: str, days: int = 3) -> str:
    """The weather of a city.

    Args:
        city: where
    """
    raise AssertionError("nothing is called for the caller")


async def book(room: str) -> None:
    """Book a room."""


CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
PROPERTIES = {"city": {"type": "string", "description": "where"}, "days": {"type": "integer", "default": 3}}
SCHEMA = {"type": "object", "properties": PROPERTIES, "required": ["city"]}
SAID = {"name": "weather", "description": "The weather of a city."}
CHAT_FORM = {"type": "function", "function": {**SAID, "parameters": SCHEMA}}
SENT = {
    "chat-completions": CHAT_FORM,
    "responses": {"type": "function", **SAID, "parameters": SCHEMA, "strict": False},
    "messages": {**SAID, "input_schema": SCHEMA},
    "native": CHAT_FORM,
}
CALLS = [
    {"id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'},
    {"id": "c2", "name": "clock", "arguments": "{}"},
    {"id": "c3", "name": "book", "arguments": '{"room": "5"}'},
]
TOOLS = [weather, CLOCK, book]
MEANT = [weather, None, book]


def stream(client, **params):
    with client.stream_chat("hi", **params) as opened:
        for _ in opened:
            pass
    return opened.response


ACTS = {
    "chat": lambda client, **params: client.chat("hi", **params),
    "callbacks": lambda client, **params: client.chat("hi", callbacks=llmnet.StreamCallbacks(), **params),
    "stream_chat": stream,
    "batch": lambda client, **params: next(client.batch(["hi"], **params)).unwrap(),
    "row": lambda client, **params: next(client.batch([{"prompt": "hi", **params}])).unwrap(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ACTS)
def test_functions_are_sent_and_found_again(server, front, form, how):
    server.script(Reply(tool_calls=CALLS))
    tools = tuple(TOOLS)
    with front.client(**at(server, form)) as client:
        reply = ACTS[how](client, tools=tools)
    body = server.requests[0].json
    sent = body["parameters"]["tools"] if form == "native" else body["tools"]
    assert sent[0] == SENT[form]
    assert len(sent) == 3
    assert [call.name for call in reply.tool_calls] == ["weather", "clock", "book"]
    assert [call.function for call in reply.tool_calls] == MEANT
    assert reply.tool_calls[0].json() == {"city": "Rome"}
    assert tools == tuple(TOOLS)


@pytest.mark.parametrize("how", ACTS)
def test_tools_may_be_defaults(server, front, how):
    server.script(Reply(tool_calls=CALLS), Reply(tool_calls=CALLS), Reply(tool_calls=CALLS))
    with front.client(**at(server), defaults={"tools": TOOLS}) as client:
        default = ACTS[how](client)
        own = ACTS[how](client, tools=[book])
        none = ACTS[how](client, tools=None)
    assert [call.function for call in default.tool_calls] == MEANT
    assert [call.function for call in own.tool_calls] == [None, None, book]
    assert [call.function for call in none.tool_calls] == [None] * 3
    assert [len(request.json.get("tools", ())) for request in server.requests] == [3, 1, 0]


def test_beside_a_type_of_the_reply(server, front):
    server.script(Reply(tool_calls=CALLS[:1]))
    with front.client(**at(server)) as client:
        reply = client.chat("hi", tools=[weather], output_type=City)
        with pytest.raises(llmnet.OutputError):
            _ = reply.parsed
    assert reply.tool_calls[0].function is weather


def test_half_a_reply_has_them_too(server, front):
    server.script(Reply(tool_calls=CALLS))
    with front.client(**at(server), max_retries=0) as client, client.stream_chat("hi", tools=TOOLS) as opened:
        while not (opened.partial and opened.partial.tool_calls):
            next(opened)
        assert opened.partial.tool_calls[0].function is weather
        for _ in opened:
            pass


def test_a_loop_of_tools(server, front):
    """As a program has it: the server gives the least arguments that the schema accepts."""
    heard = []

    def note(text: str, times: int = 2) -> str:
        heard.append((text, times))
        return "noted"

    with front.client(**at(server)) as client:
        reply = client.chat("remember it", tools=[note], tool_choice="required")
        messages = [{"role": "user", "content": "remember it"}, reply.message]
        for call in reply.tool_calls:
            answer = call.function(**call.json())
            messages.append({"role": "tool", "tool_call_id": call.id, "content": answer})
        assert client.chat(messages, tools=[note]).finish_reason == "stop"
    assert len(heard) == 1
    assert isinstance(heard[0][0], str)


CALL = ToolCall(id="c1", name="weather", arguments="{}", function=weather)
BARE = ToolCall(id="c1", name="weather", arguments="{}")


def test_the_function_is_no_part_of_the_value():
    assert CALL == BARE
    assert hash(CALL) == hash(BARE)
    assert repr(CALL) == repr(BARE) == "ToolCall(id='c1', name='weather', arguments='{}')"
    assert CALL.to_dict() == {"id": "c1", "name": "weather", "arguments": "{}"}
    assert json.loads(llmnet.ChatResponse(tool_calls=[CALL]).to_json())["tool_calls"] == [CALL.to_dict()]
    assert ToolCall(id="c2", name="weather", arguments="{}") != CALL
    assert CALL.to_dict() != CALL


def test_copies():
    """What goes into another process has no function: it might be a local one."""
    call = ToolCall(id="c", name="f", arguments="{}", function=lambda: None)
    assert copy.deepcopy(call).function is copy.copy(call).function is call.function
    pickled = pickle.loads(pickle.dumps(llmnet.ChatResponse(tool_calls=[call]))).tool_calls[0]
    assert pickled == call
    assert pickled.function is None


def cycle():
    def keep():
        return held

    held = ToolCall(id="c", name="keep", arguments="{}", function=keep)
    return weakref.ref(keep)


def test_a_call_in_a_cycle_with_its_function_is_collected():
    watched = cycle()
    gc.collect()
    assert watched() is None


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", ["chat", "callbacks", "stream_chat", "batch", "defaults"])
@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([lambda x: x], r"tools\[0\]: a lambda has no name"),
        ([CLOCK, print], r"tools\[1\]: print takes \*args"),
        ([weather, weather], r"tools\[0\]: two tools have the name 'weather'"),
        ([weather, 5], r"tools\[1\] must be a function"),
        (weather, r"tools must be a list of functions"),
    ],
)
def test_what_is_no_tool(server, front, how, tools, words):
    def act(client):
        if how == "defaults":
            return client.with_options(defaults={"tools": tools})
        return ACTS[how](client, tools=tools)

    with pytest.raises(ConfigurationError, match=("^defaults: " if how == "defaults" else "^") + words):
        attempt(front, (), at(server), act)
    assert server.request_count == 0


def test_a_row_that_is_wrong(server, front):
    with front.client(**at(server)) as client:
        rows = [{"prompt": "hi", "tools": [lambda x: x]}, {"prompt": "hi", "tools": [weather]}]
        first, second = client.batch(rows, ordered=True)
    assert "a lambda has no name" in str(first.error)
    assert second.ok
