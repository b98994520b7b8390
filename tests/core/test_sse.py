"""SSEDecoder: the WHATWG grammar at every cut, its bounds, and the cases of other projects' suites."""

import itertools
import json
import os
import pathlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import SHARED

from llmnet.core.errors import InvalidResponseError
from llmnet.core.event_reader import begins_stream, is_stream
from llmnet.core.sse import KEPT_COMMENT_CHARS, KEPT_COMMENTS, ServerSentEvent, SSEDecoder

CASES = pathlib.Path(os.environ.get("LLMNET_CASES") or SHARED / "cases")
TOO_LONG = "too long"


def Event(data, event="", id=None, retry=None, comments=()):  # noqa: A002
    return ServerSentEvent(event, data, id, retry, tuple(comments))


def run(pieces, limit=8388608):
    """All that a decoder says about a stream: its events, the last words, or that it was too long."""
    decoder, decoded = SSEDecoder(limit), []
    try:
        for piece in pieces:
            decoded += decoder.feed(piece)
        decoded.append(("end", decoder.end()))
    except InvalidResponseError:
        return [*decoded, TOO_LONG]
    return [*decoded, decoder.comments]


def events(*pieces):
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def reference(document, limit=8388608):
    """The rules, written down as the specification has them, for a document that is here as a whole."""
    decoded, data, size, event, last_id, retry, comments = [], [], 0, "", None, None, []
    *lines, rest = document.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for number, raw in enumerate([*lines, rest]):
        if size + len(raw) > limit:
            return [*decoded, TOO_LONG]
        line = (raw.removeprefix(b"\xef\xbb\xbf") if number == 0 else raw).decode("utf-8", "replace")
        name, _, value = line.partition(":")
        value = value[1:] if value[:1] == " " else value
        if line == "" and number == len(lines):
            break
        if line == "" and data:
            decoded.append(Event("\n".join(data), event, last_id, retry, comments[-16:]))
            data, size, event, retry, comments = [], 0, "", None, []
        elif line == "":
            event = ""
        elif name == "data":
            data, size = [*data, value], size + len(value) + 1
        elif name == "event":
            event = value
        elif name == "id":
            last_id = last_id if "\0" in value else value
        elif name == "retry":
            digits = 0 < len(value) <= 18 and all(c in "0123456789" for c in value)
            retry = int(value) if digits else retry
        else:
            comments.append(value if name == "" else line)
    if not data:
        return [*decoded, ("end", None), tuple(comments[-16:])]
    return [*decoded, ("end", Event("\n".join(data), event, last_id, retry, comments[-16:])), ()]


def cuts(document):
    """The document in one piece, in two and three at every place, and byte by byte."""
    places = range(len(document) + 1)
    for a, b in itertools.combinations_with_replacement(places, 2):
        yield [document[:a], document[a:b], document[b:]]
    yield [document[i : i + 1] for i in range(len(document))]


# -- the grammar --------------------------------------------------------------------------------------------------------

GRAMMAR = {
    "one space after the colon goes": (b"data:  x\n\n", [Event(" x")]),
    "no space": (b"data:x\n\n", [Event("x")]),
    "no colon": (b"data\n\n", [Event("")]),
    "lines are joined": (b"data: a\ndata\ndata: b\n\n", [Event("a\n\nb")]),
    "trailing blanks stay": (b"data: {}   \n\n", [Event("{}   ")]),
    "a colon in the value": (b"data: a:b: c\n\n", [Event("a:b: c")]),
    "field names are case-sensitive": (b"Data: x\n\ndata: y\n\n", [Event("y", comments=["Data: x"])]),
    "an event type": (b"event: ping\ndata: x\n\ndata: y\n\n", [Event("x", "ping"), Event("y")]),
    "the type after the data": (b"data: x\nevent: ping\n\n", [Event("x", "ping")]),
    "the last type counts": (b"event: a\nevent: b\ndata: x\n\n", [Event("x", "b")]),
    "an empty type takes it back": (b"event: a\nevent:\ndata: x\n\n", [Event("x")]),
    "without data no event, and the type is reset": (b"event: ping\n\ndata: x\n\n", [Event("x")]),
    "ids persist": (b"id: 1\ndata: a\n\ndata: b\n\n", [Event("a", id="1"), Event("b", id="1")]),
    "an id without data counts": (b"id: 1\n\ndata: a\n\n", [Event("a", id="1")]),
    "an empty id": (b"id: 1\nid\ndata: a\n\n", [Event("a", id="")]),
    "an id with NUL is ignored": (b"id: 1\nid: 2\0\ndata: a\n\n", [Event("a", id="1")]),
    "retry": (b"retry: 0150\ndata: a\n\ndata: b\n\n", [Event("a", retry=150), Event("b")]),
    "retry waits for an event": (b"retry: 7\n\ndata: a\n\n", [Event("a", retry=7)]),
    "retry takes digits alone": (b"retry: 1\nretry: -1\nretry: 1s\nretry:\ndata: a\n\n", [Event("a", retry=1)]),
    "retry takes ASCII digits": ("retry: ٣\ndata: a\n\n".encode(), [Event("a")]),
    "retry beyond reason": (b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", [Event("a")]),
    "a byte-order mark": (b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
    "one mark alone": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [Event("b", comments=["\ufeffdata: a"])]),
    "a mark at the start alone": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event("a")]),
    "CR": (b"event: e\rdata: a\rdata: b\r\r", [Event("a\nb", "e")]),
    "CRLF": (b"event: e\r\ndata: a\r\ndata: b\r\n\r\n", [Event("a\nb", "e")]),
    "all three": (b"data: a\rdata: b\r\ndata: c\n\r\n", [Event("a\nb\nc")]),
    "LF CR is two": (b"data: a\n\rdata: b\n\n", [Event("a"), Event("b")]),
    "blank lines": (b"\n\n\ndata: a\n\n\n\n", [Event("a")]),
    "other line ends are none": (
        "data: \x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\n\n".encode(),
        [Event("\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")],
    ),
    "bad UTF-8": (b"data: \xff\xe4\xb8\n\ndata: \xf0\x9f\n\n", [Event("\ufffd\ufffd"), Event("\ufffd")]),
    "NUL in data": (b"data: \0\n\n", [Event("\0")]),
    "DashScope": (
        b'id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"a":1}\n\n',
        [Event('{"a":1}', "result", "1", None, ["HTTP_STATUS/200"])],
    ),
    "comments before an event": (b": a\n\n:b\n:\ndata: x\n\n", [Event("x", comments=["a", "b", ""])]),
    "comments inside an event": (
        b"data: x\n:  c\ndata: y\n\ndata: z\n\n",
        [Event("x\ny", comments=[" c"]), Event("z")],
    ),
    "lines that are no field": (
        b'{"error": {"code": 1}}\n\nHTTP_STATUS/429 x\nda ta: 1\ndata: x\n\n',
        [Event("x", comments=['{"error": {"code": 1}}', "HTTP_STATUS/429 x", "da ta: 1"])],
    ),
    "the last comments alone": (
        b"".join(b": %d\n" % n for n in range(40)) + b"data: x\n\n",
        [Event("x", comments=[str(n) for n in range(40 - KEPT_COMMENTS, 40)])],
    ),
}


@pytest.mark.parametrize("name", GRAMMAR)
def test_the_grammar(name):
    document, expected = GRAMMAR[name]
    assert events(document) == expected
    assert events(*(document[i : i + 1] for i in range(len(document)))) == expected


@pytest.mark.parametrize("name", GRAMMAR)
def test_the_reference_says_the_same(name):
    assert run([GRAMMAR[name][0]]) == reference(GRAMMAR[name][0])


ENDINGS = {
    "no blank line": (b"data: a\n", Event("a"), ()),
    "no line end": (b"event: e\nid: 1\ndata: a", Event("a", "e", "1"), ()),
    "several lines": (b": c\ndata: a\ndata: b", Event("a\nb", comments=["c"]), ()),
    "a CR": (b"data: a\r", Event("a"), ()),
    "half a character": (b"data: a\xe4\xb8", Event("a\ufffd"), ()),
    "a whole event": (b"data: a\n\n", None, ()),
    "no data": (b"event: e\nid: 1", None, ()),
    "half a field": (b"data: a\n\ndat", None, ("dat",)),
    "a comment": (b"data: a\n\n: bye", None, ("bye",)),
    "an error in a bare line": (b'data: a\n\n{"error": 1}', None, ('{"error": 1}',)),
    "nothing": (b"", None, ()),
    "a byte-order mark and data": (b"\xef\xbb\xbfdata: a", Event("a"), ()),
    "a byte-order mark alone": (b"\xef\xbb\xbf", None, ()),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_end(name):
    document, last, comments = ENDINGS[name]
    decoder = SSEDecoder()
    decoder.feed(document)
    assert decoder.end() == last
    assert decoder.comments == comments
    assert decoder.end() is None


def test_a_cr_at_the_end_of_a_piece_dispatches_at_once():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\r") == [Event("a")]
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: b\n\n") == [Event("b")]


def test_empty_pieces_say_nothing():
    assert events(b"", b"data: a\r", b"", b"\n", b"", b"\r\n") == [Event("a")]


# -- every cut ----------------------------------------------------------------------------------------------------------

TRICKY = [
    b"\xef\xbb\xbfdata: a\r\n\r\nevent: e\rdata:b\r\r",
    b"event: e\ndata: a\n\ndata: b\n\n:c\n\ndata: c\ndata\n\n",
    b"id:1\nevent:r\n:H/2\ndata:{}\n\nid: 2\0\n\nretry: 9\n\ndata\n\n",
    "data: 中\u2028😀\n\n: é\r\n{\r\rdata: \x85é".encode(),
    b"\n\r\n\r\r\n\ndata: x\n\r\ndata: y\r\n\n",
    b"\xef\xbb\xbf\xef\xbb\xbfdata: \xff\xe4\n\ndata: \xf0\x9f\x98\n\nevent:\ndata: z",
]


@pytest.mark.parametrize("document", TRICKY)
@pytest.mark.parametrize("limit", [8388608, 15])
def test_no_cut_changes_anything(document, limit):
    whole = run([document], limit)
    assert whole == reference(document, limit)
    assert all(run(pieces, limit) == whole for pieces in cuts(document))


WORDS = "data|event|id|retry|:|: | |\n|\r|\r\n|\n\n|\0|12|{|data: x\n\n|event: e\ndata: x\n\n|event:\n|: c\n|data: |event: |中|\u2028|\ufeff"
SHARDS = [b"\xe4\xb8", b"\xff", b"\xef", b"\xbb\xbf", b"\x85"]
FRAGMENTS = st.sampled_from([*(word.encode() for word in WORDS.split("|")), *SHARDS]) | st.binary(max_size=4)
DOCUMENTS = st.lists(FRAGMENTS, max_size=40).map(b"".join)


@given(DOCUMENTS, st.lists(st.integers(0, 200), max_size=6), st.sampled_from([0, 1, 7, 20, 60, 8388608]))
def test_any_cut_says_what_the_reference_says(document, places, limit):
    bounds = [0, *sorted(min(p, len(document)) for p in places), len(document)]
    pieces = [document[a:b] for a, b in itertools.pairwise(bounds)]
    assert run(pieces, limit) == reference(document, limit)


@given(DOCUMENTS, DOCUMENTS)
def test_feeding_is_additive(a, b):
    one, two = SSEDecoder(), SSEDecoder()
    assert one.feed(a + b) == two.feed(a) + two.feed(b)
    assert (one.end(), one.comments) == (two.end(), two.comments)


# -- bounds -------------------------------------------------------------------------------------------------------------


def test_an_event_may_have_the_limit_and_no_more():
    assert run([b"data: 1234\n\n"], 10) == [Event("1234"), ("end", None), ()]
    assert run([b"data: 12345\n\n"], 10) == [TOO_LONG]
    assert run([b"data: 1\ndata: 2\n\n"], 8) == [TOO_LONG]
    assert run([b"data: 1\ndata: 2\n\n"], 9) == [Event("1\n2"), ("end", None), ()]


def test_an_event_has_eight_mebibytes_at_most_where_nothing_else_is_said():
    longest = b"data: " + b"x" * (8 * 1024 * 1024 - 6) + b"\n"
    assert len(events(longest, b"\n")[0].data) == 8 * 1024 * 1024 - 6
    with pytest.raises(InvalidResponseError, match="8388608 bytes"):
        events(b"data: x" + longest[6:])


def test_an_event_has_32768_lines_at_most():
    lines = b"data\n" * 32768
    assert events(lines, b"\n") == [Event("\n" * 32767)]
    for pieces in ([lines, b"data\n"], [lines + b"data\n\ndata: after it\n\n"]):
        with pytest.raises(InvalidResponseError, match="longer than 32768 lines"):
            events(*pieces)


@pytest.mark.parametrize("together", [True, False])
def test_many_lines_of_one_event_count_together(together):
    lines, decoder = [b"data: 12345\n"] * 9, SSEDecoder(max_event_bytes=50)
    with pytest.raises(InvalidResponseError, match="50 bytes"):
        assert all(decoder.feed(piece) == [] for piece in ([b"".join(lines)] if together else lines))


@pytest.mark.parametrize(("digits", "read"), [(1, True), (18, True), (19, False), (40, False)])
def test_a_reconnection_time_has_eighteen_digits_at_most(digits, read):
    (event,) = events(b"retry: " + b"9" * digits + b"\ndata: x\n\n")
    assert event.retry == (int("9" * digits) if read else None)


def test_after_its_end_a_stream_has_nothing_more():
    decoder = SSEDecoder()
    decoder.feed(b"data: x")
    assert decoder.end().data == "x"
    assert decoder.end() is None


def test_the_limit_is_in_bytes():
    assert run(["data: 中\n\n".encode()], 9) == [Event("中"), ("end", None), ()]
    assert run(["data: 中\n\n".encode()], 8) == [TOO_LONG]
    assert run(["data: 中\nid: 1234\n\n".encode()], 9) == [TOO_LONG]


def test_events_before_the_overflow_come_first_and_the_decoder_stays_broken():
    decoder = SSEDecoder(10)
    assert decoder.feed(b"data: a\n\ndata: 12345\n\ndata: b\n\n") == [Event("a")]
    for _ in range(2):
        with pytest.raises(InvalidResponseError, match="10 bytes"):
            decoder.feed(b"data: c\n\n")
        with pytest.raises(InvalidResponseError):
            decoder.end()


def test_many_events_are_together_longer_than_the_limit():
    assert len(events(*[b"data: 1234\n\n" * 1000])) == 1000
    assert len(run([b"data: 1234\n\n" * 1000], 10)) == 1002


def test_comments_without_end_are_no_event_and_take_no_memory():
    assert (KEPT_COMMENTS, KEPT_COMMENT_CHARS) == (16, 65536)
    decoder = SSEDecoder(max_event_bytes=KEPT_COMMENT_CHARS * 2)
    assert [decoder.feed(b":" + b"x" * (KEPT_COMMENT_CHARS + 9) + b"\n") for _ in range(100)] == [[]] * 100
    assert [len(comment) for comment in decoder.comments] == [KEPT_COMMENT_CHARS] * KEPT_COMMENTS


def test_a_line_without_end_is_an_error_within_bounded_memory():
    limit, piece = 1 << 20, b"x" * 4096
    decoder = SSEDecoder(limit)
    tracemalloc.start()
    try:
        assert [decoder.feed(piece) for _ in range(limit // 4096)] == [[]] * (limit // 4096)
        with pytest.raises(InvalidResponseError):
            decoder.feed(piece)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * limit
    assert held < limit / 2


def test_a_long_line_in_small_pieces_is_not_copied_again_and_again():
    decoder = SSEDecoder()
    decoder.feed(b"data: ")
    held = decoder._line  # private: that the buffer stays the same object is seen by nothing but time
    for _ in range(4096):
        decoder.feed(b"x" * 1024)
        assert decoder._line is held  # as above
    assert len(decoder.feed(b"\n\n")[0].data) == 4096 * 1024


def test_every_line_is_read_once(monkeypatch):
    read, field = [], SSEDecoder._field  # private: calls are counted, which is quicker and surer than time
    monkeypatch.setattr(
        SSEDecoder, "_field", lambda decoder, line: (read.append(line), field(decoder, line))
    )  # as above
    document = b"".join(b"data: %d\n" % n for n in range(5000)) + b"\n"
    found = events(*(document[i : i + 7] for i in range(0, len(document), 7)))
    assert found == [Event("\n".join(map(str, range(5000))))]
    assert len(read) in (4999, 5000)  # the last one may have gone the short way, with its blank line


def test_what_vendors_send_takes_the_short_way(monkeypatch):
    monkeypatch.setattr(SSEDecoder, "_field", None)  # private: the long way would now fail
    document = b'event: message_start\ndata: {"a": 1}\n\n' * 3 + b"data: {}\n\n" * 3 + b"data:[DONE]\r\n\r\n"
    assert len(events(document)) == 7


# -- what is a stream ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blanks", [b"", b"\n\r\n "])
@pytest.mark.parametrize(
    ("body", "begins", "asked_for"),
    [
        (b"data: x", True, True),
        (b"data:", True, True),
        (b"event: x", True, True),
        (b"id: 1", True, True),
        (b"retry: 1", True, True),
        (b": comment", True, True),
        (b"data", False, True),
        (b"Data: x", False, False),
        (b'{"data": 1}', False, False),
        (b'"data: x"', False, False),
        (b"[1]", False, False),
        (b"null", False, False),
        (b"<html>", False, False),
        (b"x data: x", False, False),
    ],
)
def test_what_has_not_the_label_of_a_stream_is_one_by_its_beginning(blanks, body, begins, asked_for):
    assert begins_stream(blanks + body) is is_stream(False, blanks + body, asked=False) is begins
    assert is_stream(False, blanks + body, asked=True) is asked_for


@pytest.mark.parametrize(
    ("body", "asked", "expected"),
    [(b"data: x", True, True), (b"x", True, True), (b" {", True, False), (b" {", False, True), (b"x", False, True)],
)
def test_what_has_the_label_of_a_stream_is_one_but_for_json_in_its_place(body, asked, expected):
    assert is_stream(True, body, asked=asked) is expected


# -- cases of other projects --------------------------------------------------------------------------------------------

# Some SDKs hand out an event without data; the specification does not, and no wire form of ours has one.
DIALECT = {"anthropic-sdk-python-003", "openai-python-003", "openai-python-004"}


def shared_cases():
    file = CASES / "sse_cases.json"
    if not file.is_file():
        return [
            pytest.param(
                None, marks=pytest.mark.skip(reason=f"no {file}; set LLMNET_CASES to the folder that holds it")
            )
        ]
    return [
        pytest.param(case, id=case["id"]) for case in json.loads(file.read_text())["cases"] if case["kind"] == "events"
    ]


@pytest.mark.parametrize("case", shared_cases())
def test_cases_of_other_projects(case):
    pieces = [bytes.fromhex(piece) for piece in case["chunks"]]
    whole = b"".join(pieces)
    expected = [(e.get("event") or "message", e["data"]) for e in case["expected"]["events"]]
    for cut in (pieces, [whole], [whole[i : i + 1] for i in range(len(whole))]):
        found = [(e.event or "message", e.data) for e in events(*cut)]
        assert found == ([] if case["id"] in DIALECT else expected)
    assert run([whole]) == reference(whole)
