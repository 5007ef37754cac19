"""An event and the payloads it may carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol
from uuid import UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from server.identity import JobId, OrgId

    # Plain JSON of our own making.
    Json = Mapping[str, object]

SOURCE = "analytics"
"""Who tells the events that are written here."""

OUTBOX_TOPIC = "outbox"
"""Rings when an event was written."""

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
class AiProvenance:
    """Where content that a language model made comes from; never the prompt itself."""

    capability: str
    model: str
    version: str
    prompt_hash: str
    correlation_id: str
    at: datetime
    fact_references: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """Return what is stored."""
        return {
            "capability": self.capability,
            "model": self.model,
            "version": self.version,
            "prompt_hash": self.prompt_hash,
            "correlation_id": self.correlation_id,
            "time": self.at.isoformat(),
            "fact_references": list(self.fact_references),
        }


@dataclass(frozen=True, slots=True)
class Cause:
    """Where an event comes from.

    Args:
        correlation_id: the request (or job) that made it.
        traceparent: the trace it belongs to.
        causation_id: id of the event that it follows from, a UUID; empty when it follows from none.
        residency: region that its content must not leave; empty where nobody said.
        provenance: of content that a language model made.

    """

    correlation_id: str
    traceparent: str
    causation_id: str = ""
    residency: str = ""
    provenance: AiProvenance | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An event of an organization with its cause, to be written together with others."""

    org: OrgId
    event: Event
    cause: Cause


@dataclass(frozen=True, slots=True)
class Published:
    """An event as readers get it; `payload` and `provenance` are plain JSON, perhaps of a newer release."""

    sequence: int
    event_id: UUID
    type: str
    subject: str
    occurred_at: datetime
    published_at: datetime
    correlation_id: str
    causation_id: str
    traceparent: str
    residency: str
    provenance: Json | None
    payload: Json


def topic(org: OrgId) -> str:
    """Name of the bell that rings when events of an organization were published."""
    return f"events:{org}"


def shared_event_id(event: Event) -> UUID:
    """Return the id of an event of no organization: every organization's copy has it."""
    # No organization has an empty id.
    return uuid5(_NAMESPACE, f"/{event.identity}")


def event_id(org: OrgId, event: Event) -> UUID:
    """Return the id: the same change has the same one, so that it cannot be told twice."""
    return uuid5(_NAMESPACE, f"{org}/{event.identity}")
