"""Every public value and error as plain JSON: JSON types alone, without `raw`, and never a secret."""

import copy
import dataclasses
import datetime as dt
import enum
import inspect
import json
import math
import pickle
import subprocess
import sys
import uuid

import msgspec
import pytest
from support.live import at

import llmnet
from llmnet.core.chat import NoValue
from llmnet.core.http import Headers, RateLimitState
from llmnet.core.plain import plain
from llmnet.telemetry.stats import CallStats, Histogram
from llmnet.testing import Reply

KEY, PASSWORD = "sk-a-key-that-nobody-may-see", "password-of-the-proxy"
META = llmnet.Meta(
    status=200,
    request_id="req-1",
    headers=Headers([("X-Request-Id", "req-1"), ("x-ratelimit-limit-requests", "5")]),
    attempts=[llmnet.Attempt(status=500, cause="500", wait=0.5, sent=True), llmnet.Attempt(status=200, sent=True)],
)
CALL = llmnet.ToolCall(id="c", name="f", arguments='{"a": 1}')
USAGE = llmnet.Usage(input_tokens=1)
REPLY = llmnet.ChatResponse(
    id="1", content="Grüße 你好", tool_calls=[CALL], finish_reason=llmnet.FinishReason.STOP, usage=USAGE, meta=META,
    raw={"not": "shown"}, message={"role": "assistant", "content": "x"},
)  # fmt: skip
ERROR = llmnet.RateLimitError("too much", meta=META, partial=REPLY, retry_after=2.5, provider="openai")
HISTOGRAM = Histogram(bounds=(1.0,), counts=(1, 0), total=0.5)
COUNTS = dict.fromkeys(("calls", "requests", "retries", "throttles", "input_tokens", "output_tokens"), 1)
STATS = CallStats(
    provider="p", model="m", outcome="ok", duration=HISTOGRAM, time_to_first_token=HISTOGRAM, **COUNTS
)  # fmt: skip
PROGRESS = dict.fromkeys(
    ("done", "failed", "total", "in_flight", "throttled", "elapsed", "requests_per_second", "tokens_per_second"), 1
)
CONFIG = llmnet.ClientConfig(
    model="openai:m", api_key=KEY, headers={"x-key": KEY}, proxy=f"http://user:{PASSWORD}@proxy:3128",
    base_url=f"https://host/v1?key={KEY}", on_event=print, defaults={"temperature": 0, "extra_query": {"key": KEY}, "extra_body": {"api_key": KEY}},
)  # fmt: skip
EVENT = (1, "openai", "host", "m", False, 0.5)
VALUES = [
    META, CALL, USAGE, REPLY, ERROR, HISTOGRAM, STATS, CONFIG,
    llmnet.Stats([STATS]), llmnet.Attempt(), RateLimitState(limit=5), llmnet.ToolCallDelta(index=0),
    llmnet.StreamChunk(content="a", raw='{"a": 1}', usage=USAGE), llmnet.ModelInfo(id="m", raw={"a": 1}),
    llmnet.EmbeddingResponse(vectors=[[0.5, math.nan], [1.0, 2.0]], raw={}),
    llmnet.APIResponse(content=b"abc", meta=META),
    llmnet.BatchResult(index=1, response=REPLY), llmnet.BatchResult(index=2, custom_id="a", error=ERROR),
    llmnet.BatchSuccess(index=1, response=REPLY), llmnet.BatchFailure(index=2, custom_id="a", error=ERROR),
    llmnet.BatchProgress(**PROGRESS, left=math.inf, over=True),
    llmnet.Timeout(total=math.inf), llmnet.RetryPolicy(), llmnet.RetryBudget(),
    llmnet.CallQueued(*EVENT), llmnet.AttemptStarted(*EVENT, 1), llmnet.FirstToken(*EVENT),
    llmnet.AttemptFailed(*EVENT, 1, META.attempts[0], ERROR, True, "transient"),
    llmnet.Throttled(*EVENT, 1, META.attempts[0], None, True, "throttled"),
    llmnet.CallFinished(*EVENT, "error", META, META.attempts, USAGE, ERROR), llmnet.CallEvent(*EVENT),
]  # fmt: skip
ERRORS = [
    value for name in llmnet.__all__
    if inspect.isclass(value := getattr(llmnet, name)) and issubclass(value, llmnet.LLMNetError)
]  # fmt: skip
# What does something, and is no value; those whom a value holds, it writes as their names.
NO_VALUES = {
    "AsyncAPIStream", "APIStream", "AsyncBatch", "AsyncChatStream", "AsyncClient", "Batch", "ChatStream", "Client", "FinishReason",
    "Message", "Provider", "StreamCallbacks", "create_async_client", "create_session", "retry_with_backoff", "with_retry",
}  # fmt: skip


def name_of(value):
    return type(value).__name__


def kinds_in(value):
    yield type(value)
    inside = [*value, *value.values()] if type(value) is dict else value if type(value) is list else ()
    for item in inside:
        yield from kinds_in(item)


@pytest.mark.parametrize("value", [*VALUES, *[kind("why") for kind in ERRORS]], ids=name_of)
def test_all_of_it_is_json(value):
    shown = value.to_dict()
    assert set(kinds_in(shown)) <= {dict, list, str, int, float, bool, type(None)}
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown == json.loads(value.to_json())
    assert '"raw"' not in value.to_json()
    for secret in (KEY, PASSWORD):
        assert secret not in value.to_json()


def test_every_public_value_is_among_them():
    public = {name for name in llmnet.__all__ if name not in NO_VALUES}
    assert public <= {*map(name_of, VALUES), *(kind.__name__ for kind in ERRORS)}


def test_a_reply_without_the_value_that_was_asked_for():
    reply = llmnet.ChatResponse(content="hi", parsed=NoValue("it calls tools"))
    with pytest.raises(llmnet.OutputError):
        _ = reply.parsed
    assert reply.to_dict() == llmnet.ChatResponse(content="hi").to_dict()


def test_a_reply():
    shown = REPLY.to_dict()
    assert shown["content"] == "Grüße 你好"
    assert shown["tool_calls"] == [{"id": "c", "name": "f", "arguments": '{"a": 1}'}]
    assert shown["finish_reason"] == "stop"
    assert type(shown["finish_reason"]) is str
    assert shown["usage"]["input_tokens"] == 1
    assert shown["meta"]["attempts"][0] == {
        "status": 500, "cause": "500", "wait": 0.5, "sent": True, "transparent": False, "throttled": False, "elapsed": 0.0,
    }  # fmt: skip
    assert shown["meta"]["headers"]["x-request-id"] == "req-1"
    assert "你好" in REPLY.to_json()


def test_of_the_headers_no_cookie_is_shown():
    """FastAPI writes them into the answer of each browser."""
    sent = {"Set-Cookie": "session=1", "openai-organization": "mine", "Retry-After": "2", "x-ratelimit-reset": "1"}
    meta = llmnet.Meta(headers=Headers(sent))
    for value in (meta, llmnet.ChatResponse(meta=meta), llmnet.APIResponse(meta=meta), llmnet.LLMNetError(meta=meta)):
        written = value.to_json()
        assert "session" not in written
        assert "mine" not in written
    assert meta.to_dict()["headers"] == {"retry-after": "2", "x-ratelimit-reset": "1"}
    assert meta.headers["set-cookie"] == "session=1"


def test_an_error():
    shown = ERROR.to_dict()
    facts = {name: shown[name] for name in ("class", "message", "status", "request_id", "retry_after", "provider")}
    assert facts == {
        "class": "RateLimitError", "message": "too much", "status": 429, "request_id": "req-1", "retry_after": 2.5,
        "provider": "openai",
    }  # fmt: skip
    assert (len(shown["attempts"]), shown["partial"]["content"]) == (2, "Grüße 你好")
    assert llmnet.ConfigurationError("why").to_dict()["attempts"] == []
    assert llmnet.OutputError("cut", reason="length").to_dict()["reason"] == "length"


def test_a_config_leaves_out_what_may_be_a_secret():
    shown = CONFIG.to_dict()
    assert {"api_key", "headers"}.isdisjoint(shown)
    assert (shown["proxy"], shown["base_url"]) == ("http://proxy:3128", "https://host/v1")
    assert (shown["defaults"], CONFIG.defaults["extra_query"]) == ({"temperature": 0}, {"key": KEY})
    assert (shown["provider"], shown["model"], shown["on_event"]) == ("openai", "m", "print")
    assert llmnet.ClientConfig().to_dict()["proxy"] is None
    assert llmnet.ClientConfig(proxy=f"user:{PASSWORD}/@@p:1").to_dict()["proxy"] == "p:1"


def test_an_event_says_what_it_is():
    assert llmnet.FirstToken(*EVENT).to_dict() == {
        "event": "FirstToken", "call": 1, "provider": "openai", "host": "host", "model": "m", "stream": False, "at": 0.5,
    }  # fmt: skip


def test_a_body_that_is_no_text():
    shown = llmnet.APIResponse(content=b"\xff\xfe", meta=META).to_dict()
    assert (shown["content"], shown["size"], shown["status"]) == (None, 2, 200)


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


@dataclasses.dataclass
class Point:
    x: float
    when: dt.date


class Pair(msgspec.Struct):
    raw: Point
    b: set[int]


class Nothing(msgspec.Struct, tag="nothing"):
    pass


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Colour.RED, "red"),
        (Size.LARGE, 3),
        (Pair(Point(1.5, dt.date(2026, 1, 2)), {2, 1}), {"raw": {"x": 1.5, "when": "2026-01-02"}, "b": [1, 2]}),
        (Nothing(), {}),
        (uuid.UUID(int=1), str(uuid.UUID(int=1))),
        ({1: b"a", Colour.RED: ()}, {"1": "a", "Colour.RED": []}),
        (ValueError("why"), {"class": "ValueError", "message": "why"}),
        (-math.inf, None),
        (len, "len"),
        (Point, "Point"),
        (object(), "object"),
    ],
)
def test_what_a_value_of_the_callers_becomes(value, shown):
    assert plain(value) == shown


def test_half_a_surrogate_pair_is_escaped():
    assert json.loads(llmnet.ChatResponse(content="\ud800ü").to_json())["content"] == "\ud800ü"
    llmnet.ChatResponse(content="\ud800").to_json().encode()


def test_a_real_reply_error_and_chunk(front, server):
    server.script("hello", "hello", Reply(status=400, error={"message": f"no {KEY}"}))
    with front.client(**at(server, api_key=KEY)) as client:
        reply = client.chat("Hi")
        chunks = list(client.stream_chat("Hi"))
        with pytest.raises(llmnet.BadRequestError) as caught:
            client.chat("Hi")
        shown = [value.to_json() for value in (reply, *chunks, caught.value, client.stats, client.config)]
    assert json.loads(shown[0])["content"] == "hello"
    assert KEY not in "".join(shown)


# -- pydantic, and what is built on it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [value for value in VALUES if name_of(value) not in ("Timeout", "RetryBudget")], ids=name_of
)
def test_pydantic_takes_and_gives_it(value):
    pydantic = pytest.importorskip("pydantic")
    adapter = pydantic.TypeAdapter(type(value))
    assert adapter.validate_python(value) is value
    assert adapter.dump_python(value) == value.to_dict()
    assert json.loads(adapter.dump_json(value)) == value.to_dict()
    assert adapter.json_schema(mode="serialization") == {"type": "object", "title": name_of(value)}
    with pytest.raises(pydantic.ValidationError):
        adapter.validate_python(7)


def test_a_model_of_pydantic_holds_messages():
    """Of any Python; the keys that `Message` does not list are gone."""
    pydantic = pytest.importorskip("pydantic")

    class Question(pydantic.BaseModel):
        messages: list[llmnet.Message]

    asked = [{"role": "user", "content": [{"type": "text", "text": "Hello!", "cache_control": {}}]}]
    assert Question(messages=[{**asked[0], "thinking": "…"}]).model_dump() == {"messages": asked}
    for wrong in ({"content": "no role"}, {"role": 1}, {"role": "user", "name": 1}):
        with pytest.raises(pydantic.ValidationError):
            Question(messages=[wrong])


def test_without_typing_extensions_a_message_is_one_of_typing():
    program = (
        "import sys; sys.modules['typing_extensions'] = None; import llmnet, typing;"
        "assert typing.is_typeddict(llmnet.Message) and llmnet.Message.__required_keys__ == {'role'};"
        "assert llmnet.Message(role='user') == {'role': 'user'} and llmnet.Message.__module__ == 'llmnet'"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_model_of_pydantic_holds_them():
    pydantic = pytest.importorskip("pydantic")

    class Answer(pydantic.BaseModel):
        reply: llmnet.ChatResponse
        error: llmnet.LLMNetError | None = None
        timeout: llmnet.Timeout = llmnet.Timeout()

    answer = Answer(reply=REPLY, error=ERROR, timeout={"total": 5})
    assert answer.timeout == llmnet.Timeout(total=5)  # which pydantic knows by itself
    shown = answer.model_dump(mode="json")
    assert (shown["reply"], shown["error"]["status"]) == (REPLY.to_dict(), 429)


STRUCTS = [value for value in VALUES if hasattr(value, "__struct_fields__")]


@pytest.mark.parametrize("value", STRUCTS, ids=name_of)
def test_an_endpoint_without_a_return_type_finds_its_fields(value):
    """FastAPI's encoder takes `vars()` of what it does not know."""
    assert vars(value) == value.to_dict()
    for same in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert same.to_dict() == value.to_dict()


@pytest.mark.parametrize("value", STRUCTS, ids=name_of)
def test_it_costs_a_value_nothing(value):
    """There is no room for other attributes in it."""
    with pytest.raises(AttributeError):
        value.other = 1


def test_fastapi_returns_them():
    encoders = pytest.importorskip("fastapi.encoders")
    assert encoders.jsonable_encoder({"reply": REPLY})["reply"] == REPLY.to_dict()
