"""`FakeServer`: where the server listens, in which loop it runs, and when it ends; and the one behind `fake`."""

import asyncio
import atexit
import contextlib
import os
import socket
import ssl
import threading
from typing import Self

from llmnet.core.hosts import SERVERS
from llmnet.testing.connection import Connection
from llmnet.testing.server_state import FakeServerState

_BACKLOG = 1024  # benchmarks open hundreds of connections at once
_LOOP = getattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop)  # what asyncio itself takes, on Windows or not


class FakeServer(FakeServerState):
    """An HTTP/1.1 server on loopback that speaks the vendors' wire forms, echoes, and fails as scripted.

    `with` runs it in a daemon thread with a loop of its own, `async with` in the running loop. The wire form is chosen
    by the end of the path. After a stop it can be started again, at the same address. Only one thread at a time may
    start or stop it.

    Without a script or a handler the request decides the reply. What its vendor would refuse is refused, in the
    vendor's format: an unknown path, another method, a body that is not a JSON object, a missing field, a chosen tool
    that is not listed. The model `error-429`, or with any other status, fails with it; `fault-stream-reset` has that
    fault of `FAULTS`. A tool that must be called is called with the smallest arguments that its schema accepts: strings
    are the last user text, and numbers are taken from it; the model `fake-tools` also calls the first tool where it
    may, until its result has come. A JSON schema as the format is filled in the same way, and so is one that the system
    quotes in JSON mode. Everything else is an echo of the last user text, up to a stop sequence.

    Args:
        host: the address to listen at.
        port: the port; 0 takes a free one.
        tls: serve HTTPS with this context.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.host = host
        self.port = port
        self._tls = tls
        self._members: set[Connection] = set()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address to point clients at."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    def start(self) -> Self:
        """Serve in a daemon thread; does nothing if it already serves."""
        if self._thread is None:
            listener, ready = self._listen(), threading.Event()
            self._thread = threading.Thread(
                target=self._main, args=(listener, ready), name="llmnet-fake-server", daemon=True
            )
            self._thread.start()
            ready.wait()
        return self

    def _main(self, listener: socket.socket, ready: threading.Event) -> None:
        """Serve on asyncio's loop, whatever the program's is: uvloop's waits at its end for handshakes under way."""
        with asyncio.Runner(loop_factory=_LOOP) as runner:
            runner.run(self._serve(listener, ready))

    def stop(self) -> None:
        """End the thread and all connections, whatever they wait for; does nothing if it does not run."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    def release(self) -> None:
        """Continue every held reply, also those not yet at their hold whose request has been received."""
        self._loop.call_soon_threadsafe(self.resume_held)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self._open(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def _listen(self) -> socket.socket:
        listener = socket.create_server((self.host, self.port), backlog=_BACKLOG)
        self.port = listener.getsockname()[1]
        SERVERS.add((self.host, self.port))
        return listener

    async def _open(self, listener: socket.socket) -> None:
        self._loop, self._listener = asyncio.get_running_loop(), listener
        self._server = await self._loop.create_server(
            lambda: Connection(self, self._members), sock=listener, ssl=self._tls, backlog=_BACKLOG
        )

    async def _close(self) -> None:
        # asyncio fails on a connection that is being accepted as its server is closed (python/cpython#109564): no more
        # are accepted, and those that have been are ready after three turns of the loop.
        with contextlib.suppress(NotImplementedError, RuntimeError):  # of a loop that watches no files, or not this one
            self._loop.remove_reader(self._listener)
        for _ in range(3):
            await asyncio.sleep(0)
        self._server.close()
        SERVERS.discard((self.host, self.port))
        while self._members:
            for connection in list(self._members):
                connection.abort()
            await asyncio.sleep(0)  # one turn of the loop calls `connection_lost` of each

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._stopping = asyncio.Event()
        await self._open(listener)
        ready.set()
        await self._stopping.wait()
        await self._close()


# By process id: a child has a copy of its parent's server, whose thread does not run there, and perhaps a held lock.
_servers: dict[int, FakeServer] = {}
_locks: dict[int, threading.RLock] = {}


def embedded_url() -> str:
    """The address of the server behind the provider `fake`: it echoes, for as long as the process lives."""
    with _locks.setdefault(os.getpid(), threading.RLock()):
        if os.getpid() not in _servers:
            server = FakeServer()
            server.handler = lambda _: server.requests.clear()  # they would grow for ever
            _servers[os.getpid()] = server.start()
        return _servers[os.getpid()].url


def _stop() -> None:
    if server := _servers.pop(os.getpid(), None):
        server.stop()


atexit.register(_stop)
