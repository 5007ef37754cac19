"""Every RPC of our services as the pipeline needs it: taken from the contract, with the role table beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics.admin.v1 import operations_service_pb2
from analytics.events.v1 import event_service_pb2
from analytics.v1 import analytics_service_pb2, fact_service_pb2, tenant_service_pb2
from google.protobuf.message_factory import GetMessageClass

from server.rpc.roles import ROLES

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message

    from server.identity import Role

MAX_REQUEST_BYTES = 4 << 20
MAX_BULK_REQUEST_BYTES = 16 << 20
MAX_PARTS = 10_000
MAX_BATCH_PARTS = 250_000
_BATCHES = frozenset({"/analytics.v1.AnalyticsService/BatchRequestPredictions", "/analytics.events.v1.EventService/PublishEvents"})
_BULK = frozenset({"/analytics.v1.FactService/IngestFacts"})
_FILES = (analytics_service_pb2, fact_service_pb2, tenant_service_pb2, event_service_pb2, operations_service_pb2)
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC.

    `path` is `/package.Service/Method`, `handler` the name of the Python method that answers it, `max_bytes` the largest
    request message, decompressed, `max_parts` the most submessages and items it may have in all; of a bulk message, rows.
    """

    path: str
    service: str
    name: str
    handler: str
    request: type[Message]
    takes_stream: bool
    gives_stream: bool
    max_bytes: int
    max_parts: int
    roles: frozenset[Role]


def services() -> dict[str, tuple[Method, ...]]:
    """Return the RPCs of every service of ours, by the service's full name."""
    found = [service for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()]
    return {service.full_name: tuple(_method(service, method) for method in service.methods) for service in found}


def _method(service: ServiceDescriptor, method: MethodDescriptor) -> Method:
    path = f"/{service.full_name}/{method.name}"
    return Method(
        path=path,
        service=service.full_name,
        name=method.name,
        handler=_CAPITAL.sub("_", method.name).lower(),
        request=GetMessageClass(method.input_type),
        takes_stream=method.client_streaming,
        gives_stream=method.server_streaming,
        max_bytes=MAX_BULK_REQUEST_BYTES if path in _BULK else MAX_REQUEST_BYTES,
        max_parts=MAX_BATCH_PARTS if path in _BATCHES else MAX_PARTS,
        roles=ROLES[path],
    )
