"""All SQL of what is done in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Text, bindparam, cast, func, literal, select, true

from server.audit import store as audit
from server.db.tenant import of_tenant, tenant
from server.events import store as events
from server.events.model import OUTBOX_TOPIC
from server.predictions.backlog.store import MOST_AT_ONCE
from server.predictions.model import QUEUED_TOPIC, JobState
from server.predictions.request import audited, stands, told
from server.predictions.store import insert_queued_from, read_job
from server.predictions.store import parameters as new_job_parameters
from server.predictions.tables import prediction_backlog, prediction_jobs
from server.registry.model import ModelState
from server.registry.tables import shared_models

if TYPE_CHECKING:
    from sqlalchemy import Executable

    from server.audit.model import Origin
    from server.db import Database
    from server.identity import JobId, OrgId
    from server.predictions.backlog.room import Caps
    from server.predictions.model import NewJob, PredictionJob

_jobs = prediction_jobs.c
_backlog = prediction_backlog.c
_SHOWN = [
    column
    for column in _jobs
    if column.name not in {"crashes", "failures", "requested_by", "traceparent", "lease_token", "lease_until", "acknowledged"}
]


@dataclass(frozen=True, slots=True)
class Found:
    """What an input met; `answered` when its twin stood for it and the request was audited."""

    twin: PredictionJob | None
    answered: bool


def _one() -> Executable:
    who = tenant()
    job = of_tenant(select(*_SHOWN).where(_jobs.org_id == who.c.org_id, _jobs.job_id == bindparam("job")), "job")
    return select(job).select_from(who.join(job, true()))


def _repeat() -> Executable:
    """Find the twin; where one stands, write the audit row of the request as well. No row at all: the model is not active."""
    who = tenant()
    active = select(shared_models.c.model_id).where(
        shared_models.c.model_id == bindparam("model"), shared_models.c.state == ModelState.ACTIVE
    )
    same = select(*_SHOWN).where(
        _jobs.org_id == who.c.org_id, _jobs.model_id == bindparam("model"), _jobs.input_hash == bindparam("hash"), active.exists()
    )
    found = of_tenant(same, "found")
    twin = select(found).select_from(who.join(found, true())).cte("twin").prefix_with("MATERIALIZED")
    stands = select(twin).where(twin.c.state != JobState.FAILED, twin.c.state != JobState.CANCELLED).subquery("stands")
    audited = audit.record_from(stands, cast(stands.c.job_id, Text)).cte("audited")
    model = active.subquery("model")
    return select(twin).select_from(model.outerjoin(twin, true())).add_cte(audited)


def _queue() -> Executable:
    """Queue a job if there is room, with its event and its audit row; no row at all: no room, or an identical input was faster.

    The function takes its locks and counts before the insert, which goes by its answer, and each of its own statements
    has a snapshot that is younger than the locks.
    """
    who = tenant()
    in_org = func.prediction_room(who.c.org_id, bindparam("per_org", type_=BigInteger), literal(1), literal(MOST_AT_ONCE))
    room = select(who.c.org_id, in_org.label("in_org")).cte("room").prefix_with("MATERIALIZED")
    waiting = func.coalesce(select(_backlog.due + _backlog.later).scalar_subquery(), 0)
    free = select(room.c.org_id).where(room.c.in_org > 0, waiting < bindparam("in_all", type_=BigInteger)).subquery("free")
    job = insert_queued_from(free).cte("job")
    return select(*(job.c[column.name] for column in _SHOWN)).add_cte(
        events.append_from(job).cte("told"), audit.record_from(job).cte("audited")
    )


_ONE = _one()
_REPEAT = _repeat()
_QUEUE = _queue()


async def get(db: Database, org: OrgId, job_id: JobId) -> PredictionJob | None:
    """Return a job of the organization."""
    rows = await db.at_once(org, _ONE, {"job": job_id})
    return read_job(rows[0]) if rows else None


async def repeat(db: Database, origin: Origin, wanted: NewJob) -> Found | None:
    """Look for the job of an identical input and audit a request that it answers; None when the model is not active."""
    act = audit.parameters(origin, audited(wanted, deduplicated=True))
    rows = await db.at_once(origin.org, _REPEAT, {"model": wanted.model_id, "hash": wanted.input_hash, **act})
    if not rows:
        return None
    if rows[0].job_id is None:
        return Found(None, answered=False)
    twin = read_job(rows[0])
    return Found(twin, answered=stands(twin))


async def queue(db: Database, origin: Origin, job: NewJob, caps: Caps) -> PredictionJob | None:
    """Queue a job that nothing is known of; None when there may be no room or an identical input was faster."""
    parameters = {
        "per_org": caps.per_org,
        "in_all": caps.in_all,
        **new_job_parameters(origin.org, job),
        **events.parameters(origin.org, *told(origin, job, generation=1)),
        **audit.parameters(origin, audited(job, deduplicated=False)),
    }
    rows = await db.at_once(origin.org, _QUEUE, parameters, QUEUED_TOPIC, OUTBOX_TOPIC)
    return read_job(rows[0]) if rows else None
