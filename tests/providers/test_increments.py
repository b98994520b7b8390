"""Frames that add and frames that repeat give the same text, and nothing comes twice or is lost."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmnet.providers.increments import Increments


def texts(frames, tokens=None):
    """What comes of frames, by place; the last one is the last."""
    increments, out = Increments(), {}
    for i, frame in enumerate(frames):
        count = tokens[i] if tokens else None
        for place, text in increments.take(frame, tokens=count, last=i == len(frames) - 1).items():
            out[place] = out.get(place, "") + text
    return out


def text(*frames, tokens=None):
    return texts([{"content": frame} for frame in frames], tokens).get("content", "")


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (("1", "1, ", "1, 2"), "1, 2"),
        (("1", "1, 2", "1, 2"), "1, 2"),
        (("", "H", "He", "Hel", "Hel"), "Hel"),
        (("He", "Hello"), "Hello"),  # two frames, the last one longer
        (("Hello",), "Hello"),
        ((), ""),
        (("", ""), ""),
    ],
)
def test_repetitions_are_dropped(frames, expected):
    assert text(*frames) == expected


@pytest.mark.parametrize(
    "frames",
    [
        ("ha", "ha"),
        ("ha", "ha", "ha", ""),
        ("ha", "ha", "!", ""),
        ("ha", "haha", "!", ""),
        ("1", "11", "1", ""),
        ("1", "11", ""),  # a repetition would have repeated all of it
        ("a", "b", "ab", "abab"),
        ("\n", "\n\nHello", " world", ""),
        ("a", "", "a", ""),
    ],
)
def test_increments_are_kept_though_they_look_like_repetitions(frames):
    assert text(*frames) == "".join(frames)


def test_the_same_text_at_the_end_is_a_repetition_if_it_took_no_token():
    assert text("OK", "OK", tokens=[1, 1]) == "OK"
    assert text("OK", "OK", tokens=[1, 2]) == "OKOK"
    assert text("OK", "OK") == "OKOK"


def test_an_increment_is_handed_out_at_once():
    increments = Increments()
    assert increments.take({"content": "Hel"}) == {"content": "Hel"}
    assert increments.take({"content": "lo"}) == {"content": "lo"}
    assert increments.repeats is False


def test_one_frame_at_most_waits():
    increments = Increments()
    assert increments.take({"content": "a"}) == {"content": "a"}
    assert increments.take({"content": "ab"}) == {}
    assert increments.take({"content": "abc"}) == {"content": "bc"}
    assert increments.take({"content": "abcd"}) == {"content": "d"}
    assert increments.repeats is True


def test_text_that_repeats_while_a_tool_call_grows_is_a_repetition():
    frames = [
        {"content": "So:"},
        {"content": "So:", 0: '{"a'},
        {"content": "So:", 0: '{"a": 1'},
        {"content": "So:", 0: '{"a": 1}'},
    ]
    assert texts(frames) == {"content": "So:", 0: '{"a": 1}'}


@pytest.mark.parametrize("kept", [True, False], ids=["reasoning stays", "reasoning goes"])
def test_reasoning_is_counted_apart(kept):
    thought = ["H", "Hm", "Hm."]
    full = ["Y", "Ye", "Yes", "Yes"]
    frames = [{"reasoning": text} for text in thought]
    frames += [{"content": text, "reasoning": "Hm." if kept else ""} for text in full]
    assert texts(frames) == {"reasoning": "Hm.", "content": "Yes"}


def test_a_repetition_that_rewrites_its_text_is_returned_unchanged():
    assert text("a", "ab", "abc", "xyz", "xyz!") == "abcxyzxyz!"


PLACES = st.sampled_from(["reasoning", "content", 0, 1])
PIECES = st.lists(st.tuples(PLACES, st.text("ab1 ", min_size=1, max_size=4)), min_size=1, max_size=12)


def joined(pieces):
    out = {}
    for place, piece in pieces:
        out[place] = out.get(place, "") + piece
    return out


@given(PIECES)
def test_repeated_text_is_returned_once(pieces):
    frames = [joined(pieces[: i + 1]) for i in range(len(pieces))]
    tokens = [*range(len(frames)), len(frames) - 1]
    assert texts([*frames, frames[-1]], tokens) == joined(pieces)


def looks_like_a_repetition(pieces):
    """Whether a text's first three pieces each begin with the one before: that looks like a repetition."""
    by_place = {}
    for place, piece in pieces:
        by_place.setdefault(place, []).append(piece)
    firsts = [found[:3] for found in by_place.values() if len(found) > 2]
    return any(b.startswith(a) and c.startswith(b) for a, b, c in firsts)


@given(PIECES)
def test_added_text_is_returned_in_full(pieces):
    assume(not looks_like_a_repetition(pieces))
    frames = [{place: piece} for place, piece in pieces]
    assert texts([*frames, {}], list(range(len(frames) + 1))) == joined(pieces)


def test_the_cost_of_increments_is_linear():
    def run(n):
        increments = Increments()
        began = time.process_time()
        for i in range(n):
            increments.take({"content": f"piece {i}", "reasoning": ""}, tokens=i)
        return time.process_time() - began

    run(1000)
    assert run(40_000) < 3.0 * run(20_000) + 0.05
