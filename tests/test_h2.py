"""Frames of HTTP/2 as the client sees them: all as they came, however they came, but for a farewell."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmnet.transports.async_h2 import Frames

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
