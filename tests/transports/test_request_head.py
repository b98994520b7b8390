"""The head of a request says what it was given, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmnet.transports.http1_reader import Http1Reader
from llmnet.transports.request_head import authority, cached_lines, request_head

HOST = (b"Host", b"h")


def test_a_head_is_what_it_was_given():
    fields = [(b"Host", b"h"), (b"x-empty", b""), (b"x-tab", b"a\tb"), (b"x-latin", b"\xe9")]
    head = request_head(b"POST", b"/v1/x?a=b", fields)
    assert head.data == b"POST /v1/x?a=b HTTP/1.1\r\nHost: h\r\nx-empty: \r\nx-tab: a\tb\r\nx-latin: \xe9\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "target", "fields"),
    [
        (b"GET", b"/", [(b"x", b"a\r\nb: c")]),
        (b"GET", b"/", [(b"x", b"a\nb")]),
        (b"GET", b"/", [(b"x", b"a\0")]),
        (b"GET", b"/", [(b"x\r\ny", b"a")]),
        (b"GET", b"/", [(b"x y", b"a")]),
        (b"GET", b"/", [(b"x:", b"a")]),
        (b"GET", b"/", [(b"", b"a")]),
        (b"GET", b"/a b", []),
        (b"GET", b"/\xe9", []),
        (b"GET", b"", []),
        (b"GET", b"/ HTTP/1.1\r\nx: y", []),
        (b"GET ", b"/", []),
        (b"", b"/", []),
    ],
)
def test_what_would_change_its_meaning_is_refused(method, target, fields):
    with pytest.raises(ValueError, match="HTTP cannot carry"):
        request_head(method, target, [HOST, *fields])


CHUNKED, THREE = (b"Transfer-Encoding", b"Chunked"), (b"content-length", b"3")


@pytest.mark.parametrize(
    ("fields", "length", "data"),
    [
        ([], 0, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ([THREE], 3, b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"),
        ([CHUNKED], None, b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ([THREE, CHUNKED], None, b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
)
def test_one_thing_is_said_of_the_body(fields, length, data):
    head = request_head(b"GET", b"/", [HOST, *fields])
    assert (head.data, head.length) == (data, length)


@pytest.mark.parametrize(
    "fields",
    [
        [THREE, (b"Content-Length", b"4")],
        [(b"Content-Length", b"-3")],
        [(b"Content-Length", b"three")],
        [(b"Content-Length", b"")],
        [(b"Transfer-Encoding", b"gzip")],
        [CHUNKED, CHUNKED],
    ],
)
def test_what_says_two_things_of_the_body_is_refused(fields):
    with pytest.raises(ValueError, match="Content-Length as one number"):
        request_head(b"GET", b"/", [HOST, *fields])


def test_a_head_is_completed_by_a_length():
    bare, whole = request_head(b"POST", b"/", [HOST]), request_head(b"POST", b"/", [HOST, (b"Content-Length", b"12")])
    assert bare.with_length(12) == whole


def test_heads_that_differ_in_their_length_alone_are_written_once():
    lines, kind = cached_lines(), (b"Content-Type", b"text/plain")
    for size in (b"1", b"20"):
        for fields in ([HOST, kind, (b"content-length", size)], [HOST, (b"Content-Length", size), kind]):
            head = request_head(b"POST", b"/", fields, lines)
            assert head.data.endswith(b"Content-Type: text/plain\r\nContent-Length: %b\r\n\r\n" % size)
    assert lines.cache_info().misses == 1


@pytest.mark.parametrize("fields", [[], [HOST, HOST], [HOST, (b"host", b"other")]])
def test_the_host_is_named_once(fields):
    with pytest.raises(ValueError, match="Host once"):
        request_head(b"GET", b"/", fields)


@given(pieces=st.lists(st.binary(max_size=40)), is_chunked=st.booleans())
def test_a_body_goes_out_as_its_head_says(pieces, is_chunked):
    size = len(b"".join(pieces))
    head = request_head(b"POST", b"/", [HOST, CHUNKED] if is_chunked else [HOST, (b"Content-Length", b"%d" % size)])
    sent = b"".join([*map(head.framed, pieces), head.end])
    if not is_chunked:
        assert sent == b"".join(pieces)
        for wrong in (size + 1, size - 1):
            with pytest.raises(ValueError, match="not as long"):
                head.check(wrong, is_over=True)
    head.check(size, is_over=True)
    reader = Http1Reader("POST")
    reader.feed(b"HTTP/1.1 200 OK\r\n" + head.data.partition(b"\r\n")[2] + sent)
    assert reader.done
    assert reader.take() == b"".join(pieces)


@pytest.mark.parametrize(
    ("host", "port", "named"),
    [
        ("h", None, "h"),
        ("h", 8080, "h:8080"),
        ("::1", 443, "[::1]:443"),
        ("[::1]", None, "[::1]"),
        ("fe80::1%eth0", 80, "[fe80::1]:80"),
    ],
)
def test_a_host_is_named_with_its_port(host, port, named):
    assert authority(host, port) == named
