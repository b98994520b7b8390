"""Recorded traffic of all vendors through both clients over a real socket, byte by byte."""

import asyncio

import pytest
from support.recorded import HERE, body, check, name, needs_recordings, rows, was_cut
from support.recorded import headers as recorded_headers

import llmnet
from llmnet.testing import Reply

pytestmark = needs_recordings

# (provider, api of the recording) -> fields of the client; those that are not built are not here.
APIS = {
    ("openai", "chat-completions"): {"provider": "openai"},
    ("openai", "responses"): {"provider": "openai", "api": "responses"},
    ("azure", "chat-completions"): {"provider": "azure"},
    ("azure", "responses"): {"provider": "azure", "api": "responses"},
    ("dashscope", "chat-completions"): {"provider": "dashscope"},
    ("dashscope", "native-generation"): {"provider": "dashscope", "api": "native"},
    ("qianfan", "v2"): {"provider": "qianfan"},
    ("anthropic", "messages"): {"provider": "anthropic"},
    ("openai-compatible", "chat-completions"): {"provider": "openai"},
}
KINDS = ("chat", "stream", "responses", "error")
CASES = [row for provider, api in APIS for row in rows(provider, api) if row["kind"] in KINDS] if HERE else []


def reply_of(row):
    sent = {key: value.replace("\n", " ") for key, value in recorded_headers(row).items() if key.isascii()}
    return Reply(status=row["status"], body=body(row), headers=sent, split=1 if row["stream"] else None)


def fields(row, server):
    path = {"anthropic": ""}.get(row["provider"], "/x")
    return {
        **APIS[row["provider"], row["api"]],
        "base_url": server.url + path,
        "api_key": "sk-test",
        "model": "m",
        "max_retries": 0,
    }


def replay_sync(row, server):
    with llmnet.Client(**fields(row, server)) as client:
        if not row["stream"]:
            return client.chat("hi"), None
        with client.stream_chat("hi") as stream:
            text = "".join(chunk.content for chunk in stream)
        return stream.response, text


async def replay_async(row, server):
    async with llmnet.AsyncClient(**fields(row, server)) as client:
        if not row["stream"]:
            return await client.chat("hi"), None
        async with client.stream_chat("hi") as stream:
            text = "".join([chunk.content async for chunk in stream])
        return stream.response, text


FRONTS = {"sync": replay_sync, "async": lambda row, server: asyncio.run(replay_async(row, server))}


@pytest.mark.slow
@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("row", CASES, ids=name)
def test_recorded_traffic(row, front, server):
    server.script(reply_of(row))
    expected = row["expected"]
    if was_cut(row):
        with pytest.raises(llmnet.IncompleteStreamError) as caught:
            FRONTS[front](row, server)
        partial = caught.value.partial
        assert (partial.content if partial else "") == (expected.get("text") or "")
    elif row["kind"] == "error" or row.get("error_in_200"):
        with pytest.raises((llmnet.APIStatusError, llmnet.InvalidResponseError)) as caught:
            FRONTS[front](row, server)
        error = expected.get("error") or {}
        message = error.get("message") if isinstance(error, dict) else None
        assert not message or str(message)[:60] in str(caught.value)
    else:
        reply, text = FRONTS[front](row, server)
        # One recording's deltas differ from its final text: what was returned cannot be taken back.
        text = expected.get("text_from_deltas", expected.get("text"))
        assert check({**row, "expected": {**expected, "text": text}}, reply) == []
        assert text is None or text == reply.content
