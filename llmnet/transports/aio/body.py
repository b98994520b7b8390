"""The body of a reply of the fast transport, as it comes."""

from collections.abc import AsyncIterator, Callable

import httpx

from llmnet.transports.aio.connection import Connection
from llmnet.transports.aio.sending import broken
from llmnet.transports.aio.watch import Watch
from llmnet.transports.http1_reader import Http1Reader


class Body(httpx.AsyncByteStream):
    """A body that is read under the bounds of its attempt.

    Args:
        connection: what it comes over.
        reader: takes it apart.
        watch: the waits of its attempt.
        ended: called when it is closed.

    Attributes:
        headers: those of the reply.
    """

    def __init__(
        self,
        connection: Connection,
        reader: Http1Reader,
        watch: Watch,
        ended: Callable[[Connection, Http1Reader], None],
    ) -> None:
        self._connection, self._reader, self._watch, self._ended = connection, reader, watch, ended
        self.headers, self._closed = reader.headers, False

    @property
    def has_come(self) -> bool:
        """Whether its end has come, and nothing is to be waited for or taken."""
        return self._reader.done and not self._reader.buffered

    async def read(self) -> bytes:
        """What has come since the last time, or comes next; nothing at the end.

        Raises:
            httpx.TransportError: it breaks off.
            AttemptError: a bound has expired, or the call was stopped.
        """
        reader = self._reader
        while not reader.buffered:
            if reader.done:
                return b""
            if reader.error is not None:
                raise broken(reader.error, self._connection)
            await self._watch.wait()
            if not reader.buffered:  # what has come is nothing of the body, and ends a silence all the same
                self._watch.exchange.silence()
        data = reader.take()
        self._connection.resume()
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read():
            yield data

    async def aclose(self) -> None:
        """Give the connection back; one whose reply has not ended is closed."""
        if not self._closed:
            self._closed = True
            self._ended(self._connection, self._reader)
