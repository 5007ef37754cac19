"""Note that somebody has seen insights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.audit import store as audit
from server.audit.model import Act
from server.errors import Reason, not_found
from server.insights import store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.audit.model import Origin
    from server.db import Tx
    from server.identity import InsightId


async def mark_viewed(tx: Tx, origin: Origin, insight_ids: Sequence[InsightId]) -> None:
    """Note all of them, or none when one is unknown; what is new to the caller leaves one audit entry, a repetition none.

    One that was dismissed or has expired is known: it may have been so on the viewer's screen a moment ago, and comes back
    unviewed if it does.

    Raises:
        AnalyticsError: INSIGHT_NOT_FOUND, names the first unknown id.

    """
    known = await store.known(tx, origin.org, insight_ids)
    for insight_id in insight_ids:
        if insight_id not in known:
            raise not_found(Reason.INSIGHT_NOT_FOUND, "insight", str(insight_id))
    new = await store.view(tx, origin.org, origin.actor, list(known))
    if new:
        # Of one insight its id; of several how many, for one entry per call is enough to tell who looked.
        only = str(new[0]) if len(new) == 1 else ""
        await audit.record(tx, origin, Act("insight.viewed", "insight", only, {"insights": str(len(new))}))
