"""The dispatcher: a loop in every worker, woken by commits and finishes, at least once a second.

In workers only: what is started goes to workers of the same release, and where none is left nothing is started that
would count against the limits and run nowhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from server import failpoints
from server.db.engines import DbRole
from server.lifecycle import to_its_end
from server.predictions.dispatch import store
from server.predictions.dispatch.store import Limit, Limits
from server.predictions.jobs import execute_predictions
from server.predictions.model import HANDED_OVER_TOPIC, QUEUED_TOPIC
from server.queue import QueueUnavailable
from server.queue.bell import wait
from server.telemetry import metrics

if TYPE_CHECKING:
    from server.db import Database
    from server.queue import Bell, Queue
    from server.settings import Settings

IDLE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 0.05
_PAUSES_PER_ROUND = 2
"""Where it rang during a round, the pause after it is as many times as long as the round took: under load every request and
every finish rings, and what rings in a pause is seen by one round, whose starts travel together."""
_ROUNDING_SECONDS = 0.005
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a claim did: its starts, whether another may start more, and if not, when time alone allows it."""

    starts: int
    more: bool
    seconds_to_next: float | None


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Starts due jobs within the limits."""

    db: Database
    queue: Queue
    bell: Bell
    limits: Limits

    async def run(self) -> None:
        """Dispatch until cancelled; a database or Valkey that is away is tried again a second later."""
        clock = asyncio.get_running_loop().time
        with self.bell.waiting(QUEUED_TOPIC) as rung:
            while True:
                idle, began = IDLE_SECONDS, clock()
                rung.clear()
                try:
                    idle = await self.drain()
                except (SQLAlchemyError, QueueUnavailable, OSError) as error:
                    _log.warning("dispatch.failed", error=type(error).__name__)
                except Exception:  # noqa: BLE001 - logged with its traceback; a defect costs a round, not every prediction from now on
                    _log.exception("dispatch.broken")
                if rung.is_set():
                    await asyncio.sleep(min(_PAUSES_PER_ROUND * (clock() - began), LONGEST_PAUSE_SECONDS))
                await wait(rung, idle)

    async def drain(self) -> float:
        """Start all that may be started now; returns after how many seconds more may start by time alone."""
        # Not after the claim: a start that cannot be handed over waits for the end of its lease.
        await self.queue.check()
        while (batch := await self._batch()).more:
            pass
        seconds = batch.seconds_to_next
        return IDLE_SECONDS if seconds is None else min(max(seconds, 0.0) + _ROUNDING_SECONDS, IDLE_SECONDS)

    async def dispatch(self) -> int:
        """Start one batch; returns how many. A start that arq does not get is swept when its lease ends."""
        return (await self._batch()).starts

    async def _batch(self) -> _Batch:
        # Starts that are committed and not handed over, because the process stops, would wait for the end of their lease.
        return await to_its_end(self._claim_and_hand_over())

    async def _claim_and_hand_over(self) -> _Batch:
        async with self.db.platform(DbRole.DISPATCH) as tx:
            starts = await store.claim(tx, self.limits)
            more = store.may_claim_more(starts, self.limits)
            seconds = None if more else await store.seconds_to_next(tx)
            if starts:
                await failpoints.passing("dispatch.claimed_before_commit")
        if starts:
            metrics.PREDICTIONS_STARTED.inc(len(starts))
            await failpoints.passing("dispatch.committed")
            await self.queue.put(execute_predictions(starts))
            await self.bell.ring((HANDED_OVER_TOPIC,))
            await failpoints.passing("dispatch.enqueued")
        return _Batch(len(starts), more, seconds)


def limits(settings: Settings) -> Limits:
    """Read the limits; 0 in a setting is no limit."""
    return Limits(
        per_org=Limit(settings.predictions_per_org or None, settings.prediction_starts_per_minute_per_org or None),
        per_model_type=Limit(settings.predictions_per_model_type or None, settings.prediction_starts_per_minute_per_model_type or None),
        in_all=Limit(settings.predictions_in_all or None, settings.prediction_starts_per_minute or None),
        hold=timedelta(seconds=settings.prediction_lease_seconds),
    )
