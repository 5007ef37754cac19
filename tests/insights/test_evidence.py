"""What the nightly run reads, of an organization loaded over the wire."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import contracts_pb2, employees_pb2, payroll_pb2, performance_pb2, spend_pb2
from analytics.v1 import fact_service_pb2 as pb
from google.type.date_pb2 import Date
from sqlalchemy import text

from server.audit.store import COUNT
from server.facts.load import DELETED
from server.facts.model import ATTRIBUTES, INTEGER_ATTRIBUTES, NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES, FactSet
from server.identity import OrgId
from server.insights.detect import performance
from server.insights.evidence import store
from server.insights.evidence.model import EPOCH_ORDINAL, EndedContracts, Scores
from server.insights.store import take_turn
from server.wire.employees import employee
from tests.support import live, made_facts
from tests.support.insights import finding, recorded
from tests.support.leftovers import superuser
from tests.support.until import until_so

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.insights.evidence.model import Evidence, Outline, Workforce
    from server.insights.model import Turn
    from tests.support.databases import Cluster
    from tests.support.live import Service

TODAY = date(2026, 11, 21)
BOTH = text(f"SELECT pg_advisory_xact_lock(4, hashtext(:org)), ({COUNT}) AS erasures")


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


def days_left(found: Workforce) -> list[date | None]:
    """The latest exit of everybody."""
    return [None if day is None or math.isnan(day) else date.fromordinal(int(day) + EPOCH_ORDINAL) for day in found.left]


async def test_an_organization_without_facts_has_empty_evidence(shared: Service, org: str) -> None:
    found = await read(shared, org)
    assert not any((found.workforce.keys, found.workforce.strangers, found.payroll, found.contracts, found.spend, found.reviews))
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
        assert list(outlined.workforce.keys) == list(everything.workforce.keys)
        assert outlined.workforce.strangers == everything.workforce.strangers
        assert replace(outlined, workforce=everything.workforce) == everything


async def test_what_was_erased_and_found_before_a_turn_began_is_seen_in_it_also_by_one_that_waited(
    cluster: Cluster, shared: Service, org: str
) -> None:
    who = OrgId(org)

    async def take() -> Turn:
        async with shared.app.tx(who) as tx:
            return await take_turn(tx, who)

    await load(shared, org, made_facts.batch(made_facts.made(FactSet.EMPLOYEES, 2)))
    async with shared.app.read(who) as tx:
        outline = await store.outline(tx, who)
    before = await take()
    assert (before.erasures, before.listed) == (outline.erasures, False)

    async def lock_and_count() -> int:
        async with shared.app.tx(who) as tx:
            counted: int = (await tx.one(BOTH, {"org": org, "action": DELETED})).erasures
            return counted

    async with superuser(cluster, shared) as connection:

        async def many_wait(number: int) -> bool:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return bool(await connection.fetchval(waiting) == number)

        async with shared.app.tx(who) as holding:
            await take_turn(holding, who)
            erasing = asyncio.ensure_future(shared.facts.DeleteFacts(pb.DeleteFactsRequest(employee_key="e-1"), metadata=live.bearer(org)))
            await until_so(lambda: many_wait(1))
            recording = asyncio.ensure_future(recorded(shared.app.db, org, [finding()]))
            await until_so(lambda: many_wait(2))
            waited = asyncio.ensure_future(take())
            await until_so(lambda: many_wait(3))
            at_once = asyncio.ensure_future(lock_and_count())
            await until_so(lambda: many_wait(4))
    await asyncio.gather(erasing, recording)
    # Control: a statement that waits and counts at once counts as it was before it waited.
    assert await at_once == outline.erasures
    assert (await waited).erasures > outline.erasures
    assert (await waited).listed


async def test_employees_are_read_at_their_latest_state_with_their_exit(shared: Service, org: str) -> None:
    def state(key: str, day: Date, income: float) -> employees_pb2.Employee:
        known = employees_pb2.EmployeeAttributes(department="Sales", monthly_income=income)
        return employees_pb2.Employee(employee_key=key, as_of=day, attributes=known)

    earlier, later, future = Date(year=2026, month=9, day=30), Date(year=2026, month=10, day=31), Date(year=2026, month=11, day=22)
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
    assert days_left(found) == [date(2026, 10, 5), None]
    assert found.strangers == 1


async def test_of_every_attribute_an_absent_value_stays_absent_and_a_known_one_is_what_it_was(shared: Service, org: str) -> None:
    values = dict.fromkeys(TEXT_ATTRIBUTES, "Ünter, | 1") | dict.fromkeys(INTEGER_ATTRIBUTES, 1) | dict.fromkeys(NUMBER_ATTRIBUTES, 1.1)
    values |= {"over_time": False, "business_travel": employees_pb2.BUSINESS_TRAVEL_RARELY}
    people = [
        employees_pb2.Employee(
            employee_key=f"e-{place:02}",
            as_of=Date(year=2026, month=10, day=31),
            attributes=employees_pb2.EmployeeAttributes(**{name: values[name]}),  # type: ignore[arg-type]  # by the name of the field
        )
        for place, name in enumerate(ATTRIBUTES)
    ]
    await load(shared, org, pb.IngestFactsRequest(employees=pb.EmployeeBatch(employees=people)))
    found = (await read(shared, org)).workforce
    for place, name in enumerate(ATTRIBUTES):
        column = list(found.attributes[name])
        told = employee(people[place]).attributes[name]
        assert column.pop(place) == told
        assert len(column) == len(ATTRIBUTES) - 1
        assert all(value is None if name in TEXT_ATTRIBUTES else math.isnan(value) for value in column)


async def test_of_exits_without_any_state_only_their_number_is_known(shared: Service, org: str) -> None:
    gone = [payroll_pb2.EmployeeExit(employee_key=key, exit_date=Date(year=2026, month=6, day=5)) for key in ("x", "y")]
    await load(shared, org, pb.IngestFactsRequest(employee_exits=pb.EmployeeExitBatch(exits=gone)))
    found = (await read(shared, org)).workforce
    assert (list(found.keys), found.strangers) == ([], 2)


async def test_of_several_exits_the_latest_counts_also_in_the_future_and_states_tell_who_left(shared: Service, org: str) -> None:
    now = Date(year=2026, month=10, day=31)
    sales = employees_pb2.EmployeeAttributes(department="Sales")
    states = (("a", None), ("b", True))
    people = [employees_pb2.Employee(employee_key=key, as_of=now, left_within_year=told, attributes=sales) for key, told in states]
    exits = [("a", Date(year=2026, month=10, day=5)), ("a", Date(year=2026, month=12, day=5))]
    gone = [payroll_pb2.EmployeeExit(employee_key=key, exit_date=when) for key, when in exits]
    await load(
        shared,
        org,
        pb.IngestFactsRequest(employees=pb.EmployeeBatch(employees=people)),
        pb.IngestFactsRequest(employee_exits=pb.EmployeeExitBatch(exits=gone)),
    )
    found = (await read(shared, org)).workforce
    assert days_left(found) == [date(2026, 12, 5), None]
    assert (list(found.leaving), found.strangers) == ([False, True], 0)


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


async def test_only_contracts_in_force_or_lately_over_are_open_and_only_recent_ends_count(shared: Service, org: str) -> None:
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
        contract("overdue", active, Date(year=2026, month=8, day=23)),
        contract("over-for-long", active, Date(year=2026, month=8, day=22)),
        contract("active-but-terminated", active, Date(year=2027, month=1, day=1), "TERMINATED"),
        contract("active-but-disputed", active, Date(year=2027, month=1, day=1), "DISPUTED"),
        contract("active-and-changed", active, Date(year=2027, month=1, day=1), "CHANGED"),
        contract("active-and-renewed", active, Date(year=2027, month=1, day=1), "RENEWED"),
        contract("renewed", ended, Date(year=2026, month=5, day=1), "RENEWED"),
        contract("lapsed", ended, Date(year=2026, month=5, day=1), "LAPSED"),
        contract("completed", ended, Date(year=2026, month=5, day=1), "COMPLETED"),
        contract("a-year-ago", ended, Date(year=2025, month=11, day=21), "RENEWED"),
        contract("a-day-less", ended, Date(year=2025, month=11, day=22), "LAPSED"),
    ]
    await load(shared, org, pb.IngestFactsRequest(contracts=pb.ContractBatch(contracts=rows)))
    found = await read(shared, org)
    in_force = ["active-and-changed", "active-and-renewed", "later", "open", "overdue"]
    assert [(each.contract_key, each.notice_days, each.value, each.auto_renew) for each in found.contracts] == [
        (key, 30, 1200.0, None) for key in in_force
    ]
    assert found.ended == EndedContracts(renewed=1, ended=3)


@pytest.mark.parametrize(("today", "since"), [(date(2026, 11, 21), date(2025, 11, 22)), (date(2024, 2, 29), date(2023, 3, 1))])
async def test_scores_and_ends_are_of_exactly_the_last_twelve_months(shared: Service, org: str, today: date, since: date) -> None:
    def review(key: str, when: date) -> performance_pb2.PerformanceReview:
        day = Date(year=when.year, month=when.month, day=when.day)
        return performance_pb2.PerformanceReview(employee_key=key, review_date=day, team="t", score=3.0, scale_max=5)

    rows = [review("first", since), review("before", since - timedelta(days=1)), review("last", today)]
    await load(shared, org, pb.IngestFactsRequest(performance_reviews=pb.PerformanceReviewBatch(reviews=rows)))
    async with shared.app.read(OrgId(org)) as tx:
        scores = await store.latest_scores(tx, OrgId(org), today)
    assert (scores.people, scores.without_scale) == (2, False)


@pytest.mark.parametrize(("day", "told"), [(date(2026, 11, 21), True), (date(2025, 11, 21), False)])
async def test_a_score_of_the_last_twelve_months_without_its_scale_is_no_score_and_is_known_of(
    shared: Service,
    org: str,
    day: date,
    told: bool,  # noqa: FBT001 - a parameter of the table above
) -> None:
    row = performance_pb2.PerformanceReview(
        employee_key="e-1", review_date=Date(year=day.year, month=day.month, day=day.day), team="t", score=3.0
    )
    await load(shared, org, pb.IngestFactsRequest(performance_reviews=pb.PerformanceReviewBatch(reviews=[row])))
    async with shared.app.read(OrgId(org)) as tx:
        assert await store.latest_scores(tx, OrgId(org), date(2026, 11, 21)) == Scores(0, None, without_scale=told)


async def test_spend_is_read_by_category_and_keeps_plans_of_the_future(shared: Service, org: str) -> None:
    def spent(category: str, month: int, amount: str | None, budget: str | None) -> spend_pb2.SpendEntry:
        period = Date(year=2026, month=month)
        return spend_pb2.SpendEntry(unit="it", category=category, period=period, amount=amount, budget=budget, currency_code="EUR")

    rows = [spent("a", 10, "5", "4"), spent("b", 10, "-1", None), spent("a", 12, None, "4")]
    await load(shared, org, pb.IngestFactsRequest(spend_entries=pb.SpendEntryBatch(entries=rows)))
    found = [(row.category, row.month - 2026 * 12, row.amount, row.budget) for row in (await read(shared, org)).spend]
    assert sorted(found) == [("a", 9, 5.0, 4.0), ("a", 11, None, 4.0), ("b", 9, -1.0, None)]


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


async def test_as_many_quarters_of_reviews_are_read_as_are_compared_and_no_more(shared: Service, org: str) -> None:
    months = [(2023 + place // 12, place % 12 + 1) for place in range(46)]
    rows = [
        performance_pb2.PerformanceReview(employee_key="a", review_date=Date(year=year, month=month, day=1), team="t", score=3.0)
        for year, month in months
    ]
    await load(shared, org, pb.IngestFactsRequest(performance_reviews=pb.PerformanceReviewBatch(reviews=rows)))
    assert [each.reviews for each in (await read(shared, org)).reviews] == [3] * performance.MOST_PERIODS


async def test_reviews_of_a_quarter_are_kept_apart_by_their_scale(shared: Service, org: str) -> None:
    when, scores = Date(year=2026, month=10, day=5), (("a", 4.0, 5), ("b", 3.0, 5), ("c", 8.0, 10), ("d", 2.0, None))
    rows = [
        performance_pb2.PerformanceReview(employee_key=key, review_date=when, team="t", score=score, scale_max=scale)
        for key, score, scale in scores
    ]
    await load(shared, org, pb.IngestFactsRequest(performance_reviews=pb.PerformanceReviewBatch(reviews=rows)))
    found = (await read(shared, org)).reviews
    assert [(each.reviews, each.mean, each.scale_max) for each in found] == [(2, 3.5, 5.0), (1, 8.0, 10.0), (1, 2.0, None)]


async def test_scores_of_different_scales_are_brought_to_five(shared: Service, org: str) -> None:
    def review(key: str, month: int, score: float, scale: float | None) -> performance_pb2.PerformanceReview:
        when = Date(year=2026, month=month, day=1)
        return performance_pb2.PerformanceReview(employee_key=key, review_date=when, team="t", score=score, scale_max=scale)

    rows = [review("a", 3, 1.0, 5), review("a", 9, 4.0, 5), review("b", 9, 40.0, 100), review("c", 9, 3.0, None)]
    await load(shared, org, pb.IngestFactsRequest(performance_reviews=pb.PerformanceReviewBatch(reviews=rows)))
    assert (await read(shared, org)).scores == Scores(2, 3.0, without_scale=True)
