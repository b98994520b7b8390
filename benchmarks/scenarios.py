"""What is measured: a table, and how much of it a run does."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.content import COUNTS, DELTAS, Pace
from benchmarks.worker import Job

CROWD = 1000  # in flight

_CALL = {"call": 1}
_STREAM = {"stream": 1, "delta": DELTAS}
_COUNT = {"count": COUNTS}
_START = {"import": 1, "client": 1, "reply": 1}
_AT_ONCE = Pace()
_PACED = Pace(deltas=500, every=2)
_SLOW = Pace(deltas=50, every=40)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One kind of work.

    Attributes:
        name: its name on the command line.
        description: one line for the list.
        front: which clients run it.
        ask: a method of a peer; `""` starts a process that makes one call and ends, `"size"` looks at the disk.
        pace: how the server answers.
        per: the steps that are shown, and how many of each a call consists of.
        calls: calls in a sample.
        warm: calls before them that are not measured; without any, what is measured includes opening the connections.
        rounds: samples of each library.
        at_once: calls in flight.
        fresh: whether each sample has a new process, whose memory has not grown before.
        only: the libraries that can run it, if not all.
        without: libraries that would take minutes.
    """

    name: str
    description: str
    front: str
    ask: str = "chat"
    pace: Pace = _AT_ONCE
    per: Mapping[str, int]
    calls: int = 1
    warm: int = 0
    rounds: int = 10
    at_once: int = 1
    fresh: bool = False
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def job(self) -> Job:
        """What a worker does for a sample."""
        return Job(self.ask, self.pace, self.calls, self.warm, self.at_once)

    @property
    def quick(self) -> bool:
        """Whether a quick run has it without being told."""
        return self.at_once < CROWD

    def sized(self, *, quick: bool) -> "Scenario":
        """The scenario with less work for a quick run."""
        if not quick:
            return self
        fewer = {"calls": max(self.calls // 8, self.at_once), "rounds": max(self.rounds // 5, 1)}
        return Scenario(**{**vars(self), **fewer})


def _chats(at_once: int, calls: int, *, rounds: int = 10, without: tuple[str, ...] = ()) -> Scenario:
    """So many chats in flight: replies take the longer the more there are, so that most of them are waited for."""
    opening = at_once >= CROWD
    return Scenario(
        name=f"chat-async-{at_once}", description=f"{at_once} in flight{', opening included' * opening}", front="async",
        per=_CALL, pace=Pace(wait=min(at_once // 5, 200)), calls=calls, warm=0 if opening else max(at_once, 10),
        at_once=at_once, rounds=rounds, without=without,
    )  # fmt: skip


# The light ones of each front first, since memory that one leaves resident counts for the next.
SCENARIOS = [
    Scenario(name="size", description="what is installed", front="", ask="size", per={"installed": 1}, rounds=1),
    Scenario(name="start-sync", description="a fresh process asks once", front="sync", ask="", per=_START, rounds=5),
    Scenario(name="start-async", description="a fresh process asks once", front="async", ask="", per=_START, rounds=5),
    Scenario(name="chat-sync", description="calls one after another", front="sync", per=_CALL, calls=200, warm=10),
    Scenario(
        name="stream-sync", description=f"a stream of {DELTAS} deltas", front="sync", ask="stream", per=_STREAM,
        warm=1, calls=2,
    ),
    Scenario(
        name="stream-async", description=f"a stream of {DELTAS} deltas", front="async", ask="stream", per=_STREAM,
        warm=1, calls=2,
    ),
    Scenario(
        name="stream-paced", description=f"a stream, a delta every {_PACED.every} ms", front="async", ask="stream",
        per={"delta": _PACED.deltas}, pace=_PACED, warm=1, rounds=5,
    ),
    _chats(1, 200),
    _chats(10, 200),
    _chats(100, 400),
    _chats(1000, 1000, rounds=3, without=("httpx",)),
    _chats(3000, 3000, rounds=3, without=("httpx", "httpx2")),
    Scenario(
        name="streams-slow", description=f"1000 streams at once, each with a delta every {_SLOW.every} ms",
        front="async", ask="stream", per={"delta": _SLOW.deltas, "stream": 1}, pace=_SLOW, calls=1000, at_once=1000,
        rounds=3, fresh=True, without=("httpx",),
    ),
    Scenario(
        name="stats", description="what `client.stats` costs a call", front="sync", ask="count", per=_COUNT, calls=100,
        only=("llmnet",),
    ),
]  # fmt: skip
