"""The one server of this process behind the provider `fake`: started on first use, and anew in a forked child."""

import atexit
import os
import threading

from llmnet.testing.server import FakeServer

# By process id: a child has a copy of its parent's server, whose thread does not run there, and perhaps a held lock.
_servers: dict[int, FakeServer] = {}
_locks: dict[int, threading.RLock] = {}


def embedded_url() -> str:
    """Give the address of a server that echoes, for as long as the process lives."""
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
