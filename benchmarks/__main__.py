"""The cost of llmnet compared with other libraries: `python -m benchmarks`; a ratio above 1 is in favour of llmnet.

Server and clients run in processes of their own, on loopback. Each round samples every library once, in an order that
changes; ratios are taken round by round, so that a machine whose speed drifts changes them little. Of calls in flight
together, wall time is that of all over their number: the reciprocal of the throughput.
"""

import argparse
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.libraries import BY_NAME, FRONTS, PEERS, Library, chosen
from benchmarks.processes import TIMEOUT, allow_many_files, server
from benchmarks.publish import publish
from benchmarks.rounds import Bench, ColdStarts, Sizes, Workers, measure
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.show import progress

_QUICK_TIMEOUT = 8.0  # seconds for one sample
_HEAVY = ("anthropic", "litellm")  # seconds to import: a quick run includes them only on request


def taking_part(scenario: Scenario, libraries: Sequence[Library]) -> list[Library]:
    """The libraries that can do a scenario."""
    able = [library for library in libraries if not scenario.front or scenario.front in library.classes]
    able = [library for library in able if library.name not in scenario.without]
    return [library for library in able if not scenario.only or library.name in scenario.only]


def run(scenarios: Sequence[Scenario], libraries: Sequence[Library], timeout: float) -> Iterator[dict[str, Any]]:
    """All rows, scenario by scenario."""
    plan = [(scenario, taking_part(scenario, libraries)) for scenario in scenarios]
    rng = random.Random()
    total = sum(scenario.rounds * len(able) for scenario, able in plan)
    allow_many_files()
    with server() as url, contextlib.ExitStack() as stack, progress(total) as tick:
        others: dict[str, Bench] = {"": ColdStarts(url), "size": Sizes()}
        workers = {front: stack.enter_context(contextlib.closing(Workers(front, url, timeout))) for front in FRONTS}
        for scenario, able in plan:
            bench = others.get(scenario.ask) or workers[scenario.front]
            bench.at(scenario)
            yield from report.rows(scenario, able, measure(scenario.rounds, able, bench, rng, tick))


def listing() -> Iterator[str]:
    """What there is to choose from."""
    yield "scenarios:"
    yield from (f"  {scenario.name:16} {scenario.description}" for scenario in SCENARIOS)
    yield "libraries to compare with:"
    yield from (f"  {name:16} {BY_NAME[name].version if BY_NAME[name].present else 'not installed'}" for name in PEERS)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition(":")[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer and smaller rounds against fewer libraries, in less than a minute"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with all quartiles")
    parser.add_argument("--publish", action="store_true", help="write the table and the plot of README, too")
    parser.add_argument("--from", dest="file", metavar="FILE", help="show what --json has printed, and measure nothing")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help="these scenarios")
    parser.add_argument("--against", nargs="+", choices=PEERS, metavar="PEER", help="these libraries")
    parser.add_argument("--list", action="store_true", help="say what scenarios and libraries there are")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and show; 1 if llmnet itself has failed anywhere."""
    options = _parsed(arguments)
    if options.list:
        print("\n".join(listing()))
        return 0
    rows, notes = _read(options.file) if options.file else _measured(options)
    report.printed(rows, notes, as_json=options.json)
    if options.publish:
        publish(rows, notes)
    return int(any(row["failed"] and row["library"] == row["against"] for row in rows))


def _read(file: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and the notes of an earlier run."""
    notes = json.loads(Path(file).read_text())
    notes.pop("title", None)
    return notes.pop("rows"), notes


def _measured(options: argparse.Namespace) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and the notes of a run."""
    against = options.against or [name for name in PEERS if not (options.quick and name in _HEAVY)]
    absent = [name for name in against if not BY_NAME[name].present]
    libraries = chosen(name for name in against if name not in absent)
    only = options.only or [one.name for one in SCENARIOS if one.quick or not options.quick]
    scenarios = [one.sized(quick=options.quick) for one in SCENARIOS if one.name in only]
    began, load = time.monotonic(), os.getloadavg()[0]
    rows = list(run(scenarios, libraries, _QUICK_TIMEOUT if options.quick else TIMEOUT))
    notes = report.conditions(libraries)
    notes |= {"load before": round(load, 1), "seconds": round(time.monotonic() - began, 1), "quick": options.quick}
    notes["skipped"] = [f"{name} is not installed" for name in absent]
    return rows, notes


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
