"""How a value of a type is asked for, by each vendor as it documents it, and what its replies give."""

import dataclasses
import json
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import recorded
from support.replies import read_whole

import llmnet
from llmnet.core.http import Headers
from llmnet.core.json_schema import schema_of
from llmnet.core.output import output_of
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.request import chat_request
from llmnet.providers.services import SERVICES
from llmnet.providers.structured_output import ANTHROPIC, INSTRUCTION, OPENAI, strict_schema, strict_schema_of
from llmnet.providers.target import Target, make_form
from llmnet.testing.schema import instance


class City(msgspec.Struct):
    name: str
    people: int = 0


PLAIN = {
    "title": "City",
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer", "default": 0}},
    "required": ["name"],
}
CLOSED = {
    "type": "object",
    "title": "City",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer", "description": "(default: 0)"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}
TEXT = f"{INSTRUCTION}\n{json.dumps(PLAIN, separators=(',', ':'))}"
SCHEMA = {"type": "json_schema", "json_schema": {"name": "City", "schema": CLOSED, "strict": True}}
FLAT = {"type": "json_schema", "name": "City", "schema": CLOSED, "strict": True}
FORMAT = {"type": "json_schema", "schema": {**CLOSED, "required": ["name"]}}
JSON_MODE = {"type": "json_object"}
TOOL = {
    "tools": [
        {
            "name": "llmnet_answer",
            "description": "Gives the answer. Call it once, at the end.",
            "input_schema": PLAIN,
        }
    ],
    "tool_choice": {"type": "tool", "name": "llmnet_answer"},
}
CHAT_FIRST = {"role": "system", "content": TEXT}
RESPONSES_FIRST = {"role": "system", "content": [{"type": "input_text", "text": TEXT}]}

# (service, api, model): what the body must have.
ASKED = [
    ("openai", "chat-completions", "gpt-5", {"response_format": SCHEMA}),
    ("azure", "v1", "gpt-5", {"response_format": SCHEMA}),
    ("azure", "deployments", "gpt-5", {"response_format": SCHEMA}),
    ("qianfan", "v2", "ernie-4.5", {"response_format": SCHEMA}),
    ("siliconflow", None, "m", {"response_format": SCHEMA}),
    ("openai", "responses", "gpt-5", {"text": {"format": FLAT}}),
    ("azure", "responses", "gpt-5", {"text": {"format": FLAT}}),
    ("anthropic", "messages", "claude-sonnet-4-5", {"output_config": {"format": FORMAT}}),
    ("anthropic", "messages", "claude-opus-4-6-20260101", {"output_config": {"format": FORMAT}}),
    ("anthropic", "messages", "claude-3-5-sonnet-20241022", TOOL),
    ("anthropic", "messages", "claude-sonnet-4-20250514", TOOL),
    ("anthropic", "messages", "claude-opus-4-1", TOOL),
    ("dashscope", "anthropic", "qwen-plus", TOOL),
    ("dashscope", "compatible", "qwen-plus", {"response_format": JSON_MODE, "first": CHAT_FIRST}),
    ("dashscope", "native", "qwen-plus", {"parameters": {"response_format": JSON_MODE}, "first": CHAT_FIRST}),
    ("dashscope", "responses", "qwen-plus", {"text": {"format": JSON_MODE}, "first": RESPONSES_FIRST}),
    ("deepseek", None, "deepseek-chat", {"response_format": JSON_MODE, "first": CHAT_FIRST}),
    ("moonshot", None, "kimi-k2", {"response_format": JSON_MODE, "first": CHAT_FIRST}),
    ("zhipu", None, "glm-5", {"response_format": JSON_MODE, "first": CHAT_FIRST}),
    ("zai", None, "glm-5", {"response_format": JSON_MODE, "first": CHAT_FIRST}),
]


def form_of(name, api=None, base_url=None):
    service = SERVICES[name]
    api = api or next(iter(service.apis))
    base_url = base_url or service.base_url or "https://host.example"
    return make_form(service.apis[api].form, Target(service=service, api=api, base_url=base_url))


def body_of(form, kind, model="m", messages="Rome", **params):
    chat = chat_request(messages, model, params, output_type=kind, stream=False)
    return json.loads(form.prepare(form.wanting(chat, chat.output)).body)


def first_of(body):
    turns = body.get("messages") or body["input"]
    return (turns["messages"] if isinstance(turns, dict) else turns)[0]


@pytest.mark.parametrize(("name", "api", "model", "expected"), ASKED)
def test_each_vendor_is_asked_in_its_own_way(name, api, model, expected):
    body = body_of(form_of(name, api), City, model)
    expected = dict(expected)
    assert first_of(body) == expected.pop("first", first_of(body))
    for field, value in expected.items():
        found = body[field]
        assert (found if field != "parameters" else {"response_format": found["response_format"]}) == value
    assert "output_type" not in json.dumps(body)
    if "response_format" not in expected:
        assert "response_format" not in body


@pytest.mark.parametrize(
    "address",
    [
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "https://api.deepseek.com",
        "https://api.moonshot.cn/v1",
    ],
)
def test_a_host_with_json_mode_alone_is_known_by_its_address(address):
    assert body_of(form_of("openai", base_url=address), City)["response_format"] == JSON_MODE
    assert "json" in TEXT.lower()  # without the word it is refused


def test_a_service_with_json_mode_alone_is_known_by_its_name():
    assert body_of(form_of("deepseek", base_url="https://gateway.example/v1"), City)["response_format"] == JSON_MODE


def test_the_instruction_joins_the_system_message_that_is_there():
    form = form_of("deepseek")
    system = {"role": "system", "content": "Be brief."}
    body = body_of(form, City, messages=[system, {"role": "user", "content": "Rome"}])
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"] == f"Be brief.\n\n{TEXT}"
    assert system == {"role": "system", "content": "Be brief."}
    developer = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Rome"}]
    assert body_of(form, City, messages=developer)["messages"][0]["content"] == f"Be brief.\n\n{TEXT}"
    parts = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": "Rome"},
    ]
    content = body_of(form, City, messages=parts)["messages"][0]["content"]
    assert content == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": TEXT}]


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CHOICES = [
    ({"tools": [WEATHER]}, {"type": "any"}),
    ({"tools": [WEATHER], "tool_choice": "auto"}, {"type": "auto"}),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, {"type": "auto"}),
    ({"thinking": {"type": "disabled"}}, {"type": "tool", "name": "llmnet_answer"}),
    ({"reasoning_effort": "low"}, {"type": "auto"}),
    ({"reasoning_effort": "none"}, {"type": "tool", "name": "llmnet_answer"}),
]


@pytest.mark.parametrize(("params", "choice"), CHOICES)
def test_the_tool_stands_beside_the_callers_own(params, choice):
    body = body_of(form_of("anthropic"), City, "claude-3-7-sonnet-20250219", **params)
    assert [tool["name"] for tool in body["tools"]][-1] == "llmnet_answer"
    assert len(body["tools"]) == len(params.get("tools", ())) + 1
    assert body["tool_choice"] == choice


def test_an_effort_stays_beside_the_format():
    form = form_of("anthropic")
    body = body_of(form, City, "claude-opus-4-6", reasoning_effort="low")
    assert body["output_config"] == {"effort": "low", "format": FORMAT}
    body = body_of(form, City, "claude-opus-4-6", output_config={"effort": "high"})
    assert body["output_config"] == {"effort": "high", "format": FORMAT}


class Open(TypedDict):
    counts: dict[str, int]


class Node(msgspec.Struct):
    value: int
    below: list["Node"] = []


def test_a_type_that_no_strict_schema_can_say_is_sent_as_it_is():
    wanted = body_of(form_of("openai"), Open)["response_format"]["json_schema"]
    assert (wanted["strict"], wanted["schema"]) == (False, schema_of(Open))
    for kind in (Open, Node):
        body = body_of(form_of("anthropic"), kind, "claude-opus-4-6")
        assert body["tools"][0]["input_schema"] == schema_of(kind)
    assert body_of(form_of("openai"), Node)["response_format"]["json_schema"]["strict"] is True


def test_names_are_such_as_vendors_take():
    made = msgspec.defstruct("Straße[Ort, int]" * 9, [("a", int)])
    name = body_of(form_of("openai"), made)["response_format"]["json_schema"]["name"]
    assert name.startswith("Stra_e_Ort_int_")
    assert len(name) == 64


# -- strict schemas ---------------------------------------------------------------------------------------------------


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    age: int


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


@dataclasses.dataclass
class Point:
    x: int
    y: int | None = None


class Pets(pydantic.BaseModel):
    pet: Dog | Cat = pydantic.Field(discriminator="kind")
    weight: Annotated[float, pydantic.Field(gt=0.5, description="in kg")]
    name: Annotated[str, pydantic.Field(min_length=2, pattern="^[A-Z]")]
    when: pydantic.AwareDatetime
    home: pydantic.AnyUrl
    other: Dog = pydantic.Field(description="another one")


class Mixed(msgspec.Struct):
    pair: tuple[int, str]
    level: Literal[1, 2]
    point: Annotated[Point, msgspec.Meta(description="where")]
    many: Annotated[list[Point], msgspec.Meta(min_length=3)]
    both: tuple[int, int]


WRITTEN = [
    (Pets, OPENAI, "pet", {"title": "Pet", "anyOf": [{"$ref": "#/$defs/Dog"}, {"$ref": "#/$defs/Cat"}]}),
    (Pets, OPENAI, "weight", {"type": "number", "title": "Weight", "description": "in kg", "exclusiveMinimum": 0.5}),
    (
        Pets,
        ANTHROPIC,
        "weight",
        {"type": "number", "title": "Weight", "description": "in kg (exclusiveMinimum: 0.5)"},
    ),
    (
        Pets,
        OPENAI,
        "name",
        {"type": "string", "title": "Name", "pattern": "^[A-Z]", "description": "(minLength: 2)"},
    ),
    (Pets, OPENAI, "when", {"type": "string", "title": "When", "format": "date-time"}),
    (Pets, ANTHROPIC, "home", {"type": "string", "title": "Home", "format": "uri", "description": "(minLength: 1)"}),
    (Pets, OPENAI, "other", {"description": "another one", "anyOf": [{"$ref": "#/$defs/Dog"}]}),
    (
        Mixed,
        OPENAI,
        "pair",
        {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "minItems": 2, "maxItems": 2},
    ),
    (Point, OPENAI, "y", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    (Mixed, OPENAI, "both", {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}),
    (
        Pets,
        OPENAI,
        "home",
        {"type": "string", "title": "Home", "description": '(format: "uri", minLength: 1)'},
    ),
    (Mixed, OPENAI, "level", {"type": "integer", "enum": [1, 2]}),
    (Mixed, OPENAI, "point", {"description": "where", "anyOf": [{"$ref": "#/$defs/Point"}]}),
    (
        Mixed,
        ANTHROPIC,
        "many",
        {"type": "array", "items": {"$ref": "#/$defs/Point"}, "description": "(minItems: 3)"},
    ),
]


@pytest.mark.parametrize(("kind", "dialect", "name", "expected"), WRITTEN)
def test_what_a_dialect_has_no_word_for_is_said_in_the_description(kind, dialect, name, expected):
    assert strict_schema(schema_of(kind), dialect)["properties"][name] == expected


def parts(schema):
    """All schemas in a schema."""
    yield schema
    for inner in [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())]:
        yield from parts(inner)
    if "items" in schema:
        yield from parts(schema["items"])


@pytest.mark.parametrize("kind", [City, Pets, Mixed, Point, Node])
def test_a_strict_schema_is_closed_all_the_way_down(kind):
    whole = strict_schema(schema_of(kind), OPENAI)
    found = [part for part in parts(whole) if "properties" in part]
    assert found
    for part in found:
        assert part["additionalProperties"] is False
        assert part["required"] == [*part["properties"]]
    assert not {"default", "oneOf", "allOf", "discriminator", "prefixItems", "minLength"} & {
        key for part in parts(whole) for key in part
    }
    assert all(part.keys() == {"$ref"} for part in parts(whole) if "$ref" in part)


def test_it_is_made_once_for_a_type():
    assert strict_schema_of(output_of(City, {}), OPENAI) is strict_schema_of(output_of(City, {}), OPENAI)


FIELDS = st.sampled_from([int, str, bool, float, str | None, Literal["a"], Point, City, list[Point]])


@settings(max_examples=40)
@given(st.lists(FIELDS, min_size=1, max_size=5), st.sampled_from([OPENAI, ANTHROPIC]))
def test_what_fits_the_strict_schema_fits_the_type(kinds, dialect):
    kind = msgspec.defstruct("Made", [(f"field_{i}", one) for i, one in enumerate(kinds)])
    made = instance(strict_schema(schema_of(kind), dialect), "7")
    assert isinstance(output_of(kind, {}).decode(json.dumps(made)), kind)


@pytest.mark.parametrize("field", [Any, dict[str, int], dict, pydantic.JsonValue, list, list[Any]])
def test_what_is_open_has_no_strict_schema(field):
    kind = pydantic.create_model("Made", field=(field, ...))
    assert strict_schema(schema_of(kind), OPENAI) is None


@pytest.mark.parametrize("field", [list, list[Any], set, dict, Any])
def test_nor_has_a_dataclass_with_such_a_field(field):
    kind = dataclasses.make_dataclass("Made", [("field", field)])
    assert strict_schema(schema_of(kind), OPENAI) is None


@pytest.mark.parametrize("provider", ["openai", "deepseek", "dashscope"])
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_errors_count_messages_as_the_caller_does(provider, system):
    messages = [{"role": "user", "content": "a"}, {"role": "user", "content": [{"text": "no type"}]}]
    fields = {"api_key": "k" * 20, "model": "m", "system": system}
    with llmnet.Client(provider=provider, **fields) as client, pytest.raises(llmnet.ConfigurationError) as caught:
        client.chat(messages, output_type=City)
    assert "messages[1].content[0]" in str(caught.value)


def test_a_tuple_is_an_array_of_what_it_names():
    kind = pydantic.create_model("Made", field=(tuple[int, str], ...))
    assert "items" not in schema_of(kind)["properties"]["field"]
    assert strict_schema(schema_of(kind), OPENAI) is not None


def test_nor_has_what_takes_more_than_it_names():
    kind = pydantic.create_model("Made", __config__={"extra": "allow"}, field=(int, ...))
    assert strict_schema(schema_of(kind), OPENAI) is None


class Chain(msgspec.Struct):
    first: list[Mixed]


@pytest.mark.parametrize(("kind", "ends"), [(Chain, True), (Pets, True), (Node, False)])
def test_a_type_within_itself_is_more_than_one_of_several_levels(kind, ends):
    assert (strict_schema(schema_of(kind), ANTHROPIC) is not None) == ends


# -- replies ----------------------------------------------------------------------------------------------------------


def test_arguments_are_text_in_the_block_of_the_answer_alone():
    """A delta of arguments that a gateway numbers wrongly is not said by the model."""
    rows = [
        {"type": "message_start", "message": {"id": "m", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
    reader = ReplyReader(form_of("anthropic"), stream=True)
    reader.open(200, Headers([("content-type", "text/event-stream")]))
    assert read_whole(reader, "".join(f"data: {json.dumps(row)}\n\n" for row in rows).encode()).content == "Hi"


class Number(msgspec.Struct, forbid_unknown_fields=True):
    x: int = 0


def said(text, **more):
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "content": content, **more}


def block(text):
    return {"type": "text", "text": text}


def answer(**arguments):
    return {"type": "tool_use", "id": "t", "name": "llmnet_answer", "input": arguments}


SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
# Of output items and of blocks: the number in the value.
PLACES = {
    "behind commentary": ("responses", [said("Let me see {", phase="commentary"), said('{"x":1}', phase="final_answer")], 1),
    "behind another message": ("responses", [said('{"x":1}', id="a"), said('{"x":2}', id="b")], 2),
    "behind a search": ("responses", [said("I look"), {"type": "web_search_call", "id": "w"}, said('{"x":1}')], 1),
    "before a message without text": ("responses", [said('{"x":1}'), said("")], 1),
    "behind text": ("anthropic", [block("Sure: "), answer(x=1)], 1),
    "before text": ("anthropic", [answer(x=1), block("Done.")], 1),
    "in the last of two answers": ("anthropic", [answer(x=1), answer(x=2)], 2),
    "in an empty answer": ("anthropic", [block("Sure: "), answer()], 0),
    "behind a tool of the vendor's": ("anthropic", [block("I look"), SEARCH, block('{"x"'), block(":1}")], 1),
    "in all texts": ("anthropic", [{"type": "thinking", "thinking": "hm"}, block('{"x"'), block(":1}")], 1),
}  # fmt: skip


def events_of_output(items):
    for at, item in enumerate(items):
        place = {"output_index": at, "item_id": item.get("id", f"item_{at}")}
        yield {"type": "response.output_item.added", "output_index": at, "item": {**item, "content": []}}
        for part in item.get("content", ()):
            yield {"type": "response.output_text.delta", "content_index": 0, "delta": part["text"], **place}
        yield {"type": "response.output_item.done", "output_index": at, "item": item}
    yield {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": items}}


def events_of_blocks(blocks):
    yield {"type": "message_start", "message": {"id": "m", "content": []}}
    for at, one in enumerate(blocks):
        opened, pieces = {**one}, []
        for field, delta in (("text", "text_delta"), ("thinking", "thinking_delta")):
            if field in one:
                opened[field], pieces = "", [{"type": delta, field: one[field]}]
        if "input" in one:
            opened["input"], text = {}, json.dumps(one["input"])
            pieces = [{"type": "input_json_delta", "partial_json": text if one["input"] else ""}]
        yield {"type": "content_block_start", "index": at, "content_block": opened}
        yield from ({"type": "content_block_delta", "index": at, "delta": piece} for piece in pieces)
        yield {"type": "content_block_stop", "index": at}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    yield {"type": "message_stop"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", PLACES)
def test_a_model_may_say_something_beside_its_answer(name, stream):
    """The value is in the last message, whatever is said before; the text of the reply stays all that was said."""
    form, output, number = PLACES[name]
    if form == "responses":
        whole, events = {"id": "r", "status": "completed", "output": output}, events_of_output(output)
    else:
        whole, events = (
            {"id": "m", "type": "message", "content": output, "stop_reason": "end_turn"},
            events_of_blocks(output),
        )
    body = "".join(f"data: {json.dumps(row)}\n\n" for row in events) if stream else json.dumps(whole)
    wire = form_of("openai", "responses") if form == "responses" else form_of("anthropic")
    reader = output_of(Number, {}).reader(wire, stream=stream)
    reader.open(200, Headers([("content-type", "text/event-stream" if stream else "application/json")]))
    reply = read_whole(reader, body.encode())
    assert reply.parsed == Number(number)
    texts = [text for item in output for part in item.get("content", [item]) if (text := part.get("text"))]
    assert all(text in reply.content for text in texts)


class OrderItem(TypedDict):
    product_name: str
    price: float
    quantity: int


class OrderDetails(TypedDict):
    items: list[OrderItem]
    total: float


class StructuredAnswer(pydantic.BaseModel):
    rating: int
    joke: str


# The name is on record.
Handbook = msgspec.defstruct("FentanylHandbook", [("instructions", str)])


RECORDED = {
    "anthropic-sdk-python.d743d628-16aa-4c9f-ae78-51deb578f746.2.json": (OrderDetails, None),
    "openllmetry.test-async-parsed-refused-completion.json": (StructuredAnswer, "refusal"),
    "mirascope.openai-gpt-4o-completions-async-stream.sse": (Handbook, "refusal"),
}


def rows():
    wanted = ((row, name) for row in [*recorded.rows("anthropic"), *recorded.rows("openai")] for name in RECORDED)
    return [(row, *RECORDED[name]) for row, name in wanted if row["file"].endswith(name)]


@recorded.needs_recordings
def test_recorded_replies_give_their_values_and_refusals(server):
    found = rows()
    assert len(found) == len(RECORDED)
    for row, kind, reason in found:
        form = form_of(row["provider"])
        output = output_of(kind, {})
        reader = output.reader(form, stream=row["stream"], asked="m")
        reader.open(200, recorded.headers(row))
        if reason is None:
            order = read_whole(reader, recorded.body(row)).parsed
            assert order["total"] == 14.0
            assert order["items"][0] == {"product_name": "Green Tea", "price": 5.5, "quantity": 2}
            continue
        with pytest.raises(Exception) as caught:
            read_whole(reader, recorded.body(row))
        error = caught.value.outcome.error
        assert (type(error), error.reason) == (llmnet.OutputError, reason)
        assert reader.partial().refusal in str(error)


@recorded.needs_recordings
def test_what_was_sent_for_the_recordings_is_what_we_send():
    for row, kind, _ in rows():
        sent = json.loads((recorded.FOLDER / row["meta"]).read_bytes())["request_body"]
        body = body_of(form_of(row["provider"]), kind, sent["model"], messages=sent["messages"])
        for field in ("response_format", "output_config"):
            assert without_titles(body.get(field)) == without_titles(sent.get(field))


def without_titles(value):
    """A schema without its titles and the order of its lists of names."""
    if isinstance(value, dict):
        kept = {
            key: without_titles(inner)
            for key, inner in value.items()
            if not (key == "title" and isinstance(inner, str))
        }
        return kept | ({"required": sorted(kept["required"])} if "required" in kept else {})
    return [without_titles(inner) for inner in value] if isinstance(value, list) else value
