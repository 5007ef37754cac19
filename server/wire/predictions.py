"""Prediction jobs as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import predictions_pb2

from server.predictions.model import (
    TERMINAL,
    Band,
    ContractRiskResult,
    Direction,
    JobState,
    PerformanceResult,
    SpendResult,
    TurnoverResult,
)
from server.wire.failures import status
from server.wire.models import model_type_message
from server.wire.times import calendar_message, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from server.predictions.model import Contribution, PredictionJob, Result

    _Explained: TypeAlias = (
        predictions_pb2.TurnoverResult
        | predictions_pb2.ContractRiskResult
        | predictions_pb2.PerformanceResult
        | predictions_pb2.SpendResult
    )

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
        _fill(message, job.result)
    return message


def _fill(message: predictions_pb2.PredictionJob, result: Result) -> None:
    """Write a result into its place: a message made apart would be copied there with all its contributions."""
    place: predictions_pb2.TurnoverResult | predictions_pb2.ContractRiskResult | predictions_pb2.PerformanceResult
    match result:
        case SpendResult():
            _fill_spend(message.spend, result)
            return
        case TurnoverResult():
            place = message.turnover
            place.predicted_to_leave = result.likely
        case ContractRiskResult():
            place = message.contract_risk
            place.predicted_to_go_wrong = result.likely
        case PerformanceResult():
            place = message.performance
            place.predicted_to_miss = result.likely
    place.score = result.score
    place.confidence = result.confidence
    place.model_was_drifting = result.model_was_drifting
    _contribute(place, result.contributions)


def _fill_spend(message: predictions_pb2.SpendResult, result: SpendResult) -> None:
    for point in result.points:
        message.points.add(period=calendar_message(point.period), median=point.median, low=point.low, high=point.high)
    message.interval_level = result.level
    message.confidence = result.confidence
    message.model_was_drifting = result.model_was_drifting
    _contribute(message, result.contributions)


def _contribute(message: _Explained, items: Iterable[Contribution]) -> None:
    for item in items:
        message.contributions.add(
            feature=item.feature, direction=_DIRECTIONS[item.direction], contribution=item.contribution, band=_BANDS[item.band]
        )
