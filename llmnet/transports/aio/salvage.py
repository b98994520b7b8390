"""Keeps what had come before a connection broke while a large request was being sent.

A server may answer, and hang up, before it has read the whole request. asyncio closes the socket of a failed write at
once, and the answer with it; a second handle on the socket still has it.
"""

import asyncio
import contextlib
import socket
from typing import Any, cast


class Salvage(asyncio.Protocol):
    """Stands below the protocol of a transport, be it TLS or not, for as long as a request is being sent.

    Args:
        transport: asyncio's of the TCP connection.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._inner: Any = transport.get_protocol()  # of either kind; uvloop's are of no class of asyncio's
        self._handle: socket.socket = transport.get_extra_info("socket").dup()
        self._handle.setblocking(False)
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Pass on what comes."""
        inner = self._inner
        if not hasattr(inner, "get_buffer"):
            inner.data_received(data)
            return
        while data:
            room = inner.get_buffer(len(data))
            size = min(len(room), len(data))
            room[:size] = data[:size]
            inner.buffer_updated(size)
            data = data[size:]

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return cast("bool | None", self._inner.eof_received())

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Read what had come, and only then say that the connection is gone."""
        with contextlib.suppress(OSError):
            while data := self._handle.recv(65536):
                self.data_received(data)
        self._handle.close()
        self._inner.connection_lost(exc)

    def end(self) -> None:
        """The request is answered, or its connection done with."""
        self._handle.close()
        if not self._transport.is_closing():
            self._transport.set_protocol(self._inner)
