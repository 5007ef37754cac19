"""Prediction jobs as messages, and requests for them as domain values."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from analytics.v1 import predictions_pb2

from server.errors import invalid_argument
from server.predictions.model import TERMINAL, Band, Direction, JobState
from server.predictions.request import Wanted
from server.wire.employees import attributes
from server.wire.failures import status
from server.wire.models import model_type, model_type_message
from server.wire.structs import flat_values
from server.wire.times import instant, timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from analytics.v1 import employees_pb2
    from google.protobuf.struct_pb2 import Struct
    from google.protobuf.timestamp_pb2 import Timestamp

    from server.predictions.model import PredictionJob, TurnoverResult

_STATES = {
    JobState.QUEUED: predictions_pb2.PREDICTION_JOB_STATE_QUEUED,
    JobState.RUNNING: predictions_pb2.PREDICTION_JOB_STATE_RUNNING,
    JobState.COMPLETED: predictions_pb2.PREDICTION_JOB_STATE_COMPLETED,
    JobState.FAILED: predictions_pb2.PREDICTION_JOB_STATE_FAILED,
    JobState.CANCELLED: predictions_pb2.PREDICTION_JOB_STATE_CANCELLED,
}
_STATES_BACK = {value: key for key, value in _STATES.items()}
_DIRECTIONS = {
    Direction.INCREASES: predictions_pb2.CONTRIBUTION_DIRECTION_INCREASES,
    Direction.DECREASES: predictions_pb2.CONTRIBUTION_DIRECTION_DECREASES,
}
_BANDS = {
    Band.MISSING: predictions_pb2.VALUE_BAND_MISSING,
    Band.LOW: predictions_pb2.VALUE_BAND_LOW,
    Band.MEDIUM: predictions_pb2.VALUE_BAND_MEDIUM,
    Band.HIGH: predictions_pb2.VALUE_BAND_HIGH,
    Band.CATEGORY: predictions_pb2.VALUE_BAND_CATEGORY,
}


def job_state_filter(value: predictions_pb2.PredictionJobState.ValueType) -> JobState | None:
    """Return the domain's value; unspecified is no filter."""
    return _STATES_BACK.get(value)


def ended(state: JobState) -> bool:
    """Whether a job in this state changes no more by itself."""
    return state in TERMINAL


def job_message(job: PredictionJob) -> predictions_pb2.PredictionJob:
    """Return the message of a job."""
    message = predictions_pb2.PredictionJob(
        id=str(job.job_id),
        model_id=str(job.model_id),
        model_type=model_type_message(job.model_type),
        model_version=job.model_version,
        input_hash=f"jcs-sha256:{job.input_hash.hex()}",
        state=_STATES[job.state],
        schedule_time=timestamp(job.schedule_time),
        create_time=timestamp(job.created_at),
        start_time=timestamp(job.started_at),
        complete_time=timestamp(job.completed_at),
        attempt=job.attempt,
        revision=job.revision,
        generation=job.generation,
    )
    if job.failure is not None:
        message.error.CopyFrom(status(job.failure.reason, job.failure.message))
    if job.result is not None:
        _fill(message.turnover, job.result)
    return message


def wanted(message: predictions_pb2.RequestPredictionRequest | predictions_pb2.PredictionInput, prefix: str = "") -> Wanted:
    """Return the request as the use case takes it; `prefix` is where the message stands in the call's request.

    Raises:
        AnalyticsError: INPUT_SCHEMA_MISMATCH for open input of the wrong shape, VALIDATION_FAILED for a time that is none.

    """
    schedule_time = _instant(message.schedule_time, f"{prefix}schedule_time") if message.HasField("schedule_time") else None
    kind = model_type(message.model_type)
    if message.HasField("turnover"):
        path = f"{prefix}turnover.attributes"
        given = message.turnover
        return Wanted(kind, attributes(given.attributes), _digest(given.attributes), given.employee_key, path, schedule_time)
    path = f"{prefix}features"
    return Wanted(kind, flat_values(message.features, path), _digest(message.features), "", path, schedule_time)


def _digest(features: employees_pb2.EmployeeAttributes | Struct) -> bytes:
    """Return what tells these features, in this form, from any others."""
    content = features.SerializeToString(deterministic=True)
    return hashlib.blake2b(content, digest_size=16, person=features.DESCRIPTOR.name.encode()[:16]).digest()


def _instant(message: Timestamp, path: str) -> datetime:
    try:
        return instant(message)
    except ValueError:
        raise invalid_argument(path, "must lie between the years 1 and 9999, with 0 to 999,999,999 nanoseconds") from None


def _fill(message: predictions_pb2.TurnoverResult, result: TurnoverResult) -> None:
    """Write a result into its place: a message made apart would be copied there with all its contributions."""
    message.score = result.score
    message.predicted_to_leave = result.predicted_to_leave
    message.confidence = result.confidence
    message.model_was_drifting = result.model_was_drifting
    for item in result.contributions:
        message.contributions.add(
            feature=item.feature, direction=_DIRECTIONS[item.direction], contribution=item.contribution, band=_BANDS[item.band]
        )
