"""Execute starts of predictions, some together: acknowledge, score off the event loop, finish under the leases.

Together costs a fraction of one by one, in round trips, in commits and in XGBoost. Whatever is decided is decided per job.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy.exc import SQLAlchemyError

from server import failpoints
from server.db.engines import DbRole
from server.errors import AnalyticsError, Reason
from server.lifecycle import end, to_its_end
from server.predictions.finish import finish_predictions
from server.predictions.leases import store
from server.predictions.model import JobFailure, JobState
from server.queue import QueueUnavailable
from server.telemetry import metrics, names
from server.telemetry.tracing import span
from workers.outcomes import outcomes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from opentelemetry.trace import Span

    from server.app import App
    from server.db import Tx
    from server.identity import ModelId
    from server.predictions.model import FeatureValue, Lease, Outcome, Start
    from workers.scorers import Scorers

_TRANSIENT = (SQLAlchemyError, QueueUnavailable, OSError, TimeoutError)
_MAX_DELAY_SECONDS = 30.0
_FIRST_DELAY_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
_INPUT_LOST = JobFailure(Reason.INPUT_LOST, "the input was gone before the job ran; request the prediction again")
Features: TypeAlias = "Mapping[str, FeatureValue]"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PredictionWorker:
    """What executing needs."""

    app: App
    scorers: Scorers

    async def execute(self, starts: Sequence[Start]) -> None:
        """Bring starts to their ends together, or hand them back; one that is somebody else's by now is dropped."""
        await failpoints.passing("worker.received")
        async with self._tx() as tx:
            leases = await store.acknowledge(tx, starts, self._hold)
        if not leases:
            return
        await failpoints.passing("worker.acknowledged")
        with ExitStack() as around:
            for lease in leases:
                around.enter_context(_traced(lease))
            try:
                async with self._renewing(leases):
                    await self._settle(leases)
            except asyncio.CancelledError:
                # The process shuts down: another worker starts the jobs at once instead of when the leases end.
                # What cannot be handed back is taken again when its lease ends.
                with contextlib.suppress(SQLAlchemyError, OSError):
                    await to_its_end(self._hand_back(leases))
                raise
            except _TRANSIENT as error:
                _log.warning("prediction.interrupted", error=type(error).__name__, jobs=len(leases))
                await self._retry(leases)

    async def _settle(self, leases: Sequence[Lease]) -> None:
        computed = await self._compute(leases)
        await failpoints.passing("worker.computed")

        async def finish(tx: Tx) -> Sequence[Lease]:
            mine = await finish_predictions(tx, computed)
            await failpoints.passing("worker.finished_before_commit")
            return mine

        mine = await self._write(finish)
        await failpoints.passing("worker.finished")
        await self._ended({lease: computed[lease] for lease in mine})

    async def _write(self, act: Callable[[Tx], Awaitable[Sequence[Lease]]]) -> Sequence[Lease]:
        """Do `act` in a transaction; a database that is away is asked again for as long as a lease lasts.

        When the answer to a commit was lost, nothing is held any more the second time, and nothing is returned.
        """
        clock = asyncio.get_running_loop().time
        until, pause = clock() + self._hold.total_seconds(), _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._tx() as tx:
                    return await act(tx)
            except _TRANSIENT as error:
                if clock() + pause > until:
                    raise
                _log.warning("prediction.not_written", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _ended(self, ends: Mapping[Lease, Outcome]) -> None:
        """Count the jobs that this worker ended, and drop their inputs."""
        for lease, outcome in ends.items():
            state = JobState.FAILED if isinstance(outcome, JobFailure) else JobState.COMPLETED
            metrics.PREDICTIONS_ENDED.labels(lease.model_type, state).inc()
        with contextlib.suppress(QueueUnavailable):
            await asyncio.gather(*(self.app.inputs.forget(lease.org, lease.job_id, lease.generation) for lease in ends))
        await failpoints.passing("worker.input_forgotten")

    async def _compute(self, leases: Sequence[Lease]) -> Mapping[Lease, Outcome]:
        """Return the result of each job, or why there will never be one."""
        inputs = await asyncio.gather(*(self.app.inputs.get(lease.org, lease.job_id, lease.generation) for lease in leases))
        await failpoints.passing("worker.input_read")
        found: dict[Lease, Outcome] = {}
        models: defaultdict[ModelId, dict[Lease, Features]] = defaultdict(dict)
        for lease, features in zip(leases, inputs, strict=True):
            if features is None:
                found[lease] = _INPUT_LOST
            else:
                models[lease.model_id][lease] = features
        for model_id, rows in models.items():
            found |= await self._score(model_id, rows)
        return found

    async def _score(self, model_id: ModelId, rows: Mapping[Lease, Features]) -> Mapping[Lease, Outcome]:
        model_type = next(iter(rows)).model_type
        try:
            loaded = await self.scorers.get(model_id, model_type)
        except AnalyticsError as error:
            return dict.fromkeys(rows, JobFailure(error.reason, error.message))
        with metrics.PREDICTION_RUN_SECONDS.labels(model_type).time():
            return dict(zip(rows, await asyncio.to_thread(outcomes, loaded, model_type, list(rows.values())), strict=True))

    async def _retry(self, leases: Sequence[Lease]) -> None:
        """Hand jobs back after a passing failure; those that failed often enough end."""
        exhausted = {lease: _exhausted(lease) for lease in leases if lease.failures + 1 >= self.app.settings.prediction_attempts}
        delays = {lease: full_jitter(lease.failures + 1) for lease in leases if lease not in exhausted}

        async def settle(tx: Tx) -> Sequence[Lease]:
            await store.retry(tx, delays)
            return await finish_predictions(tx, exhausted)

        await self._ended({lease: exhausted[lease] for lease in await self._write(settle)})

    async def _hand_back(self, leases: Sequence[Lease]) -> None:
        async with self._tx() as tx:
            await store.hand_back(tx, leases)

    @asynccontextmanager
    async def _renewing(self, leases: Sequence[Lease]) -> AsyncIterator[None]:
        """Hold the leases while the block runs."""
        task = asyncio.create_task(self._renew(leases), name="renew")
        try:
            yield
        finally:
            await end(task)

    async def _renew(self, leases: Sequence[Lease]) -> None:
        while leases:
            await asyncio.sleep(self._hold.total_seconds() / 3)
            try:
                async with self._tx() as tx:
                    leases = await store.renew(tx, leases, self._hold)
            except _TRANSIENT as error:
                _log.warning("lease.not_renewed", error=type(error).__name__)

    def _tx(self) -> AbstractAsyncContextManager[Tx]:
        """Open a transaction over the jobs of all tenants; what it may change is bounded by the leases."""
        return self.app.db.platform(DbRole.DISPATCH)

    @property
    def _hold(self) -> timedelta:
        return timedelta(seconds=self.app.settings.prediction_lease_seconds)


def full_jitter(attempt: int) -> timedelta:
    """Delay before the next attempt: uniform between 0 and a ceiling that doubles (Brooker, AWS Architecture Blog, 2015)."""
    ceiling = min(_MAX_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2**attempt)
    return timedelta(seconds=random.uniform(0, ceiling))  # noqa: S311 - spreads load, guards nothing


def _traced(lease: Lease) -> AbstractContextManager[Span]:
    attributes = {names.ATTRIBUTE_ORG: lease.org, names.ATTRIBUTE_JOB_ID: str(lease.job_id)}
    return span(names.SPAN_PREDICTION, parent=lease.traceparent, kind=SpanKind.CONSUMER, attributes=attributes)


def _exhausted(lease: Lease) -> JobFailure:
    return JobFailure(Reason.RETRIES_EXHAUSTED, f"{lease.failures + 1} runs failed for a passing reason; request it again")
