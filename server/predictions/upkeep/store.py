"""All SQL of the upkeep; it runs as role `dispatch`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import DateTime, bindparam, text

from server import failpoints
from server.events import store as events
from server.events.model import Cause, PredictionFailed, Told
from server.identity import JobId, OrgId
from server.predictions.model import QUEUED_TOPIC, topic
from server.registry.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import ReadTx, Tx
    from server.db.transaction import Record

BATCH = 500
"""Most jobs that one sweep takes back."""


@dataclass(frozen=True, slots=True)
class Buried:
    """A job that ended FAILED (POISON), for its worker died too often."""

    org: OrgId
    job_id: JobId
    generation: int
    model_type: ModelType


# A crash counts only when a worker had acknowledged the start: a start that arq lost is nobody's fault.
_SWEEP = text(
    """
    WITH ended AS (
        SELECT org_id, job_id FROM prediction_jobs WHERE state = 'RUNNING' AND lease_until < (SELECT analytics_now())
        ORDER BY org_id, job_id LIMIT :batch FOR UPDATE SKIP LOCKED
    )
    UPDATE prediction_jobs p
    SET crashes = crashes + acknowledged::int,
        state = CASE WHEN crashes + acknowledged::int >= :crashes THEN 'FAILED' ELSE 'QUEUED' END,
        completed_at = CASE WHEN crashes + acknowledged::int >= :crashes THEN analytics_now() END,
        error_reason = CASE WHEN crashes + acknowledged::int >= :crashes THEN 'POISON' END,
        error_message = CASE WHEN crashes + acknowledged::int >= :crashes
                             THEN 'the job ended its worker ' || (crashes + acknowledged::int) || ' times' END,
        revision = revision + 1, lease_token = NULL, lease_until = NULL, acknowledged = false
    FROM ended e WHERE p.org_id = e.org_id AND p.job_id = e.job_id
    RETURNING p.org_id, p.job_id, p.model_type, p.model_version, p.generation, p.state
    """
)

_FORGET_STARTS = text("DELETE FROM prediction_starts WHERE started_at < (SELECT analytics_now()) - interval '1 hour'")

_RUNNING = text("SELECT org_id, job_id, generation FROM prediction_jobs WHERE state = 'RUNNING'")
_QUEUED = text(
    """
    SELECT org_id, model_type, schedule_time, job_id, generation FROM prediction_jobs
    WHERE state = 'QUEUED' AND (org_id, model_type, schedule_time, job_id) > (:org, :model_type, :schedule_time, CAST(:job AS uuid))
    ORDER BY org_id, model_type, schedule_time, job_id LIMIT :limit
    """
).bindparams(bindparam("schedule_time", type_=DateTime(timezone=True)))


async def sweep(tx: Tx, max_crashes: int) -> Sequence[Buried]:
    """Queue again, or bury, the jobs whose lease ended; returns the buried ones."""
    rows = await tx.all(_SWEEP, {"crashes": max_crashes, "batch": BATCH})
    for row in rows:
        tx.wake(topic(JobId(row.job_id)))
    buried = [row for row in rows if row.state == "FAILED"]
    await events.append_all(tx, [_told(row) for row in buried])
    if rows:
        tx.wake(QUEUED_TOPIC)
        await failpoints.passing("sweep.taken_back_before_commit")
    await tx.run(_FORGET_STARTS)
    return [Buried(OrgId(row.org_id), JobId(row.job_id), row.generation, ModelType(row.model_type)) for row in buried]


def _told(row: Record) -> Told:
    event = PredictionFailed(JobId(row.job_id), row.generation, row.model_type, row.model_version)
    return Told(OrgId(row.org_id), event, Cause(str(row.job_id), ""))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk over the waiting jobs stands; the first walk begins at `FIRST_PLACE`."""

    org: str
    model_type: str
    schedule_time: datetime
    job_id: UUID


FIRST_PLACE = Place("", "", datetime.min.replace(tzinfo=UTC), UUID(int=0))


async def running(tx: ReadTx) -> Sequence[tuple[OrgId, JobId, int]]:
    """Return every running job with its generation; their number is bounded by what workers take up."""
    return [(OrgId(row.org_id), JobId(row.job_id), row.generation) for row in await tx.all(_RUNNING)]


async def waiting(tx: ReadTx, after: Place, limit: int) -> tuple[Sequence[tuple[OrgId, JobId, int]], Place | None]:
    """Return at most `limit` waiting jobs with their generations, and where to go on; None at the end.

    A job that moves meanwhile may be missed or met twice; one that starts is among the running.
    """
    rows = await tx.all(
        _QUEUED,
        {"org": after.org, "model_type": after.model_type, "schedule_time": after.schedule_time, "job": after.job_id, "limit": limit},
    )
    jobs = [(OrgId(row.org_id), JobId(row.job_id), row.generation) for row in rows]
    last = rows[-1] if len(rows) == limit else None
    return jobs, None if last is None else Place(last.org_id, last.model_type, last.schedule_time, last.job_id)
