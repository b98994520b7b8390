"""Both fronts come to one verdict on a reply whatever is broken in its head or in what frames its body."""

import contextlib
import os
import random
import socket
import threading

import pytest
from support.live import PROMPT, Async, Sync, at_port

import llmnet

SEED = os.environ.get("LLMNET_SEED", "the same each time")
BODY = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}'
EVENTS = [
    b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":%b}]}\n\n' % (word, end)
    for word, end in ((b"Hel", b"null"), (b"lo", b"null"), (b"", b'"stop"'))
] + [b"data: [DONE]\n\n"]


def whole(*lines, first=b"HTTP/1.1 200 OK", body=BODY, kind=b"application/json"):
    return b"\r\n".join([first, b"content-type: " + kind, *lines]) + b"\r\n\r\n" + body


def chunked(pieces):
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


LENGTH, CHUNKS = b"content-length: %d" % len(BODY), b"transfer-encoding: chunked"
REPLIES = [
    whole(b"server: x", LENGTH, b"x-request-id: r"),
    whole(LENGTH, first=b"HTTP/1.0 200 OK"),
    whole(b"connection: close"),
    whole(LENGTH, b"x-long: a\r\n b", b"set-cookie: a=b"),
    whole(CHUNKS, b"connection: keep-alive", body=chunked([BODY[:20], BODY[20:]])),
    whole(LENGTH, first=b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK"),
    whole(b"retry-after: 0", LENGTH, first=b"HTTP/1.1 400 Bad Request"),
    whole(CHUNKS, body=chunked(EVENTS), kind=b"text/event-stream"),
    whole(b"cache-control: no-cache", body=b"".join(EVENTS), kind=b"text/event-stream"),
]
LINES = [
    b"content-length: 5", b"content-length: 5, 5", b"content-length: -1", b"content-length: abc", b"content-length:",
    b"transfer-encoding: chunked", b"transfer-encoding: identity", b"transfer-encoding: gzip, chunked",
    b"transfer-encoding: chunked, gzip", b"transfer-encoding: chunked ", b"connection: close", b"connection: upgrade",
    b"upgrade: x", b"x-a : b", b"x y: z", b": v", b"novalue", b"x-nul: a\0b", b"x-cr: a\rb", b"\tfolded", b"x-high: \xff\xfe",
    b"content-encoding: br", b"x-long: " + b"a" * 140_000, b"trailer: x",
]  # fmt: skip
FIRST = [
    b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/2.0 200 OK",
    b"HTTP/0.9 200 OK", b"HTTP/1.2 200 OK", b"HTTP/5.1 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 abc OK",
    b"HTTP/1.1 200", b"HTTP/1.1  200 OK", b"http/1.1 200 OK", b"HTTP/1.1 99 Low", b"HTTP/1.1 799 High", b"ICY 200 OK", b"",
    b"HTTP/1.1 200 O\0K", b"HTTP/1.1 500 No", b"RTSP/1.0 200 OK",
]  # fmt: skip
BYTES = [*b"\r\n\t :;,-0159aAzZ\0\x7f\xff"]


def frame(reply):
    """Where bytes are broken: the head, and here and there what follows it."""
    return min(len(reply), reply.index(b"\r\n\r\n") + 12)


def at_random(rng, reply):
    where = rng.randrange(frame(reply))
    if rng.random() < 0.1:
        where = rng.randrange(len(reply))
    piece = rng.choice([b"", bytes([rng.choice(BYTES)]), bytes([rng.randrange(256)])])
    return reply[:where] + piece + reply[where + rng.randrange(2) :]


def with_line(rng, reply):
    lines = reply.split(b"\r\n")
    lines.insert(rng.randrange(1, max(2, lines.index(b"") if b"" in lines else 2)), rng.choice(LINES))
    return b"\r\n".join(lines)


def with_first(rng, reply):
    return rng.choice(FIRST) + reply[reply.index(b"\r\n") :]


def cut(rng, reply):
    return reply[: rng.randrange(len(reply) + 1)]


def other_ends(rng, reply):
    return reply.replace(b"\r\n", rng.choice([b"\n", b"\r", b"\n\r", b"\r\r\n"]), rng.choice([1, 2, -1]))


def twice(rng, reply):
    return reply + rng.choice([reply, b"\r\n", b"x", b"0\r\n\r\n"])


WAYS = [at_random] * 6 + [with_line] * 5 + [with_first] * 2 + [cut, other_ends, twice]


def broken(number):
    """A reply, broken in one way or two."""
    rng = random.Random(f"{SEED} {number}")
    reply = rng.choice(REPLIES)
    for _ in range(rng.choice([1, 1, 2])):
        with contextlib.suppress(ValueError):  # an earlier way has taken what this one looks for
            reply = rng.choice(WAYS)(rng, reply)
    return reply


class Server:
    """Answers every request with the reply of the moment, and hangs up."""

    def __init__(self):
        self.reply, self.asked = b"", 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with sock, contextlib.suppress(OSError):
                    self._answer(sock)

    def _answer(self, sock):
        sock.settimeout(PROMPT)
        request = sock.recv(65536)
        while request and not request.endswith(b"}"):
            request += sock.recv(65536)
        if not request:
            return
        self.asked += 1
        sock.sendall(self.reply)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def outcome(server, client, *, stream):
    """What a call came to, and how often it was sent."""
    before = server.asked
    try:
        if stream:
            with client.stream_chat("Hi") as opened:
                said = "".join(chunk.content for chunk in opened)
        else:
            said = client.chat("Hi").content
    except llmnet.LLMNetError as error:
        partial = getattr(error, "partial", None)
        said = type(error).__name__, getattr(error, "phase", None), None if partial is None else partial.content
    return said, server.asked - before


def disagreements(numbers):
    """Play replies on both fronts; those on which they differ."""
    fronts, server, differ = (Sync(), Async()), Server(), []
    retry = llmnet.RetryPolicy(max_retries=2, base_delay=0.0001, max_delay=0.0002, budget=None)
    fields = at_port(server.port, api="chat-completions", api_key="k", retry=retry, proxy="", timeout=PROMPT)
    with contextlib.ExitStack() as stack:
        stack.callback(fronts[1].stop)
        stack.callback(server.close)
        sync = stack.enter_context(fronts[0].client(**fields))
        other = stack.enter_context(fronts[1].client(**fields, transport="fast"))
        for number in numbers:
            server.reply, stream = broken(number), number % 2 == 1
            first, second = outcome(server, sync, stream=stream), outcome(server, other, stream=stream)
            if first != second:
                differ.append((number, first, second, server.reply))
    return differ


def check(numbers):
    print(f"seed {SEED!r}")
    differ = disagreements(numbers)
    assert not differ, "\n".join(map(repr, differ[:20]))


def test_both_fronts_judge_a_broken_reply_alike():
    check(range(120))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_fronts_judge_very_many_broken_replies_alike():
    check(range(150, 5150))
