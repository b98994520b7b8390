"""Every way a call can end by itself or by its caller's hand: what happens, and how the calls end, as a table."""

import asyncio
import contextlib
import gc
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from support.live import WORDS, at_port
from support.planted import closed_port

import llmnet
from llmnet import StreamCallbacks, Timeout
from llmnet.testing import Reply, fault

HELD = Reply(text=WORDS, hold="body")


class Stage:
    """A client of either front, and what else the rows need."""

    def __init__(self, front, server, client):
        self.front, self.server, self.client = front, server, client

    def done(self, value):
        """What a method beyond the blocking face of the client gives."""
        return self.front.run(value) if asyncio.iscoroutine(value) else value


def chat(stage):
    stage.client.chat("hi")


def stream(stage):
    list(stage.client.stream_chat("hi"))


def callbacks(**functions):
    def act(stage):
        stage.client.chat("hi", callbacks=StreamCallbacks(**functions))

    return act


def fail(_=None):
    raise ZeroDivisionError("mine")


def embed(stage):
    stage.done(stage.client.embed(["one", "two"], model="tao-8k"))


def models(stage):
    stage.done(stage.client.list_models())


def batch(stage):
    results = list(stage.client.batch(["one", "two", {"prompt": 3}], ordered=True, max_concurrent=1))
    assert [type(result.error) for result in results] == [type(None), llmnet.BadRequestError, llmnet.ConfigurationError]


def batch_left(leave):
    """One row is done, two are in flight."""

    def act(stage):
        results = stage.client.batch(["one", "two", "three"], max_concurrent=2)
        assert next(results).ok
        stage.server.wait_for_requests(3)
        if leave == "close":
            results.close()
        del results

    return act


def crowded_out(stage):
    first = stage.client.stream_chat("first")
    next(first)
    try:
        stage.client.chat("hi", timeout=Timeout(queue=0.02))
    finally:
        first.close()


def at_the_gate(stage):
    with contextlib.suppress(llmnet.RateLimitError):
        stage.client.chat("first", timeout=Timeout(total=1))
    stage.client.chat("hi", timeout=Timeout(total=1))


def left(stage):
    stream = stage.client.stream_chat("hi")
    for _ in stream:
        break
    stream.close()


def block_left(stage):
    with stage.client.stream_chat("hi") as stream:
        next(stream)


def block_left_by_error(stage):
    with stage.client.stream_chat("hi") as stream:
        next(stream)
        fail()


def dropped(stage):
    next(stage.client.stream_chat("hi"))
    gc.collect()


def cancelled_unheard(stage):
    stream = stage.client.stream_chat("hi")
    next(stream)
    stream.cancel()
    stream.close()


def never_begun(stage):
    stage.client.stream_chat("hi").close()
    stage.client.stream_chat("hi")
    stream = stage.client.stream_chat("hi")
    stream.cancel()
    next(stream)


def refused(stage):
    stage.done(stage.client.with_options(**at_port(closed_port())).chat("hi"))


def renewed(numbers=itertools.count()):
    return f"sk-{next(numbers)}"


def every_other(numbers=itertools.count()):
    return fail() if next(numbers) % 2 else "sk-1"


class Row(NamedTuple):
    """What happens, what the server says to it, and how the calls end, with how many attempts, as they began."""

    name: str
    act: Callable[[Stage], Any]
    ends: list[tuple[str, int]]
    script: tuple = ()
    fields: dict = {}


OK, ERROR, CLOSED = ([(outcome, 1)] for outcome in ("ok", "error", "closed"))
QIANFAN = {"provider": "qianfan", "api": None, "api_key": "sk-1"}
ROWS = [
    Row("chat", chat, OK),
    Row("chat at the third attempt", chat, [("ok", 3)], (500, 502, "Hi")),
    Row("a throttle waited out", chat, [("ok", 2)], (fault("429-zero"), "Hi")),
    Row("stream", stream, OK, (WORDS,)),
    Row("stream at the second attempt", stream, [("ok", 2)], (fault("stream-reset-first"), WORDS)),
    Row("callbacks", callbacks(), OK),
    Row("the callback of a complete reply fails", callbacks(on_complete=fail), OK),
    Row("embed in two requests", embed, [*OK, *OK], fields=QIANFAN),
    Row("the second request of embed fails", embed, [*OK, ("error", 3)], ("", 500, 500, 500), QIANFAN),
    Row("list_models", models, OK),
    Row("batch", batch, [*OK, *ERROR], ("Hi", 400)),
    Row("400", chat, ERROR, (400,)),
    Row("401, and no other key", chat, ERROR, (401,), {"api_key": lambda: "sk-1"}),
    Row("401, and for the next key too", chat, [("error", 2)], (401, 401), {"api_key": renewed}),
    Row("retries used up", chat, [("error", 3)], (500, 502, 504)),
    Row("connection refused", refused, [("error", 3)]),
    Row("queue timeout", crowded_out, [*CLOSED, ("error", 0)], (HELD,), {"max_concurrent": 1}),
    Row("gate timeout", at_the_gate, [*ERROR, ("error", 0)], (Reply(status=429, headers={"retry-after": "30"}),)),
    Row("silence", chat, ERROR, (fault("silent"),), {"timeout": Timeout(response=0.2), "max_retries": 0}),
    Row("a page in place of JSON", chat, ERROR, (fault("html-in-200"),)),
    Row("stream cut before a chunk", stream, ERROR, (fault("stream-reset-first"),), {"max_retries": 0}),
    Row("stream cut after chunks", stream, ERROR, (fault("stream-reset"),)),
    Row("an error event", stream, ERROR, (fault("stream-error"),)),
    Row("the callback of a chunk fails", callbacks(on_chunk=fail), ERROR, (HELD,)),
    Row("the callback of an error fails", callbacks(on_error=fail), ERROR, (400,)),
    Row("the key's function fails", chat, [("error", 0)], (), {"api_key": fail}),
    Row("the key's function fails later", chat, ERROR, (500,), {"api_key": every_other}),
    Row("left by break", left, CLOSED, (HELD,)),
    Row("block left early", block_left, CLOSED, (HELD,)),
    Row("block left by an error", block_left_by_error, CLOSED, (HELD,)),
    Row("dropped", dropped, CLOSED, (HELD,)),
    Row("cancelled, and closed before it is heard", cancelled_unheard, [("cancelled", 1)], (HELD,)),
    Row("never begun", never_begun, []),
    *(
        Row(f"batch left by {leave}", batch_left(leave), [*OK, ("cancelled", 1), ("cancelled", 1)], ("", *[HELD] * 2))
        for leave in ("close", "break")
    ),
]
