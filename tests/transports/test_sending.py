"""What the fast transport sends for any HTTP API: heads that say what they mean, and bodies as long as their heads say."""

import asyncio
import contextlib
import socket
import threading

import httpx
import pytest
import requests
from support.live import ENGINE, PROMPT, at

import llmnet
from llmnet.testing import Reply


@pytest.fixture
def ask(awaited, server):
    """Sends a request with some fields by a client for any API; the response."""
    server.handler = lambda request: Reply(body=b"{}")

    def send(**fields):
        async def sent():
            async with llmnet.create_async_client(max_retries=0, timeout=10) as client:
                return await client.request(fields.pop("method", "POST"), server.url + "/x", **fields)

        return awaited.run(sent())

    return send


async def pieces(*given):
    for piece in given:
        yield piece


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"content": b"one two"}, b"one two"),
        ({"content": b""}, b""),
        ({"content": lambda: pieces(b"one ", b"", b"two")}, b"one two"),
        ({"content": pieces}, b""),
        ({"content": lambda: pieces(b"one ", b"two"), "headers": {"Content-Length": "7"}}, b"one two"),
        ({"content": b"one two", "headers": {"Transfer-Encoding": "chunked"}}, b"one two"),
        ({"content": b"one two", "headers": {"Content-Length": "9", "Transfer-Encoding": "chunked"}}, b"one two"),
        ({"content": lambda: pieces(b"x" * 300_000, b"y" * 300_000)}, b"x" * 300_000 + b"y" * 300_000),
    ],
    ids=[
        "bytes",
        "nothing",
        "pieces",
        "no piece",
        "pieces of a known length",
        "bytes in chunks",
        "a length beside chunks",
        "large pieces",
    ],
)
def test_bodies(ask, server, fields, body):
    given = fields["content"]
    assert ask(**{**fields, "content": given() if callable(given) else given}).status_code == 200
    assert server.requests[0].body == body


CONTRADICTIONS = {
    "a header more": {"headers": {"x": "a\r\nInjected: b"}},
    "a line in a name": {"headers": {"x\r\ny": "a"}},
    "a blank in a name": {"headers": {"x y": "a"}},
    "a zero": {"headers": {"x": "a\0b"}},
    "another version": {"method": "GET / HTTP/1.1\r\nx:"},
    "a blank in the method": {"method": "GE T"},
    "a body that is too long": {"content": b"one", "headers": {"Content-Length": "2"}},
    "a body that is too short": {"content": b"one", "headers": {"Content-Length": "4"}},
    "a word for a length": {"content": b"one", "headers": {"Content-Length": "three"}},
    "a coding": {"content": b"one", "headers": {"Transfer-Encoding": "gzip"}},
    "pieces that are too long": {"content": lambda: [b"one", b"two"], "headers": {"Content-Length": "4"}},
    "pieces that are too short": {"content": lambda: [b"one"], "headers": {"Content-Length": "4"}},
}


@pytest.mark.skipif(ENGINE != "fast", reason="of a body's length h11 complains, and httpx lets its error out as it is")
@pytest.mark.parametrize("fields", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_would_say_something_else_is_not_sent(ask, server, fields):
    content = fields.get("content")
    with pytest.raises(httpx.LocalProtocolError):
        ask(**{**fields, "content": pieces(*content()) if callable(content) else content})
    assert server.requests == []
    assert ask(content=b"next").status_code == 200


@pytest.mark.parametrize("fields", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_nor_by_a_session(server, fields):
    server.handler = lambda request: Reply(body=b"{}")
    content, headers = fields.get("content"), fields.get("headers")
    with llmnet.create_session(max_retries=0) as session:
        # requests itself puts the true length where bytes have a false one
        is_mended = isinstance(content, bytes) and headers.get("Content-Length", "")
        if is_mended:
            session.post(server.url, data=content, headers=headers)
            assert server.requests.pop().body == content
        else:
            with pytest.raises((ValueError, requests.RequestException)):
                session.request(
                    fields.get("method", "POST"),
                    server.url,
                    data=iter(content()) if callable(content) else content,
                    headers=headers,
                )
        assert server.requests == []
        assert session.post(server.url, data=b"next").status_code == 200


@pytest.mark.parametrize(
    "headers", [[("Content-Length", "3"), ("Content-Length", "4")], [("Host", "a"), ("Host", "b")]]
)
def test_two_lengths_and_two_hosts_are_not_sent(ask, headers):
    with pytest.raises(httpx.LocalProtocolError):
        ask(content=b"one", headers=headers)


def test_an_address_that_is_no_http(awaited):
    async def sent():
        async with llmnet.create_async_client() as client:
            await client.get("ftp://127.0.0.1/x")

    with pytest.raises(httpx.UnsupportedProtocol):
        awaited.run(sent())


@pytest.mark.parametrize(
    "given", [{}, {"Transfer-Encoding": "chunked"}, {"Content-Length": "7"}], ids=["", "chunked", "length"]
)
@pytest.mark.parametrize("body", [b"one two", [b"one ", b"two"]], ids=["bytes", "pieces"])
def test_a_session_says_once_where_a_body_ends(server, given, body):
    server.handler = lambda request: Reply(body=b"{}")
    with llmnet.create_session(max_retries=0) as session:
        for _ in range(2):
            session.post(server.url, data=body if isinstance(body, bytes) else iter(body), headers=given)
    for request in server.requests:
        assert request.body == b"one two"
        assert ("content-length" in request.headers) is not ("transfer-encoding" in request.headers)


@pytest.mark.parametrize("body", [b"\x05\x04", [65, 66]], ids=["bytes", "numbers"])
def test_pieces_that_are_numbers_are_not_sent(server, body):
    with llmnet.create_session(max_retries=0) as session, pytest.raises(TypeError):
        session.post(server.url, data=iter(body))
    assert server.requests == []


@pytest.mark.parametrize("kind", ["session", "client"])
def test_no_piece_is_asked_for_once_there_is_an_answer(awaited, kind):
    """The next piece comes as soon as the answer has arrived: by then the peer has nothing left to say."""
    answered, given = threading.Event(), []

    def answer():
        with listener.accept()[0] as sock:
            sock.settimeout(PROMPT)
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}")
            answered.set()
            over.wait(PROMPT)

    def pieces():
        for number in range(50):
            given.append(number)
            yield b"x" * 1000
            assert answered.wait(PROMPT)

    async def slowly():
        for piece in pieces():
            yield piece
            await asyncio.sleep(0.01)  # a turn of the loop, in which what has come is read

    async def sent(url):
        async with llmnet.create_async_client(max_retries=0) as client:
            return (await client.post(url, content=slowly())).status_code

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        if kind == "session":
            with llmnet.create_session(max_retries=0) as session:
                assert session.post(url, data=pieces()).status_code == 413
        else:
            assert awaited.run(sent(url)) == 413
        over.set()
    assert len(given) < 10


def test_the_pieces_of_a_body_may_come_of_calls_of_their_own(awaited, server):
    async def sent():
        async with llmnet.AsyncClient(**at(server)) as inner, llmnet.create_async_client(max_retries=0) as client:

            async def pieces():
                for word in ("one ", "two"):
                    yield (await inner.chat(word)).content.encode()

            await client.post(f"{server.url}/echo", content=pieces())

    awaited.run(sent())
    assert server.requests[-1].body == b"one two"


def test_a_tracer_sees_the_headers_of_a_request_of_a_client_and_what_it_changes_goes_out(front, server, monkeypatch):
    """Those of OpenTelemetry wrap `send`."""
    seen = {}

    def traced(send):
        def wrapped(client, request, **how):
            seen.update({name.lower(): value for name, value in request.headers.items()})
            request.headers.update({"traceparent": "00-ab", "user-agent": "tracer"})
            del request.headers["accept"]
            return send(client, request, **how)

        return wrapped

    with front.client(**at(server)) as client:
        client.chat("hi")
        with monkeypatch.context() as patch:
            for owner in (requests.Session, httpx.AsyncClient):
                patch.setattr(owner, "send", traced(owner.send))
            client.chat("hi")
        client.chat("hi")
    before, during, after = [{**request.headers} for request in server.requests]
    assert (during["traceparent"], during["user-agent"], during.get("accept")) == ("00-ab", "tracer", None)
    assert during["content-length"] == before["content-length"]
    assert before == after == {"host": before["host"], **seen}


@contextlib.contextmanager
def traced(change):
    """Within it each request of httpx's is changed before it is sent."""
    send = httpx.AsyncClient.send

    async def changed(client, request, **how):
        change(request)
        return await send(client, request, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.AsyncClient, "send", changed)
        yield


@pytest.mark.parametrize(("method", "body"), [("POST", b"hi"), ("POST", b""), ("POST", None), ("GET", None)])
def test_a_tracer_changes_nothing_of_a_request_that_it_has_not_seen(awaited, server, method, body):
    """Not even where its own was the first one; and what it leaves as it is goes out as it would have."""

    async def asked():
        async with llmnet.AsyncClient(**at(server)) as client:
            with traced(lambda request: request.headers.update({"traceparent": "00-ab"})):
                await client.request(method, "/any", data=body)
            await client.request(method, "/any", data=body)

    server.handler = lambda request: Reply(body=b"")
    awaited.run(asked())
    seen, unseen = [dict(request.headers) for request in server.requests]
    assert seen == unseen | {"traceparent": "00-ab"}


def test_a_tracer_may_add_a_header_beyond_ascii(awaited, server):
    """As UTF-8, as httpx writes those of any request."""

    def add(request):
        request.headers["baggage"] = "né"

    with awaited.client(**at(server)) as client, traced(add):
        client.chat("hi")
    assert server.requests[-1].headers["baggage"].encode("latin-1").decode() == "né"


CHANGES = {
    "address": lambda request: setattr(request, "url", request.url.copy_with(query=b"changed=1")),
    "method": lambda request: setattr(request, "method", "PUT"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_address_or_method_of_a_request_of_a_client_goes_out(awaited, server, name):
    server.handler = lambda request: Reply(text="hi")
    with awaited.client(**at(server)) as client:
        client.chat("hi")
        with traced(CHANGES[name]):
            client.chat("hi")
    seen = [(request.method, request.query) for request in server.requests]
    assert seen == [("POST", {}), {"address": ("POST", {"changed": "1"}), "method": ("PUT", {})}[name]]


def test_the_host_is_named_by_the_caller_where_it_does_so(front, server):
    with front.client(**at(server)) as client:
        client.chat("hi", extra_headers={"Host": "other.test"})
        client.chat("hi")
    assert [request.headers["host"] for request in server.requests] == ["other.test", f"127.0.0.1:{server.port}"]
