"""A worker whose daily job leaves a row per organization and tick, and that looks at the calendar all the time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sqlalchemy import text

from server.schedule.calendar import DAILY_METRICS
from server.schedule.marks.mark import mark_done
from workers import __main__ as worker
from workers import runs, schedule
from workers.organizations import Done, for_each_organization

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.app import App
    from server.identity import OrgId
    from server.schedule.model import Claim

_EFFECT = text("INSERT INTO effects VALUES (:tick, :org)")


async def _daily(app: App, claim: Claim, progress: Callable[[float, str], None]) -> Mapping[str, object]:
    async def act(org: OrgId) -> Done:
        async with app.tx(org) as tx:
            await mark_done(tx, claim, org)
            await tx.run(_EFFECT, {"tick": str(claim.scheduled_for), "org": org})
        return Done(marked=True)

    return {"organizations": (await for_each_organization(app, claim, progress, act)).total}


if __name__ == "__main__":
    vars(runs)["JOBS"] = {DAILY_METRICS: _daily}
    vars(schedule)["_LOOK_EVERY_SECONDS"] = 0.05
    sys.exit(worker.main())
