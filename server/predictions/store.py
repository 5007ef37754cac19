"""All SQL of prediction jobs that runs inside one tenant; that of the dispatcher and of leases is in `dispatch` and `leases`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from server.db import now
from server.db.clock import type_ as clock_type
from server.db.statements import given, insert_from
from server.identity import JobId, ModelId
from server.predictions.model import (
    QUEUED_TOPIC,
    InputHash,
    JobFailure,
    JobFilter,
    JobState,
    PredictionJob,
    topic,
)
from server.predictions.results import from_json
from server.predictions.tables import prediction_jobs
from server.registry.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any
    from uuid import UUID

    from sqlalchemy import FromClause
    from sqlalchemy.sql.dml import ReturningInsert

    from server.db import ReadTx, Tx
    from server.db.transaction import Record
    from server.identity import OrgId
    from server.predictions.model import NewJob

_columns = prediction_jobs.c

# What runs for every prediction is made once, with its values as parameters: to put a statement together costs more than to run it.
_ONE = select(prediction_jobs).where(_columns.org_id == bindparam("org"), _columns.job_id == bindparam("job"))
_TWIN = select(prediction_jobs).where(
    _columns.org_id == bindparam("org"), _columns.model_id == bindparam("model"), _columns.input_hash == bindparam("hash")
)


async def get(tx: ReadTx, org: OrgId, job_id: JobId) -> PredictionJob | None:
    """Return a job of the organization."""
    row = await tx.first(_ONE, {"org": org, "job": job_id})
    return None if row is None else read_job(row)


async def twin(tx: ReadTx, org: OrgId, model_id: ModelId, input_hash: InputHash) -> PredictionJob | None:
    """Return the job of an identical input for the same model version."""
    row = await tx.first(_TWIN, {"org": org, "model": model_id, "hash": input_hash})
    return None if row is None else read_job(row)


async def page(tx: ReadTx, org: OrgId, wanted: JobFilter, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[PredictionJob]:
    """Return at most `limit` jobs, newest first, older than the cursor `before`."""
    query = select(prediction_jobs).where(_columns.org_id == org).order_by(_columns.created_at.desc(), _columns.job_id.desc()).limit(limit)
    if wanted.model_type is not None:
        query = query.where(_columns.model_type == wanted.model_type)
    if wanted.state is not None:
        query = query.where(_columns.state == wanted.state)
    if before is not None:
        query = query.where(tuple_(_columns.created_at, _columns.job_id) < tuple_(*before))
    return [read_job(row) for row in await tx.all(query)]


_QUEUED = {
    **given(
        prediction_jobs,
        org_id="job_org",
        job_id="job_id",
        model_id="job_model",
        model_type="job_type",
        model_version="job_version",
        input_hash="job_hash",
        requested_by="job_requester",
        traceparent="job_trace",
    ),
    "generation": literal(1),
    "state": literal(JobState.QUEUED.value),
    # `greatest` passes over an absent time.
    "schedule_time": func.greatest(bindparam("job_not_before", type_=clock_type), now()),
    "created_at": now(),
    "attempt": literal(0),
    "crashes": literal(0),
    "revision": literal(1),
    "acknowledged": literal(False),  # noqa: FBT003 - the column's value
}
_INSERT = insert(prediction_jobs).values(_QUEUED).on_conflict_do_nothing().returning(prediction_jobs)


async def insert_queued(tx: Tx, org: OrgId, job: NewJob) -> PredictionJob | None:
    """Queue a new job; None when an identical input was faster."""
    row = await tx.first(_INSERT, parameters(org, job))
    tx.wake(QUEUED_TOPIC)
    return None if row is None else read_job(row)


def insert_queued_from(rows: FromClause) -> ReturningInsert[Any]:
    """Return the part of a statement that queues a job for each of `rows`, unless an identical input was faster."""
    return insert_from(prediction_jobs, _QUEUED, rows).on_conflict_do_nothing().returning(prediction_jobs)


def parameters(org: OrgId, job: NewJob) -> Mapping[str, object]:
    """Return the parameters of a new job."""
    return {
        "job_org": org,
        "job_id": job.job_id,
        "job_model": job.model_id,
        "job_type": job.model_type,
        "job_version": job.model_version,
        "job_hash": job.input_hash,
        "job_not_before": job.schedule_time,
        "job_requester": job.requested_by,
        "job_trace": job.traceparent,
    }


async def rearm(tx: Tx, org: OrgId, ended: PredictionJob, job: NewJob) -> PredictionJob | None:
    """Queue a FAILED or CANCELLED job again as its next generation; None when another request was faster."""
    statement = (
        update(prediction_jobs)
        .where(_columns.org_id == org, _columns.job_id == ended.job_id, _columns.generation == ended.generation)
        .where(_columns.state.in_([JobState.FAILED, JobState.CANCELLED]))
        .values(
            state=JobState.QUEUED,
            generation=_columns.generation + 1,
            schedule_time=now() if job.schedule_time is None else func.greatest(job.schedule_time, now()),
            # created_at stays: lists are in its order, and a job that moved would be missed by a walk that goes on.
            started_at=None,
            completed_at=None,
            attempt=0,
            crashes=0,
            failures=0,
            revision=_columns.revision + 1,
            requested_by=job.requested_by,
            traceparent=job.traceparent,
            acknowledged=False,
            error_reason=None,
            error_message=None,
        )
        .returning(prediction_jobs)
    )
    row = await tx.first(statement)
    tx.wake(QUEUED_TOPIC)
    tx.wake(topic(ended.job_id))
    return None if row is None else read_job(row)


async def cancel(tx: Tx, org: OrgId, job_id: JobId) -> PredictionJob | None:
    """End an unfinished job as CANCELLED; None when it is unknown or has ended."""
    statement = (
        update(prediction_jobs)
        .where(_columns.org_id == org, _columns.job_id == job_id, _columns.state.in_([JobState.QUEUED, JobState.RUNNING]))
        .values(
            state=JobState.CANCELLED,
            completed_at=now(),
            revision=_columns.revision + 1,
            lease_token=None,
            lease_until=None,
            error_reason="CANCELLED",
            error_message="cancelled by a caller",
        )
        .returning(prediction_jobs)
    )
    row = await tx.first(statement)
    tx.wake(QUEUED_TOPIC)
    tx.wake(topic(job_id))
    return None if row is None else read_job(row)


def read_job(row: Record) -> PredictionJob:
    """Return the job of a row that has at least the columns a tenant sees."""
    return PredictionJob(
        job_id=JobId(row.job_id),
        model_id=ModelId(row.model_id),
        model_type=ModelType(row.model_type),
        model_version=row.model_version,
        input_hash=InputHash(bytes(row.input_hash)),
        state=JobState(row.state),
        schedule_time=row.schedule_time,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        attempt=row.attempt,
        revision=row.revision,
        generation=row.generation,
        failure=None if row.error_reason is None else JobFailure(row.error_reason, row.error_message or ""),
        result=None if row.result is None else from_json(row.result),
    )
