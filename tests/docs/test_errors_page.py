"""The page of errors knows all of them, says what they really say, and what the code does about them."""

import dataclasses
import re
import socket

import pytest
from support import pages
from support.live import at, at_port

import llmnet
from llmnet.testing import Reply

PAGE = (pages.ROOT / "docs" / "errors.md").read_text()
ERRORS = {
    name: kind
    for name in llmnet.__all__
    if isinstance(kind := getattr(llmnet, name), type) and issubclass(kind, Exception)
}
SECTIONS = dict(re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
TABLE = dict(re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \|[^|]*\| (.*) \|$", PAGE, re.MULTILINE))
PARTS = ("**Cause.** ", "**Typical text.**", "**What to do.** ", "**Repeated.** ")


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_has_its_place_which_it_names(name):
    assert ERRORS[name]().help == f"docs/errors.md#{name.lower()}"
    assert name in SECTIONS
    if name != "LLMNetError":
        assert [part for part in PARTS if part not in SECTIONS[name]] == []


def test_an_error_of_the_callers_own_names_that_of_its_base():
    class Mine(llmnet.RateLimitError):
        """An error of a program."""

    assert Mine().help == "docs/errors.md#ratelimiterror"


def test_the_table_has_all_of_them_in_their_order():
    assert {"LLMNetError", *TABLE} == {*ERRORS}
    assert [name for name in SECTIONS if name in TABLE] == [*TABLE]


def ancestors(tree):
    """The errors of a drawn tree, each with those that it is derived from."""
    above = []
    for line in tree.splitlines():
        depth = re.search(r"\w", line).start() // 4
        above[depth:] = [line[4 * depth :]]
        yield above[-1], above[-2::-1]


def test_the_tree_is_that_of_the_code():
    tree = dict(ancestors(re.search(r"^LLMNetError\n(?:[│├└ ].*\n)+", PAGE, re.MULTILINE)[0]))
    own = {
        name: [base.__name__ for base in kind.__mro__[1:] if base in ERRORS.values()] for name, kind in ERRORS.items()
    }
    assert tree == own


@pytest.mark.parametrize(("name", "answer"), TABLE.items())
def test_what_is_repeated_is_what_the_policy_repeats(name, answer):
    if answer in ("yes", "no"):
        assert llmnet.RetryPolicy().repeats(ERRORS[name]()) == (answer == "yes")
        assert SECTIONS[name].split("**Repeated.** ")[1].startswith(answer.title())
    else:
        assert answer.startswith("depends on the ")


def test_the_attributes_are_those_of_the_code():
    for name, section in SECTIONS.items():
        row = section.split("**Attributes.** ")[1:] or re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for attribute in re.findall(
            r"`(\w+)`", row[0].partition(":")[0] if "**Attributes.**" in section else ",".join(row)
        ):
            assert hasattr(ERRORS[name](), attribute), attribute


SAID = [
    ({"max_retries": 1}, Reply(status=400), "BadRequestError", (False, True)),
    ({"max_retries": 0}, Reply(status=500), "ServerError", (True, False)),
    ({"retry": llmnet.RetryPolicy(max_retries=1, base_delay=0.001)}, Reply(status=500), "ServerError", (True, True)),
    ({"timeout": llmnet.Timeout(total=0.05)}, Reply(silent=True), "APITimeoutError", (False, True)),
]


@pytest.mark.parametrize(("fields", "reply", "name", "expected"), SAID, ids=["400", "alone", "500", "total"])
def test_retryable_is_of_the_kind_and_repeated_of_the_client(front, server, fields, reply, name, expected):
    server.script(reply, reply)
    with front.client(**(at(server) | fields)) as client, pytest.raises(ERRORS[name]) as caught:
        client.chat("Hello")
    assert (caught.value.retryable, caught.value.repeated) == expected


# -- the typical texts, as a real call says them -----------------------------------------------------------------------


def normal(text):
    """Without what is another in each run: who was called, how often, how long."""
    text = re.sub(r"^\w+ \([^)]*\): ", "", text)
    text = re.sub(r" \[(phase=\w+)?[^\]]*(attempts|elapsed)=[^\]]*\]$", r" \1", text).strip()
    return re.sub(r"127\.0\.0\.1:\d+", "HOST", text)


def status(code, message, name=None, **more):
    return Reply(status=code, error={"message": message, "code": name, "type": name}, **more)


PAGE_FOR_PEOPLE = Reply(body="<html>Sign in</html>", headers={"content-type": "text/html"})
HERE = "http://HOST"
REPLIES = {
    "BadRequestError": status(400, "Unsupported value: 'temperature' does not support 0 with this model.",
                              "invalid_request_error"),
    "ContextLengthError": status(400, "This model's maximum context length is 128000 tokens.", "context_length_exceeded"),
    "PermissionDeniedError": status(403, "Project does not have access to model gpt-5.4.", "model_not_allowed"),
    "NotFoundError": Reply(status=404, body={"detail": "Not Found"}),
    "APIStatusError": Reply(status=405, body="Method Not Allowed"),
    "ConflictError": status(409, "Another request is being processed.", "conflict"),
    "RateLimitError": status(429, "Rate limit reached for gpt-5.4-mini.", "rate_limit_exceeded"),
    "QuotaExceededError": status(429, "You exceeded your current quota, please check your plan and billing details.",
                                 "insufficient_quota"),
    "ServerError": status(500, "The server had an error while processing your request.", "server_error"),
    "OverloadedError": status(529, "Overloaded", "overloaded_error"),
    "AuthenticationError": status(401, "Incorrect API key provided: sk-0123456789.", "invalid_api_key"),
    "InvalidResponseError": PAGE_FOR_PEOPLE,
    "OutputError": Reply(text='{"name": "Hangzhou", "people": "many"}'),
    "IncompleteStreamError": Reply(text="one two three", cut=500, reset=True),
}  # fmt: skip
AT_ROOT = ("NotFoundError", "InvalidResponseError")  # with a base URL without its version


@dataclasses.dataclass
class City:
    """What a reply is to be."""

    name: str
    people: int


def fail(client, name):
    if name == "StreamCancelledError":
        stream = client.stream_chat("Hello")
        stream.cancel()
        list(stream)
    elif name == "StreamError":
        _ = client.stream_chat("Hello").response
    elif name == "OutputError":
        client.chat("Where are you?", output_type=City)
    elif name == "IncompleteStreamError":
        list(client.stream_chat("Hello"))
    else:
        client.chat("Hello")


def said(front, name, fields):
    with front.client(**fields) as client, pytest.raises(ERRORS[name]) as caught:
        fail(client, name)
    assert type(caught.value) is ERRORS[name]
    return normal(str(caught.value))


def typical(name):
    return normal(re.search(r"```text\n(.*)\n```", SECTIONS[name])[1])


@pytest.mark.parametrize("name", [*REPLIES, "StreamError", "StreamCancelledError"])
def test_an_error_says_what_the_page_says(front, server, name):
    server.script(*[REPLIES[name]] if name in REPLIES else [])
    base = server.url if name in AT_ROOT else f"{server.url}/v1"
    fields = {"provider": "openai", "base_url": base, "api_key": "sk-0123456789", "max_retries": 0}
    assert said(front, name, at(server) | fields) == typical(name)


def test_so_does_one_of_a_port_where_nothing_listens(front):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = said(front, "APIConnectionError", at_port(port, max_retries=0) | {"provider": "openai"})
    its = re.compile(r"\[Errno 111\] Connect(ion refused| call failed \('127.0.0.1', \d+\))")  # asyncio's own words
    assert its.sub("REFUSED", text) == its.sub("REFUSED", typical("APIConnectionError"))


def test_so_does_one_whose_time_is_over(front, server):
    server.script(Reply(silent=True))
    fields = at(server, max_retries=0, timeout=llmnet.Timeout(total=0.05))
    assert said(front, "APITimeoutError", fields) == typical("APITimeoutError").replace("30s", "0.05s")


def test_so_does_one_of_a_key_that_is_missing():
    with pytest.raises(llmnet.ConfigurationError) as caught:
        llmnet.Client("openai:gpt-5.4-mini")
    assert str(caught.value) == typical("ConfigurationError")
