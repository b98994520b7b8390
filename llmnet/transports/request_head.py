"""Writes the head of an HTTP/1.1 request for both fronts, and refuses whatever would change what the head says."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from llmnet.transports.wire import CONTROL

Fields = list[tuple[bytes, bytes]]
"""Header fields: names and values."""

# A value with a line end in it would be a header more (RFC 9110, 5.5), a target with a blank another version.
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")


class Head(NamedTuple):
    """The head of a request, and what it says of the body: its length, or `None` where it goes out in chunks."""

    data: bytes
    length: int | None

    def framed(self, piece: bytes) -> bytes:
        """A piece of the body as it goes out."""
        return piece if self.length is not None else b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""

    @property
    def end(self) -> bytes:
        """What goes out behind the body (RFC 9112, 7.1)."""
        return b"" if self.length is not None else b"0\r\n\r\n"

    def check(self, size: int, *, is_over: bool) -> None:
        """Refuse a body that is not as long as the head says: its rest would be taken for the next request.

        Args:
            size: how many bytes of it there are so far.
            is_over: whether that is all.

        Raises:
            ValueError: it is longer, or shorter.
        """
        if self.length is not None and (size > self.length or (is_over and size != self.length)):
            raise ValueError(f"the body is not as long as its Content-Length of {self.length} says")


def request_head(method: bytes, target: bytes, fields: Iterable[tuple[bytes, bytes]]) -> Head:
    """The head, with the empty line that ends it.

    Raises:
        ValueError: HTTP cannot carry a part of it, which the message does not show, or its fields contradict.
    """
    length, kept = _one_framing(list(fields))
    has_control = CONTROL.search(b"".join([value for _, value in kept])) is not None
    is_token = all(map(_TOKEN.fullmatch, [method, *[name for name, _ in kept]]))
    if has_control or not is_token or not _TARGET.fullmatch(target):
        raise ValueError("the request has a method, an address or a header that HTTP cannot carry")
    lines = [b"%b %b HTTP/1.1" % (method, target), *[b"%b: %b" % field for field in kept], b"", b""]
    return Head(b"\r\n".join(lines), length)


def _one_framing(fields: Fields) -> tuple[int | None, Fields]:
    """How long the body is, `None` if it goes out in chunks, and fields of which no two say so (RFC 9112, 6.2).

    Raises:
        ValueError: they say several things, or what cannot be done.
    """
    lengths, codings = set[bytes](), list[bytes]()
    for name, value in fields:
        if len(name) == 14 and name.lower() == b"content-length":
            lengths.add(value)
        elif len(name) == 17 and name.lower() == b"transfer-encoding":
            codings.append(value.lower())
    if codings == [b"chunked"]:
        return None, [(name, value) for name, value in fields if name.lower() != b"content-length"]
    if codings or len(lengths) > 1 or not all(value.isdigit() for value in lengths):
        raise ValueError("give Content-Length as one number, or Transfer-Encoding: chunked, or neither")
    return (int(lengths.pop()) if lengths else 0), fields


def authority(host: str, port: int | None = None) -> str:
    """Host and port, as the target of CONNECT and the `Host` header name them."""
    bare = host.strip("[]").partition("%")[0]  # a scope is this machine's affair
    named = f"[{bare}]" if ":" in bare else bare
    return named if port is None else f"{named}:{port}"
