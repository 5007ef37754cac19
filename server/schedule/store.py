"""All SQL of runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, Double, Interval, Text, Uuid, any_, bindparam, case, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by, insert

from server.db import now
from server.identity import RunId, UserId
from server.schedule.model import MAX_ATTEMPTS, QUEUED_TOPIC, Claim, Dealt, Order, Reasoned, Run, RunState, topic
from server.schedule.tables import job_run_organizations, job_runs, scheduled_runs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy import ScalarSelect

    from server.db import ReadTx, Tx
    from server.db.transaction import Record

_columns = job_runs.c
_REQUEST_KEPT = timedelta(hours=24)
_UNFINISHED = _columns.state.in_([RunState.QUEUED, RunState.RUNNING])
_SCHEDULED_FOR = select(scheduled_runs.c.scheduled_for).where(scheduled_runs.c.run_id == _columns.run_id).scalar_subquery()


def _summary() -> ScalarSelect[object]:
    """Count the marks of a run by outcome and reason: `[["SKIPPED", "NO_FACTS", 3], ...]`, NULL without marks."""
    marks = job_run_organizations.c
    number = func.count().label("number")
    counted = (
        (select(marks.outcome, marks.reason, number).where(marks.run_id == _columns.run_id).group_by(marks.outcome, marks.reason))
        .correlate(job_runs)
        .subquery()
    )
    one = func.jsonb_build_array(counted.c.outcome, counted.c.reason, counted.c.number)
    ordered = aggregate_order_by(one, counted.c.number.desc(), counted.c.outcome, counted.c.reason)
    return select(func.jsonb_agg(ordered, type_=JSONB)).correlate(job_runs).select_from(counted).scalar_subquery()


# Once the run has ended its marks are not counted any more: they may be gone.
_CAME = func.coalesce(_columns.organizations, _summary(), type_=JSONB)
_RUN = (
    select(*(column for column in _columns if column.name != "organizations"))
    .add_columns(_SCHEDULED_FOR.label("scheduled_for"), _CAME.label("organizations"))
    .select_from(job_runs)
)

_FREE = (_columns.state == RunState.QUEUED) | ((_columns.state == RunState.RUNNING) & (_columns.lease_until < now()))
_KNOWN = _columns.job == any_(bindparam("jobs", type_=ARRAY(Text)))
_OLDEST = select(_columns.run_id).where(_FREE, _KNOWN, _columns.attempt < MAX_ATTEMPTS).order_by(_columns.created_at).limit(1)
# Without the key, or a transaction that marks an organization, of a worker that stands still, would hide the run.
_OLDEST_FREE = _OLDEST.with_for_update(skip_locked=True, key_share=True).scalar_subquery()
# Every worker asks for one each second, and buries: compiled once.
_CLAIM = (
    update(job_runs)
    .where(_columns.run_id == _OLDEST_FREE)
    .values(
        state=RunState.RUNNING,
        started_at=func.coalesce(_columns.started_at, now()),
        attempt=_columns.attempt + 1,
        revision=_columns.revision + 1,
        lease=bindparam("lease", type_=Uuid),
        lease_until=now() + bindparam("hold", type_=Interval),
        message="started",
        progress=0.0,
    )
    .returning(_columns.run_id, _columns.job, _columns.scope, _columns.traceparent, _SCHEDULED_FOR.label("scheduled_for"))
)
_BURY = (
    update(job_runs)
    .where(_columns.state == RunState.RUNNING, _columns.lease_until < now(), _columns.attempt >= MAX_ATTEMPTS)
    .values(
        state=RunState.FAILED,
        completed_at=now(),
        revision=_columns.revision + 1,
        lease=None,
        organizations=_summary(),
        error_reason="POISON",
        error_message=f"interrupted, or lost its worker, {MAX_ATTEMPTS} times; run.interrupted in the workers' logs says why",
    )
    .returning(_columns.run_id)
)
# And a run reports each second how far it is.
_REPORT = (
    update(job_runs)
    .where(
        _columns.run_id == bindparam("run", type_=Uuid), _columns.lease == bindparam("held", type_=Uuid), _columns.state == RunState.RUNNING
    )
    .values(
        progress=bindparam("share", type_=Double),
        message=bindparam("said", type_=Text),
        lease_until=now() + bindparam("hold", type_=Interval),
        revision=_columns.revision + case((_columns.message == bindparam("said", type_=Text), 0), else_=1),
    )
)


async def add(tx: Tx, run_id: RunId, order: Order) -> bool:
    """Queue a run; False when one of the same job and scope is unfinished or the request id was used."""
    statement = insert(job_runs).values(
        run_id=run_id,
        job=order.job,
        scope=order.scope,
        state=RunState.QUEUED,
        message="waiting for a worker",
        requested_by=order.user,
        request_id=order.request_id or None,
        request_hash=order.request_hash,
        traceparent=order.traceparent,
        created_at=now(),
    )
    tx.wake(QUEUED_TOPIC)
    return bool(await tx.run(statement.on_conflict_do_nothing()))


async def forget_request(tx: Tx, user: UserId, request_id: str) -> None:
    """Free a request id whose 24 hours are over."""
    mine = (_columns.requested_by == user) & (_columns.request_id == request_id)
    await tx.run(update(job_runs).where(mine, _columns.created_at < now() - _REQUEST_KEPT).values(request_id=None))


async def get(tx: ReadTx, run_id: RunId) -> Run | None:
    """Return a run."""
    row = await tx.first(_RUN.where(_columns.run_id == run_id))
    return None if row is None else _run(row)


async def unfinished(tx: ReadTx, job: str, scope: str) -> Run | None:
    """Return the run of a job and scope that has not ended."""
    row = await tx.first(_RUN.where(_columns.job == job, _columns.scope == scope, _UNFINISHED))
    return None if row is None else _run(row)


async def by_request(tx: ReadTx, user: UserId, request_id: str) -> tuple[Run, bytes] | None:
    """Return the run that a request id made, with the hash of that request, for 24 hours."""
    mine = (_columns.requested_by == user) & (_columns.request_id == request_id)
    row = await tx.first(_RUN.where(mine, _columns.created_at >= now() - _REQUEST_KEPT))
    return None if row is None else (_run(row), bytes(row.request_hash))


async def page(
    tx: ReadTx, state: RunState | None, jobs: Collection[str], before: tuple[datetime, UUID] | None, limit: int
) -> Sequence[Run]:
    """Return at most `limit` runs of `jobs` (none means all), newest first, older than the cursor `before`."""
    query = _RUN.order_by(_columns.created_at.desc(), _columns.run_id.desc()).limit(limit)
    if state is not None:
        query = query.where(_columns.state == state)
    if jobs:
        query = query.where(_columns.job.in_(jobs))
    if before is not None:
        query = query.where(tuple_(_columns.created_at, _columns.run_id) < tuple_(*before))
    return [_run(row) for row in await tx.all(query)]


async def claim(tx: Tx, lease: UUID, hold: timedelta, jobs: Collection[str]) -> Claim | None:
    """Take the oldest run of `jobs` that waits or whose worker let its lease end; None when there is none.

    A job that this release does not know is left to one that does.
    """
    row = await tx.first(_CLAIM, {"lease": lease, "hold": hold, "jobs": list(jobs)})
    if row is None:
        return None
    tx.wake(topic(RunId(row.run_id)))
    return Claim(RunId(row.run_id), row.job, row.scope, lease, row.traceparent, row.scheduled_for)


async def bury_abandoned(tx: Tx) -> Sequence[RunId]:
    """Fail the runs whose last allowed attempt was interrupted or whose worker vanished; returns their ids."""
    buried = [RunId(row.run_id) for row in await tx.all(_BURY)]
    for run_id in buried:
        tx.wake(topic(run_id))
    return buried


async def report(tx: Tx, held: Claim, progress: float, message: str, hold: timedelta) -> bool:
    """Record progress and renew the lease; False when another worker has the run by now."""
    tx.wake(topic(held.run_id))
    parameters = {"run": held.run_id, "held": held.lease, "share": progress, "said": message, "hold": hold}
    return bool(await tx.run(_REPORT, parameters))


async def complete(tx: Tx, held: Claim, result: Mapping[str, object]) -> bool:
    """End a run well; False when another worker has it by now."""
    return await _change(
        tx,
        held,
        state=RunState.COMPLETED,
        progress=1.0,
        message="completed",
        completed_at=now(),
        revision=_columns.revision + 1,
        lease=None,
        organizations=_summary(),
        result=dict(result),
    )


async def fail(tx: Tx, held: Claim, reason: str, message: str) -> bool:
    """End a run with an error; False when another worker has it by now."""
    return await _change(
        tx,
        held,
        state=RunState.FAILED,
        message="failed",
        completed_at=now(),
        revision=_columns.revision + 1,
        lease=None,
        organizations=_summary(),
        error_reason=reason,
        error_message=message,
    )


async def release(tx: Tx, held: Claim) -> bool:
    """Hand a run back, for a worker that shuts down; the attempt does not count."""
    tx.wake(QUEUED_TOPIC)
    return await _change(
        tx,
        held,
        state=RunState.QUEUED,
        message="handed on by a worker that shut down",
        attempt=_columns.attempt - 1,
        revision=_columns.revision + 1,
        lease=None,
        lease_until=None,
    )


async def _change(tx: Tx, held: Claim, **values: object) -> bool:
    tx.wake(topic(held.run_id))
    mine = (_columns.run_id == held.run_id) & (_columns.lease == held.lease) & (_columns.state == RunState.RUNNING)
    return bool(await tx.run(update(job_runs).where(mine).values(**values)))


def _run(row: Record) -> Run:
    return Run(
        run_id=RunId(row.run_id),
        job=row.job,
        scope=row.scope,
        state=RunState(row.state),
        progress=row.progress,
        message=row.message,
        requested_by=UserId(row.requested_by),
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        revision=row.revision,
        attempt=row.attempt,
        error_reason=row.error_reason,
        error_message=row.error_message,
        result=row.result,
        scheduled_for=row.scheduled_for,
        organizations=_dealt(row.organizations_total, row.organizations),
    )


def _dealt(total: int | None, counts: Sequence[tuple[str, str, int]] | None) -> Dealt | None:
    if total is None:
        return None
    return Dealt(total, [Reasoned(outcome, reason, number) for outcome, reason, number in counts or ()])
