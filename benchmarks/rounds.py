"""Takes the samples: each round runs every library once, in a random order, so that a drift affects all alike."""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import cpu_count
from typing import Protocol, Self

from benchmarks.figures import Sample
from benchmarks.libraries import Library
from benchmarks.processes import TIMEOUT, LibraryError, Worker, cold_start
from benchmarks.scenarios import Scenario
from benchmarks.show import Tick

_WARMUP = 100  # calls before those that are measured


@dataclass
class Track:
    """The results of one library in one scenario: a sample a round, until it fails."""

    samples: list[Sample | None] = field(default_factory=list)
    failed: str = ""

    def tried(self, step: Callable[[Library], Sample | None], library: Library) -> Sample | None:
        """The result of a step, or `None` if the library has failed at it, or before."""
        try:
            return None if self.failed else step(library)
        except LibraryError as error:
            self.failed = str(error)
            return None


class Bench(Protocol):
    """How samples of one scenario are taken."""

    def ready(self, library: Library) -> None:
        """Prepare, by work that is not measured."""

    def sample(self, library: Library) -> Sample:
        """Do the work once."""


class Workers:
    """The workers of one front, and their present scenario; one that fails is replaced for the next scenario."""

    def __init__(self, front: str, url: str, timeout: float) -> None:
        self._front, self._url, self._timeout = front, url, timeout
        self._workers: dict[str, Worker] = {}
        self._scenario: Scenario

    def at(self, scenario: Scenario) -> Self:
        """Go on with another scenario."""
        self._scenario = scenario
        return self

    def ready(self, library: Library) -> None:
        """Open the scenario, and do a part of it."""
        if library.name not in self._workers:
            self._workers[library.name] = Worker(library, self._front, self._url)
        with self._kept(library) as worker:
            worker.open(self._scenario.ask, self._scenario.at_once)
            worker.run(min(self._scenario.calls, _WARMUP), TIMEOUT)

    def sample(self, library: Library) -> Sample:
        """Do the scenario once."""
        with self._kept(library) as worker:
            cost = worker.run(self._scenario.calls, self._timeout)
        return {step: cost.over(self._scenario.calls * parts) for step, parts in self._scenario.per.items()}

    @contextmanager
    def _kept(self, library: Library) -> Iterator[Worker]:
        try:
            yield self._workers[library.name]
        except LibraryError:
            self._workers.pop(library.name).end()
            raise

    def close(self) -> None:
        """End all workers."""
        for worker in list(self._workers.values()):
            worker.end()


class ColdStarts:
    """A new process for each sample."""

    def __init__(self, url: str) -> None:
        self._url, self._front = url, ""

    def at(self, scenario: Scenario) -> Self:
        """Go on with another scenario."""
        self._front = scenario.front
        return self

    def ready(self, library: Library) -> None:
        """Start once, so that everything is compiled and read from disk."""
        self.sample(library)

    def sample(self, library: Library) -> Sample:
        """Start once."""
        return cold_start(library, self._front, self._url)


def measure(
    rounds: int, libraries: Sequence[Library], bench: Bench, rng: random.Random, tick: Tick
) -> dict[str, Track]:
    """Run the rounds, and give the tracks by library name."""
    tracks = {library.name: Track() for library in libraries}
    pool = ThreadPoolExecutor(cpu_count())
    try:
        list(pool.map(lambda library: tracks[library.name].tried(bench.ready, library), libraries))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after an interrupt the workers are closed by the caller
    for _ in range(rounds):
        for library in rng.sample(libraries, len(libraries)):
            track = tracks[library.name]
            track.samples.append(track.tried(bench.sample, library))
            tick()
    return tracks
