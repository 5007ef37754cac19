"""FactService: load, count and erase facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import protovalidate
from analytics.v1 import employees_pb2
from analytics.v1 import fact_service_pb2 as pb

from server.errors import Reason, invalid_argument
from server.facts import store
from server.facts.load import erase_employees, load_employees
from server.rpc.once import once
from server.rpc.origins import origin
from server.rpc.violations import field_violations
from server.wire.employees import employee
from server.wire.times import timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from server.app import App
    from server.db import Tx
    from server.facts.model import Employee, Written
    from server.rpc.call import Call

    Rows = Sequence[employees_pb2.Employee]

MAX_ROWS = 5_000
MAX_ERRORS = 100
_ROWS = "employees.employees"
_YEARS = range(1950, 2101)


class FactRpcs:
    """The organization's facts."""

    def __init__(self, app: App) -> None:
        """Serve from `app`."""
        self._app = app

    async def ingest_facts(self, requests: AsyncIterator[pb.IngestFactsRequest], call: Call) -> pb.IngestFactsResponse:
        """Load batches, each all or nothing."""
        response = pb.IngestFactsResponse()
        async for request in requests:
            index = len(response.batches)
            messages = request.employees.employees
            if not messages:
                raise invalid_argument(_ROWS, f"batch {index} has no rows")
            if len(messages) > MAX_ROWS:
                raise invalid_argument(_ROWS, f"batch {index} has more than {MAX_ROWS:,} rows; split it", Reason.BATCH_TOO_LARGE)
            response.batches.append(await self._load(index, messages, call))
        return response

    async def list_fact_sets(self, request: pb.ListFactSetsRequest, call: Call) -> pb.ListFactSetsResponse:
        """Count what is stored."""
        del request
        async with self._app.read(call.caller.org) as tx:
            summary = await store.summarize_employees(tx, call.caller.org)
        employees = pb.FactSetSummary(
            fact_set=pb.FACT_SET_EMPLOYEES,
            rows=summary.rows,
            subjects=summary.subjects,
            labelled_rows=summary.labelled_rows,
            update_time=timestamp(summary.updated_at),
        )
        return pb.ListFactSetsResponse(fact_sets=[employees])

    async def delete_facts(self, request: pb.DeleteFactsRequest, call: Call) -> pb.DeleteFactsResponse:
        """Erase an employee or everything."""

        async def act(tx: Tx) -> pb.DeleteFactsResponse:
            return pb.DeleteFactsResponse(deleted=await erase_employees(tx, origin(call), request.employee_key or None))

        return await once(self._app, call, request, pb.DeleteFactsResponse, act)

    async def _load(self, index: int, messages: Rows, call: Call) -> pb.BatchResult:
        rows, errors = _rows(messages)
        if errors:
            bad = len({error.row for error in errors})
            return pb.BatchResult(batch=index, errors=errors[:MAX_ERRORS], bad_rows=bad)
        async with self._app.tx(call.caller.org) as tx:
            written: Written = await load_employees(tx, origin(call), rows)
        return pb.BatchResult(batch=index, inserted=written.inserted, updated=written.updated, unchanged=written.unchanged)


def _rows(messages: Rows) -> tuple[list[Employee], list[pb.RowError]]:
    rows: list[Employee] = []
    errors: list[pb.RowError] = []
    seen: dict[tuple[str, int, int, int], int] = {}
    for index, message in enumerate(messages):
        problems = _problems(message)
        key = (message.employee_key, message.as_of.year, message.as_of.month, message.as_of.day)
        first = seen.setdefault(key, index)
        if first != index:
            problems.append(("employee_key", f"has the same employee_key and as_of as row {first} of this batch"))
        errors.extend(pb.RowError(row=index, field=field, description=description) for field, description in problems)
        if not problems:
            rows.append(employee(message))
    return rows, errors


def _problems(message: employees_pb2.Employee) -> list[tuple[str, str]]:
    violations = protovalidate.collect_violations(message)
    problems = [(violation.field, violation.description) for violation in field_violations(violations)]
    if not problems:
        if message.as_of.year not in _YEARS:
            problems.append(("as_of", "must lie between 1950-01-01 and 2100-12-31"))
        else:
            try:
                employee(message)
            except ValueError:
                problems.append(("as_of", "is not a date of the calendar; year, month and day are all needed"))
    return problems
