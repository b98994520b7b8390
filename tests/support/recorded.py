"""Recorded traffic of real services, and what must be read from it; tests skip with a reason where it is missing."""

import functools
import gzip
import itertools
import json
import os
import pathlib
import random
import re

import pytest
from support.paths import SHARED

from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError
from llmnet.core.reply_reader import ReplyReader

FOLDER = pathlib.Path(os.environ.get("LLMNET_RECORDED") or SHARED / "recorded")
HERE = (FOLDER / "MANIFEST.json").is_file()

needs_recordings = pytest.mark.skipif(
    not HERE, reason=f"no recorded traffic at {FOLDER}; set LLMNET_RECORDED to the folder that holds MANIFEST.json"
)

# How a stream that was recorded to its end looks; one that does not was cut.
_TERMINAL = re.compile(
    rb'\[DONE\]|message_stop|response\.(completed|incomplete|failed)|"finish_reason"\s*:\s*"(?!null")|"fininshed"\s*:\s*"?true'
)


@functools.cache
def _manifest():
    found = json.loads((FOLDER / "MANIFEST.json").read_bytes()) if HERE else []
    return found if isinstance(found, list) else found["rows"]


def rows(provider, *apis):
    """The rows of a provider's APIs (all of them if none is named), but for bodies that only brotli can read."""
    return [
        row
        for row in _manifest()
        if row["provider"] == provider and (not apis or row["api"] in apis) and row.get("content_encoding") != "br"
    ]


def name(row):
    """A short name of a row, for `ids=`."""
    return row["file"].rpartition("/")[2][:90]


def body(row):
    """The body of a reply, without its content encoding."""
    data = (FOLDER / row["file"]).read_bytes()
    return gzip.decompress(data) if row.get("content_encoding") == "gzip" else data


def headers(row):
    """The headers of a reply, as `ReplyReader.open` takes them; the content encoding is gone."""
    meta = json.loads((FOLDER / row["meta"]).read_bytes())
    drop = {"content-encoding", "content-length", "transfer-encoding"}
    found = [(key, value) for key, value in meta.get("response_headers", []) if key.lower() not in drop]
    kind = "text/event-stream" if row["stream"] else "application/json"
    has_type = any(key.lower() == "content-type" for key, _ in found)
    return Headers(found if has_type else [*found, ("content-type", kind)])


def was_cut(row):
    """Whether a stream was recorded without its terminal event."""
    return bool(row["stream"] and not row.get("error_in_200") and not _TERMINAL.search(body(row)))


def check(row, reply):
    """The list of differences between a reply and what its row expects."""
    expected = row["expected"]
    text, reasoning = expected.get("text"), expected.get("reasoning")
    pairs = {
        "finish": (expected.get("finish_reason"), reply.native_finish_reason),
        "text": (text if isinstance(text, str) else None, reply.content),
        "reasoning": (reasoning.strip() if isinstance(reasoning, str) else None, (reply.reasoning or "").strip()),
        "refusal": (expected.get("refusal") or None, reply.refusal),
        "id": (expected.get("id") or None, reply.id),
    }
    bad = [f"{what} {got!r}, not {want!r}" for what, (want, got) in pairs.items() if want is not None and want != got]
    return bad + _check_calls(row, reply) + _check_usage(expected.get("usage") or {}, reply.usage)


def _check_calls(row, reply):
    expected = row["expected"]
    calls = expected.get("tool_calls") or ([expected["function_call"]] if expected.get("function_call") else [])
    want = [(call.get("name"), _value(call.get("arguments"))) for call in calls]
    got = [(call.name, _value(call.arguments)) for call in reply.tool_calls]
    return [f"tools {got}, not {want}"] if want != got and (want or row["api"] != "responses") else []


def _value(arguments):
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return json.loads(arguments) if arguments.strip() else {}
    except ValueError:
        return arguments


def _check_usage(want, got):
    """Input includes what was read from and written to the cache, whoever counts it apart (Anthropic does)."""

    def first(*names):
        return next((want[key] for key in names if isinstance(want.get(key), int)), None)

    tokens_in, tokens_out = first("prompt_tokens", "input_tokens"), first("completion_tokens", "output_tokens")
    if tokens_in is not None and "prompt_tokens" not in want:
        tokens_in += (want.get("cache_read_input_tokens") or 0) + (want.get("cache_creation_input_tokens") or 0)
    pairs = (("input_tokens", tokens_in), ("output_tokens", tokens_out))
    return [f"usage.{key} {getattr(got, key)}, not {n}" for key, n in pairs if n is not None and getattr(got, key) != n]


def replay(form, row, pieces):
    """A reply that arrives in pieces: its chunks, and its value or the error that ended it."""
    exchange = ReplyReader(form, stream=row["stream"])
    chunks = []
    if exchange.open(row["status"], headers(row)) == "error":
        return chunks, exchange.fail(b"".join(pieces))
    try:
        for piece in pieces:
            chunks += exchange.feed(piece)
            while exchange.behind:  # as the fronts do: what came before an error is handed out
                chunks += exchange.feed(b"")
        chunks += exchange.end()
    except AttemptError as fault:
        return chunks, fault.outcome.error
    return chunks, exchange.value


def facts(result):
    """What can be compared: of an error, its class, text and status."""
    chunks, value = result
    return chunks, (type(value), str(value), value.status) if isinstance(value, Exception) else value


def cut(data, *places):
    """Data in pieces, cut at some places."""
    edges = [0, *sorted(places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def every_cut(data, first=8192, beyond=500):
    """Every place of the first bytes, and random ones beyond."""
    seeded, rest = random.Random(len(data)), range(first, len(data))
    return [*range(1, min(first, len(data))), *seeded.sample(rest, min(beyond, len(rest)))]


def differing(form, row, cuts):
    """Those ways to cut a stream into pieces, each given by its places, after which it is read otherwise than whole."""
    data = body(row)
    whole = facts(replay(form, row, [data]))
    return [places for places in cuts if facts(replay(form, row, cut(data, *places))) != whole]


def some_cuts(data, size):
    """Into single bytes; and at some places by chance, so often that about `size` bytes are read in all."""
    chance = random.Random(len(data))
    yield range(1, len(data))
    for _ in range(max(20, size // len(data))):
        yield chance.sample(range(1, len(data)), chance.choice((1, 1, 2, 5, 40)))


ODD = (None, True, 0, -1, 7.5, "", "x", [], [None], ["x"], {}, {"x": 1}, [[]], "\ud83d")


def spoiled(text, stream, chance):
    """A reply in which some values are others than promised."""
    if not stream:
        return json.dumps(_spoiled(json.loads(text), chance))
    lines = [line.partition("data:") for line in text.split("\n")]
    data = [_spoil_line(rest, chance) if line == "" and mark else rest for line, mark, rest in lines]
    return "\n".join(line + mark + new for (line, mark, _), new in zip(lines, data, strict=True))


def _spoil_line(text, chance):
    try:
        return json.dumps(_spoiled(json.loads(text), chance))
    except ValueError:
        return text


def _spoiled(value, chance):
    if chance.random() < 0.01:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {key: _spoiled(item, chance) for key, item in value.items()}
    return [_spoiled(item, chance) for item in value] if isinstance(value, list) else value
