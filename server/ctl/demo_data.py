"""Employees of the demo organizations, from a seeded generator.

What always holds: the same organization gives the same rows on every machine; nobody in it exists; no protected attribute
is made, so none can leak into an outcome. Who leaves is drawn from a probability that overtime, travel, low satisfaction,
little pay for the level, few years in the company and no stock options raise, and that partly hangs on a temperament
nobody records: a model can rank well (ROC AUC about 0.8) and never perfectly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING

from analytics.v1.employees_pb2 import BusinessTravel, Employee, EmployeeAttributes
from google.type.date_pb2 import Date

from server.ctl.demo_organizations import JOBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.ctl.demo_organizations import DemoOrganization, Job

_SEED = 20260930
_NEW_HIRES = 0.12
_MISSING = 0.04

# Attributes that no demo row lacks: what a prediction needs.
_ALWAYS_THERE = frozenset({"department", "job_role", "monthly_income", "years_at_company"})
_OPTIONAL = tuple(field.name for field in EmployeeAttributes.DESCRIPTOR.fields if field.name not in _ALWAYS_THERE)

# Sets the share of leavers to about 16 % over all demo organizations.
_BASE_LOG_ODDS = -3.08
_EDUCATION_FIELDS = ("Business", "Engineering", "Life Sciences", "Marketing", "Medical", "Technical Degree", "Other")


@dataclass(frozen=True, slots=True)
class Dates:
    """When the employees are seen: at the end of last month, and a year earlier, of which the outcomes are known by now."""

    first: date
    latest: date

    @classmethod
    def before(cls, today: date) -> Dates:
        """Return the dates as of a day."""
        latest = today.replace(day=1) - timedelta(days=1)
        return cls((latest.replace(year=latest.year - 1, day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1), latest)


def as_date(day: date) -> Date:
    """Return a day as a message."""
    return Date(year=day.year, month=day.month, day=day.day)


@dataclass(frozen=True, slots=True)
class _Person:
    """An employee at the first date: what is recorded, and the log-odds of leaving, which is not."""

    attributes: EmployeeAttributes
    log_odds: float


def employees(organization: DemoOrganization, today: date) -> list[Employee]:
    """All rows of an organization: everybody at the first date with the outcome, who stayed and who came at the latest one.

    Keys are `<name>-0001` and so on. No two rows have the same key and date.
    """
    random = Random(f"{_SEED}:{organization.org_id}")  # noqa: S311 - made-up people, no secret
    return list(_rows(random, organization, Dates.before(today)))


def example_employee(organization: DemoOrganization) -> str:
    """Key of an employee who is there at the latest date, for examples; the same one on every day."""
    return next(row.employee_key for row in employees(organization, date(2026, 1, 1)) if not row.HasField("left_within_year"))


def _rows(random: Random, organization: DemoOrganization, dates: Dates) -> Iterator[Employee]:
    first, latest = as_date(dates.first), as_date(dates.latest)
    newcomers = round(organization.employees * _NEW_HIRES)
    for number in range(1, organization.employees + newcomers + 1):
        person, key = _person(random, organization), f"{organization.key_prefix}-{number:04d}"
        if number > organization.employees:
            _as_newcomer(random, person.attributes)
            yield Employee(employee_key=key, as_of=latest, attributes=_recorded(random, organization, person.attributes))
            continue
        left = random.random() < 1 / (1 + math.exp(-person.log_odds))
        recorded = _recorded(random, organization, person.attributes)
        yield Employee(employee_key=key, as_of=first, attributes=recorded, left_within_year=left)
        if not left:
            _a_year_later(random, person.attributes)
            yield Employee(employee_key=key, as_of=latest, attributes=_recorded(random, organization, person.attributes))


def _person(random: Random, organization: DemoOrganization) -> _Person:
    job = _job(random, organization)
    morale = random.gauss(0, 1)
    total_years = min(40.0, random.gammavariate(2.0, 5.5))
    level = max(1, min(job.top_level, round(1 + total_years / 7 + random.gauss(0, 0.6))))
    # How much better paid than others of the same job and level, in log units.
    pay_position = random.gauss(0, 0.22)
    income = organization.pay * job.pay * 1.34 ** (level - 1) * math.exp(pay_position)
    at_company = min(total_years, random.expovariate(1 / 5.5))
    rating = random.choices((2, 3, 4, 5), (0.07, 0.68, 0.2, 0.05))[0]
    attributes = EmployeeAttributes(
        department=job.department,
        job_role=job.title,
        monthly_income=round(income, 2),
        years_at_company=round(at_company, 1),
        job_level=level,
        over_time=random.random() < 0.29,  # noqa: PLR2004 - a share of the population
        business_travel=_travel(random, job),
        distance_from_home=round(min(60.0, random.lognormvariate(2.0, 0.75)), 1),
        education_level=random.choices((1, 2, 3, 4, 5), (0.12, 0.2, 0.38, 0.26, 0.04))[0],
        education_field=random.choice(_EDUCATION_FIELDS),
        environment_satisfaction=_survey(random, morale),
        job_involvement=_survey(random, morale + 0.2),
        job_satisfaction=_survey(random, morale),
        relationship_satisfaction=_survey(random, morale),
        work_life_balance=_survey(random, morale + 0.2),
        performance_rating=rating,
        companies_worked=min(9, int(random.expovariate(1 / 2.2) + max(0.0, total_years - at_company) / 12)),
        salary_hike_percent=round(max(0.0, random.gauss(2.0 + 3.5 * (rating - 2), 2.5)), 1),
        stock_option_level=random.choices((0, 1, 2, 3), (0.43, 0.4, 0.11, 0.06))[0],
        total_working_years=round(total_years, 1),
        trainings_last_year=random.choices(range(7), (4, 5, 36, 33, 9, 8, 5))[0],
        years_in_current_role=round(at_company * random.uniform(0.3, 1.0), 1),
        years_since_promotion=round(at_company * random.uniform(0.0, 0.9), 1),
        years_with_manager=round(at_company * random.uniform(0.2, 1.0), 1),
    )
    return _Person(attributes, _log_odds(random, organization, job, attributes, pay_position))


def _log_odds(random: Random, organization: DemoOrganization, job: Job, person: EmployeeAttributes, pay_position: float) -> float:
    travel = {BusinessTravel.BUSINESS_TRAVEL_NONE: -0.3, BusinessTravel.BUSINESS_TRAVEL_FREQUENTLY: 0.7}
    # The middle of the four steps of a survey is 2.5.
    return (
        _BASE_LOG_ODDS
        + organization.climate
        + job.pull
        + 1.35 * person.over_time
        + travel.get(person.business_travel, 0.0)
        + 0.35 * (2.5 - person.environment_satisfaction)
        + 0.45 * (2.5 - person.job_satisfaction)
        + 0.35 * (2.5 - person.job_involvement)
        + 0.25 * (2.5 - person.work_life_balance)
        + 0.15 * (2.5 - person.relationship_satisfaction)
        - 2.2 * pay_position
        + 1.5 * math.exp(-person.years_at_company / 2.5)
        + (0.5, -0.1, -0.5, -0.5)[person.stock_option_level]
        + 0.02 * (person.distance_from_home - 8)
        + 0.09 * person.companies_worked
        + 0.08 * person.years_since_promotion
        - 0.05 * person.total_working_years
        + random.gauss(0, 0.6)
    )


def _job(random: Random, organization: DemoOrganization) -> Job:
    weights = [job.share * organization.shares.get(job.department, 0.0) for job in JOBS]
    return random.choices(JOBS, weights)[0]


def _travel(random: Random, job: Job) -> BusinessTravel.ValueType:
    kinds = (
        BusinessTravel.BUSINESS_TRAVEL_NONE,
        BusinessTravel.BUSINESS_TRAVEL_RARELY,
        BusinessTravel.BUSINESS_TRAVEL_FREQUENTLY,
    )
    return random.choices(kinds, (0.1, 0.6, 0.3) if job.department == "Sales" else (0.16, 0.7, 0.14))[0]


def _survey(random: Random, morale: float) -> int:
    return max(1, min(4, round(2.7 + 0.45 * morale + random.gauss(0, 0.9))))


def _as_newcomer(random: Random, person: EmployeeAttributes) -> None:
    person.years_at_company = round(random.uniform(0.0, 1.0), 1)
    person.total_working_years = max(person.total_working_years, person.years_at_company)
    person.years_in_current_role = person.years_with_manager = person.years_at_company
    person.years_since_promotion = 0.0


def _a_year_later(random: Random, person: EmployeeAttributes) -> None:
    person.monthly_income = round(person.monthly_income * (1 + person.salary_hike_percent / 100), 2)
    person.years_at_company += 1
    person.total_working_years += 1
    person.years_in_current_role += 1
    person.years_with_manager += 1
    promoted = random.random() < 0.12  # noqa: PLR2004 - a share of the population
    person.years_since_promotion = 0.0 if promoted else person.years_since_promotion + 1
    person.over_time = random.random() < (0.75 if person.over_time else 0.1)
    person.job_satisfaction = max(1, min(4, person.job_satisfaction + random.choice((-1, 0, 0, 1))))


def _recorded(random: Random, organization: DemoOrganization, person: EmployeeAttributes) -> EmployeeAttributes:
    recorded = EmployeeAttributes()
    recorded.CopyFrom(person)
    for name in _OPTIONAL:
        if name in organization.not_collected or random.random() < _MISSING:
            recorded.ClearField(name)  # type: ignore[arg-type]  # a name of the message's own descriptor
    return recorded
