"""Writes the head of an HTTP/1.1 request, and refuses whatever would change what it says."""

import functools
import re
from collections.abc import Callable, Sequence

import msgspec

from llmnet.transports.http1_reader import CONTROL

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields: names and values."""

Lines = Callable[[bytes, bytes, Fields], tuple[bytes, list[bytes]]]
"""From a method, a target and all fields but the length: the lines of a head without transfer codings, and these."""

# A value with a line end in it would be a header more (RFC 9110, 5.5), a target with a blank another version.
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_CODING = b"transfer-encoding"


class Head(msgspec.Struct, frozen=True):
    """The head of a request, and what it says of the body: its length, or `None` where it goes out in chunks."""

    data: bytes
    length: int | None

    def with_length(self, length: int) -> "Head":
        """That of a request with a body of so many bytes, where this is that of one without."""
        return Head(b"%bContent-Length: %d\r\n\r\n" % (self.data[:-2], length), length)

    def framed(self, piece: bytes) -> bytes:
        """A piece of the body as it goes out."""
        return piece if self.length is not None else b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""

    @property
    def end(self) -> bytes:
        """What goes out behind the body (RFC 9112, 7.1)."""
        return b"" if self.length is not None else b"0\r\n\r\n"

    def check(self, size: int, *, is_over: bool) -> None:
        """Refuse a body, of *size* so far, that is not as long as the head says: its rest would begin the next request.

        Raises:
            ValueError: it is longer, or shorter.
        """
        if self.length is not None and (size > self.length or (is_over and size != self.length)):
            raise ValueError(f"the body is not as long as its Content-Length of {self.length} says")


def _lines(method: bytes, target: bytes, fields: Fields) -> tuple[bytes, list[bytes]]:
    values = b"".join([value for _, value in fields])
    is_token = all(map(_TOKEN.fullmatch, [method, *[name for name, _ in fields]]))
    if values.translate(None, CONTROL) != values or not is_token or not _TARGET.fullmatch(target):
        raise ValueError("the request has a method, an address or a header that HTTP cannot carry")
    names = [name.lower() for name, _ in fields]
    if names.count(b"host") != 1:
        raise ValueError("give the header Host once (RFC 9112, 3.2)")
    codings = [value.lower() for name, (_, value) in zip(names, fields, strict=True) if name == _CODING]
    lines = [b"%b: %b" % field for name, field in zip(names, fields, strict=True) if name != _CODING]
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), *lines, b""]), codings


def request_head(method: bytes, target: bytes, fields: Fields, lines: Lines = _lines) -> Head:
    """The head, with the empty line that ends it; where others like it are written, *lines* are `cached_lines()`.

    Raises:
        ValueError: HTTP cannot carry a part of it, which the message does not show, or its fields contradict.
    """
    others: list[tuple[bytes, bytes]] = []
    lengths: set[bytes] = set()
    for field in fields:
        if len(field[0]) == 14 and field[0].lower() == b"content-length":
            lengths.add(field[1])
        else:  # most often the same as in the request before
            others.append(field)
    start, codings = lines(method, target, tuple(others))
    if codings == [b"chunked"]:
        return Head(start + b"Transfer-Encoding: chunked\r\n\r\n", None)
    if codings or len(lengths) > 1 or not all(map(bytes.isdigit, lengths)):
        raise ValueError("give Content-Length as one number, or Transfer-Encoding: chunked, or neither")
    if not lengths:
        return Head(start + b"\r\n", 0)
    (length,) = lengths
    return Head(b"%bContent-Length: %b\r\n\r\n" % (start, length), int(length))


def cached_lines() -> Lines:
    """Writes the lines of heads, and keeps the latest. They hold credentials: whoever sends has a cache of its own."""
    return functools.lru_cache(16)(_lines)


def authority(host: str, port: int | None = None) -> str:
    """Host and port, as CONNECT and the `Host` header name them."""
    bare = host.strip("[]").partition("%")[0]  # a scope is this machine's affair
    named = f"[{bare}]" if ":" in bare else bare
    return named if port is None else f"{named}:{port}"
