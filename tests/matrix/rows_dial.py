"""Rows 3-23 of the fault matrix that break what a call is sent over: names, addresses, handshakes, proxies."""

import contextlib
import os
import resource
import socket
import ssl
import threading
from unittest import mock

import pytest
import trustme
from matrix.case import LOW, ONCE, THRICE, Expect, Row
from matrix.rows_connect import forward, refused, tunnel
from support.inside import connections_of
from support.live import WORDS, at, at_port, eventually, slots

import llmnet
from llmnet.testing import FakeServer, Reply, fault, full_peer

LOST, LATE, CUT = llmnet.APIConnectionError, llmnet.APITimeoutError, llmnet.IncompleteStreamError
NAME = "api.test"

# -- names -------------------------------------------------------------------------------------------------------------


def named(answer):
    """A scene in which one name is what `answer` makes of it; all others are the system's."""

    @contextlib.contextmanager
    def scene(server):
        real = socket.getaddrinfo

        def resolve(host, *args, **options):
            return answer(server.port) if host == NAME else real(host, *args, **options)

        with mock.patch.object(socket, "getaddrinfo", resolve):
            yield {"base_url": f"http://{NAME}:{server.port}/v1"}

    return scene


def fails(code):
    def answer(port):
        raise socket.gaierror(code, "so says the resolver")

    return named(answer)


def addresses(*hosts):
    return named(lambda port: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts])


@contextlib.contextmanager
def silent_resolver(server):
    ended, asked = threading.Event(), []

    def answer(port):
        asked.append(threading.current_thread())
        ended.wait()
        return []

    with named(answer)(server) as fields:
        yield fields
        ended.set()
        (thread,) = asked  # all attempts wait for the same lookup
        thread.join()


def second_is_the_server(first=None):
    """A scene in which the first address of the name is another peer's, or nobody's."""

    @contextlib.contextmanager
    def scene(server):
        peer = first("127.0.0.2", server.port) if first else contextlib.nullcontext()
        with peer, addresses("127.0.0.2", "127.0.0.1")(server) as fields:
            yield fields

    return scene


# -- descriptors -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def exhausted():
    """No file and no socket can be opened."""
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def no_descriptor_left(front, server):
    server.script(Reply(close=True))
    with front.client(**at(server)) as client:
        client.chat("all that is loaded on first use is there now")
        eventually(lambda: not connections_of(server))
        with exhausted(), pytest.raises(LOST, match="run out of a resource") as caught:
            client.chat("x")
        sent = [attempt.sent for attempt in caught.value.meta.attempts]
        assert (caught.value.phase, sent, slots(client)) == ("connect", [False], 0)
        assert client.chat("it works again").content


# -- TLS and proxies ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def plain_on_https(server):
    """The server speaks no TLS."""
    yield at_port(server.port, scheme="https")


def secure(reply):
    """A scene in which a server that speaks TLS replies so for ever."""

    @contextlib.contextmanager
    def scene(server):
        ca, context, trusting = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        ca.issue_cert("127.0.0.1").configure_cert(context)
        ca.configure_trust(trusting)
        with FakeServer(tls=context) as other:
            other.script(*[reply] * 9)
            yield at_port(other.port, scheme="https", verify=trusting)

    return scene


def behind(scene):
    """The scene's proxy, which nobody is."""

    @contextlib.contextmanager
    def alone(server):
        with scene(server) as fields:
            yield {**fields, "proxy": f"http://127.0.0.1:{refused()}"}

    return alone


def proxy_named(resolver):
    """The proxy's name is what the resolver makes of it."""

    @contextlib.contextmanager
    def scene(server):
        with resolver(server):
            yield {"proxy": f"http://{NAME}:3128", "base_url": "https://api.example/v1"}

    return scene


def begun(seen):
    return seen.text and WORDS.startswith(seen.text)


def dead(number, phase, name, *, attempts=4, waits=THRICE, error=LOST, at=None, **more):
    """A fault that comes again and again, before anything was sent."""
    expect = Expect(error=error, phase=at or phase, sent=0, attempts=attempts, waits=waits, billed=False)
    return Row(number=number, phase=phase, fault=name, expect=expect, **more)


def reached(name, scene):
    """The second address serves, and no retry is used."""
    return Row(
        number=6, phase="dns", fault=name, scene=scene, script=("Hi",), fields={"timeout": LOW},
        expect=Expect(text="Hi", sent=1, connections=1),
    )  # fmt: skip


def handshake(name):
    return Row(
        number=15, phase="tls", fault=name, scene=plain_on_https, script=(fault(name),) * 9, stream=(False, True),
        expect=Expect(error=LOST, phase="tls", sent=0, attempts=4, waits=THRICE, connections=4, billed=False),
    )  # fmt: skip


def unfinished(name):
    """TLS that ends in a plain body without its good-bye."""
    return Row(
        number=18, phase="tls", fault=f"{name} without close_notify", scene=secure(fault(name)),
        expect=Expect(error=LOST, phase="body", attempts=4, waits=THRICE, billed=True),
    )  # fmt: skip


def no_tunnel(name):
    return Row(
        number=23, phase="proxy", fault=f"CONNECT, {name}", scene=tunnel, script=(fault(name),) * 9,
        expect=Expect(error=LOST, phase="proxy", attempts=4, waits=THRICE, connections=4, billed=False),
    )  # fmt: skip


ROWS = [
    dead(3, "dns", "NXDOMAIN", scene=fails(socket.EAI_NONAME), attempts=1, waits=()),
    dead(4, "dns", "EAI_AGAIN", scene=fails(socket.EAI_AGAIN)),
    dead(5, "dns", "silent resolver", scene=silent_resolver, error=LATE, at="connect", fields={"timeout": LOW}),
    reached("first address refuses", second_is_the_server()),
    reached("first address is silent", second_is_the_server(full_peer)),
    Row(
        number=6, phase="dns", fault="both addresses serve", scene=second_is_the_server(FakeServer),
        expect=Expect(text="Hello there, world", attempts=1, connections=0),
    ),
    Row(number=11, phase="connect", fault="EMFILE", play=no_descriptor_left),
    handshake("eof-at-hello"),
    handshake("reset-at-hello"),
    Row(
        number=17, phase="tls", fault="TLS bytes on an http port", script=(fault("tls-alert"),) * 9, stream=(False, True),
        expect=Expect(error=llmnet.InvalidResponseError, attempts=2, waits=ONCE, connections=2, billed=True),
    ),
    unfinished("short-body"),
    unfinished("cut-chunks"),
    Row(
        number=18, phase="tls", fault="stream without close_notify", scene=secure(fault("stream-eof")), stream=(True,),
        expect=Expect(error=CUT, attempts=1, holds=begun, billed=True),
    ),
    dead(19, "proxy", "refused, CONNECT", scene=behind(tunnel)),
    dead(19, "proxy", "refused, forward", scene=behind(forward)),
    dead(19, "proxy", "unknown name", scene=proxy_named(fails(socket.EAI_NONAME)), attempts=1, waits=()),
    dead(19, "proxy", "name unknown for now", scene=proxy_named(fails(socket.EAI_AGAIN))),
    *map(no_tunnel, ("proxy-cut", "eof-before-head", "reset-before-head")),
]  # fmt: skip
