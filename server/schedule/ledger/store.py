"""All SQL of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import DateTime, Text, Uuid, bindparam, text

from server.identity import RunId
from server.schedule.ledger.model import Standing, Taken
from server.schedule.model import QUEUED_TOPIC

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from server.db import ReadTx, Tx
    from server.schedule.calendar import Schedule
    from server.schedule.ledger.model import Tick

SCHEDULER = "schedule"
"""Who asked for a run that a tick began."""

_LATEST = "(SELECT max(scheduled_for) FROM scheduled_runs r WHERE r.job = :job AND r.scope = :scope)"
_STANDING = text(
    f"""
    SELECT analytics_now() AS now, {_LATEST} AS latest,
           (SELECT first_seen_at FROM schedules s WHERE s.job = :job AND s.scope = :scope AND s.cron = :cron) AS first_seen,
           (SELECT run_id FROM scheduled_runs r WHERE r.job = :job AND r.scope = :scope ORDER BY scheduled_for DESC LIMIT 1) AS run_id
    """  # noqa: S608 - put together from constants
)
_PRESENT = text("SELECT analytics_now() AS now")
_SEE = text("INSERT INTO schedules (job, scope, cron, first_seen_at) VALUES (:job, :scope, :cron, analytics_now()) ON CONFLICT DO NOTHING")
# The foreign key of the tick is looked at when the statement ends. A run that somebody starts by hand at this very moment
# makes the second INSERT fail, and the tick is not taken either.
_TAKE = text(
    """
    WITH tick AS (
        INSERT INTO scheduled_runs (job, scope, scheduled_for, run_id, taken_at)
        SELECT :job, :scope, :tick, :run, analytics_now()
        WHERE NOT EXISTS (SELECT FROM job_runs WHERE job = :job AND scope = :scope AND state IN ('QUEUED', 'RUNNING'))
              AND NOT EXISTS (SELECT FROM scheduled_runs WHERE job = :job AND scope = :scope AND scheduled_for > :tick)
        ON CONFLICT DO NOTHING
        RETURNING run_id, job, scope, taken_at
    )
    INSERT INTO job_runs (run_id, job, scope, state, message, requested_by, created_at)
    SELECT run_id, job, scope, 'QUEUED', 'waiting for a worker', :scheduler, taken_at FROM tick
    RETURNING run_id
    """
).bindparams(
    *(bindparam(name, type_=Text) for name in ("job", "scope", "scheduler")), bindparam("tick", type_=DateTime(timezone=True)),
    bindparam("run", type_=Uuid),
)  # fmt: skip


async def present(tx: ReadTx) -> datetime:
    """Return the instant that decides what is due."""
    at: datetime = (await tx.one(_PRESENT)).now
    return at


async def see(tx: Tx, schedule: Schedule) -> None:
    """Remember that the schedule is known from now on; a second time changes nothing."""
    await tx.run(_SEE, _key(schedule) | {"cron": schedule.cron})


async def standing(tx: ReadTx, schedule: Schedule) -> tuple[Standing, RunId | None]:
    """Return how a schedule stands, and the run of its latest tick."""
    row = await tx.one(_STANDING, _key(schedule) | {"cron": schedule.cron})
    return Standing(schedule, row.now, row.first_seen, row.latest), None if row.run_id is None else RunId(row.run_id)


async def take(tx: Tx, tick: Tick, run_id: UUID) -> Taken | None:
    """Write a tick with its queued run; None when the tick or a later one was taken, or a run of the job is unfinished.

    Raises:
        IntegrityError: another run of the job began at this moment; nothing was written, and the tick stays due.

    """
    values = _key(tick.schedule) | {"tick": tick.at, "run": run_id, "scheduler": SCHEDULER}
    if await tx.first(_TAKE, values) is None:
        return None
    tx.wake(QUEUED_TOPIC)
    return Taken(tick, RunId(run_id))


async def look(tx: ReadTx, schedules: Sequence[Schedule]) -> Sequence[Standing]:
    """Return how schedules stand."""
    return [(await standing(tx, schedule))[0] for schedule in schedules]


def _key(schedule: Schedule) -> dict[str, object]:
    return {"job": schedule.job, "scope": schedule.scope}
