"""`create_session` and `create_async_client`: the same table of deeds for both, each in the words of its own library."""

import asyncio
import dataclasses
import gc
import io
import json
import os
import random
import socket
import ssl
import threading
import time
import traceback

import httpx
import pytest
import requests
import responses
import respx
import trustme
from requests.auth import HTTPDigestAuth
from support.chance import Highest, Lowest
from support.fronts import VirtualAwaits, VirtualTime, VirtualWaits
from support.inside import transport_of
from support.proxy import Proxy

from llmnet import ConfigurationError, create_async_client, create_session
from llmnet.testing import FakeServer, Reply
from llmnet.transports.aio.wait import AsyncWait
from llmnet.transports.generic import GenericCall
from llmnet.transports.sync.wait import SyncWait

STATUSES = [429, 500, 502, 503, 504]
PAIR = (2, 0.15)  # a timeout of single waits, as both libraries know it


class Session:
    """The session, called as it is."""

    Error, Timeout, Connect = requests.RequestException, requests.Timeout, requests.ConnectTimeout
    home = "requests"

    def __init__(self, *args, **kwargs):
        self.session = create_session(*args, **kwargs)
        self.calls = self.session.get_adapter("http://x").calls
        assert self.session.get_adapter("https://x").calls is self.calls

    def virtual(self):
        return self._still(VirtualWaits, SyncWait)

    def _still(self, virtual, real):
        moment = VirtualTime()
        self.calls.waits = type("Still", (virtual,), {"clock": lambda s: moment.now, "wall": lambda s: 1.7e9})(moment)
        return moment

    def request(self, method, url, **kwargs):
        return self.session.request(method, url, **kwargs)

    def pair(self, seconds):
        return seconds

    def stream(self, url, seconds=None):
        with self.session.get(url, stream=True, timeout=seconds) as response:
            yield from response.iter_content(None)

    def close(self):
        self.session.close()


class Client(Session):
    """The client, each of its coroutines run to its end on one loop."""

    Error, Timeout, Connect = httpx.HTTPError, httpx.TimeoutException, httpx.ConnectTimeout
    home = "httpx"

    def __init__(self, *args, **kwargs):
        self.runner = asyncio.Runner()
        self.session = create_async_client(*args, **kwargs)
        self.calls = transport_of(self.session).calls

    def virtual(self):
        return self._still(VirtualAwaits, AsyncWait)

    def request(self, method, url, **kwargs):
        if isinstance(kwargs.get("data"), bytes | str | type(generator())):
            kwargs["content"] = kwargs.pop("data")
        if isinstance(kwargs.get("content"), type(generator())):
            kwargs["content"] = asynchronous(kwargs["content"])
        return self.runner.run(self.session.request(method, url, **kwargs))

    def pair(self, seconds):
        return httpx.Timeout(seconds[1], connect=seconds[0])

    def stream(self, url, seconds=None):
        timeout = httpx.USE_CLIENT_DEFAULT if seconds is None else seconds
        context = self.session.stream("GET", url, timeout=timeout)
        response = self.runner.run(context.__aenter__())
        try:
            pieces = response.aiter_bytes()
            while piece := self.runner.run(anext_of(pieces)):
                yield piece
        finally:
            self.runner.run(context.__aexit__(None, None, None))

    def close(self):
        self.runner.run(self.session.aclose())
        self.runner.close()


async def anext_of(pieces):
    return await anext(pieces, None)


def generator(*pieces):
    yield from pieces


async def asynchronous(pieces):
    for piece in pieces:
        yield piece


FRONTS = {"session": Session, "async client": Client}


@pytest.fixture(params=FRONTS.values(), ids=FRONTS)
def front(request):
    return request.param


@pytest.fixture
def make(front):
    """Makes fronts, and closes them; the backoff of these is real and tiny."""
    made = []

    def make(*args, **kwargs):
        api = front(*args, **kwargs)
        api.calls.policy = dataclasses.replace(api.calls.policy, base_delay=0.002, max_delay=0.01)
        made.append(api)
        return api

    yield make
    for api in made:
        api.close()


@pytest.fixture
def api(make):
    return make()


@pytest.fixture
def still(front):
    """A front with the real backoff, on virtual time: (api, time)."""
    api = front()
    yield api, api.virtual()
    api.close()


@pytest.fixture
def dice(monkeypatch):
    return lambda kind: monkeypatch.setattr(GenericCall, "chance", staticmethod(kind))


@pytest.fixture
def things(server):
    """An API of no vendor: it says what it was asked, once its script has ended."""
    server.handler = lambda r: Reply(body={"method": r.method, "path": r.path, "said": r.body.decode()})
    return server


def failure(api, run):
    """The error of a run: of the library's own, to its last cause."""
    with pytest.raises(api.Error) as caught:
        run()
    assert type(caught.value).__module__.partition(".")[0] == api.home
    return caught.value


def took(run):
    began = time.monotonic()
    value = run()
    return value, time.monotonic() - began


# -- what it is ------------------------------------------------------------------------------------------------------


def test_they_are_what_the_libraries_know():
    with create_session() as session:
        assert type(session) is requests.Session
        assert isinstance(session.get_adapter("https://h").max_retries, requests.adapters.Retry)
    client = create_async_client(timeout=20)
    assert isinstance(client, httpx.AsyncClient)
    assert client.timeout == httpx.Timeout(20)
    asyncio.run(client.aclose())


def test_get_and_post_and_their_json(api, things):
    assert api.request("GET", things.url + "/a").json() == {"method": "GET", "path": "/a", "said": ""}
    reply = api.request("POST", things.url + "/b", json={"x": "é"})
    assert reply.status_code == 200
    assert json.loads(reply.json()["said"]) == {"x": "é"}
    assert [r.headers["content-type"] for r in things.requests[1:]] == ["application/json"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods(api, things, method):
    things.script(503)
    assert api.request(method, things.url + "/a").json()["method"] == method
    assert things.request_count == 2


def test_a_head_has_no_body(api, things):
    head = b"content-length: 99\r\n\r\n"
    things.script(Reply(raw=b"HTTP/1.1 503 Busy\r\n" + head), Reply(raw=b"HTTP/1.1 200 OK\r\n" + head))
    reply = api.request("HEAD", things.url)
    assert (reply.status_code, reply.content, reply.headers["content-length"]) == (200, b"", "99")


@pytest.mark.parametrize(
    "options",
    [
        {"max_retries": -1}, {"max_retries": 2.5}, {"max_retries": True}, {"max_retries": "3"}, {"max_retries": None},
        {"timeout": 0}, {"timeout": -1}, {"timeout": "30"}, {"timeout": None}, {"timeout": float("nan")},
        {"timeout": True}, {"timeout": (3, 30)},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("create", [create_session, create_async_client])
def test_bad_arguments(create, options):
    with pytest.raises(ConfigurationError):
        create(**options)


@pytest.mark.parametrize("timeout", [0, -1, "soon", True])
def test_a_bad_timeout_of_a_request_is_a_value_error_as_in_the_libraries(api, things, timeout):
    with pytest.raises(ValueError, match="timeout"):
        api.request("GET", things.url, timeout=timeout)
    assert things.request_count == 0


# -- statuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_retried_on_the_same_connection(api, things, method, status):
    things.script(status, status)
    reply = api.request(method, things.url + "/a", json={"x": 1})
    assert (reply.status_code, reply.json()["path"]) == (200, "/a")
    assert (things.request_count, things.connections) == (3, 1)
    assert {r.body for r in things.requests} == {things.requests[0].body}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_the_last_response_is_returned_and_its_body_can_be_read(make, things, status, retries):
    things.handler = lambda r: Reply(status=status, body={"number": things.request_count})
    reply = make(max_retries=retries).request("POST", things.url, json={})
    assert (reply.status_code, reply.json()) == (status, {"number": retries + 1})
    assert things.request_count == retries + 1
    with pytest.raises((requests.HTTPError, httpx.HTTPStatusError)):
        reply.raise_for_status()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 501])
def test_what_the_request_is_to_blame_for_is_returned_at_once(api, things, status):
    things.script(Reply(status=status, body={"why": "you"}))
    reply = api.request("GET", things.url)
    assert (reply.status_code, reply.json(), things.request_count) == (status, {"why": "you"}, 1)


@pytest.mark.slow
def test_more_retries_than_a_stack_is_deep(make, things):
    things.script(*[503] * 400)
    assert make(max_retries=400).request("POST", things.url, data=b"x").json()["said"] == "x"
    assert things.request_count == 401


def test_the_servers_advice_outweighs_the_status(api, things):
    things.script(Reply(status=503, headers={"x-should-retry": "false"}))
    assert api.request("GET", things.url).status_code == 503
    assert things.request_count == 1


@pytest.mark.slow
def test_a_large_or_endless_error_body_does_not_hold_the_retry_up(api, things):
    things.script(Reply(status=503, body=b"x" * 1_000_000), Reply(status=503, body=b"y" * 100, stall=50))
    reply, seconds = took(lambda: api.request("GET", things.url))
    assert reply.status_code == 200
    assert 1.9 < seconds < 4


# -- how long it waits -----------------------------------------------------------------------------------------------


def test_the_backoff_is_ours(still, things, dice):
    api, moment = still
    dice(Highest)
    things.handler = lambda _: 500
    assert api.request("GET", things.url).status_code == 500
    assert moment.sleeps == [0.5, 1.0, 2.0]


def test_the_backoff_is_drawn(still, things):
    api, moment = still
    things.handler = lambda _: 500
    for _ in range(10):
        api.request("GET", things.url)
    assert all(0 <= wait <= 2 for wait in moment.sleeps)
    assert len({*moment.sleeps}) == 30


HINTS = {
    "seconds": ({"retry-after": "7"}, 7.0),
    "a fraction": ({"retry-after": "1.5"}, 1.5),
    "milliseconds": ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
    "a date": ({"retry-after": "Tue, 14 Nov 2023 22:13:25 GMT"}, 5.0),
    "the server's clock": (
        {"retry-after": "Wed, 21 Oct 2015 07:28:04 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"},
        4,
    ),
    "a past date": ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    "garbage": ({"retry-after": "soon"}, 0.0),
    "less than nothing": ({"retry-after": "-1"}, 0.0),
    "nothing": ({}, 0.0),
}


@pytest.mark.parametrize("status", [429, 503, 500])
@pytest.mark.parametrize(("headers", "seconds"), HINTS.values(), ids=HINTS)
def test_retry_after_is_obeyed(still, things, dice, headers, seconds, status):
    api, moment = still
    dice(Lowest)
    things.script(Reply(status=status, headers=headers))
    assert api.request("POST", things.url).status_code == 200
    assert moment.sleeps == ([seconds] if seconds else [])


def test_retry_after_is_never_undercut(still, things):
    api, moment = still
    things.script(*[Reply(status=429, headers={"retry-after": "4"})] * 3)
    assert api.request("GET", things.url).status_code == 200
    assert len(moment.sleeps) == 3
    assert all(4 <= wait <= 5.4 for wait in moment.sleeps)


@pytest.mark.parametrize("seconds", ["31", "121", "86400"])
def test_a_retry_after_beyond_the_timeout_is_not_waited_for(still, things, seconds):
    api, moment = still
    things.handler = lambda _: Reply(status=429, headers={"retry-after": seconds}, body=b"later")
    reply = api.request("GET", things.url)
    assert (reply.status_code, reply.text, reply.headers["retry-after"]) == (429, "later", seconds)
    assert (things.request_count, moment.sleeps) == (1, [])


# -- connections that are lost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", [Reply(drop=True), Reply(drop=True, reset=True), Reply(raw=b"HTTP/1.1 200 OK\r\nx-")])
def test_a_lost_connection_is_made_anew(api, things, method, how):
    things.script(how, how)
    assert api.request(method, things.url, data=b"body").json()["said"] == "body"
    assert things.request_count == 3


def test_one_that_is_lost_for_ever_is_the_librarys_own_error(still, things):
    api, moment = still
    things.handler = lambda _: Reply(drop=True)
    error = failure(api, lambda: api.request("POST", things.url, json={}))
    assert isinstance(error, requests.ConnectionError | httpx.RemoteProtocolError | httpx.ReadError)
    assert error.request.method == "POST"
    assert (things.request_count, len(moment.sleeps)) == (4, 3)


def test_a_port_where_nobody_listens(still):
    api, moment = still
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = failure(api, lambda: api.request("POST", f"http://127.0.0.1:{port}/", json={}))
    assert isinstance(error, requests.ConnectionError | httpx.ConnectError)
    assert len(moment.sleeps) == 3


def test_a_name_that_nobody_has(still):
    api, moment = still
    error = failure(api, lambda: api.request("GET", "http://nobody.invalid/"))
    assert isinstance(error, requests.ConnectionError | httpx.ConnectError)
    assert moment.sleeps == [] or "Temporary" in str(error)


def test_a_stale_connection_is_replaced_at_once(still, things):
    api, moment = still
    for _ in range(5):
        things.script(Reply(drop_idle=True), "and on")
        api.request("POST", things.url + "/v1/chat/completions", json={"messages": []})
        assert api.request("POST", things.url, data=b"x").status_code == 200
    assert moment.sleeps == []


def test_an_answer_cut_in_its_body_is_not_asked_for_again(api, things):
    things.handler = lambda _: Reply(body=b"x" * 100, cut=50)
    error = failure(api, lambda: api.request("GET", things.url))
    assert isinstance(error, requests.exceptions.ChunkedEncodingError | requests.ConnectionError | httpx.TransportError)
    assert things.request_count == 1


def test_a_certificate_is_refused_at_once(still):
    api, moment = still
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FakeServer(tls=context) as server:
        error = failure(api, lambda: api.request("POST", server.url, json={}))
    assert isinstance(error, requests.exceptions.SSLError | httpx.ConnectError)
    assert "certificate" in str(error).lower()
    assert moment.sleeps == []


def test_tls_that_is_trusted(api, front, tmp_path, monkeypatch):
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with FakeServer(tls=context) as server:
        server.script(503, Reply(body="secure"))
        assert api.request("GET", server.url).text == "secure"
        assert (server.request_count, server.connections) == (2, 1)


# -- timeouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        Reply(silent=True), Reply(delay=9), Reply(body=b"x" * 100, drip_head=0.05), Reply(body=b"x" * 100, drip=0.05),
        Reply(body=b"x" * 100, stall=50), Reply(body=b"x" * 100, drip=0.05, chunked=True),
    ],
    ids=["silent", "late", "dripped head", "dripped body", "stalled body", "dripped chunks"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_default_timeout_really_applies(make, things, method, reply):
    things.handler = lambda _: reply
    api = make(timeout=0.4)
    error, seconds = took(lambda: failure(api, lambda: api.request(method, things.url, data=b"x")))
    assert 0.38 < seconds < 1.5
    assert isinstance(error, api.Timeout | requests.ConnectionError)
    assert error.request is None or error.request.method == method
    assert things.request_count == 1


def test_a_timeout_before_the_head_is_a_timeout_of_the_library(make, things):
    things.handler = lambda _: Reply(silent=True)
    api = make(timeout=0.2)
    error = failure(api, lambda: api.request("GET", things.url))
    assert isinstance(error, requests.ReadTimeout | httpx.ReadTimeout)
    assert "0.2s expired" in str(error)


def test_the_retries_share_the_timeout(make, things):
    things.handler = lambda _: Reply(status=503, delay=0.15)
    api = make(timeout=0.4, max_retries=9)
    result, seconds = took(lambda: outcome_of(lambda: api.request("GET", things.url)))
    assert seconds < 1.5
    assert things.request_count > 1
    assert isinstance(result, api.Timeout) or result.status_code == 503


def outcome_of(run):
    try:
        return run()
    except (requests.RequestException, httpx.HTTPError) as error:
        return error


def test_a_timeout_is_repeated_where_that_does_no_harm(api, things):
    things.script(*[Reply(silent=True)] * 2)
    assert api.request("GET", things.url, timeout=api.pair(PAIR)).status_code == 200
    assert things.request_count == 3


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_timeout_of_a_post_is_not(api, things, method):
    things.handler = lambda _: Reply(silent=True)
    error = failure(api, lambda: api.request(method, things.url, data=b"x", timeout=api.pair(PAIR)))
    assert isinstance(error, requests.ReadTimeout | httpx.ReadTimeout)
    assert things.request_count == 1


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
def test_unless_it_carries_an_idempotency_key(api, things, name):
    things.script(*[Reply(silent=True)] * 2)
    reply = api.request("POST", things.url, data=b"x", timeout=api.pair(PAIR), headers={name: "k"})
    assert reply.json()["said"] == "x"
    assert [r.headers["idempotency-key"] for r in things.requests] == ["k"] * 3


def test_a_timeout_that_never_ends_is_raised_after_all_retries(api, things):
    things.handler = lambda _: Reply(silent=True)
    error = failure(api, lambda: api.request("GET", things.url, timeout=api.pair(PAIR)))
    assert isinstance(error, requests.ReadTimeout | httpx.ReadTimeout)
    assert things.request_count == 4


def test_a_connect_that_never_ends(api):
    """The backlog of a listener that accepts nothing is soon full; then the system drops what would connect."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        full = [socket.socket() for _ in range(3)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}/"
        error, seconds = took(lambda: failure(api, lambda: api.request("POST", url, timeout=api.pair((0.1, 5)))))
        for one in full:
            one.close()
    assert isinstance(error, api.Connect)
    assert 0.38 < seconds < 2  # a connect is harmless to repeat: four of them


def test_an_upload_that_nobody_reads(make):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        api = make(timeout=0.3)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        error, seconds = took(lambda: failure(api, lambda: api.request("POST", url, data=b"x" * 30_000_000)))
    assert isinstance(error, requests.ReadTimeout | httpx.ReadTimeout)
    assert 0.28 < seconds < 2


def test_the_timeout_of_a_request_takes_the_place_of_the_default(make, things):
    things.script(Reply(body=b"x" * 10, delay=0.4), Reply(silent=True))
    assert make(timeout=0.2).request("GET", things.url, timeout=9).status_code == 200
    api = make(timeout=9)
    _, seconds = took(lambda: failure(api, lambda: api.request("GET", things.url, timeout=0.1)))
    assert 0.09 < seconds < 1.5


def test_a_pair_bounds_single_waits_alone(make, things):
    things.script(Reply(body=b"x" * 12, drip=0.06))
    assert make(timeout=0.5).request("GET", things.url, timeout=make().pair((2, 0.5))).content == b"x" * 12


def test_no_timeout_at_all_can_be_asked_for(make, things):
    things.script(Reply(body=b"x" * 10, drip=0.04))
    api = make(timeout=0.2)
    none = (None, None) if api.home == "requests" else None
    assert api.request("GET", things.url, timeout=none).content == b"x" * 10


# -- streams ---------------------------------------------------------------------------------------------------------


EVENTS = [f"data: {n}\n\n" for n in range(8)]


@pytest.mark.parametrize("kind", ["text/event-stream", "application/octet-stream"])
def test_a_stream_comes_piece_by_piece_and_may_take_longer(make, things, kind):
    things.script(503, Reply(events=EVENTS, pace=0.1, headers={"content-type": kind}))
    api = make(timeout=0.3)
    began, heard = time.monotonic(), []
    for piece in api.stream(things.url):
        heard.append((time.monotonic() - began, piece))
    assert b"".join(piece for _, piece in heard) == "".join(EVENTS).encode()
    assert heard[0][0] < 0.5 < 0.6 < heard[-1][0]
    assert len(heard) >= 4
    assert things.request_count == 2


def test_a_stream_that_falls_silent_is_ended(make, things):
    things.script(Reply(events=EVENTS, stall=30))
    api = make(timeout=0.3)
    heard = []
    error, seconds = took(lambda: failure(api, lambda: heard.extend(api.stream(things.url))))
    assert b"".join(heard) == "".join(EVENTS).encode()[:30]
    assert 0.28 < seconds < 2
    assert isinstance(error, requests.ConnectionError | httpx.ReadTimeout)
    assert things.request_count == 1


def test_a_stream_left_early_frees_its_connection(make, things):
    things.handler = lambda _: Reply(events=iter(lambda: "data: x\n\n", None), pace=0.01)
    api = make()
    for piece in api.stream(things.url):
        assert piece
        break
    wait_until(lambda: things.active == 0)


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_a_generator_is_sent(api, things):
    assert api.request("POST", things.url, data=generator(b"one ", b"two")).json()["said"] == "one two"


@pytest.mark.parametrize("how", [503, Reply(drop=True)], ids=["status", "lost"])
def test_a_generator_is_never_sent_a_second_time(api, things, how):
    things.script(how)
    run = lambda: api.request("POST", things.url, data=generator(b"one ", b"two"))  # noqa: E731
    if how == 503:
        assert run().status_code == 503
    else:
        failure(api, run)
    assert [r.body for r in things.requests] == [b"one two"]


def test_a_generator_never_meets_a_stale_connection_empty_handed(api, things):
    for _ in range(5):
        things.script(Reply(body=b"{}", drop_idle=True))
        api.request("GET", things.url)
        assert api.request("POST", things.url, data=generator(b"one ", b"two")).json()["said"] == "one two"
    assert {r.body for r in things.requests if r.method == "POST"} == {b"one two"}


@pytest.mark.parametrize("body", [b"bytes", "text", {"a": "form"}], ids=str)
def test_other_bodies_are_sent_again_whole(api, things, body):
    things.script(503, Reply(drop=True))
    assert api.request("POST", things.url, data=body).status_code == 200
    assert len({r.body for r in things.requests}) == 1
    assert things.requests[2].body


@pytest.mark.parametrize("body", [io.BytesIO(b"skipped, sent"), bytearray(b"sent")], ids=["file", "bytearray"])
@pytest.mark.parametrize("retries", [3, 60])
def test_a_file_is_rewound_to_where_it_began(things, retries, body):
    things.script(*[503] * retries)
    with create_session(max_retries=retries) as session:
        calls = session.get_adapter("http://x").calls
        calls.policy = dataclasses.replace(calls.policy, base_delay=0.001, max_delay=0.001)
        if isinstance(body, io.BytesIO):
            body.seek(9)
        assert session.post(things.url, data=body).json()["said"] == "sent"
    assert {r.body for r in things.requests} == {b"sent"}


def test_a_pipe_is_sent_once(things):
    read, write = os.pipe()
    os.write(write, b"from a pipe")
    os.close(write)
    things.script(503)
    with create_session() as session, open(read, "rb") as pipe:
        assert session.post(things.url, data=pipe).status_code == 503
    assert things.request_count == 1


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip", "unheard-of"])
def test_whatever_the_coding_the_body_is_the_librarys_business(api, things, coding):
    things.script(Reply(body=b"", headers={"content-encoding": coding}))
    assert api.request("GET", things.url).status_code == 200


def test_gzip(api, things):
    things.script(503, Reply(body={"packed": True}, gzip=True))
    assert api.request("GET", things.url).json() == {"packed": True}


# -- what the libraries themselves do ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "method", "said"), [(302, "GET", ""), (303, "GET", ""), (307, "POST", "x")])
def test_redirects_are_followed_where_the_library_does(api, things, status, method, said):
    things.script(503, Reply(status=status, headers={"location": "/there"}, body=b""), 503)
    asked = {} if api.home == "requests" else {"follow_redirects": True}
    reply = api.request("POST", things.url + "/here", data=b"x", **asked)
    assert reply.json() == {"method": method, "path": "/there", "said": said}
    assert [r.status_code for r in reply.history] == [status]
    assert things.request_count == 4


def test_redirects_are_not_followed_where_the_library_does_not(api, things):
    things.script(Reply(status=302, headers={"location": "/there"}, body=b"moved"))
    asked = {"allow_redirects": False} if api.home == "requests" else {}
    reply = api.request("GET", things.url, **asked)
    assert (reply.status_code, reply.text, things.request_count) == (302, "moved", 1)


def test_each_hop_of_a_redirect_is_bounded(make, things):
    things.script(Reply(status=302, headers={"location": "/there"}, body=b""), Reply(silent=True))
    api = make(timeout=9)
    asked = {} if api.home == "requests" else {"follow_redirects": True}
    error, seconds = took(lambda: failure(api, lambda: api.request("GET", things.url, timeout=0.2, **asked)))
    assert isinstance(error, api.Timeout)
    assert 0.19 < seconds < 2


def test_headers_auth_and_cookies(api, things):
    things.script(Reply(body=b"", headers={"set-cookie": "c=1; Path=/"}), 503)
    api.session.headers["X-Mine"] = "mine"
    api.session.auth = ("user", "password")
    for _ in range(2):
        api.request("GET", things.url, headers={"x-once": "once", "User-Agent": "me/1"})
    assert [r.headers.get("cookie") for r in things.requests] == [None, "c=1", "c=1"]
    for request in things.requests:
        assert request.headers["authorization"] == "Basic dXNlcjpwYXNzd29yZA=="
        assert (request.headers["x-mine"], request.headers["x-once"]) == ("mine", "once")
        assert request.headers["user-agent"] == "me/1"


def test_hooks_see_the_last_response(things):
    seen = []
    things.script(503)
    with create_session() as session:
        session.hooks["response"].append(lambda r, **_: seen.append(r.status_code))
        session.get(things.url)

    async def hook(response):
        seen.append(response.status_code)

    async def main():
        async with create_async_client() as client:
            client.event_hooks["response"].append(hook)
            things.script(503)
            await client.get(things.url)

    asyncio.run(main())
    assert seen == [200, 200]


def test_netrc(things, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    things.script(503)
    with create_session() as session:
        session.get(things.url)
    assert [r.headers["authorization"] for r in things.requests] == ["Basic bWU6c2VjcmV0"] * 2


def test_digest(api, things):
    challenge = {"www-authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'}
    things.handler = lambda r: (
        Reply(body=b"in") if "authorization" in r.headers else Reply(status=401, headers=challenge)
    )
    auth = HTTPDigestAuth if api.home == "requests" else httpx.DigestAuth
    things.script(503)
    assert api.request("GET", things.url, auth=auth("user", "password")).text == "in"
    assert things.request_count == 3


@pytest.mark.parametrize("tls", [False, True], ids=["forwarded", "tunnelled"])
def test_the_proxy_of_the_environment(make, things, tls, monkeypatch, tmp_path):
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with FakeServer(tls=context if tls else None) as server, Proxy() as proxy:
        server.handler = things.handler
        server.script(503, Reply(drop=True))
        monkeypatch.setenv("HTTPS_PROXY" if tls else "HTTP_PROXY", f"http://user:pass@127.0.0.1:{proxy.port}")
        api = make()
        assert api.request("POST", server.url + "/a", data=b"x").json()["said"] == "x"
        assert api.request("GET", server.url + "/b").json()["path"] == "/b"
        assert server.request_count == 4
        method = "CONNECT" if tls else "POST"
        assert proxy.requests[0].startswith(method)
        assert set(proxy.credentials) == {"Basic dXNlcjpwYXNz"}
        assert all("proxy-authorization" not in r.headers for r in server.requests) or not tls
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        before = len(proxy.requests)
        assert api.request("GET", server.url + "/c").json()["path"] == "/c"
        assert len(proxy.requests) == before


def test_a_proxy_that_is_down(still, things, monkeypatch):
    api, moment = still
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free.getsockname()[1]}")
    error = failure(api, lambda: api.request("GET", things.url))
    assert isinstance(error, requests.exceptions.ProxyError | httpx.ConnectError | httpx.ProxyError)
    assert (things.request_count, len(moment.sleeps)) == (0, 3)


def test_a_proxy_that_cannot_be_one(api, things, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "gopher://x:1")
    failure(api, lambda: api.request("GET", things.url))
    assert things.request_count == 0


@pytest.mark.parametrize("url", ["ftp://h/", "no-scheme", "http://", "http://[::1/"])
def test_an_address_that_is_none(still, url):
    api, moment = still
    with pytest.raises((requests.RequestException, httpx.HTTPError, httpx.InvalidURL)) as caught:
        api.request("GET", url)
    assert type(caught.value).__module__.partition(".")[0] == api.home
    assert moment.sleeps == []


def test_no_type_of_ours_or_urllib3s_shows_in_an_error(make, things):
    """Of what is raised; its causes may be anybody's."""
    things.handler = lambda _: Reply(silent=True)
    api = make(timeout=0.1)
    error = failure(api, lambda: api.request("GET", things.url))
    last = traceback.format_exception_only(error)[-1]
    assert last.startswith(f"{api.home}.")


# -- mocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_responses_answers_in_our_place(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", None)
    with responses.RequestsMock() as mock, create_session() as session:
        mock.get("http://h/a", status=503)
        mock.get("http://h/a", json={"x": 1})
        mock.get("http://h/b", status=500, json={"why": "broken"})
        mock.get("http://h/c", body=requests.ConnectionError("gone"))
        assert session.get("http://h/a").json() == {"x": 1}
        assert session.get("http://h/b").json() == {"why": "broken"}
        with pytest.raises(requests.ConnectionError, match="gone"):
            session.get("http://h/c")
        assert len(mock.calls) == 2 + 4 + 1


@pytest.mark.mocks
async def test_respx_answers_in_our_place(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", None)
    client = create_async_client()
    calls = transport_of(client).calls
    calls.policy = dataclasses.replace(calls.policy, base_delay=0.001)
    with respx.mock() as mock:
        first = mock.get("http://h/a").mock(side_effect=[httpx.Response(503), httpx.Response(200, json={"x": 1})])
        broken = mock.get("http://h/b").respond(500, json={"why": "broken"})
        gone = mock.post("http://h/c").mock(side_effect=httpx.ConnectError)
        assert (await client.get("http://h/a")).json() == {"x": 1}
        assert (await client.get("http://h/b")).json() == {"why": "broken"}
        with pytest.raises(httpx.ConnectError):
            await client.post("http://h/c", json={})
    assert (first.call_count, broken.call_count, gone.call_count) == (2, 4, 4)
    await client.aclose()


# -- many at once -----------------------------------------------------------------------------------------------------


def flaky(server, odds=0.3):
    rng, lock = random.Random(7), threading.Lock()

    def handler(request):
        with lock:
            draw = rng.random()
        faults = (Reply(status=503), Reply(drop=True), Reply(status=429, headers={"retry-after": "0.01"}))
        return faults[int(draw * 30) % 3] if draw < odds else Reply(body={"said": request.body.decode()})

    server.handler = handler


@pytest.mark.slow
def test_twenty_threads(server):
    flaky(server)
    results = []
    with create_session(max_retries=30) as session:
        adapter = session.get_adapter("http://x")
        adapter.calls.policy = dataclasses.replace(adapter.calls.policy, base_delay=0.001, max_delay=0.01)

        def work(n):
            for i in range(10):
                results.append((session.post(server.url, data=f"{n}.{i}").json()["said"], f"{n}.{i}"))

        threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 200
    assert all(said == sent for said, sent in results)


def test_one_prepared_request_from_many_threads(server):
    flaky(server)
    results = []
    with create_session(max_retries=30) as session:
        adapter = session.get_adapter("http://x")
        adapter.calls.policy = dataclasses.replace(adapter.calls.policy, base_delay=0.001, max_delay=0.01)
        prepared = session.prepare_request(requests.Request("POST", server.url, data=b"x"))
        threads = [
            threading.Thread(target=lambda: results.append(session.send(prepared)), daemon=True) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [r.json() for r in results] == [{"said": "x"}] * 20
    assert {id(r.request) for r in results} == {id(prepared)}


@pytest.mark.slow
async def test_a_hundred_tasks(server):
    flaky(server)
    async with create_async_client(max_retries=30) as client:
        calls = transport_of(client).calls
        calls.policy = dataclasses.replace(calls.policy, base_delay=0.001, max_delay=0.01)

        async def work(n):
            for i in range(3):
                assert (await client.post(server.url, content=f"{n}.{i}")).json()["said"] == f"{n}.{i}"

        await asyncio.gather(*(work(n) for n in range(100)))


async def test_cancelled_tasks_leave_nothing_behind(things):
    things.handler = lambda _: Reply(silent=True)
    async with create_async_client() as client:
        tasks = [asyncio.create_task(client.get(things.url)) for _ in range(50)]
        await asyncio.to_thread(things.wait_for_requests, 50)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        await asyncio.to_thread(wait_until, lambda: things.active == 0)
        things.handler = None
        assert (await client.get(things.url)).status_code == 404


def test_one_client_on_several_loops(things):
    client = create_async_client()

    async def main():
        replies = await asyncio.gather(*(client.get(things.url) for _ in range(3)))
        return [reply.status_code for reply in replies]

    for _ in range(3):
        assert asyncio.run(main()) == [200, 200, 200]
    asyncio.run(client.aclose())


# -- its end --------------------------------------------------------------------------------------------------------


def sockets():
    gc.collect()
    names = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
    return sum("socket" in os.readlink(name) for name in names if os.path.islink(name))


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts sockets in /proc")
def test_closing_releases_all_sockets(front, things):
    wait_until(lambda: things.active == 0)
    before = sockets()
    api = front()
    things.script(503, Reply(drop=True), Reply(body=b"x" * 99, cut=5))
    outcome_of(lambda: api.request("GET", things.url))
    for _ in range(3):
        api.request("GET", things.url)
    for piece in api.stream(things.url):
        assert piece
        break
    api.close()
    wait_until(lambda: sockets() <= before)


def test_a_slow_error_body_that_takes_all_the_time_is_a_timeout_of_the_library(make, things):
    """It is read for the sake of the next attempt, for which nothing is left then."""
    things.script(Reply(status=500, body="x" * 100, drip=0.05))
    api = make(3, 0.2)
    with pytest.raises(api.Timeout):
        api.request("GET", things.url)


def test_a_head_that_goes_on_is_ended_early(make, things):
    """The lines are few and long; what `http.cookiejar` would make of them takes seconds."""
    line = b"set-cookie: a=b" + b";x=y" * 15_000 + b"\r\n"
    things.script(*[Reply(raw=b"HTTP/1.1 200 OK\r\n" + line * 90 + b"\r\n")] * 9)
    api = make(1, 20)
    with pytest.raises(api.Error) as caught:
        api.request("GET", things.url)
    assert not isinstance(caught.value, api.Timeout)
