"""Takes the samples: each round runs every library once, in a random order, so that a drift affects all alike."""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import cpu_count
from typing import Protocol

from benchmarks.figures import Cost, Sample
from benchmarks.libraries import Library
from benchmarks.processes import TIMEOUT, LibraryError, Worker, cold_start
from benchmarks.scenarios import Scenario
from benchmarks.show import Tick

_WARMUP = 10  # calls that load all that is loaded on use


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

    def at(self, scenario: Scenario) -> None:
        """Go on with another scenario."""

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

    def at(self, scenario: Scenario) -> None:
        """Go on with another scenario."""
        self._scenario = scenario

    def ready(self, library: Library) -> None:
        """Do a part of the scenario."""
        if library.name not in self._workers:
            self._workers[library.name] = Worker(library, self._front, self._url)
        job = self._scenario.job()
        with self._kept(library) as worker:
            worker.run(job._replace(calls=min(job.calls, _WARMUP), warm=0), TIMEOUT)

    def sample(self, library: Library) -> Sample:
        """Do the scenario once, in a new process if its memory is what is measured."""
        if self._scenario.fresh:
            self._workers.pop(library.name).end()
            self.ready(library)
        with self._kept(library) as worker:
            cost = worker.run(self._scenario.job(), self._timeout)
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

    def at(self, scenario: Scenario) -> None:
        """Go on with another scenario."""
        self._front = scenario.front

    def ready(self, library: Library) -> None:
        """Start once, so that everything is compiled and read from disk."""
        self.sample(library)

    def sample(self, library: Library) -> Sample:
        """Start once."""
        return cold_start(library, self._front, self._url)


class Sizes:
    """A look at the disk."""

    def at(self, scenario: Scenario) -> None:
        """One scenario is as another."""

    def ready(self, library: Library) -> None:
        """There is nothing to prepare."""

    def sample(self, library: Library) -> Sample:
        """Look once."""
        try:
            from benchmarks.sizes import installed

            return {"installed": Cost(size=installed(library.installed))}
        except ImportError as error:
            raise LibraryError(f"{error.name} is not installed") from error


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
