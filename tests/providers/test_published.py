"""The body of every form against what its vendor publishes; neutral parameters are not sent where they are refused."""

import copy
import json

import pytest
from support.fronts import run_async, run_sync
from support.live import at
from support.published import problems

from llmnet import ConfigurationError
from llmnet.core.request import chat_request
from llmnet.providers.services import SERVICES
from llmnet.providers.target import Target, make_form
from llmnet.testing import Reply

PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,AAAA"
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
FOREIGN = {"id": "functions.get:0", "type": "function", "function": {"name": "get", "arguments": ""}}
CONVERSATION = [
    {"role": "system", "content": "Be brief"},
    {"role": "developer", "content": [{"type": "text", "text": "Very"}]},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
    ]},
    {"role": "assistant", "content": None, "tool_calls": [CALL, FOREIGN]},
    {"role": "tool", "tool_call_id": "call_1", "content": "one"},
    {"role": "tool", "tool_call_id": "functions.get:0", "content": [{"type": "text", "text": "two"}]},
    {"role": "assistant", "content": "Once more", "refusal": None, "tool_calls": [{**CALL, "id": "call_2"}]},
    {"role": "tool", "tool_call_id": "call_2", "content": ""},
    {"role": "assistant", "content": [{"type": "text", "text": "So"}, {"type": "refusal", "refusal": "no"}]},
    {"role": "user", "content": "Go on"},
]  # fmt: skip
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
BARE = {"type": "function", "function": {"name": "get"}}
SCHEMA = {"name": "n", "schema": {"type": "object"}, "strict": True}
PARAMS = [
    {}, {"temperature": 0.5, "top_p": 0.9}, {"max_tokens": 9}, {"max_completion_tokens": 9}, {"stop": "a"}, {"stop": ["a"]},
    {"tools": [TOOL, BARE]}, {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}, {"tools": [TOOL], "tool_choice": "none"},
    {"response_format": {"type": "text"}}, {"response_format": {"type": "json_object"}}, {"seed": 1}, {"top_logprobs": 2},
    {"response_format": {"type": "json_schema", "json_schema": SCHEMA}}, {"user": "u"}, {"metadata": {"user_id": "u"}},
    {"reasoning_effort": "low"}, {"reasoning_effort": "none"}, {"service_tier": "auto"},
    {"stream_options": {"include_usage": True}}, {"stream_options": {"include_obfuscation": False}},
    {"n": 1, "logprobs": False, "stop": [], "logit_bias": {}, "frequency_penalty": 0, "presence_penalty": 0.0},
]  # fmt: skip
# The form, where the type of its plain requests is and how it is named; that of a stream is named `…Streaming`.
TYPES = {
    "chat-completions": ("openai", "openai.types.chat.completion_create_params", "CompletionCreateParams"),
    "responses": ("openai", "openai.types.responses.response_create_params", "ResponseCreateParams"),
    "messages": ("anthropic", "anthropic.types.message_create_params", "MessageCreateParams"),
}
# The newer version of Anthropic's API, whose types these are, takes no sampling parameters; the one that we ask for does.
OLDER = {"messages": {"body.temperature is unknown", "body.top_p is unknown"}}


def published(form, *, stream):
    _, module, name = TYPES[form]
    types = pytest.importorskip(module)
    return getattr(types, f"{name}{'Streaming' if stream else 'NonStreaming'}")


def sent(form, messages="Hi", *, stream=False, provider=None, **params):
    provider = provider or TYPES.get(form, ("dashscope",))[0]
    service = SERVICES[provider]
    target = Target(service=service, api=form, base_url=service.base_url)
    return json.loads(make_form(form, target).prepare(chat_request(messages, "m", params, stream=stream)).body)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", TYPES)
def test_every_body_is_as_published(form, stream):
    kind, taken = published(form, stream=stream), 0
    for params in PARAMS:
        try:
            body = sent(form, CONVERSATION, stream=stream, **params)
        except ConfigurationError as error:
            assert "has no counterpart" in str(error) or "must be a json_schema" in str(error)  # noqa: PT017
            continue
        taken += 1
        assert set(problems(body, kind)) <= OLDER.get(form, set()), params
    assert taken >= len(PARAMS) - 6


@pytest.mark.parametrize("run", [run_sync, run_async])
@pytest.mark.parametrize("form", TYPES)
@pytest.mark.parametrize("source", [*TYPES, "native"])
def test_what_came_from_any_form_goes_back_to_any_as_published(server, run, form, source):
    calls = [{"id": "call_1", "name": "f", "arguments": '{"a": 1}'}, {"id": "call_2", "name": "get", "arguments": "{}"}]
    server.script(Reply(text="Let me see", reasoning="hm", tool_calls=calls))
    message = run(server, at(server, source)).reply["message"]
    answers = [{"role": "tool", "tool_call_id": call["id"], "content": "42"} for call in message["tool_calls"]]
    body = sent(form, [{"role": "user", "content": "Hi"}, message, *answers])
    assert problems(body, published(form, stream=False)) == []


def test_a_body_that_is_not_as_published_is_seen():
    kind = published("responses", stream=False)
    built = {"role": "assistant", "content": [{"type": "output_text", "text": "Yes"}]}
    image = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}
    for body in ({"input": [built]}, {"input": [image]}, {"inputs": "Hi"}, {"input": "Hi", "temperature": "hot"}):
        assert problems({"model": "m", **body}, kind)


@pytest.mark.parametrize("provider", ["openai", "vllm"])
def test_embeddings_are_as_published(provider):
    kind = pytest.importorskip("openai.types.embedding_create_params").EmbeddingCreateParams
    service = SERVICES[provider]
    form = make_form("chat-completions", Target(service=service, api="chat-completions", base_url=service.base_url))
    for inputs in (["a", "b"], [[1, 2]]):
        body = json.loads(form.embed_request(inputs, "m", {"dimensions": 8, "user": "u"}).body)
        assert problems(body, kind) == []


# -- an assistant's text and images in Responses ----------------------------------------------------------------------


def test_an_assistants_text_is_an_item_of_its_own_type():
    [built, *_] = [item for item in sent("responses", CONVERSATION)["input"] if item.get("role") == "assistant"]
    parts = [{"type": "output_text", "text": "Yes?", "annotations": []}]
    assert built == {"type": "message", "id": "msg_3", "status": "completed", "role": "assistant", "content": parts}
    own = {"role": "assistant", "content": "Yes?", "id": "msg_of_theirs", "status": "incomplete", "phase": "commentary"}
    [item] = sent("responses", [own])["input"]
    assert (item["id"], item["status"], item["phase"]) == ("msg_of_theirs", "incomplete", "commentary")


@pytest.mark.parametrize(
    ("part", "detail"),
    [
        ({"type": "image_url", "image_url": {"url": PNG}}, "auto"),
        ({"type": "image_url", "image_url": PNG}, "auto"),
        ({"type": "image_url", "image_url": {"url": PNG, "detail": None}}, "auto"),
        ({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}, "low"),
        ({"type": "input_image", "image_url": PNG}, "auto"),
        ({"type": "input_image", "file_id": "f", "detail": "high"}, "high"),
    ],
)
def test_an_image_says_how_closely_it_is_looked_at(part, detail):
    [message] = sent("responses", [{"role": "user", "content": [part]}])["input"]
    assert message["content"][0]["detail"] == detail


# As the vendors' own clients dump a message, and as a hand makes one.
DUMPED = [
    {"role": "user", "content": "Hi", "name": None},
    {"role": "assistant", "content": "Yes?", "refusal": None, "annotations": [], "audio": None, "function_call": None,
     "tool_calls": None},
    {"role": "user", "content": "Go on", "further": None},
    {"role": "assistant", "content": "", "tool_calls": []},
    {"role": "user", "content": "Go on"},
]  # fmt: skip


@pytest.mark.parametrize("form", TYPES)
def test_what_is_null_or_empty_in_a_message_goes_nowhere(form):
    neutral = copy.deepcopy(DUMPED)
    assert problems(sent(form, DUMPED), published(form, stream=False)) == []
    assert neutral == DUMPED
    assert sent("native", DUMPED)["input"]["messages"] == [
        {"role": message["role"], "content": message["content"]} for message in DUMPED
    ]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ({"arguments": ""}, "{}"),
        ({"arguments": " "}, "{}"),
        ({"arguments": None}, "{}"),
        ({}, "{}"),
        ({"arguments": {}}, "{}"),
        ({"arguments": {"city": "北京"}}, '{"city": "北京"}'),
        ({"arguments": '{"a":'}, '{"a":'),
    ],
)
def test_the_arguments_of_a_call_are_json_text(function, text):
    call = {"id": "c", "type": "function", "function": {"name": "f", **function}}
    built = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]
    made = {"name": "f", "arguments": text}
    assert sent("chat-completions", built)["messages"][1]["tool_calls"] == [{**call, "function": made}]
    assert sent("native", built)["input"]["messages"][1]["tool_calls"] == [{**call, "function": made}]
    assert sent("responses", built)["input"][1] == {"type": "function_call", "call_id": "c", **made}


def test_other_fields_of_a_tools_answer_are_kept():
    answer = {"role": "tool", "tool_call_id": "c", "content": "x", "name": "f", "is_error": True, "status": "completed"}
    assert sent("responses", [answer])["input"] == [
        {"type": "function_call_output", "call_id": "c", "output": "x", "status": "completed"}
    ]


def test_an_id_of_another_vendor_is_put_in_anthropics_letters():
    blocks = [block for turn in sent("messages", CONVERSATION)["messages"] for block in turn["content"]]
    assert [block["id"] for block in blocks if block["type"] == "tool_use"] == ["call_1", "functions_get_0", "call_2"]
    answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    assert answered == ["call_1", "functions_get_0", "call_2"]


# -- what asks for nothing --------------------------------------------------------------------------------------------

NEUTRAL = [
    # a parameter, those that have no counterpart for it, what would be a wish
    ({"n": 1}, ("responses", "messages"), {"n": 2}),
    ({"frequency_penalty": 0}, ("responses", "messages", "native"), {"frequency_penalty": 0.5}),
    ({"presence_penalty": 0.0}, ("responses", "messages"), {"presence_penalty": -1}),
    ({"logprobs": False}, ("responses", "messages"), {"logprobs": True}),
    ({"top_logprobs": 0}, ("messages",), {"top_logprobs": 2}),
    ({"stop": []}, ("responses",), {"stop": ["a"]}),
    ({"logit_bias": {}}, ("responses", "messages"), {"logit_bias": {"1": 1}}),
    ({"metadata": {}}, ("native",), {"metadata": {"a": "b"}}),
]


@pytest.mark.parametrize(("neutral", "forms", "wish"), NEUTRAL, ids=str)
def test_neutral_parameters_are_left_out_where_they_have_no_counterpart(neutral, forms, wish):
    for form in forms:
        assert sent(form, **neutral) == sent(form)
        with pytest.raises(ConfigurationError, match=next(iter(wish))):
            sent(form, **wish)
    assert sent("chat-completions", **neutral) == {**sent("chat-completions"), **neutral}


def test_an_empty_format_and_options_that_are_off_are_neutral():
    for form in ("messages", "responses"):
        assert sent(form, response_format={}) == sent(form)
    for form in ("messages", "native"):
        assert sent(form, store=False) == sent(form)
    assert sent("messages", store=True)["store"] is True
    assert sent("responses", store=False)["store"] is False


@pytest.mark.parametrize(
    ("provider", "neutral"),
    [
        ("groq", {"logprobs": False, "logit_bias": {}, "top_logprobs": 0}),
        ("mistral", {"logprobs": False, "logit_bias": {}}),
        ("cerebras", {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}}),
    ],
)
def test_neutral_parameters_are_left_out_where_a_compatible_service_refuses_them(provider, neutral):
    bare = sent("chat-completions", provider=provider)
    assert sent("chat-completions", provider=provider, **neutral) == bare
    wish = {"frequency_penalty": 1, "logprobs": True}
    assert sent("chat-completions", provider=provider, **wish) == {**bare, **wish}


USAGE, QUIET = {"include_usage": True}, {"include_obfuscation": False}


@pytest.mark.parametrize(
    ("form", "provider", "options", "left"),
    [
        ("chat-completions", "openai", USAGE | QUIET, USAGE | QUIET),
        ("chat-completions", "mistral", USAGE, None),
        ("chat-completions", "mistral", QUIET, QUIET),
        ("responses", "openai", USAGE, None),
        ("responses", "openai", USAGE | QUIET, QUIET),
        ("messages", "anthropic", USAGE | QUIET, None),
        ("native", "dashscope", USAGE, None),
    ],
)
def test_stream_options_are_sent_only_to_forms_that_have_them(form, provider, options, left):
    def built(stream):
        body = sent(form, provider=provider, stream=stream, stream_options=options)
        assert "stream_options" not in body.get("parameters", {})
        return body.get("stream_options")

    assert built(stream=True) == left
    assert built(stream=False) is None


@pytest.mark.parametrize("form", ["messages", "native"])
def test_a_wish_about_the_stream_that_has_no_counterpart_is_refused(form):
    with pytest.raises(ConfigurationError, match="stream_options: 'chunk_include_usage' has no counterpart"):
        sent(form, stream=True, stream_options={"chunk_include_usage": True})
