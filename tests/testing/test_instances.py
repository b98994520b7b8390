"""Values made from a schema: pydantic, whose schemas they are, takes every one of them."""

import enum
import json
import math
from datetime import date, datetime
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmnet.testing.schema import instance

pydantic = pytest.importorskip("pydantic")

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
KEYWORDS = [
    "$ref",
    "allOf",
    "anyOf",
    "oneOf",
    "const",
    "enum",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "prefixItems",
    "minItems",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "format",
    "$defs",
    "a",
]


@given(
    st.recursive(
        scalars
        | st.sampled_from(["#", "#/a", "#/properties/a", "object", "array", "string", "integer", "number", "null"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=5),
        max_leaves=12,
    )
)
@example({"type": "array", "minItems": -(10**30)})
@example({"type": "string", "minLength": -(10**30), "maxLength": 10**400})
@example({"type": "string", "minLength": math.inf})
@example({"type": "number", "minimum": 10**400})
@example({"type": "integer", "multipleOf": 10**309})
@example({"type": "number", "minimum": 1e200, "multipleOf": 1e-200})
@settings(max_examples=100)
def test_what_is_no_schema_breaks_nothing(schema):
    json.dumps(instance(schema, "1 2.5 -3 text"))


class Node(pydantic.BaseModel):
    name: str
    children: "list[Node]"
    parent: "Node | None"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def model(fields):
    return pydantic.create_model("M", **{name: (kind, ...) for name, kind in fields.items()})


types = st.recursive(
    st.sampled_from(
        [
            *(int, float, str, bool, None, Any, date, datetime, UUID, Colour, Node, Literal["a", 1]),
            Annotated[int, pydantic.Field(ge=5, lt=9)],
            Annotated[int, pydantic.Field(gt=-9, le=-5)],
            Annotated[int, pydantic.Field(gt=10, lt=100, multiple_of=7)],
            Annotated[float, pydantic.Field(gt=0, lt=0.25)],
            Annotated[float, pydantic.Field(gt=1, multiple_of=0.5)],
            Annotated[str, pydantic.Field(min_length=30)],
            Annotated[str, pydantic.Field(max_length=2)],
        ]
    ),
    lambda inner: (
        inner.map(lambda one: list[one])
        | inner.map(lambda one: Annotated[list[one], pydantic.Field(min_length=2)])
        | inner.map(lambda one: dict[str, one])
        | inner.map(lambda one: Optional[one])  # noqa: UP045 - one may be None
        | st.tuples(inner, inner).map(lambda two: tuple[two])
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(model)
    ),
    max_leaves=5,
)


@given(types, st.text(max_size=20) | st.just("3 of 7.5, or 12 and 14 and 21"))
@settings(max_examples=75)
def test_an_instance_is_what_its_schema_accepts(kind, text):
    adapter = pydantic.TypeAdapter(kind)
    adapter.validate_json(json.dumps(instance(adapter.json_schema(), text)), strict=True)


def test_an_instance_says_the_text_and_takes_its_numbers_in_order():
    two = {"properties": {"a": {"type": "integer"}, "b": {"type": "number"}}, "required": ["a", "b"]}
    assert instance(two, "What is 3 + 4.5?") == {"a": 3, "b": 4.5}
    assert instance(two, "What is 4.5 + 3?") == {"a": 3, "b": 4.5}
    assert instance({"type": "string"}, "say") == "say"
    endless = {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]}
    assert instance(endless) is None
