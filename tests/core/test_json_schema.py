"""Schemas of types, and values of them: msgspec and pydantic do the work, we say in one way what is wrong."""

import dataclasses
import itertools
import subprocess
import sys
from typing import Annotated, Any, Generic, Literal, NotRequired, TypedDict, TypeVar

import msgspec
import pydantic
import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st

from llmnet import ConfigurationError
from llmnet.core.json_schema import codec_of, schema_of
from llmnet.providers.structured_output import OPENAI, strict_schema
from llmnet.testing.schema import instance

T = TypeVar("T")


class City(msgspec.Struct):
    """A city."""

    name: str
    people: Annotated[int, msgspec.Meta(ge=0, description="how many live there")] = 0


class Row(TypedDict):
    city: City
    note: NotRequired[str]


class LaterRow(typing_extensions.TypedDict):
    name: str


@dataclasses.dataclass
class Node:
    value: int
    below: "list[Node]" = dataclasses.field(default_factory=list)


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Model(pydantic.BaseModel):
    name: str
    size: Literal["s", "l"] = "s"
    parts: list["Model"] = []


@pydantic.dataclasses.dataclass
class Checked:
    at: Annotated[int, pydantic.Field(gt=0)]


class Mixed(msgspec.Struct):
    model: Model
    more: list[Model]


class Same(pydantic.RootModel[dict[str, int]]):
    pass


CITY = {
    "title": "City",
    "description": "A city.",
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "people": {"type": "integer", "minimum": 0, "description": "how many live there", "default": 0},
    },
    "required": ["name"],
}


def test_a_schema_is_an_object_with_the_others_beside_it():
    assert schema_of(City) == CITY
    assert schema_of(City) is schema_of(City)  # made once
    assert schema_of(Row)["properties"]["city"] == {"$ref": "#/$defs/City"}
    assert schema_of(Row)["$defs"] == {"City": CITY}
    assert schema_of(Row)["required"] == ["city"]


def test_a_type_within_itself_stays_among_the_definitions():
    schema = schema_of(Node)
    assert schema["properties"]["below"]["items"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"]["properties"] == schema["properties"]


def test_definitions_of_pydantic_are_found_within_a_type_of_msgspec():
    schema = schema_of(Mixed)
    assert set(schema["$defs"]) == {"Model"}
    assert schema["properties"]["model"] == {"$ref": "#/$defs/Model"}


def test_a_sum_of_one_is_that_one():
    """Older versions of pydantic write references so."""
    field = Annotated[int, pydantic.WithJsonSchema({"allOf": [{"type": "integer"}], "title": "A"})]
    assert schema_of(pydantic.create_model("Old", a=(field, ...)))["properties"] == {
        "a": {"type": "integer", "title": "A"}
    }


@pytest.mark.parametrize("name", ["$ref", "$defs", "allOf", "anyOf", "properties", "items", "required", "type"])
def test_a_field_may_have_the_name_of_a_keyword(name):
    inner = msgspec.defstruct(f"Inner{name}", [("a", City, msgspec.field(name=name))])
    for kind in (
        msgspec.defstruct(f"Outer{name}", [("a", inner, msgspec.field(name=name))]),
        pydantic.create_model("Outer", a=(pydantic.create_model("Inner", a=(Model, pydantic.Field(alias=name))),
                                          pydantic.Field(alias=name))),
    ):  # fmt: skip
        schema = schema_of(kind)
        assert list(schema["properties"]) == [name]
        strict = strict_schema(schema, OPENAI)
        assert list(strict["properties"]) == [name]
        value = codec_of(kind).decode(f'{{"{name}": {{"{name}": {{"name": "Rome"}}}}}}')
        assert value.a.a.name == "Rome"


@pytest.mark.parametrize("make", [
    lambda default: msgspec.defstruct("Half", [("x", str, default)]),
    lambda default: pydantic.create_model("Half", x=(str, default)),
])  # fmt: skip
def test_a_schema_can_be_sent_whatever_the_defaults_are(make):
    schema = schema_of(make("half \ud83d"))
    assert schema["properties"]["x"]["default"] == "half \ufffd"
    assert "\ufffd" in str(strict_schema(schema, OPENAI))
    msgspec.json.encode(schema)


VALUES = [
    (City, '{"name": "Rome", "people": 3}', City("Rome", 3)),
    (Row, '{"city": {"name": "Rome"}}', {"city": City("Rome")}),
    (LaterRow, '{"name": "Rome"}', {"name": "Rome"}),
    (Node, '{"value": 1, "below": [{"value": 2}]}', Node(1, [Node(2)])),
    (Page[City], '{"items": [{"name": "Rome"}]}', Page([City("Rome")])),
    (Model, '{"name": "a", "parts": [{"name": "b"}]}', Model(name="a", parts=[Model(name="b")])),
    (Checked, '{"at": 1}', Checked(1)),
    (Mixed, '{"model": {"name": "a"}, "more": []}', Mixed(Model(name="a"), [])),
    (Same, '{"a": 1}', Same({"a": 1})),
    (City, '```json\n{"name": "Rome"}\n```', City("Rome")),
    (City, ' \n```\n{"name": "```"}```\n', City("```")),
    (City, '```JSON {"name": "Rome"}```', City("Rome")),
    # Half an emoji is read as it is everywhere: what is whole stays.
    (City, r'{"name": "\ud83d \uD83D\uDE00 \\ud83d"}', City("\ufffd \U0001f600 \\ud83d")),
    (Model, r'{"name": "\ude00 \ud83d\ude00 \\ud83d"}', Model(name="\ufffd \U0001f600 \\ud83d")),
    (Mixed, r'{"model": {"name": "\ude00"}, "more": []}', Mixed(Model(name="\ufffd"), [])),
]


@pytest.mark.parametrize(("kind", "text", "value"), VALUES)
def test_values_are_of_the_type(kind, text, value):
    assert codec_of(kind).decode(text) == value
    assert type(codec_of(kind).decode(text)) is type(value)


@pytest.mark.parametrize("kind", [kind for kind, _, _ in VALUES])
def test_what_fits_the_schema_fits_the_type(kind):
    made = instance(schema_of(kind), "text 7")
    codec_of(kind).decode(msgspec.json.encode(made).decode())


MISMATCHES = [
    (City, '{"name": 3}', "Expected `str`, got `int` - at `$.name`"),
    (City, "{}", "missing required field `name`"),
    (City, '{"name": "Rome", "people": -1}', "at `$.people`"),
    (Node, '{"value": 1, "below": [{"value": "x"}]}', "at `$.below[0].value`"),
    (Row, '{"city": {}}', "at `$.city`"),
    (Model, '{"name": "a", "parts": [{"size": "m"}]}', "at `$.parts[0].name`"),
    (Mixed, '{"model": {"name": 3}, "more": []}', "at `$.name` - at `$.model`"),
    (Checked, '{"at": 0}', "at `$.at`"),
    (City, "Sure! Here it is:", "JSON"),
    (City, "```", "truncated"),
    (Model, "", "Invalid JSON"),
    (City, '{"name": "R', "truncated"),
    (Node, '{"value":1,"below":[' * 200, "nested too deeply"),
]


@pytest.mark.parametrize(("kind", "text", "said"), MISMATCHES)
def test_a_mismatch_names_the_path_of_the_field(kind, text, said):
    with pytest.raises(ValueError) as caught:
        codec_of(kind).decode(text)
    assert said in str(caught.value)
    assert "pydantic.dev" not in str(caught.value)


def test_what_pydantic_was_given_is_not_shown():
    with pytest.raises(ValueError) as caught:
        codec_of(Model).decode('{"name": ["sk-secret"], "size": {}, "parts": [1, 2]}')
    assert "sk-secret" not in str(caught.value)
    assert str(caught.value).endswith("; and 1 more")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


class Method(msgspec.Struct):
    run: "type[int]"


class Listed(msgspec.Struct, array_like=True):
    name: str


class Unknown(msgspec.Struct):
    field: "Nowhere"  # noqa: F821 - that is the point


def twice():
    class Model(pydantic.BaseModel):
        others: list["Model"]

    return msgspec.defstruct("Twice", [("one", Model), ("two", globals()["Model"])])


REFUSED = [
    (str, "pydantic model, a dataclass, a TypedDict or a msgspec.Struct, not str"),
    (list[City], "not list["),
    (dict, "not dict"),
    (City | None, "not "),
    (Any, "not Any"),
    (City("Rome"), "a value of the type City"),
    ("sk-secret", "a value of the type str"),
    (Method, "Method has no JSON schema: a field has the type "),
    (Unknown, "Unknown has no JSON schema: name 'Nowhere'"),
    (Listed, "Listed is no object in JSON"),
    (msgspec.Struct, "not Struct"),
    (pydantic.BaseModel, "not BaseModel"),
    (pydantic.RootModel, "RootModel is no object in JSON"),
    (pydantic.RootModel[list[int]], "is no object in JSON"),
    (twice(), "two types of the name 'Model'"),
]


@pytest.mark.parametrize(("kind", "said"), REFUSED)
def test_other_types_are_refused_by_their_name(kind, said):
    with pytest.raises(ConfigurationError) as caught:
        schema_of(kind, "output_type")
    assert said in str(caught.value)
    assert str(caught.value).startswith("output_type")
    assert "sk-secret" not in str(caught.value)


def test_pydantic_is_not_imported_for_other_types():
    code = (
        "import sys, msgspec\nfrom llmnet.core.json_schema import codec_of, schema_of\n"
        "class S(msgspec.Struct): a: int\n"
        "schema_of(S), codec_of(S).decode('{\"a\": 1}')\nassert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


LEAVES = st.sampled_from([int, float, bool, str, int | None, Literal["a", "b"], str | int])


NUMBERS = itertools.count()  # msgspec 0.19 takes no two types of one name


def structs(inner):
    """Types with fields of the types that *inner* gives."""
    fields = st.lists(inner, min_size=1, max_size=4)
    return st.builds(
        lambda kinds: msgspec.defstruct(f"Made{next(NUMBERS)}", [(f"field_{i}", kind) for i, kind in enumerate(kinds)]),
        fields,
    )


TYPES = structs(st.recursive(LEAVES, lambda inner: inner.map(lambda kind: list[kind]) | structs(inner), max_leaves=5))


def values(kind):
    """Values of a type."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.builds(kind, *(values(field.type) for field in msgspec.structs.fields(kind)))
    if getattr(kind, "__origin__", None) is list:
        return st.lists(values(kind.__args__[0]), max_size=3)
    simple = {
        int: st.integers(-(2**53), 2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        str: st.text(st.characters(codec="utf-8"), max_size=20),
        type(None): st.none(),
        "a": st.just("a"),
        "b": st.just("b"),
    }
    return simple[kind] if kind in simple else st.one_of([values(one) for one in kind.__args__])


@settings(max_examples=40)
@given(st.data())
def test_what_is_written_as_json_is_read_again(data):
    kind = data.draw(TYPES)
    value = data.draw(values(kind))
    assert codec_of(kind).decode(msgspec.json.encode(value).decode()) == value
    codec_of(kind).decode(msgspec.json.encode(instance(schema_of(kind))).decode())


@given(st.text(max_size=60) | st.text('{}[]":,`\n a1', max_size=60))
def test_any_text_is_a_value_or_a_value_error(text):
    for kind in (City, Model, Mixed):
        try:
            codec_of(kind).decode(text)
        except ValueError:
            continue


class Part(pydantic.BaseModel):
    a: int
    b: int = 0


class Unions(pydantic.BaseModel):
    x: list[int | float | bool | Part]


class Keyed(pydantic.BaseModel):
    x: dict[str, list[int]]


class Parts(pydantic.BaseModel):
    x: list[Part]


class Sum(pydantic.BaseModel):
    of: "list[Sum | Product | int]"


class Product(pydantic.BaseModel):
    of: "list[Sum | Product | int]"


def tree(depth, leaf):
    return '{"of": [' * depth + leaf + "]}" * depth


class Around(msgspec.Struct):
    """Of msgspec, with a field that pydantic reads."""

    field: Unions


LONG = '"' + "k" * 50_000 + '": [' + '"a",' * 5_000 + "1]"
HEAVY = {
    "each value in each branch of a union": (Unions, '{"x": [' + ",".join(['"a"'] * 100_000) + "]}"),
    "a long key in the path of each problem": (Keyed, f'{{"x": {{{LONG}}}}}'),
    "in a key that comes twice": (Keyed, f'{{"x": {{{LONG}}}, "x": {{}}}}'),
    "each missing field": (pydantic.create_model("Wide", x=(list[pydantic.create_model(
        "Row", **{f"f{i}": (int, ...) for i in range(50)})], ...)), '{"x": [' + "{}," * 10_000 + "{}]}"),
    "a copy of the object for each missing field": (
        pydantic.create_model("Wide", **{f"f{i}": (int, ...) for i in range(100)}),
        '{"x": [' + ",".join(["[1]"] * 40_000) + "]}",
    ),
    "twice as many in each object of a union within itself": (Sum, tree(25, '"a"')),
    "in a field": (Around, '{"field": {"x": [' + ",".join(['"a"'] * 100_000) + "]}}"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEAVY)
def test_a_text_is_refused_that_would_bring_more_problems_than_memory(name):
    kind, text = HEAVY[name]
    with pytest.raises(ValueError, match="too many values to be checked"):
        codec_of(kind).decode(text)


def test_what_a_model_may_write_is_read():
    """As long as replies of 128k tokens are."""
    rows = ",".join(['{"a": 1234, "b": 5678}'] * 12_000)
    assert len(codec_of(Parts).decode(f'{{"x": [{rows}]}}').x) == 12_000
    assert len(codec_of(Unions).decode('{"x": [' + ",".join(["12345"] * 40_000) + "]}").x) == 40_000
    wide = pydantic.create_model("Wide", **{f"f{i}": (int | None, ...) for i in range(20)})
    row = "{" + ",".join(f'"f{i}": {i}' for i in range(20)) + "}"
    assert len(
        codec_of(pydantic.create_model("Table", x=(list[wide], ...))).decode(f'{{"x": [{",".join([row] * 1250)}]}}').x
    )
    assert codec_of(Sum).decode(tree(10, "1, 2, 3")).of
    assert codec_of(Model).decode('{"name": "a", "parts": [' * 40 + "]}" * 40).parts  # within itself, but no union


def test_of_very_many_problems_only_the_number_is_said():
    with pytest.raises(ValueError, match=r"^4000 values do not fit$"):
        codec_of(Parts).decode('{"x": [' + ",".join(["1"] * 4000) + "]}")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize("kind", [float, Any])
def test_what_is_no_number_of_json_is_none_for_pydantic_either(kind, number):
    with pytest.raises(ValueError):
        codec_of(pydantic.create_model("Float", x=(kind, ...))).decode(f'{{"x": {number}}}')
