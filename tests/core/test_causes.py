"""What an error was made from carries no credential, along every branch, after real failures on both fronts.

And it is the call's own: what a caller was handling when it called is neither judged nor touched.
"""

import asyncio
import contextlib
import socket
import ssl

import httpx
import pytest
import requests
import trustme
from support.live import PROMPT, at, at_port, child_of
from support.proxy import Proxy

import llmnet
from llmnet.core.credentials import in_headers
from llmnet.core.secrets import MASK, Secrets
from llmnet.core.tracebacks import cut_causes, reachable
from llmnet.testing import FakeServer, Reply, mute_peer

KEY, TOKEN, PASSWORD = "sk-planted/Key+0123456789", "tok-planted/Header=0123456789", "pwd-planted/Proxy+0123456789"
LOGIN = "user:pwd-planted%2FProxy%2B0123456789@"
ONCE = llmnet.RetryPolicy(max_retries=1, base_delay=0.001, max_delay=0.002)
PLAIN = (str, bytes, int, float, type(None), BaseException)


def everything(error):
    """All exceptions that can be got at from one, by whatever way; found out anew, not as the code under test does."""
    seen, waiting = [], [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or any(one is other for other in seen):
            continue
        seen.append(one)
        waiting += [one.__cause__, one.__context__, *vars(one).values(), *one.args, *getattr(one, "exceptions", ())]
    return seen


def held(error):
    """What exceptions hold besides plain values and each other, our own facts aside."""
    for one in everything(error):
        if type(one).__module__.partition(".")[0] != "llmnet":
            for value in (*vars(one).values(), *one.args):
                if not isinstance(value, PLAIN):
                    yield type(one).__name__, value


def check(error):
    assert list(held(error)) == []
    for one in everything(error):
        text = f"{one} {one!r} {one.args} {vars(one)}"
        for secret in (KEY, TOKEN, PASSWORD, LOGIN[:-1]):
            assert Secrets([secret]).hide(text) == text, secret


@contextlib.contextmanager
def closed():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    yield at_port(port)


@contextlib.contextmanager
def served(server, *replies, **more):
    server.script(*replies)
    yield at(server, **more)


@contextlib.contextmanager
def untrusted():
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(theirs)
    with FakeServer(tls=theirs) as server:
        yield at(server)


@contextlib.contextmanager
def mute():
    with mute_peer() as port:
        yield at_port(port, timeout=llmnet.Timeout(response=0.1))


@contextlib.contextmanager
def through(fields, port=None):
    """By a proxy that refuses everybody, or that is not there."""
    with Proxy() if port is None else contextlib.nullcontext() as proxy:
        yield {**fields, "proxy": f"http://{LOGIN}127.0.0.1:{proxy.port if proxy else port}"}


FAILURES = {
    "refused": lambda server: closed(),
    "no TLS there": lambda server: contextlib.nullcontext(
        at_port(server.port, "https", timeout=llmnet.Timeout(connect=0.1))
    ),
    "untrusted": lambda server: untrusted(),
    "mute": lambda server: mute(),
    "cut body": lambda server: served(server, *[Reply(cut=40)] * 2),
    "cut stream": lambda server: served(server, *[Reply(text="one two three", cut=100, reset=True)] * 2),
    "no HTTP": lambda server: served(server, *[Reply(raw=b"nonsense " + KEY.encode() + b"\r\n\r\n")] * 2),
    "half a head": lambda server: served(server, *[Reply(raw=b"HTTP/1.1 200 OK\r\nx: " + TOKEN.encode())] * 2),
    "no proxy there": lambda server: through(at(server), 1),
    "no tunnel": lambda server: through(at_port(1, "https")),
    "too late": lambda server: served(server, Reply(silent=True), timeout=llmnet.Timeout(total=0.15)),
}


# What no HTTP library has raised: a reply that ours alone has read, and bounds that are ours.
WITHOUT_CAUSE = ("no HTTP", "no TLS there", "mute", "too late")


@pytest.mark.parametrize("way", ["chat", "stream"])
@pytest.mark.parametrize("name", FAILURES)
def test_no_credential_is_held_by_what_an_error_was_made_from(front, server, name, way):
    with FAILURES[name](server) as fields:
        ours = {"api_key": KEY, "headers": {"x-token": TOKEN}, "retry": ONCE, **fields}
        with front.client(**ours) as client, pytest.raises(llmnet.LLMNetError) as caught:
            client.chat("hi") if way == "chat" else list(client.stream_chat("hi"))
    check(caught.value)
    if name not in WITHOUT_CAUSE:
        assert len(everything(caught.value)) > 1, "its cause is gone, though it shows nothing"


def test_a_ctrl_c_that_meets_a_failure_shows_nothing_of_it():
    error = KeyboardInterrupt()
    error.__context__ = httpx.ConnectError("x", request=httpx.Request("GET", "http://h", headers={"x-api-key": KEY}))
    Secrets([KEY]).clean_causes(error)
    check(error)


def test_all_branches_and_groups_are_walked():
    request = requests.Request("GET", "http://h", headers={"authorization": KEY}).prepare()
    library = requests.ConnectionError("no way", request=request)
    library.__cause__, library.__context__ = ValueError("innocent"), OSError(f"not to be seen: {KEY}")
    other = ExceptionGroup("several", [ValueError(KEY), RuntimeError("fine")])
    error = llmnet.APIConnectionError("it failed")
    error.__cause__, error.__context__ = library, TypeError("what the caller handled")
    error.__context__.__cause__ = other
    error.__context__.__context__ = error
    Secrets([KEY]).clean(error)
    check(error)
    assert error.__cause__ is library
    assert (library.request, library.response) == (None, None)
    assert isinstance(library.__cause__, ValueError)
    assert library.__context__ is None
    assert error.__context__.__cause__ is None


def test_what_has_no_secret_is_left_alone():
    library = requests.ConnectionError("no way", request=(request := requests.Request("GET", "http://h").prepare()))
    error = llmnet.APIConnectionError("it failed")
    error.__cause__ = library
    Secrets().clean(error)
    assert library.request is request


# -- what the caller was handling --------------------------------------------------------------------------------------


def test_a_failure_inside_an_except_block_is_an_error_of_its_own(front):
    """Python hangs what is being handled below all that fails meanwhile: that is no cause of ours."""
    first, second = closed(), closed()
    with first as one, second as two, front.client(**one, max_retries=0) as a, front.client(**two, max_retries=0) as b:
        for ask in (lambda client: client.chat("hi"), lambda client: list(client.stream_chat("hi"))):
            errors = []
            try:
                ask(a)
            except llmnet.APIConnectionError as error:
                errors.append(error)
                with pytest.raises(llmnet.APIConnectionError) as caught:
                    ask(b)
                errors.append(caught.value)
            assert errors[0] is not errors[1]
            assert errors[0].meta is not errors[1].meta


def handled(request):
    """An error of the caller's own that would be taken for a wrong certificate, and holds a request of its own."""
    try:
        try:
            raise ssl.SSLCertVerificationError(1, "not ours")
        except ssl.SSLError as error:
            raise httpx.ConnectError("mine", request=request) from error
    except httpx.ConnectError as error:
        return error


@pytest.mark.parametrize("way", ["chat", "stream"])
def test_what_the_caller_was_handling_is_neither_judged_nor_touched(way):
    request = httpx.Request("GET", "http://h", headers={"authorization": KEY})
    mine = handled(request)
    with closed() as fields, llmnet.Client(**fields, api_key=KEY, max_retries=0) as client:
        try:
            raise mine
        except httpx.ConnectError:
            with pytest.raises(llmnet.APIConnectionError) as caught:
                client.chat("hi") if way == "chat" else list(client.stream_chat("hi"))
    assert caught.value.phase == "connect"
    assert mine.request is request
    assert isinstance(mine.__cause__, ssl.SSLCertVerificationError)


def test_nor_is_it_in_the_async_client():
    request = httpx.Request("GET", "http://h", headers={"authorization": KEY})
    mine = handled(request)

    async def main():
        with closed() as fields:
            async with llmnet.AsyncClient(**fields, api_key=KEY, max_retries=0) as client:
                try:
                    raise mine
                except httpx.ConnectError:
                    with pytest.raises(llmnet.APIConnectionError) as caught:
                        await asyncio.wait_for(client.chat("hi"), PROMPT)
        assert caught.value.phase == "connect"

    asyncio.run(main())
    assert mine.request is request


def test_nor_by_with_retry():
    @llmnet.with_retry(max_attempts=2, base_delay=0.001)
    def function():
        calls.append(1)
        raise ValueError("not for the network to blame")

    calls = []
    try:
        raise ConnectionResetError(104, "the caller's")
    except ConnectionError:
        with pytest.raises(ValueError):
            function()
    assert len(calls) == 1


def test_the_walk_stops_where_the_caller_began_and_never_at_its_own_beginning():
    inner, outer = ValueError("inner"), ValueError("outer")
    inner.__context__ = outer
    assert list(reachable(inner, id(outer))) == [inner]
    assert list(reachable(inner, id(inner))) == [inner, outer]
    cut_causes(inner, lambda text: "outer" in text, id(outer))
    assert inner.__context__ is outer


# -- a proxy that the environment has named --------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True], ids=["client", "child"])
def test_the_password_of_a_proxy_is_hidden_when_its_variable_is_gone(front, server, monkeypatch, later):
    monkeypatch.setenv("http_proxy", f"http://{LOGIN}127.0.0.1:{server.port}")
    with front.client(**at_port(9, api_key=KEY, max_retries=0)) as client:
        monkeypatch.delenv("http_proxy")
        server.script(Reply(status=400, body=f"who is {LOGIN} or {PASSWORD}?", headers={"x-said": PASSWORD}))
        with pytest.raises(llmnet.BadRequestError) as caught:
            (child_of(front, client) if later else client).chat("hi")
    assert caught.value.body == f"who is {MASK}@ or {MASK}?"
    assert dict(caught.value.meta.headers)["x-said"] == MASK


def test_a_header_of_one_call_is_hidden_by_what_it_is_called(front, server):
    extra = {"x-session-id": "session/0123456789", "password": "password/0123456789"}
    server.script(Reply(status=400, body=f"no {' '.join(extra.values())}", headers={"x-said": "session%2f0123456789"}))
    with front.client(**at(server, max_retries=0)) as client, pytest.raises(llmnet.BadRequestError) as caught:
        client.chat("hi", extra_headers=extra)
    assert caught.value.body == f"no {MASK} {MASK}"
    assert dict(caught.value.meta.headers)["x-said"] == MASK
    assert set(extra.values()) <= set(in_headers(extra))


class OwnError(llmnet.LLMNetError):
    """An error of the caller's."""


class RowError(Exception):
    """Something of the caller's, with what no library knows."""

    def __init__(self, row):
        super().__init__(row)
        self.row = row


def test_an_error_of_the_callers_own_propagates_as_it_is(front, server):
    """From a callback, and from what gives the key: nobody but the call's own errors is cleaned and completed."""

    def fail(*_):
        try:
            raise RowError({"id": 7})
        except RowError as error:
            raise OwnError("mine") from error

    callbacks = llmnet.StreamCallbacks(on_chunk=fail)
    for more, options in (({"api_key": "a-key-that-is-long"}, {"callbacks": callbacks}), ({"api_key": fail}, {})):
        fields = at(server, headers={"x-token": "a-secret-of-mine"}, **more)
        with front.client(**fields) as client, pytest.raises(OwnError) as caught:
            client.chat("hi", **options)
        cause = caught.value.__cause__
        assert (cause.row, cause.args) == ({"id": 7}, ({"id": 7},))
        assert (caught.value.meta, caught.value.provider, str(caught.value)) == (None, None, "mine")
