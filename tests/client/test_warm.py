"""`warm` makes the connection of the first call, and nothing else: what is counted is connections, handshakes and requests."""

import contextlib
import socket
import ssl
import threading

import pytest
import trustme
from support.live import ENGINE, PROMPT, Work, at_port, eventually
from support.proxy import Proxy, TLSProxy
from support.socks5 import Socks
from support.tls import serving

import llmnet
from llmnet.testing.faults import mute_peer

BODY = b'{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(ca):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def front(front):
    if front.name == "async" and ENGINE == "httpx":
        pytest.skip("the engine of httpx connects for none but a request that is sent")
    return front


class Server:
    """An HTTP server that counts.

    Args:
        tls: speak TLS.
        serve: serves a connection in the place of replies, where it is given: a function of the socket and its number.

    Attributes:
        connections: how many have come.
        handshakes: how many of them have made one.
        requests: the number of the connection of each request.
    """

    def __init__(self, tls=None, serve=None):
        self.tls, self.serve = tls, serve or self.reply
        self.connections = self.handshakes = 0
        self.requests = []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._one, args=(sock, self.connections - 1), daemon=True).start()

    def _one(self, sock, number):
        sock.settimeout(PROMPT)
        with contextlib.suppress(OSError):
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)  # with tickets, which come after the handshake
                self.handshakes += 1
            with sock:
                self.serve(sock, number)

    def reply(self, sock, number):
        while self.asked(sock, number):
            sock.sendall(REPLY)

    def asked(self, sock, number):
        data = b""
        while not data.rstrip().endswith(b"}"):
            if not (more := sock.recv(65536)):
                return False
            data += more
        self.requests.append(number)
        return True


@contextlib.contextmanager
def way_to(name, ca):
    """The fields of a client that goes that way, with what counts the connections of the client itself."""
    kinds = {"http proxy": Proxy, "https proxy": lambda: TLSProxy(serving(ca)), "socks": Socks}
    if name is None:
        yield {}, None
        return
    with kinds[name]() as proxy:
        scheme = {"http proxy": "http", "https proxy": "https", "socks": "socks5"}[name]
        yield {"proxy": f"{scheme}://127.0.0.1:{proxy.port}"}, proxy


@pytest.mark.parametrize("secure", [True, False], ids=["tls", "plain"])
@pytest.mark.parametrize("way", [None, "http proxy", "https proxy", "socks"])
def test_the_first_call_connects_no_more(front, ca, trusted, way, secure):
    forwarded = way in ("http proxy", "https proxy") and not secure  # such a proxy connects when it is asked
    with Server(serving(ca) if secure else None) as server, way_to(way, ca) as (fields, proxy):
        scheme = "https" if secure else "http"
        with front.client(**at_port(server.port, scheme, verify=trusted, max_retries=0), **fields) as client:
            client.warm()
            eventually(lambda: server.connections == (not forwarded))
            eventually(lambda: server.handshakes == secure)
            assert server.requests == []
            for _ in range(1 if forwarded else 2):
                reply = client.chat("hi")
                assert [(one.sent, one.transparent) for one in reply.meta.attempts] == [(True, False)]
        assert set(server.requests) == {0}
        assert (server.connections, server.handshakes) == (1, secure)
        if proxy is not None and way != "socks":
            assert len(proxy.requests) == 1
        if way == "socks":
            assert len(proxy.targets) == 1


def test_each_warm_is_a_connection_of_which_so_many_are_kept_as_calls_are_allowed(front):
    with Server() as server, front.client(**at_port(server.port, max_concurrent=2)) as client:
        for _ in range(3):
            client.warm()
        eventually(lambda: server.connections == 3)
        client.chat("hi")
        assert server.requests == [1]  # the last that was kept
        assert server.connections == 3


def test_nothing_is_counted_and_no_key_is_asked_for(front):
    events, asked = [], []
    fields = {"on_event": events.append, "api_key": lambda: asked.append(1) or "k"}
    with Server() as server, front.client(**at_port(server.port, **fields)) as client:
        client.warm()
        assert (client.request_count, client.stats.calls, events, asked) == (0, 0, [], [])


def test_a_connection_that_has_died_meanwhile_is_replayed(front, ca, trusted):
    """The server ends it when the request comes: it was dead, and has served nobody."""

    def serve(sock, number):
        if server.asked(sock, number) and number:
            sock.sendall(REPLY)

    fields = {"verify": trusted, "max_retries": 0}
    with Server(serving(ca), serve) as server, front.client(**at_port(server.port, "https", **fields)) as client:
        client.warm()
        reply = client.chat("hi")
        assert [(one.sent, one.transparent) for one in reply.meta.attempts] == [(False, True), (True, False)]
        assert client.request_count == 1
    assert server.requests == [0, 1]


@pytest.mark.parametrize("secure", [True, False], ids=["tls", "plain"])
@pytest.mark.parametrize("word", [b"", LATE], ids=["end", "408"])
def test_what_a_server_says_of_an_idle_connection_is_no_reply(front, ca, trusted, secure, word):
    let_go, said = threading.Event(), threading.Event()

    def serve(sock, number):
        if number:
            server.reply(sock, number)
            return
        let_go.wait(PROMPT)
        sock.sendall(word)
        sock.close()
        said.set()

    tls, scheme = (serving(ca), "https") if secure else (None, "http")
    fields = {"verify": trusted, "max_retries": 0}
    with Server(tls, serve) as server, front.client(**at_port(server.port, scheme, **fields)) as client:
        client.warm()
        let_go.set()
        said.wait(PROMPT)
        assert client.chat("hi").content == "hello"
    assert server.requests == [1]


async def test_tickets_that_the_loop_had_no_turn_to_read_are_no_reply(ca, trusted):
    with Server(serving(ca)) as server:
        fields = at_port(server.port, "https", verify=trusted, transport="fast")
        async with llmnet.AsyncClient(**fields) as client:
            await client.warm()
            eventually(lambda: server.handshakes)  # the tickets are sent by then
            await client.chat("hi")
    assert server.connections == 1


def test_a_server_that_turns_away_whoever_connects_is_left(front):
    said = threading.Event()

    def serve(sock, number):
        sock.sendall(LATE)
        said.set()
        if number:
            sock.recv(65536)

    with Server(serve=serve) as server, front.client(**at_port(server.port, max_retries=0)) as client:
        client.warm()
        said.wait(PROMPT)
        with pytest.raises(llmnet.APIStatusError, match="408"):
            client.chat("hi")
    assert server.connections == 2


# -- errors -----------------------------------------------------------------------------------------------------------


def refused():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return gone.getsockname()[1]


def failure(client):
    with pytest.raises(llmnet.LLMNetError) as caught:
        client.warm()
    error = caught.value
    assert error.provider == "fake"
    assert error.host.startswith("127.0.0.1:")
    assert [(one.sent, one.transparent) for one in error.meta.attempts] == [(False, False)]
    return type(error), error.phase


def test_it_fails_as_a_call_fails_but_once(front, ca, trusted):
    with front.client(**at_port(refused(), max_retries=3)) as client:
        assert failure(client) == (llmnet.APIConnectionError, "connect")
    with Server(serving(ca)) as server:
        with front.client(**at_port(server.port, "https", max_retries=3)) as client:
            assert failure(client) == (llmnet.APIConnectionError, "tls")
        for proxy in (f"http://127.0.0.1:{refused()}", f"socks5://127.0.0.1:{refused()}"):
            with front.client(**at_port(server.port, "https", verify=trusted, proxy=proxy)) as client:
                assert failure(client) == (llmnet.APIConnectionError, "proxy")
    assert server.connections == 1


@pytest.mark.parametrize("proxied", [False, True], ids=["tls", "tunnel"])
def test_the_bound_for_connecting_holds(front, proxied):
    with mute_peer() as port:
        fields = at_port(port, "https", timeout=llmnet.Timeout(connect=0.1))
        if proxied:
            fields["proxy"] = f"http://127.0.0.1:{port}"
        with front.client(**fields) as client:
            assert failure(client) == (llmnet.APITimeoutError, "connect")


def test_a_closed_client_ends_it_and_refuses_it(front):
    hello, over = threading.Event(), threading.Event()

    def serve(sock, number):
        sock.recv(65536)
        hello.set()
        assert sock.recv(65536) == b""
        over.set()

    with Server(serve=serve) as server:
        client = front.client(**at_port(server.port, "https"))
        work = Work(failure, client)
        assert hello.wait(PROMPT)
        client.close()
        assert work.result() == (llmnet.APIConnectionError, None)
        assert over.wait(PROMPT)
        with pytest.raises(llmnet.ConfigurationError, match="closed"):
            client.warm()


# -- other transports -------------------------------------------------------------------------------------------------


class Own:
    def send(self, exchange, bounds):
        raise AssertionError("nothing is to be sent")

    def close(self):
        pass


class Warmed(Own):
    def warm(self, exchange, bounds):
        self.warmed = exchange.request.url, bounds.remaining()[1] > 0


def test_a_transport_of_the_callers_own_is_warmed_if_it_can_be():
    with llmnet.Client("fake:m", base_url="http://host/v1", transport=Own()) as client:
        client.warm()
    with llmnet.Client("fake:m", base_url="http://host/v1", transport=Warmed()) as client:
        client.warm()
        assert client.config.transport.warmed == ("http://host/v1", True)


@pytest.mark.parametrize("engine", [{"transport": "httpx"}, {"http2": True}], ids=["httpx", "http2"])
async def test_the_engine_of_httpx_is_left_as_it_is(engine):
    async with llmnet.AsyncClient(**at_port(refused()), **engine) as client:
        await client.warm()
