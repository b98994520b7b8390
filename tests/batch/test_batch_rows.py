"""What a row of a batch may be: each kind, and each way to get it wrong, with the words that say so."""

import collections
import types

import pytest

import llmnet
from llmnet.batch.rows import BatchFailure, Row, custom_id_of, iterator, read_row
from llmnet.testing import Reply

HI = [{"role": "user", "content": "hi"}]
LINE = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": HI}}
CHAT = {"provider": "fake", "base_url": "http://model.test/v1", "model": "m"}

# name: (row, what `chat` is to be asked with it)
ROWS = {
    "a prompt": ("hi", {"messages": "hi"}),
    "an empty prompt": ("", {"messages": ""}),
    "messages": (HI, {"messages": HI}),
    "messages in a tuple": (tuple(HI), {"messages": tuple(HI)}),
    "a dict with a prompt": ({"prompt": "hi"}, {"messages": "hi"}),
    "a dict with messages": ({"messages": HI}, {"messages": HI}),
    "a dict whose messages are a text": ({"messages": "hi"}, {"messages": "hi"}),
    "a dict whose prompt is messages": ({"prompt": HI}, {"messages": HI}),
    "a mapping": (types.MappingProxyType({"prompt": "hi"}), {"messages": "hi"}),
    "with a name": ({"custom_id": "n", "prompt": "hi"}, {"messages": "hi", "custom_id": "n"}),
    "with an empty name": ({"custom_id": "", "prompt": "hi"}, {"messages": "hi", "custom_id": ""}),
    "with no name": ({"custom_id": None, "prompt": "hi"}, {"messages": "hi"}),
    "with arguments": ({"prompt": "hi", "model": "n", "seed": 7}, {"messages": "hi", "params": {"model": "n", "seed": 7}}),
    "a batch line": (LINE, {"messages": HI, "custom_id": "a"}),
    "a batch line with arguments": (
        {**LINE, "body": {"model": "n", "messages": HI, "max_tokens": 3}},
        {"messages": HI, "custom_id": "a", "params": {"model": "n", "max_tokens": 3}},
    ),
    "a batch line with a whole address": ({**LINE, "url": "https://h/v1/chat/completions"}, {"messages": HI, "custom_id": "a"}),
    "a batch line with a body alone": ({"body": {"messages": HI}}, {"messages": HI}),
    "a batch line with more": ({**LINE, "note": 1}, {"messages": HI, "custom_id": "a"}),
}  # fmt: skip

# name: (row, what is said of it, its custom_id as far as it has one)
WRONG = {
    "nothing": (None, "messages must be a string or a list of messages", None),
    "a number": (7, "messages must be a string or a list of messages .*, not int", None),
    "bytes": (b"hi", "messages must be a string or a list of messages .*, not bytes", None),
    "no messages": ([], "messages is empty", None),
    "a list of texts": (["hi"], r"messages\[0\] must be a dict", None),
    "a message alone": (HI[0], "a row needs either prompt or messages, it has role, content", None),
    "an empty dict": ({}, "a row needs either prompt or messages, it has nothing", None),
    "only a name": ({"custom_id": "n"}, "it has nothing", "n"),
    "both": ({"custom_id": "n", "prompt": "hi", "messages": HI}, "it has prompt, messages", "n"),
    "a prompt beside a body": ({**LINE, "prompt": "hi"}, "either prompt or messages, it has .*body, prompt", "a"),
    "a prompt that is none": ({"prompt": 7}, "prompt must be a string or a list of messages, not int", None),
    "a name that is a number": ({"custom_id": 7, "prompt": "hi"}, "custom_id must be a string, not 7", None),
    "a field that is a number": ({7: 7, "prompt": "hi"}, "the names in a row must be strings, not 7", None),
    "a body that is none": ({**LINE, "body": "hi"}, "body must be an object, not str", "a"),
    "a body without messages": ({**LINE, "body": {"input": "hi"}}, "it has input", "a"),
    "an empty body": ({**LINE, "body": {}}, "it has nothing", "a"),
    "a number in a body": ({**LINE, "body": {"messages": HI, 7: 7}}, "the names in a row must be strings, not 7", "a"),
    "another method": ({**LINE, "method": "GET"}, "only POST …/chat/completions can be batched, not GET /v1", "a"),
    "another address": ({**LINE, "url": "/v1/embeddings"}, "not POST /v1/embeddings", "a"),
    "an address that is none": ({**LINE, "url": 7}, "not POST 7", "a"),
    "a wrong model": ({"custom_id": "n", "prompt": "hi", "model": 7}, "model must be a string", "n"),
    "a wrong argument": ({"prompt": "hi", "temperature": "hot"}, "temperature must be a number", None),
    "a wrong timeout": ({"prompt": "hi", "timeout": -1}, "timeout must be a positive number", None),
    "a stream": ({"prompt": "hi", "stream": True}, "stream= is no parameter here", None),
    "callbacks": ({"prompt": "hi", "callbacks": llmnet.StreamCallbacks()}, "callbacks= is no parameter here", None),
    "what JSON cannot carry": ({"prompt": "hi", "top_p": float("nan")}, "top_p is nan", None),
}  # fmt: skip

SOURCES = {
    "a text": "hello",
    "bytes": b"hello",
    "one row": {"prompt": "hi"},
    "a number": 7,
    "nothing": None,
    "a function": lambda: ["hi"],
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row(name):
    row, asked = ROWS[name]
    assert read_row(row, {}) == Row(**asked)
    assert custom_id_of(row) == asked.get("custom_id")


@pytest.mark.parametrize("name", WRONG)
def test_a_row_that_is_none(front, name):
    row, message, custom_id = WRONG[name]
    with front.client(**CHAT) as client:
        (result,) = client.batch([row])
    assert type(result.error) is llmnet.ConfigurationError
    assert result == BatchFailure(index=0, custom_id=custom_id, error=result.error)
    with pytest.raises(llmnet.ConfigurationError, match=message):
        raise result.error
    assert client.request_count == 0


def test_a_rows_own_arguments_go_before_those_of_all():
    common = {"model": "all", "temperature": 0.5}
    assert read_row("hi", common).params == common
    assert read_row({"prompt": "hi", "model": "own"}, common).params == {"model": "own", "temperature": 0.5}
    assert read_row({**LINE, "body": {"messages": HI, "model": "own"}}, common).params["model"] == "own"
    assert common == {"model": "all", "temperature": 0.5}


def test_a_row_is_left_as_it_was():
    row = {**LINE, "body": {"messages": HI, "seed": 1}}
    before = repr(row)
    read_row(row, {"seed": 2}).params["seed"] = 3
    assert repr(row) == before


class Unreadable(collections.UserDict):
    """A row that fails when it is looked at."""

    def get(self, *_):
        raise OSError("it is on a disk that is gone")


def test_a_row_that_cannot_be_read_is_a_failure_of_its_own(front, server):
    with front.client(**{**CHAT, "base_url": server.url + "/v1"}) as client:
        good, bad = client.batch(["hi", Unreadable(prompt="hi")], ordered=True)
    assert (good.ok, good.response.content, bad.ok, bad.index) == (True, "hi", False, 1)
    with pytest.raises(OSError, match="a disk that is gone"):
        raise bad.error


def test_what_is_sent_is_what_the_row_says(front, server):
    rows = ["hi", HI, {"prompt": "hi", "model": "n"}, {**LINE, "body": {"messages": HI, "max_tokens": 3}}]
    rows.append({"prompt": "hi", "extra_headers": {"x-mine": "1"}})
    server.script(*[Reply(text="there")] * len(rows))
    with front.client(**{**CHAT, "base_url": server.url + "/v1"}) as client:
        results = list(client.batch(rows, max_concurrent=1, temperature=0.5))
    assert [(result.custom_id, result.response.content) for result in results] == [
        (None, "there"), (None, "there"), (None, "there"), ("a", "there"), (None, "there"),
    ]  # fmt: skip
    same = {"messages": HI, "temperature": 0.5}
    assert [request.fields for request in server.requests] == [
        {"model": "m", **same}, {"model": "m", **same}, {"model": "n", **same},
        {"model": "m", **same, "max_tokens": 3}, {"model": "m", **same},
    ]  # fmt: skip
    assert [request.headers.get("x-mine") for request in server.requests] == [None] * 4 + ["1"]


# -- the source of rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_is_none(front, name):
    with (
        front.client(**CHAT) as client,
        pytest.raises(llmnet.ConfigurationError, match=f"an iterable of rows, not {type(SOURCES[name]).__name__}$"),
    ):
        client.batch(SOURCES[name])


def test_a_source_that_would_have_to_be_awaited():
    async def rows():
        yield "hi"

    with llmnet.Client(**CHAT) as client, pytest.raises(llmnet.ConfigurationError, match="not async_generator"):
        client.batch(rows())


def test_whatever_can_be_iterated_over_is_a_source():
    class Old:
        def __getitem__(self, at):
            return ("a", "b")[at]

    for source in (["a", "b"], ("a", "b"), iter("ab"), dict.fromkeys("ab").keys(), Old(), (one for one in "ab")):
        assert list(iterator(source)) == ["a", "b"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"temperature": "hot"}, r"^temperature must be a number"),
        ({"tools": "search"}, r"^tools must be a list"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, r"^max_tokens and max_completion_tokens"),
    ],
    ids=str,
)
def test_what_is_wrong_for_all_rows_is_told_at_once(params, words):
    with llmnet.Client(**CHAT) as client, pytest.raises(llmnet.ConfigurationError, match=words):
        client.batch(["hi"], **params)
