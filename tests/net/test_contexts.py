"""A TLS context is what its owner made it, whoever connects by it: nothing is set on it, and nothing is spoken that it did not offer."""

import contextlib
import itertools
import socket
import ssl
import threading
import time
import warnings

import pytest
import trustme
from matrix.rows_h2 import Peer, whole
from support.live import Sync, Work, at, at_port, content
from support.proxy import Proxy, TLSProxy
from support.tls import serving

import llmnet
from llmnet.net import tls
from llmnet.testing import FakeServer


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A process that has made no context yet."""
    monkeypatch.setattr(tls, "_CONTEXTS", tls._Contexts())  # private: they last as long as the process


@pytest.fixture(scope="module")
def private(ca):
    with FakeServer(tls=serving(ca)) as server:
        yield server


def strict(ca):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


def unusual(ca, folder):
    """A context on which everything is set that can be."""
    context = strict(ca)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET
    context.verify_flags |= ssl.VERIFY_X509_TRUSTED_FIRST
    context.hostname_checks_common_name = False
    context.post_handshake_auth = True
    context.keylog_filename = str(folder / "keys")
    context.set_alpn_protocols(["http/1.1"])
    return context


def nameless(ca):
    context = strict(ca)
    context.check_hostname = False
    return context


def unchecked(ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def offered(context):
    """The protocols that a context offers, which cannot be read."""
    hello = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="any.example").do_handshake()
    sent = hello.read()
    return [one for one in (b"\x02h2", b"\x08http/1.1") if one in sent]


def fields(context):
    """All that can be read of a context, and what it offers."""
    names = [
        name for name in dir(context) if not name.startswith("__") and name not in ("session_stats", "_msg_callback")
    ]
    read = {name: getattr(context, name) for name in names}
    plain = {name: value for name, value in read.items() if not callable(value) or name.endswith(("callback", "class"))}
    told = context.get_ciphers(), sorted(context.get_ca_certs(binary_form=True)), context.cert_store_stats()
    return plain, told, offered(context)


def ways(private, server, ca):
    """Each way to a server that has TLS in it, as fields of a client; the proxies run meanwhile."""
    yield at(private)
    with Proxy() as proxy:
        yield at(private, proxy=f"http://127.0.0.1:{proxy.port}")
    with TLSProxy(serving(ca)) as proxy:
        yield at(private, proxy=f"https://127.0.0.1:{proxy.port}")
        yield at(server, proxy=f"https://127.0.0.1:{proxy.port}")


@pytest.mark.parametrize("kind", [strict, unusual, nameless, unchecked])
def test_a_callers_context_is_never_touched(awaited, private, server, ca, kind, tmp_path):
    context = kind(ca, tmp_path) if kind is unusual else kind(ca)
    before = fields(context)
    assert {"verify_mode", "check_hostname", "options", "verify_flags", "minimum_version", "maximum_version"} <= {
        *before[0]
    }
    assert {"keylog_filename", "sni_callback", "post_handshake_auth"} <= {*before[0]}
    for way in ways(private, server, ca):
        for front in (Sync(), awaited):
            with front.client(verify=context, **way) as client:
                assert client.chat("hi").content == content(client.stream_chat("hi")) == "hi"
    assert fields(context) == before


def test_http2_too_leaves_a_callers_context_alone(awaited, ca):
    with Peer() as peer:
        peer.script(whole, whole)
        before = fields(peer.trust)
        with TLSProxy(serving(ca)) as proxy:
            ca.configure_trust(peer.trust)
            before = fields(peer.trust)
            for way in ({}, {"proxy": f"https://127.0.0.1:{proxy.port}"}):
                with awaited.client(**at(peer), http2=True, verify=peer.trust, **way) as client:
                    assert client.chat("hi").content
        assert fields(peer.trust) == before
        assert before[2] == [b"\x02h2"]


@pytest.mark.parametrize("order", list(itertools.product("sa", repeat=2)), ids="".join)
@pytest.mark.parametrize("kind", [False, nameless, unchecked])
def test_what_is_not_checked_is_not_checked_in_any_order(awaited, ca, kind, order):
    verify = kind(ca) if kind else False
    with FakeServer(tls=serving(ca, "another.example")) as server, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for letter in order:
            with (Sync() if letter == "s" else awaited).client(verify=verify, **at(server)) as client:
                assert client.chat("hi").content == "hi"
    assert len(warned) == (not kind)


@pytest.mark.filterwarnings("ignore:verify=False:RuntimeWarning")
def test_what_is_checked_stays_checked_beside_what_is_not(awaited, private):
    for verify, front in itertools.product((False, True), (Sync(), awaited)):
        unknown = pytest.raises(llmnet.APIConnectionError, match="certificate is not trusted")
        with front.client(verify=verify, **at(private)) as client, unknown if verify else contextlib.nullcontext():
            assert client.chat("hi").content == "hi"


def test_what_was_not_asked_for_is_not_spoken(front, private, ca):
    """HTTP/1.1 above a handshake that chose HTTP/2 would be read as garbage, credentials included."""
    context = strict(ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    both = serving(ca, spoken=["h2", "http/1.1"])
    with FakeServer(tls=both) as server, TLSProxy(both) as proxy:
        for way in (at(server), at(private, proxy=f"https://127.0.0.1:{proxy.port}")):
            message = r"verify=.*set_alpn_protocols"
            with (
                front.client(verify=context, **way) as client,
                pytest.raises(llmnet.APIConnectionError, match=message) as caught,
            ):
                client.chat("hi")
            error = caught.value
            assert (error.phase, error.retryable, len(error.meta.attempts), client.request_count) == (
                "tls",
                False,
                1,
                0,
            )
        assert (server.request_count, proxy.requests) == (0, [])


REPLY = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (
    len(REPLY),
    REPLY,
)


class Listener:
    """A server that speaks both, notes what was chosen and what was spoken then, and answers HTTP/1.1 alone."""

    def __init__(self, context):
        self._context, self.seen = context, []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
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
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock, contextlib.suppress(OSError), self._context.wrap_socket(sock, server_side=True) as secure:
            received = b""
            while b"}" not in received and not received.startswith(b"PRI"):
                if not (data := secure.recv(65536)):
                    return
                received += data
            self.seen.append((secure.selected_alpn_protocol(), received[:3] == b"PRI"))
            if not received.startswith(b"PRI"):
                secure.sendall(REPLY)
                secure.unwrap()


def test_two_fronts_and_two_purposes_at_once(awaited, ca, tmp_path, monkeypatch):
    """By one setting, from several threads: what each handshake chooses is what is spoken then."""
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    fields, plain = {"verify": str(tmp_path / "ca.pem"), "max_retries": 0}, ssl.SSLContext.set_alpn_protocols

    def slow(context, protocols):
        """Whoever sets them loses the processor to the others before anything comes of it."""
        plain(context, protocols)
        time.sleep(0.005)

    def calls(front, **more):
        with front.client(**at_port(listener.port, "https", **fields, **more)) as client:
            for _ in range(10):
                with contextlib.suppress(llmnet.APIConnectionError):
                    client.chat("hi")

    with Listener(serving(ca, spoken=["h2", "http/1.1"])) as listener:
        monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", slow)
        fronts = [(Sync(), {}), (Sync(), {}), (awaited, {}), (awaited, {"http2": True})]
        jobs = [Work(lambda front=front, more=more: calls(front, **more)) for front, more in fronts]
        for job in jobs:
            job.result()
    assert sorted(listener.seen) == [("h2", True)] * 10 + [("http/1.1", False)] * 30
