"""How late each bound fires: `python -m benchmarks.bounds`; every trial is a call that must end by its bound.

A trial is timed from the caller's side, from the call to the error: what it takes to prepare the request, to connect
and to raise counts as lateness. Twenty trials of a row are under way at once, spread over its time, so that they get
into each other's way as calls of one program do; `--one-at-a-time` shows the bounds alone, and takes half an hour.
"""

import argparse
import math
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.bounds.peer import running
from benchmarks.bounds.trials import FRONTS, NAME, Case, Trial, silent_resolver
from benchmarks.show import progress, show

AIM = 100.0  # milliseconds: at most one trial in a hundred may be later

_SECURE = "https://127.0.0.1:{}/v1"
# More than a kernel buffers for a peer whose window is small; and few at once, for it is work to write it as JSON.
_UPLOAD = {"at": "mute", "prompt": 1_000_000, "at_once": 4}

CASES = [
    Case(bound="queue", behaviour="the only slot is taken", queued=True),
    Case(bound="connect", behaviour="the resolver is silent", url=f"http://{NAME}:{{}}/v1"),
    Case(bound="connect", behaviour="the backlog is full", at="full"),
    Case(bound="connect", behaviour="the TLS handshake stalls", at="mute", url=_SECURE),
    Case(bound="connect", behaviour="the proxy is silent", at="mute", url=_SECURE, proxied=True),
    Case(bound="response", behaviour="accepts, and reads nothing", at="mute"),
    Case(bound="response", behaviour="never takes the upload", **_UPLOAD),
    Case(bound="response", behaviour="reads, and never answers", model="silent"),
    Case(bound="response", behaviour="a byte of the head every 20 ms", model="drips its head"),
    Case(bound="response", behaviour="a comment every 100 ms", model="comments", stream=True),
    Case(bound="idle", behaviour="stalls in a plain body", model="stalls"),
    Case(bound="idle", behaviour="stalls in a stream", model="stalls halfway", stream=True),
    Case(bound="total", behaviour="the only slot is taken", queued=True),
    Case(bound="total", behaviour="the backlog is full", at="full"),
    Case(bound="total", behaviour="the TLS handshake stalls", at="mute", url=_SECURE),
    Case(bound="total", behaviour="never takes the upload", **_UPLOAD),
    Case(bound="total", behaviour="reads, and never answers", model="silent"),
    Case(bound="total", behaviour="a byte of the head every 20 ms", model="drips its head"),
    Case(bound="total", behaviour="a comment every 100 ms", model="comments", stream=True),
    Case(bound="total", behaviour="a byte of the body a second", model="drips its body", seconds=1.5),
    Case(bound="total", behaviour="a byte of a stream a second", model="drips its body", seconds=1.5, stream=True),
    Case(bound="total", behaviour="stalls in a stream", model="stalls halfway", stream=True),
    Case(bound="total", behaviour="an error body without end", model="fails for ever", ends="ServerError"),
    Case(
        bound="error body", behaviour="an error body without end", model="fails for ever", ends="ServerError", seconds=2
    ),
    Case(
        bound="drain", behaviour="stays after the terminal event", model="ends and stays", ends="a whole reply",
        seconds=0.25, stream=True,
    ),
]  # fmt: skip


def row(case: Case, front: str, trials: Sequence[Trial]) -> dict[str, Any]:
    """The figures of one case in one front; lateness in milliseconds, the first one negative if a bound fired early."""
    late = sorted(trial.late for trial in trials)
    return {
        "bound": case.bound,
        "behaviour": case.behaviour,
        "front": front,
        "seconds": float(case.seconds),
        "earliest": late[0],
        "median": statistics.median(late),
        "p99": late[math.ceil(0.99 * len(late)) - 1],
        "max": late[-1],
        "astray": sum(trial.ended != case.expected for trial in trials),
    }


def measure(trials: int, at_once: int, only: str) -> Iterator[dict[str, Any]]:
    """All rows, as they come; what a front loads when it is first used is loaded before."""
    cases = [case for case in CASES if only in f"{case.bound}: {case.behaviour}"]
    with running() as ports, silent_resolver(), progress(len(cases) * len(FRONTS) * trials) as tick:
        for run in FRONTS.values():
            run(CASES[-1], ports, 1, 1, lambda: None)
        for case in cases:
            for front, run in FRONTS.items():
                yield row(case, front, run(case, ports, trials, min(at_once, case.at_once), tick))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and show; 1 if a call ended in another way than by its bound, or too late."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bounds", description=__doc__.partition(":")[0])
    parser.add_argument("--trials", type=int, default=100, help="calls in each row")
    parser.add_argument("--quick", action="store_true", help="ten calls in each row")
    parser.add_argument("--one-at-a-time", action="store_true", help="no two calls at once")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose bound or behaviour has this in it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    at_once = 1 if options.one_at_a_time else 20
    before = os.getloadavg()[0]
    rows = list(measure(10 if options.quick else options.trials, at_once, options.only))
    if not rows:
        parser.error(f"no row has {options.only!r} in it")
    wrong = [row for row in rows if row["p99"] > AIM or row["earliest"] < -1 or row["astray"]]
    notes = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load before": round(before, 1),
        "load after": round(os.getloadavg()[0], 1),
        "at once": at_once,
        f"rows with p99 <= {AIM:.0f} ms and none early or astray": f"{len(rows) - len(wrong)} of {len(rows)}",
    }
    show("Lateness of bounds in milliseconds", rows, as_json=options.json, notes=notes)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
