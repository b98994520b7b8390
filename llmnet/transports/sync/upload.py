"""Writes the requests of the sync front: head and body in the pieces that go out, each in one send where it can be."""

from collections.abc import Iterator, Mapping
from typing import Any

from urllib3.util.request import body_to_chunks

from llmnet.net.sockets import AT_ONCE
from llmnet.transports.request_head import Fields, Lines, request_head

_PIECE = 16384  # bytes that a file is read in


def fields_of(headers: Mapping[str, str | bytes]) -> Fields:
    """Headers as they go out.

    Raises:
        ValueError: HTTP cannot carry one of them.
    """
    return [
        (name.encode("latin-1"), value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in headers.items()
    ]


def written(
    method: str, target: str, host: str, headers: Mapping[str, str], body: Any, lines: Lines, *, chunked: bool
) -> Iterator[bytes]:
    """A request in the pieces that its body comes in; the head goes with the first of them, unless that is large.

    Raises:
        ValueError: HTTP cannot carry it, or the body is not as long as its `Content-Length`.
    """
    framed = body_to_chunks(body, method, _PIECE)
    headers = _completed(headers, host, framed.content_length, chunked=chunked or framed.chunks is not None)
    head = request_head(method.encode("ascii"), target.encode("ascii"), fields_of(headers), lines)
    size, held = 0, head.data
    for chunk in filter(None, framed.chunks or ()):
        piece = chunk.encode() if isinstance(chunk, str) else bytes(memoryview(chunk))  # no number is so many zeros
        size += len(piece)
        head.check(size, is_over=False)
        if held and len(piece) > AT_ONCE:
            yield held
            held = b""
        yield held + head.framed(piece)
        held = b""
    head.check(size, is_over=True)
    if held or head.end:
        yield held + head.end


def _completed(headers: Mapping[str, str], host: str, length: int | None, *, chunked: bool) -> Mapping[str, str]:
    """Headers that say where a request goes and how its body ends, if it has one."""
    given = {name.lower() for name in headers}
    if length is None and "content-length" in given:  # requests adds chunks to the length of pieces that a caller gave
        headers = {name: value for name, value in headers.items() if name.lower() != "transfer-encoding"}
    ours = {} if "host" in given else {"Host": host}
    if not given & {"content-length", "transfer-encoding"} and (length is not None or chunked):
        ours |= {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    return {**ours, **headers}
