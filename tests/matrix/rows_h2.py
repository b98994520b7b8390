"""Row 136 of the fault matrix: what a server of HTTP/2 does to one stream, or to the connection that many share."""

import contextlib
import json
import socket
import ssl
import threading

import pytest
import trustme
from matrix.case import ONCE, Expect, Row, check, run, skipping
from support.live import at

import llmnet

# What a model says, in pieces of a stream and of a whole reply.
_PARTS = [{"delta": {"content": word}} for word in ("one ", "two ", "three")]
_PARTS += [{"delta": {}, "finish_reason": "stop"}]
EVENTS = [b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, **part}]}).encode() for part in _PARTS]
_MESSAGE = {"index": 0, "message": {"role": "assistant", "content": "one two three"}, "finish_reason": "stop"}
INTERNAL_ERROR, REFUSED_STREAM = 2, 7
JSON = [b'{"choices": [', json.dumps(_MESSAGE).encode(), b"]}"]

# -- what becomes of a request: bytes to send, in order -------------------------------------------------------------------


def whole(spoken, stream, kind, pieces):
    yield from _some(spoken, stream, kind, pieces)
    spoken.end_stream(stream)


def cut(spoken, stream, kind, pieces):
    yield from _some(spoken, stream, kind, pieces[:2])
    yield from failed(spoken, stream)


def _some(spoken, stream, kind, pieces):
    spoken.send_headers(stream, [(":status", "200"), ("content-type", kind)])
    for piece in pieces:
        spoken.send_data(stream, piece)
        yield spoken.data_to_send()


def refused(spoken, stream, *_):
    """It was not begun."""
    spoken.reset_stream(stream, REFUSED_STREAM)
    yield spoken.data_to_send()


def failed(spoken, stream, *_):
    """It was begun."""
    spoken.reset_stream(stream, INTERNAL_ERROR)
    yield spoken.data_to_send()


def leaves_before(spoken, stream, *_):
    """A GOAWAY that leaves this stream out."""
    yield _goaway(stream - 2)


def ends(spoken, stream, *_):
    """A GOAWAY with INTERNAL_ERROR."""
    yield _goaway(stream, code=INTERNAL_ERROR)


def leaves_after(spoken, stream, *reply):
    """A GOAWAY that lets this stream end."""
    yield _goaway(stream)
    yield from whole(spoken, stream, *reply)


def _goaway(last, code=0):
    from hyperframe.frame import GoAwayFrame  # h2 itself would send nothing more after it

    return GoAwayFrame(0, last_stream_id=max(last, 0), error_code=code).serialize()


# -- the server --------------------------------------------------------------------------------------------------------


class Peer:
    """A server of HTTP/2 in threads of its own, with as much of the fake server's face as a row needs."""

    def __init__(self):
        self.request_count = self.connections = 0
        self._members, self._threads = [], []
        ca, self._context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1").configure_cert(self._context)
        self._context.set_alpn_protocols(["h2"])
        self.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ca.configure_trust(self.trust)
        self.trust.set_alpn_protocols(["h2"])

    def reset(self):
        """It is as good as new."""

    def script(self, *steps):
        self._steps = iter(steps)

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._in_thread(self._accept)
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _in_thread(self, function, *args):
        self._threads.append(threading.Thread(target=function, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._members.append(client)
                self.connections += 1
                self._in_thread(self._serve, client)

    def _serve(self, client):
        with contextlib.suppress(OSError), self._context.wrap_socket(client, server_side=True) as secure:
            self._speak(secure)
        self._members.remove(client)

    def _speak(self, secure):
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.events import DataReceived, StreamEnded

        spoken, bodies = H2Connection(H2Configuration(client_side=False)), {}
        spoken.initiate_connection()
        secure.sendall(spoken.data_to_send())
        while data := secure.recv(65536):
            for event in spoken.receive_data(data):
                if isinstance(event, DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                elif isinstance(event, StreamEnded):
                    self._answer(secure, spoken, event.stream_id, bodies.pop(event.stream_id))
            secure.sendall(spoken.data_to_send())

    def _answer(self, secure, spoken, stream, body):
        self.request_count += 1
        reply = ("text/event-stream", EVENTS) if json.loads(body).get("stream") else ("application/json", JSON)
        for data in next(self._steps)(spoken, stream, *reply):
            secure.sendall(data)


# -- the rows ----------------------------------------------------------------------------------------------------------

WORDS = "one two three"


def over_h2(fault, *steps, stream=(False, True), **expect):
    """A call that meets these steps, one for each request, as two rows."""

    def playing(stream):
        def play(front, server):
            with _peer() as peer:
                fields = {"http2": True, "verify": peer.trust}
                row = Row(number=136, phase="h2", fault=fault, script=steps, fields=fields)
                check(run(front, peer, row, stream=stream), Expect(**expect))

        return play

    names = {one: f"{fault}, {'stream' if one else 'chat'}" for one in stream}
    return [
        Row(number=136, phase="h2", fault=name, fronts=("async",), play=playing(one)) for one, name in names.items()
    ]


def second(fault, *steps, transparent=0, connections):
    """Of two calls the first meets the first step, and the second one all others."""

    def play(front, server):
        with _peer() as peer:
            peer.script(*steps)
            with front.client(**at(peer), http2=True, verify=peer.trust) as client:
                skipping(front, client)
                attempts = [client.chat("Hi").meta.attempts for _ in range(2)]
                assert client.request_count == 1 + len(attempts[1]) - transparent
        assert [len(one) for one in attempts] == [1, len(steps) - 1]
        assert sum(attempt.transparent for attempt in attempts[1]) == transparent
        assert (peer.request_count, peer.connections) == (len(steps), connections)

    return Row(number=136, phase="h2", fault=f"{fault}, second", fronts=("async",), play=play)


def _peer():
    pytest.importorskip("h2")
    return Peer()


ROWS = [
    *over_h2("REFUSED_STREAM", refused, whole, text=WORDS, sent=2, transparent=1, connections=2),
    *over_h2(
        "REFUSED_STREAM twice", refused, refused, whole, text=WORDS, sent=3, transparent=1, waits=ONCE
    ),
    *over_h2("GOAWAY before", leaves_before, whole, text=WORDS, sent=2, transparent=1, connections=2),
    *over_h2("GOAWAY that lets it end", leaves_after, text=WORDS, sent=1),
    *over_h2("GOAWAY for a fault", ends, whole, text=WORDS, sent=2, waits=ONCE),
    *over_h2("RST_STREAM", failed, whole, text=WORDS, sent=2, waits=ONCE),
    *over_h2("RST_STREAM in a reply", cut, whole, stream=(False,), text=WORDS, sent=2, waits=ONCE),
    *over_h2(
        "RST_STREAM in a stream", cut, whole, stream=(True,), error=llmnet.IncompleteStreamError, text="one two ",
        sent=1, billed=True,
    ),
    second("REFUSED_STREAM", whole, refused, whole, transparent=1, connections=2),
    second("GOAWAY before", whole, leaves_before, whole, transparent=1, connections=2),
    second("GOAWAY that lets it end", whole, leaves_after, connections=1),
    second("GOAWAY in the first", leaves_after, whole, connections=2),
    second("RST_STREAM", whole, failed, whole, connections=1),
]  # fmt: skip
