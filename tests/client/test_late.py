"""Before a bound is called expired, what has already arrived is read: by a busy loop, a starved thread, a blocked upload."""

import array
import asyncio
import contextlib
import fcntl
import json
import socket
import ssl
import termios
import threading
import time

import pytest
import trustme
from support.inside import replace_parts
from support.live import PROMPT, Work, at, at_port, eventually
from support.proxy import TLSProxy
from support.short_bounds import BOUND, LATE, timeout
from support.tls import serving

import llmnet
from llmnet.core.bounds import LOOK_SECONDS, Bounds
from llmnet.core.http import answers
from llmnet.testing import Reply

BODY = json.dumps(
    {
        "id": "1",
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    }
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
EVENT = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
COUNTED = EVENTS[:-2] + b"content-length: %d\r\n\r\n" % len(EVENT + DONE)
TOO_BIG = b"HTTP/1.1 413 X\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
BIG = "x" * 20_000_000


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def certified(authority):
    """What a server needs to speak TLS."""
    return serving(authority)


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class Peer:
    """A server that does with each connection what it is told; `over` is set at the end of a test."""

    def __init__(self, act, tls=None):
        self.act, self.tls = act, tls
        self.connections, self.over = 0, threading.Event()

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._work = [Work(self._accept)]
        return self

    def __exit__(self, *_):
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for work in self._work:
            work.result()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock = self._listener.accept()[0]
                self.connections += 1
                self._work.append(Work(self._serve, sock))

    def _serve(self, sock):
        with sock, contextlib.suppress(OSError):
            sock.settimeout(PROMPT)
            if self.tls is None:
                return self.act(self, sock)
            with self.tls.wrap_socket(sock, server_side=True) as secure:
                return self.act(self, secure)


def head_of(sock):
    """Read a request's head, and how much of its body came with it; how much there is of that."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := sock.recv(65536)):
            raise OSError("it has left")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    size = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return size - len(body)


def delivered(sock):
    """Wait until all that was sent has come to the other side."""
    left = array.array("i", [1])
    eventually(lambda: fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, left) == 0 and left[0] == 0)


def whole_request(sock):
    left = head_of(sock)
    while left:
        left -= len(sock.recv(min(left, 1 << 20)))


# -- who comes late ----------------------------------------------------------------------------------------------------


class Jumping:
    """A clock on which, once a reply is under way, a long time has passed before the next look at it."""

    def __init__(self):
        self.begun, self.sent = threading.Event(), threading.Event()

    def __call__(self):
        if not self.begun.is_set():
            return 0.0
        assert self.sent.wait(PROMPT)
        return 1000.0


LATE_REPLIES = {
    "reply": ([WHOLE], "chat"),
    "head and body": ([WHOLE[:-20], WHOLE[-20:]], "chat"),
    "cut head": ([WHOLE[:20], WHOLE[20:]], "chat"),
    "stream": ([COUNTED + EVENT + DONE], "stream_chat"),
    "head and events": ([COUNTED, EVENT, DONE], "stream_chat"),
}


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("bounds", [{"response": 1.0}, {"idle": 1.0}, {"total": 1.0}, {}], ids=str)
@pytest.mark.parametrize("name", LATE_REPLIES)
def test_who_had_no_turn_reads_what_has_come_meanwhile(front, certified, trusting, name, bounds, secure):
    pieces, method = LATE_REPLIES[name]
    clock = Jumping()

    def act(peer, sock):
        whole_request(sock)
        sock.sendall(pieces[0])
        clock.begun.set()
        for piece in pieces[1:]:
            sock.sendall(piece)
        delivered(sock)
        clock.sent.set()
        peer.over.wait(PROMPT)

    with Peer(act, certified if secure else None) as peer:
        scheme = "https" if secure else "http"
        fields = {"timeout": timeout(**{"total": 2000.0, **bounds}), "max_retries": 0, "verify": trusting}
        with front.client(**at_port(peer.port, scheme, **fields)) as client:
            replace_parts(client, clock=clock)
            reply = getattr(client, method)("Hi")
            assert (reply.content if method == "chat" else "".join(map(str, reply))) == "Hi"


def test_a_busy_loop_is_no_silent_server(awaited, server):
    server.script("warm", Reply(text="Hi", delay=BOUND / 4))

    async def busy():
        await asyncio.sleep(BOUND / 8)
        time.sleep(BOUND * 1.5)

    async def both(client):
        other = asyncio.create_task(busy())
        reply = await client.chat("Hi")
        await other
        return reply

    with awaited.client(**at(server, timeout=timeout(response=BOUND, idle=BOUND))) as client:
        client.chat("warm")
        reply = awaited.run(both(client._client))
        assert ([attempt.cause for attempt in reply.meta.attempts], server.request_count) == ([None], 2)


FLOODS = {
    "informational heads": (b"", b"HTTP/1.1 103 X\r\n\r\n", {"response": BOUND}, "chat"),
    "comments": (EVENTS, b":\n\n", {"response": BOUND}, "stream_chat"),
    "a body without end": (WHOLE.replace(b"%d" % len(BODY), b"9" * 12), b" ", {"total": BOUND}, "chat"),
    "chunks": (EVENTS, EVENT.replace(b'"stop"', b"null"), {"total": BOUND}, "stream_chat"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_server_that_is_never_silent_meets_the_bound(front, name):
    first, again, bounds, method = FLOODS[name]

    def act(peer, sock):
        whole_request(sock)
        sock.sendall(first)
        while not peer.over.is_set():
            sock.sendall(again * 50)

    with Peer(act) as peer, front.client(**at_port(peer.port, timeout=timeout(**bounds), max_retries=0)) as client:
        started = time.monotonic()
        with pytest.raises(llmnet.APITimeoutError) as caught:
            for _ in getattr(client, method)("Hi"):
                pass
        assert caught.value.phase in bounds
        assert time.monotonic() - started < LATE


class EarlyLoop(asyncio.SelectorEventLoop):
    """Its timers fire too early, as those of uvloop do, by up to a millisecond."""

    def call_later(self, delay, callback, *args, context=None):
        return super().call_later(max(delay - BOUND / 4, 0.0), callback, *args, context=context)


@pytest.mark.parametrize("engine", ["fast", "httpx"])
def test_a_timer_that_fires_early_ends_no_wait(engine, server):
    server.script(Reply(silent=True))

    async def ask():
        bounds = {"timeout": timeout(total=BOUND), "max_retries": 0}
        async with llmnet.AsyncClient(**at(server, **bounds, transport=engine)) as client:
            await client.chat("Hi")

    with asyncio.Runner(loop_factory=EarlyLoop) as runner, pytest.raises(llmnet.APITimeoutError) as caught:
        runner.run(ask())
    assert BOUND <= caught.value.meta.elapsed < LATE


def test_one_may_look_for_a_moment_after_a_bound_was_seen_to_expire():
    now = [0.0]
    bounds = Bounds(llmnet.Timeout(response=1, total=10), lambda: now[0])
    bounds.start("response")
    now[0] = 5.0
    assert bounds.may_look()
    now[0] += LOOK_SECONDS * 0.9
    assert bounds.may_look()
    now[0] += LOOK_SECONDS * 0.2
    assert not bounds.may_look()
    bounds.start("idle")
    assert bounds.may_look(), "another bound has its own moment"
    now[0] = 20.0
    bounds.start("idle")
    assert not bounds.may_look(), "but for `total`, which is the same in all phases"


# -- who is answered early ---------------------------------------------------------------------------------------------


def big(client):
    started = time.monotonic()
    with pytest.raises(llmnet.LLMNetError) as caught:
        client.chat(BIG)
    assert time.monotonic() - started < LATE
    return caught.value


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 X\r\n\r\n"], ids=["alone", "after another head"])
def test_an_early_reply_ends_the_upload(front, before):
    def act(peer, sock):
        head_of(sock)
        sock.sendall(before + TOO_BIG)
        peer.over.wait(PROMPT)

    with Peer(act) as peer, front.client(**at_port(peer.port, timeout=timeout(response=60))) as client:
        for count in (1, 2):
            error = big(client)
            assert isinstance(error, llmnet.BadRequestError)
            assert [attempt.status for attempt in error.meta.attempts] == [413]
            assert peer.connections == count, "what was not sent whole leaves no connection that serves again"


INFORMATIONAL = b"HTTP/1.1 103 X\r\n\r\n"
EARLY = {
    "whole": [TOO_BIG],
    "in pieces": [TOO_BIG[:5], TOO_BIG[5:]],
    "after": [INFORMATIONAL + TOO_BIG],
    "after, in pieces": [INFORMATIONAL[:5], INFORMATIONAL[5:], INFORMATIONAL, TOO_BIG[:20], TOO_BIG[20:]],
}


def replying(records):
    def act(peer, sock):
        head_of(sock)
        for record in records:
            sock.sendall(record)
        peer.over.wait(PROMPT)

    return act


@pytest.mark.parametrize("records", EARLY.values(), ids=EARLY)
def test_over_tls_an_early_reply_ends_the_upload_of_a_thread(certified, trusting, records):
    act, fields = replying(records), {"timeout": timeout(response=60), "verify": trusting}
    with Peer(act, certified) as peer, llmnet.Client(**at_port(peer.port, "https", **fields)) as client:
        for count in (1, 2):
            error = big(client)
            assert isinstance(error, llmnet.BadRequestError)
            assert [attempt.status for attempt in error.meta.attempts] == [413]
            assert peer.connections == count


@pytest.mark.parametrize("records", EARLY.values(), ids=EARLY)
def test_within_tls_in_tls_an_early_reply_ends_the_upload(front, certified, trusting, records):
    with Peer(replying(records), certified) as peer, TLSProxy(certified) as proxy:
        fields = {"timeout": timeout(response=60), "verify": trusting, "proxy": f"https://127.0.0.1:{proxy.port}"}
        with front.client(**at_port(peer.port, "https", **fields)) as client:
            error = big(client)
    assert isinstance(error, llmnet.BadRequestError)
    assert [attempt.status for attempt in error.meta.attempts] == [413]


def test_over_tls_an_early_reply_is_seen_at_the_bound(front, certified, trusting):
    def act(peer, sock):
        head_of(sock)
        sock.sendall(TOO_BIG)
        peer.over.wait(PROMPT)

    fields = {"timeout": timeout(response=BOUND), "verify": trusting}
    with Peer(act, certified) as peer, front.client(**at_port(peer.port, "https", **fields)) as client:
        error = big(client)
        assert isinstance(error, llmnet.BadRequestError)
        assert [attempt.status for attempt in error.meta.attempts] == [413]


@pytest.mark.parametrize("ends", [False, True], ids=["open", "closed"])
def test_a_reply_that_comes_before_the_request_is_its_reply(front, ends):
    """A server that is full may turn clients away as it accepts them; asyncio may hear of it before we have begun."""

    def serve():
        for _ in range(3):
            with listener.accept()[0] as accepted:
                accepted.sendall(TOO_BIG)
                if ends:
                    accepted.shutdown(socket.SHUT_WR)
                accepted.settimeout(PROMPT)
                while accepted.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        work = Work(serve)
        for _ in range(3):
            with front.client(**at_port(listener.getsockname()[1], max_retries=0)) as client:
                with pytest.raises(llmnet.BadRequestError) as caught:
                    client.chat("hi")
                assert caught.value.status == 413
        work.result()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_what_is_no_early_reply_does_not_end_the_upload(front, certified, trusting, secure):
    def act(peer, sock):
        for _ in range(2):
            left = head_of(sock)
            if not secure:  # TLS has sent its tickets by itself
                sock.sendall(b"HTTP/1.1 103 X\r\nlink: <a>\r\n\r\n")
            time.sleep(BOUND / 2)  # the upload is blocked meanwhile
            while left:
                left -= len(sock.recv(min(left, 1 << 20)))
            sock.sendall(WHOLE)
        peer.over.wait(PROMPT)

    with Peer(act, certified if secure else None) as peer:
        fields = {"timeout": timeout(), "verify": trusting, "max_retries": 0}
        with front.client(**at_port(peer.port, "https" if secure else "http", **fields)) as client:
            for _ in range(2):
                assert client.chat(BIG[:6_000_000]).content == "Hi"
        assert peer.connections == 1


def test_an_end_of_the_connection_ends_the_upload(front):
    def act(peer, sock):
        head_of(sock)
        sock.shutdown(socket.SHUT_WR)
        peer.over.wait(PROMPT)

    with Peer(act) as peer, front.client(**at_port(peer.port, timeout=timeout(), max_retries=0)) as client:
        error = big(client)
        assert (type(error), error.phase) == (llmnet.APIConnectionError, "send")


@pytest.mark.parametrize(
    ("head", "final"),
    [
        (b"HTTP/1.1 413", True), (b"HTTP/1.0 200", True), (b"HTTP/1.1 5", True), (b"HTTP/1.1 103", False), (b"HTTP/1.1 ", False),
        (b"HTTP/1.1", False), (b"\x17\x03\x03\x00\x1a", False), (b"", False), (b"HTTP/2 413", False), (b"HTTP/1.1 x", False),
    ],
)  # fmt: skip
def test_which_bytes_are_an_answer(head, final):
    assert answers(head) is final
