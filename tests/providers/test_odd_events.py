"""No odd event, label or end spoils a complete reply: what is neither output nor an error is ignored."""

import gzip
import json
import socket
import struct
import threading

import pytest
from support.live import PROMPT, at_port
from support.replies import (
    DONE,
    HEAD,
    STREAM_HEAD,
    block,
    chunk,
    chunked,
    completed,
    completion,
    events,
    form,
    output,
    peer,
    read_whole,
    receive,
    started,
    stopped,
    streamed,
)

import llmnet
from llmnet.core.errors import APIStatusError, IncompleteStreamError, InvalidResponseError, RateLimitError
from llmnet.core.event_reader import apart
from llmnet.core.http import Headers
from llmnet.core.outcome import AttemptError
from llmnet.core.reply_reader import ReplyReader
from llmnet.core.sse import ServerSentEvent
from llmnet.providers.target import CHAT, MESSAGES, NATIVE, RESPONSES

HELLO = {
    CHAT: [chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk(finish="stop"), DONE],
    RESPONSES: [
        {"type": "response.output_text.delta", "delta": "Hel"}, {"type": "response.output_text.delta", "delta": "lo"}, completed(usage={"input_tokens": 1}),
    ],
    MESSAGES: [started(), *block(0, *({"type": "text_delta", "text": text} for text in ("Hel", "lo")), type="text", text=""), *stopped()],
    NATIVE: [output({"content": "Hel"}, "null"), output({"content": "lo"})],
}  # fmt: skip
HEARTBEATS = [
    "ping", "heartbeat 2026-11-30T03:00:00Z", ": OPENROUTER PROCESSING", "null", "7", '"alive"', "[]", "{}", '{"type": "ping"}', "<keepalive>", "[PING]",
    b"event: ping\ndata: tick\n\n", b"event: keepalive\ndata:\n\n", b": comment\n\n", b"data: ping\ndata: pong\n\n", b"hello\n\n",
]  # fmt: skip


@pytest.mark.parametrize("heartbeat", HEARTBEATS, ids=range(len(HEARTBEATS)))
@pytest.mark.parametrize("name", HELLO)
def test_heartbeats_are_ignored(name, heartbeat):
    sent_events = [event for one in HELLO[name] for event in (heartbeat, one)]
    assert streamed(form(name), *sent_events).content == "Hello"


@pytest.mark.parametrize("name", HELLO)
def test_a_text_between_control_characters_is_no_text(name):
    reply = streamed(form(name), '\0"Bye"\0', *HELLO[name], '\0"Bye"\0')
    assert reply.content == "Hello"


def test_a_text_that_stands_twice_in_an_event_is_read_where_it_counts():
    delta = {"reasoning": "no", "reasoning_content": "another text"}
    said = [chunk(delta), chunk(delta | {"reasoning": "nor this"}), chunk(finish="stop"), DONE]
    assert streamed(form(), *said).reasoning == "another text" * 2


def test_a_reply_that_says_nothing_is_counted_behind_its_end():
    count = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}}
    body = events(chunk({"role": "assistant", "content": ""}), count, chunk(finish="stop"), count, DONE)
    chunks, reply = receive(form(), body, stream=True, kind="text/event-stream")
    assert [(one.finish_reason, one.usage is not None) for one in chunks] == [("stop", False), (None, True)]
    assert (reply.content, reply.usage.input_tokens) == ("", 3)


def test_json_is_no_stream_wherever_it_is_cut():
    body = json.dumps(completion(message={"content": "data: [DONE]\n: ping"})).encode()
    for at in range(len(body)):
        reader = ReplyReader(form())
        reader.open(200, Headers({"content-type": "application/json"}))
        reader.feed(body[:at])
        assert read_whole(reader, body[at:]).content == "data: [DONE]\n: ping"


def test_coded_json_is_whole_where_its_coding_is():
    body, head = (
        gzip.compress(json.dumps(completion(message={"content": "Hello"})).encode()),
        {"content-encoding": "gzip"},
    )
    reader, cut = ReplyReader(form()), ReplyReader(form())
    for one in (reader, cut):
        one.open(200, Headers(head))
    assert read_whole(reader, body).content == "Hello"
    with pytest.raises(AttemptError):
        read_whole(cut, body[:-4])


@pytest.mark.parametrize("name", HELLO)
def test_a_stream_of_which_nothing_can_be_read_is_an_error(name):
    assert isinstance(streamed(form(name), "ping", "ping"), IncompleteStreamError)


@pytest.mark.parametrize("name", HELLO)
@pytest.mark.parametrize("spoilt", ['{"choices": [{"del', "{", "{oops", '{"x": NaN}'])
def test_output_that_is_spoilt_is_none_that_may_be_passed_over(name, spoilt):
    first, *rest = HELLO[name]
    assert isinstance(streamed(form(name), first, spoilt, *rest), InvalidResponseError)


@pytest.mark.parametrize("name", HELLO)
def test_an_error_need_not_be_json(name):
    error = streamed(form(name), HELLO[name][0], b"event: error\ndata: Too many requests today\n\n")
    assert isinstance(error, APIStatusError)
    assert "Too many requests today" in str(error)


# -- events parted by one line feed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("name", HELLO)
def test_events_parted_by_one_line_feed(name, end):
    body = events(*HELLO[name]).replace(b"\n\n", b"\n").replace(b"\n", end)
    chunks, reply = receive(form(name), body, stream=True, kind="text/event-stream")
    assert (reply.content, [str(c) for c in chunks if str(c)]) == ("Hello", ["Hel", "lo"])


def test_an_error_among_events_parted_by_one_line_feed():
    sent_events = chunk({"content": "Hel"}), {"error": {"message": "slow", "code": 429}}, DONE
    body = events(*sent_events).replace(b"\n\n", b"\n") + b"\n"
    chunks, error = receive(form(), body, stream=True, kind="text/event-stream")
    assert (str(chunks[0]), type(error)) == ("Hel", RateLimitError)


def test_events_apart():
    pretty = ServerSentEvent(data='{\n"a": 1\n}')
    two = ServerSentEvent(event="b", data='{"a": 1}\n{"b": 2}', id="7", comments=("x",))
    assert apart(pretty) == []
    assert apart(two) == [
        ServerSentEvent(data='{"a": 1}', id="7"),
        ServerSentEvent(event="b", data='{"b": 2}', id="7", comments=("x",)),
    ]


# -- labels -----------------------------------------------------------------------------------------------------------

LABELS = ["application/json", "text/plain", "application/octet-stream", ""]


@pytest.mark.parametrize("opening", [b"", b"\n\n", b"\xef\xbb\xbf", b": hello\n\n"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("name", HELLO)
def test_a_stream_by_another_name(name, kind, stream, opening):
    _, reply = receive(form(name), opening + events(*HELLO[name]), stream=stream, kind=kind)
    assert reply.content == "Hello"


def test_a_stream_by_another_name_breaks_off_as_one():
    body = events(chunk({"content": "Hel"}))
    for stream in (False, True):
        _, error = receive(form(), body, stream=stream, kind="application/json")
        assert isinstance(error, IncompleteStreamError)


def test_json_that_is_called_a_stream():
    body = json.dumps(completion({"content": "Hello"}), indent=1).encode()
    chunks, reply = receive(form(), body, stream=True, kind="text/event-stream")
    assert (str(chunks[0]), reply.content, reply.finish_reason) == ("Hello", "Hello", "stop")
    _, error = receive(form(), b'{"error": {"message": "slow", "code": 429}}', stream=True, kind="text/event-stream")
    assert isinstance(error, RateLimitError)


@pytest.mark.parametrize("text", [b"error: nobody is here", b"internal error", b"<html>data: x</html>", b"de"])
def test_a_text_is_no_stream(text):
    for kind in LABELS:
        _, error = receive(form(), text, stream=False, kind=kind)
        assert isinstance(error, InvalidResponseError)
        assert text.decode() in str(error)


def test_a_stream_by_another_name_on_both_fronts(front):
    body = events(*HELLO[CHAT])
    reply = HEAD % b"application/json" + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with peer(lambda c: c.sendall(reply)) as port, front.client(**at_port(port)) as client:
        assert client.chat("hi").content == "Hello"
        assert [str(c) for c in client.stream_chat("hi")] == ["Hel", "lo", ""]


# -- what is lost after the finish ------------------------------------------------------------------------------------

HELLO_CHUNK, FINISHED = chunk({"content": "Hello"}), chunk(finish="stop")
BODY = events(HELLO_CHUNK, FINISHED)
ENDS = {
    "chunked, EOF": STREAM_HEAD + chunked(BODY),
    "chunked, EOF inside a size": STREAM_HEAD + chunked(BODY) + b"1",
    "chunked, EOF inside a chunk": STREAM_HEAD + b"FFF\r\n" + BODY,
    "a length that is not reached": HEAD % b"text/event-stream" + b"Content-Length: 9999\r\n\r\n" + BODY,
    "no length": HEAD % b"text/event-stream" + b"\r\n" + BODY,
    "EOF inside an event": HEAD % b"text/event-stream" + b"\r\n" + BODY + b'data: {"id": "c-1", "usa',
    "chunked, EOF inside an event": STREAM_HEAD + chunked(BODY + b'data: {"id": "c-1", "usa'),
    "gzip without its last bytes": (
        STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + chunked(gzip.compress(BODY)[:-8])
    ),
}  # fmt: skip


@pytest.mark.parametrize("reply", ENDS.values(), ids=ENDS)
def test_a_reply_that_has_finished_is_complete_however_its_connection_ends(front, reply):
    with peer(lambda c: c.sendall(reply)) as port, front.client(**at_port(port, max_retries=0)) as client:
        chunks = list(stream := client.stream_chat("hi"))
        assert ([str(c) for c in chunks], stream.response.finish_reason) == (["Hello", ""], "stop")
        assert [attempt.cause for attempt in stream.meta.attempts] == [None]
        # A plain request that is answered by a stream is no different.
        assert client.chat("hi").content == "Hello"


@pytest.mark.parametrize("finished", [True, False])
def test_a_reset(front, finished):
    first_read = threading.Event()

    def serve(connection):
        connection.sendall(STREAM_HEAD + chunked(events(HELLO_CHUNK, *([FINISHED] if finished else []))))
        first_read.wait(PROMPT)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with peer(serve) as port, front.client(**at_port(port, max_retries=0)) as client:
        stream = iter(client.stream_chat("hi"))
        sent_events = [next(stream) for _ in range(1 + finished)]
        first_read.set()
        if not finished:
            with pytest.raises(llmnet.IncompleteStreamError):
                next(stream)
            return
        assert list(stream) == []
        assert ("".join(map(str, sent_events)), stream.response.content) == ("Hello", "Hello")


@pytest.mark.parametrize(
    "reply", [STREAM_HEAD + chunked(events(HELLO_CHUNK)), STREAM_HEAD + b"FFF\r\n" + events(HELLO_CHUNK)]
)
def test_without_a_finish_a_lost_stream_is_not_complete(front, reply):
    with (
        peer(lambda c: c.sendall(reply)) as port,
        front.client(**at_port(port, max_retries=0)) as client,
        pytest.raises(llmnet.IncompleteStreamError) as caught,
    ):
        list(client.stream_chat("hi"))
    assert caught.value.partial.content == "Hello"


def test_a_finish_is_no_excuse_for_silence(front):
    quiet = threading.Event()

    def serve(connection):
        connection.sendall(STREAM_HEAD + chunked(BODY))
        quiet.wait(PROMPT)

    timeout = llmnet.Timeout(idle=0.1)
    with peer(serve) as port, front.client(**at_port(port, max_retries=0, timeout=timeout)) as client:
        with pytest.raises(llmnet.APITimeoutError) as caught:
            list(client.stream_chat("hi"))
        quiet.set()
    assert caught.value.partial.content == "Hello"
