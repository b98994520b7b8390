"""Rows 100-108 of the fault matrix: what streams must bear, from the wire and from their consumer."""

import itertools
import json
import math

import pytest
from matrix.case import Expect, Row, SkippedTime
from support.fronts import virtual
from support.inside import connections_of
from support.live import WORDS, at, content, eventually, slots

import llmnet
from llmnet.core.sse import MAX_EVENT_BYTES
from llmnet.testing import Reply, fault

STREAM = (True,)
EVENTS = {"content-type": "text/event-stream"}
# At none of these does a line end, whatever Python's `splitlines` holds; JSON may carry those below U+0020 escaped.
SPACES = "a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1ee"
PROMPTLY = 10  # seconds: with work that grows with the square of a line it would be minutes


def event(text, **more):
    said = {"index": 0, "delta": {"content": text}, **more}
    return "data: " + json.dumps({"choices": [said]}, ensure_ascii=False) + "\n\n"


def says(*texts):
    return [*map(event, texts), event("", finish_reason="stop"), "data: [DONE]\n\n"]


def whole(number, name, reply, text, **expect):
    return Row(
        number=number, phase="stream", fault=name, script=(reply,), stream=STREAM,
        expect=Expect(text=text, sent=1, connections=1, **expect),
    )  # fmt: skip


def promptly(seen):
    return seen.reply.meta.elapsed < PROMPTLY


def raw(number, name, events, text, **more):
    return whole(number, name, Reply(headers=EVENTS, events=events, **more), text)


# -- row 104: ends of lines ---------------------------------------------------------------------------------------------


def mixed(*ends):
    """Each line of a stream ends in the next of some ways to end one; a false end would tear an event's two lines."""
    turns = itertools.cycle(ends)
    said = "".join(["\ufeff", ": hello\n", *says("Grüße, ", "世界 ", "🌍!")])
    lines = said.replace('"choices": [', '"choices":\ndata: [').split("\n")
    return "".join(line + next(turns) for line in lines[:-1]).encode()


# A CR and an LF that follow each other are one end, not two: mixed ends never have them side by side.
ENDS = {"LF": ["\n"], "CR": ["\r"], "CRLF": ["\r\n"], "mixed": ["\r\n", "\r", "\r\n", "\n", "\n", "\r", "\r"]}
LONG = "x" * (4 << 20)


# -- row 107: a slow consumer -------------------------------------------------------------------------------------------


def reads_slowly(front, server):
    """The server is made to wait, what it has said is not piled up, and the consumer's time is no silence of its own."""
    piece, said = "x" * 65536, []
    server.script(Reply(headers=EVENTS, events=(said.append(n) or event(piece) for n in itertools.count())))
    with front.client(**at(server, timeout=llmnet.Timeout(idle=5, total=math.inf))) as client:
        time = SkippedTime()
        virtual(client, time=time)
        with client.stream_chat("Hi") as stream:
            for _ in range(3):
                assert next(stream).content == piece
                eventually(lambda: any(one._blocked for one in connections_of(server)))  # private: the server waits
                time.now += 3600
                assert len(said) * len(piece) < 64 << 20
        assert slots(client) == 0
    eventually(lambda: server.active == 0)


# -- row 108: a consumer that leaves ------------------------------------------------------------------------------------


def leaves(how):
    """Whatever ends the loop, slot and connection come back at once, and it is the consumer's own affair."""

    def play(front, server):
        server.script(Reply(text=WORDS, hold="body"))
        with front.client(**at(server, max_concurrent=1)) as client:
            how(client)
            assert slots(client) == 0
            eventually(lambda: server.active == 0 and not connections_of(server))
            assert client.chat("next").content == "next"
            assert (client.request_count, server.connections) == (2, 2)

    return play


def breaks(client):
    with client.stream_chat("Hi") as stream:
        for _ in stream:
            break


def raises(client):
    mine = ZeroDivisionError("mine")

    def consume():
        with client.stream_chat("Hi") as stream:
            for _ in stream:
                raise mine

    with pytest.raises(ZeroDivisionError) as caught:
        consume()
    assert caught.value is mine
    assert mine.__context__ is None


def generator_exits(client):
    def words():
        with client.stream_chat("Hi") as stream:
            for chunk in stream:
                yield chunk.content

    generator = words()
    assert next(generator) == "one"
    generator.close()


def reset_afterwards(front, server):
    server.script(fault("stream-reset-after"), "next")
    with front.client(**at(server)) as client:
        stream = client.stream_chat("Hi")
        assert content(stream) == stream.response.content == WORDS
        assert client.chat("Hi").content == "next"
        assert [len(stream.meta.attempts), client.request_count, server.connections] == [1, 2, 2]


ROWS = [
    Row(number=100, phase="stream", fault="RST after its end", play=reset_afterwards),
    whole(102, "a line of 4 MiB", Reply(headers=EVENTS, events=says(LONG)), LONG, holds=promptly),
    Row(
        number=102, phase="stream", fault="a line above the limit", stream=STREAM,
        script=(Reply(headers=EVENTS, events=says("one", "x" * MAX_EVENT_BYTES)), "Hi"),
        expect=Expect(error=llmnet.InvalidResponseError, text="one", sent=1, says="longer than", connections=1),
    ),
    *(raw(104, f"lines end in {name}", [mixed(*ends)], "Grüße, 世界 🌍!") for name, ends in ENDS.items()),
    *(raw(104, f"{name} at every byte", [mixed(*ends)], "Grüße, 世界 🌍!", split=1) for name, ends in ENDS.items()),
    raw(105, "spaces that end no line", [f": {SPACES}\x0bdata: {{\u2028data: {{\n", *says(*SPACES, SPACES)], SPACES * 2),
    Row(number=107, phase="stream", fault="a slow consumer", play=reads_slowly),
    Row(number=108, phase="stream", fault="the consumer breaks", play=leaves(breaks)),
    Row(number=108, phase="stream", fault="the consumer raises", play=leaves(raises)),
    Row(number=108, phase="stream", fault="the consumer is a generator that is closed", play=leaves(generator_exits)),
]  # fmt: skip
