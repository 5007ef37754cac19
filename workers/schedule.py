"""The clock of the schedule: a loop in every worker that takes the ticks of `server.schedule.calendar` as they come due."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from server.schedule.calendar import CALENDAR
from server.schedule.ledger.tick import Ticker
from server.schedule.marks import store as marks
from server.telemetry import metrics
from workers import runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.app import App
    from server.schedule.ledger.model import Standing

# Also how soon a tick is taken whose job was still at work when it came.
_LOOK_EVERY_SECONDS = 5.0
_MARKS_KEPT = timedelta(days=90)
_log = structlog.get_logger(__name__)


async def follow_calendar(app: App) -> None:
    """Take ticks until cancelled; a database that is away is asked again, and what it missed is caught up."""
    while True:
        pause = _LOOK_EVERY_SECONDS
        try:
            pause = await take_due(app)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("schedule.not_looked", error=type(error).__name__)
        except Exception:  # noqa: BLE001 - logged with its traceback; a defect costs a round, not every tick from now on
            _log.exception("schedule.broken")
        await asyncio.sleep(pause)


async def take_due(app: App) -> float:
    """Take what is due of the jobs that this process can run; returns the seconds to wait before the next look."""
    ticker = Ticker(app.db, [schedule for schedule in CALENDAR if schedule.job in runs.JOBS])
    found = await ticker.look()
    for standing in found:
        await _take(app, ticker, standing)
    return _pause(found)


async def _take(app: App, ticker: Ticker, standing: Standing) -> None:
    job, due = standing.schedule.job, standing.due
    late = 0.0 if due is None else (standing.now - due).total_seconds()
    taken = await ticker.take(standing)
    if taken is None:
        metrics.SCHEDULE_LATE_SECONDS.labels(job).set(late)
        return
    metrics.SCHEDULE_LATE_SECONDS.labels(job).set(0.0)
    metrics.SCHEDULE_TICKS.labels(job).inc()
    _log.info(
        "schedule.tick_taken", job=job, run_id=str(taken.run_id), scheduled_for=taken.tick.at.isoformat(), late_seconds=round(late, 1)
    )
    async with app.db.platform() as tx:
        await marks.forget(tx, _MARKS_KEPT)


def _pause(found: Sequence[Standing]) -> float:
    """Seconds to the next tick, in the time of the database, at most as many as pass between two looks."""
    ahead = [(standing.schedule.next_tick(standing.now) - standing.now).total_seconds() for standing in found]
    return min([_LOOK_EVERY_SECONDS, *ahead])
