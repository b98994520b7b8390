"""TLS within TLS, through an https proxy: the bytes of one record may come one by one, the bounds hold all the same."""

import contextlib
import ssl
import threading
import time

import pytest
import trustme
from support.live import WORDS, Work, at, eventually, slots
from support.proxy import TLSProxy
from support.tls import serving

import llmnet
from llmnet.testing import FakeServer, Reply

DRIP = 0.05  # seconds between two bytes: whatever is dripped takes many times as long as the bound
BOUND = 0.4
LATE = BOUND + 8  # on a loaded machine; without the bounds it were twenty seconds and more


class DrippingProxy(TLSProxy):
    """Its tunnel passes the bytes to one side one by one, once `dripping` is set.

    Attributes:
        dripped: some have been passed so.
    """

    def __init__(self, tls, side="client"):
        super().__init__(tls)
        self.dripping, self.dripped, self.side = threading.Event(), threading.Event(), side

    def _pump(self, source, sink):
        drips = isinstance(sink, ssl.SSLSocket) == (self.side == "client")
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._pass(sink, data, drips)

    def _pass(self, sink, data, drips):
        while drips and data and self.dripping.is_set():
            sink.sendall(data[:1])
            data = data[1:]
            self.dripped.set()
            time.sleep(DRIP)
        sink.sendall(data)


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture
def private(ca):
    with FakeServer(tls=serving(ca)) as server:
        yield server


@pytest.fixture
def dripping(ca):
    with DrippingProxy(serving(ca)) as proxy:
        yield proxy


@pytest.fixture
def client(front, private, dripping, ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    address = f"https://127.0.0.1:{dripping.port}"
    with front.client(**at(private, verify=context, proxy=address, max_retries=0)) as client:
        yield client


def expires(phase, function, *args, **params):
    begun = time.monotonic()
    with pytest.raises(llmnet.APITimeoutError) as caught:
        function(*args, **params)
    assert caught.value.phase == phase
    assert time.monotonic() - begun < LATE


def test_the_handshake(client, dripping):
    dripping.dripping.set()
    expires("connect", client.chat, "hi", timeout=llmnet.Timeout(connect=BOUND))
    assert slots(client) == 0


def test_the_head(client, dripping):
    assert client.chat("hi").content == "hi"
    dripping.dripping.set()
    expires("response", client.chat, "hi", timeout=llmnet.Timeout(response=BOUND))


def test_the_body(client, private, dripping):
    """Bytes of a record that is not whole are a silence: nothing of it can be read."""
    private.script(Reply(text=WORDS, hold="body"))
    with client.stream_chat("hi", timeout=llmnet.Timeout(idle=BOUND)) as stream:
        pulled = Work(lambda: expires("idle", list, stream))
        eventually(lambda: stream.meta.status == 200)
        dripping.dripping.set()
        private.release()
        pulled.result()


def test_the_upload(front, private, ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    with DrippingProxy(serving(ca), side="server") as proxy:
        address = f"https://127.0.0.1:{proxy.port}"
        with front.client(**at(private, verify=context, proxy=address, max_retries=0)) as client:
            assert client.chat("hi").content == "hi"
            proxy.dripping.set()
            expires("response", client.chat, "x" * 8_000_000, timeout=llmnet.Timeout(response=BOUND))


@pytest.mark.parametrize("step", ["handshake", "head"])
def test_a_cancelled_stream_ends_at_once(client, dripping, step):
    if step == "head":
        assert client.chat("hi").content == "hi"
    dripping.dripping.set()
    stream = client.stream_chat("hi")
    work = Work(list, stream)
    assert dripping.dripped.wait(30)
    stream.cancel()
    with pytest.raises(llmnet.StreamCancelledError):
        work.result()
    eventually(lambda: slots(client) == 0)
