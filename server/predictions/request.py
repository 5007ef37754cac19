"""Accept a prediction request: find its twin, or keep its input and queue a job.

Steps, so that no transaction is open while an input is checked or Valkey is waited for: `read_basis` and `find_twin` read,
`check` computes between them, `keep_input` stores the ciphertext (not for a duplicate), `accept` writes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from server import failpoints
from server.audit import store as audit
from server.audit.model import Act
from server.errors import AnalyticsError, FieldViolation, Kind, Reason
from server.events import store as events
from server.events.model import Cause, PredictionRequested
from server.identity import JobId
from server.ml.schema import FeatureSchema, InputInvalid, Problem
from server.ml.spend import shortage
from server.predictions import store
from server.predictions.inputs import hash_input
from server.predictions.model import JobState, NewJob
from server.predictions.stored import combined, stored_features
from server.registry import store as registry
from server.registry.model import ModelType
from server.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from server.audit.model import Origin
    from server.db import ReadTx, Tx
    from server.predictions.backlog.room import Room
    from server.predictions.inputs import InputVault
    from server.predictions.model import FeatureValue, InputHash, PredictionJob
    from server.predictions.stored import Subject
    from server.registry.model import Model


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request as it came over the wire, unchecked.

    `path` is where the features stand in the request, for error messages; a `subject` fills the features that are not given from
    what is stored of it. Features of the same `digest` are the same.
    """

    model_type: ModelType
    features: Mapping[str, object]
    digest: bytes
    subject: Subject | None
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
        return self.twin is not None and stands(self.twin)


def stands(job: PredictionJob) -> bool:
    """Whether a job answers further requests for its input; a FAILED or CANCELLED one is queued again."""
    return job.state not in (JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a request is checked against: the active version, its features, and what is stored of the request's subject."""

    model: Model
    schema: FeatureSchema
    stored: Mapping[str, FeatureValue]


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that fits its model."""

    model: Model
    features: Mapping[str, FeatureValue]
    input_hash: InputHash
    wanted: Wanted


async def read_basis(tx: ReadTx, origin: Origin, wanted: Wanted, known: dict[ModelType, Basis] | None = None) -> Basis:
    """Read what the check needs; many requests of one transaction share in `known` what does not depend on the subject.

    Raises:
        AnalyticsError: NO_ACTIVE_MODEL, or what `stored_features` raises.

    """
    known = {} if known is None else known
    if wanted.model_type not in known:
        known[wanted.model_type] = await _active_basis(tx, wanted.model_type)
    basis = known[wanted.model_type]
    if wanted.subject is None:
        return basis
    return replace(basis, stored=await stored_features(tx, origin.org, wanted.model_type, wanted.subject))


async def _active_basis(tx: ReadTx, model_type: ModelType) -> Basis:
    model = await registry.active(tx, model_type)
    if model is None:
        raise AnalyticsError(
            Kind.FAILED_PRECONDITION,
            Reason.NO_ACTIVE_MODEL,
            f"no active model of type {model_type} exists; an operator trains one by RunJob(train)",
            metadata={"model_type": model_type},
        )
    return Basis(model, FeatureSchema.from_json(model.schema), {})


def check(basis: Basis, wanted: Wanted) -> Checked:
    """Hold the features against the model's schema; pure, and so outside any transaction for many.

    Raises:
        AnalyticsError: INPUT_SCHEMA_MISMATCH, with every problem.

    """
    model, given = basis.model, combined(basis.model.type, basis.stored, wanted.features)
    try:
        features = basis.schema.clean(given)
        if model.type is ModelType.SPEND_FORECASTING and (lacking := shortage(features)):
            raise InputInvalid([Problem("amount_1", lacking)])  # noqa: TRY301 - said like every other problem
    except InputInvalid as error:
        problems = error.problems
        raise AnalyticsError(
            Kind.INVALID_ARGUMENT,
            Reason.INPUT_SCHEMA_MISMATCH,
            f"the input does not fit {model.type} {model.version}: "
            + "; ".join(f"{problem.feature}: {problem.description}" for problem in problems[:5]),
            violations=[FieldViolation(f"{wanted.path}.{problem.feature}", problem.description) for problem in problems],
            metadata={"model_version": model.version},
        ) from None
    return Checked(model, features, hash_input(features), wanted)


async def find_twin(tx: ReadTx, origin: Origin, checked: Checked, traceparent: str) -> Prepared:
    """Look for the job that answers an identical request already."""
    twin = await store.twin(tx, origin.org, checked.model.model_id, checked.input_hash)
    return Prepared(checked.model, checked.features, new_job(origin, checked, twin, traceparent), twin)


def new_job(origin: Origin, checked: Checked, twin: PredictionJob | None, traceparent: str) -> NewJob:
    """Return the job that a request would queue; one that ended without a result is queued again under its id."""
    return NewJob(
        job_id=JobId(uuid4()) if twin is None else twin.job_id,
        model_id=checked.model.model_id,
        model_type=checked.model.type,
        model_version=checked.model.version,
        input_hash=checked.input_hash,
        schedule_time=checked.wanted.schedule_time,
        requested_by=origin.actor,
        traceparent=traceparent,
    )


async def keep_input(inputs: InputVault, origin: Origin, prepared: Prepared) -> None:
    """Put the input where a worker finds it; done before the job exists, so that no job is without its input."""
    await inputs.put(origin.org, prepared.new.job_id, prepared.generation, prepared.features)
    await failpoints.passing("request.input_kept")


async def drop_input(inputs: InputVault, origin: Origin, prepared: Prepared) -> None:
    """Remove the input of a request that queued no job."""
    await inputs.forget(origin.org, prepared.new.job_id, prepared.generation)


async def accept(tx: Tx, origin: Origin, prepared: Prepared, room: Room) -> Accepted:
    """Queue the prepared job, or take the one that an identical request queued meanwhile; audited either way.

    Raises:
        AnalyticsError: PREDICTION_QUEUE_FULL, there is no `room` for another waiting job.

    """
    job = prepared.twin if prepared.answered else await _queue(tx, origin, prepared, room)
    deduplicated = job is None or prepared.answered
    if job is None:
        job = await store.twin(tx, origin.org, prepared.new.model_id, prepared.new.input_hash)
    if job is None or not stands(job):
        raise AnalyticsError(Kind.ABORTED, Reason.CONCURRENT_UPDATE, "another request for this input was faster; retry")
    if not deduplicated:
        await events.append(tx, origin.org, *told(origin, prepared.new, job.generation))
    await audit.record(tx, origin, audited(job, deduplicated=deduplicated))
    await failpoints.passing("request.accepted_before_commit")
    return Accepted(job, deduplicated)


def told(origin: Origin, job: NewJob, generation: int) -> tuple[PredictionRequested, Cause]:
    """Return the event of a queued job."""
    event = PredictionRequested(job.job_id, generation, job.model_type.value, job.model_version)
    return event, Cause(origin.correlation_id or origin.request_id, job.traceparent, origin.causation_id)


def audited(job: PredictionJob | NewJob, *, deduplicated: bool) -> Act:
    """Return the act of a request that a job answers."""
    details = {
        "model_type": job.model_type.value,
        "model_version": job.model_version,
        "deduplicated": str(deduplicated).lower(),
    }
    return Act("prediction.requested", "prediction_job", str(job.job_id), details)


def count(accepted: Iterable[Accepted]) -> None:
    """Count requests whose acceptance is committed."""
    for each in accepted:
        metrics.PREDICTIONS_ACCEPTED.labels(each.job.model_type, str(each.deduplicated).lower()).inc()


async def _queue(tx: Tx, origin: Origin, prepared: Prepared, room: Room) -> PredictionJob | None:
    try:
        await room.check(tx, origin.org)
    except AnalyticsError:
        # An identical request may have taken the last place meanwhile; then its job is the answer.
        twin = await store.twin(tx, origin.org, prepared.new.model_id, prepared.new.input_hash)
        if twin is None or not stands(twin):
            raise
        return None
    if prepared.twin is None:
        job = await store.insert_queued(tx, origin.org, prepared.new)
    else:
        job = await store.rearm(tx, origin.org, prepared.twin, prepared.new)
    if job is not None:
        room.take()
    return job
