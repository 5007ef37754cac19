"""Take what is due: what every worker does again and again, and any number of them at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from server import failpoints
from server.schedule.ledger import store
from server.schedule.ledger.model import Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import Database
    from server.schedule.calendar import Schedule
    from server.schedule.ledger.model import Standing, Taken


@dataclass(frozen=True, slots=True)
class Ticker:
    """Takes the ticks of some schedules; what is due is decided by the clock of the database alone."""

    db: Database
    schedules: Sequence[Schedule]

    async def look(self) -> Sequence[Standing]:
        """Return how the schedules stand; one that was never seen before is remembered, and is not due for the past."""
        async with self.db.platform() as tx:
            found = await store.look(tx, self.schedules)
            for each in found:
                if each.first_seen is None:
                    await store.see(tx, each.schedule)
        return found

    async def take(self, standing: Standing) -> Taken | None:
        """Take the tick that is due; None when there is none, somebody else has it, or an earlier run has not ended."""
        if standing.due is None:
            return None
        try:
            async with self.db.platform() as tx:
                taken = await store.take(tx, Tick(standing.schedule, standing.due), uuid4())
                await failpoints.passing("schedule.taken_before_commit")
        except store.TickTaken:
            return None
        await failpoints.passing("schedule.taken")
        return taken
