"""An event or a reply that is a text alone is read in one step: with the same result as by the general rules."""

import copy
import json
import pickle
import re

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.replies import completion, form, receive
from support.wire_forms import FORMS

from llmnet.core.chat import StreamChunk
from llmnet.core.draft import NO_DRAFT, Draft
from llmnet.core.errors import LLMNetError
from llmnet.core.event_reader import EventReader
from llmnet.core.json import readable
from llmnet.core.sse import ServerSentEvent
from llmnet.providers import openai_chat
from llmnet.providers.reading import CHAT_USAGE, LARGEST, usage_of
from llmnet.providers.text_events import LONGEST, chat_usage

CHAT = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": None, "service_tier": "x"}
EMPTY = {**CHAT, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
PLACE = {"item_id": "i", "output_index": 0, "content_index": 0}
# By form: what comes before, an ordinary piece of text, and another one.
STREAMS = {
    "chat-completions": (
        [EMPTY],
        {**CHAT, "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": None, "finish_reason": None}]},
        {**CHAT, "choices": [{"index": 0, "delta": {"reasoning_content": "b", "role": "assistant"}}]},
    ),
    "responses": (
        [
            {"type": "response.output_item.added", "output_index": 0, "item": {"id": "i", "type": "message"}},
            {"type": "response.output_text.delta", **PLACE, "delta": "first"},
        ],
        {"type": "response.output_text.delta", **PLACE, "delta": "a", "sequence_number": 4, "logprobs": []},
        {"type": "response.output_text.delta", **PLACE, "delta": "b", "obfuscation": "x"},
    ),
    "messages": (
        [
            {"type": "message_start", "message": {"id": "r", "model": "m", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        ],
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "thinking_delta", "thinking": "b"}},
    ),
    "native": (
        [
            {"output": {"choices": [{"message": {"content": text}}]}, "usage": {"input_tokens": 1, "output_tokens": n}}
            for n, text in enumerate(("x", "y"))
        ],
        {
            "output": {"choices": [{"message": {"content": "a", "role": "assistant"}, "finish_reason": "null"}]},
            "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "prompt_tokens_details": {}},
            "request_id": "r",
        },
        {"output": {"choices": [{"message": {"content": "", "reasoning_content": "b"}}]}, "request_id": "r"},
    ),
}
NAMES = [
    "audio", "choices", "code", "content", "content_block", "content_filter_results", "delta", "error", "extra",
    "finish_reason", "function_call", "id", "images", "index", "is_end", "item", "item_id", "logprobs", "message",
    "model", "msg", "obfuscation", "object", "output", "output_index", "partial_json", "reasoning", "reasoning_content",
    "reasoning_details", "annotations", "stop_reason", "token_id", "refusal", "request_id", "role", "status", "summary_index", "text", "thinking", "tool_calls",
    "type", "usage", "x_groq", "base_resp", "model_name", "phase", "prompt_tokens", "output_tokens", "total_tokens",
]  # fmt: skip
# What JSON may hold and `json.dumps` does not write: the text that stands for each.
RAW = {
    "@far": "1e400",
    "@nan": "NaN",
    "@half": '"\\ud83d"',
    "@other half": '"\\ude00"',
    "@deep": "[" * 101 + "]" * 101,
    "@digits": "9" * 4400,
    "@big": "1" * 30,
}
VALUES = [
    None, "", "a", "null", "stop", "error", "text_delta", "chat.completion.chunk", 0, 1, 0.0, 1.0, -1, True, False,
    [], {}, [None], ["a"], [{"text": "a"}], {"a": {"b": True}}, {"message": "no"}, {"content": "z"}, *RAW,
]  # fmt: skip


def places(value, path=()):
    """The paths to all values within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


@st.composite
def altered(draw, event):
    """The text of an event of which a few fields are set, left out, added, or given twice."""
    event = copy.deepcopy(event)
    for _ in range(draw(st.integers(0, 3))):
        if not event:
            break
        *path, last = draw(st.sampled_from(places(event)[1:]))
        inner = event
        for key in path:
            inner = inner[key]
        what = draw(st.sampled_from(["set", "add", "again", "drop"]))
        if what == "set" or not isinstance(inner, dict):
            inner[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif what == "drop":
            del inner[last]
        else:
            name = draw(st.sampled_from(NAMES)) if what == "add" else f"@again{last}"
            inner[name] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    text = json.dumps(event).replace('"@again', '"')
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return draw(st.sampled_from([text, text, text, f" {text}\t", f"{text}\u3000", text + "}"]))


@st.composite
def streams(draw, name):
    before, *ordinary = STREAMS[name]
    events = [ServerSentEvent(data=json.dumps(event)) for event in before]
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["", "", "", "message", "error", "content_block_delta"]))
        said = draw(st.sampled_from([(), (), ("HTTP_STATUS/200",), ("HTTP_STATUS/429",), ('{"error": "no"}',)]))
        events.append(ServerSentEvent(kind, draw(altered(draw(st.sampled_from(ordinary)))), comments=said))
    return events


def facts(draft):
    """What can be compared of a draft."""
    tools = {number: (tool.whole(), tool.custom, tool.beside) for number, tool in draft.tools.items()}
    words = readable(draft.words) if isinstance(draft.words, str) else draft.words  # it may be the JSON of them
    rest = {name: str(value) for name, value in vars(draft).items() if name not in ("extra", "tools", "words")}
    return {**rest, "tools": tools, "words": str(words)}


def read(own, events):
    """What comes of a stream: its chunks, the draft, and the reply or the error."""
    draft, chunks, outcome = Draft("asked"), [], None
    try:
        for event in events:
            if not draft.done:  # what follows a terminal event is never read
                chunks.append(own.parse_event(event, draft))
        chunks.append(own.close(draft))
        outcome = own.message(draft)
    except LLMNetError as error:
        outcome = (type(error), str(error))
    return chunks, facts(draft), outcome


def by_general_rules(name):
    own = form(name)
    own.read_text = lambda data, draft: None
    return own


@pytest.mark.parametrize("name", FORMS)
@settings(max_examples=100)
@given(data=st.data())
def test_it_says_what_it_says_by_the_general_rules(name, data):
    events = data.draw(streams(name))
    assert read(form(name), events) == read(by_general_rules(name), events)


TEXTS = [
    '"a"', '"b"', '" c"', '"\\""', '"\\ud83d"', '"\\ude00"', '"\\ud83d\\ude00"', '"\u00e9\u2028"', '"\\u0000"', '"\\\\"', '""', ' "a" ',
    "null", "1", '"a', 'a"', '"a","content":"z"', '"a"},"b":{"c":"d"', '["a"]', '"a\nb"', '"\ud800"', "",
]  # fmt: skip


@st.composite
def alike(draw):
    """Events that differ where the text of most of them stands."""
    text = draw(altered(draw(st.sampled_from(STREAMS["chat-completions"][1:]))))
    pieces = draw(st.lists(st.sampled_from(TEXTS), min_size=2, max_size=8))
    return [ServerSentEvent(data=text.replace('"a"', piece).replace('"b"', piece)) for piece in pieces]


@settings(max_examples=400)
@given(alike(), alike())
def test_events_that_are_alike_say_what_they_say_by_the_general_rules(events, others):
    stream = [*events, *others, *events]
    assert read(form(), stream) == read(by_general_rules("chat-completions"), stream)


def chat_text(field="content", **fields):
    def event(text, **changed):
        row = {"index": 0, "delta": {field: text}, "finish_reason": None}
        return json.dumps({**CHAT, "choices": [row], **fields, **changed})

    return event


def counted(monkeypatch, events):
    """What is read of some events, and how many were decoded for it."""
    decoded = []
    whole = openai_chat._text_event  # private: what decodes one
    monkeypatch.setattr(openai_chat, "_text_event", lambda data: decoded.append(1) or whole(data))  # private: the same
    own, draft = form(), Draft()
    return [own.read_text(event, draft) for event in events], len(decoded)


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning"])
def test_of_events_that_are_alike_only_the_text_is_decoded(monkeypatch, field):
    event = chat_text(field)
    texts = ["first", "\u00e9", 'a "word"', "\n", "last"]
    chunks, decoded = counted(monkeypatch, map(event, texts))
    assert [chunk.content or chunk.reasoning for chunk in chunks] == texts
    assert [chunk.raw for chunk in chunks] == [json.loads(event(text)) for text in texts]
    assert decoded == 2  # the first, and that with another text in its place


def test_what_is_alike_may_change(monkeypatch):
    said, thought = chat_text(), chat_text("reasoning")
    _, decoded = counted(monkeypatch, [make("a") for make in (thought, said) * 4 for _ in range(50)])
    assert decoded == 2 * 8


def test_events_that_are_never_alike_are_soon_not_compared(monkeypatch):
    event = chat_text()
    _, decoded = counted(monkeypatch, [event("a", obfuscation="x" * number) for number in range(100)])
    assert decoded == 100 + 3


@pytest.mark.parametrize(
    "row",
    [
        lambda n: {"index": n, "delta": {"content": "a"}},
        lambda n: {"delta": {"content": "a"}, "index": n},
        lambda n: {"index": 0, "delta": {"content": "a", "reasoning": str(n)}},
        lambda n: {"index": 0, "delta": {"reasoning": str(n), "content": "a"}},
    ],
)
def test_what_differs_before_or_behind_the_text_is_not_alike(row):
    events = [ServerSentEvent(data=json.dumps({**CHAT, "choices": [row(n)]})) for n in (0, 0, 1, 1, 0)]
    assert read(form(), events) == read(by_general_rules("chat-completions"), events)


def test_few_places_are_tried(monkeypatch):
    filters = {"hate": {f"{number}": True for number in range(9)}}
    row = {"content_filter_results": filters, "index": 0, "delta": {"content": "a"}}
    event = json.dumps({"choices": [row]}).replace("true", '"b"')
    event = re.sub(r'"\d": "b"', '"content": "b"', event)
    chunks, decoded = counted(monkeypatch, [event] * 100)
    assert {chunk.content for chunk in chunks} == {"a"}
    assert decoded == 100 + 3 * 3


@pytest.mark.parametrize("name", FORMS)
def test_ordinary_pieces_are_read_in_one_step(name):
    before, *ordinary = STREAMS[name]
    own, draft = form(name), Draft("asked")
    for event in before:
        own.parse_event(ServerSentEvent(data=json.dumps(event)), draft)
    for event in ordinary:
        chunk = own.read_text(json.dumps(event), draft)
        assert chunk.raw == event
        assert (chunk.content, chunk.reasoning) in [("a", None), ("b", None), ("", "b")]


@settings(max_examples=100)
@given(st.data())
def test_an_event_that_is_empty_changes_what_it_changes_by_the_general_rules(data):
    text, said = data.draw(altered(EMPTY)), data.draw(altered(STREAMS["chat-completions"][1]))
    stream = [ServerSentEvent(data=event) for event in data.draw(st.permutations([text, text, said]))]
    assert read(form(), stream) == read(by_general_rules("chat-completions"), stream)


def test_an_event_that_is_empty_is_read_in_one_step_and_said_of_a_cut_stream():
    draft = Draft()
    assert form().read_text(json.dumps(EMPTY), draft) is False
    assert (draft.id, draft.model, draft.spoken, draft.begun) == ("c", "m", True, False)
    reader = EventReader(form(), draft)
    assert reader.last_words == EMPTY


@pytest.mark.parametrize(
    "changed", [{"text": "a"}, {"delta": {"role": "assistant"}}, {"delta": {"content": "", "token_id": 5}}]
)
def test_an_event_that_may_say_something_elsewhere_is_left_to_the_general_rules(changed):
    event = {**CHAT, "choices": [{**EMPTY["choices"][0], **changed}]}
    assert form().read_text(json.dumps(event), Draft()) is None


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("data", ["", "{", "[DONE]", '{"a": 1}', "[" * 100_000, '"\ud800"', "1e400"])
def test_what_is_none_changes_nothing(name, data):
    draft, untouched = Draft("asked"), Draft("asked")
    assert form(name).read_text(data, draft) is None
    assert facts(draft) == facts(untouched)


def test_a_very_long_event_is_left_to_the_general_rules():
    event = {"choices": [{"delta": {"content": "a" * LONGEST}}]}
    assert form().read_text(json.dumps(event), Draft()) is None
    assert form().parse_event(ServerSentEvent(data=json.dumps(event)), Draft()).raw == event


# -- complete replies -------------------------------------------------------------------------------------------------

DETAILS = {"cached_tokens": 1, "audio_tokens": 0}
COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": DETAILS}
ANSWER = {"role": "assistant", "content": "a", "refusal": None, "annotations": [], "reasoning_content": "b"}
REPLY = {
    **CHAT,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": ANSWER, "logprobs": None, "finish_reason": "stop"}],
    "usage": COUNTS,
}


def reply_of(own, text):
    return receive(own, text.encode("utf-8", "surrogatepass"), stream=False, kind="application/json")[1]


def fact(outcome):
    """What can be compared of a reply or an error."""
    return (type(outcome), str(outcome)) if isinstance(outcome, LLMNetError) else outcome


@settings(max_examples=300)
@given(altered(REPLY))
def test_a_reply_says_what_it_says_by_the_general_rules(text):
    general = form()
    general.read_body = lambda body: None
    assert fact(reply_of(form(), text)) == fact(reply_of(general, text))


@pytest.mark.parametrize("provider", ["openai", "deepseek"])
@pytest.mark.parametrize("finish", ["stop", "length", "a new one", "null", ""])
@pytest.mark.parametrize(
    "said", [{}, {"reasoning": "b"}, {"reasoning_content": "", "reasoning": "b"}, {"reasoning_content": ""}]
)
def test_a_reply_that_says_little_says_it_by_the_general_rules(provider, finish, said):
    for content in ("", "a"):
        text = json.dumps(completion({"role": "assistant", "content": content, **said}, finish))
        own, general = form(provider=provider), form(provider=provider)
        general.read_body = lambda body: None
        assert fact(reply_of(own, text)) == fact(reply_of(general, text))


def test_an_ordinary_reply_is_read_in_one_step():
    reply = form().read_body(bytearray(json.dumps(REPLY).encode()))
    assert (reply.content, reply.reasoning, reply.finish_reason) == ("a", "b", "stop")
    assert (reply.usage.total_tokens, reply.usage.cached_tokens, reply.id, reply.model) == (5, 1, "c", "m")


EDGES = [0, 5, -1, LARGEST, LARGEST + 1, -LARGEST, -LARGEST - 1, 2**70, 5.0, 5.5, "5", None]
DETAILS = st.none() | st.dictionaries(
    st.sampled_from(["cached_tokens", "reasoning_tokens", "text_tokens", "new"]), st.sampled_from(EDGES)
)
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


@given(
    st.dictionaries(st.sampled_from(COUNTS), st.sampled_from(EDGES)),
    st.dictionaries(st.sampled_from([f"{name}_details" for name in COUNTS]), DETAILS),
)
@example(dict.fromkeys(COUNTS, LARGEST + 1), {})
@example(dict.fromkeys(COUNTS, -LARGEST - 1), {})
def test_counts_are_what_they_are_by_the_general_rules(counts, details):
    usage = counts | details
    assert chat_usage(usage) == usage_of(usage, CHAT_USAGE)


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize(
    "body", [json.dumps(REPLY), json.dumps(REPLY | {"new": 1}), '{"error": {}}', "{", "data: {}\n\n"]
)
def test_nobody_adds_to_the_draft_that_stands_where_there_is_none(body, kind):
    for stream in (False, True):
        receive(form(), body.encode(), stream=stream, kind=kind)
    assert (NO_DRAFT.begun, NO_DRAFT.done, NO_DRAFT.id, NO_DRAFT.words, NO_DRAFT.extra) == (False, False, "", None, {})


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_replies_are_equal_whether_their_json_is_decoded_or_not(again):
    reply, other = reply_of(form(), json.dumps(REPLY)), reply_of(form(), json.dumps(REPLY))
    assert reply.raw == REPLY
    assert reply.raw is reply.raw
    assert again(reply) == reply == again(other)
    assert repr(other) == repr(reply)
    assert other != reply_of(form(), json.dumps(REPLY | {"service_tier": "y"}))


# -- the chunk, whose `raw` is decoded when it is asked for ---------------------------------------------------------------

EVENT = STREAMS["chat-completions"][1]


def fresh():
    return form().parse_event(ServerSentEvent(data=json.dumps(EVENT)), Draft())


def test_raw_is_decoded_once():
    chunk = fresh()
    assert chunk.raw == EVENT
    assert chunk.raw is chunk.raw


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_are_equal_whether_their_json_is_decoded_or_not(again):
    chunk, same = fresh(), again(fresh())
    assert type(same) is StreamChunk
    assert same == chunk
    assert again(chunk) == fresh()
    assert (same != fresh()) is False
    assert repr(again(fresh())) == repr(chunk) == repr(StreamChunk(content="a", raw=EVENT))


def test_chunks_of_other_events_differ():
    other = StreamChunk(content="a", raw={**EVENT, "id": "d"})
    assert fresh() != other
    assert (fresh() == other) is False
    assert fresh() != "a"
    assert fresh() in [other, StreamChunk(content="a", raw=EVENT)]


def test_a_changed_copy_has_the_same_json():
    assert msgspec.structs.replace(fresh(), content="b") == StreamChunk(content="b", raw=EVENT)


def test_a_chunk_cannot_be_changed_and_no_list_is_shared():
    chunk = fresh()
    with pytest.raises(AttributeError):
        chunk.raw = None
    assert chunk.tool_calls is not fresh().tool_calls
