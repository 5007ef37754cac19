"""Batches of facts: from messages to checked rows, and what is wrong with the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import protovalidate
from analytics.v1 import fact_service_pb2 as pb

from server.facts.check import problems
from server.facts.model import FactSet, cells
from server.facts.tables import STORAGES
from server.rpc.violations import field_violations
from server.wire import facts as wire
from server.wire.employees import employee

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from google.protobuf.message import Message

    from server.facts.model import Fact

Row = TypeVar("Row", bound="Message")

ROWS_AT_A_TIME = 250
"""Checked before other calls get their turn; about 10 ms."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One kind of batch: the member of the oneof, its list of rows, and how a row is read."""

    fact_set: FactSet
    member: str
    field: str
    read: Callable[[Message], Fact]

    @property
    def path(self) -> str:
        """Where the rows stand in the request."""
        return f"{self.member}.{self.field}"

    def rows(self, request: pb.IngestFactsRequest) -> Sequence[Message]:
        """Return the rows of a request."""
        rows: Sequence[Message] = getattr(getattr(request, self.member), self.field)
        return rows


async def checked(batch: Batch, messages: Sequence[Message], today: date) -> tuple[list[Fact], list[pb.RowError]]:
    """Return the good rows, and what is wrong with the bad ones, in order.

    5,000 rows take a fifth of a second, so other calls get their turn in between.
    """
    rows: list[Fact] = []
    errors: list[pb.RowError] = []
    seen: dict[tuple[object, ...], int] = {}
    key = STORAGES[batch.fact_set].key
    for index, message in enumerate(messages):
        if index % ROWS_AT_A_TIME == ROWS_AT_A_TIME - 1:
            await asyncio.sleep(0)
        row, wrong = _read(batch, message, today)
        if row is not None:
            content = cells(row)
            first = seen.setdefault(tuple(content[name] for name in key), index)
            if first != index:
                wrong.append((key[0], f"has the same {_listed(key)} as row {first} of this batch"))
        errors.extend(pb.RowError(row=index, field=field, description=description) for field, description in wrong)
        if row is not None and not wrong:
            rows.append(row)
    return rows, errors


def _read(batch: Batch, message: Message, today: date) -> tuple[Fact | None, list[tuple[str, str]]]:
    """Return the row, None when it cannot be read, and what is wrong with it."""
    violations = protovalidate.collect_violations(message)
    if violations:
        return None, [(violation.field, violation.description) for violation in field_violations(violations)]
    try:
        row = batch.read(message)
    except wire.FieldInvalid as error:
        return None, [(error.field, str(error))]
    return row, list(problems(row, today))


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _of(read: Callable[[Row], Fact]) -> Callable[[Message], Fact]:
    """Forget of which kind the messages are; the table below pairs each member with its own reader."""
    return cast("Callable[[Message], Fact]", read)


BATCHES: Mapping[str, Batch] = {
    batch.member: batch
    for batch in (
        Batch(FactSet.EMPLOYEES, "employees", "employees", _of(employee)),
        Batch(FactSet.EMPLOYEE_EXITS, "employee_exits", "exits", _of(wire.employee_exit)),
        Batch(FactSet.PAYROLL_ENTRIES, "payroll_entries", "entries", _of(wire.payroll_entry)),
        Batch(FactSet.CONTRACTS, "contracts", "contracts", _of(wire.contract)),
        Batch(FactSet.SPEND_ENTRIES, "spend_entries", "entries", _of(wire.spend_entry)),
        Batch(FactSet.PERFORMANCE_REVIEWS, "performance_reviews", "reviews", _of(wire.performance_review)),
    )
}
"""Every kind of batch by the member of IngestFactsRequest's oneof; a test holds it complete."""
