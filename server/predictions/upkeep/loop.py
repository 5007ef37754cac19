"""Take back abandoned jobs and keep the inputs of unfinished ones alive: in every process, also where no worker is left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from server import failpoints
from server.db.engines import DbRole
from server.predictions.model import JobState
from server.predictions.upkeep import store
from server.predictions.upkeep.store import FIRST_PLACE, Place
from server.queue import QueueUnavailable
from server.telemetry import metrics

if TYPE_CHECKING:
    from server.db import Database
    from server.predictions.inputs import InputVault

SWEEP_EVERY_SECONDS = 1.0
_PAGE = 1_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Sweeps and renews; any number of processes may do it at the same time."""

    db: Database
    inputs: InputVault
    max_crashes: int

    async def run(self) -> None:
        """Go on until cancelled; what a database or Valkey that is away prevents is done when it is back."""
        clock = asyncio.get_running_loop().time
        next_extension = 0.0
        while True:
            try:
                await self.sweep()
                if clock() >= next_extension:
                    await self.extend_inputs()
                    next_extension = clock() + self.inputs.ttl_seconds / 3
            except (SQLAlchemyError, QueueUnavailable, OSError) as error:
                _log.warning("upkeep.failed", error=type(error).__name__)
            except Exception:  # noqa: BLE001 - logged with its traceback; a defect costs a round, not all that follow
                _log.exception("upkeep.broken")
            await asyncio.sleep(SWEEP_EVERY_SECONDS)

    async def sweep(self) -> None:
        """Take back the jobs whose lease ended; the inputs of those that are not tried again are dropped."""
        async with self.db.platform(DbRole.DISPATCH) as tx:
            buried = await store.sweep(tx, self.max_crashes)
        await failpoints.passing("sweep.done")
        for job in buried:
            metrics.PREDICTIONS_ENDED.labels(job.model_type, JobState.FAILED).inc()
        for job in buried:
            await self.inputs.forget(job.org, job.job_id, job.generation)

    async def extend_inputs(self) -> None:
        """Renew the life of the inputs of unfinished jobs."""
        place: Place | None = FIRST_PLACE
        while place is not None:
            async with self.db.platform(DbRole.DISPATCH) as tx:
                waiting, place = await store.waiting(tx, place, _PAGE)
            await self.inputs.extend(waiting)
        # Last, so that what was started during the walk is among them.
        async with self.db.platform(DbRole.DISPATCH) as tx:
            running = await store.running(tx)
        await self.inputs.extend(running)
