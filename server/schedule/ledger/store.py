"""All SQL of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, DateTime, Text, Uuid, bindparam, text

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

_LOOK = text(
    """
    SELECT asked.place, analytics_now() AS now, s.first_seen_at, latest.scheduled_for
    FROM unnest(:jobs, :scopes, :crons) WITH ORDINALITY AS asked (job, scope, cron, place)
    LEFT JOIN schedules s USING (job, scope, cron)
    LEFT JOIN LATERAL (
        SELECT scheduled_for FROM scheduled_runs r WHERE r.job = asked.job AND r.scope = asked.scope
        ORDER BY scheduled_for DESC LIMIT 1
    ) latest ON true
    """
).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in ("jobs", "scopes", "crons")))
_PRESENT = text("SELECT analytics_now() AS now")
_SEE = text("INSERT INTO schedules (job, scope, cron, first_seen_at) VALUES (:job, :scope, :cron, analytics_now()) ON CONFLICT DO NOTHING")
# The run is written first and waits for another one that is being written. An unfinished run, whoever began it, is in the way.
_TAKE = text(
    """
    WITH run AS (
        INSERT INTO job_runs (run_id, job, scope, state, message, requested_by, created_at)
        SELECT :run, :job, :scope, 'QUEUED', 'waiting for a worker', :scheduler, analytics_now()
        WHERE NOT EXISTS (SELECT FROM scheduled_runs WHERE job = :job AND scope = :scope AND scheduled_for > :tick)
        ON CONFLICT DO NOTHING
        RETURNING run_id, job, scope, created_at
    ), tick AS (
        INSERT INTO scheduled_runs (job, scope, scheduled_for, run_id, taken_at)
        SELECT job, scope, :tick, run_id, created_at FROM run
        ON CONFLICT DO NOTHING
        RETURNING run_id
    )
    SELECT (SELECT count(*) FROM run) AS runs, (SELECT count(*) FROM tick) AS ticks
    """
).bindparams(
    *(bindparam(name, type_=Text) for name in ("job", "scope", "scheduler")), bindparam("tick", type_=DateTime(timezone=True)),
    bindparam("run", type_=Uuid),
)  # fmt: skip


class TickTaken(Exception):
    """The tick has its run already."""


async def present(tx: ReadTx) -> datetime:
    """Return the instant that decides what is due."""
    at: datetime = (await tx.one(_PRESENT)).now
    return at


async def see(tx: Tx, schedule: Schedule) -> None:
    """Remember that the schedule is known from now on; a second time changes nothing."""
    await tx.run(_SEE, _key(schedule) | {"cron": schedule.cron})


async def take(tx: Tx, tick: Tick, run_id: UUID) -> Taken | None:
    """Write a tick with its queued run; None when a later tick was taken or a run of the job is unfinished.

    Raises:
        TickTaken: somebody has the tick; the transaction holds a run that must not be committed.

    """
    values = _key(tick.schedule) | {"tick": tick.at, "run": run_id, "scheduler": SCHEDULER}
    written = await tx.one(_TAKE, values)
    if not written.runs:
        return None
    if not written.ticks:
        raise TickTaken
    tx.wake(QUEUED_TOPIC)
    return Taken(tick, RunId(run_id))


async def look(tx: ReadTx, schedules: Sequence[Schedule]) -> Sequence[Standing]:
    """Return how schedules stand, in their order."""
    columns = {"jobs": [each.job for each in schedules], "scopes": [each.scope for each in schedules]}
    rows = await tx.all(_LOOK, columns | {"crons": [each.cron for each in schedules]})
    return [
        Standing(schedules[row.place - 1], row.now, row.first_seen_at, row.scheduled_for)
        for row in sorted(rows, key=lambda row: int(row.place))
    ]


def _key(schedule: Schedule) -> dict[str, object]:
    return {"job": schedule.job, "scope": schedule.scope}
