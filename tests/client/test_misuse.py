"""Every misuse is an error that names its place, on both fronts, before a connection is opened, and shows no secret."""

import copy
import dataclasses
import inspect
import math
import warnings
from typing import Any

import pydantic
import pytest
from support.acts import FRONTS, attempt
from support.inside import resolved_of
from support.live import at
from support.wire_forms import FORMS

import llmnet
from llmnet import ConfigurationError, RetryBudget, RetryPolicy, StreamCallbacks, Timeout
from llmnet.config.checks import ClientFields
from llmnet.config.fields import FIELDS
from llmnet.testing import Reply

SECRET = "Zq8-sEcReT-4711"
KEY = f"sk-{SECRET}"
HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
LONE = "half an emoji \ud83d"


class Foreign:
    """What JSON cannot carry."""


def cycle():
    around: dict[str, Any] = {"a": []}
    around["a"].append(around)
    return around


def deep(n=300):
    value: Any = 1
    for _ in range(n):
        value = [value]
    return value


def surroundings(server):
    return {"model": "m", "base_url": f"{server.url}/v1", "api_key": KEY}


def chain(error):
    """All that an error was made from, along both branches."""
    seen, waiting = [], [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
    return seen


def check_refusal(server, error, words):
    assert type(error) in (ConfigurationError, TypeError)
    for word in words:
        assert word in str(error)
    for one in chain(error):
        assert SECRET not in f"{one} {one!r} {one.args}"
    assert len(str(error)) < 1000
    assert (server.request_count, server.connections) == (0, 0)


def refused(server, front, words, action=lambda client: None, positional=(), **fields):
    given = {**surroundings(server), **fields}
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        attempt(front, positional, {name: value for name, value in given.items() if value is not ...}, action)
    check_refusal(server, caught.value, words)
    return caught.value


# -- what a client is made of -----------------------------------------------------------------------------------------

FIELDS_REFUSED = [
    # field, value, words of the message
    ("provider", "opanai", ["provider", "opanai", "openai"]),
    ("provider", "", ["provider"]),
    ("provider", None, ["provider"]),
    ("provider", 3, ["provider"]),
    ("provider", [], ["provider"]),
    ("provider", {"openai"}, ["provider"]),
    ("api", "messages", ["api", "chat-completions", "responses"]),
    ("api", "", ["api"]),
    ("api", [], ["api"]),
    ("api", 1, ["api"]),
    ("model", 5, ["model", "int"]),
    ("model", "", ["model"]),
    ("model", "  ", ["model"]),
    ("model", b"gpt", ["model", "bytes"]),
    ("model", f"gpt\r\nx-evil: {SECRET}", ["model", "control"]),
    ("model", LONE, ["model", "surrogate"]),
    ("api_key", 5, ["api_key", "int"]),
    ("api_key", KEY.encode(), ["api_key", "bytes"]),
    ("api_key", [KEY], ["api_key", "list"]),
    ("api_key", f"{KEY}\r\nx-evil: 1", ["api_key"]),
    ("api_key", f"{KEY}\n{KEY}", ["api_key"]),
    ("api_key", f"{KEY}\x00", ["api_key"]),
    ("api_key", f"{KEY}钥匙", ["api_key"]),
    ("api_key", f" bearer {KEY}", ["api_key", "Bearer", "alone"]),
    ("api_key", f"{KEY}\ud800", ["api_key"]),
    ("api_key", f"{KEY}\u200b", ["api_key"]),
    ("base_url", "", ["base_url"]),
    ("base_url", 80, ["base_url", "int"]),
    ("base_url", b"http://host", ["base_url", "bytes"]),
    ("base_url", "api.openai.com/v1", ["base_url", "https://"]),
    ("base_url", "localhost:8000/v1", ["base_url", "http://"]),
    ("base_url", "//host/v1", ["base_url", "http://"]),
    ("base_url", "ftp://host/v1", ["base_url", "http://"]),
    ("base_url", "file:///etc/passwd", ["base_url", "http://"]),
    ("base_url", KEY, ["base_url", "http://"]),
    ("base_url", "https://", ["base_url", "host"]),
    ("base_url", "https:/host/v1", ["base_url", "host"]),
    ("base_url", "https:///v1", ["base_url", "host"]),
    ("base_url", "https://:8080/v1", ["base_url", "host"]),
    ("base_url", "https://a..b/v1", ["base_url", "host"]),
    ("base_url", "https://./v1", ["base_url", "host"]),
    ("base_url", "https://ho<st/v1", ["base_url", "host"]),
    ("base_url", "https://host\\path/v1", ["base_url", "host"]),
    ("base_url", "https://-host/v1", ["base_url", "host"]),
    ("base_url", f"https://{'x' * 64}.com/v1", ["base_url", "host"]),
    ("base_url", f"https://{'ü' * 64}.de/v1", ["base_url", "host"]),
    ("base_url", "https://xn--\u2028.de/v1", ["base_url"]),
    ("base_url", "https://[::1/v1", ["base_url", "host"]),
    ("base_url", "https://[zz::1]/v1", ["base_url", "host"]),
    ("base_url", "https://host:http/v1", ["base_url", "port"]),
    ("base_url", "https://host:0/v1", ["base_url", "port"]),
    ("base_url", "https://host:65536/v1", ["base_url", "port"]),
    ("base_url", "https://host:-1/v1", ["base_url", "port"]),
    ("base_url", f"https://user:{SECRET}@host/v1", ["base_url", "password"]),
    ("base_url", f"https://{SECRET}@host/v1", ["base_url", "user name"]),
    ("base_url", f"ftp://user:{SECRET}@host/v1", ["base_url"]),
    ("base_url", f"https://user:{SECRET}@host:port/v1", ["base_url"]),
    ("base_url", f"https://host:{SECRET}", ["base_url", "port"]),
    ("base_url", "https://host/a b", ["base_url", "blank"]),
    ("base_url", "https://ho st/v1", ["base_url", "blank"]),
    ("base_url", "https://host/v1#top", ["base_url", "#"]),
    ("base_url", "https://host/v1#", ["base_url", "#"]),
    ("base_url", f"https://host/v1\r\nx-evil: {SECRET}", ["base_url", "control"]),
    ("base_url", "https://host/\ud800", ["base_url", "surrogate"]),
    ("timeout", None, ["timeout"]),
    ("timeout", "30", ["timeout", "seconds", "Timeout(", "str"]),
    ("timeout", True, ["timeout", "bool"]),
    ("timeout", 0, ["timeout"]),
    ("timeout", -1.5, ["timeout", "-1.5"]),
    ("timeout", math.nan, ["timeout", "nan"]),
    ("timeout", (3, 30), ["timeout", "Timeout(connect=", "tuple"]),
    ("max_retries", None, ["max_retries"]),
    ("max_retries", -1, ["max_retries", "-1"]),
    ("max_retries", 2.0, ["max_retries", "2.0"]),
    ("max_retries", True, ["max_retries", "True"]),
    ("max_retries", "3", ["max_retries"]),
    ("max_retries", math.inf, ["max_retries"]),
    ("retry", 3, ["retry", "RetryPolicy", "int"]),
    ("retry", RetryBudget(), ["retry", "RetryPolicy", "RetryBudget"]),
    ("retry", {"max_retries": 3}, ["retry", "RetryPolicy"]),
    ("max_concurrent", 0, ["max_concurrent"]),
    ("max_concurrent", -5, ["max_concurrent must be at least 1, not -5"]),
    ("max_concurrent", True, ["max_concurrent"]),
    ("max_concurrent", 1.5, ["max_concurrent"]),
    ("max_concurrent", None, ["max_concurrent"]),
    ("headers", "x-a: 1", ["headers", "dict"]),
    ("headers", [("x-a", "1")], ["headers", "dict"]),
    ("headers", {"x-a": 1}, ["headers", "x-a"]),
    ("headers", {"x-a": SECRET.encode()}, ["headers", "x-a"]),
    ("headers", {"x-a": f"{SECRET}\r\nx-evil: 1"}, ["headers", "x-a"]),
    ("headers", {"x-a": f"{SECRET}\nx-evil: 1"}, ["headers", "x-a"]),
    ("headers", {"x-a": f"{SECRET}\r"}, ["headers", "x-a"]),
    ("headers", {"x-a": f"{SECRET}\x00"}, ["headers", "x-a"]),
    ("headers", {"x-a": f"{SECRET} 钥匙"}, ["headers", "x-a"]),
    ("headers", {"x-a": f"{SECRET}\ud800"}, ["headers", "x-a"]),
    ("headers", {"x a": "1"}, ["headers"]),
    ("headers", {"": "1"}, ["headers"]),
    ("headers", {"x-a:": "1"}, ["headers"]),
    ("headers", {5: "1"}, ["headers"]),
    ("headers", {"x-ä": "1"}, ["headers"]),
    ("headers", {f"Authorization: Bearer {SECRET}": ""}, ["headers"]),
    ("headers", {f"x-a\r\nx-evil: {SECRET}": "1"}, ["headers"]),
    ("headers", {"Content-Length": "3"}, ["headers", "Content-Length"]),
    ("headers", {"transfer-encoding": "chunked"}, ["headers", "transfer-encoding"]),
    ("proxy", 3128, ["proxy", "int"]),
    ("proxy", {"https": "http://host"}, ["proxy", "dict"]),
    ("proxy", f"gopher://u:{SECRET}@host:1", ["proxy", "scheme"]),
    ("proxy", f"http://u:{SECRET}@", ["proxy", "host"]),
    ("proxy", f"http://u:{SECRET}@host:99999", ["proxy", "port"]),
    ("proxy", f"http://u:{SECRET}@host:0", ["proxy", "port"]),
    ("proxy", f"http://u:{SECRET}@ho st:1", ["proxy"]),
    ("proxy", f"http://host/{SECRET}\r\nx-evil: 1", ["proxy"]),
    ("proxy", "http://[zz]:1", ["proxy", "IPv6"]),
    ("proxy", "://", ["proxy"]),
    ("verify", None, ["verify"]),
    ("verify", 1, ["verify", "int"]),
    ("verify", b"/etc/ca.pem", ["verify", "bytes"]),
    ("verify", "/no/such/file.pem", ["verify", "/no/such/file.pem"]),
    ("verify", "", ["verify"]),
    ("verify", __file__, ["verify", "certificate"]),
    ("http2", None, ["http2"]),
    ("http2", 1, ["http2"]),
    ("http2", "yes", ["http2"]),
    ("api_version", 20241021, ["api_version", "int"]),
    ("api_version", "", ["api_version"]),
    ("api_version", "2024\r\n", ["api_version"]),
    ("transport", "curl", ["transport", "curl"]),
    ("transport", None, ["transport"]),
    ("transport", ["auto"], ["transport"]),
    ("defaults", 5, ["defaults", "dict", "temperature"]),
    ("defaults", [("temperature", 0)], ["defaults", "dict"]),
    ("defaults", {5: 0}, ["defaults", "dict"]),
    ("defaults", {"temprature": 0}, ["defaults: temprature=", "temperature="]),
    ("defaults", {"temperature": "hot"}, ["defaults: temperature", "a number", "hot"]),
    ("defaults", {"max_tokens": -1}, ["defaults: max_tokens", "-1"]),
    ("defaults", {"max_tokens": 5, "max_completion_tokens": 5}, ["defaults: max_tokens and max_completion_tokens"]),
    ("defaults", {"seed": math.nan}, ["defaults: seed", "nan"]),
    ("defaults", {"metadata": {"a": b"b"}}, ["defaults: metadata.a", "bytes"]),
    ("defaults", {"extra_body": 5}, ["defaults: extra_body", "int"]),
    ("defaults", {"extra_query": {"a": []}}, ["defaults: extra_query", "list"]),
    ("defaults", {"api_key": SECRET}, ["defaults: api_key=", "client"]),
    ("defaults", {"max_retries": 5}, ["defaults: max_retries=", "client"]),
    ("defaults", {"system": "brief"}, ["defaults: system=", "client"]),
    ("defaults", {"defaults": {}}, ["defaults: defaults=", "client"]),
    ("defaults", {"stream": True}, ["defaults: stream=", "stream_chat"]),
    ("defaults", {"callbacks": None}, ["defaults: callbacks="]),
    ("defaults", {"model": "m"}, ["defaults: model=", "client"]),
    ("defaults", {"timeout": 5}, ["defaults: timeout=", "client"]),
    ("defaults", {"extra_headers": {"a": SECRET}}, ["defaults: extra_headers=", "headers= to the client"]),
    ("defaults", {"output_type": dict}, ["defaults: output_type=", "call"]),
    ("defaults", {"messages": "hi"}, ["defaults: messages=", "system= to the client"]),
    ("system", 5, ["system", "int"]),
    ("system", "", ["system", "blank"]),
    ("system", " \n", ["system", "blank"]),
    ("system", LONE, ["system", "surrogate"]),
    ("system", [{"role": "system", "content": "brief"}], ["system", "text", "list"]),
    ("max_retrys", 3, ["max_retrys", "max_retries"]),
    ("timeouts", 3, ["timeouts", "timeout"]),
]


def named(rows):
    return [pytest.param(*row, id=f"{row[0]}-{i}") for i, row in enumerate(rows)]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("field", "value", "words"), named(FIELDS_REFUSED))
def test_a_wrong_field(server, front, field, value, words):
    error = refused(server, front, words, **{field: value})
    assert isinstance(error, TypeError) is (field not in FIELDS)


@pytest.mark.parametrize(("field", "value", "words"), named(FIELDS_REFUSED))
def test_a_config_refuses_what_a_client_refuses(server, field, value, words):
    if field == "verify" or (field == "proxy" and isinstance(value, str)):
        return  # read with the help of the transport's rooms, when a client is made
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        llmnet.ClientConfig(**{**surroundings(server), field: value})
    if field in FIELDS:
        check_refusal(server, caught.value, words)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("field", "value", "words"), named(FIELDS_REFUSED))
def test_a_child_refuses_what_a_client_refuses(server, front, field, value, words):
    shared = field in ("max_concurrent", "proxy", "verify", "http2", "transport")
    refused(server, front, [field, "shared"] if shared else words, lambda c: c.with_options(**{field: value}))


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("field", ["max_concurrent", "proxy", "verify", "http2", "transport"])
def test_a_child_cannot_be_given_what_it_shares(server, front, field):
    default = getattr(llmnet.ClientConfig(), field)
    refused(server, front, [field, "parent"], lambda client: client.with_options(**{field: default}))


POSITIONAL_REFUSED = [
    (5, ["model", "int"]),
    (b"openai:m", ["model", "bytes"]),
    ("", ["model"]),
    ("\n", ["model"]),
    (f"openai:{SECRET}\r\n", ["model", "control"]),
    ({"model": "m"}, ["model", "dict"]),
    (llmnet.Provider, ["model"]),
    ("openai:m", ["model", "twice"]),
]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("model", "words"), POSITIONAL_REFUSED)
def test_a_wrong_first_argument(server, front, model, words):
    refused(server, front, words, positional=(model,), **({} if "twice" in words else {"model": ...}))


def test_http2_is_not_for_the_sync_client(server):
    refused(server, "sync", ["http2", "AsyncClient"], http2=True)


def test_a_coroutine_function_gives_no_key_to_the_sync_client(server):
    async def ask():
        return KEY

    refused(server, "sync", ["api_key", "AsyncClient"], api_key=ask)
    refused(server, "sync", ["api_key", "AsyncClient"], lambda client: client.with_options(api_key=ask))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RetryPolicy(max_retries=-1), ["max_retries", "-1"]),
        (lambda: RetryPolicy(max_retries=True), ["max_retries"]),
        (lambda: RetryPolicy(max_retries=1.5), ["max_retries"]),
        (lambda: RetryPolicy(base_delay=0), ["base_delay"]),
        (lambda: RetryPolicy(base_delay=math.nan), ["base_delay", "nan"]),
        (lambda: RetryPolicy(base_delay="1"), ["base_delay"]),
        (lambda: RetryPolicy(max_delay=-1), ["max_delay"]),
        (lambda: RetryPolicy(max_retry_after=-1), ["max_retry_after"]),
        (lambda: RetryPolicy(max_retry_after=False), ["max_retry_after"]),
        (lambda: RetryPolicy(max_throttle_wait=math.nan), ["max_throttle_wait"]),
        (lambda: RetryPolicy(max_throttle_wait=None), ["max_throttle_wait"]),
        (lambda: RetryPolicy(retry_statuses=429), ["retry_statuses"]),
        (lambda: RetryPolicy(retry_statuses="429"), ["retry_statuses"]),
        (lambda: RetryPolicy(retry_statuses=["429"]), ["retry_statuses", "429"]),
        (lambda: RetryPolicy(retry_statuses=[True]), ["retry_statuses"]),
        (lambda: RetryPolicy(retry_statuses=(s for s in (500, 503))), ["retry_statuses", "generator"]),
        (lambda: RetryPolicy(retry_timeouts=1), ["retry_timeouts"]),
        (lambda: RetryPolicy(retry_timeouts="no"), ["retry_timeouts"]),
        (lambda: RetryPolicy(budget=5), ["budget", "RetryBudget"]),
        (lambda: RetryPolicy(retries=5), ["retries"]),
        (lambda: RetryBudget(capacity=0), ["RetryBudget.capacity"]),
        (lambda: RetryBudget(retry_cost=-1), ["RetryBudget.retry_cost"]),
        (lambda: RetryBudget(success_credit=math.nan), ["RetryBudget.success_credit"]),
        (lambda: RetryBudget(capacity=True), ["RetryBudget.capacity"]),
        (lambda: Timeout(connect=0), ["timeout.connect"]),
        (lambda: Timeout(response=-1), ["timeout.response"]),
        (lambda: Timeout(idle=math.nan), ["timeout.idle"]),
        (lambda: Timeout(total="600"), ["timeout.total"]),
        (lambda: Timeout(queue=False), ["timeout.queue"]),
        (lambda: Timeout(read=5), ["read"]),
        (lambda: Timeout(total=-(10**400)), ["timeout.total"]),
        (lambda: Timeout(total=-(10**5000)), ["timeout.total", "thousands of digits"]),
        (lambda: RetryPolicy(max_retries=-(10**5000)), ["max_retries", "thousands of digits"]),
    ],
)
def test_wrong_figures(server, make, words):
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        make()
    check_refusal(server, caught.value, words)


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_number_greater_than_all_floats_is_infinity(server, digits):
    huge = 10**digits
    bounds = Timeout(connect=huge, response=huge, idle=huge, total=huge, queue=huge)
    policy = RetryPolicy(base_delay=huge, max_delay=huge, max_retry_after=huge, max_throttle_wait=huge)
    assert {getattr(bounds, name) for name in ("connect", "response", "idle", "total", "queue")} == {math.inf}
    assert {policy.base_delay, policy.max_delay, policy.max_retry_after, policy.max_throttle_wait} == {math.inf}
    assert RetryBudget(capacity=huge).capacity == math.inf
    for timeout in (bounds, huge):
        with llmnet.Client(**at(server), timeout=timeout, retry=policy) as client:
            assert client.chat("hi", timeout=timeout).content == "hi"


# -- what a call is given ---------------------------------------------------------------------------------------------


def said(content, **more):
    return [{"role": "user", "content": content, **more}]


def called(arguments):
    """A turn whose call has its arguments as an object, which is sent as text."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return [*HI, {"role": "assistant", "tool_calls": [call]}]


class Model(pydantic.BaseModel):
    """As the vendors' own messages are."""

    role: str = "assistant"
    content: str = "hi"


REPLY = llmnet.ChatResponse(content="hi")
MESSAGES_REFUSED = [
    (REPLY, ["messages", "not ChatResponse; give its .message"]),
    ([*HI, REPLY], ["messages[1]", "not ChatResponse; give its .message"]),
    ([*HI, Model()], ["messages[1]", "not Model; give its .model_dump(exclude_none=True)"]),
    (None, ["messages", "NoneType"]),
    (5, ["messages", "int"]),
    (b"hi", ["messages", "bytes"]),
    (bytearray(b"hi"), ["messages", "bytearray"]),
    ({"role": "user", "content": "hi"}, ["messages", "dict"]),
    ({"hi"}, ["messages", "set"]),
    ((m for m in HI), ["messages", "generator"]),
    (Foreign(), ["messages", "Foreign"]),
    ([], ["messages", "empty"]),
    ((), ["messages", "empty"]),
    (["hi"], ["messages[0]", "str"]),
    ([*HI, None], ["messages[1]", "NoneType"]),
    ([*HI, Foreign()], ["messages[1]", "Foreign"]),
    ([{}], ["messages[0].role"]),
    ([{"content": "hi"}], ["messages[0].role", "None"]),
    ([{"role": "human", "content": "hi"}], ["messages[0].role", "human", "user"]),
    ([{"role": ["user"], "content": "hi"}], ["messages[0].role"]),
    ([{"role": "user"}], ["messages[0].content"]),
    ([{"role": "system", "content": None}, *HI], ["messages[0].content"]),
    (said(5), ["messages[0].content", "int"]),
    (said(b"hi"), ["messages[0].content", "bytes"]),
    (said({"type": "text", "text": "hi"}), ["messages[0].content", "dict"]),
    (said(["hi"]), ["messages[0].content[0]", "hi"]),
    (said([{}]), ["messages[0].content[0].type", "text"]),
    (said([{"type": 5}]), ["messages[0].content[0].type", "5"]),
    (said([{"type": None, "text": "a"}]), ["messages[0].content[0].type", "None"]),
    (said([{"text": "a"}]), ["messages[0].content[0].type", "text"]),
    (said([{"type": "text", "text": "a"}, None]), ["messages[0].content[1]"]),
    (said([{"type": "text", "text": b"a"}]), ["messages[0].content[0].text", "bytes"]),
    (said([{"type": "text", "text": "a", "x": math.nan}]), ["messages[0].content[0].x", "nan"]),
    (said([{"type": "text", "text": "a", "x": -math.inf}]), ["messages[0].content[0].x", "inf"]),
    (said([{"type": "text", "text": "a", "x": {1, 2}}]), ["messages[0].content[0].x", "set"]),
    (said([{"type": "text", "text": "a", "x": Foreign()}]), ["messages[0].content[0].x", "Foreign"]),
    (said([{"type": "text", "text": "a", "x": cycle()}]), ["messages[0].content[0].x", "contains itself"]),
    (said([{"type": "text", "text": "a", "x": deep()}]), ["messages[0].content[0].x", "deep"]),
    (said([{"type": "text"}]), ["messages[0].content[0].text", "NoneType"]),
    (said([{"type": "text", "text": "a"}, {"type": "text", "text": 5}]), ["messages[0].content[1].text", "int"]),
    (said([{"type": "input_text", "text": ["a"]}]), ["messages[0].content[0].text"]),
    (said([{"type": "text", "text": "a", b"x": 1}]), ["messages[0].content[0]", "key"]),
    (said([{"type": "text", "text": "a", (1, 2): 1}]), ["messages[0].content[0]", "key"]),
    (said([{"type": "text", "text": "a", LONE: 1}]), ["messages[0].content[0]", "surrogate"]),
    (said(LONE), ["messages[0].content", "surrogate"]),
    (LONE, ["messages[0].content", "surrogate"]),
    (said("hi", name=b"me"), ["messages[0].name", "bytes"]),
    (said("hi", x=1 + 2j), ["messages[0].x", "complex"]),
    ([*HI, {"role": "tool", "content": "4"}], ["messages[1].tool_call_id"]),
    ([*HI, {"role": "tool", "content": "4", "tool_call_id": 4}], ["messages[1].tool_call_id", "4"]),
    ([*HI, {"role": "tool", "tool_call_id": "c"}], ["messages[1].content"]),
    ([*HI, {"role": "assistant", "tool_calls": "f"}], ["messages[1].tool_calls"]),
    ([*HI, {"role": "assistant", "tool_calls": {"id": "c"}}], ["messages[1].tool_calls"]),
    ([*HI, {"role": "assistant", "tool_calls": ["f"]}], ["messages[1].tool_calls"]),
    (
        [{"role": "assistant", "content": "a", "reasoning_content": {"a": Foreign()}}, *HI],
        ["reasoning_content", "Foreign"],
    ),
    (called({"a": math.nan}), ["messages[1].tool_calls[0].function.arguments.a", "nan"]),
    (called({"a": LONE}), ["messages[1].tool_calls[0].function.arguments.a", "surrogate"]),
    (called({"a": cycle()}), ["messages[1].tool_calls[0].function.arguments.a", "contains itself"]),
    (called({"a": Foreign()}), ["messages[1].tool_calls[0].function.arguments.a", "Foreign"]),
]

ARGUMENTS_REFUSED = [
    ("model", "", ["model"]),
    ("model", 0, ["model", "int"]),
    ("model", False, ["model", "bool"]),
    ("model", [], ["model", "list"]),
    ("model", b"m", ["model", "bytes"]),
    ("model", "m\nx", ["model"]),
    ("model", LONE, ["model", "surrogate"]),
    ("temperature", "0.5", ["temperature"]),
    ("temperature", True, ["temperature", "True"]),
    ("temperature", math.nan, ["temperature", "nan"]),
    ("temperature", math.inf, ["temperature", "inf"]),
    ("temperature", [0.5], ["temperature"]),
    ("top_p", "0.5", ["top_p"]),
    ("max_tokens", "100", ["max_tokens"]),
    ("max_tokens", -1, ["max_tokens", "-1"]),
    ("max_tokens", 10.5, ["max_tokens", "10.5"]),
    ("max_tokens", True, ["max_tokens", "True"]),
    ("max_tokens", math.inf, ["max_tokens"]),
    ("max_completion_tokens", "7", ["max_completion_tokens"]),
    ("tools", "search", ["tools"]),
    ("tools", TOOL, ["tools"]),
    ("tools", ["search"], ["tools"]),
    ("tools", [print], ["tools"]),
    ("tools", iter([TOOL]), ["tools"]),
    ("tools", 5, ["tools"]),
    ("tools", [{**TOOL, "x": b""}], ["tools[0].x", "bytes"]),
    ("tools", [{**TOOL, "x": math.nan}], ["tools[0].x", "nan"]),
    ("tool_choice", 1, ["tool_choice"]),
    ("tool_choice", True, ["tool_choice"]),
    ("tool_choice", ["auto"], ["tool_choice"]),
    ("tool_choice", {"x": Foreign()}, ["tool_choice.x", "Foreign"]),
    ("stream_options", "include_usage", ["stream_options", "include_usage"]),
    ("stream_options", ["include_usage"], ["stream_options"]),
    ("stream_options", {"x": Foreign()}, ["stream_options.x", "Foreign"]),
    ("parallel_tool_calls", "False", ["parallel_tool_calls", "'False'"]),
    ("parallel_tool_calls", 0, ["parallel_tool_calls", "0"]),
    ("timeout", 0, ["timeout"]),
    ("timeout", -1, ["timeout"]),
    ("timeout", "30", ["timeout"]),
    ("timeout", False, ["timeout"]),
    ("timeout", math.nan, ["timeout", "nan"]),
    ("timeout", (3, 30), ["timeout"]),
    ("extra_headers", "x-a: 1", ["extra_headers"]),
    ("extra_headers", [("x-a", "1")], ["extra_headers"]),
    ("extra_headers", {"x-a": 1}, ["extra_headers", "x-a"]),
    ("extra_headers", {"x-a": f"{SECRET}\r\nx-evil: 1"}, ["extra_headers", "x-a"]),
    ("extra_headers", {f"x-a: {SECRET}": "1"}, ["extra_headers"]),
    ("extra_headers", {"x-a": f"{SECRET}€"}, ["extra_headers", "x-a"]),
    ("extra_headers", {"Content-length": "1"}, ["extra_headers", "Content-length"]),
    ("stream", True, ["stream", "stream_chat"]),
    ("stream", False, ["stream"]),
    ("stream", None, ["stream"]),
    ("service_tier", {"flex": True}, ["service_tier"]),
    ("seed", math.nan, ["seed", "nan"]),
    ("stop", b"x", ["stop", "bytes"]),
    ("stop", {"x"}, ["stop", "set"]),
    ("metadata", {"a": LONE}, ["metadata.a", "surrogate"]),
    ("metadata", {"a": cycle()}, ["metadata.a", "contains itself"]),
    ("metadata", {b"a": 1}, ["metadata", "key"]),
    ("metadata", {None: 1, (): 2}, ["metadata", "key"]),
    ("response_format", Foreign, ["response_format"]),
    ("user", Foreign(), ["user", "Foreign"]),
    ("anything_else", object(), ["anything_else", "object"]),
]


@pytest.mark.parametrize("method", ["chat", "stream_chat"])
@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("messages", "words"), MESSAGES_REFUSED)
def test_wrong_messages(server, front, method, messages, words):
    refused(server, front, words, lambda client: getattr(client, method)(messages))


@pytest.mark.parametrize("method", ["chat", "stream_chat"])
@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(("name", "value", "words"), named(ARGUMENTS_REFUSED))
def test_wrong_arguments(server, front, method, name, value, words):
    refused(server, front, words, lambda client: getattr(client, method)(HI, **{name: value}))


# The wire form of a provider does not change what is checked.
APIS = [("anthropic", "messages"), ("openai", "responses"), ("dashscope", "native"), ("azure", "deployments")]


@pytest.mark.parametrize(("provider", "api"), APIS)
@pytest.mark.parametrize(
    ("name", "value", "words"), named([row for row in ARGUMENTS_REFUSED if row[0] in ("tools", "timeout", "stream")])
)
def test_wrong_arguments_in_every_wire_form(server, provider, api, name, value, words):
    fields = {"provider": provider, "api": api, "api_version": "2024-10-21"}
    refused(server, "sync", words, lambda client: client.chat(HI, **{name: value}), **fields)


@pytest.mark.parametrize(("provider", "api"), APIS)
def test_what_json_cannot_carry_in_every_wire_form(server, provider, api):
    """Also where the form translates a value, or leaves it out."""
    fields = {"provider": provider, "api": api, "api_version": "2024-10-21"}
    for messages, words in MESSAGES_REFUSED:
        if words[-1] in ("nan", "inf", "surrogate", "contains itself", "set", "Foreign"):
            refused(server, "sync", words, lambda client, messages=messages: client.chat(messages), **fields)
    refused(server, "sync", ["user", "nan"], lambda client: client.chat(HI, user=math.nan), **fields)


@pytest.mark.parametrize("front", FRONTS)
def test_two_names_of_one_limit(server, front):
    words = ["max_tokens", "max_completion_tokens"]
    refused(server, front, words, lambda client: client.chat(HI, max_tokens=5, max_completion_tokens=5))


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        (print, ["callbacks", "StreamCallbacks"]),
        ({"on_chunk": print}, ["callbacks", "dict"]),
        (StreamCallbacks, ["callbacks"]),
        (False, ["callbacks", "bool"]),
        (StreamCallbacks(on_chunk="print"), ["callbacks.on_chunk", "str"]),
        (StreamCallbacks(on_complete=5), ["callbacks.on_complete", "int"]),
        (StreamCallbacks(print, print, []), ["callbacks.on_error", "list"]),
    ],
)
def test_wrong_callbacks(server, front, callbacks, words):
    refused(server, front, words, lambda client: client.chat(HI, callbacks=callbacks))


@pytest.mark.parametrize("front", FRONTS)
def test_a_stream_takes_no_callbacks(server, front):
    refused(server, front, ["callbacks"], lambda c: c.stream_chat(HI, callbacks=StreamCallbacks(on_chunk=print)))


@pytest.mark.parametrize("name", ["on_chunk", "on_complete", "on_error"])
def test_coroutine_functions_are_no_callbacks_of_the_sync_client(server, name):
    async def callback(_):
        raise AssertionError

    callbacks = StreamCallbacks(**{name: callback})
    refused(server, "sync", [f"callbacks.{name}", "AsyncClient"], lambda c: c.chat(HI, callbacks=callbacks))


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (None, ["inputs", "NoneType"]),
        (5, ["inputs", "int"]),
        (b"text", ["inputs", "bytes"]),
        (bytearray(b"text"), ["inputs", "bytearray"]),
        ({"a": "b"}, ["inputs", "dict"]),
        ({"a", "b"}, ["inputs", "set"]),
        ([], ["inputs", "empty"]),
        ("", ["inputs[0]", "empty"]),
        (["a", ""], ["inputs[1]", "empty"]),
        (["a", None], ["inputs[1]", "NoneType"]),
        (["a", b"b"], ["inputs[1]", "bytes"]),
        (["a", 5], ["inputs[1]", "int"]),
        ([[1, True]], ["inputs[0]"]),
        ([[1, "2"]], ["inputs[0]"]),
        ([[]], ["inputs[0]"]),
        (["a", LONE], ["inputs[1]", "surrogate"]),
    ],
)
def test_wrong_inputs(server, front, inputs, words):
    refused(server, front, words, lambda client: client.embed(inputs))


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [row for row in named(ARGUMENTS_REFUSED) if row.values[0] in ("model", "timeout", "extra_headers", "metadata")],
)
def test_wrong_arguments_of_embed(server, front, name, value, words):
    refused(server, front, words, lambda client: client.embed("text", **{name: value}))


# -- what is missing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["chat", "stream_chat", "embed"])
@pytest.mark.parametrize("front", FRONTS)
def test_a_missing_model(server, front, method):
    refused(server, front, ["model", "provider:model"], lambda client: getattr(client, method)("hi"), model=None)
    refused(server, front, ["model"], lambda client: getattr(client, method)("hi"), positional=("openai:",), model=...)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("openai", ["api_key=", "OPENAI_API_KEY"]),
        ("anthropic", ["api_key=", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"]),
        ("azure", ["base_url=", "AZURE_OPENAI_ENDPOINT"]),
        ("dashscope", ["api_key=", "DASHSCOPE_API_KEY"]),
        ("qianfan", ["api_key=", "QIANFAN_BEARER_TOKEN", "QIANFAN_API_KEY"]),
        ("gemini", ["api_key=", "GOOGLE_API_KEY", "GEMINI_API_KEY"]),
        ("deepseek", ["api_key=", "DEEPSEEK_API_KEY"]),
        ("huggingface", ["api_key=", "HF_TOKEN"]),
        ("zhipu", ["api_key=", "ZHIPUAI_API_KEY"]),
    ],
)
def test_a_missing_key_or_address(server, front, provider, words):
    refused(server, front, [provider, *words], provider=provider, base_url=None, api_key=None)
    refused(server, front, [provider, *words], provider=provider, base_url=None, api_key=" \n")


@pytest.mark.parametrize("front", FRONTS)
def test_azures_address_in_the_environment_still_needs_a_key(server, front, monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.url)
    words = ["api_key=", "AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_API_KEY"]
    refused(server, front, words, provider="azure", base_url=None, api_key=None)


@pytest.mark.parametrize("front", FRONTS)
def test_azures_deployments_need_a_version(server, front):
    words = ["api_version=", "OPENAI_API_VERSION"]
    refused(server, front, words, provider="azure", api="deployments")
    refused(server, front, words, provider="azure", base_url=f"{server.url}/openai/deployments/d")


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("variable", "value", "fields"),
    [
        ("OPENAI_API_KEY", f"{KEY}\nx", {}),
        ("OPENAI_API_KEY", f"{KEY}é", {}),
        ("OPENAI_BASE_URL", f"https://u:{SECRET}@host/v1", {}),
        ("OPENAI_BASE_URL", "host/v1", {}),
        ("OPENAI_ORG_ID", f"{SECRET}\r\nx", {}),
        ("AZURE_OPENAI_ENDPOINT", "resource", {"provider": "azure"}),
        ("OPENAI_API_VERSION", "2024\n10", {"provider": "azure", "base_url": "https://h/openai/deployments/d"}),
        ("QIANFAN_APP_ID", "app\nx", {"provider": "qianfan"}),
        ("GROQ_BASE_URL", "ftp://host", {"provider": "groq"}),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(server, front, monkeypatch, variable, value, fields):
    monkeypatch.setenv(variable, value)
    key = None if variable.endswith("KEY") else KEY
    refused(server, front, [variable], **{"base_url": None, "api_key": key, **fields})


@pytest.mark.parametrize("front", FRONTS)
def test_a_workspace_that_is_no_host(server, front, monkeypatch):
    monkeypatch.setenv("DASHSCOPE_WORKSPACE", "evil.com/")
    monkeypatch.setenv("DASHSCOPE_REGION", "cn-beijing")
    refused(server, front, ["DASHSCOPE_WORKSPACE"], provider="dashscope", base_url=None)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("gives", "words"),
    [
        (None, ["api_key", "no key"]),
        (" ", ["api_key", "no key"]),
        (5, ["api_key", "int"]),
        (KEY.encode(), ["api_key", "bytes"]),
        ([KEY], ["api_key", "list"]),
        (f"{KEY}\r\nx-evil: 1", ["api_key"]),
        (f"{KEY}é", ["api_key"]),
        (f"Bearer {KEY}", ["api_key", "Bearer", "alone"]),
    ],
)
def test_a_callable_that_gives_no_key(server, front, gives, words):
    refused(server, front, words, lambda client: client.chat(HI), api_key=lambda: gives)
    refused(server, front, words, lambda client: client.embed("text"), api_key=lambda: gives)
    if front == "async":

        async def ask():
            return gives

        refused(server, front, words, lambda client: client.chat(HI), api_key=ask)


@pytest.mark.parametrize("front", FRONTS)
def test_what_a_callable_key_raises_is_the_callers_and_frees_the_slot(server, front):
    def ask():
        raise LookupError("the vault is shut")

    def twice(client):
        for _ in range(2):
            with pytest.raises(LookupError, match="vault"):
                client.chat(HI)

    async def awaited(client):
        for _ in range(2):
            with pytest.raises(LookupError, match="vault"):
                await client.chat(HI)

    fields = {**surroundings(server), "api_key": ask, "max_concurrent": 1}
    attempt(front, (), fields, twice if front == "sync" else awaited)
    assert (server.request_count, server.connections) == (0, 0)


@pytest.mark.parametrize("method", ["chat", "stream_chat", "embed"])
@pytest.mark.parametrize("front", FRONTS)
def test_a_closed_client(server, front, method):
    def sync(client):
        client.close()
        getattr(client, method)("hi")

    async def awaited(client):
        await client.aclose()
        said = getattr(client, method)("hi")
        if inspect.isawaitable(said):
            await said

    refused(server, front, ["closed"], sync if front == "sync" else awaited)


@pytest.mark.parametrize("front", FRONTS)
def test_a_refused_client_leaves_nothing_to_close(server, front):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(server, front, ["proxy"], proxy="://")
        refused(server, front, ["model"], lambda client: client.with_options(model=5))


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("api", ["native", "anthropic"])
def test_a_form_without_embeddings_says_so(server, front, api):
    fields = {"provider": "dashscope", "api": api}
    if api == "anthropic":
        refused(server, front, ["embed"], lambda client: client.embed("text"), **fields)
    else:
        refused(server, front, ["inputs"], lambda client: client.embed([]), **fields)


# -- what stays as it was, and what is never shown --------------------------------------------------------------------

FULL = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "weather in Berlin"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    {"role": "user", "content": "thanks"},
]


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("outcome", [200, 400])
@pytest.mark.parametrize("api", FORMS)
def test_the_callers_objects_are_never_changed(server, front, api, outcome):
    server.script(outcome)
    messages = copy.deepcopy(FULL)
    headers = {"X-Mine": " 1 ", "Authorization": None}
    own = {"X-Own": "2"}
    params = {"tools": [copy.deepcopy(TOOL)], "tool_choice": {"type": "function", "function": {"name": "f"}}}
    before = copy.deepcopy((messages, headers, own, params))

    def act(client):
        return client.chat(messages, extra_headers=headers, max_tokens=5, **params)

    fields = {"provider": "fake", "api": api, "model": "m", "base_url": server.url, "headers": own}
    try:
        reply = attempt(front, (), fields, act)
        reply.message["content"] = "changed"
    except llmnet.BadRequestError:
        assert outcome == 400
    assert (messages, headers, own, params) == before
    assert server.requests[0].headers["x-mine"] == "1"


def test_a_config_does_not_follow_a_dict_that_it_was_given():
    headers = {"x-a": "1"}
    config = llmnet.ClientConfig(headers=headers)
    headers["x-b"] = "2\r\n"
    assert config.headers == {"x-a": "1"}


ECHO = Reply(status=400, error={"message": f"bad key {KEY} by way of {SECRET}", "code": "x", "type": "y"})


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize(
    ("fields", "params"),
    [
        ({"api_key": KEY}, {}),
        ({"api_key": lambda: KEY}, {}),
        ({"headers": {"Authorization": f"Bearer {KEY}"}}, {}),
        ({"headers": {"x-my-token": KEY}}, {}),
        ({}, {"extra_headers": {"Authorization": f"Bearer {KEY}"}}),
        ({}, {"extra_headers": {"Cookie": KEY}}),
        ({"base_url": f"/v1?subscription-key={KEY}"}, {}),
        ({"proxy": f"http://user:{KEY}@127.0.0.1:1"}, {}),
    ],
    ids=["key", "callable", "header", "token-header", "extra", "cookie", "query", "proxy"],
)
def test_what_a_server_echoes_of_a_secret_is_not_shown(server, front, fields, params):
    echo = dataclasses.replace(ECHO, error={**ECHO.error, "message": f"bad key {KEY}"}, headers={"x-echo": KEY})
    fields = {"model": "m", "max_retries": 0, **fields}
    fields["base_url"] = server.url + fields.get("base_url", "/v1")
    if "proxy" in fields:  # the server is its own proxy: what it says is what a proxy would say
        fields["proxy"] = fields["proxy"].replace("127.0.0.1:1", f"127.0.0.1:{server.port}")
    server.script(echo)
    with pytest.raises(llmnet.BadRequestError) as caught:
        attempt(front, (), fields, lambda client: client.chat(HI, **params))
    error = caught.value
    assert "***" in str(error)
    assert SECRET not in f"{error} {error!r} {error.args} {error.body} {error.meta} {vars(error)}"


@pytest.mark.parametrize("front", FRONTS)
def test_reprs_show_no_secret(server, front):
    fields = {
        "api_key": KEY,
        "headers": {"Authorization": f"Bearer {SECRET}"},
        "proxy": f"http://u:{SECRET}@host:1",
        "base_url": f"{server.url}/v1?key={SECRET}",
    }

    def look(client):
        resolved = resolved_of(client)
        return repr((client, client.config, resolved, resolved.target, client.with_options(model="n"))), str(client)

    shown = attempt(front, (), fields, look)
    assert SECRET not in str(shown)
    assert server.url in str(shown)


def test_fields_and_their_types_are_told_once():
    assert set(FIELDS) == set(ClientFields.__annotations__)
    assert {f.name for f in dataclasses.fields(llmnet.ClientConfig)} == set(FIELDS)


def test_enough_is_tried():
    assert len(FIELDS_REFUSED) + len(MESSAGES_REFUSED) + len(ARGUMENTS_REFUSED) >= 200


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(llmnet.ConfigurationError, match=r"http2=True.*llmnet\[http2\]"):
        llmnet.AsyncClient("fake:m", http2=True)
