"""Whom a connection serves: a reply goes to who has asked for it, a cut body is not whole, and nobody waits for what is gone."""

import asyncio
import contextlib
import socket
import struct
import threading

import httpx
import pytest
from support.live import PROMPT, at_port, needs_our_engine

import llmnet
from llmnet.testing import Reply
from llmnet.transports.aio import race

LARGE = "x" * 20_000_000
ROOM = 12_000_000  # what is left of it is more than the kernels of both sides take
QUIET = 0.1  # seconds in which a peer that has more to send would have sent it


def reply(content):
    body = b'{"choices":[{"message":{"role":"assistant","content":"%b"},"finish_reason":"stop"}]}' % content.encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def received(sock):
    """The head of a request and what came with it, or nothing at the end."""
    data = b""
    while b"\r\n\r\n" not in data and (more := sock.recv(65536)):
        data += more
    return data


@contextlib.contextmanager
def serving(serve):
    """A port where each connection is served by a function of its socket and its number."""

    def one(sock, number):
        with sock, contextlib.suppress(ConnectionError):
            sock.settimeout(PROMPT)
            serve(sock, number)

    def accept():
        number = 0
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0], number), daemon=True).start()
                number += 1

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # of itself it might grow to any size
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def test_what_was_answered_before_all_of_it_was_sent_leaves_its_connection_to_nobody(front):
    after = []

    def serve(sock, number):
        received(sock)
        if number:
            sock.sendall(reply("second"))
            return
        sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n")
        sock.settimeout(QUIET)
        left = ROOM
        with contextlib.suppress(TimeoutError):  # so that there is room again, but never all of it
            while left > 0:
                left -= len(sock.recv(min(left, 1 << 20)))
        sock.settimeout(PROMPT)
        sock.sendall(b"{}")
        while more := sock.recv(1 << 20):
            after.append(more.strip(b"x"))

    with serving(serve) as port, front.client(**at_port(port), max_retries=0) as client:
        with pytest.raises(llmnet.BadRequestError):
            client.chat(LARGE)
        assert client.chat("hi").content == "second"
    assert b"".join(after) == b""


def test_an_answer_is_read_while_the_rest_of_the_request_is_not_taken(front):
    over = threading.Event()

    def serve(sock, number):
        received(sock)
        over.wait(QUIET)  # until the other side waits for room
        sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}")
        over.wait(PROMPT)

    with serving(serve) as port, front.client(**at_port(port), max_retries=0, timeout=PROMPT) as client:
        try:
            with pytest.raises(llmnet.BadRequestError) as caught:
                client.chat(LARGE)
            assert caught.value.meta.elapsed < PROMPT / 2
        finally:
            over.set()


def test_what_came_while_nobody_had_asked_is_no_reply(front):
    """On the loop's thread nothing is awaited in between: it has had no turn to see what came."""
    asked, came = threading.Event(), threading.Event()

    def serve(sock, number):
        received(sock)
        sock.sendall(reply(f"of connection {number}"))
        asked.wait(PROMPT)
        with contextlib.suppress(ConnectionError):
            sock.sendall(reply("of nobody"))
        came.set()
        received(sock)

    def between():
        asked.set()
        assert came.wait(PROMPT)

    async def both(client):
        await client.chat("one")
        between()
        return await client.chat("two")

    with serving(serve) as port, front.client(**at_port(port)) as client:
        if front.name == "async":
            second = front.run(both(client._client))
        else:
            client.chat("one")
            between()
            second = client.chat("two")
    assert second.content == "of connection 1"


def test_a_reply_that_breaks_off_in_its_head_is_not_asked_for_again_as_if_it_had_not_begun(front):
    """Its connection has served before, and is reset."""
    needs_our_engine(front.name, "tells of a head once it is whole")

    def serve(sock, number):
        received(sock)
        sock.sendall(reply(f"of connection {number}"))
        received(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nx: ")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with serving(serve) as port, front.client(**at_port(port), max_retries=0) as client:
        client.chat("one")
        with pytest.raises(llmnet.APIConnectionError) as caught:
            client.chat("two")
    assert [(attempt.sent, attempt.transparent) for attempt in caught.value.meta.attempts] == [(True, False)]


def test_a_connection_reads_on_when_nobody_has_read_the_reply_before():
    """All of that had come: more than is taken in, until somebody reads it."""
    most, taken = 256 * 1024, threading.Event()

    def serve(sock, number):
        received(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (most + 1) + b"x" * most)
        assert taken.wait(PROMPT)
        sock.sendall(b"x")
        received(sock)
        sock.sendall(reply(f"of connection {number}"))

    async def both(port):
        async with llmnet.AsyncClient(**at_port(port), transport="fast", max_retries=0, timeout=PROMPT) as client:
            async with client.request("GET", "/file", stream=True) as stream:
                reader = stream._driver._reply._body._reader  # private: how much has come
                while reader.buffered < most:
                    await asyncio.sleep(0)
                taken.set()
                while not reader.done:
                    await asyncio.sleep(0)
            return await client.chat("hi")

    with serving(serve) as port:
        assert asyncio.run(both(port)).content == "of connection 0"


def test_a_connection_that_waited_for_its_first_request_and_was_spoken_to_is_not_used():
    came = threading.Event()

    def serve(sock, number):
        if number == 0:
            sock.sendall(reply("of nobody"))
            came.set()
        received(sock)
        sock.sendall(reply(f"of connection {number}"))

    async def warmed(port):
        async with llmnet.AsyncClient(**at_port(port), transport="fast") as client:
            await client.warm()
            assert came.wait(PROMPT)
            for _ in range(5):  # the loop reads what has come
                await asyncio.sleep(0)
            return await client.chat("hi")

    with serving(serve) as port:
        assert asyncio.run(warmed(port)).content == "of connection 1"


@pytest.fixture
def get(front):
    """Gets an address by a client for any API; the body."""

    async def sent(url):
        async with llmnet.create_async_client(max_retries=0, timeout=PROMPT) as client:
            return (await client.get(url)).content

    def by_session(url):
        with llmnet.create_session(max_retries=0, timeout=PROMPT) as session:
            return session.get(url).content

    return by_session if front.name == "sync" else lambda url: front.run(sent(url))


def test_a_body_without_a_length_that_is_reset_is_not_whole(get):
    def serve(sock, number):
        received(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with serving(serve) as port, pytest.raises((httpx.TransportError, OSError)):
        get(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("head", [b"Content-Length: 9\r\n", b""], ids=["a length", "none"])
@pytest.mark.parametrize("closed", ["the response", "the client"])
def test_who_reads_a_body_hears_that_it_is_closed(awaited, head, closed):
    def serve(sock, number):
        received(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\n%b\r\nhalf" % head)
        received(sock)

    async def read(response, begun):
        async for _ in response.aiter_raw():
            begun.set()

    async def both(url):
        begun = asyncio.Event()
        async with llmnet.create_async_client(timeout=PROMPT * 4) as client, client.stream("GET", url) as response:
            reading = asyncio.create_task(read(response, begun))
            await begun.wait()
            await (response if closed == "the response" else client).aclose()
            await reading

    with serving(serve) as port, pytest.raises(httpx.ReadError):
        awaited.run(both(f"http://127.0.0.1:{port}/"))


def test_a_bound_holds_while_the_callers_own_pieces_are_waited_for(awaited):
    async def pieces():
        yield b"one"
        await asyncio.Event().wait()

    async def sent(url):
        async with llmnet.create_async_client(max_retries=0, timeout=0.2) as client:
            await client.post(url, content=pieces())

    with serving(lambda sock, number: sock.recv(1 << 20)) as port, pytest.raises(httpx.TimeoutException):
        awaited.run(sent(f"http://127.0.0.1:{port}/"))


def test_the_first_to_connect_waits_for_no_other_to_end(awaited, monkeypatch):
    """Who is cancelled while the others end would lose it."""

    class Made:
        def __init__(self):
            self.closed = asyncio.Event()

        def close(self):
            self.closed.set()

    async def both():
        late, first, may_end = Made(), Made(), asyncio.Event()

        async def connected(made):
            if made is late:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    await may_end.wait()
            return made

        monkeypatch.setattr(race, "connected", connected)
        assert await race.first_of([late, first]) is first
        may_end.set()
        await late.closed.wait()
        assert not first.closed.is_set()

    awaited.run(both())


async def test_a_client_for_any_api_that_is_closed_sends_nothing_again(server):
    server.script(Reply(silent=True))
    client = llmnet.create_async_client(timeout=30)
    asking = asyncio.create_task(client.get(server.url + "/x"))
    await asyncio.to_thread(server.wait_for_requests, 1, 30)
    await client.aclose()
    with pytest.raises(httpx.TransportError):
        await asking
    assert server.request_count == 1
