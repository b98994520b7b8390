"""The reader of HTTP/1.1 replies: one verdict on each, whatever the pieces that it comes in."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmnet.transports.http1_reader import (
    LONGEST_HEAD,
    CutShortError,
    DisconnectedError,
    GarbledBodyError,
    Http1Reader,
    RefusedHeadError,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(data, *cuts, method="POST", ends=False):
    """A reader that was given some bytes, cut at some places."""
    reader, edges = Http1Reader(method), [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        if end > start:
            reader.feed(data[start:end])
    if ends:
        reader.eof()
    return reader


def verdict(reader):
    """All that a reader says."""
    said = (type(reader.error), str(reader.error).partition(";")[0])
    return reader.status, reader.headers.pairs, reader.take(), reader.done, reader.done and reader.reusable, said


TAKEN = {
    "a length": (OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
    "chunks": (CHUNKED + b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", b"hi", True),
    "an extension of a chunk, and trailers": (CHUNKED + b"2;a=b\r\nhi\r\n0\r\nx: y\r\n\r\n", b"hi", True),
    "blanks after the size of a chunk": (CHUNKED + b"2 \r\nhi\r\n0\r\n\r\n", b"hi", True),
    "a blank after `chunked`": (CHUNKED.replace(b"ked", b"ked ") + b"2\r\nhi\r\n0\r\n\r\n", b"hi", True),
    "a coding below chunked": (CHUNKED.replace(b" chu", b" gzip, chu") + b"2\r\nhi\r\n0\r\n\r\n", b"hi", True),
    "lines that end with LF alone": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", b"hi", True),
    "a folded line": (OK + b"x: a\r\n b\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    "informational heads before it": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
    "an informational head that ends the connection": (
        b"HTTP/1.1 103 X\r\nConnection: close\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True,
    ),
    "an informational head of HTTP/1.0": (b"HTTP/1.0 100 X\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
    "an offer to upgrade": (OK + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "many empty lines before it": (b"\r\n" * 400 + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", True),
    "the end of the connection after it": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    "bytes that follow": (OK + b"Content-Length: 2\r\n\r\nhiHTTP", b"hi", False),
    "another reply that follows": ((OK + b"Content-Length: 2\r\n\r\nhi") * 2, b"hi", False),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken(name):
    data, body, reusable = TAKEN[name]
    reader = read(data)
    assert (reader.error, reader.done, reader.take(), reader.reusable) == (None, True, body, reusable)


def test_the_head_is_the_final_one_alone():
    """Neither what came before it, nor the trailers."""
    reader = read(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + CHUNKED + b"0\r\nx: y\r\n\r\n")
    assert (reader.status, reader.reason, reader.headers.pairs) == (200, b"OK", [("Transfer-Encoding", "chunked")])


REFUSED = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.7\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "another protocol": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status below all": b"HTTP/1.1 099 X\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "an upgrade that nobody asked for": b"HTTP/1.1 101 Switching\r\n\r\n",
    "the same, with a name": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a blank before the colon": OK + b"x : y\r\n\r\n",
    "a blank behind a name that is known": OK + b"Content-Length : 2\r\n\r\nhi",
    "a blank inside a name": OK + b"x y: z\r\n\r\n",
    "no colon": OK + b"xyz\r\n\r\n",
    "a length beside chunked": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked beside a length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "a length that is none": OK + b"Content-Length: +2\r\n\r\nhi",
    "an empty length": OK + b"Content-Length:\r\n\r\n",
    "a length beyond all numbers": OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "NUL": OK + b"x: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a control character": OK + b"x: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "CR alone": OK + b"x: a\rb\r\nContent-Length: 0\r\n\r\n",
    "a control character in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
    "too long": OK + b"x: %b\r\nContent-Length: 0\r\n\r\n" % (b"y" * LONGEST_HEAD),
    "too many lines": OK + b"x: y\r\n" * (LONGEST_HEAD // 6 + 1) + b"\r\n",
    "no end": OK + b"x: y\r\n" * (LONGEST_HEAD // 4),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("size", [1, 1000, 10**9])
def test_what_is_refused(name, size):
    data = REFUSED[name]
    reader = read(data, *range(size, len(data), size) if size > 1 or len(data) < 1000 else ())
    assert isinstance(reader.error, RefusedHeadError)
    assert (reader.status, reader.done, reader.take()) == (None, False, b"")
    assert len(str(reader.error)) < 2500


@pytest.mark.parametrize(
    "garbage", [b"X\r\n", b"-1\r\nhi", b"0x2\r\nhi", b"2\r\nhiX", b"2\nhi\n", b"2;" + b"a" * 2 * LONGEST_HEAD]
)
def test_what_comes_before_garbage_is_kept(garbage):
    data = CHUNKED + b"5\r\nfirst\r\n" + garbage
    reader = read(data, *range(1000, len(data), 1000))
    assert isinstance(reader.error, GarbledBodyError)
    assert reader.take().startswith(b"first")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", DisconnectedError),
        (OK, CutShortError),
        (OK + b"Content-Length: 9\r\n\r\nhi", CutShortError),
        (OK + b"Connection: close\r\nContent-Length: 9\r\n\r\nhi", CutShortError),
        (CHUNKED + b"2\r\nhi\r\n", CutShortError),
        (CHUNKED.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n") + b"2\r\nhi\r\n", CutShortError),
        (b"HTTP/1.1 100 Continue\r\n\r\n", CutShortError),
    ],
    ids=[
        "nothing",
        "half a head",
        "half a body",
        "half a body, to be closed",
        "no last chunk",
        "no last chunk, to be closed",
        "an informational head",
    ],
)
def test_an_end_that_comes_too_early(data, error):
    assert type(read(data, ends=True).error) is error


@pytest.mark.parametrize("extra", [b"", b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: chunked, gzip\r\n"])
def test_a_body_that_ends_with_its_connection(extra):
    reader = read(OK + extra + b"\r\nhi")
    assert not reader.done
    reader.eof()
    assert (reader.done, reader.reusable, reader.take(), reader.error) == (True, False, b"hi", None)


def test_a_body_that_ends_with_its_connection_is_not_whole_where_that_fails():
    reader = read(OK + b"\r\nhi")
    reader.eof(failed=True)
    assert (reader.done, reader.reusable, reader.take(), type(reader.error)) == (False, False, b"hi", CutShortError)


@pytest.mark.parametrize("cuts", [(), (39,)], ids=["at once", "later"])
def test_a_body_where_there_is_none_leaves_its_connection_to_nobody(cuts):
    reader = read(OK + b"Content-Length: 9\r\n\r\nhal", *cuts, method="HEAD")
    assert (reader.done, reader.reusable, reader.take(), reader.error) == (True, False, b"", None)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, TimeoutError])
def test_what_a_signal_handler_raises_within_the_parser_is_no_broken_reply(raised):
    """The parser calls back: a Ctrl-C that comes there ends the call; it is not sent again."""

    class Interrupted(Http1Reader):
        def on_body(self, piece):
            raise raised

    with pytest.raises(raised):
        Interrupted().feed(OK + b"Content-Length: 2\r\n\r\nhi")
    try:
        raise ValueError("something else, which the caller handles just now")
    except ValueError:
        with pytest.raises(KeyboardInterrupt):  # what was raised is not known then
            Interrupted().feed(OK + b"Content-Length: 2\r\n\r\nhi")


@pytest.mark.parametrize("method", ["HEAD", "CONNECT"])
def test_the_replies_that_have_no_body(method):
    reader = read(OK + b"Content-Length: 9\r\n\r\n", method=method)
    assert (reader.done, reader.take(), reader.error) == (True, b"", None)


SAMPLES = [data for data, *_ in TAKEN.values()] + [data for data in REFUSED.values() if len(data) < 1000]


@given(st.sampled_from(SAMPLES), st.data())
def test_the_pieces_do_not_matter(data, draw):
    cuts = draw.draw(st.lists(st.integers(1, len(data) - 1), max_size=6))
    assert verdict(read(data, *cuts)) == verdict(read(data))


@given(st.binary(max_size=60), st.sampled_from([b"", OK, CHUNKED, OK + b"Content-Length: 20\r\n\r\n"]), st.booleans())
@example(b"\r\n", OK, True)
def test_no_bytes_raise(data, before, ends):
    reader = read(before + data, len(before), ends=ends)
    assert reader.done or reader.error is not None or not ends
    assert not (reader.done and reader.error)
    assert reader.status is not None or not reader.take()
