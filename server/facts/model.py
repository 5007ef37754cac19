"""The kinds of facts, and what loading them yields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from decimal import Decimal

AttributeValue = float | int | bool | str


class FactSet(StrEnum):
    """A kind of fact; each has a table of the same name."""

    EMPLOYEES = "employees"
    EMPLOYEE_EXITS = "employee_exits"
    PAYROLL_ENTRIES = "payroll_entries"
    CONTRACTS = "contracts"
    SPEND_ENTRIES = "spend_entries"
    PERFORMANCE_REVIEWS = "performance_reviews"


class Subject(StrEnum):
    """What an erasure may name; also the column that holds it."""

    EMPLOYEE = "employee_key"
    CONTRACT = "contract_key"
    COUNTERPARTY = "counterparty_key"
    UNIT = "unit"


TEXT_ATTRIBUTES = ("department", "job_role", "business_travel", "education_field")
BOOLEAN_ATTRIBUTES = ("over_time",)
INTEGER_ATTRIBUTES = (
    "job_level",
    "education_level",
    "environment_satisfaction",
    "job_involvement",
    "job_satisfaction",
    "relationship_satisfaction",
    "work_life_balance",
    "performance_rating",
    "companies_worked",
    "stock_option_level",
    "trainings_last_year",
)
NUMBER_ATTRIBUTES = (
    "monthly_income",
    "years_at_company",
    "distance_from_home",
    "salary_hike_percent",
    "total_working_years",
    "years_in_current_role",
    "years_since_promotion",
    "years_with_manager",
    "paid_share",
)
ATTRIBUTES = TEXT_ATTRIBUTES + BOOLEAN_ATTRIBUTES + INTEGER_ATTRIBUTES + NUMBER_ATTRIBUTES
"""Names as in `analytics.v1.EmployeeAttributes`; a contract test holds the two equal."""

CONTRACT_TEXTS = ("contract_type", "category", "pricing", "payment_method")
CONTRACT_NUMBERS = ("monthly_value", "term_months", "tenure_months")
CONTRACT_INTEGERS = ("notice_days", "offers_received", "services", "amendments", "disputes", "late_payments")
CONTRACT_BOOLEANS = ("auto_renew", "competed", "support_included")
CONTRACT_ATTRIBUTES = CONTRACT_TEXTS + CONTRACT_NUMBERS + CONTRACT_INTEGERS + CONTRACT_BOOLEANS
"""Names as in `analytics.v1.ContractAttributes`, without `value`, which is the contract's own."""

WORK_NUMBERS = ("standard_minutes", "work_in_progress", "overtime_minutes", "incentive", "idle_minutes", "people")
WORK_INTEGERS = ("idle_people", "changes")
WORK_MEASURES = WORK_NUMBERS + WORK_INTEGERS
"""Names as in `analytics.v1.WorkMeasures`."""


@dataclass(frozen=True, slots=True)
class Employee:
    """State of one employee at one date; absent attributes are not in the mapping."""

    employee_key: str
    as_of: date
    attributes: Mapping[str, AttributeValue]
    left_within_year: bool | None


@dataclass(frozen=True, slots=True)
class EmployeeExit:
    """An employee left; `kind` is lower case as in the contract, None when not known."""

    employee_key: str
    exit_date: date
    kind: str | None


@dataclass(frozen=True, slots=True)
class PayrollEntry:
    """Pay of an employee; `period` is the first day of the month, amounts are in `currency` (ISO 4217)."""

    employee_key: str
    period: date
    cost_centre: str
    pay_type: str
    gross_amount: Decimal
    currency: str
    hours: float | None


class ContractStatus(StrEnum):
    """Where a contract stands."""

    DRAFT = "draft"
    ACTIVE = "active"
    ENDED = "ended"


class ContractOutcome(StrEnum):
    """How a contract went."""

    RENEWED = "renewed"
    COMPLETED = "completed"
    LAPSED = "lapsed"
    TERMINATED = "terminated"
    CHANGED = "changed"
    DISPUTED = "disputed"


WENT_WRONG = frozenset({ContractOutcome.LAPSED, ContractOutcome.TERMINATED, ContractOutcome.CHANGED, ContractOutcome.DISPUTED})


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract in its present state; absent attributes are not in the mapping."""

    contract_key: str
    counterparty_key: str
    value: Decimal
    currency: str
    start_date: date
    end_date: date | None
    status: ContractStatus
    outcome: ContractOutcome | None
    outcome_date: date | None
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class SpendEntry:
    """Spend and plan of a unit on a category; `period` is the first day of the month."""

    unit: str
    category: str
    period: date
    amount: Decimal | None
    budget: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class PerformanceReview:
    """A result beside what was expected; absent measures are not in the mapping."""

    employee_key: str
    review_date: date
    team: str
    score: float
    target: float | None
    scale_max: float | None
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class KnownContract:
    """What is stored of a contract before its outcome.

    `attributes` hold `value` too; `first_start` is the start of the first stored contract with the same other side, None where
    that is not named.
    """

    attributes: Mapping[str, AttributeValue]
    start_date: date
    end_date: date | None
    first_start: date | None


@dataclass(frozen=True, slots=True)
class LastReview:
    """The latest review of an employee or team, how many there are, and the day it is."""

    review_date: date
    score: float
    target: float | None
    scale_max: float | None
    reviews: int
    today: date


@dataclass(frozen=True, slots=True)
class SpendMonth:
    """What a unit spent and planned in a month; `amount` is absent for a month that has not ended."""

    period: date
    amount: float | None
    budget: float | None
    currencies: frozenset[str]


Fact = Employee | EmployeeExit | PayrollEntry | Contract | SpendEntry | PerformanceReview


_NAMES = {
    kind: tuple(item.name for item in fields(kind))
    for kind in (Employee, EmployeeExit, PayrollEntry, Contract, SpendEntry, PerformanceReview)
}


def cells(row: Fact) -> Mapping[str, object]:
    """Return a row by column; what it does not say is not in the mapping."""
    found: dict[str, object] = {name: getattr(row, name) for name in _NAMES[type(row)]}
    found.update(found.pop("attributes", {}))  # type: ignore[call-overload]  # a mapping where it is there at all
    return found


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased: one subject, or with None everything."""

    subject: Subject | None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What an upsert did, in rows."""

    inserted: int
    updated: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class FactSummary:
    """What is stored of a fact set."""

    rows: int
    subjects: int
    labelled_rows: int
    updated_at: datetime | None
