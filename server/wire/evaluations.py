"""What there is to draw of a model, as a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analytics.v1 import models_pb2

from server.registry.model import ModelType
from server.wire.models import model_message

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from server.registry.model import Json, Model


def evaluation_message(model: Model, evaluation: Json) -> models_pb2.GetModelEvaluationResponse:
    """Return the answer about a version; what the contract does not know is left out."""
    message = models_pb2.GetModelEvaluationResponse(model=model_message(model))
    found: Message = message.forecast if model.type is ModelType.SPEND_FORECASTING else message.classifier
    found.SetInParent()
    _fill(found, evaluation)
    return message


def _fill(message: Message, value: Json) -> None:
    """Write what the message has a field for; lists of numbers whole, where `ParseDict` takes 10 ms for two curves."""
    for field in message.DESCRIPTOR.fields:
        # The naive forecast is the baseline, under one word for all types.
        given = value.get(field.name.replace("baseline_", "naive_"))
        if isinstance(given, Mapping):
            _fill(getattr(message, field.name), given)
        elif isinstance(given, list):
            target = getattr(message, field.name)
            if field.message_type is None:
                target.extend(given)
            else:
                for each in given:
                    _fill(target.add(), each)
        elif given is not None:
            setattr(message, field.name, given)
