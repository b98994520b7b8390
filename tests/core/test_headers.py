"""The headers of a reply: made of the lines of its head as of pairs, and of what is kept of them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmnet.core import head_lines
from llmnet.core.head_lines import HeadLines
from llmnet.core.http import Headers
from llmnet.core.secrets import Secrets

ASKED = ["A", "a", "Set-Cookie", "set-cookie", "X-Ü", "B", ""]
NAMES = st.sampled_from(ASKED[:-1])
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"], include_characters="\t"), max_size=8)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
@example([])
@example([("a", "1 \t"), ("b", ""), ("A", "\xa0")])
def test_the_lines_of_a_head_make_the_headers_that_their_pairs_make(pairs):
    lines = "\n".join([name for name, _ in pairs]).encode("latin-1"), [value.encode("latin-1") for _, value in pairs]
    plain = Headers(stripped := [(name, value.rstrip(" \t")) for name, value in pairs])
    assert HeadLines(*lines).pairs == stripped
    assert [HeadLines(*lines).first((name.lower(), "b")) for name, _ in pairs] == [
        plain.first((name.lower(), "b")) for name, _ in pairs
    ]
    assert [*HeadLines(*lines).items()] == [*plain.items()]
    assert [(name in HeadLines(*lines), HeadLines(*lines).get(name)) for name in [*ASKED, "none"]] == [
        (name in plain, plain.get(name)) for name in [*ASKED, "none"]
    ]


def test_they_are_made_once():
    headers = HeadLines(b"a", [b"1"])
    assert headers._items is headers._items  # private: made anew, they are the same


def test_names_are_kept_where_they_are_few():
    kept = head_lines._places  # private: what is kept is seen nowhere else
    kept.cache_clear()
    for _ in range(3):
        HeadLines(b"A\nB", [b"1", b"2"])
        HeadLines(b"x" * 3000, [b"1"])
    assert (kept.cache_info().currsize, kept.cache_info().hits) == (1, 2)


KINDS = {
    "plain": Headers({"A": "1"}),
    "lines": HeadLines(b"A", [b"1"]),
    "clean": Secrets(["planted-secret"]).clean_headers(Headers({"A": "1"})),
}
all_kinds = pytest.mark.parametrize("headers", KINDS.values(), ids=KINDS)


@all_kinds
def test_they_are_a_mapping_as_a_dict_is(headers):
    assert 5 not in headers
    assert headers.get(5) is None
    with pytest.raises(KeyError, match="5"):
        headers[5]
    for other in KINDS.values():
        assert headers == other
    for same in ({"a": "1"}, {"A": "1"}):
        assert headers == same
        assert same == headers
    for different in ({}, {"a": "2"}, {"A": "1", "b": "1"}, {5: "1"}, [("a", "1")], None):
        assert headers != different


@all_kinds
def test_errors_name_them_by_what_they_are(headers):
    with pytest.raises(TypeError, match="'Headers' object does not support item assignment"):
        headers["a"] = "2"
    with pytest.raises(TypeError, match="unhashable type: 'Headers'"):
        hash(headers)


@all_kinds
def test_an_attribute_that_is_not_there_is_told_as_one_of_headers(headers):
    with pytest.raises(AttributeError, match=r"^'Headers' object has no attribute 'nothing'$"):
        headers.nothing
