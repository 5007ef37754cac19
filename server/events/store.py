"""All SQL of the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert

from server.db import now
from server.events.model import event_id
from server.events.tables import outbox

if TYPE_CHECKING:
    from server.db import Tx
    from server.events.model import Cause, PredictionEvent
    from server.identity import OrgId


_APPEND = insert(outbox).values(
    org_id=bindparam("org"),
    event_id=bindparam("id"),
    type=bindparam("kind"),
    subject=bindparam("about"),
    occurred_at=now(),
    correlation_id=bindparam("correlation"),
    traceparent=bindparam("trace"),
    payload=bindparam("content"),
)


async def append(tx: Tx, org: OrgId, event: PredictionEvent, cause: Cause) -> None:
    """Write an event in the transaction of its change."""
    payload = {
        "job_id": str(event.job_id),
        "generation": event.generation,
        "model_type": event.model_type,
        "model_version": event.model_version,
    }
    await tx.run(
        _APPEND,
        {
            "org": org,
            "id": event_id(org, event),
            "kind": event.type,
            "about": event.subject,
            "correlation": cause.correlation_id,
            "trace": cause.traceparent,
            "content": payload,
        },
    )
