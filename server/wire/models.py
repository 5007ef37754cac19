"""Models as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import models_pb2

from server.registry.model import ModelState, ModelType
from server.wire.times import timestamp

if TYPE_CHECKING:
    from server.registry.model import Evidence, Json, Model

_TYPES = {
    ModelType.TURNOVER_PREDICTION: models_pb2.MODEL_TYPE_TURNOVER_PREDICTION,
    ModelType.SPEND_FORECASTING: models_pb2.MODEL_TYPE_SPEND_FORECASTING,
    ModelType.CONTRACT_RISK: models_pb2.MODEL_TYPE_CONTRACT_RISK,
    ModelType.PERFORMANCE_PREDICTION: models_pb2.MODEL_TYPE_PERFORMANCE_PREDICTION,
}
_STATES = {
    ModelState.TRAINING: models_pb2.MODEL_STATE_TRAINING,
    ModelState.ACTIVE: models_pb2.MODEL_STATE_ACTIVE,
    ModelState.DEPRECATED: models_pb2.MODEL_STATE_DEPRECATED,
    ModelState.FAILED: models_pb2.MODEL_STATE_FAILED,
}
_TYPES_BACK = {value: key for key, value in _TYPES.items()}
_STATES_BACK = {value: key for key, value in _STATES.items()}


def model_type_message(model_type: ModelType) -> models_pb2.ModelType.ValueType:
    """Return the enum value of the contract."""
    return _TYPES[model_type]


def model_type(value: models_pb2.ModelType.ValueType) -> ModelType:
    """Return the domain's value of a specified type."""
    return _TYPES_BACK[value]


def model_type_filter(value: models_pb2.ModelType.ValueType) -> ModelType | None:
    """Return the domain's value; unspecified is no filter."""
    return _TYPES_BACK.get(value)


def model_state_filter(value: models_pb2.ModelState.ValueType) -> ModelState | None:
    """Return the domain's value; unspecified is no filter."""
    return _STATES_BACK.get(value)


def model_message(model: Model) -> models_pb2.Model:
    """Return the message of a version."""
    message = models_pb2.Model(
        id=str(model.model_id),
        name=model.name,
        type=_TYPES[model.type],
        version=model.version,
        state=_STATES[model.state],
        training_cutoff=timestamp(model.training_cutoff),
        training_rows=model.training_rows,
        features=_features(model.schema),
        artifact_sha256=model.artifact_sha256,
        create_time=timestamp(model.created_at),
        activate_time=timestamp(model.activated_at),
        failure_reason=model.failure_reason,
    )
    if model.type is ModelType.SPEND_FORECASTING:
        message.forecast.CopyFrom(_forecast(model.metrics))
    else:
        message.classification.CopyFrom(_classification(model.metrics))
    if model.evidence is not None:
        message.evidence.CopyFrom(_evidence(model.evidence))
    return message


def _classification(metrics: Json) -> models_pb2.ClassificationMetrics:
    message = models_pb2.ClassificationMetrics()
    _fill(message, metrics)
    return message


def _forecast(metrics: Json) -> models_pb2.ForecastMetrics:
    message = models_pb2.ForecastMetrics()
    # The naive forecast is the baseline, under one word for all types.
    _fill(message, {name.replace("naive_", "baseline_"): value for name, value in metrics.items()})
    return message


def _fill(message: models_pb2.ClassificationMetrics | models_pb2.ForecastMetrics, metrics: Json) -> None:
    """Write the numbers that the message has a field for."""
    for field in message.DESCRIPTOR.fields:
        value = metrics.get(field.name)
        if isinstance(value, int | float):
            setattr(message, field.name, float(value) if field.type == field.TYPE_DOUBLE else int(value))


def _evidence(evidence: Evidence) -> models_pb2.ModelEvidence:
    return models_pb2.ModelEvidence(
        rule=evidence.rule,
        rows=evidence.rows,
        measure=evidence.measure,
        loss=evidence.candidate,
        baseline_loss=evidence.baseline,
        active_loss=evidence.active,
        active_version=evidence.active_version,
    )


def _features(schema: Json) -> list[str]:
    features = schema.get("features")
    return [feature["name"] for feature in features] if isinstance(features, list) else []
