"""HTTP/1.1 on the server's side: bytes to requests, and the head of a reply; no socket and no clock."""

from collections.abc import Generator, Iterator, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from llmnet.testing.script import Headers, Received

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

_PHRASES = {int(status): status.phrase for status in HTTPStatus}

Reading = Generator[None, None, bytes]
"""Yields None while more bytes are needed; returns the bytes found."""


def read_requests(buffer: bytearray, connection: int) -> Iterator[Received | bytes | None]:
    """Take one request after another from the front of a growing buffer.

    Yields:
        A request; or bytes to send to the client at once; or None when more bytes are needed.

    Raises:
        ValueError: the bytes are not HTTP.
    """
    while True:
        method, target, version, headers = _parse_head((yield from _until(buffer, b"\r\n\r\n")))
        chunked = "chunked" in headers.get("transfer-encoding", "")
        length = int(headers.get("content-length", 0))
        if headers.get("expect", "").lower() == "100-continue" and not buffer:
            yield CONTINUE
        body = yield from (_chunks(buffer) if chunked else _exactly(buffer, length))
        path, _, query = target.partition("?")
        parsed = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        yield Received(method, path, parsed, headers, body, connection, version)


def render_head(status: int, headers: Mapping[str, str]) -> bytes:
    """Write the status line and the header block."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\n{fields}\r\n".encode("latin-1")


def _parse_head(block: bytes) -> tuple[str, str, str, Headers]:
    first, *lines = block.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    fields = (line.partition(":") for line in lines)
    return method, target, version, Headers([(name, value.strip()) for name, _, value in fields])


def _until(buffer: bytearray, delimiter: bytes) -> Reading:
    while (end := buffer.find(delimiter)) < 0:
        yield
    found = bytes(buffer[:end])
    del buffer[: end + len(delimiter)]
    return found


def _exactly(buffer: bytearray, size: int) -> Reading:
    while len(buffer) < size:
        yield
    with memoryview(buffer) as view:  # one copy instead of two: bodies of 64 MB are expected
        found = bytes(view[:size])
    del buffer[:size]
    return found


def _chunks(buffer: bytearray) -> Reading:
    body = bytearray()
    while size := int((yield from _until(buffer, b"\r\n")).partition(b";")[0], 16):
        body += yield from _exactly(buffer, size)
        yield from _exactly(buffer, 2)
    while (yield from _until(buffer, b"\r\n")):
        pass  # trailers
    return bytes(body)
