"""Both fronts behind one face, on virtual time: what a scenario did is a plain value that can be compared."""

import asyncio
import dataclasses
import random

from support.inside import common_of, inner, replace_parts
from support.live import ENGINE

import llmnet
from llmnet.transports.aio.wait import AsyncWait
from llmnet.transports.sync.wait import SyncWait


class VirtualTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.now, self.sleeps = 1000.0, []

    def clock(self):
        return self.now

    def pass_(self, seconds):
        self.sleeps.append(round(seconds, 9))
        self.now += seconds


class VirtualWaits(SyncWait):
    def __init__(self, time):
        self.time = time

    def sleep(self, seconds, call):
        self.time.pass_(seconds)


class VirtualAwaits(AsyncWait):
    def __init__(self, time):
        self.time = time

    async def sleep(self, seconds, call):
        self.time.pass_(seconds)


@dataclasses.dataclass
class Trace:
    """What a call did: equal on both fronts, or the architecture has failed."""

    text: str | None = None
    chunks: list | None = None
    reply: dict | None = None
    error: str | None = None
    facts: dict | None = None
    partial: str | None = None
    attempts: list | None = None
    sleeps: list | None = None
    hits: int = 0
    counted: int = 0


FACTS = ("status", "http_status", "code", "type", "phase", "retry_after", "retryable", "maybe_billed", "request_id")


def virtual(client, seed=7, time=None):
    """Put a client of either front on a time of the test's own, with a known random source."""
    time = time or VirtualTime()
    waits = VirtualWaits if isinstance(inner(client), llmnet.Client) else VirtualAwaits
    replace_parts(client, clock=time.clock, wall=lambda: 1_700_000_000.0, waits=waits(time))
    common_of(client).rng = random.Random(seed)
    return time


def trace_of(client, time, server, result, error, chunks, before):
    meta = (error.meta if isinstance(error, llmnet.LLMNetError) else result.meta) or llmnet.Meta()
    trace = Trace(
        attempts=[(a.status, a.cause, round(a.wait, 9), a.sent, a.transparent) for a in meta.attempts],
        sleeps=time.sleeps,
        hits=server.request_count - before,
        counted=client.request_count,
        chunks=chunks,
    )
    if error is not None:
        trace.error = type(error).__name__
        trace.facts = {name: getattr(error, name, None) for name in FACTS}
        partial = getattr(error, "partial", None)
        trace.partial = None if partial is None else partial.content
        trace.text = getattr(error, "message", str(error)).replace(str(server.port), "PORT")
        lost = isinstance(error, llmnet.APIConnectionError | llmnet.IncompleteStreamError)
        if lost or "the rules of HTTP" in trace.text:
            trace.text = trace.text.partition(": ")[0]  # what follows is the library's own word
    else:
        trace.text = result.content
        trace.reply = {
            "usage": result.usage,
            "finish": result.finish_reason,
            "native": result.native_finish_reason,
            "tools": result.tool_calls,
            "reasoning": result.reasoning,
            "refusal": result.refusal,
            "message": result.message,
            "model": result.model,
        }
    return trace


def normal_ids(trace):
    """The fake server numbers its replies; numbers differ between runs, not between fronts."""
    if trace.facts:
        trace.facts["request_id"] = bool(trace.facts["request_id"])
    return trace


def run_sync(server, fields, *, stream=False, messages="Hello there, world", **params):
    before = server.request_count
    with llmnet.Client(**fields) as client:
        time = virtual(client)
        result = error = None
        chunks = [] if stream else None
        try:
            if stream:
                with client.stream_chat(messages, **params) as opened:
                    for chunk in opened:
                        chunks.append(
                            (chunk.content, chunk.reasoning, chunk.tool_calls, chunk.finish_reason, chunk.usage)
                        )
                    result = opened.response
            else:
                result = client.chat(messages, **params)
        except Exception as caught:
            error = caught
        return normal_ids(trace_of(client, time, server, result, error, chunks, before))


async def _run_async(server, fields, stream, messages, params):
    before = server.request_count
    async with llmnet.AsyncClient(**{"transport": ENGINE, **fields}) as client:
        time = virtual(client)
        result = error = None
        chunks = [] if stream else None
        try:
            if stream:
                async with client.stream_chat(messages, **params) as opened:
                    async for chunk in opened:
                        chunks.append(
                            (chunk.content, chunk.reasoning, chunk.tool_calls, chunk.finish_reason, chunk.usage)
                        )
                    result = opened.response
            else:
                result = await client.chat(messages, **params)
        except Exception as caught:
            error = caught
        return normal_ids(trace_of(client, time, server, result, error, chunks, before))


def run_async(server, fields, *, stream=False, messages="Hello there, world", **params):
    return asyncio.run(_run_async(server, fields, stream, messages, params))


FRONTS = {"sync": run_sync, "async": run_async}
