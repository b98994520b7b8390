"""The cost of llmnet compared with other libraries: `python -m benchmarks`; a ratio above 1 is in favour of llmnet.

Server and clients run in processes of their own, on loopback. Each round samples every library once, in an order that
changes; ratios are taken round by round, so that a machine whose speed drifts changes them little. Of calls in flight
together, wall time is that of all over their number: the reciprocal of the throughput.
"""

import argparse
import contextlib
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks import report
from benchmarks.libraries import BY_NAME, FRONTS, PEERS, Library, chosen
from benchmarks.processes import TIMEOUT, allow_many_files, server
from benchmarks.rounds import Bench, ColdStarts, Workers, measure
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.show import progress

_QUICK_TIMEOUT = 8.0  # seconds for one sample
_HEAVY = ("anthropic", "litellm")  # seconds to import: a quick run includes them only on request


def taking_part(scenario: Scenario, libraries: Sequence[Library]) -> list[Library]:
    """The libraries that can do a scenario."""
    able = [library for library in libraries if scenario.front in library.classes]
    return [library for library in able if not scenario.only or library.name in scenario.only]


def run(scenarios: Sequence[Scenario], libraries: Sequence[Library], timeout: float) -> Iterator[dict[str, Any]]:
    """All rows, scenario by scenario."""
    plan = [(scenario, taking_part(scenario, libraries)) for scenario in scenarios]
    rng = random.Random()
    total = sum(scenario.rounds * len(able) for scenario, able in plan)
    allow_many_files()
    with server() as url, contextlib.ExitStack() as stack, progress(total) as tick:
        cold = ColdStarts(url)
        workers = {front: stack.enter_context(contextlib.closing(Workers(front, url, timeout))) for front in FRONTS}
        for scenario, able in plan:
            bench: Bench = (workers[scenario.front] if scenario.ask else cold).at(scenario)
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
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help="these scenarios")
    parser.add_argument("--against", nargs="+", choices=PEERS, metavar="PEER", help="these libraries")
    parser.add_argument("--list", action="store_true", help="say what scenarios and libraries there are")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and show; 1 if llmnet itself has failed anywhere."""
    options = _parsed(arguments)
    if options.list:
        print("\n".join(listing()))
        return 0
    against = options.against or [name for name in PEERS if not (options.quick and name in _HEAVY)]
    absent = [name for name in against if not BY_NAME[name].present]
    libraries = chosen(name for name in against if name not in absent)
    scenarios = [one.sized(quick=options.quick) for one in SCENARIOS if one.name in options.only]
    began, load = time.monotonic(), os.getloadavg()[0]
    rows = list(run(scenarios, libraries, _QUICK_TIMEOUT if options.quick else TIMEOUT))
    notes = report.conditions(libraries)
    notes |= {"load before": round(load, 1), "seconds": round(time.monotonic() - began, 1), "quick": options.quick}
    notes["skipped"] = [f"{name} is not installed" for name in absent]
    report.printed(rows, notes, as_json=options.json)
    return int(any(row["failed"] and row["library"] == row["against"] for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
