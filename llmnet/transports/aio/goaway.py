"""A GOAWAY of HTTP/2 ends no request that its server still answers (RFC 9113, 6.8).

h2 and httpcore take it for the end of all streams of its connection. Here, below them, it is put into words that they
know: a stream that will not be answered is refused, and the connection tells whoever asks that it takes no new one.
"""

import itertools
from collections.abc import Iterator
from typing import Any

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD, _HEADERS, _GOAWAY = 9, 1, 7
_LONGEST = 16384  # h2 allows no more
_REFUSED = b"\x00\x00\x04\x03\x00%b\x00\x00\x00\x07"  # RST_STREAM with REFUSED_STREAM


class Frames:
    """The frames of one connection, as its client sees them.

    Attributes:
        leaving: the server has said that it takes no new stream.
    """

    def __init__(self) -> None:
        self.leaving = False
        self._held = b""
        self._newest, self._unanswered = 0, 1 << 31

    def sent(self, data: bytes) -> None:
        """Note which streams are opened; what is written are whole frames."""
        for frame in _whole(data.removeprefix(_PREFACE)):
            if frame[3] == _HEADERS:
                self._newest = _number(frame[5:9])

    def received(self, data: bytes) -> bytes:
        """The frames that are whole by now, a farewell in other words; there may be none."""
        self._held += data
        frames = list(_whole(self._held))
        self._held = self._held[sum(map(len, frames)) :]
        return b"".join([*itertools.filterfalse(self._is_farewell, frames), *self._refusals()])

    def _is_farewell(self, frame: bytes) -> bool:
        """Take note of a GOAWAY for no fault; one for a fault does end all."""
        if frame[3] != _GOAWAY or len(frame) < _HEAD + 8 or _number(frame[13:17]) != 0:
            return False
        self.leaving = True
        self._unanswered = (_number(frame[9:13]) + 1) | 1  # the streams of a client have odd numbers
        return True

    def _refusals(self) -> Iterator[bytes]:
        """A refusal for each stream that will not be answered, also of those that are opened too late."""
        for stream in range(self._unanswered, self._newest + 1, 2):
            yield _REFUSED % stream.to_bytes(4)
            self._unanswered = stream + 2


def _whole(data: bytes) -> Iterator[bytes]:
    """Cut at the ends of frames; one that is too long is given as it is, for h2 to complain of."""
    at = 0
    while len(data) >= at + _HEAD:
        size = _number(b"\x00" + data[at : at + 3])
        end = at + _HEAD + size
        if end > len(data) and size <= _LONGEST:
            return
        yield data[at:end]
        at = end


def _number(data: bytes) -> int:
    """A number of four bytes, of which the first bit is reserved."""
    return int.from_bytes(data) & 0x7FFFFFFF


def is_leaving(connection: Any) -> bool:
    """Whether the server of a connection of httpcore's has said that it takes no new stream."""
    frames: Frames | None = getattr(getattr(connection, "_network_stream", None), "frames", None)
    return frames is not None and frames.leaving
