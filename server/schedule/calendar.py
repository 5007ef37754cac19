"""Everything that runs by the clock, on one page. Cron expressions of five fields, in UTC.

To add a schedule: a row here, its job in `workers.runs.JOBS`. Ticks that an outage swallowed are caught up by the latest
one of each schedule; `docs/schedule.md` says what else holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from cronsim import CronSim

if TYPE_CHECKING:
    from datetime import datetime

DAILY_METRICS = "daily_metrics"
WEEKLY_RETRAINING = "weekly_retraining"
MONTHLY_BENCHMARKS = "monthly_benchmarks"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job and when it runs; `scope` is what may run once at a time, as of a run."""

    job: str
    cron: str
    description: str
    scope: str = ""

    def next_tick(self, now: datetime) -> datetime:
        """Return the first tick after `now`, an aware instant."""
        return next(CronSim(self.cron, now.astimezone(UTC)))

    def latest_tick(self, now: datetime) -> datetime:
        """Return the last tick up to and including `now`, an aware instant."""
        # Backwards the search leaves out the second that it begins with.
        return next(CronSim(self.cron, now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1), reverse=True))


CALENDAR = (
    Schedule(DAILY_METRICS, "0 3 * * *", "metrics and insights of every organization"),
    Schedule(WEEKLY_RETRAINING, "0 2 * * 1", "retraining of every shared model type"),
    Schedule(MONTHLY_BENCHMARKS, "0 1 1 * *", "anonymous benchmarks over all contributing organizations"),
)
"""The schedules: daily at 03:00, Mondays at 02:00, the first of a month at 01:00."""
