"""All SQL of what is done in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import Text, bindparam, cast, select, true
from sqlalchemy.dialects.postgresql import insert

from server.audit.tables import audit_entries
from server.db import now
from server.db.tenant import of_tenant, tenant
from server.predictions.model import JobState
from server.predictions.store import read_job
from server.predictions.tables import prediction_jobs
from server.registry.model import ModelState
from server.registry.tables import shared_models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Executable

    from server.audit.model import Origin
    from server.db import Database
    from server.identity import JobId, ModelId, OrgId
    from server.predictions.model import InputHash, PredictionJob

_jobs = prediction_jobs.c
_SHOWN = [
    column
    for column in _jobs
    if column.name not in {"crashes", "requested_by", "traceparent", "lease_token", "lease_until", "acknowledged"}
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
    written = {
        "org_id": twin.c.org_id,
        "entry_id": bindparam("entry"),
        "at": now(),
        "actor": bindparam("who"),
        "action": bindparam("what", "prediction.requested"),
        "resource_type": bindparam("resource", "prediction_job"),
        "resource_id": cast(twin.c.job_id, Text),
        "request_id": bindparam("request"),
        "details": bindparam("details", type_=audit_entries.c.details.type),
    }
    stands = select(*written.values()).where(twin.c.state != JobState.FAILED, twin.c.state != JobState.CANCELLED)
    audited = insert(audit_entries).from_select(list(written), stands).cte("audited")
    model = active.subquery("model")
    return select(twin).select_from(model.outerjoin(twin, true())).add_cte(audited)


_ONE = _one()
_REPEAT = _repeat()


async def get(db: Database, org: OrgId, job_id: JobId) -> PredictionJob | None:
    """Return a job of the organization."""
    rows = await db.at_once(org, _ONE, {"job": job_id})
    return read_job(rows[0]) if rows else None


async def repeat(db: Database, origin: Origin, model_id: ModelId, input_hash: InputHash, details: Mapping[str, str]) -> Found | None:
    """Look for the job of an identical input and audit a request that it answers, with `details`; None when the model is not active."""
    parameters = {
        "model": model_id,
        "hash": input_hash,
        "entry": uuid4(),
        "who": origin.actor,
        "request": origin.request_id,
        "details": dict(details),
    }
    rows = await db.at_once(origin.org, _REPEAT, parameters)
    if not rows:
        return None
    if rows[0].job_id is None:
        return Found(None, answered=False)
    twin = read_job(rows[0])
    return Found(twin, answered=twin.state not in (JobState.FAILED, JobState.CANCELLED))
