"""Facts of the demo organizations beside the states of their employees: exits, pay, contracts, spend and reviews.

What always holds: the same organization and day give the same rows on every machine; whom a row is about is one of the
organization's made-up employees; what there is to be found follows from the organization's stories.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, TypeVar

from analytics.v1 import fact_service_pb2 as pb
from analytics.v1.contracts_pb2 import Contract, ContractAttributes, ContractOutcome, ContractStatus
from analytics.v1.payroll_pb2 import EmployeeExit, ExitKind, PayrollEntry, PayType
from analytics.v1.performance_pb2 import PerformanceReview
from analytics.v1.spend_pb2 import SpendEntry

from server.ctl.demo_data import Dates, as_date, employees
from server.ctl.demo_organizations import Story

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analytics.v1.employees_pb2 import Employee

    from server.ctl.demo_organizations import DemoOrganization

_Row = TypeVar("_Row")

CURRENCY = "EUR"
_SEED = 20261102
_BATCH = 2_000
_SPIKE, _DECLINE = 1.45, 1.2
_OVERRUN, _SAVING, _SAVERS = (1.3, 1.6), (0.65, 0.85), 0.4
_USUAL, _SINCE, _NOISE = (0.88, 1.0), (4, 20), (0.02, 0.08)
_LEVEL, _PLANNING, _OVERRUNNING = 0.3, (12, 18, 24, 36, 36), 3
_CONTRACTS = 18
_SPEND_MONTHS, _PLAN_MONTHS = 36, 12
_CATEGORIES = ("Cloud services", "Travel", "Marketing", "Facilities")
_TARGET, _SCALE = 3.0, 5.0


def requests(organization: DemoOrganization, today: date) -> Iterator[pb.IngestFactsRequest]:
    """Yield everything there is to load of an organization, in messages of at most 2,000 rows."""
    people = employees(organization, today)
    random = Random(f"{_SEED}:{organization.org_id}")  # noqa: S311 - made-up facts, no secret
    dates = Dates.before(today)
    gone = list(_exits(random, people, dates))
    for part in _parts(people):
        yield pb.IngestFactsRequest(employees=pb.EmployeeBatch(employees=part))
    for left in _parts(gone):
        yield pb.IngestFactsRequest(employee_exits=pb.EmployeeExitBatch(exits=left))
    for pay in _parts(list(_payroll(random, organization, people, dates))):
        yield pb.IngestFactsRequest(payroll_entries=pb.PayrollEntryBatch(entries=pay))
    yield pb.IngestFactsRequest(contracts=pb.ContractBatch(contracts=_contracts(random, organization, today)))
    yield pb.IngestFactsRequest(spend_entries=pb.SpendEntryBatch(entries=_spend(random, organization, dates)))
    for reviews in _parts(list(_reviews(random, organization, people, dates))):
        yield pb.IngestFactsRequest(performance_reviews=pb.PerformanceReviewBatch(reviews=reviews))


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]


def _exits(random: Random, people: Sequence[Employee], dates: Dates) -> Iterator[EmployeeExit]:
    days = (dates.latest - dates.first).days
    for row in people:
        if row.left_within_year:
            kind = random.choices((ExitKind.EXIT_KIND_VOLUNTARY, ExitKind.EXIT_KIND_INVOLUNTARY), (0.8, 0.2))[0]
            day = dates.first + timedelta(days=random.randint(1, days))
            yield EmployeeExit(employee_key=row.employee_key, exit_date=as_date(day), kind=kind)


def _payroll(random: Random, organization: DemoOrganization, people: Sequence[Employee], dates: Dates) -> Iterator[PayrollEntry]:
    latest = as_date(dates.latest)
    present = [row for row in people if row.as_of == latest]
    sizes = Counter(row.attributes.department for row in present)
    loudest = max(sizes, default="", key=lambda name: (sizes[name], name))
    months = [_months_before(dates.latest, back) for back in range(organization.history)]
    for row in present:
        for month in months:
            jump = month == months[0] and Story.PAYROLL_SPIKE in organization.stories and row.attributes.department == loudest
            pay = row.attributes.monthly_income * random.gauss(1, 0.01)
            yield _paid(row, month, PayType.PAY_TYPE_BASE, pay)
            if jump:
                yield _paid(row, month, PayType.PAY_TYPE_OVERTIME, pay * (_SPIKE - 1))
            if month.month == 12:  # noqa: PLR2004 - pay at the end of the year has a season
                yield _paid(row, month, PayType.PAY_TYPE_BONUS, pay * 0.5)


def _paid(row: Employee, month: date, pay_type: PayType.ValueType, amount: float) -> PayrollEntry:
    return PayrollEntry(
        employee_key=row.employee_key,
        period=as_date(month),
        cost_centre=row.attributes.department,
        pay_type=pay_type,
        gross_amount=f"{amount:.2f}",
        currency_code=CURRENCY,
    )


def _contracts(random: Random, organization: DemoOrganization, today: date) -> list[Contract]:
    return [_contract(random, organization, today, number) for number in range(1, _CONTRACTS + 1)]


def _contract(random: Random, organization: DemoOrganization, today: date, number: int) -> Contract:
    known = ContractAttributes(
        contract_type=random.choices(("month-to-month", "one year", "framework"), (0.4, 0.35, 0.25))[0],
        category=random.choice(_CATEGORIES),
        payment_method=random.choice(("direct debit", "invoice", "card")),
        notice_days=random.choice((30, 60, 90)),
        auto_renew=random.random() < 0.4,  # noqa: PLR2004 - a share of the contracts
        support_included=random.random() < 0.5,  # noqa: PLR2004 - a share of the contracts
        services=random.randint(1, 6),
        disputes=random.choices((0, 1, 2), (0.8, 0.15, 0.05))[0],
        late_payments=random.choices((0, 1, 3), (0.7, 0.2, 0.1))[0],
    )
    term = random.choice((12, 24, 36))
    value = random.lognormvariate(10.3, 0.9)
    known.monthly_value = round(value / term, 2)
    contract = Contract(
        contract_key=f"{organization.key_prefix}-c{number:03d}",
        counterparty_key=f"partner-{random.randint(1, 900):03d}",
        value=f"{value:.2f}",
        currency_code=CURRENCY,
        attributes=known,
    )
    over = number > _CONTRACTS // 3
    close = not over and Story.RENEWAL in organization.stories
    ahead = random.randint(10, 80) if close else random.randint(150, 700)
    end = today - timedelta(days=random.randint(5, 360)) if over else today + timedelta(days=ahead)
    contract.end_date.CopyFrom(as_date(end))
    contract.start_date.CopyFrom(as_date(end - timedelta(days=30 * term)))
    contract.status = ContractStatus.CONTRACT_STATUS_ENDED if over else ContractStatus.CONTRACT_STATUS_ACTIVE
    if over:
        lapsed = random.random() < 1 / (1 + math.exp(-_lapse_log_odds(random, known)))
        contract.outcome = ContractOutcome.CONTRACT_OUTCOME_LAPSED if lapsed else ContractOutcome.CONTRACT_OUTCOME_RENEWED
        contract.outcome_date.CopyFrom(contract.end_date)
    return contract


def _lapse_log_odds(random: Random, known: ContractAttributes) -> float:
    return (
        -1.4
        + {"month-to-month": 1.1, "one year": 0.0, "framework": -0.8}[known.contract_type]
        - 0.8 * known.auto_renew
        - 0.5 * known.support_included
        + 0.9 * known.disputes
        + 0.4 * known.late_payments
        - 0.15 * known.services
        + random.gauss(0, 0.5)
    )


def _spend(random: Random, organization: DemoOrganization, dates: Dates) -> list[SpendEntry]:
    units = sorted(organization.shares)[: 1 if organization.history == 1 else None]
    return [entry for place, unit in enumerate(units) for entry in _series(random, organization, dates, unit, place)]


def _series(random: Random, organization: DemoOrganization, dates: Dates, unit: str, place: int) -> Iterator[SpendEntry]:
    level, phase, noise = organization.employees * random.uniform(80, 200), random.uniform(0, 12), random.uniform(*_NOISE)
    swing = 0.0 if random.random() < _LEVEL else random.uniform(0.1, 0.35)
    usual, (step, since) = random.uniform(*_USUAL), _step(random, organization, place)
    # Not everybody has planned for three years: of plans that never miss a model would not learn to do without.
    planning = random.choice(_PLANNING)
    for back in range(_SPEND_MONTHS - 1, -_PLAN_MONTHS - 1, -1):
        month = _months_before(dates.latest, back)
        planned = level * (1 + swing * math.sin((month.month + phase) / 6 * math.pi))
        entry = SpendEntry(unit=unit, category=_CATEGORIES[0], period=as_date(month), currency_code=CURRENCY)
        if back < planning:
            entry.budget = f"{planned:.2f}"
        if back >= 0:
            share = usual * (step if back < since else 1.0)
            entry.amount = f"{planned * share * random.lognormvariate(0, noise):.2f}"
        yield entry


def _step(random: Random, organization: DemoOrganization, place: int) -> tuple[float, int]:
    """How a unit's spend changed against its plan, and for how many months it has.

    Every unit has a month of its own, and some fall where others rise: a model that learns from all of them together would take a
    step that all make at once for something that happens to everybody.
    """
    since = random.randint(*_SINCE)
    if Story.OVERRUN in organization.stories and place < _OVERRUNNING:
        return random.uniform(*_OVERRUN), since
    return (random.uniform(*_SAVING), since) if random.random() < _SAVERS else (1.0, since)


def _reviews(random: Random, organization: DemoOrganization, people: Sequence[Employee], dates: Dates) -> Iterator[PerformanceReview]:
    latest = as_date(dates.latest)
    present = [row for row in people if row.as_of == latest]
    sizes = Counter(row.attributes.department for row in present)
    falling = min(sizes, default="", key=lambda name: (-sizes[name], name))
    rounds = 4 if organization.history > 1 else 1
    for row in present:
        known = row.attributes
        ability = 3.2 + 0.5 * (known.job_involvement - 2.5) + 0.3 * (known.job_satisfaction - 2.5) - 0.3 * known.over_time
        for back in range(rounds):
            fallen = back == 0 and Story.DECLINE in organization.stories and known.department == falling
            score = min(_SCALE, max(1.0, ability + random.gauss(0, 0.5) - (_DECLINE if fallen else 0.0)))
            yield PerformanceReview(
                employee_key=row.employee_key,
                review_date=as_date(_months_before(dates.latest, 3 * back) + timedelta(days=14)),
                team=known.department,
                score=round(score, 1),
                target=_TARGET,
                scale_max=_SCALE,
            )


def _months_before(day: date, months: int) -> date:
    """First day of the month that lies so many months before; negative is after."""
    index = day.year * 12 + day.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)
