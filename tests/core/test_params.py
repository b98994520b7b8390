"""Which names a call refuses as the client's or as misspelt, which it lets through, and what `extra_body` and `extra_query` do."""

import enum
import inspect
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.acts import FRONTS, attempt
from support.inside import common_of
from support.live import at
from support.vendor_params import KNOWN
from support.wire_forms import FORMS

import llmnet
from llmnet import ConfigurationError
from llmnet.config.fields import FIELDS
from llmnet.core import params
from llmnet.core.extras import take_extras
from llmnet.core.http import Request
from llmnet.core.json import encode
from llmnet.core.messages import checked_messages
from llmnet.providers import anthropic_params, dashscope_request, responses_request
from llmnet.testing import Reply

SECRET = "Zq8-sEcReT-4711"
ACTS = {
    "chat": lambda client, **more: client.chat("hi", **more),
    "callbacks": lambda client, **more: client.chat("hi", callbacks=llmnet.StreamCallbacks(), **more),
    "stream": lambda client, **more: client.stream_chat("hi", **more),
    "embed": lambda client, **more: client.embed("hi", **more),
    "batch": lambda client, **more: client.batch(["hi"], **more),
}


def refused(server, front, how, given, *words):
    with pytest.raises(ConfigurationError) as caught:
        attempt(front, (), at(server), lambda client: ACTS[how](client, **given))
    for word in words:
        assert word in str(caught.value)
    assert SECRET not in str(caught.value)
    assert (server.request_count, server.connections) == (0, 0)


def test_the_repr_of_extras_shows_none_of_them():
    assert repr(take_extras({"extra_body": {"a": "b"}, "extra_query": {"key": "sk-1234567"}})) == "Extras()"


def test_extras_go_over_a_body_of_any_depth_and_size():
    deep = 1
    for _ in range(150):
        deep = [deep]
    body = {"deep": deep, "many": list(range(600_000)), "long": 2**70}
    extras = take_extras({"extra_body": {"more": 1}})
    request = extras.over(Request(method="POST", url="https://h", body=json.dumps(body).encode()))
    assert json.loads(request.body) == {**body, "more": 1}


class Text(str):
    """A subclass, as enumerations of texts are."""

    __slots__ = ()


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from(["\ud800", Text("é"), 2**70, {1}])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers() | st.none() | st.sampled_from(["\udc00", 0.5]), inner)
    ),
)


@given(values)
@example([[[0.1], {"a\x1f\x7f": '\u2028"\\/'}], {}])
@example([{"n": float("nan")}])
@example({"a": {None: 1}})
@example({"a": {b"b": 1}})
def test_what_is_sent_is_what_python_would_write(value):
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError):
        written = None
    try:
        sent = encode(value)
    except ConfigurationError:
        sent = None
    if "e" in str(value):  # a number may be written as 1e16 or as 1e+16
        written, sent = (text and json.loads(text) for text in (written, sent))
    assert sent == written


class Role(enum.StrEnum):
    """As a program may name them."""

    USER = "user"


ODD = {
    "role of a subclass": {"role": Text("user"), "content": "hi"},
    "role of an enumeration": {"role": Role.USER, "content": "hi"},
    "text of a subclass": {"role": "user", "content": Text("hi")},
    "name of a subclass": {Text("role"): "user", "content": "hi"},
    "the text first": {"content": "hi", "role": "user"},
    "a name more": {"role": "user", "content": "hi", "name": "Ann"},
}


@pytest.mark.parametrize("name", ODD)
def test_a_message_is_sent_as_it_is(name):
    written = json.dumps(ODD[name], separators=(",", ":")).encode()
    assert encode(checked_messages([ODD[name]])) == b"[%b]" % written
    assert encode(checked_messages(Text("hi"))) == b'[{"role":"user","content":"hi"}]'


# -- names ------------------------------------------------------------------------------------------------------------

OPTIONS = {
    "provider": "extra_body", "api": "with_options", "api_key": "with_options(api_key=…)", "base_url": "with_options",
    "max_retries": "with_options(max_retries=…)", "retry": "with_options", "max_concurrent": "client", "proxy": "client",
    "headers": "extra_headers", "verify": "client", "http2": "client", "rate_limit": "client", "api_version": "with_options",
    "on_event": "with_options", "transport": "client", "defaults": "with_options(defaults=…)", "system": "the role 'system'",
}  # fmt: skip
SLIPS = {
    "temprature": "temperature", "temperatur": "temperature", "Temperature": "temperature", "max_token": "max_tokens",
    "max_tokesn": "max_tokens", "maxtokens": "max_tokens", "max_completion_token": "max_completion_tokens",
    "topp": "top_p", "top-p": "top_p", "top_q": "top_p", "sead": "seed", "stpo": "stop", "tool": "tools",
    "tool_choise": "tool_choice", "respons_format": "response_format", "response_fromat": "response_format",
    "reasoning_efort": "reasoning_effort", "presense_penalty": "presence_penalty", "logprob": "logprobs",
    "freqency_penalty": "frequency_penalty", "metdata": "metadata", "stream_option": "stream_options",
    "paralel_tool_calls": "parallel_tool_calls", "user_": "user", "extra_header": "extra_headers", "modle": "model",
    "extra_bdy": "extra_body", "time_out": "timeout", "callback": "callbacks", "apikey": "api_key", "api_kye": "api_key",
    "baseurl": "base_url", "max_retrie": "max_retries", "providr": "provider", "apiKey": "api_key", "API_KEY": "api_key",
    "Api-Key": "api_key", "baseURL": "base_url", "maxRetries": "max_retries", "onEvent": "on_event", "topP": "top_p",
    "extraHeaders": "extra_headers", "maxTokens": "max_tokens", "MODEL": "model", "auth_token": "api_key",
    "accessToken": "api_key", "Authorization": "api_key", "token": "api_key", "key": "api_key", "password": "api_key",
    "api_base": "base_url", "azure_endpoint": "base_url", "default_headers": "headers", "default_query": "extra_query",
    "api-key": "api_key", "parallelToolCalls": "parallel_tool_calls", "max_retry": "max_retries",
    "stop_after_error": "stop_after_errors", "progres": "progress", "orderd": "ordered", "stopAfterErrors": "stop_after_errors",
    "concurrency": "max_concurrent", "max_concurency": "max_concurrent", "max_workers": "max_concurrent",
    "presense_penality": "presence_penalty", "paralell_tool_call": "parallel_tool_calls", "temprarture": "temperature",
}  # fmt: skip


def test_all_fields_of_the_client_are_told_apart():
    assert OPTIONS.keys() == params.CLIENT_FIELDS.keys() == set(FIELDS) - {"model", "timeout"} | {"rate_limit"}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", ["embed", "batch"])
def test_what_is_another_methods(server, front, how):
    refused(server, front, how, {"stream": True}, "stream_chat")
    refused(server, front, how, {"callbacks": llmnet.StreamCallbacks()}, "callbacks=")


BATCH_ARGUMENTS = {"ordered": False, "progress": True, "stop_after_errors": 3}


def test_the_arguments_of_a_batch_are_all_known():
    own = (
        inspect.signature(llmnet.Client.batch).parameters.keys()
        - inspect.signature(llmnet.Client.chat).parameters.keys()
    )
    assert own - {"self", "requests", "max_concurrent"} == BATCH_ARGUMENTS.keys() <= params.NOT_HERE.keys()


@pytest.mark.parametrize("front", FRONTS)
def test_arguments_of_a_batch_anywhere_else(server, front):
    for name, value in BATCH_ARGUMENTS.items():
        for how in ACTS.keys() - {"batch"}:
            refused(server, front, how, {name: value}, f"{name}=", "argument of batch")
    refused(server, front, "batch", {"checkpoint": "/path"}, "checkpoint=", "--resume")


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", ACTS)
def test_the_clients_own_fields(server, front, how):
    for name, word in OPTIONS.items():
        if (name, how) == ("max_concurrent", "batch"):
            continue
        for value in (SECRET, None):
            refused(server, front, how, {name: value}, f"{name}=", word)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", ACTS)
def test_slips(server, front, how):
    for name, meant in SLIPS.items():
        if how != "callbacks" or meant != "callbacks":
            refused(server, front, how, {name: SECRET}, f"{name}=", f"{meant}=", "extra_body")


def test_rows_and_lines_are_checked_alike(server):
    body = {"messages": [{"role": "user", "content": "hi"}]}
    rows = [
        {"prompt": "a", "api_key": SECRET},
        {"prompt": "a", "temprature": 1},
        {"prompt": "a", "ordered": True},
        {"body": {**body, "base_url": "http://x"}},
        {"body": {**body, "extra_query": 5}},
        {"prompt": "good", "top_k": 5, "extra_body": {"temprature": 1}},
    ]
    with llmnet.Client(**at(server)) as client:
        results = list(client.batch(rows, ordered=True))
    assert [type(result.error) for result in results] == [*[ConfigurationError] * 5, type(None)]
    assert SECRET not in str([str(result.error) for result in results])
    assert [(request.json["top_k"], request.json["temprature"]) for request in server.requests] == [(5, 1)]


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_parameter_of_a_vendor_is_no_slip(name):
    params.check_names([name])


@pytest.mark.parametrize("front", FRONTS)
def test_known_ones_are_sent_as_they_are(server, front):
    with_values = {name: [name] for name in KNOWN if name not in params.TRANSLATED | {"service_tier", "output_type"}}
    attempt(front, (), at(server), lambda client: client.chat("hi", **with_values))
    assert server.requests[0].json.items() >= with_values.items()


def test_the_tables_are_no_longer_than_they_must_be():
    intended = params._INTENDED  # private: the table itself is checked
    names = params._NEAR  # private, as above
    near = {name for name in KNOWN if any(params.is_misspelt(name, other) for other in names)}
    assert near == params.VENDORS
    rules = [anthropic_params.RULES, responses_request.RULES, dashscope_request.RULES, dashscope_request.EMBED_RULES]
    known = params.TRANSLATED | params.ARGUMENTS | {"dimensions", "encoding_format"}
    assert {name for table in rules for name in table} <= known
    assert not [one for one in intended if any(params.is_misspelt(one, other) for other in intended)]


def distance(a, b):
    """Edits and transpositions between two words, by the book."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y)))
            if i > 1 and j > 1 and (x, a[i - 2]) == (b[j - 2], y):
                row[-1] = min(row[-1], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_a_slip_is_an_edit_or_transposition_or_two_of_a_long_name(word, name):
    assert params.is_misspelt(word, name) is (1 <= distance(word, name) <= (2 if len(name) >= 10 else 1))


# -- extra_body and extra_query -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["chat", "callbacks"])
def test_extras_lie_over_body_and_query(server, front, form, how):
    fields = at(server, form)
    fields["base_url"] += "?keep=a%2Fb&mine=1&drop=2"
    body = {"temperature": 0.25, "temprature": 1, "nothing": None, "model": "other", "deep": {"a": [1]}}
    query = {"mine": "x&y", "n": 5, "yes": True, "drop": None, "none": None}
    plain, extra = {"temperature": 1}, {"extra_body": body, "extra_query": query}
    attempt(front, (), fields, lambda client: ACTS[how](client, **plain))
    attempt(front, (), fields, lambda client: ACTS[how](client, **plain, **extra))
    before, after = server.requests
    assert after.json == {**before.json, **body}
    assert after.path == before.path
    assert before.query == {"keep": "a/b", "mine": "1", "drop": "2"}
    assert after.query == {"keep": "a/b", "mine": "x&y", "n": "5", "yes": "true"}
    assert query["drop"] is None
    assert body["temperature"] == 0.25


@pytest.mark.parametrize("front", FRONTS)
def test_extras_of_every_request_of_an_embedding(server, front):
    extra = {"extra_body": {"encoding_format": "float", "input_type": "query"}, "extra_query": {"v": "1"}}
    many = ["text"] * 2049
    attempt(front, (), at(server), lambda client: client.embed(many, **extra))
    assert [request.json["input_type"] for request in server.requests] == ["query"] * 2
    assert [request.query for request in server.requests] == [{"v": "1"}] * 2


@pytest.mark.parametrize("front", FRONTS)
def test_extras_lie_over_azures_version(server, front):
    fields = at(server) | {"provider": "azure", "api": "deployments", "api_version": "2024-10-21"}
    attempt(front, (), fields, lambda client: client.chat("hi", extra_query={"api-version": "preview"}))
    assert server.requests[0].query == {"api-version": "preview"}


@pytest.mark.parametrize(
    ("url", "query", "expected"),
    [
        ("http://h/v1/x", {"a": "b c"}, "http://h/v1/x?a=b+c"),
        ("http://h/v1/x?k=a%2Fb&&e=", {"a": 1.5}, "http://h/v1/x?k=a%2Fb&e=&a=1.5"),
        ("http://h/v1/x?a%62=1&ab=2&abc=3", {"ab": "9"}, "http://h/v1/x?abc=3&ab=9"),
        ("http://h/v1/x?a=1", {"a": None}, "http://h/v1/x"),
        ("http://h/v1/x?a=1", {}, "http://h/v1/x?a=1"),
    ],
)
def test_the_rest_of_a_query_stays_as_it_was(url, query, expected):
    given = {"extra_query": query, "x": 1}
    assert take_extras(given).over(Request(method="GET", url=url)).url == expected
    assert given == {"x": 1}


WRONG = [
    ({"extra_body": "x"}, ["extra_body", "str"]),
    ({"extra_body": [("a", 1)]}, ["extra_body", "list"]),
    ({"extra_body": {"a": {"b": b"x"}}}, ["extra_body.a.b", "bytes"]),
    ({"extra_body": {"a": float("nan")}}, ["extra_body.a", "nan"]),
    ({"extra_body": {5: 1}}, ["extra_body", "int"]),
    ({"extra_body": {"\ud800": 1}}, ["extra_body", "surrogate"]),
    ({"extra_query": "a=1"}, ["extra_query", "str"]),
    ({"extra_query": {"a": ["b"]}}, ["extra_query['a']", "list"]),
    ({"extra_query": {"a": b"b"}}, ["extra_query['a']", "bytes"]),
    ({"extra_query": {"a": float("inf")}}, ["extra_query['a']", "inf"]),
    ({"extra_query": {"a": "\ud800"}}, ["extra_query['a']", "surrogate"]),
    ({"extra_query": {None: "b"}}, ["extra_query", "NoneType"]),
]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", ACTS)
@pytest.mark.parametrize(("given", "words"), WRONG)
def test_wrong_extras(server, front, how, given, words):
    refused(server, front, how, given, *words)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("how", ["chat", "embed"])
def test_a_key_in_the_query_is_hidden(server, front, how, caplog):
    caplog.set_level("DEBUG")
    server.script(Reply(status=400, error={"message": f"bad key {SECRET}"}))
    with pytest.raises(llmnet.BadRequestError) as caught:
        attempt(front, (), at(server), lambda client: ACTS[how](client, extra_query={"key": SECRET}))
    assert server.requests[0].query == {"key": SECRET}
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.body}"
    assert SECRET not in "\n".join(record.getMessage() for record in caplog.records if record.name != "asyncio")


@pytest.mark.parametrize("front", FRONTS)
def test_a_key_in_the_query_has_a_gate_of_its_own(server, front):
    def lanes(client):
        common, seen = common_of(client), []
        gate, common.gate = common.gate, lambda lane, now: (seen.append(lane), gate(lane, now))[1]
        for key in ("one-key-1", "two-key-2", "one-key-1"):
            client._chat_call("hi", {"extra_query": {"key": key}}, stream=False)  # private: made and not sent
        return seen

    one, two, again = attempt(front, (), at(server), lanes)
    assert (one == again, one == two) == (True, False)


def test_a_large_body_is_what_it_was(server):
    """Numbers and texts that another reader of JSON would change."""
    odd = {"big": 2**80, "small": 1e-300, "text": "你\u2028\x7f", "list": [True, None, 0.1]}
    with llmnet.Client(**at(server)) as client:
        client.chat("hi", odd=odd, extra_body={"x": 1})
    assert json.loads(server.requests[0].body)["odd"] == odd
