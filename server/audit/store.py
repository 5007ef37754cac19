"""All SQL of the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from sqlalchemy import insert, select, tuple_

from server.audit.model import Act, Entry, Origin
from server.audit.tables import audit_entries
from server.db import now
from server.db.statements import given, insert_from
from server.identity import OrgId, RequestId, UserId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, FromClause
    from sqlalchemy.dialects.postgresql import Insert

    from server.db import ReadTx, Tx

_columns = audit_entries.c


_ENTRY = {
    **given(
        audit_entries,
        org_id="entry_org",
        entry_id="entry_id",
        actor="entry_actor",
        action="entry_action",
        resource_type="entry_resource_type",
        resource_id="entry_resource",
        request_id="entry_request",
        details="entry_details",
    ),
    "at": now(),
}
_RECORD = insert(audit_entries).values(_ENTRY)
COUNT = "SELECT count(*) FROM audit_entries WHERE org_id = :org AND action = :action"
"""How many entries of an action there are, as a part of others' statements."""


async def record(tx: Tx, origin: Origin, *acts: Act) -> None:
    """Append acts to the log of the transaction's tenant."""
    for act in acts:
        await tx.run(_RECORD, parameters(origin, act))


def record_from(rows: FromClause, resource_id: ColumnElement[str] = _ENTRY["resource_id"]) -> Insert:
    """Return the part of a statement that appends an act for each of `rows`; `parameters` says which act."""
    return insert_from(audit_entries, {**_ENTRY, "resource_id": resource_id}, rows)


def parameters(origin: Origin, act: Act) -> Mapping[str, object]:
    """Return the parameters of an act."""
    return {
        "entry_org": origin.org,
        "entry_id": uuid4(),
        "entry_actor": origin.actor,
        "entry_action": act.action,
        "entry_resource_type": act.resource_type,
        "entry_resource": act.resource_id,
        "entry_request": origin.request_id,
        "entry_details": dict(act.details),
    }


async def page(tx: ReadTx, org: OrgId, action: str, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[Entry]:
    """Return at most `limit` entries, newest first, older than the cursor `before`."""
    query = select(audit_entries).where(_columns.org_id == org).order_by(_columns.at.desc(), _columns.entry_id.desc()).limit(limit)
    if action:
        query = query.where(_columns.action == action)
    if before is not None:
        query = query.where(tuple_(_columns.at, _columns.entry_id) < tuple_(*before))
    return [
        Entry(
            row.entry_id,
            row.at,
            UserId(row.actor),
            RequestId(row.request_id),
            Act(row.action, row.resource_type, row.resource_id, row.details),
        )
        for row in await tx.all(query)
    ]
