"""Ticks: not for the past of a fresh database, once, the latest missed one, and none lost over a run that takes long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from server.identity import RunId, UserId
from server.schedule import store
from server.schedule.calendar import CALENDAR, DAILY_METRICS
from server.schedule.ledger.tick import Ticker
from server.schedule.model import Order
from server.telemetry import metrics
from tests.support.until import until_so
from workers import runs, schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

    from server.app import App
    from server.schedule.model import Claim
    from tests.support.clock import VirtualClock

HOLD = timedelta(minutes=1)
DAILY = next(each for each in CALENDAR if each.job == DAILY_METRICS)
DAY = 86_400.0


async def _nothing(_app: object, _claim: object, _progress: object) -> Mapping[str, object]:
    return {}


@pytest.fixture(autouse=True)
def daily_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that know one job of the calendar."""
    monkeypatch.setattr(runs, "JOBS", {DAILY_METRICS: _nothing})


async def set_to(clock: VirtualClock, text: str) -> None:
    there = datetime.fromisoformat(text).replace(tzinfo=UTC)
    await clock.advance((there - await clock.advance(0)).total_seconds())


async def _ticks(owner: asyncpg.Connection) -> list[str]:
    rows = await owner.fetch("SELECT job, scheduled_for AT TIME ZONE 'UTC' AS at FROM scheduled_runs ORDER BY scheduled_for")
    return [f"{row['job']} {row['at']:%m-%d %H:%M}" for row in rows]


async def waits(owner: asyncpg.Connection) -> bool:
    """Whether some transaction waits for a lock."""
    waiting: bool = await owner.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
    return waiting


async def _claim(app: App) -> Claim:
    async with app.db.platform() as tx:
        claim = await store.claim(tx, uuid4(), HOLD, [DAILY_METRICS])
    assert claim is not None
    return claim


async def _complete(app: App, claim: Claim) -> None:
    async with app.db.platform() as tx:
        assert await store.complete(tx, claim, {})


async def test_a_fresh_database_runs_nothing_for_the_past_and_everything_from_then_on(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    await set_to(clock, "2026-03-10 12:00")
    for _ in range(3):
        await schedule.take_due(app)
    assert await _ticks(owner) == []
    await set_to(clock, "2026-03-11 02:59:59.9")
    await schedule.take_due(app)
    assert await _ticks(owner) == []
    await set_to(clock, "2026-03-11 03:00")
    await schedule.take_due(app)
    assert await _ticks(owner) == ["daily_metrics 03-11 03:00"]
    # Jobs that no worker here knows are left alone; their schedule begins when one does.
    assert {row["job"] for row in await owner.fetch("SELECT job FROM schedules")} == {DAILY_METRICS}


async def test_the_look_before_a_tick_waits_no_longer_than_to_the_tick(app: App, clock: VirtualClock) -> None:
    await set_to(clock, "2026-03-10 12:00")
    assert await schedule.take_due(app) == schedule._LOOK_EVERY_SECONDS
    await set_to(clock, "2026-03-11 02:59:58.5")
    assert await schedule.take_due(app) == pytest.approx(1.5)


async def test_of_the_ticks_of_an_outage_the_latest_is_caught_up_once(app: App, clock: VirtualClock, owner: asyncpg.Connection) -> None:
    await set_to(clock, "2026-03-10 12:00")
    await schedule.take_due(app)
    await set_to(clock, "2026-03-15 17:00")
    await asyncio.gather(*(schedule.take_due(app) for _ in range(4)))
    assert await _ticks(owner) == ["daily_metrics 03-15 03:00"]
    assert await owner.fetchval("SELECT count(*) FROM job_runs") == 1
    claim = await _claim(app)
    assert claim.scheduled_for == datetime(2026, 3, 15, 3, tzinfo=UTC)
    await _complete(app, claim)
    await schedule.take_due(app)
    assert len(await _ticks(owner)) == 1


async def test_a_schedule_whose_cron_changes_is_not_due_for_the_time_before_the_change(
    app: App, clock: VirtualClock, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_to(clock, "2026-03-10 12:00")
    await schedule.take_due(app)
    await set_to(clock, "2026-03-11 03:00")
    await schedule.take_due(app)
    await _complete(app, await _claim(app))
    earlier = type(DAILY)(DAILY_METRICS, "0 11 * * *", "earlier that day")
    monkeypatch.setattr(schedule, "CALENDAR", (earlier,))
    await set_to(clock, "2026-03-11 12:00")
    await schedule.take_due(app)
    await schedule.take_due(app)
    assert len(await _ticks(owner)) == 1
    await set_to(clock, "2026-03-12 11:00")
    await schedule.take_due(app)
    assert (await _ticks(owner))[1:] == ["daily_metrics 03-12 11:00"]


async def test_a_tick_that_comes_while_an_earlier_run_is_at_work_waits_for_its_end_and_is_told(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    await set_to(clock, "2026-03-10 12:00")
    await schedule.take_due(app)
    await set_to(clock, "2026-03-11 03:00")
    await schedule.take_due(app)
    first = await _claim(app)
    await set_to(clock, "2026-03-12 03:10")
    await schedule.take_due(app)
    assert len(await _ticks(owner)) == 1
    assert metrics.REGISTRY.get_sample_value("analytics_schedule_late_seconds", {"job": DAILY_METRICS}) == 600.0
    await _complete(app, first)
    await schedule.take_due(app)
    assert await _ticks(owner) == ["daily_metrics 03-11 03:00", "daily_metrics 03-12 03:00"]
    assert metrics.REGISTRY.get_sample_value("analytics_schedule_late_seconds", {"job": DAILY_METRICS}) == 0.0


async def test_a_run_by_hand_is_in_the_way_of_a_tick_and_does_not_stand_for_it(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    await set_to(clock, "2026-03-10 12:00")
    await schedule.take_due(app)
    await set_to(clock, "2026-03-11 03:00")
    order = Order(DAILY_METRICS, "", UserId("operator"), "", b"", "")
    async with app.db.platform() as tx:
        assert await store.add(tx, RunId(uuid4()), order)
        # Not committed yet: the tick waits for it, and is not taken beside it.
        taking = asyncio.create_task(schedule.take_due(app))
        await until_so(lambda: waits(owner))
    await taking
    assert await _ticks(owner) == []
    claim = await _claim(app)
    assert claim.scheduled_for is None
    await _complete(app, claim)
    await schedule.take_due(app)
    assert len(await _ticks(owner)) == 1


async def test_of_workers_that_saw_the_same_tick_one_takes_it_also_when_its_run_has_ended_meanwhile(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    await set_to(clock, "2026-03-10 12:00")
    ticker = Ticker(app.db, [DAILY])
    await ticker.look()
    await set_to(clock, "2026-03-11 03:00")
    (first,), (second,) = await ticker.look(), await ticker.look()
    assert await ticker.take(first) is not None
    await _complete(app, await _claim(app))
    assert await ticker.take(second) is None
    assert await owner.fetchval("SELECT count(*) FROM job_runs") == 1


async def test_a_worker_that_slept_over_a_later_tick_does_not_take_the_earlier_one(
    app: App, clock: VirtualClock, owner: asyncpg.Connection
) -> None:
    await set_to(clock, "2026-03-10 12:00")
    ticker = Ticker(app.db, [DAILY])
    await ticker.look()
    await set_to(clock, "2026-03-11 03:00")
    (slept,) = await ticker.look()
    await set_to(clock, "2026-03-12 03:00")
    await schedule.take_due(app)
    await _complete(app, await _claim(app))
    assert await ticker.take(slept) is None
    assert await _ticks(owner) == ["daily_metrics 03-12 03:00"]


async def test_a_run_of_a_job_that_a_worker_does_not_know_is_left_to_one_that_does(app: App) -> None:
    async with app.db.platform() as tx:
        await store.add(tx, RunId(uuid4()), Order("of_another_release", "", UserId("operator"), "", b"", ""))
        assert await store.claim(tx, uuid4(), HOLD, [DAILY_METRICS]) is None
        assert await store.claim(tx, uuid4(), HOLD, ["of_another_release"]) is not None
