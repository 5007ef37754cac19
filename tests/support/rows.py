"""Seeded employees with a learnable reason to leave."""

from __future__ import annotations

import random

from analytics.v1 import employees_pb2
from google.type.date_pb2 import Date

DEPARTMENTS = ("Sales", "Research", "Operations")
ROLES = ("Engineer", "Analyst", "Representative", "Manager")


def attributes(seed: int) -> employees_pb2.EmployeeAttributes:
    """Return the attributes of one made-up employee."""
    dice = random.Random(seed)
    level = dice.randint(1, 5)
    years = dice.randint(0, 20)
    return employees_pb2.EmployeeAttributes(
        department=dice.choice(DEPARTMENTS),
        job_role=dice.choice(ROLES),
        monthly_income=round(2000 + 2500 * level + dice.gauss(0, 700), 2),
        years_at_company=years,
        job_level=level,
        over_time=dice.random() < 0.3,
        business_travel=dice.choice(employees_pb2.BusinessTravel.values()[1:]),
        job_satisfaction=dice.randint(1, 4),
        environment_satisfaction=dice.randint(1, 4),
        stock_option_level=dice.randint(0, 3),
    )


def employee(seed: int, *, labelled: bool = True) -> employees_pb2.Employee:
    """Return one made-up employee; overtime, low satisfaction and few years make leaving likelier."""
    known = attributes(seed)
    row = employees_pb2.Employee(employee_key=f"e-{seed}", as_of=Date(year=2026, month=1, day=31), attributes=known)
    if labelled:
        pull = -1.2 + 1.6 * known.over_time - 0.6 * (known.job_satisfaction - 2) - 0.12 * known.years_at_company
        row.left_within_year = random.Random(-seed).random() < 1 / (1 + 2.718**-pull)
    return row


def employees(count: int, start: int = 0) -> list[employees_pb2.Employee]:
    """Return `count` made-up employees."""
    return [employee(seed) for seed in range(start, start + count)]
