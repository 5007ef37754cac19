"""Which version is meant, and which one it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics.v1.analytics_service_pb2_grpc import AnalyticsServiceStub
from analytics.v1.models_pb2 import GetModelEvaluationRequest, GetModelEvaluationResponse, Model, ModelState, ModelType

from server.ctl.failures import BadInput, Refused
from server.ctl.values import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.ctl.connection import Connection

ACTIVE = "active"
_NOTHING_STORED = "MODEL_EVALUATION_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Compared:
    """A version and the one before it.

    Args:
        model: the version that is reported.
        evaluation: what there is to draw of it.
        previous: the one that was active when it was judged, else the newest usable one before it; None for the first.
        earlier: what there is to draw of that one; None when nothing was stored.

    """

    model: Model
    evaluation: GetModelEvaluationResponse
    previous: Model | None
    earlier: GetModelEvaluationResponse | None


def chosen(models: Sequence[Model], wanted: str) -> Model:
    """The one version that is called so: by its id, its number, or `active`.

    Raises:
        BadInput: none is, or those of several types are.

    """
    active = ModelState.MODEL_STATE_ACTIVE
    found = [model for model in models if wanted in {model.id, model.version} or (wanted == ACTIVE and model.state == active)]
    if not found:
        msg = f"there is no model version {wanted!r}"
        raise BadInput(msg, "see `analyticsctl models`")
    if len(found) > 1:
        types = ", ".join(sorted(named(ModelType.DESCRIPTOR, model.type) for model in found))
        msg = f"{wanted!r} is a version of several types: {types}"
        raise BadInput(msg, "say which one by --type")
    return found[0]


def before(models: Sequence[Model], model: Model) -> Model | None:
    """The version that a version is compared with, of models that are listed newest first."""
    same = [each for each in models if each.type == model.type and each.id != model.id]
    judged = [each for each in same if model.evidence.active_version and each.version == model.evidence.active_version]
    older = [
        each
        for each in same
        if each.create_time.ToNanoseconds() < model.create_time.ToNanoseconds() and each.state != ModelState.MODEL_STATE_FAILED
    ]
    return next(iter([*judged, *older]), None)


def compared(connection: Connection, models: Sequence[Model], model: Model) -> Compared:
    """Read what there is to draw of a version and of the one before it."""
    evaluation = _evaluation(connection, model)
    previous = before(models, model)
    earlier = None
    if previous is not None:
        try:
            earlier = _evaluation(connection, previous)
        except Refused as failure:
            # Of a release that stored none: its metrics are still compared.
            if failure.refusal.reason != _NOTHING_STORED:
                raise
    return Compared(model, evaluation, previous, earlier)


def _evaluation(connection: Connection, model: Model) -> GetModelEvaluationResponse:
    stub = AnalyticsServiceStub(connection.channel)
    return connection.unary(stub.GetModelEvaluation, GetModelEvaluationRequest(model_id=model.id))
