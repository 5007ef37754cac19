"""What the ledger knows of a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from server.identity import RunId
    from server.schedule.calendar import Schedule


@dataclass(frozen=True, slots=True)
class Standing:
    """A schedule at the instant `now` of the database's clock.

    `first_seen` is when a process first knew of it with this cron expression, None before; `latest` the latest tick that was
    taken.
    """

    schedule: Schedule
    now: datetime
    first_seen: datetime | None
    latest: datetime | None

    @property
    def due(self) -> datetime | None:
        """The latest tick, if it was not taken; older ones that nobody took are never due again."""
        tick = self.schedule.latest_tick(self.now)
        missing = self.first_seen is not None and tick > self.first_seen and (self.latest is None or tick > self.latest)
        return tick if missing else None


@dataclass(frozen=True, slots=True)
class Tick:
    """An instant at which a schedule was due."""

    schedule: Schedule
    at: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """A tick and its run."""

    tick: Tick
    run_id: RunId
