"""An event and the payloads it may carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from server.identity import JobId, OrgId

_NAMESPACE = UUID("6f1c1c0e-4a53-5f0e-9b0a-2d7f3f0f5a10")


@dataclass(frozen=True, slots=True)
class PredictionEvent:
    """What every event of a prediction job says; never an input or a result."""

    type: ClassVar[str]
    job_id: JobId
    generation: int
    model_type: str
    model_version: str

    @property
    def subject(self) -> str:
        """What the event is about."""
        return f"prediction_job/{self.job_id}"

    @property
    def identity(self) -> str:
        """What makes the event the same one: a job's generation has each kind once."""
        return f"{self.type}/{self.job_id}/{self.generation}"


class PredictionRequested(PredictionEvent):
    """A job was queued."""

    type = "prediction.requested"


class PredictionCompleted(PredictionEvent):
    """A job ended with a result."""

    type = "prediction.completed"


class PredictionFailed(PredictionEvent):
    """A job ended with an error."""

    type = "prediction.failed"


class PredictionCancelled(PredictionEvent):
    """A job was cancelled."""

    type = "prediction.cancelled"


@dataclass(frozen=True, slots=True)
class Cause:
    """Where an event comes from: the request (or job) that made it, and the trace it belongs to."""

    correlation_id: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Told:
    """An event of an organization with its cause, to be written together with others."""

    org: OrgId
    event: PredictionEvent
    cause: Cause


def event_id(org: OrgId, event: PredictionEvent) -> UUID:
    """Return the id: the same change has the same one, so that it cannot be told twice."""
    return uuid5(_NAMESPACE, f"{org}/{event.identity}")
