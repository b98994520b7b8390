"""Resolves names for both fronts, by one daemon thread for each name in flight; who waits is told, and is bounded.

The operating system offers no way to end a lookup. An executor for them starves on a few silent names, and is joined
when the interpreter exits; a daemon thread is left behind, and all who ask for the same name meanwhile share it.
"""

import contextlib
import copy
import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

# One row of `socket.getaddrinfo`; its last item is what `connect` takes.
AddrInfo: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
_Key: TypeAlias = tuple[str, int]


class Lookup:
    """The addresses of one name, now or later; all who asked for them at the same time hold the same one.

    Threads share it: `_lock` guards the callbacks and that the outcome is set but once; it is read without.
    """

    __slots__ = ("_callbacks", "_lock", "_outcome")

    def __init__(self, outcome: list[AddrInfo] | BaseException | None = None) -> None:
        self._lock = threading.RLock()
        self._callbacks: list[Callable[[], object]] = []
        self._outcome = outcome

    def done(self, callback: Callable[[], object]) -> None:
        """Have a function called when the lookup has ended: on its thread, or here and now if that is past."""
        with self._lock:
            if self._outcome is None:
                self._callbacks.append(callback)
                return
        callback()

    def forget(self, callback: Callable[[], object]) -> None:
        """Take a function back that was given to `done`; its owner waits no longer."""
        with self._lock, contextlib.suppress(ValueError):
            self._callbacks.remove(callback)

    def result(self) -> list[AddrInfo]:
        """The addresses in the order of preference, as `socket.getaddrinfo` gives them.

        Raises:
            TimeoutError: the lookup has not ended.
            OSError: it failed; a `socket.gaierror` where the name is to blame.
        """
        outcome = self._outcome
        if outcome is None:
            raise TimeoutError("timed out while resolving the name")
        if isinstance(outcome, OSError):
            # Each waiter its own: a shared exception would gather the tracebacks of all of them.
            raise copy.copy(outcome)
        if isinstance(outcome, BaseException):
            raise outcome
        return list(outcome)

    def wait(self, seconds: float) -> list[AddrInfo]:
        """Block the calling thread until the lookup has ended, at most so many seconds.

        Raises:
            TimeoutError: it has not ended by then.
            OSError: it failed; a `socket.gaierror` where the name is to blame.
        """
        ended = threading.Event()  # set by the lookup's own thread alone
        self.done(ended.set)
        try:
            ended.wait(min(max(seconds, 0.0), threading.TIMEOUT_MAX))
        finally:
            self.forget(ended.set)
        return self.result()

    async def awaited(self) -> list[AddrInfo]:
        """Await the end of the lookup; cancelled, it leaves the lookup to those who still wait.

        Raises:
            OSError: it failed; a `socket.gaierror` where the name is to blame.
        """
        if self._outcome is None:
            import asyncio  # noqa: PLC0415 - the sync front has no use for it

            loop, ended = asyncio.get_running_loop(), asyncio.Event()

            def tell() -> None:
                # A loop that has closed meanwhile refuses; nobody waits there any more.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(ended.set)

            self.done(tell)
            try:
                await ended.wait()
            finally:
                self.forget(tell)
        return self.result()

    def end(self, outcome: list[AddrInfo] | BaseException) -> None:
        """Set the outcome, and tell all who wait."""
        with self._lock:
            self._outcome, callbacks = outcome, self._callbacks
            self._callbacks = []
        for callback in callbacks:
            # One who cannot be told must not keep the others from being told.
            with contextlib.suppress(Exception):
                callback()


class _InFlight:
    """The lookups that have not ended, by name and port; one for the process, and `_lock` guards them."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Begin empty: in a forked child no thread works on the parent's lookups, and one may have held the lock."""
        self._lock = threading.RLock()
        self._lookups: dict[_Key, Lookup] = {}

    def join(self, key: _Key) -> tuple[Lookup, bool]:
        """The lookup of a name, and whether it is new and nobody works on it yet."""
        with self._lock:
            found = self._lookups.get(key)
            if found is not None:
                return found, False
            found = self._lookups[key] = Lookup()
            return found, True

    def end(self, key: _Key, outcome: list[AddrInfo] | BaseException) -> None:
        """End the lookup of a name; who asks from now on starts another."""
        with self._lock:
            found = self._lookups.pop(key)
        found.end(outcome)


_IN_FLIGHT = _InFlight()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_IN_FLIGHT.after_fork)


def lookup(host: str, port: int) -> Lookup:
    """Start to resolve a name, or join those who wait for it already; an address is its own answer, at once."""
    host = host.strip("[]")
    if (address := _literal(host, port)) is not None:
        return Lookup([address])
    key = (host, port)
    found, new = _IN_FLIGHT.join(key)
    if new:
        _start(key)
    return found


def _literal(host: str, port: int) -> AddrInfo | None:
    """The answer for an IP address; one with a scope is left to the system, which knows the interfaces' numbers."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)
    if address.scope_id is not None:
        return None
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)


def _start(key: _Key) -> None:
    """Resolve a name on a thread of its own; where none can be had, those who wait hear of it."""
    try:
        threading.Thread(target=_work, args=(key,), name="llmnet-dns", daemon=True).start()
    except RuntimeError as error:
        _IN_FLIGHT.end(key, socket.gaierror(socket.EAI_AGAIN, f"no thread to resolve the name: {error}"))


def _work(key: _Key) -> None:
    _IN_FLIGHT.end(key, _resolved(*key))


def _resolved(host: str, port: int) -> list[AddrInfo] | BaseException:
    try:
        return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except UnicodeError:
        return socket.gaierror(socket.EAI_NONAME, "this can be the name of no host")
    except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
        return error
