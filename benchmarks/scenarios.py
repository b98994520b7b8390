"""What is measured: a table, and how much of it a run does."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.content import COUNTS, DELTAS

_CALL = {"call": 1}
_STREAM = {"stream": 1, "delta": DELTAS}
_COUNT = {"count": COUNTS}
_START = {"import": 1, "client": 1, "reply": 1}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One kind of work.

    Attributes:
        name: its name on the command line.
        description: one line for the list.
        front: which clients run it.
        ask: a method of a peer; `""` starts a process that makes one call and ends.
        per: the steps that are shown, and how many of each a call consists of.
        calls: calls in a sample.
        rounds: samples of each library.
        at_once: calls in flight.
        only: the libraries that can run it, if not all.
    """

    name: str
    description: str
    front: str
    ask: str = "chat"
    per: Mapping[str, int]
    calls: int = 1
    rounds: int = 10
    at_once: int = 1
    only: tuple[str, ...] = ()

    def sized(self, *, quick: bool) -> "Scenario":
        """The scenario with less work for a quick run."""
        if not quick:
            return self
        fewer = {"calls": max(self.calls // 8, self.at_once), "rounds": max(self.rounds // 5, 1)}
        return Scenario(**{**vars(self), **fewer})


# The light ones of each front first, since memory that one leaves resident counts for the next.
SCENARIOS = [
    Scenario(name="start-sync", description="a fresh process asks once", front="sync", ask="", per=_START, rounds=5),
    Scenario(name="start-async", description="a fresh process asks once", front="async", ask="", per=_START, rounds=5),
    Scenario(name="chat-sync", description="calls one after another", front="sync", per=_CALL, calls=200),
    Scenario(name="stream-sync", description=f"a stream of {DELTAS} deltas", front="sync", ask="stream", per=_STREAM),
    Scenario(name="stream-async", description=f"a stream of {DELTAS} deltas", front="async", ask="stream", per=_STREAM),
    Scenario(name="chat-async-1", description="calls one after another", front="async", per=_CALL, calls=200),
    Scenario(name="chat-async-10", description="10 in flight", front="async", per=_CALL, calls=200, at_once=10),
    Scenario(name="chat-async-100", description="100 in flight", front="async", per=_CALL, calls=200, at_once=100),
    Scenario(
        name="chat-async-1000", description="1000 in flight", front="async", per=_CALL, calls=1000, at_once=1000,
        rounds=3,
    ),
    Scenario(
        name="stats", description="what `client.stats` costs a call", front="sync", ask="count", per=_COUNT, calls=100,
        only=("llmnet",),
    ),
]  # fmt: skip
