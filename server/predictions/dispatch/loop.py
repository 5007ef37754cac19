"""The dispatcher: one loop per process, woken by commits and finishes, at least once a second."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from server.db.engines import DbRole
from server.predictions.dispatch import store
from server.predictions.jobs import execute_prediction
from server.predictions.model import QUEUED_TOPIC
from server.queue import QueueUnavailable
from server.queue.bell import wait
from server.telemetry import metrics

if TYPE_CHECKING:
    from server.db import Database
    from server.predictions.dispatch.store import Limits
    from server.predictions.inputs import InputVault
    from server.queue import Bell, Queue

IDLE_SECONDS = 1.0
SWEEP_EVERY_SECONDS = 1.0
EXTEND_EVERY_SECONDS = 300.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Starts due jobs within the limits, takes back abandoned ones, keeps inputs alive."""

    db: Database
    queue: Queue
    bell: Bell
    inputs: InputVault
    limits: Limits
    max_crashes: int

    async def run(self) -> None:
        """Dispatch until cancelled; a database or Valkey that is away is tried again a second later."""
        clock = asyncio.get_running_loop().time
        next_sweep = next_extend = 0.0
        with self.bell.waiting(QUEUED_TOPIC) as rung:
            while True:
                try:
                    if clock() >= next_sweep:
                        await self.sweep()
                        next_sweep = clock() + SWEEP_EVERY_SECONDS
                    if clock() >= next_extend:
                        await self.extend_inputs()
                        next_extend = clock() + EXTEND_EVERY_SECONDS
                    await self.dispatch()
                except (SQLAlchemyError, QueueUnavailable, OSError) as error:
                    _log.warning("dispatch.failed", error=type(error).__name__)
                await wait(rung, IDLE_SECONDS)

    async def dispatch(self) -> int:
        """Start what may be started now; returns how many. A start that arq does not get is swept when its lease ends."""
        async with self.db.platform(DbRole.DISPATCH) as tx:
            starts = await store.claim(tx, self.limits)
        metrics.PREDICTIONS_STARTED.inc(len(starts))
        await self.queue.put([execute_prediction(start) for start in starts])
        return len(starts)

    async def sweep(self) -> None:
        """Take back the jobs whose lease ended; the inputs of those that are not tried again are dropped."""
        async with self.db.platform(DbRole.DISPATCH) as tx:
            buried = await store.sweep(tx, self.max_crashes)
        for start in buried:
            await self.inputs.forget(start.org, start.job_id, start.generation)

    async def extend_inputs(self) -> None:
        """Renew the life of the inputs of unfinished jobs."""
        async with self.db.platform(DbRole.DISPATCH) as tx:
            unfinished = await store.unfinished(tx)
        await self.inputs.extend(unfinished)


def limits(*, per_org: int, starts_per_minute: int, lease_seconds: float) -> Limits:
    """Build the limits from settings."""
    return store.Limits(per_org, starts_per_minute, timedelta(seconds=lease_seconds))
