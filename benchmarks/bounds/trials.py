"""Makes calls that must end by one of their bounds, so many times and so many at once, in either front; times them."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import llmnet
from benchmarks.show import Tick

NAME = "silent.test"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One bound, and a server that makes it expire.

    Attributes:
        bound: what expires; a field of `llmnet.Timeout`, or a bound that is not the caller's to set.
        behaviour: what the other side does.
        seconds: after how long the call must have ended.
        ends: the phase of the timeout, or what else the call ends with.
        at: which port of the peer.
        model: what the fake server does there.
        stream: whether a stream is requested.
        url: how the address is written, around the port.
        proxied: whether the port is that of a proxy.
        prompt: how many bytes are sent.
        queued: whether another call has the only slot.
        at_once: how many trials run at once at most.
    """

    bound: str
    behaviour: str
    seconds: float = 0.3
    ends: str = ""
    at: str = "server"
    model: str = "echo"
    stream: bool = False
    url: str = "http://127.0.0.1:{}/v1"
    proxied: bool = False
    prompt: int = 2
    queued: bool = False
    at_once: int = 20

    @property
    def expected(self) -> str:
        """What the call must end with."""
        return self.ends or self.bound

    def fields(self, ports: Mapping[str, int]) -> dict[str, Any]:
        """The client of this case; only the bound that is measured can expire."""
        bounds = dict.fromkeys(("connect", "response", "idle", "total"), 60.0)
        if self.bound in (*bounds, "queue"):
            bounds[self.bound] = self.seconds
        port = ports[self.at]
        return {
            "provider": "fake",
            "model": self.model,
            "base_url": self.url.format(9 if self.proxied else port),
            "proxy": f"http://127.0.0.1:{port}" if self.proxied else None,
            "timeout": llmnet.Timeout(**bounds),
            "max_retries": 0,
            "max_concurrent": 1 if self.queued else 100,
            "verify": CONTEXT,
        }


@dataclass(frozen=True)
class Trial:
    """How a call ended, and how late: milliseconds after its bound."""

    ended: str
    late: float


CONTEXT = ssl.create_default_context()


def run_sync(case: Case, ports: Mapping[str, int], trials: int, at_once: int, tick: Tick) -> list[Trial]:
    """So many trials of a case on one blocking client."""

    def ask(client: llmnet.Client) -> None:
        if case.stream:
            list(client.stream_chat("x" * case.prompt))
        else:
            client.chat("x" * case.prompt)

    def trial(number: int) -> Trial:
        time.sleep(_head_start(case, number, at_once))
        started, ended = time.perf_counter(), "a whole reply"
        try:
            ask(client)
        except llmnet.LLMNetError as error:
            ended = _name(error)
        done = _trial(case, ended, started)
        tick()
        return done

    with llmnet.Client(**case.fields(ports)) as client, ThreadPoolExecutor(at_once) as pool:
        if not case.queued:
            return list(pool.map(trial, range(trials)))
        with client.stream_chat("hi", model="stalls halfway"):
            return list(pool.map(trial, range(trials)))


def run_async(case: Case, ports: Mapping[str, int], trials: int, at_once: int, tick: Tick) -> list[Trial]:
    """So many trials of a case on one async client."""

    async def ask(client: llmnet.AsyncClient) -> None:
        if case.stream:
            async for _ in client.stream_chat("x" * case.prompt):
                pass
        else:
            await client.chat("x" * case.prompt)

    async def trial(number: int, client: llmnet.AsyncClient, turn: asyncio.Semaphore) -> Trial:
        async with turn:
            await asyncio.sleep(_head_start(case, number, at_once))
            started, ended = time.perf_counter(), "a whole reply"
            try:
                await ask(client)
            except llmnet.LLMNetError as error:
                ended = _name(error)
            done = _trial(case, ended, started)
        tick()
        return done

    async def main() -> list[Trial]:
        turn = asyncio.Semaphore(at_once)
        async with llmnet.AsyncClient(**case.fields(ports)) as client, contextlib.AsyncExitStack() as stack:
            if case.queued:
                await stack.enter_async_context(client.stream_chat("hi", model="stalls halfway"))
            return await asyncio.gather(*(trial(number, client, turn) for number in range(trials)))

    return asyncio.run(main())


FRONTS = {"sync": run_sync, "async": run_async}


def _head_start(case: Case, number: int, at_once: int) -> float:
    """Seconds by which the first trials are spread, and with them all others: to begin a call is work, too."""
    return case.seconds * number / at_once if number < at_once else 0.0


def _name(error: llmnet.LLMNetError) -> str:
    return error.phase if isinstance(error, llmnet.APITimeoutError) else type(error).__name__


def _trial(case: Case, ended: str, started: float) -> Trial:
    return Trial(ended, (time.perf_counter() - started - case.seconds) * 1000)


@contextlib.contextmanager
def silent_resolver() -> Iterator[None]:
    """A system whose resolver knows all names but one, of which it says nothing."""
    real, over = socket.getaddrinfo, threading.Event()

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == NAME:
            over.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "the run is over")
        return real(host, *args, **kwargs)

    socket.getaddrinfo = resolve
    try:
        yield
    finally:
        over.set()
        socket.getaddrinfo = real
