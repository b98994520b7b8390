"""A tool made of a function: its schema, what is said of its parameters, and the functions that no model can call."""

import dataclasses
import enum
import functools
import gc
import inspect
import math
import weakref
from typing import Annotated, Any, Literal, Optional, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmnet import ConfigurationError
from llmnet.core import json_schema
from llmnet.core.tool_functions import described, split_tools, tool_of
from llmnet.testing.schema import instance


class Unit(enum.StrEnum):
    C = "c"
    F = "f"


@dataclasses.dataclass
class Place:
    city: str


class Stay(TypedDict):
    nights: int


class Room(msgspec.Struct):
    beds: int = 1


class Guest(pydantic.BaseModel):
    name: str


def empty():
    pass


def plain(city: str, days: int = 3, *, exact: bool = False):
    """The weather."""


def named(unit: Unit, kind: Literal["a", "b"] = "a", far: Optional[int] = None, near: int | None = None):  # noqa: UP045
    pass


def objects(place: Place, stay: Stay, room: Room, guests: list[Guest]):
    pass


def untyped(anything, more=2, odd=math.inf, own=Place("Rome"), raw: Any = None):
    pass


def annotated(
    a: Annotated[str, "said"],
    b: Annotated[int, pydantic.Field(description="by pydantic")],
    c: Annotated[int, msgspec.Meta(ge=0, description="by msgspec")],
    d: Annotated[int, 5],
    e: "Annotated[list[int], 'as a text']",
):
    """Do.

    Args:
        a: not this
        d: but this
    """


async def later(x: int) -> str:
    return str(x)


class Desk:
    def __init__(self):
        self.calls = []

    def book(self, room: str) -> str:
        """Book a room."""

    @classmethod
    def of(cls, name: str):
        pass

    @staticmethod
    def static(x: int):
        pass

    def __call__(self, y: int):
        """Ring."""


@functools.lru_cache
def cached(x: int):
    """Kept."""


@functools.wraps(plain)
def wrapper(*args, **kwargs):
    return plain(*args, **kwargs)


def tool(name, properties, required=(), description=None, **more):
    schema = {"type": "object", **more, "properties": properties, **({"required": list(required)} if required else {})}
    said = {"description": description} if description else {}
    return {"type": "function", "function": {"name": name, **said, "parameters": schema}}


WEATHER = {
    "city": {"type": "string"},
    "days": {"type": "integer", "default": 3},
    "exact": {"type": "boolean", "default": False},
}
NULLABLE = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
X = {"x": {"type": "integer"}}
MADE = [
    (empty, tool("empty", {})),
    (plain, tool("plain", WEATHER, ["city"], "The weather.")),
    (wrapper, tool("plain", WEATHER, ["city"], "The weather.")),
    (functools.partial(plain, "Rome"), tool("plain", {n: WEATHER[n] for n in ("days", "exact")}, (), "The weather.")),
    (functools.partial(plain, days=1), tool("plain", {n: WEATHER[n] for n in ("city", "exact")}, ["city"], "The weather.")),
    (later, tool("later", X, ["x"])),
    (cached, tool("cached", X, ["x"], "Kept.")),
    (Desk().book, tool("book", {"room": {"type": "string"}}, ["room"], "Book a room.")),
    (Desk.book, tool("book", {"self": {}, "room": {"type": "string"}}, ["self", "room"], "Book a room.")),
    (Desk.of, tool("of", {"name": {"type": "string"}}, ["name"])),
    (Desk.static, tool("static", X, ["x"])),
    (Desk(), tool("Desk", {"y": {"type": "integer"}}, ["y"], "Ring.")),
    (untyped, tool("untyped", {"anything": {}, "more": {"default": 2}, "odd": {}, "own": {"default": {"city": "Rome"}}, "raw": {}}, ["anything"])),
    (
        annotated,
        tool(
            "annotated",
            {
                "a": {"type": "string", "description": "said"},
                "b": {"type": "integer", "description": "by pydantic"},
                "c": {"type": "integer", "minimum": 0, "description": "by msgspec"},
                "d": {"type": "integer", "description": "but this"},
                "e": {"type": "array", "items": {"type": "integer"}, "description": "as a text"},
            },
            ["a", "b", "c", "d", "e"],
            "Do.",
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("function", "expected"), MADE, ids=lambda one: getattr(one, "__name__", None))
def test_a_tool_of_a_function(function, expected):
    assert tool_of(function, "tools[0]") == expected
    assert tool_of(function, "tools[0]") == expected  # made once or twice


def test_types_of_parameters():
    schema = tool_of(named, "tools[0]")["function"]["parameters"]
    assert schema["$defs"]["Unit"]["enum"] == ["c", "f"]
    assert schema["required"] == ["unit"]
    assert schema["properties"] == {
        "unit": {"$ref": "#/$defs/Unit"},
        "kind": {"enum": ["a", "b"], "default": "a"},
        "far": NULLABLE,
        "near": NULLABLE,
    }


def test_objects_of_every_kind():
    schema = tool_of(objects, "tools[0]")["function"]["parameters"]
    text = str(schema)
    for field in ("city", "nights", "beds", "name"):
        assert f"'{field}'" in text
    assert schema["required"] == ["place", "stay", "room", "guests"]


def local_type():
    class Hidden:
        pass

    def f(x: Hidden):
        pass

    return f


def unknown(x: "Nowhere"):  # noqa: F821
    pass


def many(*args: int):
    pass


def open_ended(x: int, **options: str):
    pass


def by_place(x, /):
    pass


def größe(x):  # noqa: PLC2401
    pass


REFUSED = [
    (lambda x: x, ["lambda", "def"]),
    (functools.partial(lambda x: x, 1), ["lambda", "def"]),
    (many, ["many", "*args", "variadic positional"]),
    (open_ended, ["open_ended", "**options", "variadic keyword"]),
    (by_place, ["by_place", "positional-only"]),
    (größe, ["größe", "letters"]),
    (unknown, ["unknown", "Nowhere"]),
    (local_type(), ["f", "Hidden"]),
    (Place, ["class Place", "function"]),
    (print, ["print", "*args"]),
    (5, ["int", "function"]),
    ("search", ["str", "dict"]),
    (None, ["NoneType"]),
]


@pytest.mark.parametrize(("function", "words"), REFUSED, ids=lambda one: getattr(one, "__name__", None))
def test_what_no_model_can_call(function, words):
    with pytest.raises(ConfigurationError) as caught:
        split_tools([empty, function])
    for word in ("tools[1]", *words):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "second",
    [plain, wrapper, functools.partial(plain, days=1), tool("plain", {}), {"name": "plain", "input_schema": {}}],
    ids=["itself", "wrapped", "partial", "a dict", "a dict of Anthropic's"],
)
def test_two_tools_of_one_name(second):
    for tools in ([plain, second], [second, plain]):
        with pytest.raises(ConfigurationError, match=r"tools\[\d\]: two tools have the name 'plain'"):
            split_tools(tools)


def test_dicts_pass_as_they_are():
    search = {"type": "web_search"}
    made, functions = split_tools([search, plain, tool("other", {})])
    assert made[0] is search
    assert [one.get("type") for one in made] == ["web_search", "function", "function"]
    assert functions == {"plain": plain}


def test_a_tool_is_made_once_and_keeps_nothing_alive():
    def temporary(x: int):
        pass

    desk = Desk()
    assert tool_of(temporary, "t") is tool_of(temporary, "t")
    assert tool_of(desk.book, "t") is tool_of(Desk().book, "t")
    watched = [weakref.ref(temporary), weakref.ref(desk)]
    del temporary, desk
    gc.collect()
    assert [one() for one in watched] == [None, None]


@pytest.mark.parametrize("function", [*(function for function, _ in MADE), named, objects])
def test_what_the_schema_accepts_the_function_takes(function):
    schema = tool_of(function, "tools[0]")["function"]["parameters"]
    inspect.signature(function).bind(**instance(schema))
    inspect.signature(function).bind(**instance({**schema, "required": list(schema["properties"])}))


# -- docstrings -------------------------------------------------------------------------------------------------------

DOCSTRINGS = {
    "google": """Sum.

        It is exact.

        Args:
            a (int): the first,
                in meters
            b: the second: b

            c (dict[str, int], optional): the third

        Returns:
            d: no
        """,
    "numpy": """
        Sum.

        It is exact.

        Parameters
        ----------
        a : int
            the first,
            in meters
        b
            the second: b
        c : dict[str, int], optional
            the third

        Returns
        -------
        d : int
            no
        """,
    "sphinx": """Sum.

        It is exact.

        :param int a: the first,
            in meters
        :param b: the second: b
        :param c:
            the third
        :type c: dict
        :returns d: no
        """,
}


@pytest.mark.parametrize("style", DOCSTRINGS)
def test_a_docstring_of_each_style(style):
    summary, parameters = described(DOCSTRINGS[style])
    assert summary == "Sum.\n\nIt is exact."
    assert parameters == {"a": "the first, in meters", "b": "the second: b", "c": "the third"}


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        ("", ""),
        ("Note: it is slow.", "Note: it is slow."),
        (":class:`A` makes it: all.", ":class:`A` makes it: all."),
        ("Do.\n\nArgs:\n", "Do."),
        ("Args:\n    a: b", ""),
        ("One\nline: more\n    and: more", "One\nline: more\n    and: more"),
    ],
)
def test_what_is_said_of_the_function(docstring, summary):
    assert described(docstring)[0] == summary


@given(st.text("aA: \n-()`rgs*", max_size=60))
def test_any_docstring_is_read(docstring):
    summary, parameters = described(f"Args:\n{docstring}")
    assert isinstance(summary, str)
    assert all(name.isidentifier() or name.isalnum() for name in parameters)


def test_a_function_takes_no_place_of_a_type_that_is_asked_for_again():
    before = json_schema._codec.cache_info().currsize  # private: nothing else shows it
    split_tools([plain])
    for n in range(5):
        exec(f"def made_{n}(x: int): ...", made := {})
        split_tools([made[f"made_{n}"]])
    assert json_schema._codec.cache_info().currsize == before  # private, as above
