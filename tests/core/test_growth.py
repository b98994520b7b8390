"""What grows with the number of calls, items, keys and chunks: counted in steps, for time is no measure on a busy machine."""

import json
import sys

import pytest
from support import inside

import llmnet
from llmnet.core.http import Headers
from llmnet.core.preview import KEPT, kept
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.request import chat_request
from llmnet.core.secrets import Secrets


def steps(work, *arguments):
    """How many functions are called, those of C included."""
    count = 0

    def note(_frame, event, _what):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work(*arguments)
    finally:
        sys.setprofile(before)
    return count


def reader_of(api):
    with llmnet.Client(provider="fake", api=api, model="m", base_url="http://127.0.0.1:1") as client:
        reader = ReplyReader(inside.form_of(client), stream=True)
    reader.open(200, Headers({"content-type": "text/event-stream"}))
    return reader


def sse(payload):
    return b"data: %b\n\n" % json.dumps(payload).encode()


def fed(reader, events):
    for event in events:
        reader.feed(sse(event))
    return reader


# -- tool calls of one stream ---------------------------------------------------------------------------------------------


def delta(**row):
    return {"choices": [{"index": 0, "delta": {"tool_calls": [row]}}]}


def frame(**row):
    return {"output": {"choices": [{"message": {"content": "", "tool_calls": [row]}, "finish_reason": "null"}]}}


def chat(n, made=delta):
    for at in range(n):
        yield made(index=at, id=f"c{at}", function={"name": "f", "arguments": ""})
        yield from [made(index=at, function={"arguments": "ab"})] * 3


def unnumbered(n):
    for at in range(n):
        yield from [delta(id=f"c{at}", function={"name": "f", "arguments": '{"a": 1}'})] * 4


def responses(n):
    for at in range(n):
        place = {"item_id": f"i{at}", "output_index": at}
        item = {"type": "function_call", "id": f"i{at}", "call_id": f"c{at}", "name": "f"}
        yield {"type": "response.output_item.added", **place, "item": {**item, "arguments": ""}}
        yield from [{"type": "response.function_call_arguments.delta", **place, "delta": "ab"}] * 2
        yield {"type": "response.output_item.done", **place, "item": {**item, "arguments": "abab"}}


def messages(n):
    for at in range(n):
        block = {"type": "tool_use", "id": f"c{at}", "name": "f", "input": {}}
        yield {"type": "content_block_start", "index": at, "content_block": block}
        piece = {"type": "input_json_delta", "partial_json": "ab"}
        yield from [{"type": "content_block_delta", "index": at, "delta": piece}] * 2
        yield {"type": "content_block_stop", "index": at}


CALLS = {
    "chat": ("chat-completions", chat),
    "chat, by id alone": ("chat-completions", unnumbered),
    "responses": ("responses", responses),
    "messages": ("messages", messages),
    "native": ("native", lambda n: chat(n, frame)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_delta_costs_the_same_however_many_tool_calls_there_are(name):
    api, events = CALLS[name]
    few, many = (steps(fed, reader_of(api), [*events(n)]) for n in (20, 200))
    assert many < 10.5 * few


class Watched(dict):
    """A dict that counts how many of its keys were looked through."""

    seen = 0

    def __iter__(self):
        for key in super().__iter__():
            self.seen += 1
            yield key


@pytest.mark.parametrize("name", ["chat, by id alone", "chat", "native"])
def test_no_call_is_looked_for_among_all_others(name):
    api, events = CALLS[name]
    reader = reader_of(api)
    tools = reader.draft.tools = Watched()
    fed(reader, events(200))
    assert len(tools) == 200
    assert tools.seen == 0


# -- conversations --------------------------------------------------------------------------------------------------------


def answered(n):
    """A conversation of tool calls, each of them answered, one turn after another."""
    yield {"role": "user", "content": "go"}
    for at in range(n):
        made = {"id": f"c{at}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        yield {"role": "assistant", "content": None, "tool_calls": [made]}
        yield {"role": "tool", "tool_call_id": f"c{at}", "content": "ok"}


def spoken(n):
    for at in range(n):
        yield {"role": "user" if at % 2 else "assistant", "content": f"turn {at}"}
    yield {"role": "user", "content": "go on"}


@pytest.mark.parametrize("conversation", [answered, spoken])
@pytest.mark.parametrize("api", ["chat-completions", "responses", "messages", "native"])
def test_a_turn_costs_the_same_however_long_the_conversation_is(api, conversation):
    form = reader_of(api).form

    def prepare(messages):
        form.prepare(chat_request(messages, "m", {}, stream=False))

    prepare([*answered(1)])
    few, many = (steps(prepare, [*conversation(n)]) for n in (20, 200))
    assert many < 10.5 * few


# -- items, texts and keys ------------------------------------------------------------------------------------------------


def closed(places):
    for place in places:
        item = {"type": "message", "content": [{"type": "output_text", "text": f"{place} "}]}
        yield {"type": "response.output_item.done", "output_index": place, "item": item}


def test_an_item_is_read_once_in_whatever_order_the_items_close():
    few, many = (steps(fed, reader_of("responses"), [*closed(range(n, 0, -1))]) for n in (20, 200))
    assert many < 10.5 * few


def test_texts_of_items_stand_in_the_order_of_their_places():
    reader = fed(reader_of("responses"), closed([0, 2, 1, 1, 5, 3]))
    done = {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}}
    (chunk,) = reader.feed(sse(done)) or [None]
    assert reader.draft.items[1]["content"][0]["text"] == "1 "
    assert [item["content"][0]["text"] for item in reader.draft.items] == ["0 ", "1 ", "1 ", "2 ", "3 ", "5 "]
    assert chunk.finish_reason == "stop"


def test_partial_takes_as_many_steps_however_many_chunks_have_come():
    word = {"choices": [{"index": 0, "delta": {"content": "word "}}]}
    few, many = (fed(reader_of("chat-completions"), [word] * n) for n in (10, 1000))
    few.partial()  # it loads what is loaded on use
    assert steps(few.partial) == steps(many.partial)


def test_a_key_costs_the_same_however_many_came_before():
    secrets = Secrets(["the-first-of-all"])

    def use(numbers):
        for number in numbers:
            secrets.also([]).learn(f"renewed-key-number-{number:05}")

    few, many = steps(use, range(100)), steps(use, range(100, 1100))
    assert many < 10.5 * few


@pytest.mark.parametrize(
    ("payload", "fits"),
    [(["\U0010ffff" * 60_000], False), (["a" * 60_000], True), (["a" * 70_000], False), ([1e15] * 5000, False)],
)
def test_what_an_error_keeps_is_bounded_by_how_it_is_shown(payload, fits):
    written = json.dumps(payload, ensure_ascii=False).replace("1000000000000000.0", "1e15")
    assert (kept(payload, len(written)) == payload) == fits
    assert fits or len(kept(payload, len(written))) <= KEPT + 1
