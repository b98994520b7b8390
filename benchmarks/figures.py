"""Arithmetic on samples: medians, quartiles, and ratios of samples of one round, whatever else the machine did."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias


class Cost(NamedTuple):
    """What was measured; `None` is what there was not.

    Attributes:
        wall: seconds.
        cpu: seconds of all threads.
        memory: the peak, in MB.
        grown: by how many KiB the memory grew for each call in flight.
        late: seconds after its sending by which 99 of 100 paced deltas had been handed out.
        size: MiB on the disk.
    """

    wall: float | None = None
    cpu: float | None = None
    memory: float | None = None
    grown: float | None = None
    late: float | None = None
    size: float | None = None

    def over(self, parts: int) -> "Cost":
        """The cost of one of *parts* equal parts: times are shared, and nothing else."""
        times = {name: value / parts for name, value in (("wall", self.wall), ("cpu", self.cpu)) if value is not None}
        return self._replace(**times)


Sample: TypeAlias = Mapping[str, Cost]  # what a library needed in one round, by step
Rounds: TypeAlias = Sequence[Sample | None]  # None where it has failed


class Spread(NamedTuple):
    """The median and the quartiles of some values."""

    q1: float
    median: float
    q3: float


def spread(values: Sequence[float]) -> Spread | None:
    """The quartiles; all three are equal for one value; `None` for none."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0]) if values else None
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def measured(rounds: Rounds, step: str, gauge: str) -> list[float | None]:
    """The values of a gauge at a step, by round."""
    return [None if sample is None else getattr(sample[step], gauge) for sample in rounds]


def known(values: Sequence[float | None]) -> list[float]:
    """The values that are not None."""
    return [value for value in values if value is not None]


def ratios(values: Sequence[float | None], base: Sequence[float | None]) -> list[float]:
    """The ratios to the base, round by round."""
    pairs = zip(values, base, strict=True)
    return [one / other for one, other in pairs if one is not None and other]
