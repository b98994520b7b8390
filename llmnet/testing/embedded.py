"""The one server of this process behind the provider `fake`: started by who first asks, anew in a forked child."""

import atexit
import os
import threading

from llmnet.testing.script import Received
from llmnet.testing.server import FakeServer

# By process: a child keeps its parent's, whose thread it has not, untouched. `_lock` guards it.
_servers: dict[int, FakeServer] = {}
_lock = threading.RLock()


def embedded_url() -> str:
    """Give the address of a server that echoes, for as long as the process lives."""
    with _lock:
        if os.getpid() not in _servers:
            _servers[os.getpid()] = _forgetful().start()
        return _servers[os.getpid()].url


def _forgetful() -> FakeServer:
    """Make a server that keeps no requests: nobody would ever reset it."""
    server = FakeServer()

    def forget(_: Received) -> None:
        server.requests.clear()

    server.handler = forget
    return server


def _end() -> None:
    if server := _servers.pop(os.getpid(), None):
        server.stop()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.RLock()


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
