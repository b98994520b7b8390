"""Takes the samples: in each round every library once, in another order each time, so that a drift meets all alike."""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import cpu_count
from typing import Protocol, Self

from benchmarks.figures import Sample
from benchmarks.libraries import Library
from benchmarks.processes import PATIENCE, LibraryError, Worker, cold_start
from benchmarks.scenarios import Scenario
from benchmarks.show import Tick

_WARM = 100  # calls that load, and let grow, what those that are counted find there


@dataclass
class Track:
    """What came of one library in one scenario: a sample a round, until it fails."""

    samples: list[Sample | None] = field(default_factory=list)
    failed: str = ""

    def tried(self, step: Callable[[Library], Sample | None], library: Library) -> Sample | None:
        """What a step gives, or `None` if the library has failed at it, or before."""
        try:
            return None if self.failed else step(library)
        except LibraryError as error:
            self.failed = str(error)
            return None


class Bench(Protocol):
    """How samples of one scenario are taken."""

    def ready(self, library: Library) -> None:
        """Make all ready, by work that is not counted."""

    def sample(self, library: Library) -> Sample:
        """Do the work once."""


class Crew:
    """The workers of one front, and the scenario that they are at; one that fails is replaced for the next scenario."""

    def __init__(self, front: str, url: str, patience: float) -> None:
        self._front, self._url, self._patience = front, url, patience
        self._workers: dict[str, Worker] = {}
        self._scenario: Scenario

    def at(self, scenario: Scenario) -> Self:
        """Go on with another scenario."""
        self._scenario = scenario
        return self

    def ready(self, library: Library) -> None:
        """Open the scenario, and do some of it."""
        if library.name not in self._workers:
            self._workers[library.name] = Worker(library, self._front, self._url)
        with self._kept(library) as worker:
            worker.open(self._scenario.ask, self._scenario.at_once)
            worker.run(min(self._scenario.calls, _WARM), PATIENCE)

    def sample(self, library: Library) -> Sample:
        """Do the scenario once."""
        with self._kept(library) as worker:
            cost = worker.run(self._scenario.calls, self._patience)
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
    """Each sample is a process of its own."""

    def __init__(self, url: str) -> None:
        self._url, self._front = url, ""

    def at(self, scenario: Scenario) -> Self:
        """Go on with another scenario."""
        self._front = scenario.front
        return self

    def ready(self, library: Library) -> None:
        """Have everything compiled, and read from disk."""
        self.sample(library)

    def sample(self, library: Library) -> Sample:
        """Start once."""
        return cold_start(library, self._front, self._url)


def measure(
    rounds: int, libraries: Sequence[Library], bench: Bench, rng: random.Random, tick: Tick
) -> dict[str, Track]:
    """So many rounds, by the names of the libraries."""
    tracks = {library.name: Track() for library in libraries}
    pool = ThreadPoolExecutor(cpu_count())
    try:
        list(pool.map(lambda library: tracks[library.name].tried(bench.ready, library), libraries))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # where it was interrupted, whoever closes the workers ends it
    for _ in range(rounds):
        for library in rng.sample(libraries, len(libraries)):
            track = tracks[library.name]
            track.samples.append(track.tried(bench.sample, library))
            tick()
    return tracks
