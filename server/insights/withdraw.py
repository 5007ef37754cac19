"""Take back what a run no longer finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.events import store as events
from server.events.insights import InsightUpdated
from server.events.model import Told
from server.insights import store

if TYPE_CHECKING:
    from collections.abc import Collection

    from server.db import Tx
    from server.events.model import Cause
    from server.identity import OrgId
    from server.insights.model import InsightType, Turn


async def withdraw(  # noqa: PLR0913 - what a run looked for, and where it is written
    tx: Tx, org: OrgId, types: Collection[InsightType], kept_fingerprints: Collection[bytes], cause: Cause, turn: Turn | None = None
) -> int:
    """Let the active insights of `types` expire now, but for those that the run found; returns how many did.

    For a run that looked at everything and ended well: what it did not find is not so any more, for example because a payroll
    month was corrected. A dismissed insight stays what it is. One that is found again later comes back unviewed.
    `turn` is that of this transaction, None to take it here.
    """
    turn = turn or await store.take_turn(tx, org)
    if not turn.listed:
        # What was added in this turn was found.
        return 0
    gone = await store.withdraw(tx, org, sorted(types), list(kept_fingerprints), turn.now)
    told = [InsightUpdated(one.insight_id, one.category, one.insight_type, one.revision) for one in gone]
    await events.append_all(tx, [Told(org, event, cause) for event in told])
    return len(gone)
