"""All SQL of marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, Text, Uuid, bindparam, delete, select, text, update

from server.db import now
from server.identity import OrgId
from server.schedule.marks.model import Entry, Mark, Outcome, Pending
from server.schedule.tables import job_run_organizations, job_runs
from server.tenants import store as tenants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from server.db import ReadTx, Tx
    from server.identity import RunId
    from server.schedule.model import Claim

_marks = job_run_organizations.c
_RECORD = text(
    """
    INSERT INTO job_run_organizations (run_id, org_id, outcome, reason, at)
    SELECT :run, e.org_id, e.outcome, e.reason, analytics_now() FROM unnest(:orgs, :outcomes, :reasons) AS e (org_id, outcome, reason)
    WHERE EXISTS (SELECT FROM job_runs WHERE run_id = :run AND lease = :lease AND state = 'RUNNING')
    ON CONFLICT DO NOTHING
    """
).bindparams(
    *(bindparam(name, type_=Uuid) for name in ("run", "lease")),
    *(bindparam(name, type_=ARRAY(Text)) for name in ("orgs", "outcomes", "reasons")),
)

_MARKED = text("SELECT org_id FROM job_run_organizations WHERE run_id = :run AND org_id = ANY (:orgs)").bindparams(
    bindparam("run", type_=Uuid), bindparam("orgs", type_=ARRAY(Text))
)
_HELD = text("SELECT run_id FROM job_runs WHERE run_id = :run AND lease = :lease AND state = 'RUNNING'").bindparams(
    *(bindparam(name, type_=Uuid) for name in ("run", "lease"))
)


async def pending(tx: ReadTx, run_id: RunId, after: str, limit: int) -> Pending:
    """Return the organizations without a mark of the run among the next `limit` known ones after `after`, by id."""
    orgs = await tenants.organizations(tx, after, limit)
    marked = {row.org_id for row in await tx.all(_MARKED, {"run": run_id, "orgs": list(orgs)})}
    return Pending([org for org in orgs if org not in marked], len(orgs), orgs[-1] if orgs else None)


async def record(tx: Tx, held: Claim, entries: Sequence[Entry]) -> int:
    """Mark organizations; returns how many were marked by this call: none when the lease is lost, not those marked before.

    May be called from an organization's own transaction. As its first statement it makes a second worker wait, and then
    see that there is nothing left to do.
    """
    columns = {
        "orgs": [entry.org for entry in entries],
        "outcomes": [entry.outcome.value for entry in entries],
        "reasons": [entry.reason for entry in entries],
    }
    return await tx.run(_RECORD, {"run": held.run_id, "lease": held.lease, **columns})


async def marked(tx: ReadTx, held: Claim, org: OrgId) -> bool:
    """Whether the organization is marked and the run still held."""
    ours = await tx.first(_HELD, {"run": held.run_id, "lease": held.lease})
    return ours is not None and bool(await tx.all(_MARKED, {"run": held.run_id, "orgs": [org]}))


async def announce(tx: Tx, held: Claim, total: int) -> None:
    """Say how many organizations the run deals with."""
    mine = (job_runs.c.run_id == held.run_id) & (job_runs.c.lease == held.lease)
    await tx.run(update(job_runs).where(mine).values(organizations_total=total))


async def page(tx: ReadTx, run_id: RunId, outcome: Outcome | None, after: str, limit: int) -> Sequence[Mark]:
    """Return at most `limit` marks of a run by organization, beginning after `after`."""
    query = select(job_run_organizations).where(_marks.run_id == run_id, _marks.org_id > after).order_by(_marks.org_id).limit(limit)
    if outcome is not None:
        query = query.where(_marks.outcome == outcome)
    return [Mark(Entry(OrgId(row.org_id), Outcome(row.outcome), row.reason), row.at) for row in await tx.all(query)]


async def forget(tx: Tx, kept: timedelta) -> int:
    """Delete the marks of runs that ended longer ago; their counts stay with the runs."""
    ended = select(job_runs.c.run_id).where(job_runs.c.completed_at < now() - kept)
    return await tx.run(delete(job_run_organizations).where(_marks.run_id.in_(ended)))
