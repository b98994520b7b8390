"""Which call a piece belongs to: by id, else by its place, else by its order."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.replies import (
    DONE,
    block,
    chunk,
    completed,
    events,
    form,
    output,
    read_json,
    receive,
    response,
    sent,
    started,
    stopped,
    streamed,
)

from llmnet.providers.target import MESSAGES, NATIVE, RESPONSES


def piece(arguments=None, name=None, **more):
    body = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, "function": body}


def calls_of(*deltas):
    reply = streamed(form(), *[chunk({"tool_calls": rows}) for rows in deltas], chunk(finish="tool_calls"), DONE)
    return [(call.id, call.name, call.arguments) for call in reply.tool_calls]


F, G = ("", "f", '{"x":1}'), ("", "g", '{"y":2}')
A, B = ("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')
STREAMS = {
    "one index for two ids, pieces by id": (
        [[piece('{"x"', "f", index=0, id="a")], [piece('{"y"', "g", index=0, id="b")], [piece(":1}", index=0, id="a")], [piece(":2}", index=0, id="b")]], [A, B],
    ),
    "one index for two ids, pieces without": (
        [[piece('{"x":1}', "f", index=0, id="a")], [piece('{"y"', "g", index=0, id="b")], [piece(":2}", index=0)]], [A, B],
    ),
    "complete calls, one index, no ids": ([[piece(F[2], "f", index=0)], [piece(G[2], "g", index=0)], [piece(F[2], "f", index=0)]], [F, G, F]),
    "the same call twice": ([[piece(F[2], "f", index=0)], [piece(F[2], "f", index=0)]], [F, F]),
    "complete calls, no index, no ids": ([[piece(F[2], "f")], [piece('{"x":2}', "f")]], [F, ("", "f", '{"x":2}')]),
    "complete calls in one list": ([[piece(F[2], "f", index=0), piece(G[2], "g", index=0)]], [F, G]),
    "pieces in lists, by order": ([[piece('{"x"', "f"), piece('{"y"', "g")], [piece(":1}"), piece(":2}")]], [F, G]),
    "pieces of one call in a list": ([[piece('{"x"', "f", index=0, id="a"), piece(":1}", index=0)]], [A]),
    "calls of one name, begun without arguments": (
        [[piece("", "f", index=0)], [piece('{"x":1', index=0)], [piece("}", index=0)], [piece("", "f", index=0)], [piece('{"x":2}', index=0)]],
        [F, ("", "f", '{"x":2}')],
    ),
    "a name in each piece": ([[piece(text, "f", index=0, id="a")] for text in ("", '{"x"', ":1}", "")], [A]),
    "a name in each piece, no ids": ([[piece(text, "f", index=0)] for text in ("", '{"x"', ":1}", "")], [F]),
    "a name in pieces": (
        [[piece('{"x"', "get_", index=0, id="a")], [piece(":1", "wea", index=0)], [piece("}", "ther", index=0)]], [("a", "get_weather", '{"x":1}')],
    ),
    "a name that grows": ([[piece("", name, index=0, id="a")] for name in ("get_", "get_weather")] + [[piece("{}", index=0)]], [("a", "get_weather", "{}")]),
    "a name that comes late": ([[piece("", index=0, id="a")], [piece("", "f", index=0)], [piece(F[2], index=0)]], [A]),
    "an id that comes late": ([[piece("", "f", index=0)], [piece(F[2], index=0, id="a")]], [A]),
    "all of it once more": ([[piece('{"x"', "f", index=0, id="a")], [piece(":1}", index=0)], [piece(F[2], "f", index=0, id="a")]], [A]),
    "one id for all": ([[piece(F[2], "f", index=0, id="a")], [piece(G[2], "g", index=1, id="a")]], [A, ("a", "g", G[2])]),
    "calls without arguments": ([[piece("", "f", index=0, id="a")], [piece("", "g", index=0, id="b")]], [("a", "f", ""), ("b", "g", "")]),
    "calls with empty arguments, no ids": ([[piece("{}", "f", index=0)], [piece("{}", "g", index=0)]], [("", "f", "{}"), ("", "g", "{}")]),
    "{} before the real object": ([[piece("{}", "f", index=0, id="a")], [piece('{"x"', "f", index=0, id="a")], [piece(":1}", index=0)]], [A]),
    "an index that another call has taken": (
        [[piece(F[2], "f", index=0, id="a")], [piece(G[2], "g", index=0, id="b")], [piece('{"z"', "h", index=1, id="c")], [piece(":3}", index=1)]],
        [A, B, ("c", "h", '{"z":3}')],
    ),
    "indexes as texts": (
        [[piece('{"x"', "f", index="0", id="a")], [piece('{"y"', "g", index="1", id="b")], [piece(":1}", index="0")], [piece(":2}", index="1")]], [A, B],
    ),
    "one id for all, in pieces": (
        [[piece("", "f", index=0, id="k")], [piece('{"x"', index=0, id="k")], [piece(":1}", index=0)], [piece("", "f", index=1, id="k")], [piece('{"x"', index=1, id="k")], [piece(":2}", index=1)]],
        [("k", "f", '{"x":1}'), ("k", "f", '{"x":2}')],
    ),
    "arguments as a list": ([[piece([1], "f", index=0, id="a")]], [("a", "f", "[1]")]),
}  # fmt: skip


@pytest.mark.parametrize(("deltas", "expected"), STREAMS.values(), ids=STREAMS)
def test_calls_in_chunks(deltas, expected):
    assert calls_of(*deltas) == expected


def test_a_chunk_has_what_is_new():
    events_sent = [
        chunk({"tool_calls": [piece(text, name, index=0, id="a")]})
        for text, name in (("", "f"), ('{"x"', "f"), (":1}", "fg"))
    ]
    chunks, _ = receive(form(), events(*events_sent, DONE), stream=True, kind="text/event-stream")
    assert [(p.id, p.name, p.arguments) for c in chunks for p in c.tool_calls] == [
        ("a", "f", ""),
        ("", "", '{"x"'),
        ("", "g", ":1}"),
    ]


# -- any calls, cut anywhere, interleaved in any order ---------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('ab{}[]"\\: ', max_size=5), st.lists, max_leaves=3
)
CALLS = st.lists(
    st.tuples(st.sampled_from(["f", "g", "get"]), st.dictionaries(st.text("ab", max_size=2), VALUES, max_size=3)),
    min_size=1,
    max_size=4,
)


@st.composite
def drawn_calls(draw, interleaved=True):
    """Calls as (name, arguments), and their pieces as (number, name or None, text) in some order."""
    calls = [(name, json.dumps(value)) for name, value in draw(CALLS)]
    queues = []
    for number, (name, text) in enumerate(calls):
        places = sorted(draw(st.sets(st.integers(1, len(text) - 1), max_size=4))) if len(text) > 1 else []
        texts = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
        queues.append([(number, name, ""), *((number, None, part) for part in texts)])
    order = []
    while any(queues):
        ready = [queue for queue in queues if queue]
        order.append((draw(st.sampled_from(ready)) if interleaved else ready[0]).pop(0))
    # Services number calls as they begin them.
    numbers = list(dict.fromkeys(number for number, _, _ in order))
    return [calls[n] for n in numbers], [(numbers.index(n), name, text) for n, name, text in order]


def first(name, **fields):
    return fields if name else {}


INTERLEAVED = {
    "id and index": lambda n, name: {"index": n, "id": f"c{n}"},
    "id at first, index": lambda n, name: {"index": n, **first(name, id=f"c{n}")},
    "index": lambda n, name: {"index": n},
    "id": lambda n, name: {"id": f"c{n}"},
    "id and null index": lambda n, name: {"id": f"c{n}", "index": None},
    "id and one index": lambda n, name: {"id": f"c{n}", "index": 0},
}
IN_ORDER = {
    "id at first": lambda n, name: first(name, id=f"c{n}"),
    "id at first, one index": lambda n, name: {"index": 0, **first(name, id=f"c{n}")},
    "id at first, null index": lambda n, name: {"index": None, **first(name, id=f"c{n}")},
}


def check_chat(case, fields_of):
    calls, pieces = case
    deltas = [chunk({"tool_calls": [piece(text, name, **fields_of(number, name))]}) for number, name, text in pieces]
    reply = streamed(form(), *deltas, chunk(finish="tool_calls"), DONE)
    assert [(call.name, call.arguments) for call in reply.tool_calls] == calls


@settings(max_examples=40)
@given(how=st.sampled_from([*INTERLEAVED]), case=drawn_calls())
def test_interleaved_calls(how, case):
    check_chat(case, INTERLEAVED[how])


@settings(max_examples=30)
@given(how=st.sampled_from([*IN_ORDER]), case=drawn_calls(interleaved=False))
def test_calls_one_after_another(how, case):
    check_chat(case, IN_ORDER[how])


@settings(max_examples=30)
@given(where=st.sampled_from([{}, {"index": 0}, {"index": None}]), calls=CALLS)
def test_complete_calls_without_ids(where, calls):
    rows = [(name, json.dumps(value)) for name, value in calls]
    deltas = [chunk({"tool_calls": [piece(text, name, **where)]}) for name, text in rows]
    reply = streamed(form(), *deltas, chunk(finish="tool_calls"), DONE)
    assert [(call.name, call.arguments) for call in reply.tool_calls] == rows


AT = {
    "item and place": lambda n: {"item_id": f"fc{n}", "output_index": n},
    "item": lambda n: {"item_id": f"fc{n}"},
    "place": lambda n: {"output_index": n},
    "item and one place": lambda n: {"item_id": f"fc{n}", "output_index": 0},
}


@settings(max_examples=50)
@given(
    how=st.sampled_from([*AT]),
    call_ids=st.booleans(),
    at_the_end=st.booleans(),
    closed=st.booleans(),
    case=drawn_calls(),
)
def test_interleaved_calls_of_items(how, call_ids, at_the_end, closed, case):
    calls, pieces = case
    if not call_ids and how == "place":
        at_the_end = False  # only their order distinguishes them, and nothing distinguishes equal ones
    events_sent = []
    for number, name, text in pieces:
        place = AT[how](number)
        item = item_of(number, name, "", call_ids, place)
        events_sent.append({"type": "response.output_item.added", **outside(place), "item": item} if name else
                    {"type": "response.function_call_arguments.delta", **place, "delta": text})  # fmt: skip
    items = [item_of(n, name, text, call_ids, AT[how](n)) for n, (name, text) in enumerate(calls)]
    if closed:
        events_sent += [
            {"type": "response.output_item.done", **outside(AT[how](n)), "item": item} for n, item in enumerate(items)
        ]
    reply = streamed(form(RESPONSES), *events_sent, completed(*items if at_the_end else (), usage={"input_tokens": 1}))
    assert [(call.name, call.arguments) for call in reply.tool_calls] == calls
    assert [call.id for call in reply.tool_calls] == [f"c{n}" if call_ids else "" for n in range(len(calls))]


def item_of(number, name, arguments, call_ids, place):
    names = {"call_id": f"c{number}"} if call_ids else {}
    names |= {"id": place["item_id"]} if "item_id" in place else {}
    return {"type": "function_call", **names, "name": name, "arguments": arguments}


def outside(place):
    return {name: value for name, value in place.items() if name != "item_id"}


def added(number, name, **more):
    return {
        "type": "response.output_item.added",
        **more,
        "item": item_of(number, name, "", True, {"item_id": f"x{number}"}),
    }


def test_ids_of_items_that_change_with_each_event():
    events_sent = [added(0, "f", output_index=0), added(1, "g", output_index=1)]
    texts = [(0, '{"x"'), (1, '{"y"'), (0, ":1}"), (1, ":2}")]
    events_sent += [
        {"type": "response.function_call_arguments.delta", "item_id": f"y{i}", "output_index": at, "delta": text}
        for i, (at, text) in enumerate(texts)
    ]
    calls = streamed(form(RESPONSES), *events_sent, completed()).tool_calls
    assert [(call.id, call.name, call.arguments) for call in calls] == [("c0", *F[1:]), ("c1", *G[1:])]


def item(call_id="a", item_id="i", name="f", arguments='{"x":1}'):
    return {"type": "function_call", "call_id": call_id, "id": item_id, "name": name, "arguments": arguments}


def of_items(*events_sent):
    reply = streamed(form(RESPONSES), *events_sent)
    return [(call.id, call.name, call.arguments) for call in reply.tool_calls]


def test_each_item_of_a_complete_output_is_a_call():
    for first, second in (("a", "a"), ("a", "b"), ("", ""), (None, None)):
        for name, text in (("f", '{"x":1}'), ("f", '{"x":2}'), ("g", "{}")):
            payload = response(item(first), item(second, name=name, arguments=text))
            reply = read_json(form(RESPONSES), payload)
            expected = [(first or "", *F[1:]), (second or "", name, text)]
            assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == expected
            assert of_items({"type": "response.completed", "response": payload}) == expected


NEW_IDS = [
    {"call_id": "new"},
    {"item_id": "new"},
    {"call_id": "new", "item_id": "new"},
]  # fmt: skip


@pytest.mark.parametrize("last", [{}, {"call_id": "newest", "item_id": "newest"}, None])
@pytest.mark.parametrize("closed", [{}, *NEW_IDS, None])
@pytest.mark.parametrize("second", ['{"x":1}', '{"x":2}'])
def test_a_call_whose_ids_change_is_one_call_and_keeps_its_first_id(second, closed, last):
    """As vLLM sends it, which makes up an id each time that it sends a call."""
    calls = [{"call_id": "a", "item_id": "i"}, {"call_id": "b", "item_id": "j", "arguments": second}]
    events_sent = []
    for at, call in enumerate(calls):
        events_sent.append(
            {"type": "response.output_item.added", "output_index": at, "item": item(**{**call, "arguments": ""})}
        )
        text = call.get("arguments", '{"x":1}')
        delta = {"type": "response.function_call_arguments.delta", "output_index": at, "item_id": call["item_id"]}
        events_sent += [{**delta, "delta": text[:3]}, {**delta, "delta": text[3:]}]
        if closed is not None:
            new = {name: f"{text}{at}" for name, text in closed.items()}
            events_sent.append(
                {"type": "response.output_item.done", "output_index": at, "item": item(**{**call, **new})}
            )
    new = [{name: f"{text}{at}" for name, text in (last or {}).items()} for at in range(2)]
    items = [] if last is None else [item(**{**call, **ids}) for call, ids in zip(calls, new, strict=True)]
    reply = streamed(form(RESPONSES), *events_sent, completed(*items, usage={"input_tokens": 1}))
    assert [(call.id, call.arguments) for call in reply.tool_calls] == [("a", '{"x":1}'), ("b", second)]
    answers = [{"role": "tool", "tool_call_id": call, "content": "1"} for call in "ab"]
    body = sent(form(RESPONSES), reply.message, *answers)
    assert [row["call_id"] for row in body["input"]] == ["a", "b", "a", "b"]


def test_one_call_id_for_all_items():
    events_sent = []
    for at, text in enumerate(('{"x":1}', '{"x":2}')):
        one = item("k", f"i{at}", arguments=text)
        events_sent += [
            {"type": "response.output_item.added", "output_index": at, "item": {**one, "arguments": ""}},
            {"type": "response.function_call_arguments.delta", "output_index": at, "item_id": one["id"], "delta": text},
            {"type": "response.output_item.done", "output_index": at, "item": one},
        ]
    expected = [("k", "f", '{"x":1}'), ("k", "f", '{"x":2}')]
    assert of_items(*events_sent, completed(usage={"input_tokens": 1})) == expected
    assert of_items(*events_sent, completed(item("k", "i0"), item("k", "i1", arguments='{"x":2}'))) == expected


def test_blocks_of_one_index_that_never_stop():
    use = {"type": "tool_use", "name": "f"}
    opened = [block(0, **use, id="a", input={"x": 1})[0], block(0, **use, id="b", input={})[0]]
    calls = streamed(form(MESSAGES), started(), *opened, *stopped()).tool_calls
    assert [(call.id, call.arguments) for call in calls] == [("a", '{"x": 1}'), ("b", "{}")]


def test_arguments_after_the_end_of_their_block():
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    late = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"x":1}'}}
    calls = streamed(form(MESSAGES), started(), *block(0, **use), late, *stopped()).tool_calls
    assert [(call.id, call.arguments) for call in calls] == [("a", '{"x":1}')]


def test_calls_of_blocks():
    use = {"type": "tool_use", "input": {}}
    told_twice = [
        started(),
        block(0, **use, id="a", name="f")[0],
        *block(0, {"type": "input_json_delta", "partial_json": F[2]}, **use, id="a", name="f"),
    ]
    without = [started()] + [
        event
        for n in "fg"
        for event in block(None, {"type": "input_json_delta", "partial_json": "{}"}, **use, id=n, name=n)
    ]
    assert [(call.id, call.arguments) for call in streamed(form(MESSAGES), *told_twice, *stopped()).tool_calls] == [
        ("a", F[2])
    ]
    assert [call.id for call in streamed(form(MESSAGES), *without, *stopped()).tool_calls] == ["f", "g"]


def frames(*lists):
    return [
        output({"content": "", "tool_calls": rows}, "null" if at < len(lists) - 1 else "tool_calls")
        for at, rows in enumerate(lists)
    ]


NATIVE_STREAMS = {
    "repeated": ([[piece('{"x"', "f", index=0, id="a")], [piece(F[2], "f", index=0, id="a")], [piece(F[2], "f", index=0, id="a"), piece(G[2], "g", index=1, id="b")]], [A, B]),
    "repeated, no ids, one index": ([[piece(F[2], "f", index=0)], [piece(F[2], "f", index=0), piece(G[2], "g", index=0)], [piece(F[2], "f", index=0), piece(G[2], "g", index=0)]], [F, G]),
    "pieces": ([[piece('{"x"', "f", index=0, id="a")], [piece(":1}", "", index=0, id="")], [piece('{"y"', "g", index=1, id="b")], [piece(":2}", "", index=1, id="")]], [A, B]),
    "complete, one index, no ids": ([[piece(F[2], "f", index=0)], [piece(G[2], "g", index=0)]], [F, G]),
}  # fmt: skip


@pytest.mark.parametrize(("lists", "expected"), NATIVE_STREAMS.values(), ids=NATIVE_STREAMS)
def test_calls_in_frames(lists, expected):
    calls = streamed(form(NATIVE), *frames(*lists)).tool_calls
    assert [(call.id, call.name, call.arguments) for call in calls] == expected
