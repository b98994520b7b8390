"""The fronts before real counterparts, nginx, tinyproxy, squid and hypercorn; what is not installed is not asked."""

import dataclasses
import socket
import ssl
import traceback
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
import trustme
from matrix.case import THRICE, Expect, Row, check, run, skipping
from support.counterparts import needs, running
from support.live import at, at_port, content

import llmnet
from llmnet.testing import FakeServer, Reply

LOST = llmnet.APIConnectionError
BOTH = (False, True)
SIMPLE, ODD, WRONG = "pw-1.s3cr3t", "p:w/#%@ 密", "wr0ng-s3cr3t"
LARGE = "x" * 12_000_000  # more than the buffers of both sockets hold


@pytest.fixture(scope="session")
def pems(tmp_path_factory):
    """The certificate of a private CA, and that of a server with its key."""
    folder, ca = tmp_path_factory.mktemp("pems"), trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


@pytest.fixture(scope="session")
def dead():
    """A port that is taken, and where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="session")
def _secure_server(pems):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pems / "server.pem")
    with FakeServer(tls=context) as server:
        yield server


@pytest.fixture
def secure(_secure_server):
    """A fake server with a certificate of the private CA."""
    _secure_server.reset()
    yield _secure_server
    _secure_server.reset()


def cases(rows):
    """A row on each front and in each way it is asked, counted with the matrix."""
    for row in rows:
        for front in row.fronts:
            for stream in row.stream:
                name = f"{row.number}-{row.fault.replace(' ', '_')}-{'stream' if stream else 'chat'}-{front}"
                yield pytest.param(row, stream, front, id=name, marks=pytest.mark.matrix(row.number, front))


def over(rows):
    return pytest.mark.parametrize(("row", "stream", "front"), list(cases(rows)), indirect=["front"])


def filled(row, **values):
    """A row whose fields name ports and files in braces."""
    fields = {name: one.format(**values) if isinstance(one, str) else one for name, one in row.fields.items()}
    return dataclasses.replace(row, fields=fields)


def ask(client, text, stream):
    if not stream:
        return client.chat(text)
    with client.stream_chat(text) as opened:
        list(opened)
        return opened.response


# -- nginx --------------------------------------------------------------------------------------------------------------

NGINX = """
    limit_req_zone $http_x_front zone=callers:64k rate=2r/s;
    server {
        listen 127.0.0.1:<port>;
        location /limited/ {
            limit_req zone=callers; limit_req_status 429; add_header Retry-After 1 always;
            proxy_pass http://127.0.0.1:<origin>;
        }
        location /closed/ { add_header Retry-After 100 always; return 429; }
        location /dead/ { proxy_pass http://127.0.0.1:<dead>; }
        location /silent/ { proxy_read_timeout 50ms; proxy_pass http://127.0.0.1:<origin>; }
        location /small/ { client_max_body_size 1k; proxy_pass http://127.0.0.1:<origin>; }
        location /curt/ { client_max_body_size 1k; lingering_close off; proxy_pass http://127.0.0.1:<origin>; }
        location /gzip/ {
            gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any; proxy_buffering off;
            proxy_pass http://127.0.0.1:<origin>;
        }
        location /twice/ { keepalive_requests 2; proxy_pass http://127.0.0.1:<origin>; }
    }
"""


@pytest.fixture(scope="session")
def nginx(_one_server, dead):
    with running("nginx", NGINX, origin=_one_server.port, dead=dead) as port:
        yield f"http://127.0.0.1:{port}"


def behind_nginx(number, fault, location, error, status, *, script=(), params=None, attempts=1, waits=(), **expect):
    return Row(
        number=number, phase="status", fault=fault, stream=BOTH, script=script, params=params or {},
        fields={"base_url": "{nginx}" + f"/{location}/v1"},
        expect=Expect(error=error, status=status, attempts=attempts, waits=waits, **expect),
    )  # fmt: skip


@needs("nginx")
@over(
    [
        behind_nginx(57, "429 of nginx", "closed", llmnet.RateLimitError, 429, attempts=2, waits=((100, 105),)),
        behind_nginx(70, "502 html of nginx", "dead", llmnet.ServerError, 502, attempts=4, waits=THRICE, says="nginx"),
        behind_nginx(
            70, "504 html of nginx", "silent", llmnet.ServerError, 504, attempts=4, waits=THRICE, says="nginx",
            script=(Reply(silent=True),) * 4,
        ),
        *(
            behind_nginx(
                74, f"413 of nginx, {location}", location, llmnet.BadRequestError, 413, params={"padding": LARGE}
            )
            for location in ("small", "curt")
        ),
    ]
)  # fmt: skip
def test_nginx_refuses(front, server, nginx, row, stream):
    check(run(front, server, filled(row, nginx=nginx), stream=stream), row.expect)


@needs("nginx")
def test_nginx_limits_and_is_asked_again_after_what_it_said(front, server, nginx):
    fields = {**at(server), "base_url": nginx + "/limited/v1", "headers": {"x-front": front.name}}
    with front.client(**fields) as client:
        attempts = [client.chat("Hi").meta.attempts for _ in range(2)]
    assert [[attempt.status for attempt in call] for call in attempts] == [[200], [429, 200]]
    assert 1.0 <= attempts[1][0].wait <= 2.1
    assert server.request_count == 2


@needs("nginx")
def test_nginx_packs_a_whole_reply(front, server, nginx):
    server.script(Reply(text="Grüße, 世界! " * 500))
    with front.client(**{**at(server), "base_url": nginx + "/gzip/v1"}) as client:
        reply = client.chat("Hi")
    assert reply.meta.headers["content-encoding"] == "gzip"
    assert reply.content == "Grüße, 世界! " * 500


@needs("nginx")
def test_nginx_packs_a_stream_and_holds_nothing_back(front, server, nginx):
    server.script(Reply(text="one two three four five six", hold="body"))
    fields = {**at(server), "base_url": nginx + "/gzip/v1", "headers": {"accept-encoding": "gzip"}}
    with front.client(**fields) as client, client.stream_chat("Hi") as stream:
        first = next(stream)  # the server has the second half still
        server.release()
        assert content([first, *stream]) == stream.response.content == "one two three four five six"
    assert stream.meta.headers["content-encoding"] == "gzip"


@needs("nginx")
@pytest.mark.parametrize("stream", BOTH)
def test_nginx_closes_every_second_time(front, server, nginx, stream):
    with front.client(**{**at(server), "base_url": nginx + "/twice/v1"}) as client, ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda number: ask(client, f"{number}", stream), range(100)))
    assert [reply.content for reply in replies] == [str(number) for number in range(100)]
    assert {len(reply.meta.attempts) for reply in replies} == {1}
    assert server.request_count == 100


# -- proxies ------------------------------------------------------------------------------------------------------------

TINYPROXY = f"BasicAuth user {SIMPLE}"
# It asks a program for each pair of credentials, in which it escapes what is not safe.
# A connection that was kept may be closed after an error, just as the next attempt begins: one attempt more, or not.
SQUID = """
    auth_param basic program /bin/sed -u s|^us/er.p:w/%23%25@%20%e5%af%86$|OK|I;t;s|.*|ERR|
    acl known proxy_auth REQUIRED
    acl CONNECT method CONNECT
    acl tunnelled port <secure> <dead>
    http_access deny CONNECT !tunnelled
    http_access allow known
    server_persistent_connections off
    client_persistent_connections off
"""


@pytest.fixture(scope="session")
def tinyproxy():
    with running("tinyproxy", TINYPROXY) as port:
        yield port


@pytest.fixture(scope="session")
def squid(_secure_server, dead):
    with running("squid", SQUID, secure=_secure_server.port, dead=dead) as port:
        yield port


def by(user, password):
    """The address of a proxy with credentials, of which every character is escaped."""
    user, password = ("".join(f"%{byte:02X}" for byte in one.encode()) for one in (user, password))
    return f"http://{user}:{password}@127.0.0.1:{{proxy}}"


def hidden(seen):
    """No password stands in what the caller is shown, in whatever spelling."""
    shown = "".join(traceback.format_exception(seen.error)) + repr(seen.reply) + repr(seen.attempts)
    return not any(form in shown for word in (SIMPLE, ODD, WRONG) for form in (word, quote(word), by("", word)[8:-18]))


def proxied(number, fault, proxy, *, to="https://127.0.0.1:{secure}", stream=BOTH, **expect):
    """A call through a proxy."""
    return Row(
        number=number, phase="proxy", fault=fault, stream=stream,
        fields={"proxy": proxy, "base_url": to + "/v1", "verify": "{ca}"}, expect=Expect(holds=hidden, **expect),
    )  # fmt: skip


def refuses(number, fault, proxy, *, attempts=1, says="407", **more):
    expect = {"error": LOST, "phase": "proxy", "says": says, "attempts": attempts, "sent": 0, "billed": False}
    return proxied(number, fault, proxy, **expect, **more)


def passes(number, fault, proxy, **more):
    return proxied(number, fault, proxy, text="Hello there, world", sent=1, **more)


def through_proxy(front, row, stream, plain, secure, pems, **values):
    row = filled(row, plain=plain.port, secure=secure.port, ca=pems / "ca.pem", **values)
    origin = plain if f":{plain.port}" in row.fields["base_url"] else secure
    check(run(front, origin, row, stream=stream), row.expect)
    assert all("proxy-authorization" not in received.headers for received in origin.requests)


@needs("tinyproxy")
@over(
    [
        passes(20, "the right password", by("user", SIMPLE)),
        passes(20, "the right password, in plain", by("user", SIMPLE), to="http://127.0.0.1:{plain}"),
        refuses(20, "no password", "127.0.0.1:{proxy}"),
        refuses(20, "a wrong password", by("user", WRONG), says="401"),  # its word for it; the others say 407
        proxied(
            20, "no password, in plain", "127.0.0.1:{proxy}", to="http://127.0.0.1:{plain}",
            error=llmnet.APIStatusError, status=407, attempts=1, sent=0,
        ),
    ]
)  # fmt: skip
def test_tinyproxy(front, server, secure, pems, tinyproxy, row, stream):
    through_proxy(front, row, stream, server, secure, pems, proxy=tinyproxy)


@needs("squid")
@over(
    [
        passes(20, "an odd password of squid", by("us/er", ODD)),
        passes(20, "an odd password of squid, in plain", by("us/er", ODD), to="http://127.0.0.1:{plain}"),
        refuses(20, "a wrong password of squid", by("us/er", WRONG)),
        proxied(
            20, "a wrong password of squid, in plain", by("us/er", WRONG), to="http://127.0.0.1:{plain}",
            error=llmnet.APIStatusError, status=407, attempts=1, sent=0,
        ),
        refuses(21, "CONNECT 403 of squid", by("us/er", ODD), to="https://127.0.0.1:1", says="403"),
        refuses(
            22, "CONNECT 503 of squid", by("us/er", ODD), to="https://127.0.0.1:{dead}", says="503",
            attempts=4, waits=THRICE,
        ),
        proxied(
            24, "503 html of squid", by("us/er", ODD), to="http://127.0.0.1:{dead}",
            error=llmnet.ServerError, status=503, attempts=4, waits=THRICE, says="squid",
        ),
    ]
)  # fmt: skip
def test_squid(front, server, secure, pems, squid, dead, row, stream):
    through_proxy(front, row, stream, server, secure, pems, proxy=squid, dead=dead)


# -- TLS ----------------------------------------------------------------------------------------------------------------

NGINX_TLS = """
    server {
        listen 127.0.0.1:<port> ssl http2;
        ssl_certificate <pem>; ssl_certificate_key <pem>;
        add_header X-Protocol $server_protocol; proxy_buffering off;
        keepalive_requests <requests>;
        location / { proxy_pass http://127.0.0.1:<origin>; }
        location /status { stub_status; }
    }
"""


@pytest.fixture(scope="session")
def nginx_tls(_one_server, pems):
    with running("nginx", NGINX_TLS, origin=_one_server.port, pem=pems / "server.pem", requests=1000) as port:
        yield f"https://127.0.0.1:{port}"


def accepted(nginx, pems):
    """How many connections nginx has accepted; asking is one of them."""
    trust = ssl.create_default_context(cafile=pems / "ca.pem")
    with urllib.request.urlopen(nginx + "/status", context=trust) as reply:
        return int(reply.read().split(b"\n")[2].split()[0])


@needs("nginx")
@pytest.mark.parametrize("told_by", ["verify", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_ca_is_trusted_when_told(front, server, nginx_tls, pems, told_by, monkeypatch):
    fields = {**at(server), "base_url": nginx_tls + "/v1"}
    if told_by == "verify":
        fields["verify"] = str(pems / "ca.pem")
    else:
        monkeypatch.setenv(told_by, str(pems / "ca.pem"))
    with front.client(**fields) as client:
        assert client.chat("Hi").content == "Hi"
        with client.stream_chat("one two three") as stream:
            assert content(stream) == "one two three"
    assert stream.meta.headers["x-protocol"] == "HTTP/1.1"


@needs("nginx")
@over(
    [
        Row(
            number=13, phase="tls", fault="private CA of nginx", fields={"base_url": "{nginx}/v1"}, stream=BOTH,
            expect=Expect(error=LOST, phase="tls", sent=0, attempts=1, billed=False),
        ),
    ]
)  # fmt: skip
def test_a_private_ca_that_nobody_told_of(front, server, nginx_tls, pems, row, stream):
    before = accepted(nginx_tls, pems)
    seen = run(front, server, filled(row, nginx=nginx_tls), stream=stream)
    check(seen, row.expect)
    assert "verify=" in str(seen.error)
    assert "SSL_CERT_FILE" in str(seen.error)
    assert accepted(nginx_tls, pems) - before == 2  # the call's, and that of the question


# -- HTTP/2 -------------------------------------------------------------------------------------------------------------


@needs("nginx")
def test_http2_of_nginx(awaited, server, nginx_tls, pems):
    pytest.importorskip("h2")
    fields = {**at(server), "base_url": nginx_tls + "/v1", "verify": str(pems / "ca.pem"), "http2": True}
    before = accepted(nginx_tls, pems)
    with awaited.client(**fields) as client, ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(client.chat, map(str, range(24))))
        with client.stream_chat("one two three") as stream:
            assert content(stream) == "one two three"
    assert [reply.content for reply in replies] == [str(number) for number in range(24)]
    assert {reply.meta.headers["x-protocol"] for reply in [*replies, stream]} == {"HTTP/2.0"}
    assert accepted(nginx_tls, pems) - before == 2


@needs("nginx")
@pytest.mark.parametrize("stream", BOTH)
def test_http2_of_nginx_that_leaves_after_ten_requests(awaited, server, pems, stream):
    pytest.importorskip("h2")
    server.handler = lambda _: Reply(delay=0.005)  # they are under way when it says so
    daemon = running("nginx", NGINX_TLS, origin=server.port, pem=pems / "server.pem", requests=10)
    with daemon as port, ThreadPoolExecutor(4) as pool:
        fields = at_port(port, scheme="https", verify=str(pems / "ca.pem"), http2=True)
        with awaited.client(**fields) as client:
            skipping(awaited, client)
            replies = list(pool.map(lambda number: ask(client, f"{number}", stream), range(50)))
            assert client.request_count == sum(a.sent for reply in replies for a in reply.meta.attempts)
    assert [reply.content for reply in replies] == [str(number) for number in range(50)]
    assert server.request_count == 50  # none was done twice


# A model that says in which version of HTTP it was asked.
HYPERCORN = """
    import json

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            part = await receive()
            body, more = body + part["body"], part["more_body"]
        said = {"content": "HTTP/" + scope["http_version"]}
        if json.loads(body).get("stream"):
            kind, parts = b"text/event-stream", [{"delta": said}, {"delta": {}, "finish_reason": "stop"}]
            parts = [b"data: %b\\n\\n" % json.dumps({"choices": [{"index": 0, **part}]}).encode() for part in parts]
            parts.append(b"data: [DONE]\\n\\n")
        else:
            choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "stop"}
            kind, parts = b"application/json", [json.dumps({"choices": [choice]}).encode()]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
"""


@pytest.fixture(scope="session")
def hypercorn(pems):
    with running("hypercorn", HYPERCORN, pem=pems / "server.pem") as port:
        yield port


@needs("hypercorn")
@pytest.mark.parametrize("http2", [True, False])
def test_hypercorn_is_asked_in_the_version_that_is_wanted(awaited, hypercorn, pems, http2):
    pytest.importorskip("h2")
    fields = at_port(hypercorn, scheme="https", verify=str(pems / "ca.pem"), http2=http2)
    with awaited.client(**fields) as client:
        assert client.chat("Hi").content == ("HTTP/2" if http2 else "HTTP/1.1")
        with client.stream_chat("Hi") as stream:
            assert content(stream) == ("HTTP/2" if http2 else "HTTP/1.1")
    assert len(stream.meta.attempts) == 1
