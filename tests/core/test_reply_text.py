"""A text that arrives in pieces: as it was sent, from any piece on, and in a finalizer, too."""

import gc
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.live import Work

from llmnet.core.reply_text import Text

texts = st.text(st.characters(codec="utf-8"))


@given(st.lists(texts), st.lists(texts))
def test_it_is_what_was_added(pieces, later):
    text = Text()
    for piece in pieces:
        assert text.add(piece) == piece
    position = text.position
    for piece in later:
        assert text.add(piece) == piece
    joined = "".join(pieces + later)
    assert (str(text), len(text), text.since(position)) == (joined, len(joined), "".join(later))


class Owner:
    """Reads its text when it is collected, as a stream that nobody closed does."""

    def __init__(self, text, seen):
        self.text, self.seen, self.me = text, seen, self
        self.text.add("what has arrived")

    def __del__(self):
        self.seen.append(str(self.text))


def test_it_can_be_read_by_a_finalizer_within_a_cycle():
    seen = []
    Owner(Text(), seen)  # the text is older than its owner: the collector comes to it first
    gc.collect()
    assert seen == ["what has arrived"]


@pytest.mark.threads
def test_it_can_be_read_by_another_thread_while_it_grows():
    """A buffer that somebody reads cannot grow: `partial` is asked for by any thread."""
    text, over = Text(), False

    def read():
        while not over:
            assert set(str(text)) <= {"a"}
            assert set(text.since(3)) <= {"a"}

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        readers = [Work(read) for _ in range(4)]
        for _ in range(200_000):
            text.add("a")
    finally:
        over = True
        sys.setswitchinterval(interval)
    for reader in readers:
        reader.result()
