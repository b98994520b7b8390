"""No connection serves longer than ten minutes: on an injected clock, counted by the server that sees it."""

import asyncio
import contextlib
import ssl

import pytest
import trustme
from support.live import WORDS, at, at_port, content, no_leak
from support.proxy import Proxy

import llmnet
from llmnet.net.sockets import MAX_AGE, Age
from llmnet.testing import FakeServer, Reply

pytestmark = pytest.mark.threads


@pytest.fixture
def clock(monkeypatch):
    """The time by which connections age; a list of one number."""
    now = [1000.0]
    monkeypatch.setattr(Age, "clock", staticmethod(lambda: now[0]))
    return now


def test_ten_minutes_is_the_age():
    assert MAX_AGE == 600


def test_an_old_connection_serves_no_further_call(front, server, clock):
    with no_leak(server), front.client(**at(server)) as client:
        for step, connections in ((0, 1), (MAX_AGE - 1, 1), (1, 2), (MAX_AGE - 1, 2), (1, 3)):
            clock[0] += step
            assert client.chat("hi").content == "hi"
            assert server.connections == connections
        assert server.request_count == client.request_count == 5


def test_being_used_makes_it_no_younger(front, server, clock):
    with front.client(**at(server)) as client:
        for _ in range(9):
            client.chat("hi")
            clock[0] += MAX_AGE / 4
        assert server.connections == 3


def test_a_stream_that_outlives_the_age_is_not_cut(front, server, clock):
    server.script(Reply(text=WORDS, hold="body"))
    with front.client(**at(server)) as client:
        with client.stream_chat("hi") as stream:
            first = next(stream).content
            clock[0] += 10 * MAX_AGE
            assert client.chat("hi").content == "hi"
            server.release()
            assert first + content(stream) == WORDS
        assert server.connections == 2


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def secure(authority):
    """A server behind TLS, and the context that trusts it."""
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    with FakeServer(tls=theirs) as server:
        yield server, ours


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "through a proxy"])
def test_tls_and_tunnels_age_too(front, secure, clock, proxied):
    server, context = secure
    with contextlib.ExitStack() as stack:
        way = {"proxy": f"http://127.0.0.1:{stack.enter_context(Proxy()).port}"} if proxied else {}
        client = stack.enter_context(front.client(**at(server, verify=context, **way)))
        for step, connections in ((0, 1), (MAX_AGE - 1, 1), (1, 2)):
            clock[0] += step
            client.chat("hi")
            assert server.connections == connections


def test_connections_of_the_session_age_too(server, clock):
    with llmnet.create_session() as session:
        for step, connections in ((0, 1), (MAX_AGE - 1, 1), (1, 2)):
            clock[0] += step
            assert session.get(server.url + "/v1/models").status_code == 200
            assert server.connections == connections


async def test_connections_of_the_async_client_age_too(server, clock):
    async with llmnet.create_async_client() as client:
        for step, connections in ((0, 1), (MAX_AGE - 1, 1), (1, 2)):
            clock[0] += step
            assert (await client.get(server.url + "/v1/models")).status_code == 200
            assert server.connections == connections


BODY = b'{"id": "1", "model": "m", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'


async def test_a_shared_connection_ages_too(authority, clock):
    """Of HTTP/2: what it carries goes on, the next call takes another."""
    connection, events = pytest.importorskip("h2.connection"), pytest.importorskip("h2.events")
    config = pytest.importorskip("h2.config").H2Configuration(client_side=False)
    connected, held = [], []

    class Peer(asyncio.Protocol):
        def connection_made(self, transport):
            connected.append(self)
            self.transport, self.http = transport, connection.H2Connection(config)
            self.http.initiate_connection()
            transport.write(self.http.data_to_send())

        def data_received(self, data):
            ended = [e.stream_id for e in self.http.receive_data(data) if isinstance(e, events.StreamEnded)]
            for stream in ended:
                held.append(lambda stream=stream: self.answer(stream))
            self.transport.write(self.http.data_to_send())

        def answer(self, stream):
            self.http.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
            self.http.send_data(stream, BODY, end_stream=True)
            self.transport.write(self.http.data_to_send())

    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    theirs.set_alpn_protocols(["h2"])
    ours.set_alpn_protocols(["h2"])
    authority.configure_trust(ours)
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0, ssl=theirs)
    port = server.sockets[0].getsockname()[1]

    async def calls(client, number, connections):
        before = len(held)
        asked = [asyncio.create_task(client.chat("hi")) for _ in range(number)]
        while len(held) < before + number:
            await asyncio.sleep(0)
        assert len(connected) == connections
        return asked

    async def end(asked):
        while held:
            held.pop()()
        assert [(await one).content for one in asked] == ["hi"] * len(asked)

    async with llmnet.AsyncClient(**at_port(port, "https"), verify=ours, http2=True) as client:
        await end(await calls(client, 1, 1))
        early = await calls(client, 2, 1)
        clock[0] += MAX_AGE
        late = await calls(client, 1, 2)
        await end([*early, *late])
        await end(await calls(client, 3, 2))
    server.close()
