"""Facts loaded over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.made_facts import batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from analytics.v1 import fact_service_pb2 as pb
    from google.protobuf.message import Message

    from tests.support.live import Metadata, Service

    Rows = Iterable[Message]


async def stream(batches: Sequence[Rows]) -> AsyncIterator[pb.IngestFactsRequest]:
    """Stream batches, each of facts of one kind; one without facts is of employees."""
    for facts in batches:
        yield batch(facts)


async def load_batches(service: Service, who: Metadata, *batches: Rows) -> list[pb.BatchResult]:
    """Load batches in one call; returns their results."""
    return list((await service.facts.IngestFacts(stream(batches), metadata=who)).batches)


async def load(service: Service, who: Metadata, rows: Rows) -> pb.BatchResult:
    """Load one batch."""
    (result,) = await load_batches(service, who, rows)
    return result
