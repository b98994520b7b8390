"""Rows 38-56 of the fault matrix: waiting for the head, the head itself, redirects."""

from matrix.case import LOW, ONCE, THRICE, Expect, Row, skipping
from support.live import at

import llmnet
from llmnet.testing import Reply, fault

LOST, LATE, BAD = llmnet.APIConnectionError, llmnet.APITimeoutError, llmnet.InvalidResponseError
BODY = b'{"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}'
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(BODY)


def before(head):
    return Reply(raw=head + PLAIN + b"\r\n" + BODY)


def half_a_head_on_a_kept_connection(front, server):
    server.script("one", fault("eof-in-head"), "two")
    with front.client(**at(server)) as client:
        skipping(front, client)
        assert client.chat("a").content == "one"
        reply = client.chat("b")
        assert reply.content == "two"
        assert [attempt.sent for attempt in reply.meta.attempts] == [True, True]
        assert client.request_count == server.request_count == 3


def never_follows(number, name, location):
    return Row(
        number=number, phase="redirect", fault=name, stream=(False, True),
        script=(fault("redirect", headers={"location": location}),),
        expect=Expect(error=llmnet.APIStatusError, status=307, sent=1, connections=1),
    )  # fmt: skip


ROWS = [
    Row(
        number=38, phase="wait", fault="FIN before the head", stream=(False, True), script=(fault("eof-before-head"),) * 9,
        expect=Expect(error=LOST, phase="response", sent=4, waits=THRICE, connections=4),
    ),
    Row(
        number=39, phase="wait", fault="RST before the head", stream=(False, True), script=(fault("reset-before-head"),) * 9,
        expect=Expect(error=LOST, phase="response", sent=4, waits=THRICE, connections=4),
    ),
    Row(
        number=40, phase="wait", fault="hang", stream=(False, True), script=(fault("silent"),) * 9, fields={"timeout": LOW},
        expect=Expect(error=LATE, phase="response", sent=4, waits=THRICE, connections=4, billed=True),
    ),
    Row(
        number=44, phase="head", fault="garbage", script=(fault("garbage-head"),) * 9, stream=(False, True),
        expect=Expect(error=BAD, sent=2, waits=ONCE, connections=2, billed=True),
    ),
    Row(
        number=44, phase="head", fault="binary garbage", stream=(False, True), script=(fault("binary-head"),),
        expect=Expect(sent=2, waits=ONCE),
    ),
    Row(
        number=45, phase="head", fault="FIN inside the head", script=(fault("eof-in-head"),) * 9,
        expect=Expect(error=LOST, phase="response", sent=4, waits=THRICE),
    ),
    Row(number=45, phase="head", fault="FIN inside the second head", play=half_a_head_on_a_kept_connection),
    Row(
        number=46, phase="head", fault="103 before 200", script=(before(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),),
        expect=Expect(text="Hi", sent=1),
    ),
    Row(
        number=47, phase="head", fault="100 before 200", script=(before(b"HTTP/1.1 100 Continue\r\n\r\n"),),
        expect=Expect(text="Hi", sent=1),
    ),
    Row(
        number=49, phase="head", fault="200 KB header", script=(fault("giant-header"),) * 9,
        expect=Expect(error=BAD, sent=2, waits=ONCE, connections=2, billed=True),
    ),
    Row(
        number=50, phase="head", fault="two lengths", script=(fault("two-lengths"),) * 9,
        expect=Expect(error=BAD, sent=2, waits=ONCE, connections=2, billed=True),
    ),
    Row(
        number=52, phase="head", fault="no latin-1, folded", script=(
            Reply(raw=PLAIN + "x-word: 世界\r\nx-fold: a\r\n b\r\n\r\n".encode() + BODY),
        ), expect=Expect(text="Hi", sent=1),
    ),
    Row(
        number=53, phase="head", fault="status 799", stream=(False, True), script=(fault("unknown-status"),),
        expect=Expect(error=llmnet.APIStatusError, status=799, sent=1),
    ),
    never_follows(54, "307 same origin", "/v1/other"),
    never_follows(55, "to another host", "http://127.0.0.1:9/v1"),
    never_follows(56, "loop", "/v1/chat/completions"),
]  # fmt: skip
