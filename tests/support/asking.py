"""Requests for predictions, and their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import uuid4

from analytics.v1 import models_pb2
from analytics.v1 import predictions_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from tests.support import rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.struct_pb2 import Struct

    from tests.support.live import Metadata, Service

TURNOVER = models_pb2.MODEL_TYPE_TURNOVER_PREDICTION
PLAIN: dict[str, object] = {"department": "Sales", "job_role": "Clerk", "monthly_income": 3000.0, "years_at_company": 3.0}
"""The required features."""


def new_org() -> str:
    """Return an organization that no other test uses."""
    return f"org-{uuid4().hex[:12]}"


def typed(seed: int, *, request_id: str = "") -> pb.RequestPredictionRequest:
    """Return a typed request of a made-up employee."""
    request = pb.RequestPredictionRequest(model_type=TURNOVER, request_id=request_id)
    request.turnover.attributes.CopyFrom(rows.attributes(seed))
    return request


def untyped(features: Mapping[str, object], *, request_id: str = "") -> pb.RequestPredictionRequest:
    """Return the same request with open features."""
    request = pb.RequestPredictionRequest(model_type=TURNOVER, request_id=request_id)
    request.features.SetInParent()
    fill(request.features, features)
    return request


def fill(struct: Struct, features: Mapping[str, object]) -> None:
    """Set the fields of a Struct; what it cannot hold is a mistake of the test."""
    struct.update(cast("dict[str, None]", dict(features)))


async def job(service: Service, who: Metadata, job_id: str) -> pb.PredictionJob:
    """Return a job as it stands."""
    return (await service.analytics.GetPredictionJob(pb.GetPredictionJobRequest(job_id=job_id), metadata=who)).job


async def ended(service: Service, who: Metadata, job_id: str) -> pb.PredictionJob:
    """Return a job once it ended; at most 20 s."""
    wait = pb.GetPredictionJobRequest(job_id=job_id, wait=Duration(seconds=20))
    found = (await service.analytics.GetPredictionJob(wait, metadata=who)).job
    assert found.HasField("complete_time"), found
    return found


async def accepted(service: Service, who: Metadata, request: pb.RequestPredictionRequest) -> pb.RequestPredictionResponse:
    """Ask for a prediction."""
    return await service.analytics.RequestPrediction(request, metadata=who)
