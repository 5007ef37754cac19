"""Sending packed batches by the IngestFacts stream, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics.v1.fact_service_pb2 import IngestFactsRequest, IngestFactsResponse
from analytics.v1.fact_service_pb2_grpc import FactServiceStub

from server.ctl.csv_rows import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from server.ctl.connection import Connection
    from server.ctl.fact_rows import PackedBatch

# Deadline of a stream: a minute, and a second for every 500 rows, a tenth of what a small server writes.
_BASE_SECONDS, _ROWS_PER_SECOND = 60.0, 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the server did: rows, and the problems of batches it refused (lines of the file)."""

    inserted: int
    updated: int
    unchanged: int
    bad_rows: int
    unwritten: int
    problems: tuple[Problem, ...]


def send(connection: Connection, batches: Sequence[PackedBatch], sent: Callable[[int], None] = lambda _: None) -> Outcome:
    """Send all batches in one stream; `sent` is told the rows of each batch as it leaves.

    Raises:
        Refused: the stream broke. Whole batches may be written then; sending them again changes nothing.

    """

    def messages() -> Iterator[IngestFactsRequest]:
        for batch in batches:
            yield IngestFactsRequest.FromString(batch.payload)
            sent(len(batch.lines))

    rows = sum(len(batch.lines) for batch in batches)
    with connection.calling() as metadata:
        response = FactServiceStub(connection.channel).IngestFacts(
            messages(), metadata=metadata, timeout=_BASE_SECONDS + rows / _ROWS_PER_SECOND
        )
    return outcome(response, batches)


def outcome(response: IngestFactsResponse, batches: Sequence[PackedBatch]) -> Outcome:
    """Add up the results of the batches; a row of a batch becomes a line of the file."""
    problems: list[Problem] = []
    for result in response.batches:
        lines = batches[result.batch].lines
        problems += [Problem(lines[error.row], error.field.rpartition(".")[2], error.description) for error in result.errors]
    return Outcome(
        inserted=sum(result.inserted for result in response.batches),
        updated=sum(result.updated for result in response.batches),
        unchanged=sum(result.unchanged for result in response.batches),
        bad_rows=sum(result.bad_rows for result in response.batches),
        unwritten=sum(len(batches[result.batch].lines) for result in response.batches if result.errors),
        problems=tuple(problems),
    )
