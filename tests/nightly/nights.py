"""Organizations loaded over the wire, the job run by a worker, and what it left."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest
from analytics.admin.v1 import operations_service_pb2 as ops
from analytics.v1 import contracts_pb2, employees_pb2, payroll_pb2
from analytics.v1 import fact_service_pb2 as facts
from analytics.v1 import insights_pb2 as pb
from google.type.date_pb2 import Date

from server.events.relay import loop
from tests.support import live, rows, runs
from tests.support.clock import VirtualClock
from tests.support.leftovers import superuser
from tests.support.loading import load_batches
from tests.support.small_models import activate_all
from tests.support.working import shared_service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.support.databases import Cluster
    from tests.support.live import Service

NIGHT = datetime(2025, 11, 21, 3, tzinfo=UTC)
TODAY = NIGHT.date()
OCTOBER = 2025 * 12 + 9


@dataclass(frozen=True)
class Nights:
    """A service whose clock stands still at 03:00 in a night of November 2025."""

    cluster: Cluster
    service: Service
    clock: VirtualClock

    async def load(self, org: str, *batches: Iterable[Message]) -> None:
        """Load facts, all of which are good."""
        results = await load_batches(self.service, live.bearer(org), *batches)
        assert not [error for result in results for error in result.errors]

    async def send(self, org: str, requests: Iterable[facts.IngestFactsRequest]) -> None:
        """Load batches as they are."""

        async def stream() -> AsyncIterator[facts.IngestFactsRequest]:
            for request in requests:
                yield request

        answer = await self.service.facts.IngestFacts(stream(), metadata=live.bearer(org))
        assert not [error for result in answer.batches for error in result.errors]

    async def run(self) -> ops.JobRun:
        """Run the job to its end."""
        began = await runs.start(self.service, ops.RunJobRequest(daily_metrics=ops.DailyMetricsJob()))
        ended = await runs.ended(self.service, began.id)
        assert ended.state == ops.JOB_RUN_STATE_COMPLETED, ended
        assert ended.organizations.failed == 0, ended
        return ended

    async def came(self, run: ops.JobRun) -> Mapping[str, tuple[int, str]]:
        """What a run came to for each organization: outcome and reason."""
        request = ops.ListJobRunOrganizationsRequest(run_id=run.id, page_size=1000)
        answer = await self.service.operations.ListJobRunOrganizations(request, metadata=live.operator())
        return {each.org_id: (each.outcome, each.reason) for each in answer.organizations}

    async def insights(self, org: str) -> Sequence[pb.Insight]:
        """What an organization is shown."""
        request = pb.GetInsightsRequest(page_size=1000)
        return list((await self.service.analytics.GetInsights(request, metadata=live.bearer(org))).insights)

    async def only(self, org: str) -> pb.Insight:
        """The only insight of an organization."""
        (insight,) = await self.insights(org)
        return insight

    async def kinds(self, org: str) -> set[str]:
        """The types of what an organization is shown."""
        return {insight.insight_type for insight in await self.insights(org)}

    async def told(self, org: str) -> list[str]:
        """The types of the events of insights of an organization."""
        async with superuser(self.cluster, self.service) as connection:
            found = await connection.fetch(
                "SELECT type FROM (SELECT org_id, type FROM outbox UNION ALL SELECT org_id, type FROM events) told"
                " WHERE org_id = $1 AND type LIKE 'insight.%' ORDER BY type",
                org,
            )
        return [row["type"] for row in found]

    @asynccontextmanager
    async def at(self, moment: datetime) -> AsyncIterator[None]:
        """Be at another time for a while."""
        async with superuser(self.cluster, self.service) as connection:
            await connection.execute("UPDATE test_clock SET at = $1", moment)
            try:
                yield
            finally:
                await connection.execute("UPDATE test_clock SET at = $1", NIGHT)


@asynccontextmanager
async def nights(cluster: Cluster, folder: Path, *, models: bool, worker: bool = True) -> AsyncIterator[Nights]:
    """Run a service and, unless told otherwise, a worker for the tests of a file."""
    # The relay purges by the minutes of the machine and by the clock of the tests, which may be weeks ahead for a while.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "PURGE_EVERY_SECONDS", math.inf)
        async with shared_service(cluster, folder, model=False, worker=worker) as service:
            async with superuser(cluster, service) as connection:
                database = await connection.fetchval("SELECT current_database()")
            clock = await VirtualClock.install(cluster, database)
            try:
                made = Nights(cluster, service, clock)
                async with superuser(cluster, service) as connection:
                    await connection.execute("UPDATE test_clock SET at = $1", NIGHT)
                if models:
                    await activate_all(service.app)
                yield made
            finally:
                await clock.close()


FIVE = ("e-1", "e-2", "e-3", "e-4", "e-5")


def pay(amounts: Mapping[int, float], employees: Sequence[str] = FIVE, currency: str = "EUR") -> list[payroll_pb2.PayrollEntry]:
    """Return what a cost centre pays by month (year x 12 + month - 1), the same to each employee."""
    return [
        payroll_pb2.PayrollEntry(
            employee_key=employee,
            period=Date(year=month // 12, month=month % 12 + 1),
            cost_centre="4711",
            pay_type=payroll_pb2.PAY_TYPE_BASE,
            gross_amount=f"{amount / len(employees):.2f}",
            currency_code=currency,
        )
        for month, amount in amounts.items()
        for employee in employees
    ]


def staff(count: int) -> list[employees_pb2.Employee]:
    """Return employees as they were at the end of October; nobody knows yet who will leave."""
    people = rows.employees(count)
    for person in people:
        person.as_of.CopyFrom(Date(year=2025, month=10, day=31))
        person.ClearField("left_within_year")
    return people


def months(newest: float, at: int = OCTOBER) -> dict[int, float]:
    """Two years of pay that is nearly level, up to the month `at`, which is as said."""
    return {**{at - back: 100_000.0 + 700.0 * (back * 7 % 5) for back in range(1, 25)}, at: newest}


def contract(key: str, end: date | None, *, disputes: int = 0, late: int = 0) -> contracts_pb2.Contract:
    """Return a contract in force."""
    made = contracts_pb2.Contract(
        contract_key=key,
        counterparty_key="s-1",
        value="120000.00",
        currency_code="EUR",
        start_date=Date(year=2024, month=1, day=1),
        status=contracts_pb2.CONTRACT_STATUS_ACTIVE,
        attributes=contracts_pb2.ContractAttributes(disputes=disputes, late_payments=late, services=2),
    )
    if end is not None:
        made.end_date.CopyFrom(Date(year=end.year, month=end.month, day=end.day))
    return made
