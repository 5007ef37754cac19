"""Facts loaded over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analytics.v1 import fact_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from analytics.v1 import employees_pb2

    from tests.support.live import Metadata, Service

    Rows = Iterable[employees_pb2.Employee]


async def stream(batches: Sequence[Rows]) -> AsyncIterator[pb.IngestFactsRequest]:
    """Stream batches."""
    for batch in batches:
        yield pb.IngestFactsRequest(employees=pb.EmployeeBatch(employees=batch))


async def load_batches(service: Service, who: Metadata, *batches: Rows) -> list[pb.BatchResult]:
    """Load batches in one call; returns their results."""
    return list((await service.facts.IngestFacts(stream(batches), metadata=who)).batches)


async def load(service: Service, who: Metadata, rows: Rows) -> pb.BatchResult:
    """Load one batch."""
    (result,) = await load_batches(service, who, rows)
    return result
