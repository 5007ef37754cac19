"""An event and the payloads it may carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.identity import JobId, OrgId

_NAMESPACE = UUID("6f1c1c0e-4a53-5f0e-9b0a-2d7f3f0f5a10")


class Event(Protocol):
    """What every event says of itself; the classes of one subject stand together."""

    type: ClassVar[str]

    @property
    def subject(self) -> str:
        """What the event is about, `kind/id`."""

    @property
    def identity(self) -> str:
        """What makes the event the same one: two events of an organization with the same identity are one."""

    def payload(self) -> Mapping[str, object]:
        """Return what is stored and published, plain JSON."""


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

    def payload(self) -> Mapping[str, object]:
        """Return what is stored."""
        return {
            "job_id": str(self.job_id),
            "generation": self.generation,
            "model_type": self.model_type,
            "model_version": self.model_version,
        }


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
    event: Event
    cause: Cause


def event_id(org: OrgId, event: Event) -> UUID:
    """Return the id: the same change has the same one, so that it cannot be told twice."""
    return uuid5(_NAMESPACE, f"{org}/{event.identity}")
