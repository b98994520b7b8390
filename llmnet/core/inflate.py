"""Decodes the content coding of a body in pieces of bounded size: a small body never becomes a large one at once.

RFC 9110, 8.4.1: gzip is any number of members (RFC 1952), deflate is zlib (RFC 1950), though some servers send it raw.
Done here once, for both fronts; the HTTP libraries leave bodies as they came.
"""

import zlib
from collections.abc import Generator, Iterator

from llmnet.core.errors import APIConnectionError, InvalidResponseError

MAX_BODY_BYTES = 64 * 1024 * 1024

# Beyond so many bytes, the output may be at most so many times the input. Replies come to some 20 times, events that
# are all alike to 100, a bomb to 1,000; the limit of Apache's mod_deflate is 200, too.
FREE_BYTES = 1024 * 1024
MAX_RATIO = 200

# Bytes of one piece of output, and of one step of input, whose rest is copied. Between pieces the reader checks its
# bounds, and one full of the shortest events is some milliseconds of work.
PIECE = 16 * 1024
WINDOW = 16 * 1024

# More than servers use: each one multiplies by a thousand what a byte that comes may cost.
MAX_CODINGS = 2

_CODINGS = ("gzip", "x-gzip", "deflate")
_GZIP = b"\x1f\x8b"
# `wbits` of zlib: a header of gzip or zlib is detected, or there is none.
_DETECT, _RAW = 47, -15


class Inflater:
    """Decodes the body of one response.

    Args:
        encoding: the `Content-Encoding` header, if there is one.
        max_bytes: how much may come out in all; `None` for a stream, whose events are bounded one by one.

    Raises:
        InvalidResponseError: the coding is unknown.
    """

    def __init__(self, encoding: str | None, max_bytes: int | None = MAX_BODY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._layers = [_Layer(name) for name in _codings(encoding)]
        self._passed = [0] * max(len(self._layers), 1)
        self._taken = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: no coded stream has begun that has not ended."""
        return not self._layers or self._layers[-1].over or all(layer.complete for layer in self._layers)

    def end(self) -> None:
        """The body has ended.

        Raises:
            APIConnectionError: something is missing.
        """
        if not self.complete:
            raise APIConnectionError(f"the body ended early, after {self._taken} bytes", phase="body")

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes of the body and decode them as the pieces are asked for, each of at most 16 KiB, some empty.

        Raises:
            InvalidResponseError: the bytes are not what the coding promised, or too much came out.
        """
        self._taken += len(data)
        pieces = _windows(data, PIECE)
        if not self._layers:
            return pieces if self._max_bytes is None else self._metered(0, pieces)
        for depth, layer in enumerate(self._layers):
            pieces = self._metered(depth, layer.decode(pieces))
        return pieces

    def _metered(self, depth: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._passed[depth] += len(piece)
            if self._max_bytes is not None and self._passed[depth] > self._max_bytes:
                raise InvalidResponseError(f"the body is longer than {self._max_bytes} bytes")
            if self._passed[depth] > FREE_BYTES and self._passed[depth] > MAX_RATIO * self._taken:
                raise InvalidResponseError(
                    f"the body is longer than {MAX_RATIO} times the {self._taken} bytes that came"
                )
            yield piece


class _Layer:
    """One coding: no or more streams, one after another."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._head = b""  # what has come of the first two bytes of a stream
        self._stream: zlib._Decompress | None = None
        self._first = True
        self.over = False

    @property
    def complete(self) -> bool:
        return self._stream is None and not (self._first and self._head)

    def decode(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        later = False
        for piece in pieces:
            for window in _windows(piece, WINDOW):
                if later:
                    yield b""  # many bytes may decode to nothing: who reads gets a turn nevertheless
                later = True
                yield from self._decode(window)
            if self.over:  # what is left need not even be decoded by the coding around this one
                return

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while data and not self.over:
            data = self._open(data) if self._stream is None else (yield from self._inflate(self._stream, data))

    def _open(self, data: bytes) -> bytes:
        """Begin a stream once its first two bytes are here; the bytes that are left to read."""
        data = self._head + (data if self._first or self._head else data.lstrip(b"\0"))
        self._head = data if len(data) < 2 else b""
        if self._head or not data:
            return b""
        # Members of gzip follow each other; anything else after the first stream ends the body, as gzip itself does.
        self.over = not self._first and not (data.startswith(_GZIP) and self._name != "deflate")
        self._first = False
        self._stream = None if self.over else zlib.decompressobj(self._wbits(data[:2]))
        return data

    def _wbits(self, head: bytes) -> int:
        """How zlib reads a stream by its first two bytes; the check bits of a zlib header tell it from a raw one."""
        has_header = head == _GZIP or (head[0] & 0x0F == 8 and int.from_bytes(head) % 31 == 0)
        return _DETECT if has_header or self._name != "deflate" else _RAW

    def _inflate(self, stream: "zlib._Decompress", data: bytes) -> Generator[bytes, None, bytes]:
        """Decode until the data or the stream ends; the bytes that are left to read."""
        while True:
            try:
                piece = stream.decompress(data, PIECE)
            except zlib.error as error:
                raise InvalidResponseError(f"the body is no valid {self._name}: {error}") from None
            if piece:
                yield piece
            data = stream.unconsumed_tail
            if stream.eof:
                self._stream = None
                return stream.unused_data
            if not data and len(piece) < PIECE:
                return b""


def _codings(encoding: str | None) -> list[str]:
    """The codings to undo, the last one applied first."""
    if not encoding:
        return []
    names = [name.strip().lower() for name in encoding.split(",")]
    names = [name for name in names if name not in ("", "identity")]
    unknown = [name for name in names if name not in _CODINGS]
    if unknown or len(names) > MAX_CODINGS:
        raise InvalidResponseError(f"the body has the content coding {encoding!r}, which was not asked for")
    return names[::-1]


def _windows(data: bytes, size: int) -> Iterator[bytes]:
    return iter((data,)) if len(data) <= size else (data[at : at + size] for at in range(0, len(data), size))
