"""Take queued runs, a few at a time, keep their lease, and end them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy.exc import SQLAlchemyError

from server.db.statements import caused_by_data
from server.errors import AnalyticsError, Reason
from server.lifecycle import end, to_its_end
from server.queue.bell import wait
from server.schedule import store
from server.schedule.calendar import DAILY_METRICS, MONTHLY_BENCHMARKS, WEEKLY_RETRAINING
from server.schedule.model import QUEUED_TOPIC, LeaseLost, RunState
from server.telemetry import metrics, names
from server.telemetry.tracing import span
from server.training.model import TRAIN
from workers.benchmarks import update_benchmarks
from workers.nightly.job import calculate_daily_metrics
from workers.retraining import retrain_all
from workers.training import train_shared_model

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from server.app import App
    from server.schedule.model import Claim

    JobFunction = Callable[[App, Claim, Callable[[float, str], None]], Awaitable[Mapping[str, object]]]

JOBS: Mapping[str, JobFunction] = {
    TRAIN: train_shared_model,
    DAILY_METRICS: calculate_daily_metrics,
    WEEKLY_RETRAINING: retrain_all,
    MONTHLY_BENCHMARKS: update_benchmarks,
}
"""Every job that can be run, by name; runs of others are left to workers that know them."""

_IDLE_SECONDS = 1.0
_REPORT_SECONDS = 0.5
_PASSING = (SQLAlchemyError, OSError, LeaseLost)
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Progress:
    """What a job last said of itself; written from the job's thread, read by the reporter."""

    share: float = 0.0
    message: str = "started"
    stopped: bool = False

    def __call__(self, share: float, message: str) -> None:
        """Take a report; a job whose run was given up ends here."""
        if self.stopped:
            raise LeaseLost
        self.share, self.message = share, message


@dataclass(frozen=True, slots=True)
class RunWorker:
    """Runs background jobs, `ANALYTICS_RUN_CONCURRENCY` at a time: a long one does not hold up a short one."""

    app: App

    async def run(self) -> None:
        """Take runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.app.settings.run_concurrency):
                group.create_task(self._lane())

    async def _lane(self) -> None:
        with self.app.bell.waiting(QUEUED_TOPIC) as rung:
            while True:
                try:
                    async with self.app.db.platform() as tx:
                        await store.bury_abandoned(tx)
                        claim = await store.claim(tx, uuid4(), self._hold, JOBS.keys())
                    if claim is not None:
                        await self._execute(claim)
                        continue
                except (SQLAlchemyError, OSError) as error:
                    _log.warning("run.not_claimed", error=type(error).__name__)
                except Exception:  # noqa: BLE001 - logged with its traceback; a defect costs a round, not every run from now on
                    _log.exception("run.broken")
                await wait(rung, _IDLE_SECONDS)

    async def _execute(self, claim: Claim) -> None:
        progress = _Progress()
        reporter = asyncio.create_task(self._report(claim, progress), name="report")
        try:
            with (
                metrics.JOB_RUN_SECONDS.labels(claim.job).time(),
                span(names.SPAN_JOB_RUN, parent=claim.traceparent, kind=SpanKind.CONSUMER),
            ):
                result = await JOBS[claim.job](self.app, claim, progress)
            await end(reporter)
            await self._complete(claim, result)
        except asyncio.CancelledError:
            progress.stopped = True
            # What cannot be handed back is taken again when its lease ends; the cancellation must not be lost over it.
            with contextlib.suppress(SQLAlchemyError, OSError):
                await to_its_end(self._release(claim))
            raise
        except AnalyticsError as error:
            await self._end(claim, reporter, error.reason, error.message)
        except Exception as error:  # noqa: BLE001 - logged with its traceback; a defect ends the run, not the worker
            if isinstance(error, _PASSING) and not caused_by_data(error):
                # Not an end: the lease runs out and the run is taken again.
                _log.warning("run.interrupted", job=claim.job, error=type(error).__name__, sqlstate=_sqlstate(error), exc_info=error)
                return
            _log.exception("run.failed", job=claim.job)
            await self._end(claim, reporter, Reason.INTERNAL, "a defect on our side ended the run")
        finally:
            progress.stopped = True
            await end(reporter)

    async def _complete(self, claim: Claim, result: Mapping[str, object]) -> None:
        async with self.app.db.platform() as tx:
            ours = await store.complete(tx, claim, result)
        if ours:
            metrics.JOB_RUNS_ENDED.labels(claim.job, RunState.COMPLETED).inc()

    async def _end(self, claim: Claim, reporter: asyncio.Task[None], reason: str, message: str) -> None:
        await end(reporter)
        async with self.app.db.platform() as tx:
            ours = await store.fail(tx, claim, reason, message)
        if ours:
            metrics.JOB_RUNS_ENDED.labels(claim.job, RunState.FAILED).inc()

    async def _release(self, claim: Claim) -> None:
        async with self.app.db.platform() as tx:
            await store.release(tx, claim)

    async def _report(self, claim: Claim, progress: _Progress) -> None:
        """Write progress and renew the lease until stopped; on a lost lease the job is told to give up."""
        while not progress.stopped:
            try:
                async with self.app.db.platform() as tx:
                    if not await store.report(tx, claim, progress.share, progress.message, self._hold):
                        progress.stopped = True
                        return
            except (SQLAlchemyError, OSError) as error:
                _log.warning("run.not_reported", error=type(error).__name__)
            await asyncio.sleep(_REPORT_SECONDS)

    @property
    def _hold(self) -> timedelta:
        return timedelta(seconds=self.app.settings.run_lease_seconds)


def _sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's code of what failed; empty where it was not asked or did not answer."""
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
