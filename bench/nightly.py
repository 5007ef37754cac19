"""The nightly run over a thousand organizations of a thousand employees, beside the same stages done plainly.

Ours is a worker as it is shipped, a process of its own, whose run is ordered as an operator would; its seconds are those from its
start to its end as the run itself records them. Only facts of the HR part are loaded; the run looks for the others all the same.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from bench.bare_nightly import Bare
from bench.measure import Pair, Row
from bench.nightly_facts import PEOPLE, filled
from bench.stack import process
from server.schedule.calendar import DAILY_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.context import Service
    from bench.nightly_facts import Filled
    from bench.stack import Process

ORGS, FEW = 1_000, 250
ROUNDS = 3
RATIO = 3.0
WORKER_BYTES = 1.5e9
LINEAR = 1.25
"""How much longer an organization among many may take than one among few: the noise of a shared machine."""
REPEATED = 0.01
_LOOK_SECONDS = 0.02


async def nightly(service: Service) -> list[Row]:
    """Run with all organizations, with few, and plainly, in turns; and once more with the worker killed half way."""
    async with (
        filled(service.made, "nightly", service.some(ORGS)) as night,
        filled(service.made, "nightly_of_few", service.some(FEW)) as of_few,
    ):
        with _worker(night) as worker, _worker(of_few) as other:
            found = await _in_turns(_Turn(night, worker), _Turn(of_few, other))
            resident = worker.peak_bytes
        repeated = await _killed_half_way(night)
    return [
        _beside_floor(night, found),
        Row(
            "the same, highest memory of the worker",
            f"{resident / 1e6:.0f} MB",
            target=f"< {WORKER_BYTES / 1e6:,.0f} MB",
            met=resident < WORKER_BYTES,
        ),
        _linear(Pair([took / night.orgs for took in found.many], [took / of_few.orgs for took in found.few]), of_few),
        Row(
            "the same, repeated after kill -9 half way",
            f"{repeated:.2%} of the rows",
            target=f"< {REPEATED:.0%}",
            met=repeated < REPEATED if service.scale == 1 else None,
            note="rows of employees that PostgreSQL read in both takings of the run, beyond those there are",
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A database and its worker."""

    night: Filled
    worker: Process

    async def take(self) -> float:
        """Order a first night, when everything that is found is new, and wait for its end; returns its seconds."""
        await self.night.empty()
        await _order(self.night)
        return await _ended(self.night, self.worker)


@dataclass(slots=True)
class _Found:
    """Seconds of every round, and the stages of the last plain one."""

    many: list[float] = field(default_factory=list)
    few: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    stages: Mapping[str, float] = field(default_factory=dict)


async def _in_turns(many: _Turn, few: _Turn) -> _Found:
    """Take turns; a first round, which leaves the insights that the plain one writes, does not count."""
    await few.take()
    await many.take()
    bare = await Bare.prepare(many.night)
    await bare.run()
    found = _Found()
    for _ in range(ROUNDS):
        found.few.append(await few.take())
        found.many.append(await many.take())
        found.stages = await bare.run()
        found.plain.append(sum(found.stages.values()))
    return found


def _beside_floor(night: Filled, found: _Found) -> Row:
    pair = Pair(found.many, found.plain)
    return Row(
        f"nightly run, {night.orgs:,} organizations of {PEOPLE:,}, HR",
        f"{pair.our_median:.1f} s",
        f"COPY, one predict, unnest {pair.bare_median:.1f} s",
        pair.ratio,
        pair.spread,
        f"<= {RATIO:.0f}x",
        pair.ratio <= RATIO,
        "last bare round: " + ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in found.stages.items()),
    )


def _linear(pair: Pair, of_few: Filled) -> Row:
    return Row(
        "the same, per organization",
        f"{pair.our_median * 1e3:.1f} ms",
        f"{pair.bare_median * 1e3:.1f} ms of {of_few.orgs}",
        pair.ratio,
        pair.spread,
        f"linear (<= {LINEAR}x)",
        pair.ratio <= LINEAR,
    )


@contextmanager
def _worker(night: Filled) -> Iterator[Process]:
    with process(night.made, "workers", {"ANALYTICS_DATABASE_URL": night.made.settings(night.name).database_url}) as worker:
        yield worker


async def _order(night: Filled) -> None:
    """Queue a run; the worker finds it within a second, which is not measured."""
    await night.admin.execute(
        "INSERT INTO job_runs (run_id, job, scope, state, requested_by, created_at) VALUES ($1, $2, '', 'QUEUED', 'bench', now())",
        uuid4(),
        DAILY_METRICS,
    )


async def _ended(night: Filled, worker: Process) -> float:
    while True:
        (run,) = await night.admin.fetch("SELECT state, error_message, organizations, completed_at - started_at AS took FROM job_runs")
        if run["took"] is not None:
            assert run["state"] == "COMPLETED", f"{run}\n{worker.child.tail()}"
            assert run["organizations"] == f'[["DONE", "", {night.orgs}]]', run["organizations"]
            seconds: float = run["took"].total_seconds()
            return seconds
        assert worker.child.exit_code is None, worker.child.tail()
        await asyncio.sleep(_LOOK_SECONDS)


async def _killed_half_way(night: Filled) -> float:
    """Kill the worker when half of the organizations are done, and let another go on; returns the share of rows read again."""
    await night.empty()
    before = await _rows_read(night)
    with _worker(night) as first:
        await _order(night)
        await _until(night, "SELECT count(*) >= $1 FROM job_run_organizations", night.orgs / 2)
        first.child.kill()
    # What its lease has left is waited for by nobody.
    await night.admin.execute("UPDATE job_runs SET lease_until = now()")
    with _worker(night) as second:
        await _ended(night, second)
    read = await _rows_read(night) - before
    return read / (night.orgs * PEOPLE) - 1


async def _rows_read(night: Filled) -> int:
    """Return how many rows of employees were read so far; a session counts what it read when it ends, at the latest."""
    await _until(night, "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND usename = 'app'")
    read: int = await night.admin.fetchval(
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'employees'"
    )
    return read


async def _until(night: Filled, question: str, *arguments: object) -> None:
    while not await night.admin.fetchval(question, *arguments):  # noqa: ASYNC110 - another process changes the answer
        await asyncio.sleep(_LOOK_SECONDS)
