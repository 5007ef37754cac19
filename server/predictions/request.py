"""Accept a prediction request: find its twin, or keep its input and queue a job.

Three steps, so that no transaction is open while Valkey is waited for: `prepare` reads, `keep_input` stores the
ciphertext (not for a duplicate), `accept` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from server.audit import store as audit
from server.audit.model import Act
from server.errors import AnalyticsError, FieldViolation, Kind, Quota, Reason, not_found
from server.events import store as events
from server.events.model import Cause, PredictionRequested
from server.facts import store as facts
from server.identity import JobId
from server.ml.schema import FeatureSchema
from server.predictions import store
from server.predictions.inputs import hash_input
from server.predictions.model import JobState, NewJob
from server.registry import store as registry
from server.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from server.audit.model import Origin
    from server.db import ReadTx, Tx
    from server.predictions.inputs import InputVault
    from server.predictions.model import FeatureValue, PredictionJob
    from server.registry.model import Model, ModelType

_QUEUE_FULL_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request as it came over the wire, unchecked.

    `path` is where the features stand in the request, for error messages; an `employee_key` fills the features that are
    not given from the employee's latest stored state.
    """

    model_type: ModelType
    features: Mapping[str, object]
    employee_key: str
    path: str
    schedule_time: datetime | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job that answers a request, and whether it was there before."""

    job: PredictionJob
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked request: what will be scored, by which version, and the job that already answers it, if any."""

    model: Model
    features: Mapping[str, FeatureValue]
    new: NewJob
    twin: PredictionJob | None

    @property
    def generation(self) -> int:
        """The generation that this request would queue."""
        return 1 if self.twin is None else self.twin.generation + 1

    @property
    def answered(self) -> bool:
        """Whether the twin stands for this request."""
        return self.twin is not None and self.twin.state not in (JobState.FAILED, JobState.CANCELLED)


async def prepare(tx: ReadTx, origin: Origin, wanted: Wanted, traceparent: str) -> Prepared:
    """Check a request against the active version and look for its twin.

    Raises:
        AnalyticsError: NO_ACTIVE_MODEL, EMPLOYEE_NOT_FOUND or INPUT_SCHEMA_MISMATCH.

    """
    model = await registry.active(tx, wanted.model_type)
    if model is None:
        raise AnalyticsError(
            Kind.FAILED_PRECONDITION,
            Reason.NO_ACTIVE_MODEL,
            f"no active model of type {wanted.model_type} exists; an operator trains one by RunJob(train)",
            metadata={"model_type": wanted.model_type},
        )
    given = dict(wanted.features)
    if wanted.employee_key:
        given = {**await _stored_attributes(tx, origin, wanted), **given}
    schema = FeatureSchema.from_json(model.schema)
    problems = schema.check(given)
    if problems:
        raise AnalyticsError(
            Kind.INVALID_ARGUMENT,
            Reason.INPUT_SCHEMA_MISMATCH,
            f"the input does not fit {model.type} {model.version}: "
            + "; ".join(f"{problem.feature}: {problem.description}" for problem in problems[:5]),
            violations=[FieldViolation(f"{wanted.path}.{problem.feature}", problem.description) for problem in problems],
            metadata={"model_version": model.version},
        )
    features = schema.clean(given)
    input_hash = hash_input(features)
    twin = await store.twin(tx, origin.org, model.model_id, input_hash)
    new = NewJob(
        job_id=JobId(uuid4()) if twin is None else twin.job_id,
        model_id=model.model_id,
        model_type=model.type,
        model_version=model.version,
        input_hash=input_hash,
        schedule_time=wanted.schedule_time,
        requested_by=origin.actor,
        traceparent=traceparent,
    )
    return Prepared(model, features, new, twin)


async def keep_input(inputs: InputVault, origin: Origin, prepared: Prepared) -> None:
    """Put the input where a worker finds it; done before the job exists, so that no job is without its input."""
    await inputs.put(origin.org, prepared.new.job_id, prepared.generation, prepared.features)


async def drop_input(inputs: InputVault, origin: Origin, prepared: Prepared) -> None:
    """Remove the input of a request that queued no job."""
    await inputs.forget(origin.org, prepared.new.job_id, prepared.generation)


async def accept(tx: Tx, origin: Origin, prepared: Prepared, backlog: int) -> Accepted:
    """Queue the prepared job, or take the one that an identical request queued meanwhile; audited either way.

    Raises:
        AnalyticsError: PREDICTION_QUEUE_FULL, the organization has `backlog` jobs waiting already.

    """
    job = prepared.twin if prepared.answered else await _queue(tx, origin, prepared, backlog)
    deduplicated = job is None or prepared.answered
    if job is None:
        job = await store.twin(tx, origin.org, prepared.new.model_id, prepared.new.input_hash)
    if job is None:
        raise AnalyticsError(Kind.ABORTED, Reason.CONCURRENT_UPDATE, "another request for this input was faster; retry")
    if not deduplicated:
        event = PredictionRequested(job.job_id, job.generation, job.model_type.value, job.model_version)
        await events.append(tx, origin.org, event, Cause(origin.request_id, prepared.new.traceparent))
    details = {
        "model_type": job.model_type.value,
        "model_version": job.model_version,
        "deduplicated": str(deduplicated).lower(),
    }
    await audit.record(tx, origin, Act("prediction.requested", "prediction_job", str(job.job_id), details))
    metrics.PREDICTIONS_ACCEPTED.labels(job.model_type, str(deduplicated).lower()).inc()
    return Accepted(job, deduplicated)


async def _queue(tx: Tx, origin: Origin, prepared: Prepared, backlog: int) -> PredictionJob | None:
    if await store.waiting(tx, origin.org, backlog) >= backlog:
        raise AnalyticsError(
            Kind.RESOURCE_EXHAUSTED,
            Reason.PREDICTION_QUEUE_FULL,
            f"{backlog} predictions of the organization wait already; retry when some have ended",
            quota=Quota(f"org:{origin.org}", f"at most {backlog} waiting predictions per organization"),
            retry_after=_QUEUE_FULL_RETRY_SECONDS,
        )
    if prepared.twin is None:
        return await store.insert_queued(tx, origin.org, prepared.new)
    return await store.rearm(tx, origin.org, prepared.twin, prepared.new)


async def _stored_attributes(tx: ReadTx, origin: Origin, wanted: Wanted) -> Mapping[str, FeatureValue]:
    stored = await facts.latest_attributes(tx, origin.org, wanted.employee_key)
    if stored is None:
        raise not_found(Reason.EMPLOYEE_NOT_FOUND, "employee", wanted.employee_key)
    return stored
