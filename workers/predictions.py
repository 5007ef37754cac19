"""Execute one start of a prediction: acknowledge, score off the event loop, finish under the lease."""

from __future__ import annotations

import asyncio
import contextlib
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy.exc import SQLAlchemyError

from server import failpoints
from server.errors import AnalyticsError, Reason
from server.lifecycle import end
from server.predictions import store
from server.predictions.finish import complete_prediction, fail_prediction
from server.predictions.model import Band, Contribution, Direction, JobFailure, JobState, TurnoverResult
from server.queue import QueueUnavailable
from server.telemetry import metrics, names
from server.telemetry.tracing import span

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.app import App
    from server.ml.scoring import Score
    from server.predictions.model import Lease, Start
    from workers.scorers import Scorers

_TRANSIENT = (SQLAlchemyError, QueueUnavailable, OSError, TimeoutError)
_MAX_DELAY_SECONDS = 30.0
_FIRST_DELAY_SECONDS = 1.0
LIKELIER = 0.5
"""From this probability on, an outcome is the likelier of the two."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PredictionWorker:
    """What executing needs."""

    app: App
    scorers: Scorers

    async def execute(self, start: Start) -> None:
        """Bring a start to its end, or hand it back; a start that is somebody else's by now is dropped."""
        await failpoints.passing("worker.received")
        async with self.app.tx(start.org) as tx:
            lease = await store.acknowledge(tx, start, self._hold)
        if lease is None:
            return
        await failpoints.passing("worker.acknowledged")
        attributes = {names.ATTRIBUTE_ORG: start.org, names.ATTRIBUTE_JOB_ID: str(start.job_id)}
        with span(names.SPAN_PREDICTION, parent=lease.traceparent, kind=SpanKind.CONSUMER, attributes=attributes):
            try:
                with metrics.PREDICTION_RUN_SECONDS.labels(lease.model_type).time():
                    async with self._renewing(lease):
                        await self._settle(lease)
            except asyncio.CancelledError:
                # The process shuts down: another worker starts the job at once instead of when the lease ends.
                # What cannot be handed back is taken again when its lease ends.
                with contextlib.suppress(SQLAlchemyError, OSError):
                    await asyncio.shield(self._hand_back(lease, timedelta()))
                raise
            except _TRANSIENT as error:
                _log.warning("prediction.interrupted", error=type(error).__name__, attempt=lease.attempt)
                await self._retry(lease)

    async def _settle(self, lease: Lease) -> None:
        outcome = await self._compute(lease)
        await failpoints.passing("worker.computed")
        async with self.app.tx(lease.org) as tx:
            if isinstance(outcome, JobFailure):
                mine = await fail_prediction(tx, lease, outcome)
            else:
                mine = await complete_prediction(tx, lease, outcome)
            await failpoints.passing("worker.finished_before_commit")
        await failpoints.passing("worker.finished")
        if mine:
            await self._ended(lease, JobState.FAILED if isinstance(outcome, JobFailure) else JobState.COMPLETED)

    async def _ended(self, lease: Lease, state: JobState) -> None:
        """Count a job that this worker ended, and drop its input."""
        metrics.PREDICTIONS_ENDED.labels(lease.model_type, state).inc()
        with contextlib.suppress(QueueUnavailable):
            await self.app.inputs.forget(lease.org, lease.job_id, lease.generation)
        await failpoints.passing("worker.input_forgotten")

    async def _compute(self, lease: Lease) -> TurnoverResult | JobFailure:
        """Return the result, or why there will never be one."""
        features = await self.app.inputs.get(lease.org, lease.job_id, lease.generation)
        await failpoints.passing("worker.input_read")
        if features is None:
            return JobFailure(Reason.INPUT_LOST, "the input was gone before the job ran; request the prediction again")
        try:
            scorer = await self.scorers.get(lease.model_id)
        except AnalyticsError as error:
            return JobFailure(error.reason, error.message)
        try:
            score = await asyncio.to_thread(scorer.score, features)
        except ValueError:
            # The text of the error could hold a value of the input; the reason is enough.
            return JobFailure(Reason.INPUT_SCHEMA_MISMATCH, "the input does not fit the model version of the job")
        return turnover_result(score)

    async def _retry(self, lease: Lease) -> None:
        if lease.attempt >= self.app.settings.prediction_attempts:
            failure = JobFailure(Reason.RETRIES_EXHAUSTED, f"{lease.attempt} attempts failed for a passing reason; request it again")
            async with self.app.tx(lease.org) as tx:
                mine = await fail_prediction(tx, lease, failure)
            if mine:
                await self._ended(lease, JobState.FAILED)
            return
        await self._hand_back(lease, full_jitter(lease.attempt))

    async def _hand_back(self, lease: Lease, delay: timedelta) -> None:
        async with self.app.tx(lease.org) as tx:
            await store.requeue(tx, lease, delay)

    @asynccontextmanager
    async def _renewing(self, lease: Lease) -> AsyncIterator[None]:
        """Hold the lease while the block runs."""
        task = asyncio.create_task(self._renew(lease), name="renew")
        try:
            yield
        finally:
            await end(task)

    async def _renew(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self._hold.total_seconds() / 3)
            try:
                async with self.app.tx(lease.org) as tx:
                    if not await store.renew(tx, lease, self._hold):
                        return
            except _TRANSIENT as error:
                _log.warning("lease.not_renewed", error=type(error).__name__)

    @property
    def _hold(self) -> timedelta:
        return timedelta(seconds=self.app.settings.prediction_lease_seconds)


def full_jitter(attempt: int) -> timedelta:
    """Delay before the next attempt: uniform between 0 and a ceiling that doubles (Brooker, AWS Architecture Blog, 2015)."""
    ceiling = min(_MAX_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2**attempt)
    return timedelta(seconds=random.uniform(0, ceiling))  # noqa: S311 - spreads load, guards nothing


def turnover_result(score: Score) -> TurnoverResult:
    """Return what is stored of a score."""
    return TurnoverResult(
        score=score.probability,
        predicted_to_leave=score.probability >= LIKELIER,
        confidence=score.confidence,
        contributions=tuple(
            Contribution(
                item.feature,
                Direction(item.direction.name),
                item.value,
                Band(item.band.name),
            )
            for item in score.contributions
        ),
        model_was_drifting=False,
    )
