"""Resolves names for both fronts, on one daemon thread for each name in flight; every wait for an answer is bounded.

The operating system offers no way to end a lookup. An executor for them starves on a few silent names, and is joined
when the interpreter exits; a daemon thread is left behind, and all who ask for the same name meanwhile share it.
"""

import contextlib
import copy
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeAlias

from llmnet.core.forks import register_after_fork

# One row of `socket.getaddrinfo`; its last item is what `connect` takes.
AddrInfo: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
_Key: TypeAlias = tuple[str, int]


class Lookup(Future[list[AddrInfo]]):
    """The addresses of one name, now or later; all who ask for them at the same time hold the same one."""

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()  # one who stops waiting must not cancel it for the others
        # A future's own callbacks cannot be taken back: those of a name that stays silent would add up.
        self._wakes = wakes = set[Callable[[], object]]()
        self.add_done_callback(lambda _: [wake() for wake in wakes.copy()])  # without `self`: no cycle is left behind

    @contextlib.contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Have a function called once the lookup has ended, or now if it has; afterwards it is forgotten."""
        self._wakes.add(wake)
        try:
            if self.done():
                wake()
            yield
        finally:
            self._wakes.discard(wake)

    def wait(self, seconds: float) -> list[AddrInfo]:
        """The addresses in the order of preference, as `socket.getaddrinfo` gives them, each once.

        Args:
            seconds: how long the calling thread waits at most; 0 or less: not at all.

        Raises:
            TimeoutError: the lookup has not ended by then.
            OSError: it failed; a `socket.gaierror` where the name is to blame.
        """
        try:
            error = self.exception(min(max(seconds, 0.0), threading.TIMEOUT_MAX))
        except TimeoutError:
            raise TimeoutError("timed out while resolving the name") from None
        if isinstance(error, OSError):
            # Each waiter gets a copy: a shared exception would gather the tracebacks of all of them.
            raise copy.copy(error)
        return [*self.result()]

    async def awaited(self) -> list[AddrInfo]:
        """The addresses, as of `wait`, once they are there; a cancellation leaves the lookup to those who still wait.

        Raises:
            OSError: it failed; a `socket.gaierror` where the name is to blame.
        """
        if not self.done():
            import asyncio  # noqa: PLC0415 - the sync front has no use for it

            loop, ended = asyncio.get_running_loop(), asyncio.Event()

            def wake() -> None:
                # Not `asyncio.wrap_future`, which logs an error where the loop has been closed meanwhile.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(ended.set)

            with self.waking(wake):
                await ended.wait()
        return self.wait(0)


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
            new = key not in self._lookups
            return self._lookups.setdefault(key, Lookup()), new

    def remove(self, key: _Key) -> Lookup:
        """Take out a lookup that ends; whoever asks for the name from now on starts another."""
        with self._lock:
            return self._lookups.pop(key)


_IN_FLIGHT = register_after_fork(_InFlight())


def lookup(host: str, port: int) -> Lookup:
    """Start to resolve a name, or join those who wait for it already; an address is its own answer, at once."""
    host = host.strip("[]")
    if (address := _literal(host, port)) is not None:
        known = Lookup()
        known.set_result([address])
        return known
    key = (host, port)
    found, new = _IN_FLIGHT.join(key)
    if new:
        try:
            threading.Thread(target=_resolve, args=(key,), name="llmnet-dns", daemon=True).start()
        except RuntimeError as error:
            no_thread = socket.gaierror(socket.EAI_AGAIN, f"no thread to resolve the name: {error}")
            _IN_FLIGHT.remove(key).set_exception(no_thread)
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


def _resolve(key: _Key) -> None:
    """Resolve a name and end its lookup; whatever is raised belongs to those who wait."""
    try:
        found = socket.getaddrinfo(*key, type=socket.SOCK_STREAM)
    except UnicodeError:
        _IN_FLIGHT.remove(key).set_exception(socket.gaierror(socket.EAI_NONAME, "this can be the name of no host"))
    except BaseException as error:  # noqa: BLE001 - it is raised by `wait`
        _IN_FLIGHT.remove(key).set_exception(error)
    else:
        each = dict[tuple[Any, ...], AddrInfo]()
        for row in found:
            each.setdefault(row[-1], row)
        _IN_FLIGHT.remove(key).set_result([*each.values()])
