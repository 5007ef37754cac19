"""Employees and what loading them yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

AttributeValue = float | int | bool | str

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
)
ATTRIBUTES = TEXT_ATTRIBUTES + BOOLEAN_ATTRIBUTES + INTEGER_ATTRIBUTES + NUMBER_ATTRIBUTES
"""Names as in `analytics.v1.EmployeeAttributes`; a contract test holds the two equal."""


@dataclass(frozen=True, slots=True)
class Employee:
    """State of one employee at one date; absent attributes are not in the mapping."""

    employee_key: str
    as_of: date
    attributes: Mapping[str, AttributeValue]
    left_within_year: bool | None


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
