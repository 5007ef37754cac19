"""Guarantee 6 with real processes: workers are killed as they take a tick and in the middle of its run, and an outage is caught up."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chaos import history
from tests.support.clock import VirtualClock
from tests.support.stack import stack
from tests.support.until import until_so

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from tests.support.stack import Stack

pytestmark = pytest.mark.xdist_group("chaos")

WORKER = str(Path(__file__).parent / "scheduled_worker.py")
WORKERS = 4
ORGS = 40
EVENING = datetime(2026, 3, 10, 22, tzinfo=UTC)
_PREPARE = f"""
CREATE TABLE effects (tick text, org text);
GRANT INSERT ON effects TO app;
INSERT INTO organizations SELECT 'org-' || n, analytics_now() FROM generate_series(1, {ORGS}) n;
UPDATE test_clock SET at = '{EVENING:%Y-%m-%d %H:%M}+00';
"""  # noqa: S608 - constants
_DAY = 86_400.0
_HOUR = 3_600.0


@pytest.fixture
async def night() -> AsyncIterator[tuple[Stack, VirtualClock, asyncpg.Connection]]:
    """Databases of its own, for the clock of all others goes on."""
    async with stack() as made:
        clock = await VirtualClock.install(made.cluster, made.database)
        async with history.connected(made) as owner:
            await owner.execute(_PREPARE)
            yield made, clock, owner
        await clock.close()


async def _count(owner: asyncpg.Connection, query: str, number: int) -> None:
    async def so() -> bool:
        return bool(await owner.fetchval(query) == number)

    await until_so(so)


async def _ticks(owner: asyncpg.Connection) -> list[tuple[str, int]]:
    """Each tick that left something, with the number of organizations; twice for one is a failure."""
    rows = await owner.fetch("SELECT tick, count(*) AS effects, count(DISTINCT org) AS orgs FROM effects GROUP BY tick ORDER BY tick")
    assert all(row["effects"] == row["orgs"] for row in rows)
    return [(row["tick"][:16], row["orgs"]) for row in rows]


async def test_guarantee_06_workers_killed_at_every_point_of_a_tick_leave_one_effect(
    night: tuple[Stack, VirtualClock, asyncpg.Connection],
) -> None:
    bare, clock, owner = night
    seen, taken, completed = (
        "SELECT count(*) FROM schedules",
        "SELECT count(*) FROM scheduled_runs",
        "SELECT count(*) FROM job_runs WHERE state = 'COMPLETED'",
    )
    # The first dies with the tick in its hands, which nobody has taken then; the second right after the commit; the third in the run.
    dying = await bare.worker(WORKER, ANALYTICS_FAILPOINTS="schedule.taken_before_commit=kill")
    await _count(owner, seen, 1)
    assert await owner.fetchval(taken) == 0
    await clock.advance(5 * _HOUR)
    assert await dying.ended() == -signal.SIGKILL
    assert await owner.fetchval(taken) == 0
    dying = await bare.worker(WORKER, ANALYTICS_FAILPOINTS="schedule.taken=kill")
    assert await dying.ended() == -signal.SIGKILL
    await _count(owner, taken, 1)
    # It may have begun with the run in its last moment.
    await clock.advance(61)
    dying = await bare.worker(WORKER, ANALYTICS_FAILPOINTS=f"schedule.organization_done=kill@{ORGS // 4}")
    assert await dying.ended() == -signal.SIGKILL
    behind = await owner.fetchval("SELECT count(*) FROM job_run_organizations")
    assert ORGS // 4 <= behind < ORGS
    await clock.advance(61)
    workers = await asyncio.gather(*(bare.worker(WORKER) for _ in range(WORKERS)))
    await _count(owner, completed, 1)
    assert await _ticks(owner) == [("2026-03-11 03:00", ORGS)]
    assert await owner.fetchval("SELECT attempt FROM job_runs") in (2, 3)
    # A night with all four of them.
    await clock.advance(_DAY)
    await _count(owner, completed, 2)
    # And an outage over three nights.
    await asyncio.gather(*(worker.kill() for worker in workers))
    await clock.advance(3 * _DAY)
    await asyncio.gather(bare.worker(WORKER), bare.worker(WORKER))
    await _count(owner, completed, 3)
    assert await _ticks(owner) == [("2026-03-11 03:00", ORGS), ("2026-03-12 03:00", ORGS), ("2026-03-15 03:00", ORGS)]
    assert await owner.fetchval(taken) == 3
