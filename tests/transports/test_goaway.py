"""Frames of HTTP/2 as the client sees them: all as they came, however they came, but for a farewell."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrix import rows_h2
from support.live import at

import llmnet
from llmnet.transports.aio.stream import Frames

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7


def frame(kind, stream=0, payload=b""):
    return len(payload).to_bytes(3) + bytes([kind, 0]) + stream.to_bytes(4) + payload


def goaway(last, code=0, why=b""):
    return frame(GOAWAY, 0, last.to_bytes(4) + code.to_bytes(4) + why)


def refusals(*streams):
    return b"".join(frame(RST, stream, (7).to_bytes(4)) for stream in streams)


def opened(*streams):
    frames = Frames()
    frames.sent(PREFACE + frame(SETTINGS, 0, b"123456"))
    for stream in streams:
        frames.sent(frame(HEADERS, stream, b"head") + frame(DATA, stream, b"body"))
    return frames


OTHERS = frame(SETTINGS) + frame(HEADERS, 1, b"head") + frame(DATA, 1, b"x" * 16384) + frame(PING, 0, b"12345678")


@given(st.lists(st.integers(0, len(OTHERS)), max_size=9))
def test_other_frames_pass_however_they_come(cuts):
    frames, cuts = opened(1), [0, *sorted(cuts), len(OTHERS)]
    pieces = [OTHERS[a:b] for a, b in itertools.pairwise(cuts)]
    assert b"".join(map(frames.received, pieces)) == OTHERS
    assert not frames.leaving


@pytest.mark.parametrize(
    ("last", "refused"),
    [(0, [1, 3, 5]), (1, [3, 5]), (3, [5]), (5, []), (0x7FFFFFFF, [])],
)
def test_a_farewell_refuses_what_it_does_not_answer(last, refused):
    frames, said = opened(1, 3, 5), goaway(last, why=b"maintenance")
    given = [frames.received(bytes([byte])) for byte in said]
    assert b"".join(given) == given[-1] == refusals(*refused)
    assert frames.leaving


def test_what_came_with_a_farewell_passes():
    reply = frame(HEADERS, 1, b"head") + frame(DATA, 1, b"x")
    assert opened(1, 3).received(reply + goaway(1) + reply) == reply + reply + refusals(3)


def test_a_farewell_in_two_steps():
    frames = opened(1)
    assert frames.received(goaway(0x7FFFFFFF)) == b""
    frames.sent(frame(HEADERS, 3))
    assert frames.received(goaway(1)) == refusals(3)


def test_a_stream_that_is_opened_too_late_is_refused_once():
    frames = opened(1)
    assert frames.received(goaway(1)) == b""
    frames.sent(frame(HEADERS, 3))
    assert frames.received(frame(PING, 0, b"12345678")) == frame(PING, 0, b"12345678") + refusals(3)
    assert frames.received(frame(DATA, 1)) == frame(DATA, 1)


@pytest.mark.parametrize(
    "said",
    [goaway(0, code=2), frame(GOAWAY, 0, b"short"), (16385).to_bytes(3) + b"\x00\x00\x00\x00\x00\x01too long"],
)
def test_what_is_for_h2_to_complain_of_passes(said):
    frames = opened(1)
    assert frames.received(said) == said
    assert not frames.leaving


# -- what h2 refuses in the midst of a reply ------------------------------------------------------------------------------

PUSH, CONTINUATION = 5, 9
FAULTS = {
    "a push": frame(PUSH, 1, b"\0\0\0\2\x88").replace(b"\5\0", b"\5\4", 1),  # with the end of its head
    "a head that goes on and on": frame(HEADERS, 1) + frame(CONTINUATION, 1) * 200,
    "a head in the midst": frame(CONTINUATION, 1, b"a"),
    "a window of nothing": frame(8, 0, b"\0\0\0\0"),
    "settings of another size": frame(SETTINGS, 0, b"12345"),
    "data of no stream": frame(DATA, 3, b"x"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_breach_in_the_midst_of_a_reply_is_an_error_of_ours(awaited, name, stream):
    pytest.importorskip("h2")

    def breach(spoken, number, kind, pieces):
        yield from rows_h2._some(spoken, number, kind, pieces[:2])
        yield FAULTS[name]

    with rows_h2.Peer() as peer:
        peer.script(breach, breach)
        with awaited.client(**at(peer, max_retries=0), http2=True, verify=peer.trust) as client:
            with pytest.raises((llmnet.APIConnectionError, llmnet.IncompleteStreamError)) as caught:
                client.chat("x", callbacks=llmnet.StreamCallbacks() if stream else None, timeout=20)
            assert not isinstance(caught.value, llmnet.APITimeoutError)
