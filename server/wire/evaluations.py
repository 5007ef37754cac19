"""What there is to draw of a model, as a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analytics.v1 import models_pb2
from google.protobuf.json_format import ParseDict

from server.registry.model import ModelType
from server.wire.models import model_message

if TYPE_CHECKING:
    from server.registry.model import Json, Model


def evaluation_message(model: Model, evaluation: Json) -> models_pb2.GetModelEvaluationResponse:
    """Return the answer about a version; what the contract does not know is left out."""
    message = models_pb2.GetModelEvaluationResponse(model=model_message(model))
    found = message.forecast if model.type is ModelType.SPEND_FORECASTING else message.classifier
    found.SetInParent()
    ParseDict(_renamed(evaluation), found, ignore_unknown_fields=True)
    return message


def _renamed(value: Json) -> dict[str, object]:
    """The same with the naive forecast as the baseline, under one word for all types."""
    return {name.replace("naive_", "baseline_"): _inner(each) for name, each in value.items()}


def _inner(value: object) -> object:
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return [_renamed(each) for each in value]
    return value
