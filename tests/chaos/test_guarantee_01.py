"""Guarantee 1: every accepted job ends exactly once, whatever is killed."""
# ruff: noqa: S608 - statements put together from constants

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from server import failpoints
from tests.chaos import history
from tests.chaos.load import Load
from tests.support.stack import stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.stack import Process

pytestmark = pytest.mark.xdist_group("chaos")

JOBS = 2_000
SERVICE_KILLS = 2
DATABASE_KILLS = 4
IN_WORKER = sorted(name for name in failpoints.NAMES if name.startswith(("worker.", "dispatch.", "relay.")))
# Those of the schedule are passed at night: `test_scheduled_workers.py`.
IN_SERVER = sorted(name for name in failpoints.NAMES - set(IN_WORKER) if not name.startswith("schedule."))


async def _services_die(load: Load, start: str, points: list[str]) -> int:
    """Kill one service again and again: by itself at each fail point, and from outside in between; returns how often."""
    plan: list[str] = [*points, *[""] * SERVICE_KILLS]
    load.dice.shuffle(plan)
    begin = getattr(load.stack, start)
    for point in plan:
        if point:
            process: Process = await begin(ANALYTICS_FAILPOINTS=f"{point}=kill@{load.dice.randint(1, 4)}")
        else:
            process = await begin()
            await load.reached(load.accepted + 20)
            await process.kill()
        assert await process.ended() == -9, process.said()[-4000:]
    await begin()
    return len(plan)


async def _database_dies(load: Load, name: str) -> int:
    """Kill a database at even distances of the whole load; returns how often."""
    for number in range(DATABASE_KILLS):
        await load.reached(JOBS * (number + 1) // (DATABASE_KILLS + 1))
        await getattr(load.stack, f"kill_{name}")()
        await getattr(load.stack, f"start_{name}")()
    return DATABASE_KILLS


@dataclass(frozen=True)
class Aftermath:
    """A load that was survived."""

    load: Load
    kills: int


@pytest.fixture(scope="module")
async def aftermath() -> AsyncIterator[Aftermath]:
    """What is left after everything was killed, and everything that could be done was done."""
    async with stack() as made:
        await history.record(made)
        load = Load(made, random.Random(1))
        asking = asyncio.create_task(load.run())
        async with asyncio.TaskGroup() as dying:
            lanes = [
                dying.create_task(_services_die(load, "server", IN_SERVER)),
                dying.create_task(_services_die(load, "worker", IN_WORKER)),
                dying.create_task(_database_dies(load, "postgres")),
                dying.create_task(_database_dies(load, "valkey")),
            ]
        await load.reached(JOBS)
        load.stop()
        await asking
        await history.drained(made)
        yield Aftermath(load, sum(lane.result() for lane in lanes))


async def test_guarantee_01_every_accepted_job_ends_exactly_once_under_kill_9_of_everything(aftermath: Aftermath) -> None:
    load = aftermath.load
    async with history.connected(load.stack) as connection:
        verdict = history.judge(load.told, await history.observe(connection))
    print(
        f"guarantee 1: {verdict.accepted} accepted, {aftermath.kills} x kill -9 ({len(IN_WORKER + IN_SERVER)} by fail points), "
        f"{len(load.told.cancelled)} cancelled, {verdict.recovered} recovered, retried {dict(load.retries)}, "
        f"{len(verdict.lost)} lost, {len(verdict.unexpected)} unexpected, {len(verdict.doubled)} doubled"
    )
    assert verdict.faults == []
    assert verdict.accepted >= JOBS
    assert aftermath.kills == 2 * SERVICE_KILLS + 2 * DATABASE_KILLS + len(IN_WORKER + IN_SERVER)
    assert verdict.recovered
    assert load.told.cancelled


ANY = "job_id = (SELECT job_id FROM prediction_jobs ORDER BY job_id LIMIT 1)"
COPY = "jsonb_populate_record(p, jsonb_build_object('job_id', gen_random_uuid(), 'input_hash', 'new'))"
AGAIN = "jsonb_populate_record(e, jsonb_build_object('event_id', gen_random_uuid(), 'sequence', -sequence))"
BROKEN = {
    "a job is gone": ("lost", f"DELETE FROM prediction_jobs WHERE {ANY}"),
    "an input is lost": ("lost", f"UPDATE prediction_jobs SET state = 'FAILED', error_reason = 'INPUT_LOST', result = NULL WHERE {ANY}"),
    "a job has not ended": ("lost", f"UPDATE prediction_jobs SET state = 'QUEUED', result = NULL WHERE {ANY}"),
    "a result is written again": ("doubled", f"UPDATE prediction_jobs SET revision = revision + 1, completed_at = now() WHERE {ANY}"),
    "a job nobody asked for": ("unexpected", f"INSERT INTO prediction_jobs SELECT ({COPY}).* FROM prediction_jobs p WHERE {ANY}"),
    "a job that ended begins anew": ("astray", f"UPDATE prediction_jobs SET state = 'QUEUED', result = NULL WHERE {ANY}"),
    "an end becomes another": (
        "astray",
        f"UPDATE prediction_jobs SET state = 'CANCELLED', generation = generation + 1, result = NULL WHERE {ANY}",
    ),
    "no audit": ("unaudited", "DELETE FROM audit_entries WHERE action = 'prediction.requested'"),
    "an event twice": (
        "untold",
        f"INSERT INTO events SELECT ({AGAIN}).* FROM events e",
    ),
    "no event": ("untold", "DELETE FROM events WHERE type = 'prediction.completed'"),
}


@pytest.mark.parametrize(("fault", "statement"), BROKEN.values(), ids=BROKEN)
async def test_guarantee_01_control_the_checker_finds_what_was_broken(aftermath: Aftermath, fault: str, statement: str) -> None:
    load = aftermath.load
    async with history.connected(load.stack) as connection:
        undone = connection.transaction()
        await undone.start()
        await connection.execute(statement)
        verdict = history.judge(load.told, await history.observe(connection))
        await undone.rollback()
    assert getattr(verdict, fault), verdict.faults
