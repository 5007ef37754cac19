"""All SQL of the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from server.db import now
from server.events.model import event_id
from server.events.tables import outbox

if TYPE_CHECKING:
    from server.db import Tx
    from server.events.model import Cause, PredictionEvent
    from server.identity import OrgId


async def append(tx: Tx, org: OrgId, event: PredictionEvent, cause: Cause) -> None:
    """Write an event in the transaction of its change."""
    payload = {
        "job_id": str(event.job_id),
        "generation": event.generation,
        "model_type": event.model_type,
        "model_version": event.model_version,
    }
    await tx.run(
        insert(outbox).values(
            org_id=org,
            event_id=event_id(org, event),
            type=event.type,
            subject=event.subject,
            occurred_at=now(),
            correlation_id=cause.correlation_id,
            traceparent=cause.traceparent,
            payload=payload,
        )
    )
