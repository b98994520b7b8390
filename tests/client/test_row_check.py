"""A row is checked without its call, and what is said of it is what its call would say."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmnet import Client, ConfigurationError
from llmnet.client import rows
from llmnet.client.rows import row_call, row_check

MODELS = [
    ("openai:m", {}),
    ("openai:m", {"api": "responses"}),
    ("anthropic:m", {}),
    ("dashscope:m", {"api": "native"}),
    ("azure:", {"api": "deployments", "api_version": "2024-10-21"}),
    ("deepseek:m", {}),
]
TEXTS = st.sampled_from(["", " ", "\n\t", "\u3000", "a", "json", "你好", "\ud83d", "a\x00"])
PARTS = st.sampled_from([
    {"type": "text", "text": "a"}, {"type": "text", "text": 1}, {"type": "text"}, {"text": "a"}, {"type": "odd"}, 7,
    {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
    {"type": "image_url", "image_url": {"url": "ftp://a"}}, {"type": "image_url", "image_url": {"url": "https://a"}},
])  # fmt: skip
ROLES = st.sampled_from(["user", "user", "system", "developer", "assistant", "tool", "function", "poet", 5, None])
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": ROLES, "content": TEXTS | st.lists(PARTS, max_size=2) | st.none()},
        optional={
            "name": TEXTS,
            "tool_call_id": st.sampled_from(["a", 5]),
            "tool_calls": st.sampled_from([[], [{"id": "a", "function": {"name": "f", "arguments": "{"}}], [5]]),
            "refusal": TEXTS,
        },
    )
    | st.fixed_dictionaries({"role": ROLES, "content": TEXTS}),
    max_size=3,
)


@dataclasses.dataclass
class City:
    name: str


PARAMS = {
    "output_type": st.sampled_from([City, dict, [], "x", None]),
    "temperature": st.sampled_from([0, 0.5, True, "hot", None, float("nan")]),
    "max_tokens": st.sampled_from([5, -1, 1.5, "5", None]),
    "max_completion_tokens": st.just(5),
    "model": st.sampled_from(["m", "anthropic:x", "", " ", ".", 5, None]),
    "n": st.sampled_from([1, 2]),
    "stop": st.sampled_from(["a", ["a"], [], 5, "\ud83d"]),
    "seed": st.sampled_from([1, b"1", "1"]),
    "logprobs": st.booleans(),
    "reasoning_effort": st.sampled_from(["low", "none", "odd"]),
    "response_format": st.sampled_from([{"type": "json_object"}, {"type": "json_schema"}, "json"]),
    "tools": st.sampled_from([[], [{"type": "function", "function": {"name": "f"}}], ["f"], {}]),
    "tool_choice": st.sampled_from(["auto", "odd", {"type": "function"}, 5]),
    "timeout": st.sampled_from([5, 0, "5"]),
    "extra_headers": st.sampled_from([{"x": "y"}, {"x": "\n"}, 5]),
    "extra_body": st.sampled_from([{"a": 1}, {"a": b""}, 5]),
    "service_tier": st.sampled_from(["flex", "", 5]),
    "temprature": st.just(1),
    "stream": st.just(True),
    "api_key": st.just("a"),
    "system": TEXTS,
}
ROWS = TEXTS | MESSAGES | st.just(5) | st.builds(
    lambda messages, params, name: {**params, **name, **messages},
    st.fixed_dictionaries({"messages": MESSAGES}) | st.fixed_dictionaries({"prompt": TEXTS}) | st.just({}),
    st.lists(st.sampled_from(sorted(PARAMS)), max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: PARAMS[name] for name in names})
    ),
    st.fixed_dictionaries({}, optional={"custom_id": st.sampled_from(["a", 5])}),
)  # fmt: skip


def said_by(function, row):
    try:
        function(row)
    except ConfigurationError as error:
        return str(error)
    return None


@pytest.fixture(scope="module", params=MODELS, ids=str)
def client(request):
    model, fields = request.param
    with Client(model, base_url="http://127.0.0.1:9/v1", api_key="sk-0123456789", **fields) as client:
        yield client


@given(data=st.data())
def test_a_check_says_what_the_call_says(client, data):
    """Each after others that may look alike."""
    check = row_check(client)
    for row in data.draw(st.lists(ROWS, max_size=12)):
        assert said_by(check, row) == said_by(lambda row: row_call(client, {}, row), row)  # the call itself


PAIRS = [  # a row that can be sent, and one like it that cannot
    ({"messages": [{"role": "assistant", "content": "a"}]}, {"tool_calls": [5]}),
    ({"messages": [{"role": "user", "content": "a"}]}, {"content": "\ud83d"}),
    ({"messages": [{"role": "user", "content": "a"}]}, {"role": "poet"}),
]


@pytest.mark.parametrize(("row", "change"), PAIRS)
def test_what_stands_beside_the_texts_counts(client, row, change):
    check = row_check(client)
    check({**row, "model": "m"})
    with pytest.raises(ConfigurationError):
        check({"messages": [row["messages"][0] | change], "model": "m"})


def test_a_check_makes_no_call_and_one_row_stands_for_all_like_it(client, monkeypatch):
    """Of a thousand rows that differ in their texts one is translated, and one of those that want a type."""
    prepared = []
    form = type(client._form())  # the wire form, which translates
    real = form.prepare
    monkeypatch.setattr(form, "prepare", lambda self, chat: prepared.append(chat) or real(self, chat))
    monkeypatch.setattr(type(client._common), "watch", None)  # what each call ends with
    check = row_check(client)
    for kind in (None, City):
        for n in range(1000):
            row = {"custom_id": f"row-{n}", "prompt": f"What is {n} squared?", "model": "m", "max_tokens": 5}
            check({**row, "output_type": kind})
    assert len(prepared) == 2


def test_what_is_remembered_is_bounded(client, monkeypatch):
    monkeypatch.setattr(rows, "_MOST", 3)  # the bound itself
    check = row_check(client)
    for n in range(10):
        check({"prompt": "a", "model": "m", "max_tokens": n})
    [remembered] = [cell.cell_contents for cell in check.__closure__ if isinstance(cell.cell_contents, set)]
    assert len(remembered) == 3


def test_the_check_of_a_client_warns_of_nothing(client, recwarn):
    check = row_check(client)
    del check
    assert not recwarn.list
