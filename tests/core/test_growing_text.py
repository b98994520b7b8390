"""A text that arrives in pieces: as it was sent, from any character on, and in a finalizer, too."""

import gc

from hypothesis import given
from hypothesis import strategies as st

from llmnet.core.growing_text import Text

texts = st.text(st.characters(codec="utf-8"))


@given(st.lists(texts), st.integers(0, 20))
def test_it_is_what_was_added(pieces, start):
    text = Text()
    for piece in pieces:
        assert text.add(piece) == piece
    joined = "".join(pieces)
    assert (str(text), len(text), text.since(start)) == (joined, len(joined), joined[start:])


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
