"""Note that somebody has seen insights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import Reason, not_found
from server.insights import store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import Tx
    from server.identity import InsightId, OrgId, UserId


async def mark_viewed(tx: Tx, org: OrgId, viewer: UserId, insight_ids: Sequence[InsightId]) -> None:
    """Note all of them, or none when one is unknown.

    One that was dismissed or has expired is known: it may have been so on the viewer's screen a moment ago, and comes back
    unviewed if it does.

    Raises:
        AnalyticsError: INSIGHT_NOT_FOUND, names the first unknown id.

    """
    known = await store.known(tx, org, insight_ids)
    for insight_id in insight_ids:
        if insight_id not in known:
            raise not_found(Reason.INSIGHT_NOT_FOUND, "insight", str(insight_id))
    await store.view(tx, org, viewer, list(known))
