"""One library on one front, in a process of its own: it reads commands as lines of JSON and prints what each cost.

`python -m benchmarks.worker MODULE FRONT URL` takes `{"open": ask, "at_once": n}`, which makes a new client, and
`{"calls": n}`, each answered by a line. A figure is printed only if every reply was checked and is right.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from benchmarks.content import COUNTS, chat_text, prompt, stream_text
from benchmarks.gauges import forget_peak, reading, since

# What each kind of call must return, by the number of the call.
ANSWERS: dict[str, Callable[[int], str]] = {
    "chat": chat_text,
    "stream": stream_text,
    "count": lambda _: str(COUNTS),
}


class WrongReplyError(Exception):
    """A reply is not what the server sent."""


def check(ask: str, number: int, text: str) -> None:
    if text != ANSWERS[ask](number):
        raise WrongReplyError(f"{ask} {number} gave {text[:40]!r}")


class _SyncBench:
    """Calls one after another."""

    def __init__(self, module: Any, url: str) -> None:
        self._module, self._url = module, url
        self._peer: Any = None

    def open(self, ask: str, at_once: int) -> None:
        self.close()
        self._peer, self._ask = self._module.Sync(self._url, at_once), ask

    def run(self, numbers: Iterator[int]) -> None:
        ask = getattr(self._peer, self._ask)
        for number in numbers:
            check(self._ask, number, ask(prompt(number)))

    def close(self) -> None:
        if self._peer is not None:
            self._peer.close()


class _AsyncBench:
    """A fixed number of calls in flight: each task asks again after its reply."""

    def __init__(self, module: Any, url: str) -> None:
        self._module, self._url = module, url
        self._peer: Any = None
        self._runner = asyncio.Runner()

    def open(self, ask: str, at_once: int) -> None:
        self.close()
        self._ask, self._at_once = ask, at_once
        self._runner.run(self._make())

    async def _make(self) -> None:
        self._peer = self._module.Async(self._url, self._at_once)

    def run(self, numbers: Iterator[int]) -> None:
        self._runner.run(self._all(numbers))

    async def _all(self, numbers: Iterator[int]) -> None:
        ask = getattr(self._peer, self._ask)

        async def one_after_another() -> None:
            for number in numbers:
                check(self._ask, number, await ask(prompt(number)))

        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(one_after_another())

    def close(self) -> None:
        if self._peer is not None:
            self._runner.run(self._peer.close())


FRONTS: dict[str, type[_SyncBench | _AsyncBench]] = {"sync": _SyncBench, "async": _AsyncBench}


def serve(module: str, front: str, url: str) -> None:
    """Run commands until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # a library may print, too
    bench = FRONTS[front](import_module(module), url)
    numbers = itertools.count(1)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "open" in command:
                bench.open(command["open"], command["at_once"])
                forget_peak()
                done = {}
            else:
                done = measured(bench, itertools.islice(numbers, command["calls"]))
        except Exception as error:  # noqa: BLE001 - that a library fails is a result, too
            done = {"failed": described(error)}
        print(json.dumps(done), file=answers, flush=True)


def measured(bench: _SyncBench | _AsyncBench, numbers: Iterator[int]) -> dict[str, Any]:
    before = reading()
    bench.run(numbers)
    return {"cost": since(before)}


def described(error: BaseException) -> str:
    """The first of several errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".rstrip(": ")[:200]


if __name__ == "__main__":
    serve(*sys.argv[1:])
