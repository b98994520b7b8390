"""Rows 33-37 and 41-43 of the fault matrix: the request while it is sent, and a server that stops or dies."""

import contextlib
import os
import signal
import ssl
import subprocess
import sys

import pytest
import trustme
from matrix.case import LOW, ONCE, THRICE, Expect, Row, equal, skipping
from support.live import Work, at, at_port, eventually, no_leak
from support.points import sent

import llmnet
from llmnet.testing import FakeServer, fault, mute_peer

LOST, LATE = llmnet.APIConnectionError, llmnet.APITimeoutError
BIG = {"user": "x" * 20_000_000}
BOTH = (False, True)


@contextlib.contextmanager
def unread(server):
    with mute_peer(window=4096) as port:
        yield at_port(port)


@contextlib.contextmanager
def mute(server):
    with mute_peer() as port:
        yield at_port(port)


def post(front, url, *pieces):
    """Send a body that can be read but once, through the session or client for any API."""

    async def send():
        async def body():
            for piece in pieces:
                yield piece

        async with llmnet.create_async_client() as client:
            return await client.post(url, content=body())

    if front.name == "async":
        return front.run(send())
    with llmnet.create_session() as session:
        return session.post(url, data=iter(pieces))


def one_shot(front, server):
    url = server.url + "/v1/any"
    server.script(503, fault("eof-before-head"), fault("eof-before-head"))
    assert post(front, url, b"one ", b"two").status_code == 503
    with pytest.raises(Exception, match=r"isconnected|onnection aborted"):
        post(front, url, b"one ", b"two")
    assert [request.body for request in server.requests] == [b"one two"] * 2


def whole_again(front, server):
    server.script(503, fault("eof-before-head"), "Hi")
    with front.client(**at(server)) as client:
        skipping(front, client)
        assert client.chat("Hello").content == "Hi"
    assert len({request.body for request in server.requests}) == 1
    assert server.requests[2].fields["messages"][0]["content"] == "Hello"


def refused_over_tls(front, server):
    """The answer is still to be decrypted when the connection is gone."""
    authority, theirs, ours = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    with FakeServer(tls=theirs) as secure, no_leak(secure), front.client(**at(secure, verify=ours)) as client:
        secure.script(fault("early-413"))
        with pytest.raises(llmnet.BadRequestError, match="too big") as caught:
            client.chat("Hello", **BIG)
        assert [attempt.status for attempt in caught.value.meta.attempts] == [413]


# -- a server that is a process of its own --------------------------------------------------------------------------

SERVER = """
import sys
from llmnet.testing import FakeServer, fault
with FakeServer() as server:
    server.script(*map(fault, sys.argv[1:]))
    print(server.port, flush=True)
    server.wait_for_requests(1, 60)
    print("asked", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def elsewhere(*faults):
    """A fake server in a process, with faults of the kit: that process, and its port."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER, *faults], **pipes) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def stopped_for_a_while(front, server):
    with elsewhere() as (process, port), front.client(**at_port(port, max_retries=0)) as client:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(LATE) as caught:
            client.chat("hi", timeout=LOW)
        assert caught.value.phase == "response"
        work = Work(client.chat, "hi")
        eventually(lambda: sent(client))
        process.send_signal(signal.SIGCONT)
        reply = work.result()
        assert (reply.content, [attempt.sent for attempt in reply.meta.attempts]) == ("hi", [True])


def killed(front, server):
    with elsewhere("silent") as (process, port), front.client(**at_port(port)) as client:
        sleeps = skipping(front, client)
        work = Work(client.chat, "hi")
        assert process.stdout.readline() == "asked\n"
        process.kill()
        with pytest.raises(LOST) as caught:
            work.result()
        assert (type(caught.value), caught.value.maybe_billed, len(sleeps)) == (LOST, True, 3)
        causes = [attempt.cause for attempt in caught.value.meta.attempts]
        # The listener may outlive the connection for a moment.
        assert (causes[0], causes[-1], len(causes)) == (f"{LOST.__name__} (response)", f"{LOST.__name__} (connect)", 4)


ROWS = [
    Row(
        number=33, phase="write", fault="RST inside 20 MB", params=BIG, stream=BOTH, script=(fault("reset-at-hello"),) * 9,
        expect=Expect(error=LOST, phase="send", attempts=2, waits=ONCE, connections=2),
    ),
    Row(
        number=33, phase="write", fault="RST, but little is sent", stream=BOTH, script=(fault("reset-at-hello"),) * 9,
        expect=Expect(error=LOST, phase="response", attempts=4, waits=THRICE, connections=4),
    ),
    Row(
        number=34, phase="write", fault="413 inside 20 MB", params=BIG, stream=BOTH, script=(fault("early-413"),) * 9,
        expect=Expect(error=llmnet.BadRequestError, status=413, attempts=1, connections=1, says="too big", billed=False),
    ),
    Row(number=34, phase="write", fault="413 over TLS", play=refused_over_tls),
    Row(
        number=35, phase="write", fault="never read", params=BIG, stream=BOTH, scene=unread, fields={"timeout": LOW},
        expect=Expect(error=LATE, phase="response", attempts=4, waits=THRICE),
    ),
    Row(number=36, phase="write", fault="a body that can be read but once", play=one_shot),
    Row(number=36, phase="write", fault="bytes are sent again whole", play=whole_again),
    Row(
        number=37, phase="write", fault="EPIPE and a reply", params=BIG, script=(fault("early-200"),) * 9,
        expect=Expect(text="Hi", attempts=1, connections=1),
    ),
    Row(number=41, phase="wait", fault="SIGSTOP and SIGCONT", play=stopped_for_a_while),
    Row(
        number=42, phase="wait", fault="silent drop", stream=BOTH, scene=mute, fields={"timeout": LOW},
        expect=Expect(error=LATE, phase="response", attempts=4, waits=THRICE, billed=True),
    ),
    Row(
        number=42, phase="wait", fault="tarpit", stream=BOTH, script=(fault("429", delay=0.2), "Hi"),
        expect=Expect(text="Hi", sent=2, waits=equal(1), connections=1),
    ),
    Row(number=43, phase="wait", fault="kill -9", play=killed),
]  # fmt: skip
