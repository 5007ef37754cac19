"""Events as envelopes; which types there are, the contract says itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from analytics.events.v1 import envelope_pb2, event_options_pb2, event_service_pb2
from analytics.v1 import models_pb2

from server.events.model import SOURCE
from server.registry.model import ModelType
from server.wire.models import model_type_message
from server.wire.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from server.events.model import Json, Published
    from server.identity import OrgId

_PAYLOADS = envelope_pb2.Envelope.DESCRIPTOR.oneofs_by_name["payload"].fields
_MODEL_TYPE = models_pb2.ModelType.DESCRIPTOR
_KNOWN_MODEL_TYPES = frozenset(each.value for each in ModelType)


@dataclass(frozen=True, slots=True)
class EventType:
    """A type as its payload's options say it; `field` is the payload's in the envelope, `payload` its full name."""

    name: str
    field: str
    payload: str
    sent: bool


def _event_type(field: FieldDescriptor) -> EventType:
    message = field.message_type
    if message is None:
        text = f"{field.full_name} is no message"
        raise TypeError(text)
    options = message.GetOptions()
    direction = options.Extensions[event_options_pb2.event_direction]
    name = options.Extensions[event_options_pb2.event_type]
    return EventType(name, field.name, message.full_name, direction == event_options_pb2.EVENT_DIRECTION_OUT)


TYPES: Final[Mapping[str, EventType]] = {made.name: made for made in map(_event_type, _PAYLOADS)}
"""Every type of events, by name."""


def types_message() -> event_service_pb2.ListEventTypesResponse:
    """Return all types, those that are sent first."""
    response = event_service_pb2.ListEventTypesResponse()
    for each in sorted(TYPES.values(), key=lambda each: (not each.sent, each.name)):
        direction = event_options_pb2.EVENT_DIRECTION_OUT if each.sent else event_options_pb2.EVENT_DIRECTION_IN
        response.types.add(type=each.name, direction=direction, payload=each.payload)
    return response


def envelope(org: OrgId, event: Published) -> envelope_pb2.Envelope:
    """Return the envelope of a published event; one of a type that this release does not know has no payload."""
    message = envelope_pb2.Envelope(
        id=str(event.event_id),
        type=event.type,
        source=SOURCE,
        subject=event.subject,
        org_id=org,
        occur_time=timestamp(event.occurred_at),
        publish_time=timestamp(event.published_at),
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        traceparent=event.traceparent,
        residency=event.residency,
        sequence=event.sequence,
    )
    if event.provenance is not None:
        message.ai_provenance.CopyFrom(_provenance(event.provenance))
    known = TYPES.get(event.type)
    if known is not None:
        payload: Message = getattr(message, known.field)
        payload.SetInParent()
        _fill(payload, event.payload)
    return message


def _fill(payload: Message, content: Json) -> None:
    """Set the fields that the stored content has a value for."""
    for field in payload.DESCRIPTOR.fields:
        value = content.get(field.name)
        if value is None:
            continue
        if field.enum_type is _MODEL_TYPE:
            # One that only a newer release knows stays unspecified: the reader must not stop at the event for ever.
            if value in _KNOWN_MODEL_TYPES:
                setattr(payload, field.name, model_type_message(ModelType(str(value))))
        else:
            setattr(payload, field.name, value)


def _provenance(stored: Json) -> envelope_pb2.AiProvenance:
    references = stored["fact_references"]
    texts: Sequence[str] = [str(each) for each in references] if isinstance(references, list) else []
    return envelope_pb2.AiProvenance(
        capability=str(stored["capability"]),
        model=str(stored["model"]),
        version=str(stored["version"]),
        prompt_hash=str(stored["prompt_hash"]),
        correlation_id=str(stored["correlation_id"]),
        time=timestamp(datetime.fromisoformat(str(stored["time"]))),
        fact_references=texts,
    )
