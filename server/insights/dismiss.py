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
    from server.db import ReadTx, Tx
    from server.identity import InsightId
    from server.insights.store import AsItIs


async def dismiss_insight(tx: Tx, origin: Origin, insight_id: InsightId) -> AsItIs:
    """Take an active insight off the lists of everybody; one that is dismissed already stays as it is.

    Raises:
        AnalyticsError: INSIGHT_NOT_FOUND, also for one that has expired.

    """
    new = await store.dismiss(tx, origin.org, insight_id, origin.actor)
    if new is not None:
        details = {"category": new.category, "insight_type": new.insight_type}
        await audit.record(tx, origin, Act("insight.dismissed", "insight", str(insight_id), details))
        event = InsightDismissed(new.insight_id, new.category, new.insight_type, new.revision)
        await events.append(tx, origin.org, event, Cause(origin.request_id, ""))
    return await read_again(tx, origin, insight_id)


async def read_again(tx: ReadTx, origin: Origin, insight_id: InsightId) -> AsItIs:
    """Return an insight for whoever dismissed it, as it is by now: whole, without what was erased, or active again.

    Raises:
        AnalyticsError: INSIGHT_NOT_FOUND, also for one that has expired.

    """
    found = await store.as_it_is(tx, origin.org, insight_id, origin.actor)
    if found is None:
        raise not_found(Reason.INSIGHT_NOT_FOUND, "insight", str(insight_id))
    return found
