"""What a client adds to its chats: `defaults` below the arguments of each, `system` before its messages."""

import copy
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.acts import FRONTS, attempt
from support.live import at
from support.wire_forms import FORMS

import llmnet
from llmnet import ClientConfig, ConfigurationError
from llmnet.core.defaults import over_defaults


@dataclasses.dataclass
class City:
    name: str


SYSTEM = "Be brief.\nIn Latin."
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def stream(client, messages="hi", **params):
    with client.stream_chat(messages, **params) as opened:
        return [chunk.content for chunk in opened]


def batch(client, messages="hi", **params):
    return [result.response.content for result in client.batch([{"messages": messages, **params}])]


ACTS = {
    "chat": lambda client, messages="hi", **params: client.chat(messages, **params),
    "callbacks": lambda client, messages="hi", **p: client.chat(messages, callbacks=llmnet.StreamCallbacks(), **p),
    "stream_chat": stream,
    "batch": batch,
}


def bodies(server):
    return [
        {name: body[name] for name in body if name != "stream_options"} for body in (r.json for r in server.requests)
    ]


# -- defaults ---------------------------------------------------------------------------------------------------------


def test_what_is_done_to_the_dict_later_changes_nothing(server, front):
    """Not even deep in it, where nobody would check it, nor by way of the config."""
    given = {"stop": ["a"], "extra_body": {"z": {"k": [1]}}, "tools": [copy.deepcopy(TOOL)]}
    wanted = copy.deepcopy(given)
    with front.client(**at(server), defaults=given) as client:
        for held in (given, client.config.defaults):
            held["stop"].append("b")
            held["extra_body"]["z"]["k"].append(object())
            held["tools"][0]["function"]["name"] = "other"
            held["temperature"] = "hot"
            client.chat("hi")
    for body in bodies(server):
        assert (body["stop"], body["z"], body["tools"]) == (wanted["stop"], {"k": [1]}, wanted["tools"])
        assert "temperature" not in body


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ACTS)
def test_a_default_is_what_the_argument_would_be(server, front, form, how):
    params = {"temperature": 0, "max_tokens": 9, "tools": [TOOL], "tool_choice": "auto", "top_k": 5}
    params |= {"extra_body": {"a": [1]}, "extra_query": {"b": "2"}}
    kept = copy.deepcopy(params)
    with front.client(**at(server, form), defaults=params) as client:
        ACTS[how](client)
    with front.client(**at(server, form)) as client:
        ACTS[how](client, **params)
    default, given_ = server.requests
    assert (default.json, default.query) == (given_.json, given_.query)
    assert default.query == {"b": "2"}
    assert params == kept


@pytest.mark.parametrize("how", ACTS)
def test_the_call_wins_and_none_drops(server, front, how):
    defaults = {"temperature": 0, "top_p": 0.5, "top_k": 5, "seed": 1, "stream_options": None}
    with front.client(**at(server), defaults=defaults) as client:
        ACTS[how](client, temperature=1, top_p=None, top_k=None)
        ACTS[how](client, temperature=None)
    first, second = server.requests
    assert first.json.items() >= {"temperature": 1, "seed": 1}.items()
    assert first.json.keys().isdisjoint({"top_p", "top_k", "stream_options"})
    assert second.json.items() >= {"top_p": 0.5, "top_k": 5, "seed": 1}.items()
    assert "temperature" not in second.json


def test_a_batch_has_three_layers(server, front):
    """The client's defaults, the arguments of the batch, those of a row."""
    rows = [{"prompt": "plain"}, {"prompt": "own", "seed": 3, "user": None}, {"prompt": "none", "seed": None}]
    with front.client(**at(server), defaults={"seed": 1, "top_p": 0.5, "user": "u", "n": 1}) as client:
        assert all(result.ok for result in client.batch(rows, seed=2, top_p=None))
    sent = {body["messages"][0]["content"]: body for body in bodies(server)}
    assert {name: (body.get("seed"), body.get("user")) for name, body in sent.items()} == {
        "plain": (2, "u"),
        "own": (3, None),
        "none": (None, "u"),
    }
    assert not any("top_p" in body for body in sent.values())
    assert all(body["n"] == 1 for body in sent.values())


@pytest.mark.parametrize(
    ("default", "own", "form", "left"),
    [
        ({"max_tokens": 5}, {"max_completion_tokens": 7}, "chat-completions", {"max_completion_tokens": 7}),
        ({"max_completion_tokens": 5}, {"max_tokens": 7}, "chat-completions", {"max_tokens": 7}),
        ({"max_tokens": 5}, {"max_completion_tokens": None}, "chat-completions", {}),
        ({"max_tokens": 5}, {"max_output_tokens": 7}, "responses", {"max_output_tokens": 7}),
        ({"stop": "a"}, {"stop_sequences": ["b"]}, "messages", {"stop_sequences": ["b"]}),
        ({"stop_sequences": ["b"]}, {"stop": "a"}, "messages", {"stop_sequences": ["a"]}),
    ],
)
def test_a_call_wins_by_any_name_of_the_thing(server, front, default, own, form, left):
    with front.client(**at(server, form), defaults=default) as client:
        client.chat("hi", **own)
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens", "stop", "stop_sequences")
    found = {name: value for name, value in server.requests[0].json.items() if name in names}
    assert found == ({"max_tokens": 8192, **left} if form == "messages" else left)


def test_the_type_of_a_reply_wins_over_a_default_format(server, front):
    server.script('{"name": "Rome"}', '{"name": "Rome"}', "plain")
    with front.client(**at(server), defaults={"response_format": {"type": "json_object"}}) as client:
        assert client.chat("hi", output_type=City).parsed == City("Rome")
        assert [result.unwrap().parsed for result in client.batch(["hi"], output_type=City)] == [City("Rome")]
        client.chat("hi", output_type=None)
    assert [request.json["response_format"]["type"] for request in server.requests] == ["json_schema"] * 2 + [
        "json_object"
    ]


def test_a_default_of_the_service_tier_is_that_of_the_call(server):
    with llmnet.Client(**at(server), defaults={"service_tier": "flex"}) as client:
        call = client._chat_call("hi", {}, stream=False)  # private: made and not sent
        assert 600 < call.bounds.remaining()[1] <= 900


@pytest.mark.parametrize("front", FRONTS)
def test_children(server, front):
    """A child has what its parent has, and what it is given takes the place of all of it."""
    fields = {**at(server), "defaults": {"seed": 1, "top_p": 0.5}, "system": SYSTEM}

    def child(**options):
        return lambda client: client.with_options(**options).chat("hi")

    for options in ({}, {"defaults": {"seed": 2}}, {"defaults": None}, {"system": "Sing."}, {"system": None}):
        attempt(front, (), fields, child(**options))
    seen = [
        (body.get("seed"), body.get("top_p"), [one["content"] for one in body["messages"]]) for body in bodies(server)
    ]
    assert seen == [
        (1, 0.5, [SYSTEM, "hi"]),
        (2, None, [SYSTEM, "hi"]),
        (None, None, [SYSTEM, "hi"]),
        (1, 0.5, ["Sing.", "hi"]),
        (1, 0.5, ["hi"]),
    ]


def test_a_config_keeps_a_copy():
    given_ = {"temperature": 0}
    config = ClientConfig(defaults=given_, system=SYSTEM)
    given_["temperature"] = 1
    assert config.defaults == {"temperature": 0}
    assert copy.deepcopy(config).over({"max_retries": 1}).system == SYSTEM


def test_embeddings_and_lists_have_no_defaults(server, front):
    with front.client(**at(server), defaults={"temperature": 0}, system=SYSTEM) as client:
        client.embed("hi") if front.name == "sync" else front.run(client.embed("hi"))
        client.list_models()
    assert "temperature" not in server.requests[0].json
    assert SYSTEM not in str(server.requests[0].json)


NAMES = st.sampled_from(["temperature", "max_tokens", "max_completion_tokens", "stop", "stop_sequences", "top_k"])
PARAMS = st.dictionaries(NAMES, st.none() | st.integers(0, 9))


@given(PARAMS, PARAMS)
def test_what_a_call_gives_is_never_changed_and_all_else_stays(defaults, params):
    before = copy.deepcopy((defaults, params))
    merged = over_defaults(defaults, params)
    assert {name: merged[name] for name in params} == params
    assert merged.items() - params.items() <= defaults.items()
    assert (defaults, params) == before
    dropped = defaults.keys() - merged.keys()
    assert all(any(name.split("_")[0] == other.split("_")[0] for other in params) for name in dropped)


# -- the system message -----------------------------------------------------------------------------------------------


def said_by_the_system(body):
    """The texts of the system in the body of any form, in order, and how many messages there are besides."""
    if "system" in body:
        return [block["text"] for block in body["system"]], len(body["messages"])
    messages = body.get("messages") or body.get("input")
    messages = messages["messages"] if isinstance(messages, dict) else messages
    texts = [one["content"] for one in messages if one["role"] in ("system", "developer")]
    assert [one["role"] in ("system", "developer") for one in messages[: len(texts)]] == [True] * len(texts)
    texts = [text if isinstance(text, str) else "".join(part["text"] for part in text) for text in texts]
    return texts, len(messages) - len(texts)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ACTS)
def test_the_system_message_goes_before_all_others(server, front, form, how):
    messages = [{"role": "system", "content": "Yours."}, {"role": "developer", "content": "Theirs."}]
    messages.append({"role": "user", "content": "hi"})
    kept = copy.deepcopy(messages)
    with front.client(**at(server, form), system=SYSTEM) as client:
        for conversation in ("hi", messages[2:], tuple(messages)):
            ACTS[how](client, conversation)
    found = [said_by_the_system(request.json) for request in server.requests]
    assert found == [([SYSTEM], 1), ([SYSTEM], 1), ([SYSTEM, "Yours.", "Theirs."], 1)]
    assert messages == kept


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", ["chat", "callbacks", "stream_chat"])
def test_a_call_has_none(server, front, how):
    with pytest.raises(ConfigurationError, match=r"system=.*client\.with_options.*'system'"):
        attempt(front, (), at(server), lambda client: ACTS[how](client, system="Sing."))
    assert server.request_count == 0


def test_a_row_has_none(server, front):
    with front.client(**at(server)) as client:
        (result,) = client.batch([{"prompt": "hi", "system": "Sing."}])
    assert isinstance(result.error, ConfigurationError)
    assert "client.with_options(system=…)" in str(result.error)


WRONG = {
    "chat-completions": {"role": "user", "content": "x", "name": b"x"},
    "responses": {"role": "function", "name": "f", "content": "x"},
    "messages": {"role": "user", "content": "x", "weight": 1},
    "native": {"role": "function", "name": "f", "content": "x"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrong", ["lacking", "no JSON"])
def test_messages_keep_their_numbers_in_errors(server, front, form, wrong):
    second = WRONG[form] if wrong == "lacking" else {"role": "user", "content": "x", "name": float("nan")}
    with (
        front.client(**at(server, form), system=SYSTEM) as client,
        pytest.raises(ConfigurationError, match=r"^messages\[1\]"),
    ):
        client.chat([{"role": "user", "content": "hi"}, second])
