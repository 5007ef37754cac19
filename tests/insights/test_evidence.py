"""What the nightly run reads, of an organization loaded over the wire."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import contracts_pb2, employees_pb2, payroll_pb2, performance_pb2, spend_pb2
from analytics.v1 import fact_service_pb2 as pb
from google.type.date_pb2 import Date

from server.facts.model import FactSet
from server.identity import OrgId
from server.insights.evidence import store
from server.insights.evidence.model import EPOCH_ORDINAL, EndedContracts, Scores
from tests.support import live, made_facts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.insights.evidence.model import Evidence, Outline
    from tests.support.live import Service

TODAY = date(2026, 11, 21)


async def load(service: Service, org: str, *requests: pb.IngestFactsRequest) -> None:
    """Load batches, all of which are good."""

    async def stream() -> AsyncIterator[pb.IngestFactsRequest]:
        for request in requests:
            yield request

    answer = await service.facts.IngestFacts(stream(), metadata=live.bearer(org))
    assert not [error for batch in answer.batches for error in batch.errors]


async def read(service: Service, org: str) -> Evidence:
    """Everything that is known of an organization."""
    async with service.app.read(OrgId(org)) as tx:
        return await store.evidence(tx, OrgId(org), TODAY)


async def test_an_organization_without_facts_has_empty_evidence(shared: Service, org: str) -> None:
    found = await read(shared, org)
    assert not any((found.workforce.keys, found.workforce.exits, found.payroll, found.contracts, found.spend, found.reviews))
    assert (found.ended, found.scores) == (EndedContracts(0, 0), Scores(0, None))


async def test_the_outline_tells_of_which_kinds_there_are_facts_and_the_others_need_not_be_read(shared: Service, org: str) -> None:
    async def look() -> Outline:
        async with shared.app.read(OrgId(org)) as tx:
            return await store.outline(tx, OrgId(org))

    assert not (await look()).known
    for fact_set in FactSet:
        before = (await look()).known
        await load(shared, org, made_facts.batch(made_facts.made(fact_set, 2)))
        assert {*(await look()).known} == {*before, fact_set}
        everything = await read(shared, org)
        async with shared.app.read(OrgId(org)) as tx:
            outlined = await store.evidence(tx, OrgId(org), TODAY, (await look()).known)
        assert (list(outlined.workforce.keys), outlined.workforce.exits) == (list(everything.workforce.keys), everything.workforce.exits)
        assert replace(outlined, workforce=everything.workforce) == everything


async def test_employees_are_read_at_their_latest_state_with_their_exit(shared: Service, org: str) -> None:
    def state(key: str, day: Date, income: float) -> employees_pb2.Employee:
        known = employees_pb2.EmployeeAttributes(department="Sales", monthly_income=income)
        return employees_pb2.Employee(employee_key=key, as_of=day, attributes=known)

    earlier, later, future = Date(year=2026, month=9, day=30), Date(year=2026, month=10, day=31), Date(year=2026, month=12, day=31)
    people = [state("b", earlier, 1.0), state("b", later, 2.0), state("b", future, 3.0), state("a", earlier, 4.0)]
    gone = [payroll_pb2.EmployeeExit(employee_key="a", exit_date=Date(year=2026, month=10, day=5))]
    gone += [payroll_pb2.EmployeeExit(employee_key="never-seen", exit_date=Date(year=2026, month=6, day=5))]
    await load(
        shared,
        org,
        pb.IngestFactsRequest(employees=pb.EmployeeBatch(employees=people)),
        pb.IngestFactsRequest(employee_exits=pb.EmployeeExitBatch(exits=gone)),
    )
    found = (await read(shared, org)).workforce
    assert list(found.keys) == ["a", "b"]
    assert list(found.attributes["monthly_income"]) == [4.0, 2.0]
    assert list(found.attributes["department"]) == ["Sales", "Sales"]
    assert [str(level) for level in found.attributes["job_level"]] == ["nan", "nan"]
    assert [date.fromordinal(day + EPOCH_ORDINAL) for day in found.first_seen] == [date(2026, 9, 30)] * 2
    assert [date.fromordinal(day + EPOCH_ORDINAL) for day in found.last_seen] == [date(2026, 9, 30), date(2026, 10, 31)]
    assert [str(day) for day in found.left] == [str(float(date(2026, 10, 5).toordinal() - EPOCH_ORDINAL)), "nan"]
    assert sorted(date.fromordinal(day + EPOCH_ORDINAL) for day in found.exits) == [date(2026, 6, 5), date(2026, 10, 5)]


async def test_pay_is_added_up_by_cost_centre_currency_and_month(shared: Service, org: str) -> None:
    def paid(key: str, centre: str, amount: str, currency: str = "EUR", kind: int = payroll_pb2.PAY_TYPE_BASE) -> payroll_pb2.PayrollEntry:
        return payroll_pb2.PayrollEntry(
            employee_key=key,
            period=Date(year=2026, month=10),
            cost_centre=centre,
            pay_type=kind,  # type: ignore[arg-type]  # a value of the enum
            gross_amount=amount,
            currency_code=currency,
        )

    entries = [
        paid("a", "x", "10.5"),
        paid("a", "x", "1", kind=payroll_pb2.PAY_TYPE_BONUS),
        paid("b", "x", "5"),
        paid("c", "x", "7", "USD"),
    ]
    await load(shared, org, pb.IngestFactsRequest(payroll_entries=pb.PayrollEntryBatch(entries=entries)))
    found = [(row.cost_centre, row.currency, row.month, row.cost, row.people) for row in (await read(shared, org)).payroll]
    assert found == [("x", "EUR", 2026 * 12 + 9, 16.5, 2), ("x", "USD", 2026 * 12 + 9, 7.0, 1)]


async def test_only_contracts_in_force_are_open_and_only_recent_ends_count(shared: Service, org: str) -> None:
    active, ended = contracts_pb2.CONTRACT_STATUS_ACTIVE, contracts_pb2.CONTRACT_STATUS_ENDED

    def contract(
        key: str, status: contracts_pb2.ContractStatus.ValueType, end: Date | None, outcome: str = "UNSPECIFIED"
    ) -> contracts_pb2.Contract:
        return contracts_pb2.Contract(
            contract_key=key,
            value="1200",
            currency_code="EUR",
            start_date=Date(year=2020, month=1, day=1),
            end_date=end,
            status=status,
            outcome=contracts_pb2.ContractOutcome.Value(f"CONTRACT_OUTCOME_{outcome}"),
            attributes=contracts_pb2.ContractAttributes(notice_days=30),
        )

    rows = [
        contract("open", active, None),
        contract("later", active, Date(year=2027, month=1, day=1)),
        contract("over", active, Date(year=2026, month=11, day=20)),
        contract("renewed", ended, Date(year=2026, month=5, day=1), "RENEWED"),
        contract("lapsed", ended, Date(year=2026, month=5, day=1), "LAPSED"),
        contract("completed", ended, Date(year=2026, month=5, day=1), "COMPLETED"),
        contract("long-ago", ended, Date(year=2024, month=5, day=1), "RENEWED"),
    ]
    await load(shared, org, pb.IngestFactsRequest(contracts=pb.ContractBatch(contracts=rows)))
    found = await read(shared, org)
    assert [(each.contract_key, each.notice_days, each.value) for each in found.contracts] == [("later", 30, 1200.0), ("open", 30, 1200.0)]
    assert found.ended == EndedContracts(renewed=1, ended=2)


async def test_spend_is_added_up_over_categories_and_keeps_plans_of_the_future(shared: Service, org: str) -> None:
    def spent(category: str, month: int, amount: str | None, budget: str | None) -> spend_pb2.SpendEntry:
        period = Date(year=2026, month=month)
        return spend_pb2.SpendEntry(unit="it", category=category, period=period, amount=amount, budget=budget, currency_code="EUR")

    rows = [spent("a", 10, "5", "4"), spent("b", 10, "-1", None), spent("a", 12, None, "4")]
    await load(shared, org, pb.IngestFactsRequest(spend_entries=pb.SpendEntryBatch(entries=rows)))
    found = [(row.unit, row.month - 2026 * 12, row.amount, row.budget) for row in (await read(shared, org)).spend]
    assert found == [("it", 9, 4.0, 4.0), ("it", 11, None, 4.0)]


@pytest.mark.parametrize(
    ("reviewed", "ended"),
    [
        ((2026, 10, 31), date(2026, 10, 31)),
        ((2026, 8, 1), date(2026, 10, 31)),
        ((2026, 7, 31), date(2026, 7, 31)),
        ((2025, 11, 1), date(2026, 1, 31)),
        ((2025, 10, 31), date(2025, 10, 31)),
    ],
)
async def test_reviews_fall_into_quarters_that_end_with_the_last_complete_month(
    shared: Service, org: str, reviewed: tuple[int, int, int], ended: date
) -> None:
    year, month, day = reviewed
    row = performance_pb2.PerformanceReview(
        employee_key="a", review_date=Date(year=year, month=month, day=day), team="t", score=3.0, scale_max=10
    )
    await load(shared, org, pb.IngestFactsRequest(performance_reviews=pb.PerformanceReviewBatch(reviews=[row])))
    found = await read(shared, org)
    assert [(each.team, each.ended, each.people, each.reviews, each.mean, each.deviation) for each in found.reviews] == [
        ("t", ended, 1, 1, 3.0, 0.0)
    ]


async def test_scores_of_different_scales_are_brought_to_five(shared: Service, org: str) -> None:
    def review(key: str, month: int, score: float, scale: float | None) -> performance_pb2.PerformanceReview:
        when = Date(year=2026, month=month, day=1)
        return performance_pb2.PerformanceReview(employee_key=key, review_date=when, team="t", score=score, scale_max=scale)

    rows = [review("a", 3, 1.0, 5), review("a", 9, 4.0, 5), review("b", 9, 40.0, 100), review("c", 9, 3.0, None)]
    await load(shared, org, pb.IngestFactsRequest(performance_reviews=pb.PerformanceReviewBatch(reviews=rows)))
    assert (await read(shared, org)).scores == Scores(2, 3.0)
