"""The parameters that all vendors have in common are named: an editor knows them, each method sends them, and left out is not `None`."""

import inspect

import pytest
from support.live import at
from support.wire_forms import FORMS

import llmnet
from llmnet.core.params import NOT_GIVEN

CLIENTS = (llmnet.Client, llmnet.AsyncClient)
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
COMMON = {
    "temperature": 0.5, "max_tokens": 7, "top_p": 0.25, "stop": ["END"], "seed": 3, "n": 1, "tools": [TOOL],
    "tool_choice": "auto", "parallel_tool_calls": False, "response_format": {"type": "json_object"},
    "reasoning_effort": "low", "user": "u-1", "metadata": {"run": "7"},
}  # fmt: skip
# Each form's own words for them; what is not here has no counterpart there (docs/vendors.md, Translation).
FUNCTION = TOOL["function"]
CHOICE = {"type": "auto", "disable_parallel_tool_use": True}
SENT = {
    "chat-completions": COMMON,
    "responses": {
        "temperature": 0.5, "max_output_tokens": 7, "top_p": 0.25, "parallel_tool_calls": False, "user": "u-1",
        "tools": [{"type": "function", "strict": False, **FUNCTION}], "tool_choice": "auto", "metadata": {"run": "7"},
        "text": {"format": {"type": "json_object"}}, "reasoning": {"effort": "low"},
    },
    "messages": {
        "temperature": 0.5, "max_tokens": 7, "top_p": 0.25, "stop_sequences": ["END"], "tool_choice": CHOICE,
        "tools": [{"name": "weather", "input_schema": FUNCTION["parameters"]}], "metadata": {"user_id": "u-1"},
        "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"},
    },
    "native": {name: value for name, value in COMMON.items() if name not in ("reasoning_effort", "user", "metadata")}
    | {"enable_thinking": True},
}  # fmt: skip
LACKING = {
    "responses": {"stop", "seed"},
    "messages": {"seed", "metadata", "response_format"},
    "native": {"user", "metadata"},
}


def stream(client, **params):
    with client.stream_chat("hi", **params) as opened:
        return [chunk.content for chunk in opened]


ACTS = {
    "chat": lambda client, **params: client.chat("hi", **params),
    "callbacks": lambda client, **params: client.chat("hi", callbacks=llmnet.StreamCallbacks(), **params),
    "stream_chat": stream,
    "batch": lambda client, **params: [result.response.content for result in client.batch(["hi"], **params)],
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("method", ["chat", "stream_chat", "batch"])
def test_the_common_ones_are_named(client, method):
    parameters = inspect.signature(getattr(client, method)).parameters
    assert {name for name, one in parameters.items() if one.default is NOT_GIVEN} == COMMON.keys()
    assert str(parameters["top_p"]) == "top_p: float | None = NOT_GIVEN"
    assert parameters["params"].kind is inspect.Parameter.VAR_KEYWORD


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ACTS)
def test_each_of_them_is_sent(server, front, form, how):
    with front.client(**at(server, form)) as client:
        ACTS[how](client, top_k=5, **{name: COMMON[name] for name in COMMON.keys() - LACKING.get(form, set())})
    body = server.requests[0].json
    sent = body["parameters"] if form == "native" else body
    assert sent.items() >= {**SENT[form], "top_k": 5}.items()


@pytest.mark.parametrize("how", ACTS)
def test_none_is_not_given(server, front, how):
    with front.client(**at(server)) as client:
        ACTS[how](client)
        ACTS[how](client, **dict.fromkeys(COMMON))
    bare, none = (request.json for request in server.requests)
    assert none == bare


def test_a_rows_own_go_before_those_of_all(server, front):
    rows = [{"prompt": "a", "custom_id": "a"}, {"prompt": "b", "seed": 5}, {"prompt": "c", "seed": None}]
    with front.client(**at(server)) as client:
        assert all(result.ok for result in client.batch(rows, seed=1, top_p=0.5, ordered=True))
    sent = {request.json["messages"][0]["content"]: request.json for request in server.requests}
    assert {name: body.get("seed") for name, body in sent.items()} == {"a": 1, "b": 5, "c": None}
    assert {body["top_p"] for body in sent.values()} == {0.5}
