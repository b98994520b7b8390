"""One library on one front, in a process of its own: it reads jobs as lines of JSON and prints what each has cost.

`python -m benchmarks.worker MODULE FRONT URL` makes a client for each job, and calls that are not measured before those
that are. A figure is printed only if every reply was checked and is right.
"""

import asyncio
import itertools
import json
import sys
from array import array
from collections.abc import Callable, Iterator
from importlib import import_module
from time import monotonic_ns
from typing import Any, NamedTuple

from benchmarks.content import COUNTS, Pace, chat_text, prompt, stream_text
from benchmarks.figures import Cost
from benchmarks.gauges import forget_peak, reading, resident, since


class Job(NamedTuple):
    """What is to be done; the fields of `benchmarks.scenarios.Scenario` of these names."""

    ask: str
    pace: Pace
    calls: int
    warm: int
    at_once: int


class WrongReplyError(Exception):
    """A reply is not what the server sent."""


class Replies:
    """Checks what one job gives, and notes how late each paced delta came, in nanoseconds."""

    def __init__(self, job: Job) -> None:
        self._job, self.late = job, array("q")
        self.streamed = job.ask == "stream"

    def listener(self) -> tuple[Callable[[str], object], Callable[[int], None]]:
        """What takes the deltas of one stream, and what checks them when it has ended."""
        if self._job.pace.deltas:
            note = self.late.append
            return lambda text: note(monotonic_ns() - int(text)), _unchecked
        deltas: list[str] = []
        return deltas.append, lambda number: expect("stream", number, "".join(deltas), stream_text(number))

    def plain(self, number: int, text: str) -> None:
        """Check what a call has returned."""
        expect(self._job.ask, number, text, _TEXTS[self._job.ask](number))

    def ended(self) -> None:
        """Check that every paced delta has come."""
        expect("paced stream", 1, str(len(self.late)), str(self._job.calls * self._job.pace.deltas))


def _unchecked(number: int) -> None:
    """What is right is known at the end alone."""


_TEXTS: dict[str, Callable[[int], str]] = {"chat": chat_text, "count": lambda _: str(COUNTS)}


def expect(ask: str, number: int, text: str, right: str) -> None:
    if text != right:
        raise WrongReplyError(f"{ask} {number} gave {text[:40]!r}")


class _SyncBench:
    """Calls one after another."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def open(self, url: str, at_once: int) -> None:
        self._peer = self._module.Sync(url, at_once)

    def run(self, ask: str, replies: Replies, numbers: Iterator[int]) -> None:
        call = getattr(self._peer, ask)
        for number in numbers:
            if replies.streamed:
                add, check = replies.listener()
                call(prompt(number), add)
                check(number)
            else:
                replies.plain(number, call(prompt(number)))

    def close(self) -> None:
        self._peer.close()


class _AsyncBench:
    """A fixed number of calls in flight: each task asks again after its reply."""

    def __init__(self, module: Any) -> None:
        self._module, self._at_once = module, 0
        self._runner = asyncio.Runner()

    def open(self, url: str, at_once: int) -> None:
        self._at_once = at_once
        self._runner.run(self._make(url))

    async def _make(self, url: str) -> None:
        self._peer = self._module.Async(url, self._at_once)

    def run(self, ask: str, replies: Replies, numbers: Iterator[int]) -> None:
        self._runner.run(self._all(ask, replies, numbers))

    async def _all(self, ask: str, replies: Replies, numbers: Iterator[int]) -> None:
        call = getattr(self._peer, ask)

        async def one_after_another() -> None:
            for number in numbers:
                if replies.streamed:
                    add, check = replies.listener()
                    await call(prompt(number), add)
                    check(number)
                else:
                    replies.plain(number, await call(prompt(number)))

        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(one_after_another())

    def close(self) -> None:
        self._runner.run(self._peer.close())


FRONTS: dict[str, type[_SyncBench | _AsyncBench]] = {"sync": _SyncBench, "async": _AsyncBench}


def done(bench: _SyncBench | _AsyncBench, url: str, job: Job, numbers: Iterator[int]) -> Cost:
    """Do a job with a client of its own."""
    bench.open(url + job.pace.path, job.at_once)
    try:
        bench.run(job.ask, Replies(job), itertools.islice(numbers, job.warm))
        replies = Replies(job)
        forget_peak()
        before, memory = reading(), resident()
        bench.run(job.ask, replies, itertools.islice(numbers, job.calls))
        wall, cpu, peak = since(before)
        replies.ended()
    finally:
        bench.close()
    if not replies.late:
        return Cost(wall, cpu, peak)
    late = sorted(replies.late)[len(replies.late) * 99 // 100] / 1e9
    return Cost(wall, cpu, peak, grown=1024 * max(peak - memory, 0.0) / job.at_once, late=late)


def serve(module: str, front: str, url: str) -> None:
    """Do jobs until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # a library may print, too
    bench = FRONTS[front](import_module(module))
    numbers = itertools.count(1)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = {"cost": done(bench, url, Job(**{**job, "pace": Pace(*job["pace"])}), numbers)}
        except Exception as error:  # noqa: BLE001 - that a library fails is a result, too
            answer = {"failed": described(error)}
        print(json.dumps(answer), file=answers, flush=True)


def described(error: BaseException) -> str:
    """The first of several errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".rstrip(": ")[:200]


if __name__ == "__main__":
    serve(*sys.argv[1:])
