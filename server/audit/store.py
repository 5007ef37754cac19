"""All SQL of the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from sqlalchemy import bindparam, insert, select, tuple_

from server.audit.model import Act, Entry, Origin
from server.audit.tables import audit_entries
from server.db import now
from server.identity import OrgId, RequestId, UserId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.db import ReadTx, Tx

_columns = audit_entries.c


_RECORD = insert(audit_entries).values(
    org_id=bindparam("org"),
    entry_id=bindparam("id"),
    at=now(),
    actor=bindparam("who"),
    action=bindparam("what"),
    resource_type=bindparam("type"),
    resource_id=bindparam("resource"),
    request_id=bindparam("request"),
    details=bindparam("more"),
)


async def record(tx: Tx, origin: Origin, *acts: Act) -> None:
    """Append acts to the log of the transaction's tenant."""
    for act in acts:
        await tx.run(
            _RECORD,
            {
                "org": origin.org,
                "id": uuid4(),
                "who": origin.actor,
                "what": act.action,
                "type": act.resource_type,
                "resource": act.resource_id,
                "request": origin.request_id,
                "more": dict(act.details),
            },
        )


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
