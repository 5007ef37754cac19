"""`python -m bench`: measure all rows, or those named, and print the table; exit code 1 when a target was missed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import uvloop
from rich.console import Console
from rich.table import Table

from bench.benchmarks import benchmarks
from bench.calls import calls
from bench.claims import claims
from bench.context import service
from bench.idle import latency, memory
from bench.insights import insights, large
from bench.machine import describe
from bench.measure import Row, Skipped
from bench.nightly import nightly
from bench.stack import databases
from bench.throughput import throughput
from bench.training import training
from bench.watchers import watchers
from server.embedded import EmbeddedError
from server.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bench.context import Service
    from bench.stack import Databases

    Measure = Callable[[Service], Awaitable[Sequence[Row | Skipped]]]

# Memory first, while both processes are idle since their start.
MEASURES: Mapping[str, Measure] = {
    "memory": memory,
    "latency": latency,
    "calls": calls,
    "throughput": throughput,
    "watchers": watchers,
    "claims": claims,
    "insights": insights,
    "insights-large": large,
    "benchmarks": benchmarks,
    "training": training,
    "nightly": nightly,
}
BY_NAME_ONLY = frozenset({"insights-large"})
"""What takes too long or too much room to be among all."""
QUICK = 0.1


async def measure(made: Databases, wanted: Sequence[str], scale: float) -> list[Row | Skipped]:
    """Run the wanted measures, one after the other."""
    rows: list[Row | Skipped] = []
    async with service(made, scale) as running:
        for name in wanted:
            began = time.monotonic()
            rows += await MEASURES[name](running)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return rows


def show(rows: Sequence[Row | Skipped], machine: Mapping[str, str]) -> None:
    """Print the table, the notes and the machine."""
    table = Table("what", "ours", "beside it", "ratio", "rounds", "target", "", box=None, pad_edge=False)
    for row in rows:
        if isinstance(row, Skipped):
            table.add_row(row.name, "skipped", row.reason)
            continue
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        spread = "" if row.spread is None else f"{row.spread[0]:.2f}..{row.spread[1]:.2f}"
        table.add_row(row.name, row.ours, row.bare, ratio, spread, row.target, {None: "", True: "met", False: "MISSED"}[row.met])
    Console(width=200, highlight=False).print(table)
    for row in rows:
        if isinstance(row, Row) and row.note:
            print(f"  {row.name}: {row.note}")
    print("\n" + "\n".join(f"{name}: {value}" for name, value in machine.items()))


def main() -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="measure", help=f"of {', '.join(MEASURES)}; all but the large when none is named")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions: shows that it runs, not how fast")
    asked = parser.parse_args()
    if unknown := set(asked.measures) - MEASURES.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    logs.configure("bench", "error")
    machine = describe()
    wanted = [name for name in MEASURES if name in asked.measures or (not asked.measures and name not in BY_NAME_ONLY)]
    try:
        with databases() as made:
            rows = uvloop.run(measure(made, wanted, QUICK if asked.quick else 1.0))
    except EmbeddedError as error:
        print(f"make bench: {error}", file=sys.stderr)
        return 2
    if asked.json:
        print(
            json.dumps({"machine": dict(machine), "rows": [{"skipped": isinstance(row, Skipped), **asdict(row)} for row in rows]}, indent=2)
        )
    else:
        show(rows, machine)
    return int(any(isinstance(row, Row) and row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
