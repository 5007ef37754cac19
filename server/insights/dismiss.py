"""Dismiss an insight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.audit import store as audit
from server.audit.model import Act
from server.errors import Reason, not_found
from server.events import store as events
from server.events.insights import InsightDismissed
from server.events.model import Cause
from server.insights import store

if TYPE_CHECKING:
    from server.audit.model import Origin
    from server.db import Tx
    from server.identity import InsightId
    from server.insights.store import Dismissed


async def dismiss_insight(tx: Tx, origin: Origin, insight_id: InsightId) -> Dismissed:
    """Take an active insight off the lists of everybody; one that is dismissed already stays as it is.

    Raises:
        AnalyticsError: INSIGHT_NOT_FOUND, also for one that has expired.

    """
    new = await store.dismiss(tx, origin.org, insight_id, origin.actor)
    if new is not None:
        details = {"category": new.category, "insight_type": new.insight_type}
        await audit.record(tx, origin, Act("insight.dismissed", "insight", str(insight_id), details))
        event = InsightDismissed(new.insight_id, new.category, new.insight_type, new.fingerprint, new.revision)
        await events.append(tx, origin.org, event, Cause(origin.request_id, ""))
    dismissed = await store.dismissed(tx, origin.org, insight_id, origin.actor)
    if dismissed is None:
        raise not_found(Reason.INSIGHT_NOT_FOUND, "insight", str(insight_id))
    return dismissed
