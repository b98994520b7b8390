"""Whom TLS trusts: handshakes in memory against a CA of our own, and how often a context is made."""

import datetime as dt
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import typing

import pytest
import trustme
from cryptography import x509
from support.live import PROMPT, WORDS, Work, at, at_port, content, eventually, slots
from support.proxy import TLSProxy
from support.tls import serving

import llmnet
from llmnet.core.errors import ConfigurationError
from llmnet.net import tls
from llmnet.net.tls import certificate_hint
from llmnet.testing import FakeServer, Reply

HOST = "api.corp.example"
USES = typing.get_args(tls.Use)


def ssl_context(verify, environ, use="sync"):
    return tls.ssl_context(verify, environ, use)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A process that has made no context yet."""
    monkeypatch.setattr(tls, "_CONTEXTS", tls._Contexts())  # private: they last as long as the process


@pytest.fixture(scope="session")
def ca():
    return trustme.CA()


@pytest.fixture(scope="session")
def other():
    return trustme.CA(organization_name="another CA")


@pytest.fixture
def ca_file(ca, tmp_path):
    path = tmp_path / "corp.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


def subject_hash(pem):
    """The name under which OpenSSL looks for a certificate in a folder (X509_NAME_hash), for names of plain ASCII."""
    subject = x509.load_pem_x509_certificate(pem).subject
    canonical = x509.Name([x509.NameAttribute(a.oid, a.value.lower()) for a in subject])
    encoded = canonical.public_bytes()
    header = 2 if encoded[1] < 0x80 else 2 + (encoded[1] & 0x7F)
    return f"{int.from_bytes(hashlib.sha1(encoded[header:]).digest()[:4], 'little'):08x}.0"


@pytest.fixture
def ca_folder(ca, tmp_path):
    folder = tmp_path / "certs"
    folder.mkdir()
    pem = ca.cert_pem.bytes()
    (folder / subject_hash(pem)).write_bytes(pem)
    return str(folder)


def handshake(context, ca, host=HOST, spoken=("http/1.1",), **cert):
    """Shake hands with a server of the CA, without a socket; the server's words for the protocol that was chosen."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(HOST, **cert).configure_cert(server)
    server.set_alpn_protocols(spoken)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        context.wrap_bio(back, there, server_hostname=host),
        server.wrap_bio(there, back, server_side=True),
    ]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
    return side.selected_alpn_protocol()


def trusts(context, ca):
    try:
        handshake(context, ca)
    except ssl.SSLCertVerificationError:
        return False
    return True


def test_a_context_is_given_back_as_it_is(ca):
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(own)
    before = own.cert_store_stats(), own.verify_mode, own.check_hostname, own.options, own.verify_flags
    assert ssl_context(own, {"SSL_CERT_FILE": "/nowhere"}) is own
    assert before == (own.cert_store_stats(), own.verify_mode, own.check_hostname, own.options, own.verify_flags)


def test_a_file_or_folder_is_all_that_is_trusted(ca, other, ca_file, ca_folder):
    for verify in (ca_file, ca_folder):
        context = ssl_context(verify, {"SSL_CERT_FILE": "/nowhere"})
        assert trusts(context, ca)
        assert not trusts(context, other)
        assert context.cert_store_stats()["x509_ca"] <= 1


@pytest.mark.parametrize("verify", [True, None])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "REQUESTS_CA_BUNDLE/"])
def test_each_variable_is_honoured(verify, variable, ca, other, ca_file, ca_folder):
    folder = variable.endswith(("DIR", "/"))
    context = ssl_context(verify, {variable.rstrip("/"): ca_folder if folder else ca_file})
    assert trusts(context, ca)
    assert not trusts(context, other)
    assert context.cert_store_stats()["x509_ca"] <= 1


def test_file_and_folder_of_openssl_go_together_and_before_the_bundle_of_requests(ca, other, ca_folder, tmp_path):
    file = tmp_path / "other.pem"
    other.cert_pem.write_to_path(str(file))
    both = ssl_context(True, {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": ca_folder, "REQUESTS_CA_BUNDLE": "/nowhere"})
    assert trusts(both, ca)
    assert trusts(both, other)
    folder_only = ssl_context(True, {"SSL_CERT_DIR": ca_folder, "REQUESTS_CA_BUNDLE": str(file)})
    assert trusts(folder_only, ca)
    assert not trusts(folder_only, other)


def test_several_folders(ca, ca_folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    folders = os.pathsep.join([str(empty), "/nowhere", ca_folder])
    assert trusts(ssl_context(True, {"SSL_CERT_DIR": folders}), ca)


def test_the_default_is_the_systems_roots_and_those_of_certifi(monkeypatch, ca, other, ca_file, tmp_path):
    file = tmp_path / "other.pem"
    other.cert_pem.write_to_path(str(file))
    monkeypatch.setattr("certifi.where", lambda: ca_file)
    # How OpenSSL is told where the system's roots are; by our own rules no variable is set.
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl_context(True, {"SSL_CERT_FILE": "  "})
    assert trusts(context, ca)
    assert trusts(context, other)


def test_the_default_verifies_names_and_trusts_the_public_cas(ca):
    context = ssl_context(True, {})
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] > 50
    assert not trusts(context, ca)


def test_each_use_offers_what_it_speaks(ca, ca_file):
    def offered(use):
        chosen = [handshake(ssl_context(ca_file, {}, use), ca, spoken=[one]) for one in ("h2", "http/1.1")]
        return [one for one in chosen if one]

    assert {use: offered(use) for use in USES} == {
        "sync": ["http/1.1"],
        "async": ["http/1.1"],
        "async h2": ["h2", "http/1.1"],
    }


def test_verify_false_trusts_everybody_and_warns_once(ca):
    with pytest.warns(RuntimeWarning, match="verify=False") as warned:
        contexts = {use: {ssl_context(False, {"SSL_CERT_FILE": "/nowhere"}, use) for _ in range(3)} for use in USES}
    assert len(warned) == 1
    assert [len(made) for made in contexts.values()] == [1, 1, 1]
    assert handshake(contexts["sync"].pop(), ca, host="another.example") == "http/1.1"


def test_each_use_has_a_context_of_its_own(ca_file):
    for verify in (ca_file, True):
        assert len({id(ssl_context(verify, {}, use)) for use in USES}) == 3


def test_one_context_for_the_process_and_each_setting(ca_file, ca_folder):
    settings = [(ca_file, {}), (ca_folder, {}), (True, {"SSL_CERT_FILE": ca_file}), (True, {})]
    contexts = [ssl_context(*setting) for setting in settings]
    assert [ssl_context(*setting) for setting in settings] == contexts
    assert len({id(context) for context in contexts}) == len(settings)
    assert ssl_context(None, {"HOME": "/root"}) is contexts[-1]


def test_a_changed_file_makes_a_new_context_and_forgets_the_old(ca, other, ca_file):
    first = ssl_context(ca_file, {})
    other.cert_pem.write_to_path(ca_file)
    os.utime(ca_file, ns=(0, 0))
    second = ssl_context(ca_file, {})
    assert trusts(first, ca)
    assert trusts(second, other)
    assert not trusts(second, ca)
    assert ssl_context(ca_file, {}) is second
    assert len(tls._CONTEXTS._made) == 1  # private: what is kept is seen nowhere else


def test_threads_that_ask_at_once_get_one_context(ca_file):
    ready, got = threading.Barrier(8), []

    def ask():
        ready.wait(20)
        got.append(ssl_context(ca_file, {}))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(got) == 8
    assert len(set(got)) == 1


@pytest.mark.parametrize("variable", ["verify", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no PEM", "empty folder"])
def test_what_cannot_be_trusted_is_named(variable, content, tmp_path):
    path = tmp_path / "x"
    if content == "empty folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    verify, environ = (str(path), {}) if variable == "verify" else (True, {variable: str(path)})
    for _ in range(2):
        with pytest.raises(ConfigurationError) as caught:
            ssl_context(verify, environ)
        assert f"{variable} = {str(path)!r}" in str(caught.value)
        assert "openssl rehash" in str(caught.value)


@pytest.mark.parametrize("path", ["", "a\0b", "\udcff"])
def test_a_path_that_is_none(path):
    with pytest.raises(ConfigurationError, match="verify"):
        ssl_context(path, {})


def test_a_missing_folder_beside_a_good_file_is_named(ca_file):
    with pytest.raises(ConfigurationError, match="SSL_CERT_DIR"):
        ssl_context(True, {"SSL_CERT_FILE": ca_file, "SSL_CERT_DIR": "/nowhere"})


def test_a_folder_that_openssl_cannot_read_does_no_harm_beside_a_good_file(ca, ca_file, tmp_path):
    assert trusts(ssl_context(True, {"SSL_CERT_FILE": ca_file, "SSL_CERT_DIR": str(tmp_path)}), ca)


def refused(context, ca, **options):
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        handshake(context, ca, **options)
    return certificate_hint(caught.value)


def test_hints(ca, other, ca_file):
    context, now = ssl_context(ca_file, {}), dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    unknown = refused(context, other)
    assert "verify=" in unknown
    assert "SSL_CERT_FILE" in unknown
    assert "base_url" in refused(context, ca, host="another.example")
    assert "expired" in refused(context, ca, not_before=now - 2 * day, not_after=now - day)
    assert "clock" in refused(context, ca, not_before=now + day, not_after=now + 2 * day)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        *[(code, "SSL_CERT_FILE") for code in (2, 18, 19, 20, 21)],
        (9, "clock"),
        (10, "clock"),
        (62, "base_url"),
        (64, "base_url"),
        (66, "new certificate"),
        (85, "VERIFY_X509_STRICT"),
        (89, "VERIFY_X509_STRICT"),
        (92, "VERIFY_X509_STRICT"),
        (1, "SSL_CERT_FILE"),
        (None, "SSL_CERT_FILE"),
    ],
)
def test_every_code_has_a_hint(code, word):
    error = ssl.SSLCertVerificationError("refused")
    if code is not None:
        error.verify_code = code
    assert word in certificate_hint(error)


FORK = """
import os, sys, threading
from llmnet.net import tls
before = tls.ssl_context(True, {}, "sync")
held = threading.Thread(target=tls._CONTEXTS._lock.acquire)
held.start(); held.join()
child = os.fork()
if child == 0:
    os._exit(0 if tls.ssl_context(True, {}, "sync") is before else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_keeps_the_contexts_but_not_the_lock():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], timeout=60, check=False)
    assert done.returncode == 0


WHILE_ONE_IS_MADE = """
import os, sys, threading
from llmnet.net import tls
made, begun, forked = [], threading.Event(), threading.Event()
built = tls._built
def slowly(trust):
    begun.set()
    assert forked.wait(20)
    made.append(1)
    return built(trust)
tls._built = slowly
maker = threading.Thread(target=tls.ssl_context, args=(True, {}, "sync"))
maker.start()
assert begun.wait(20)
os.register_at_fork(before=forked.set)  # runs before those that were registered earlier
child = os.fork()
if child == 0:
    os._exit(0 if made and tls.ssl_context(True, {}, "async") else 1)
maker.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_waits_for_a_context_that_another_thread_makes():
    """What OpenSSL has locked meanwhile would stay so in the child, which would hang at its first context."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", WHILE_ONE_IS_MADE], timeout=60, check=False)
    assert done.returncode == 0


# -- the fronts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def private(ca):
    """A server of the CA."""
    with FakeServer(tls=serving(ca)) as server:
        yield server


@pytest.fixture
def public(other, tmp_path, monkeypatch):
    """A server of another CA, which this machine trusts."""
    file = tmp_path / "public.pem"
    other.cert_pem.write_to_path(str(file))
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(variable, str(file))
    with FakeServer(tls=serving(other)) as server:
        yield server


def own_context(ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    return context


def untrusted(client):
    with pytest.raises(llmnet.APIConnectionError, match="certificate is not trusted") as caught:
        client.chat("hi")
    assert (caught.value.retryable, len(caught.value.meta.attempts)) == (False, 1)
    return caught.value.phase


@pytest.mark.parametrize("way", ["context", "file"])
def test_one_private_root_stays_the_only_one(front, private, public, ca, ca_file, way):
    verify = own_context(ca) if way == "context" else ca_file
    with front.client(**at(private, verify=verify)) as client:
        assert client.chat("hi").content == content(client.stream_chat("hi")) == "hi"
    with front.client(**at(public, verify=verify)) as client:
        assert untrusted(client) == "tls"
    assert public.request_count == 0
    if way == "context":
        assert len(verify.get_ca_certs()) == 1
    with front.client(**at(public)) as client:  # it is by its own roots alone that it was refused
        assert client.chat("hi").content == "hi"


@pytest.mark.parametrize("way", ["context", "file"])
def test_a_proxy_is_trusted_as_the_client_was_told(front, private, server, public, ca, other, ca_file, way):
    verify = own_context(ca) if way == "context" else ca_file
    for target in (private, server):
        with TLSProxy(serving(ca)) as proxy:
            address = f"https://127.0.0.1:{proxy.port}"
            with front.client(**at(target, verify=verify, proxy=address)) as client:
                assert [client.chat("hi").content for _ in range(2)] == ["hi", "hi"]
            assert proxy.requests[0].split()[0] == ("CONNECT" if target is private else "POST")
        with TLSProxy(serving(other)) as proxy:
            address = f"https://127.0.0.1:{proxy.port}"
            with front.client(**at(target, verify=verify, proxy=address)) as client:
                assert untrusted(client) == "proxy"
            assert proxy.requests == []
    if way == "context":
        assert len(verify.get_ca_certs()) == 1


def test_cancel_and_bounds_hold_within_tls_within_tls(front, private, ca):
    with TLSProxy(serving(ca)) as proxy:
        way = {"verify": own_context(ca), "proxy": f"https://127.0.0.1:{proxy.port}", "max_retries": 0}
        private.script(Reply(text=WORDS, hold="body"), Reply(silent=True))
        with front.client(**at(private, **way)) as client:
            stream = client.stream_chat("hi")
            work = Work(list, stream)
            eventually(lambda: stream.meta.status == 200)
            stream.cancel()
            with pytest.raises(llmnet.StreamCancelledError):
                work.result()
            with pytest.raises(llmnet.APITimeoutError) as caught:
                client.chat("hi", timeout=llmnet.Timeout(response=0.2))
            assert (caught.value.phase, slots(client)) == ("response", 0)


@pytest.mark.parametrize("glued", [b"Hello", b"\x15\x03\x03\x00\x02\x02\x28", b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("fields", [b"", b"content-length: 0\r\n"], ids=["no length", "a length"])
def test_no_bytes_of_a_proxy_become_those_of_the_server(front, glued, fields):

    def serve():
        with listener.accept()[0] as accepted:
            accepted.recv(65536)
            accepted.sendall(b"HTTP/1.1 200 Connection established\r\n" + fields + b"\r\n" + glued)
            accepted.settimeout(PROMPT)
            assert accepted.recv(65536) == b"", "it has left, without a handshake"

    with socket.create_server(("127.0.0.1", 0)) as listener:
        work, address = Work(serve), f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = front.client(**at_port(9, "https", proxy=address, max_retries=3))
        with client, pytest.raises(llmnet.APIConnectionError, match="came with its answer to CONNECT") as caught:
            client.chat("hi")
        assert (caught.value.phase, len(caught.value.meta.attempts)) == ("proxy", 1)
        work.result()
