"""Rows 1-30 of the fault matrix: configuration, connecting, TLS, proxies, kept connections."""

import contextlib
import socket
import ssl

import pytest
import trustme
from matrix.case import KEY, LOW, ONCE, THRICE, Expect, Row
from support.live import Work, at, at_port

import llmnet
from llmnet.testing import FakeServer, fault, full_peer, mute_peer

LOST, LATE = llmnet.APIConnectionError, llmnet.APITimeoutError


def refused():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def bad_address(front, server):
    for address in ("htp://x/v1", "http://", "http://127.0.0.1:99999/v1", "no address"):
        with pytest.raises(llmnet.ConfigurationError, match="base_url"):
            front.client(provider="fake", base_url=address)


def bad_header(front, server):
    for fields in ({"headers": {"x": "a\r\nb: c"}}, {"api_key": KEY + "\r\nx: y"}, {"headers": {"a\nb": "c"}}):
        with pytest.raises(llmnet.ConfigurationError) as caught:
            front.client(**{**at(server), **fields})
        assert KEY not in str(caught.value)
    assert server.connections == 0


def served_before(front, server):
    server.script(fault("fin-when-idle", text="one"), "two")
    with front.client(**at(server)) as client:
        assert [client.chat("a").content, client.chat("b").content] == ["one", "two"]
        assert client.request_count == server.request_count == 2
    assert server.connections == 2


@contextlib.contextmanager
def nobody(server):
    yield at_port(refused())


@contextlib.contextmanager
def full(server):
    with full_peer() as port:
        yield at_port(port)


@contextlib.contextmanager
def stalled_handshake(server):
    with mute_peer() as port:
        yield at_port(port, scheme="https")


@contextlib.contextmanager
def stranger(server):
    """A server whose certificate nobody here trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with FakeServer(tls=context) as other:
        yield at_port(other.port, scheme="https")


@contextlib.contextmanager
def plain_on_https(server):
    """A server that answers whatever it hears in plain text."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            with listener.accept()[0] as client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

        work = Work(answer)
        yield at_port(listener.getsockname()[1], scheme="https")
        work.result()


@contextlib.contextmanager
def tunnel(server):
    """The fake server takes the place of a proxy."""
    yield {"proxy": server.url, "base_url": "https://api.example/v1"}


@contextlib.contextmanager
def forward(server):
    yield {"proxy": server.url, "base_url": "http://api.example/v1"}


def answers(status, *, sent, waits=()):
    return {
        "scene": tunnel, "script": (fault(f"proxy-{status}"),) * 9,
        "expect": Expect(error=LOST, phase="proxy", attempts=sent, waits=waits, billed=False),
    }  # fmt: skip


ROWS = [
    Row(number=1, phase="config", fault="invalid address", play=bad_address),
    Row(number=2, phase="config", fault="line ends in a header or key", play=bad_header),
    Row(
        number=7, phase="connect", fault="refused", scene=nobody,
        expect=Expect(error=LOST, phase="connect", sent=0, attempts=4, waits=THRICE, billed=False),
    ),
    Row(
        number=10, phase="connect", fault="backlog full", scene=full, fields={"timeout": LOW},
        expect=Expect(error=LATE, phase="connect", sent=0, attempts=4, waits=THRICE, billed=False),
    ),
    Row(
        number=13, phase="tls", fault="untrusted certificate", scene=stranger,
        expect=Expect(error=LOST, phase="tls", sent=0, attempts=1, says="certificate", billed=False),
    ),
    Row(
        number=14, phase="tls", fault="handshake stalls", scene=stalled_handshake, fields={"timeout": LOW},
        expect=Expect(error=LATE, phase="connect", sent=0, attempts=4, waits=THRICE),
    ),
    Row(
        number=16, phase="tls", fault="plain server on an https port", scene=plain_on_https,
        expect=Expect(error=LOST, phase="tls", sent=0, attempts=1, billed=False),
    ),
    Row(number=20, phase="proxy", fault="407", **answers(407, sent=1)),
    Row(number=21, phase="proxy", fault="CONNECT 403", **answers(403, sent=1)),
    *(Row(number=22, phase="proxy", fault=f"CONNECT {n}", **answers(n, sent=4, waits=THRICE)) for n in (502, 503, 504)),
    Row(
        number=24, phase="proxy", fault="503 html of a proxy", scene=forward,
        script=(fault("502-html", status=503),) * 9,
        expect=Expect(error=llmnet.ServerError, status=503, sent=4, waits=THRICE),
    ),
    Row(number=28, phase="keepalive", fault="FIN on an idle connection", play=served_before),
    Row(
        number=30, phase="keepalive", fault="EOF on a fresh connection", stream=(False, True),
        script=(fault("eof-before-head"), "Hi"),
        expect=Expect(text="Hi", sent=2, waits=ONCE, connections=2),
    ),
]  # fmt: skip
