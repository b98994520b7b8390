"""What users of today's clients suffer from and no other test here would notice."""

import contextlib
import contextvars
import logging
import os
import socket
import ssl

import pytest
import trustme
from support.live import at
from support.proxy import Proxy

import llmnet
from llmnet.core.secrets import MASK, Secrets
from llmnet.net.sockets import TCP_OPTIONS
from llmnet.testing import FakeServer, Reply
from llmnet.transports import logs

KEY = "sk-planted/0123456789abcdef"
QUICK = llmnet.RetryPolicy(max_retries=1, base_delay=0.001, max_delay=0.001)

# -- errors inside a success ------------------------------------------------------------------------------------------

HALF = 'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'
DONE = "data: [DONE]\n\n"
NAMED = {
    "a text": ('event: error\ndata: "upstream failed"\n\n', llmnet.ServerError, 500),
    "nothing known": ('event: error\ndata: {"reason": "gone"}\n\n', llmnet.ServerError, 500),
    "a status": ('event: error\ndata: {"reason": "gone", "status": 503}\n\n', llmnet.ServerError, 503),
    "in a list": ('data: [{"error": {"code": 429, "message": "m"}}]\n\n', llmnet.RateLimitError, 429),
    "status in a comment": (
        'event:error\n:HTTP_STATUS/429\ndata:{"code":"New","message":"m"}\n\n', llmnet.RateLimitError, 429,
    ),
    "in a bare line": (
        'event:error\nHTTP_STATUS/403 FORBIDDEN\ndata:{"code":"New","message":"m"}\n\n', llmnet.PermissionDeniedError, 403,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_an_event_that_is_named_an_error_is_one_whatever_it_says(front, server, name):
    event, kind, status = NAMED[name]
    server.script(Reply(events=[HALF, event, DONE]))
    fields = at(server, provider="dashscope", api="compatible", api_key=KEY)
    with front.client(**fields) as client, pytest.raises(kind) as caught:
        list(client.stream_chat("hi"))
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.http_status, error.partial.content) == (status, 200, "half")


# -- keepalive on every socket ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(secure):
    """A server, and what to trust for it."""
    if not secure:
        with FakeServer() as server:
            yield server, True
        return
    ca, context, trusting = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(trusting)
    with FakeServer(tls=context) as server:
        yield server, trusting


def options_towards(port):
    """What each socket that is connected to a port was told."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue  # a copy that is made into no socket would stay open
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as one:
            if one.family == socket.AF_INET and one.getpeername()[1] == port:
                found.append([one.getsockopt(level, option) for level, option, _ in TCP_OPTIONS])
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the descriptors of a process are listed on Linux alone")
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
def test_every_connection_is_kept_alive(front, proxied, secure):
    with serving(secure) as (server, trusted), Proxy() as proxy:
        server.script(Reply(hold="body"))
        through = f"http://127.0.0.1:{proxy.port}" if proxied else None
        with front.client(**at(server, proxy=through, verify=trusted)) as client, client.stream_chat("hi"):
            told = options_towards(proxy.port if proxied else server.port)
    assert bool(proxy.requests) is proxied
    assert told
    assert all(values == [value for _, _, value in TCP_OPTIONS] for values in told)


# -- keys leak in logs ------------------------------------------------------------------------------------------------

ENDS = {
    "reply": Reply(),
    "error": Reply(status=500),
    "echoed": Reply(status=307, headers={"location": f"/x?api_key={KEY}"}, body=""),
    "no head": Reply(drop=True),
    "no HTTP": Reply(raw=b"This is no HTTP\r\n\r\n"),
    "cut": Reply(cut=9),
    "late": Reply(silent=True),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_libraries_log_no_secret_of_an_address(front, server, caplog, name):
    caplog.set_level(logging.DEBUG)
    server.script(*[ENDS[name]] * 2)
    address = f"{server.url}/v1?api_key={KEY.replace('/', '%2F')}"
    timeout = llmnet.Timeout(response=0.1) if name == "late" else None
    with front.client(**at(server, base_url=address, retry=QUICK)) as client, contextlib.suppress(llmnet.LLMNetError):
        contextvars.Context().run(client.chat, "hi", timeout=timeout)  # no secrets of another test's call
    assert server.requests[0].query["api_key"] == KEY
    assert caplog.records
    assert Secrets([KEY]).hide(caplog.text) == caplog.text


@pytest.mark.parametrize("name", logs.LOGGERS)
def test_every_logger_of_theirs_is_heard(caplog, name):
    caplog.set_level(logging.DEBUG)

    def say():
        logs.hide_in_logs(Secrets([KEY]))
        logging.getLogger(name).debug("header %r of %d", ("authorization", f"Bearer {KEY}"), 1)
        logging.getLogger(name).debug("of %d", 2)

    contextvars.Context().run(say)
    assert [record.getMessage() for record in caplog.records] == [
        f"header ('authorization', 'Bearer {MASK}') of 1",
        "of 2",
    ]


# -- netrc replaces the key -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, None])
def test_netrc_is_nobodys_key(front, server, tmp_path, monkeypatch, key):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with front.client(**at(server, api_key=key)) as client:
        client.chat("hi")
    assert server.requests[0].headers.get("authorization") == (key and f"Bearer {key}")


# -- an error says through whom it went -------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["http://user:secret-word@127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_proxy_that_fails_is_named(front, address):
    fields = {"base_url": "https://127.0.0.1:1/v1", "api_key": KEY, "retry": QUICK, "proxy": address}
    with front.client(model="m", **fields) as client, pytest.raises(llmnet.APIConnectionError) as caught:
        client.chat("hi")
    assert caught.value.phase == "proxy"
    assert "the proxy http://127.0.0.1:9 failed" in str(caught.value)
    assert "secret-word" not in str(caught.value)
