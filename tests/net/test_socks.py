"""Through SOCKS5, on both fronts: the same bounds and stops as elsewhere, whatever the proxy says and however slowly."""

import socket
import ssl
import sys

import httpx
import pytest
import requests
import trustme
from support.live import PROMPT, WORDS, Work, at, at_port, blocked, content, eventually, no_leak, slots
from support.socks5 import NOT_ALLOWED, REFUSED, Socks

import llmnet
from llmnet.net.sockets import MAX_AGE, TCP_OPTIONS, Age
from llmnet.testing import FakeServer, Reply, full_peer

pytestmark = pytest.mark.threads

pytest.importorskip("socksio")

SECRET = "p:ss w/rd-0123456789"
LOGIN = ("us@er", SECRET)
WRITTEN = "us%40er:p%3Ass%20w%2Frd-0123456789@"
ONCE = llmnet.RetryPolicy(max_retries=0)
QUICK = llmnet.RetryPolicy(base_delay=0.001, max_retries=2)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_call_a_stream_and_the_connection_again(front, server, scheme):
    with Socks() as proxy, no_leak(server), front.client(**at(server, proxy=proxy.url(scheme))) as client:
        assert client.chat("hi").content == "hi"
        assert content(client.stream_chat(WORDS)) == WORDS
        assert (server.connections, server.request_count) == (1, 2)
        assert proxy.targets == [(1, "127.0.0.1", server.port)]


@pytest.mark.parametrize(("scheme", "asked"), [("socks5", (1, "127.0.0.1")), ("socks5h", (3, "api.example"))])
def test_who_resolves_the_name(front, server, monkeypatch, scheme, asked):
    found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", server.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    fields = {**at(server), "base_url": f"http://api.example:{server.port}/v1"}
    with Socks() as proxy, front.client(**fields, proxy=proxy.url(scheme)) as client:
        assert client.chat("hi").content == "hi"
        assert proxy.targets == [(*asked, server.port)]


def test_a_name_that_only_we_must_resolve_fails_as_one(front, server, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with (
        Socks() as proxy,
        front.client(**{**at(server), "base_url": "http://api.example/v1"}, proxy=proxy.url()) as client,
    ):
        with pytest.raises(llmnet.APIConnectionError) as caught:
            client.chat("hi")
        assert (caught.value.phase, proxy.targets) == ("dns", [])


def test_tls_inside(front):
    authority, theirs, ours = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    with FakeServer(tls=theirs) as server, Socks() as proxy:
        with front.client(**at(server, verify=ours, proxy=proxy.url())) as client:
            assert [client.chat("hi").content for _ in range(2)] == ["hi", "hi"]
        assert server.connections == 1


@pytest.mark.parametrize("bound", [b"\3\4host\0\1", b"\4" + 16 * b"\1" + b"\0\1"], ids=["name", "IPv6"])
def test_user_and_password_and_any_bound_address(front, server, bound):
    with Socks(login=LOGIN, bound=bound) as proxy:
        with front.client(**at(server, proxy=proxy.url(login=WRITTEN))) as client:
            assert client.chat("hi").content == "hi"
        assert proxy.logins == [LOGIN]


FAILING = {
    "no login given": ({"login": LOGIN}, "", "authentication", 1),
    "another login": ({"login": LOGIN}, "us:SECRET-0123@", "authentication", 1),
    "not allowed": ({"code": NOT_ALLOWED}, "", "not allowed", 1),
    "refused behind it": ({"code": REFUSED}, "", "connection refused", 3),
    "too long a login": ({"login": LOGIN}, f"{'u' * 256}:SECRET-0123@", "no room", 1),
    "unknown code": ({"code": 99}, "", "speaks no SOCKS5", 3),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_proxy_that_makes_no_connection(front, server, case):
    options, login, says, attempts = FAILING[case]
    with (
        Socks(**options) as proxy,
        no_leak(server),
        front.client(**at(server, proxy=proxy.url(login=login), retry=QUICK)) as client,
    ):
        with pytest.raises(llmnet.APIConnectionError, match=says) as caught:
            client.chat("hi")
        assert (caught.value.phase, caught.value.maybe_billed) == ("proxy", False)
        assert [a.sent for a in caught.value.meta.attempts] == [False] * attempts
        assert "SECRET" not in str(caught.value)
        assert server.request_count == 0


def test_a_server_that_speaks_no_socks(front, server):
    class Http(Socks):
        def _greet(self, heard):
            return b"HTTP/1.1 400 Bad Request\r\n\r\n"

    with Http() as proxy, front.client(**at(server, proxy=proxy.url(), retry=ONCE)) as client:
        with pytest.raises(llmnet.APIConnectionError, match=r"speaks no SOCKS5|another kind") as caught:
            client.chat("hi")
        assert caught.value.phase == "proxy"


def test_a_proxy_that_is_down(front):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with front.client(**at_port(9, proxy=f"socks5://127.0.0.1:{port}", retry=QUICK)) as client:
        with pytest.raises(llmnet.APIConnectionError) as caught:
            client.chat("hi")
        assert caught.value.phase == "proxy"
        assert len(caught.value.meta.attempts) == 3


# -- bounds and stops ---------------------------------------------------------------------------------------------------


def late(phase, **bounds):
    return llmnet.Timeout(**{"connect": PROMPT, "response": PROMPT, "idle": PROMPT, "total": PROMPT, **bounds}), phase


@pytest.mark.parametrize("mute", [0, 1, 2], ids=["greeting", "login", "connect"])
@pytest.mark.parametrize("bound", ["connect", "total"])
def test_a_mute_proxy_meets_the_bound(front, server, mute, bound):
    timeout, phase = late(bound, **{bound: 0.2})
    with Socks(login=LOGIN, mute=mute) as proxy, no_leak(server):
        way = {"proxy": proxy.url(login=WRITTEN), "timeout": timeout, "retry": ONCE}
        with front.client(**at(server, **way)) as client:
            with pytest.raises(llmnet.APITimeoutError) as caught:
                client.chat("hi")
            assert caught.value.phase == phase
            assert caught.value.meta.elapsed < 5
            assert slots(client) == 0


def test_a_proxy_that_is_never_reached_meets_the_bound(front):
    timeout, phase = late("connect", connect=0.2)
    way = {"timeout": timeout, "retry": ONCE}
    with full_peer() as port, front.client(**at_port(9, proxy=f"socks5://127.0.0.1:{port}", **way)) as client:
        with pytest.raises(llmnet.APITimeoutError) as caught:
            client.chat("hi")
        assert caught.value.phase == phase


BEHIND = [
    ("response", Reply(silent=True), {"response": 0.2}),
    ("response", Reply(drip_head=0.05), {"response": 0.2}),
    ("total", Reply(text=WORDS * 50, pace=0.02), {"total": 0.3}),
    ("idle", Reply(text=WORDS, hold="body"), {"idle": 0.2}),
]


@pytest.mark.parametrize(("phase", "reply", "bounds"), BEHIND, ids=["silent", "drip", "total", "idle"])
def test_bounds_hold_behind_the_proxy(front, server, phase, reply, bounds):
    server.script(reply)
    timeout, phase = late(phase, **bounds)
    way = {"timeout": timeout, "retry": ONCE}
    with Socks() as proxy, no_leak(server), front.client(**at(server, proxy=proxy.url(), **way)) as client:
        with pytest.raises(llmnet.APITimeoutError) as caught:
            content(client.stream_chat("hi"))
        assert caught.value.phase == phase
        assert caught.value.meta.elapsed < 5


@pytest.mark.parametrize("mute", [0, 1], ids=["greeting", "connect"])
def test_cancel_while_the_proxy_is_mute(front, server, mute):
    with Socks(mute=mute) as proxy, no_leak(server), front.client(**at(server, proxy=proxy.url())) as client:
        stream = client.stream_chat("hi")
        work = Work(list, stream)
        assert proxy.silent.wait(PROMPT)
        eventually(lambda: blocked(stream))
        stream.cancel()
        with pytest.raises(llmnet.StreamCancelledError):
            work.result()
        assert slots(client) == 0


@pytest.mark.parametrize("hold", [True, "body"], ids=["before the head", "in the body"])
def test_cancel_behind_the_proxy(front, server, hold):
    server.script(Reply(text=WORDS, hold=hold))
    with Socks() as proxy, no_leak(server), front.client(**at(server, proxy=proxy.url())) as client:
        stream = client.stream_chat("hi")
        work = Work(list, stream)
        eventually(lambda: server.request_count == 1)
        stream.cancel()
        with pytest.raises(llmnet.StreamCancelledError):
            work.result()
        eventually(lambda: server.active == 0)
        assert slots(client) == 0


def test_connections_through_it_age_too(front, server, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(Age, "clock", lambda _: now[0])
    with Socks() as proxy, front.client(**at(server, proxy=proxy.url())) as client:
        for step, connections in ((0, 1), (MAX_AGE - 1, 1), (1, 2)):
            now[0] += step
            client.chat("hi")
            assert server.connections == connections


def test_the_socket_is_told_what_every_socket_is(server, monkeypatch):
    """Of the sync front; what httpx is told is a test of its own."""
    options = []

    class Told(socket.socket):
        def connect_ex(self, address):
            options.append([self.getsockopt(level, option) for level, option, _ in TCP_OPTIONS])
            return super().connect_ex(address)

    with Socks() as proxy, llmnet.Client(**at(server, proxy=proxy.url())) as client:
        monkeypatch.setattr("llmnet.transports.sync.dial.socket.socket", Told)
        client.chat("hi")
    assert all(options[0])


# -- the sessions -------------------------------------------------------------------------------------------------------


def test_the_session_goes_through_it(server, monkeypatch):
    with Socks(login=LOGIN) as proxy, llmnet.create_session() as session:
        monkeypatch.setenv("ALL_PROXY", proxy.url(login=WRITTEN))
        assert [session.get(server.url + "/v1/models").status_code for _ in range(2)] == [200, 200]
        assert (server.connections, proxy.logins) == (1, [LOGIN])
        server.script(Reply(silent=True))
        with pytest.raises(requests.exceptions.ReadTimeout):
            session.post(server.url + "/v1/models", timeout=0.2)


async def test_the_async_client_goes_through_it(server, monkeypatch):
    with Socks(login=LOGIN) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url(login=WRITTEN))
        async with llmnet.create_async_client() as client:
            assert [(await client.get(server.url + "/v1/models")).status_code for _ in range(2)] == [200, 200]
            assert (server.connections, proxy.logins) == (1, [LOGIN])
            server.script(Reply(silent=True))
            with pytest.raises(httpx.ReadTimeout):
                await client.post(server.url + "/v1/models", timeout=0.2)


# -- without the package ------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch):
    """An installation without the extra."""
    monkeypatch.setitem(sys.modules, "socksio", None)


@pytest.mark.parametrize("variable", ["ALL_PROXY", "http_proxy"])
def test_without_the_package_the_request_fails_that_needs_it(front, server, bare, monkeypatch, variable):
    monkeypatch.setenv(variable, f"socks5://user:{'S3CRET' * 3}@127.0.0.1:9")
    with front.client(**{**at(server), "base_url": f"http://127.0.0.2:{server.port}/v1"}) as client:
        with pytest.raises(llmnet.ConfigurationError, match=r"llmnet\[socks\]") as caught:
            client.chat("hi")
        assert variable in str(caught.value)
        assert "S3CRET" not in str(caught.value)
        assert slots(client) == 0
    with front.client(**at(server)) as client:
        assert client.chat("hi").content == "hi"


def test_without_the_package_a_client_that_was_told_of_it_is_refused(front, server, bare):
    with pytest.raises(llmnet.ConfigurationError, match=r"proxy .*llmnet\[socks\]"):
        front.client(**at(server, proxy="socks5h://127.0.0.1:9"))


def test_without_the_package_the_session_says_so(server, bare, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with llmnet.create_session() as session, pytest.raises(requests.RequestException, match=r"llmnet\[socks\]"):
        session.get(server.url)


async def test_without_the_package_the_async_client_says_so(server, bare, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    async with llmnet.create_async_client() as client:
        with pytest.raises(httpx.ConnectError, match=r"llmnet\[socks\]"):
            await client.get(server.url)
