"""Guarantee 6: a cron tick has one effect, by virtual time; `tests/chaos/test_scheduled_workers.py` kills real processes."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from server.schedule.calendar import DAILY_METRICS, MONTHLY_BENCHMARKS, WEEKLY_RETRAINING
from server.schedule.ledger import store as ledger
from server.schedule.ledger.tick import Ticker
from tests.contract.sources import Source, calls, python_files
from tests.schedule import simulation
from tests.schedule.simulation import Simulation
from workers.organizations import Counts

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg
    import pytest

    from server.app import App
    from server.db import Tx
    from server.schedule.ledger.model import Standing, Taken, Tick
    from tests.support.clock import VirtualClock

DAYS = int(os.environ.get("GUARANTEE_06_DAYS", "400"))
CONCERNED = ("server/schedule/", "workers/schedule.py", "workers/organizations.py", "workers/runs.py")
OWN_CLOCKS = frozenset(
    {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"), ("time", "time_ns")}
)


async def test_guarantee_06_a_tick_has_one_effect_with_four_workers_crashes_and_outages(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    passed = Simulation(app, clock, owner, random.Random(6))
    verdict = await passed.run(DAYS)
    print(f"guarantee 6: {DAYS} days, taken {dict(passed.taken)}, deaths {dict(passed.deaths)}, {passed.outages} outages")
    assert verdict.faults == []
    assert passed.taken[DAILY_METRICS] > 0.8 * DAYS
    assert passed.taken[WEEKLY_RETRAINING] >= DAYS // 7 - 1
    assert passed.taken[MONTHLY_BENCHMARKS] >= DAYS // 31
    assert {"paused", "taking", "running"} == set(passed.deaths)
    assert passed.outages


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
    verdict = await Simulation(app, clock, owner, random.Random(6), trusting=True).run(100)
    assert verdict.early


async def test_guarantee_06_control_with_marks_apart_from_effects_a_crash_repeats_one(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    verdict = await Simulation(app, clock, owner, random.Random(6), marking=False, crash_share=0.5).run(40)
    assert verdict.repeated
    assert not verdict.doubled


async def test_guarantee_06_control_without_catching_up_a_tick_of_an_outage_is_missed(
    app: App, clock: VirtualClock, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Ticker.take

    async def take_at_once(self: Ticker, standing: Standing) -> Taken | None:
        late = standing.due is not None and standing.now - standing.due > timedelta(hours=1)
        return None if late else await take(self, standing)

    monkeypatch.setattr(Ticker, "take", take_at_once)
    verdict = await Simulation(app, clock, owner, random.Random(6)).run(40)
    assert verdict.missed


async def test_guarantee_06_control_by_another_calendar_ticks_are_invented(
    app: App, clock: VirtualClock, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = ledger.take

    async def take_another(tx: Tx, tick: Tick, run_id: UUID) -> Taken | None:
        return await take(tx, replace(tick, at=tick.at - timedelta(hours=1)), run_id)

    monkeypatch.setattr(ledger, "take", take_another)
    verdict = await Simulation(app, clock, owner, random.Random(6)).run(10)
    assert verdict.invented


async def test_guarantee_06_control_where_a_taken_tick_is_not_refused_a_run_without_a_tick_is_left(
    app: App, clock: VirtualClock, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = ledger.take

    async def take_anyway(tx: Tx, tick: Tick, run_id: UUID) -> Taken | None:
        try:
            return await take(tx, tick, run_id)
        except ledger.TickTaken:
            return None

    monkeypatch.setattr(ledger, "take", take_anyway)
    verdict = await Simulation(app, clock, owner, random.Random(6)).run(40)
    assert verdict.invented


async def test_guarantee_06_control_a_run_that_ends_without_an_organization_has_lost_it(
    app: App, clock: VirtualClock, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def do_nothing(*_: object, **_options: object) -> Counts:
        return Counts()

    monkeypatch.setattr(simulation, "for_each_organization", do_nothing)
    verdict = await Simulation(app, clock, owner, random.Random(6)).run(10)
    assert verdict.lost


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
