"""The contract, the event classes and the types agree with each other."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID, uuid4

import pytest
from analytics.events.v1 import envelope_pb2, event_options_pb2, payloads_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MessageOptions

from server import events
from server.events.benchmarks import BenchmarkUpdated
from server.events.insights import InsightCreated, InsightEvent
from server.events.model import PredictionEvent, PredictionRequested, event_id, shared_event_id
from server.events.models import ModelActivated, ModelDeprecated, ModelEvent
from server.identity import InsightId, JobId, ModelId, OrgId
from server.wire.events import TYPES, _fill
from tests.contract.sources import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.descriptor import Descriptor

    from server.events.model import Event

PAYLOADS = [field.message_type for field in envelope_pb2.Envelope.DESCRIPTOR.oneofs_by_name["payload"].fields]
ID = UUID("1b4e28ba-2fa1-4d2b-883f-0016d3cca427")


def event_classes() -> dict[str, type]:
    """Every class of `server.events` that has a type of its own."""
    found: dict[str, type] = {}
    for module in pkgutil.walk_packages(events.__path__, "server.events."):
        for _, each in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            name = getattr(each, "type", None)
            if each.__module__ == module.name and isinstance(name, str):
                found[name] = each
    return found


def an(kind: type) -> Event:
    """Return an event of a class, with every value set."""
    if issubclass(kind, PredictionEvent):
        return kind(JobId(ID), 2, "contract_risk", "1.2.0")
    if issubclass(kind, InsightEvent):
        return kind(InsightId(ID), "finance", "payroll_cost_spike", 4)
    if issubclass(kind, ModelEvent):
        return kind(ModelId(ID), "contract_risk", "1.2.0", "why", "now")
    assert kind is BenchmarkUpdated
    return BenchmarkUpdated(3, 40, 2)


def untyped(messages: Iterable[Descriptor]) -> list[str]:
    """Payloads that do not say type and direction, or say a type that another one has."""
    faults, seen = [], set[str]()
    for message in messages:
        options = message.GetOptions()
        name = options.Extensions[event_options_pb2.event_type]
        if not name or not options.Extensions[event_options_pb2.event_direction] or name in seen:
            faults.append(message.full_name)
        seen.add(name)
    return faults


def test_every_payload_names_its_type_and_direction_in_its_options_and_no_two_the_same() -> None:
    assert len(PAYLOADS) > 10
    assert untyped(message for message in PAYLOADS if message is not None) == []


def test_control_a_payload_without_a_type_and_one_with_anothers_are_found() -> None:
    payload = payloads_pb2.ModelFailed.DESCRIPTOR
    assert untyped([envelope_pb2.AiProvenance.DESCRIPTOR]) == ["analytics.events.v1.AiProvenance"]
    assert untyped([payload, payload]) == ["analytics.events.v1.ModelFailed"]


def test_every_message_that_names_a_type_is_a_payload_of_the_envelope() -> None:
    typed = {
        message.full_name
        for message in payloads_pb2.DESCRIPTOR.message_types_by_name.values()
        if message.GetOptions().Extensions[event_options_pb2.event_type]
    }
    assert typed == {message.full_name for message in PAYLOADS if message is not None}


def test_clients_without_our_stubs_find_the_type_in_the_descriptor_file() -> None:
    image = FileDescriptorSet.FromString((ROOT / "generated" / "descriptor.binpb").read_bytes())
    file = next(file for file in image.file if file.name == "analytics/events/v1/payloads.proto")
    named = {message.name: MessageOptions.FromString(message.options.SerializeToString()) for message in file.message_type}
    assert named["InsightCreated"].Extensions[event_options_pb2.event_type] == "insight.created"


def test_every_event_class_has_a_payload_and_every_payload_that_is_sent_a_class() -> None:
    assert event_classes().keys() == {known.name for known in TYPES.values() if known.sent}


@pytest.mark.parametrize("name", sorted(event_classes()))
def test_an_event_fills_its_payload_completely_and_with_nothing_else(name: str) -> None:
    event = an(event_classes()[name])
    envelope = envelope_pb2.Envelope()
    payload = getattr(envelope, TYPES[name].field)
    assert set(event.payload()) == {field.name for field in payload.DESCRIPTOR.fields if not field.GetOptions().deprecated}
    _fill(payload, event.payload())
    assert {field.name for field, _ in payload.ListFields()} == set(event.payload())
    assert "/" in event.subject


def test_control_a_class_without_a_payload_would_be_found() -> None:
    class Surprise:
        type: ClassVar[str] = "surprise.made"

    assert Surprise.type not in TYPES


def test_the_same_change_has_the_same_id_and_another_change_or_organization_another() -> None:
    one, other = OrgId("one"), OrgId("other")
    event = PredictionRequested(JobId(ID), 1, "t", "1.0.0")
    assert event_id(one, event) == event_id(one, PredictionRequested(JobId(ID), 1, "x", "2.0.0"))
    different = [
        event_id(one, event),
        event_id(other, event),
        event_id(one, PredictionRequested(JobId(ID), 2, "t", "1.0.0")),
        event_id(one, PredictionRequested(JobId(uuid4()), 1, "t", "1.0.0")),
        event_id(one, InsightCreated(InsightId(ID), "hr", "t", 1)),
        event_id(one, InsightCreated(InsightId(ID), "hr", "t", 2)),
        shared_event_id(ModelActivated(ModelId(ID), "t", "1.0.0", occasion="first")),
        shared_event_id(ModelActivated(ModelId(ID), "t", "1.0.0", occasion="second")),
        shared_event_id(ModelDeprecated(ModelId(ID), "t", "1.0.0", occasion="first")),
        shared_event_id(BenchmarkUpdated(1, 1, 1)),
        shared_event_id(BenchmarkUpdated(2, 1, 1)),
    ]
    assert len(set(different)) == len(different)
