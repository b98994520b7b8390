"""Rows 84, 87, 89 and 91 of the fault matrix: chunks of impossible sizes, bodies that swell, odd bytes, a slow line."""

import json
import tracemalloc

import pytest
from matrix.case import KEY, ONCE, THRICE, Expect, Row
from support.live import at

import llmnet
from llmnet.testing import Reply, fault

LOST, BAD, CUT = llmnet.APIConnectionError, llmnet.InvalidResponseError, llmnet.IncompleteStreamError
JSON, EVENTS = {"content-type": "application/json"}, {"content-type": "text/event-stream"}
MIB, IDLE = 1 << 20, 1.0


def chunk(name, script, sent=2, waits=ONCE):
    """What is no size is asked for once more; what is one, and never comes to its end, is a lost connection."""
    return Row(
        number=84, phase="body", fault=name, script=(fault(script),) * 9,
        expect=Expect(error=LOST, phase="body", sent=sent, waits=waits, connections=sent, billed=True),
    )  # fmt: skip


def bomb(kind, most):
    """Half a megabyte becomes 512: what is held meanwhile is bounded, and it is not asked for again."""

    def play(front, server):
        stream = kind == "text/event-stream"
        server.script(*[fault("gzip-bomb", headers={"content-encoding": "gzip", "content-type": kind})] * 2)
        with front.client(**at(server, api_key=KEY)) as client:
            tracemalloc.start()
            try:
                with pytest.raises(BAD, match="longer than"):
                    list(client.stream_chat("Hi")) if stream else client.chat("Hi")
                assert tracemalloc.get_traced_memory()[1] < most
            finally:
                tracemalloc.stop()
        assert server.request_count == 1

    return play


# -- odd bytes ----------------------------------------------------------------------------------------------------------

# What stands in the content, byte for byte, and what is read of it.
ODD = {
    "invalid UTF-8": (b"a\xffb", "a\ufffdb"),
    "an overlong form": (b"a\xc0\xafb", "a\ufffd\ufffdb"),
    "an escaped NUL": (rb"a\u0000b", "a\0b"),
    "half a pair, escaped": (rb"a\ud83db", "a\ufffdb"),
    "half a pair, raw": (b"a\xed\xa0\xbdb", "a\ufffd\ufffd\ufffdb"),
    "a whole pair, escaped": (rb"a\ud83d\ude00b", "a😀b"),
    "a BOM inside": ("a\ufeffb".encode(), "a\ufeffb"),
}


def reply(content, name="message"):
    said = {"index": 0, name: {"role": "assistant", "content": "@"}, "finish_reason": "stop"}
    return json.dumps({"choices": [said]}).encode().replace(b"@", content)


def whole(content, before=b""):
    return Reply(headers=JSON, body=before + reply(content))


def streamed(content, before=b""):
    return Reply(headers=EVENTS, events=[before + b"data: " + reply(content, "delta") + b"\n\n", "data: [DONE]\n\n"])


def read(name, made, text, stream):
    return Row(
        number=89, phase="body", fault=name, script=(made,), stream=(stream,),
        expect=Expect(text=text, sent=1, holds=lambda seen: seen.text.encode()),
    )  # fmt: skip


def refused(name, made, stream):
    return Row(
        number=89, phase="body", fault=name, script=(made, "Hi"), stream=(stream,),
        expect=Expect(error=BAD, sent=1, says="no JSON", billed=True),
    )  # fmt: skip


def slow_line(stream, size):
    """A few bytes at a time, for longer in all than a silence may be: nothing is wrong with that."""
    return Row(
        number=91, phase="body", fault="slow line", stream=(stream,), script=(Reply(drip=0.035, split=size),),
        fields={"timeout": llmnet.Timeout(connect=10, response=IDLE, idle=IDLE, total=30)},
        expect=Expect(text="Hello there, world", sent=1, holds=lambda seen: seen.reply.meta.elapsed > IDLE),
    )  # fmt: skip


ROWS = [
    chunk("negative chunk size", "negative-chunk"),
    chunk("signed chunk size", "signed-chunk"),
    chunk("chunk size of 30 digits", "giant-chunk"),
    chunk("chunk of 256 TiB", "unfinished-chunk", 4, THRICE),
    Row(
        number=84, phase="stream", fault="bad chunk size", script=(fault("stream-bad-chunk"), "Hi"), stream=(True,),
        expect=Expect(error=CUT, text="one", sent=1, connections=1, billed=True),
    ),
    Row(number=87, phase="body", fault="gzip bomb", play=bomb("application/json", 72 * MIB)),
    Row(number=87, phase="status", fault="gzip bomb", script=(fault("gzip-bomb", status=400),), stream=(False, True),
        expect=Expect(error=llmnet.BadRequestError, sent=1, holds=lambda seen: len(seen.error.body) <= MIB)),
    Row(number=87, phase="stream", fault="gzip bomb", play=bomb("text/event-stream", 14 * MIB)),
    *(read(name, whole(odd), text, False) for name, (odd, text) in ODD.items()),
    *(read(name, streamed(odd), text, True) for name, (odd, text) in ODD.items()),
    read("a BOM", whole(b"Hi", b"\xef\xbb\xbf"), "Hi", False),
    read("a BOM", streamed(b"Hi", b"\xef\xbb\xbf"), "Hi", True),
    refused("a raw NUL", whole(b"a\0b"), False),
    refused("a raw NUL", streamed(b"a\0b"), True),
    slow_line(False, 8),
    slow_line(True, 32),
]  # fmt: skip
