"""Hostile replies: each ends in an `LLMNetError`, within its bound and within bounded memory, and starves nobody."""

import asyncio
import base64
import contextlib
import gzip
import http.cookiejar
import itertools
import json
import os
import pathlib
import pickle
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib

import pytest
from support import hostile
from support.inside import form_of
from support.live import PROMPT, at_port, content
from support.replies import read_whole

import llmnet
from llmnet.client import other_calls
from llmnet.core.http import Headers
from llmnet.core.inflate import PIECE
from llmnet.core.outcome import AttemptError
from llmnet.core.reply_reader import ReplyReader
from llmnet.providers.reading import vector_of
from llmnet.testing import FakeServer, Reply

COUNT = os.environ.get("LLMNET_HOSTILE", "30000")
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def test_a_few_hostile_replies():
    tally = hostile.attack(os.environ.get("LLMNET_SEED", "the same each time"), 25, warm=0)
    print(tally)
    assert tally.bare == [], str(tally)
    assert tally.replies >= 50


@pytest.mark.heavy
@pytest.mark.timeout(7200)
def test_very_many_hostile_replies(capsys):
    """In a process of their own: what its memory grows by is theirs."""
    program = pathlib.Path(hostile.__file__)
    said = subprocess.run([sys.executable, program, COUNT], check=False, capture_output=True, text=True)
    with capsys.disabled():
        print("\n" + said.stdout.splitlines()[-1])
    assert said.returncode == 0, said.stdout + said.stderr


# -- one server for what follows ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def saying(*pieces, hold=False):
    """A port where each request is answered with these bytes; then the connection is closed, or held."""

    def serve(sock):
        with sock, contextlib.suppress(OSError):
            sock.settimeout(PROMPT)
            while b"\r\n\r\n" not in sock.recv(65536):
                pass
            for piece in pieces:
                sock.sendall(piece)
            if not hold:
                sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def head(*more, kind=b"text/event-stream", status=b"200 OK"):
    return b"\r\n".join([b"HTTP/1.1 " + status, b"content-type: " + kind, *more]) + b"\r\n\r\n"


def squeezed(piece, size):
    squeeze = zlib.compressobj(9, wbits=31)
    unit = piece * max(1, 65536 // len(piece))
    return b"".join([*(squeeze.compress(unit) for _ in range(size // len(unit) + 1)), squeeze.flush(zlib.Z_FULL_FLUSH)])


def fields(port, **more):
    return at_port(port, api="chat-completions", api_key="sk-nobody-knows", max_retries=0, proxy="", **more)


# -- time -----------------------------------------------------------------------------------------------------------------

BOMBS = {"line ends": b"\n", "comments": b":\n", "empty events": b"data: {}\n\n", "events": EVENT}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bound_holds_while_a_compressed_stream_is_decoded(front, name):
    """Seconds of work arrive at once; for none of it is the call's end waited for."""
    bomb = squeezed(BOMBS[name], 6 << 20)
    with saying(head(b"content-encoding: gzip"), bomb, hold=True) as port:
        bounds = llmnet.Timeout(response=0.3, idle=0.3, total=0.3)
        with front.client(**fields(port, timeout=bounds)) as client:
            begun, stream = time.monotonic(), client.stream_chat("x")
            with pytest.raises((llmnet.APITimeoutError, llmnet.InvalidResponseError)):
                list(iter(lambda: next(stream), None))
            assert time.monotonic() - begun < 3


def test_cancel_is_heard_while_a_compressed_stream_is_decoded(front):
    with (
        saying(head(b"content-encoding: gzip"), squeezed(EVENT, 6 << 20), hold=True) as port,
        front.client(**fields(port)) as client,
        client.stream_chat("x") as stream,
    ):
        assert str(next(stream)) == "a"
        threading.Timer(0.05, stream.cancel).start()
        with pytest.raises(llmnet.StreamCancelledError):
            for _ in stream:
                pass


def told(n):
    """A stream of that many events, no two of them alike."""
    return b"".join(b": %d\n%b" % (at * 7919, EVENT) for at in range(n)) + END


async def beside(reading):
    """What a coroutine reads; how many turns another task of the loop is given meanwhile."""
    turns = 0

    async def others():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(others())
    found = await reading
    task.cancel()
    return turns, found


def turns_of_others(port):
    """Read a stream to its end; how many turns another task of the loop was given meanwhile, and the text."""

    async def rest(stream):
        return "".join([str(chunk) async for chunk in stream])

    async def main():
        async with llmnet.AsyncClient(**fields(port)) as client:
            stream = client.stream_chat("x")
            first = await anext(stream)
            turns, text = await beside(rest(stream))
        return turns, str(first) + text

    return asyncio.run(main())


def test_a_compressed_stream_leaves_the_loop_to_others():
    data = told(5_000)
    with saying(head(b"content-encoding: gzip"), gzip.compress(data)) as port:
        turns, text = turns_of_others(port)
    assert text == "a" * 5_000
    assert turns >= len(data) // PIECE - 1


def single(data):
    """A body, each byte of it a chunk."""
    return head(b"transfer-encoding: chunked") + b"".join(b"1\r\n%c\r\n" % byte for byte in data) + b"0\r\n\r\n"


def test_single_byte_chunks_leave_the_loop_to_others():
    async def work():
        async with llmnet.AsyncClient(**fields(port)) as client:
            assert content([chunk async for chunk in client.stream_chat("x")]) == "a" * 2_000

    with saying(single(EVENT * 2_000 + END)) as port:
        assert longest(work) < 0.6


def test_single_byte_chunks_of_any_api_leave_the_loop_to_others():
    async def work():
        async with llmnet.create_async_client() as client:
            assert len((await client.get(f"http://127.0.0.1:{port}/")).content) == 100_000

    with saying(single(b"a" * 100_000)) as port:
        assert longest(work) < 0.6


def test_single_byte_chunks_end_at_the_bound(front):
    chunks = b"1\r\n:\r\n" * 200_000
    with (
        saying(head(b"transfer-encoding: chunked") + chunks, hold=True) as port,
        front.client(**fields(port, timeout=llmnet.Timeout(total=0.3))) as client,
    ):
        begun = time.monotonic()
        with pytest.raises(llmnet.APITimeoutError) as caught:
            client.chat("x", callbacks=llmnet.StreamCallbacks())
        assert (caught.value.phase, time.monotonic() - begun < 3) == ("total", True)


# -- order and memory -----------------------------------------------------------------------------------------------------


def exchange_of(*pairs):
    with llmnet.Client(**fields(1)) as client:
        exchange = ReplyReader(form_of(client), stream=True)
    exchange.open(200, Headers(pairs))
    return exchange


GZIPPED = ("content-encoding", "gzip")


def test_what_is_decoded_is_handed_out_before_the_rest_is_inflated():
    exchange = exchange_of(("content-type", "text/event-stream"), GZIPPED)
    first = exchange.feed(gzip.compress(told(5_000)))
    assert 0 < len(first) <= PIECE // len(EVENT)
    assert exchange.behind
    chunks = len(first)
    while exchange.behind:
        chunks += len(exchange.feed(b""))
    assert chunks == 5_001
    assert exchange.end() == []
    assert exchange.value.content == "a" * 5_000


def test_what_is_fed_before_the_rest_is_read_waits_for_it():
    data = EVENT * 5_000 + END
    exchange = exchange_of(("content-type", "text/event-stream"))
    chunks = [chunk for at in range(0, len(data), 100_000) for chunk in exchange.feed(data[at : at + 100_000])]
    chunks += exchange.end()
    assert "".join(map(str, chunks)) == exchange.value.content == "a" * 5_000


def test_an_error_behind_chunks_is_raised_without_more_bytes():
    exchange = exchange_of(("content-type", "text/event-stream"))
    assert len(exchange.feed(EVENT + b'data: {"error": "no"}\n\n')) == 1
    assert exchange.behind
    with pytest.raises(AttemptError):
        exchange.feed(b"")


def test_what_follows_the_end_is_not_read():
    exchange = exchange_of(("content-type", "text/event-stream"), GZIPPED)
    exchange.feed(gzip.compress(EVENT + END) + b"\x1f\x8b rubbish")
    assert (exchange.done, exchange.behind, exchange.end()) == (True, False, [])


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'"",', b"1,", b'"abc",', b'{"a":{}},', b"1.5,", b" "])
def test_json_out_of_a_small_body_takes_little_memory(unit):
    body = squeezed(unit, 8 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(AttemptError) as caught:
            read_whole(exchange_of(("content-type", "application/json"), GZIPPED), body)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert "longer than 200 times" in str(caught.value.outcome.error)


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'"ab",', b'{"abc":1},', b"12345,"])
def test_json_that_is_allowed_to_expand_takes_bounded_memory(unit):
    body = gzip.compress(b"[" + unit * ((10 << 20) // len(unit)) + os.urandom(60_000) + b"]")
    tracemalloc.start()
    try:
        with pytest.raises(AttemptError):
            read_whole(exchange_of(("content-type", "application/json"), GZIPPED), body)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


# -- kinds ------------------------------------------------------------------------------------------------------------------

DEEP = "[" * 600 + "]" * 600
CHOICE = '"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]'
WAIT = "1ms" * 30
BODIES = {
    "an error": (b"500 No", f'{{"error": {{"message": "x", "a": {DEEP}}}}}', llmnet.ServerError),
    "an error's message": (b"400 No", f'{{"error": {{"message": {DEEP}}}}}', llmnet.BadRequestError),
    "an error in a success": (b"200 OK", f'{{"error": {{"message": "x", "a": {DEEP}}}}}', llmnet.InvalidResponseError),
    "a success": (b"200 OK", f'{{{CHOICE}, "a": {DEEP}}}', llmnet.InvalidResponseError),
    "an infinite number": (b"200 OK", f'{{{CHOICE}, "a": 1e400}}', llmnet.InvalidResponseError),
    "an error's infinite number": (b"429 No", '{"error": {"code": 1e400}}', llmnet.RateLimitError),
    "a long wait": (b"429 No", f'{{"error": {{"details": [{{"retryDelay": "{WAIT}!"}}]}}}}', llmnet.RateLimitError),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_ends_in_an_error_of_ours(front, name):
    status, body, kind = BODIES[name]
    with (
        saying(head(status=status, kind=b"application/json"), body.encode()) as port,
        front.client(**fields(port)) as client,
    ):
        with pytest.raises(kind) as caught:
            client.chat("x")
        assert json.dumps(str(caught.value))


HEADS = {
    "a date of digits": head(b"retry-after: " + b"1" * 20_000 + b"x", status=b"503 No"),
    "milliseconds": head(b"retry-after-ms: " + b"1" * 12_000 + b"x", status=b"503 No"),
    "blanks after a chunk size": head(b"transfer-encoding: chunked") + b"1;" + b" " * 70_000 + b"\r\n",
    "blanks after a date": head(b"retry-after: Fri, 29" + b" " * 60_000 + b"x", status=b"503 No"),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_hostile_head_takes_no_time(front, name):
    with saying(HEADS[name]) as port, front.client(**fields(port)) as client:
        begun = time.process_time()
        with pytest.raises(llmnet.LLMNetError):
            client.chat("x")
        assert time.process_time() - begun < 1.5


@pytest.mark.parametrize("cursor", ["\\ud800", "a" * 10_000])
def test_a_page_that_no_address_can_carry_is_refused(front, cursor):
    body = f'{{"data": [{{"id": "m"}}], "has_more": true, "last_id": "{cursor}"}}'.encode()
    with (
        saying(head(kind=b"application/json"), body) as port,
        front.client(**fields(port) | {"api": "messages"}) as one,
        pytest.raises(llmnet.InvalidResponseError),
    ):
        one.list_models()


def test_the_number_of_a_page_is_one():
    page = {"page_no": 10**300, "page_size": 1, "total": 10**301, "models": [{"model": "m"}]}
    with llmnet.Client(provider="fake", api="native", base_url="http://127.0.0.1:1/api/v1") as client:
        assert form_of(client).parse_models({"output": page})[1] is None


@pytest.mark.parametrize("row", ["[1e400]", f"[1{'0' * 400}]", '["a"]', "[[1]]", '{"a": 1}', '"AA="'])
def test_vectors_are_numbers(row):
    with (
        saying(head(kind=b"application/json"), b'{"data": [{"embedding": %b}]}' % row.encode()) as port,
        llmnet.Client(**fields(port)) as client,
        pytest.raises(llmnet.InvalidResponseError),
    ):
        client.embed("x")


# -- what an error keeps --------------------------------------------------------------------------------------------------

MESSAGE = b'{"error":{"message":"%b"}}'
ERRORS = {
    "values": b'{"error":{"message":"x","d":[%b""]}}' % (b'"",' * 150_000),
    "lists": b'{"error":{"message":"x","d":[%b""]}}' % (b"[]," * 80_000),
    "a long message": MESSAGE % (b"x" * (3 << 20)),
    "escapes": MESSAGE % (b"%41" * (1 << 20)),
    "a long code": b'{"error":{"message":"x","code":"%b"}}' % (b"x" * (3 << 20)),
    "an error of a gateway": MESSAGE % json.dumps('{"error":{"message":"' + "x" * (1 << 20)).encode()[1:-1],
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_in_a_success_costs_and_keeps_no_more_than_one_of_a_status(front, name):
    plain, event = head(kind=b"application/json"), head()
    for streamed, reply in ((False, plain + ERRORS[name]), (True, event + b"data: " + ERRORS[name] + b"\n\n")):
        with saying(reply) as port, front.client(**fields(port)) as client:
            begun = time.process_time()
            with pytest.raises((llmnet.ServerError, llmnet.InvalidResponseError)) as caught:
                client.chat("x", callbacks=llmnet.StreamCallbacks() if streamed else None)
            assert time.process_time() - begun < 2
            kept = len(pickle.dumps(caught.value))
            assert kept < 200_000


def test_a_squeezed_error_is_read_no_further_than_a_plain_one(front):
    body = gzip.compress(b'{"error":{"message":"x","d":[%b""]}}' % (b'"",' * 300_000))
    with (
        saying(head(b"content-encoding: gzip", status=b"500 No"), body) as port,
        front.client(**fields(port)) as client,
    ):
        begun = time.process_time()
        with pytest.raises(llmnet.ServerError) as caught:
            client.chat("x")
        assert time.process_time() - begun < 1
    assert len(caught.value.body) <= 64 << 10


# -- heads, codings and frames that cost more than they are long ----------------------------------------------------------

COOKIES = (b"set-cookie: a=b", b"set-cookie2: " + b"a;" * 10_000)
REPLY = b'{"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}'


@pytest.fixture
def read(monkeypatch):
    """What `http.cookiejar` reads: of Set-Cookie2 in time that grows as the square of its length."""
    found = []
    for name in ("parse_ns_headers", "split_header_words"):
        function = getattr(http.cookiejar, name)
        monkeypatch.setattr(http.cookiejar, name, lambda values, f=function: found.extend(values) or f(values))
    return found


def test_a_client_neither_reads_nor_keeps_cookies(front, read):
    with (
        saying(head(*COOKIES, kind=b"application/json"), REPLY) as port,
        front.client(**fields(port)) as client,
    ):
        reply = client.chat("x")
    assert (str(reply), reply.meta.headers["set-cookie"], read) == ("hi", "a=b", [])


def test_a_session_keeps_cookies_and_reads_no_others(read):
    with saying(head(*COOKIES)) as port, llmnet.create_session() as session:
        session.get(f"http://127.0.0.1:{port}/")
        assert (dict(session.cookies), set(read)) == ({"a": "b"}, {"a=b"})


def test_an_async_client_for_any_api_keeps_cookies_and_reads_no_others(read):
    async def main():
        async with llmnet.create_async_client() as client:
            await client.get(f"http://127.0.0.1:{port}/")
            return dict(client.cookies)

    with saying(head(*COOKIES)) as port:
        assert (asyncio.run(main()), set(read)) == ({"a": "b"}, {"a=b"})


def longest(work):
    """Run a coroutine function twice; of the second time, the largest part of its work that nothing came between."""

    async def main():
        stretches, mark = [], time.thread_time()

        async def others():
            nonlocal mark
            while True:
                await asyncio.sleep(0)
                now = time.thread_time()
                stretches.append(now - mark)
                mark = now

        task = asyncio.create_task(others())
        try:
            await work()
            stretches.clear()
            await work()
        finally:
            task.cancel()
        return max(stretches) / sum(stretches)

    return asyncio.run(main())


def empty(n):
    """So many streams of gzip, in one, of which nothing comes out."""
    return gzip.compress(gzip.compress(b"") * n)


def test_a_coding_that_stands_for_nothing_leaves_the_loop_to_others():
    async def work():
        async with llmnet.AsyncClient(**fields(port)) as client:
            with pytest.raises(llmnet.LLMNetError):
                async for _ in client.stream_chat("x"):
                    pass

    with saying(head(b"content-encoding: gzip, gzip"), empty(60_000)) as port:
        assert longest(work) < 0.4


def test_a_bound_holds_while_a_coding_stands_for_nothing(front):
    bounds = llmnet.Timeout(response=0.1, idle=0.1, total=0.1)
    with (
        saying(head(b"content-encoding: gzip, gzip"), empty(1_000_000), hold=True) as port,
        front.client(**fields(port, timeout=bounds)) as client,
    ):
        begun = time.process_time()
        with pytest.raises(llmnet.APITimeoutError):
            client.chat("x", callbacks=llmnet.StreamCallbacks())
        assert time.process_time() - begun < 0.8


def test_informational_heads_leave_the_loop_to_others():
    """More of them are at hand than one receive brings."""

    async def work():
        async with llmnet.AsyncClient(**fields(port)) as client:
            assert str(await client.chat("x")) == "hi"

    with saying(b"HTTP/1.1 103 Early\r\n\r\n" * 60_000 + head(kind=b"application/json") + REPLY) as port:
        assert longest(work) < 0.6


# -- lists ----------------------------------------------------------------------------------------------------------------


def paging(front, page, **more):
    """List models from a server that always has another page."""
    server, numbers = FakeServer(), itertools.count()
    server.handler = lambda request: Reply(body=page(next(numbers)))
    with server, front.client(**at_port(server.port, api="messages", **more)) as client:
        with pytest.raises(llmnet.InvalidResponseError) as caught:
            client.list_models()
        return str(caught.value), server.request_count


def test_models_without_end_are_ended(front, monkeypatch):
    monkeypatch.setattr(other_calls, "MAX_MODELS", 100)
    said, count = paging(front, lambda n: {"data": [{"id": "m"}] * 30, "has_more": True, "last_id": str(n)})
    assert "more than 100 models" in said
    assert count == 4


def test_a_page_has_only_so_many_rows(front):
    said, _ = paging(front, lambda n: {"data": [{"id": "m"}] * 20_001})
    assert "more than 20000 rows of 'data'" in said


def test_a_packed_vector_is_read_as_it_is_meant():
    packed = base64.b64encode(struct.pack("<3f", 1.5, -2.0, 0.1)).decode()
    assert vector_of(packed) == [*struct.unpack("<3f", struct.pack("<3f", 1.5, -2.0, 0.1))]
