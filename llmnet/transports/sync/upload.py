"""How a request goes out in the sync front: in pieces, each under the nearest bound, until all is sent or answered.

A server may answer, as by 413, while it takes no more of an upload: whoever only sent would wait for the bound.
"""

import errno
import selectors
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from urllib3.util.request import body_to_chunks

from llmnet.core.exchange import Exchange
from llmnet.core.http import answers
from llmnet.net.sockets import AT_ONCE
from llmnet.transports.request_head import Fields, request_head
from llmnet.transports.sync.reader import LOOK, Selector, arm
from llmnet.transports.sync.tls import lowest

# What a TLS socket sends at once: each further record may take as long as the first.
_RECORD = 16384
_HEAD = 12  # as far as the status goes


def upload(sock: Any, data: bytes, exchange: Exchange, keep: Callable[[bytes], object]) -> None:
    """Send what a request consists of.

    Args:
        sock: the socket that is sent on.
        data: of the request, or a part of it.
        exchange: whose bounds hold.
        keep: takes what of the reply had to be read to be known, and is still to be read as such.

    Raises:
        BrokenPipeError: the reply, or the end of the connection, has come first; urllib3 goes on to read it.
        TimeoutError: the bound expired, and nothing has come.
    """
    pieces = _pieces(data)
    # Where TLS is spoken within TLS, there is no receive that does not wait.
    watched, heard = len(pieces) > 1 and isinstance(sock, socket.socket), False
    try:
        for piece in pieces:
            heard = heard or (watched and _heard(sock, exchange.remaining(), keep))
            arm(sock, exchange.remaining())
            sock.sendall(piece)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        raise BrokenPipeError(errno.EPIPE, str(error)) from error
    except TimeoutError as error:
        if error.errno is None and (heard or _ready(lowest(sock), selectors.EVENT_READ, 0)):
            raise BrokenPipeError(errno.EPIPE, "something has come before all was sent") from error
        raise


def _heard(sock: socket.socket, seconds: float, keep: Callable[[bytes], object]) -> bool:
    """Wait until there is room for the next piece; whether something has come that is no reply yet.

    Raises:
        BrokenPipeError: the reply has come, or the end of the connection.
    """
    if not _ready(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, seconds) & selectors.EVENT_READ:
        return False
    head = _begun(sock, keep) if isinstance(sock, ssl.SSLSocket) else sock.recv(_HEAD, socket.MSG_PEEK)
    if head is None:
        return False
    if not head or answers(head):
        raise BrokenPipeError(errno.EPIPE, "the reply has come before all was sent")
    return True


def _begun(sock: ssl.SSLSocket, keep: Callable[[bytes], object]) -> bytes | None:
    """What has come of the reply; `None` where it is TLS's own, as are tickets. TLS lets nobody look without taking."""
    sock.settimeout(0.0)
    try:
        head = sock.recv(_HEAD)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None
    keep(head)
    return head


def _ready(sock: socket.socket, events: int, seconds: float) -> int:
    """Which of some events there are, after so many seconds at most."""
    with Selector() as selector:
        selector.register(sock, events)
        return sum(seen for _, seen in selector.select(max(0.0, min(seconds, LOOK))))


def _pieces(data: bytes) -> list[Any]:
    """Cut bytes, so that a peer that takes them slowly meets the bound."""
    if len(data) <= _RECORD:
        return [data]
    whole = memoryview(data)
    return [whole[at : at + _RECORD] for at in range(0, len(data), _RECORD)]


def fields_of(headers: Mapping[str, str]) -> Fields:
    """Headers as they go out.

    Raises:
        ValueError: HTTP cannot carry one of them.
    """
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def written(
    method: str, target: str, host: str, headers: Mapping[str, str], body: Any, *, chunked: bool
) -> Iterator[bytes]:
    """A request in the pieces that its body comes in; the head goes with the first of them, unless that is large.

    Raises:
        ValueError: HTTP cannot carry it, or the body is not as long as its `Content-Length`.
    """
    framed = body_to_chunks(body, method, _RECORD)
    headers = _completed(headers, host, framed.content_length, chunked=chunked or framed.chunks is not None)
    head = request_head(method.encode("ascii"), target.encode("ascii"), fields_of(headers))
    size, held = 0, head.data
    for chunk in filter(None, framed.chunks or ()):
        piece = chunk.encode() if isinstance(chunk, str) else bytes(chunk)
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
