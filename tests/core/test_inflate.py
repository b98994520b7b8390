"""Inflater: every coding at every cut, in bounded pieces, and whether the body came to its end."""

import gzip
import itertools
import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmnet.core.errors import InvalidResponseError
from llmnet.core.inflate import FREE_BYTES, MAX_RATIO, PIECE, Inflater

TEXT = 'data: {"text": "你好"}\n\n'.encode() * 4


def raw(data):
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(data) + squeeze.flush()


def members(data, *sizes):
    return b"".join(gzip.compress(data[a:b]) for a, b in itertools.pairwise([0, *sizes, len(data)]))


def inflate(pieces, encoding, max_bytes=1 << 20):
    """What came out, and whether the body was whole; or that it was refused."""
    inflater = Inflater(encoding, max_bytes)
    try:
        out = b"".join(out for piece in pieces for out in inflater.feed(piece))
    except InvalidResponseError:
        return "refused"
    return out, inflater.complete


WHOLE = {
    "none": (None, TEXT),
    "empty header": ("", TEXT),
    "identity": ("identity", TEXT),
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("X-GZip", gzip.compress(TEXT)),
    "gzip with a name": ("gzip", b"\x1f\x8b\x08\x08\0\0\0\0\0\xffname\0" + gzip.compress(TEXT)[10:]),
    "members": ("gzip", members(TEXT, 1, 1, 40)),
    "members, padded": ("gzip", gzip.compress(TEXT[:9]) + b"\0" * 7 + gzip.compress(TEXT[9:])),
    "zero padding": ("gzip", gzip.compress(TEXT) + b"\0" * 20),
    "rubbish": ("gzip", gzip.compress(TEXT) + b"\r\nrubbish"),
    "half a magic number": ("gzip", gzip.compress(TEXT) + b"\x1f"),
    "a broken magic number": ("gzip", gzip.compress(TEXT) + b"\0\x1f\0\x8b\x08"),
    "zlib": ("deflate", zlib.compress(TEXT)),
    "zlib, stored": ("deflate", zlib.compress(TEXT, 0)),
    "zlib, rubbish": ("deflate", zlib.compress(TEXT) + zlib.compress(TEXT)),
    "zlib called gzip": ("gzip", zlib.compress(TEXT)),
    "gzip called deflate": ("deflate", gzip.compress(TEXT)),
    "raw": ("deflate", raw(TEXT)),
    "raw, rubbish": ("deflate", raw(TEXT) + b"x\x9c"),
    "stacked": ("gzip, gzip", gzip.compress(members(TEXT, 30))),
    "stacked, mixed": ("deflate , identity,gzip", gzip.compress(zlib.compress(TEXT))),
    "stacked, rubbish inside": ("gzip,gzip", gzip.compress(gzip.compress(TEXT) + b"rubbish" * 9)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_bodies_at_every_cut(name):
    encoding, body = WHOLE[name]
    for cut in range(len(body) + 1):
        assert inflate([body[:cut], b"", body[cut:]], encoding) == (TEXT, True)
    assert inflate([body[i : i + 1] for i in range(len(body))], encoding) == (TEXT, True)


@pytest.mark.parametrize(
    "name", ["gzip", "x-gzip", "gzip with a name", "zlib", "zlib, stored", "raw", "stacked", "stacked, mixed"]
)
def test_a_body_cut_anywhere_is_not_complete(name):
    encoding, body = WHOLE[name]
    for cut in range(1, len(body)):
        out, complete = inflate([body[:cut]], encoding)
        assert not complete
        assert TEXT.startswith(out)


def test_a_second_member_cut_is_not_complete():
    first, second = gzip.compress(TEXT[:9]), gzip.compress(TEXT[9:])
    assert [inflate([first + second[:n]], "gzip")[1] for n in (0, 1, 2, 9, len(second) - 1)] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_no_body_is_complete():
    assert all(
        inflate([], name) == (b"", True) == inflate([b""], name) for name in (None, "gzip", "deflate", "gzip,gzip")
    )


@pytest.mark.parametrize("body", [b"<html>", b"\x1f\x8b\xff" + bytes(9), gzip.compress(TEXT, mtime=0)[:10] + b"\x07\0"])
def test_what_is_no_gzip_is_refused(body):
    assert inflate([body], "gzip") == "refused"
    with pytest.raises(InvalidResponseError, match="gzip"):
        list(Inflater("gzip").feed(body))


def test_a_wrong_checksum_is_refused():
    body = bytearray(gzip.compress(TEXT))
    body[-8] ^= 1
    assert inflate([bytes(body)], "gzip") == "refused"
    assert inflate([b"\xff\xff\xff"], "deflate") == "refused"


@pytest.mark.parametrize(
    "encoding", ["br", "zstd", "gzip, br", "compress", "gzip;q=1", "gzip,gzip,gzip", "\0", "gzip," * 999]
)
def test_other_codings_are_refused_by_name(encoding):
    with pytest.raises(InvalidResponseError, match="content coding") as caught:
        Inflater(encoding)
    assert repr(encoding) in str(caught.value)


@pytest.mark.parametrize("name", ["none", "gzip", "zlib", "raw", "stacked", "members"])
def test_the_limit_is_what_comes_out(name):
    encoding, body = WHOLE[name]
    assert inflate([body], encoding, len(TEXT)) == (TEXT, True)
    assert inflate([body], encoding, len(TEXT) - 1) == "refused"
    assert inflate([body[i : i + 1] for i in range(len(body))], encoding, len(TEXT) - 1) == "refused"


def bomb(size):
    squeeze = zlib.compressobj(9, wbits=31)
    return b"".join([*(squeeze.compress(bytes(1 << 20)) for _ in range(size >> 20)), squeeze.flush()])


def peak_of(work):
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("stack", ["gzip", "gzip, gzip"])
def test_a_bomb_is_refused_within_bounded_memory(stack):
    body = bomb(32 << 20)
    body = gzip.compress(body) if "," in stack else body

    def work():
        seen = 0
        with pytest.raises(InvalidResponseError, match="longer than 1048576 bytes"):
            seen += sum(map(len, Inflater(stack, 1 << 20).feed(body)))
        return seen

    assert peak_of(work)[1] < len(body) + (2 << 20)


@pytest.mark.parametrize("stack", ["gzip", "gzip, gzip"])
def test_a_body_expands_no_more_than_text_ever_does(stack):
    """A mebibyte is free; beyond it, two hundred times what came, of all codings together."""
    body = bomb(32 << 20)
    body = gzip.compress(body) if "," in stack else body
    sizes = []
    with pytest.raises(InvalidResponseError, match="longer than 200 times"):
        sizes.extend(map(len, Inflater(stack, None).feed(body)))
    assert max(FREE_BYTES, MAX_RATIO * len(body)) - PIECE < sum(sizes) <= max(FREE_BYTES, MAX_RATIO * len(body))


def test_text_that_repeats_itself_is_no_bomb():
    text = b"".join(b'data: {"id": "%d", "choices": [{"delta": {"content": "a"}}]}\n\n' % n for n in range(50_000))
    assert len(text) > 3 << 20
    assert inflate([gzip.compress(text)], "gzip", None) == (text, True)


def test_a_stream_without_limit_comes_in_pieces_as_they_are_asked_for():
    body = bomb(64 << 20)

    def work():
        pieces = Inflater("gzip", None).feed(body)
        return [len(piece) for piece in itertools.islice(pieces, 100)]

    sizes, peak = peak_of(work)
    assert sizes == [PIECE] * 100
    assert peak < 1 << 20


def test_what_was_flushed_comes_out_at_once():
    squeeze = zlib.compressobj(wbits=31)
    inflater = Inflater("gzip", None)
    for n in range(50):
        event = b"data: %d\n\n" % n
        assert b"".join(inflater.feed(squeeze.compress(event) + squeeze.flush(zlib.Z_SYNC_FLUSH))) == event
    assert not inflater.complete
    assert list(inflater.feed(squeeze.flush())) == []
    assert inflater.complete


def test_large_bodies_come_in_bounded_pieces_and_whole():
    data = random.Random(1).randbytes(300_000) + bytes(2_000_000) + random.Random(2).randbytes(300_000)
    for encoding, body in (
        (None, data),
        ("gzip", gzip.compress(data)),
        ("deflate", raw(data)),
        ("gzip", members(data, 5, 9**6)),
    ):
        inflater = Inflater(encoding)
        pieces = list(inflater.feed(body))
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) <= PIECE
        assert inflater.complete


CODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}


@given(
    st.lists(st.binary(max_size=300), max_size=4), st.lists(st.sampled_from(sorted(CODERS)), max_size=2), st.randoms()
)
def test_what_was_coded_comes_back(parts, codings, rng):
    body = data = b"".join(parts)
    for name in codings:
        body = CODERS[name](body)
    places = sorted(rng.randrange(len(body) + 1) for _ in range(5))
    pieces = [body[a:b] for a, b in itertools.pairwise([0, *places, len(body)])]
    assert inflate(pieces, ", ".join(codings)) == (data, True)


@given(
    st.binary(max_size=200),
    st.sampled_from(["gzip", "deflate", "gzip,deflate"]),
    st.sampled_from([b"", b"\x1f\x8b\x08\0", b"x\x9c"]),
)
def test_any_bytes_give_bytes_or_a_refusal(body, encoding, start):
    inflate([start + body], encoding)
