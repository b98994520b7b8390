"""The places where a call can be caught: each a client, what it is asked, and the moment when the call is there."""

import asyncio
import contextlib
import itertools
import signal
import socket
import ssl
import threading

import pytest
import trustme
from support.inside import calls_of, is_drained, queue_of
from support.live import PROMPT, WORDS, Work, at, at_port, eventually, slots

import llmnet
from llmnet.testing import FakeServer, Reply, full_peer, mute_peer

LATER = Reply(status=429, headers={"retry-after": "30"})
BEFORE_THE_HOLD = "one two three four"
NUMBERS = itertools.count()


class Point:
    """A place where a call can be caught: a client, what it is asked, and the moment when it is there."""

    def __init__(self, client, reached, message="hi"):
        self.client, self.reached, self.message = client, reached, message


def waiting(client):
    """How many calls wait in a way from which they can be woken."""
    wakes = [call.interruption._wake for call in calls_of(client)]  # private: a call does not tell
    return sum(wake is not None for wake in wakes)


def sent(client):
    """Whether the request of a call has begun to be sent."""
    return any(call.exchange and call.exchange.sent for call in calls_of(client))


def answered(client):
    """Whether the head of a call's reply has come."""
    return any(call.meta.status for call in calls_of(client))


def reads_on(stream):
    """Whether a stream's reader has handed out all that comes before a hold, and is in a step again, which waits."""
    if stream.meta.status == 200 and getattr(stream.partial, "content", None) != BEFORE_THE_HOLD:
        return False
    waiting = len(stream._ready)  # private; asked first: what was read is handed out before another turn
    return not waiting and stream._turn.holder is not None  # private


@contextlib.contextmanager
def queued(front, server):
    server.script(Reply(hold=True))
    with front.client(**at(server, max_concurrent=1)) as client:
        first = client.stream_chat("first")
        entering = Work(first.__enter__)
        server.wait_for_requests(1)
        yield Point(client, lambda: queue_of(client).waiting == 1)
        first.cancel()
        with contextlib.suppress(llmnet.LLMNetError):
            entering.result()


@contextlib.contextmanager
def backing_off(front, server):
    server.script(LATER)
    with front.client(**at(server)) as client:
        yield Point(client, lambda: server.request_count == 1 and slots(client) == 0 and waiting(client) == 1)


@contextlib.contextmanager
def at_the_gate(front, server):
    server.script(LATER)
    with front.client(**at(server)) as client:
        first = client.stream_chat("first")
        entering = Work(first.__enter__)
        eventually(lambda: first.meta.attempts and waiting(client) == 1)
        yield Point(client, lambda: waiting(client) == 2)
        first.cancel()
        with contextlib.suppress(llmnet.LLMNetError):
            entering.result()


@contextlib.contextmanager
def resolving(front, server):
    asked, answer, real = threading.Event(), threading.Event(), socket.getaddrinfo
    name = f"slow{next(NUMBERS)}.test"  # one that no call before has asked for: its lookup may still be in flight

    def slow(host, *args, **kwargs):
        if host == name:
            asked.set()
            answer.wait(PROMPT)
        return real("127.0.0.1" if host == name else host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", slow)
        with front.client(**at(server, base_url=f"http://{name}:{server.port}/v1")) as client:
            try:
                yield Point(client, lambda: asked.is_set() and waiting(client) == 1)
            finally:
                answer.set()


@contextlib.contextmanager
def connecting(front, server):
    with full_peer() as port, front.client(**at_port(port)) as client:
        yield Point(client, lambda: slots(client) == 1 and waiting(client) == 1)


@contextlib.contextmanager
def in_the_handshake(front, server):
    context = ssl.create_default_context()
    trustme.CA().configure_trust(context)
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        listener.settimeout(PROMPT)
        port = listener.getsockname()[1]
        client = stack.enter_context(front.client(**at_port(port, "https", verify=context)))

        def reached():
            accepted = stack.enter_context(listener.accept()[0])
            accepted.settimeout(PROMPT)
            return accepted.recv(1) == b"\x16"

        yield Point(client, reached)


@contextlib.contextmanager
def in_the_handshake_behind_a_proxy(front, server):
    context = ssl.create_default_context()
    trustme.CA().configure_trust(context)
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        listener.settimeout(PROMPT)
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = stack.enter_context(front.client(**at_port(9, "https", verify=context, proxy=proxy)))

        def reached():
            accepted = stack.enter_context(listener.accept()[0])
            accepted.settimeout(PROMPT)
            while b"\r\n\r\n" not in (head := accepted.recv(65536)):
                assert head
            accepted.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            return accepted.recv(1) == b"\x16"

        yield Point(client, reached)


@contextlib.contextmanager
def sending(front, server):
    with mute_peer(window=4096) as port, front.client(**at_port(port)) as client:
        yield Point(client, lambda: waiting(client) == 1 and sent(client), message="x" * 16_000_000)


@contextlib.contextmanager
def before_the_head(front, server):
    server.script(Reply(hold=True))
    with front.client(**at(server)) as client:
        yield Point(client, lambda: server.request_count == 1)


@contextlib.contextmanager
def inside_the_body(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server)) as client:
        yield Point(client, lambda: answered(client))


@contextlib.contextmanager
def inside_the_body_behind_tls(front, server):
    authority, server_side = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with FakeServer(tls=server_side) as secure, front.client(**at(secure, verify=context)) as client:
        secure.script(Reply(text=WORDS, hold="body"))
        yield Point(client, lambda: answered(client))
        eventually(lambda: secure.active == 0)


@contextlib.contextmanager
def inside_an_error_body(front, server):
    server.script(Reply(status=500, body="x" * 1000, stall=10))
    with front.client(**at(server)) as client:
        yield Point(client, lambda: answered(client))


@contextlib.contextmanager
def between_events(front, server):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server)) as client:
        yield Point(client, lambda: waiting(client) == 1 and any(call.delivered for call in calls_of(client)))


@contextlib.contextmanager
def draining(front, server):
    server.script(Reply(text=WORDS, stall=10**6))
    with front.client(**at(server)) as client:
        yield Point(client, lambda: any(is_drained(call.exchange) for call in calls_of(client) if call.exchange))


POINTS = [
    queued, backing_off, at_the_gate, resolving, connecting, in_the_handshake, in_the_handshake_behind_a_proxy, sending,
    before_the_head, inside_the_body, inside_the_body_behind_tls, inside_an_error_body,
]  # fmt: skip


# -- catching it there -----------------------------------------------------------------------------------------------


def ended(client, server):
    """Nothing is left of a call: no slot, no place in the queue, no request that the server still answers."""
    eventually(lambda: queue_of(client).waiting == 0)
    eventually(lambda: server.active == 0)
    return slots(client) == 0


async def consume(client, how, message):
    if how == "chat":
        return await client.chat(message)
    return [chunk async for chunk in client.stream_chat(message)]


async def as_task(coroutine):
    return asyncio.create_task(coroutine)


def leave_the_program(number, frame):
    raise SystemExit(number)


SIGNALS = {
    signal.SIGINT: (signal.default_int_handler, KeyboardInterrupt),
    signal.SIGTERM: (leave_the_program, SystemExit),
}


@contextlib.contextmanager
def interrupted(at_point, number):
    """Send a signal to the main thread, once it is at a point: until it hears, for it may just be going deaf."""
    handler, raised = SIGNALS[number]
    before, over = signal.signal(number, handler), threading.Event()

    def wait_and_kill():
        eventually(at_point.reached)
        while not over.is_set():
            signal.pthread_kill(threading.main_thread().ident, number)
            over.wait(3.0)

    work = Work(wait_and_kill)
    with pytest.raises(raised):
        yield
    over.set()
    work.result()
    signal.signal(number, before)
