"""Counting the queue: once for all processes, for the cap in all and for the metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import SQLAlchemyError

from server.db.engines import DbRole
from server.predictions.backlog import store
from server.telemetry import metrics

if TYPE_CHECKING:
    from server.db import Database

_log = structlog.get_logger(__name__)


async def keep_counting(db: Database) -> None:
    """Count once a second until cancelled, where no other process has; beside the dispatching, which it must not hold up."""
    while True:
        try:
            await count(db)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("backlog.not_counted", error=type(error).__name__)
        except Exception:  # noqa: BLE001 - logged with its traceback; a defect costs a count, not all that follow
            _log.exception("backlog.broken")
        await asyncio.sleep(store.FRESH_SECONDS)


async def count(db: Database) -> None:
    """Bring the metrics up to date, counting anew when the last count is not fresh."""
    async with db.platform(DbRole.DISPATCH) as tx:
        figures = await store.published(tx) or await store.publish(tx)
    if figures is None:
        return
    metrics.PREDICTIONS_WAITING.labels("due").set(figures.due)
    metrics.PREDICTIONS_WAITING.labels("later").set(figures.later)
    metrics.PREDICTIONS_RUNNING.set(figures.running)
    metrics.PREDICTION_STARTS_LAST_MINUTE.set(figures.starts)
    metrics.PREDICTION_OLDEST_WAIT_SECONDS.set(0.0 if figures.oldest_wait is None else figures.oldest_wait.total_seconds())
