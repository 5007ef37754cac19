"""Guarantee 6: a cron tick has one effect, by virtual time; `tests/chaos/test_scheduled_workers.py` kills real processes."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from server.schedule.calendar import DAILY_METRICS, MONTHLY_BENCHMARKS, WEEKLY_RETRAINING
from tests.contract.sources import Source, calls, python_files
from tests.schedule.simulation import Simulation

if TYPE_CHECKING:
    import asyncpg

    from server.app import App
    from tests.support.clock import VirtualClock

DAYS = int(os.environ.get("GUARANTEE_06_DAYS", "400"))
CONCERNED = ("server/schedule/", "workers/schedule.py", "workers/organizations.py", "workers/runs.py")
OWN_CLOCKS = frozenset(
    {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"), ("time", "time_ns")}
)


async def test_guarantee_06_a_tick_has_one_effect_with_four_workers_crashes_and_outages(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    simulation = Simulation(app, clock, owner, random.Random(6))
    verdict = await simulation.run(DAYS)
    print(f"guarantee 6: {DAYS} days, taken {dict(simulation.taken)}, deaths {dict(simulation.deaths)}, {simulation.outages} outages")
    assert verdict.faults == []
    assert simulation.taken[DAILY_METRICS] > 0.8 * DAYS
    assert simulation.taken[WEEKLY_RETRAINING] >= DAYS // 7 - 1
    assert simulation.taken[MONTHLY_BENCHMARKS] >= DAYS // 31
    assert {"paused", "taking", "running"} == set(simulation.deaths)
    assert simulation.outages


async def test_guarantee_06_control_without_the_key_of_the_ledger_a_tick_is_taken_twice(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    await owner.execute("ALTER TABLE scheduled_runs DROP CONSTRAINT pk_scheduled_runs")
    verdict = await Simulation(app, clock, owner, random.Random(6)).run(40)
    assert verdict.doubled
    assert verdict.repeated


async def test_guarantee_06_control_by_the_workers_own_clocks_a_tick_is_taken_early(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    verdict = await Simulation(app, clock, owner, random.Random(6), trusting=True).run(40)
    assert verdict.early


async def test_guarantee_06_control_with_marks_apart_from_effects_a_crash_repeats_one(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    verdict = await Simulation(app, clock, owner, random.Random(6), marking=False).run(40)
    assert verdict.repeated
    assert not verdict.doubled


def own_clocks(source: Source) -> list[str]:
    """Where a process would read its own clock instead of asking the database."""
    return [
        source.at(call.lineno, f"{name}(): only the database's clock decides")
        for call, name in calls(source)
        if tuple(name.split(".")[-2:]) in OWN_CLOCKS
    ]


def test_no_process_decides_by_its_own_clock_what_is_due() -> None:
    concerned = [source for source in python_files("server", "workers") if source.path.startswith(CONCERNED)]
    assert len(concerned) > len(CONCERNED)
    assert [complaint for source in concerned for complaint in own_clocks(source)] == []


def test_control_a_clock_of_its_own_is_found() -> None:
    for line in ("datetime.now(UTC)", "datetime.datetime.utcnow()", "date.today()", "time.time()"):
        assert own_clocks(Source("server/schedule/a.py", line))
    assert not own_clocks(Source("server/schedule/a.py", "now() + metrics.SECONDS.labels(job).time()"))
