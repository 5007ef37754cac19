"""The demo organizations: who they are and how their work is divided."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from analytics.v1.tenant_service_pb2 import CompanySizeRange, Industry

if TYPE_CHECKING:
    from collections.abc import Mapping


class Story(Enum):
    """Something that a nightly run should find."""

    PAYROLL_SPIKE = "a department's pay jumps in the latest month"
    OVERRUN = "spend has outgrown its budget"
    DECLINE = "a team's reviews have fallen"
    RENEWAL = "contracts come close to their end"


@dataclass(frozen=True, slots=True)
class Job:
    """A role of a department.

    `share` is its weight in the organization, `pay` the typical monthly income at level 1, `top_level` the highest level
    it has, `pull` what the role adds to the log-odds of leaving.
    """

    department: str
    title: str
    share: float
    pay: float
    top_level: int
    pull: float


@dataclass(frozen=True, slots=True)
class DemoOrganization:
    """One demo tenant.

    `employees` is its size at the first date, `pay` scales all incomes, `climate` is added to everybody's log-odds of
    leaving, `not_collected` are attributes it never records. `history` is for how many months its pay is known, `stories` are what
    there is to be found in its facts.
    """

    org_id: str
    display_name: str
    industry: Industry.ValueType
    employees: int
    pay: float
    climate: float
    shares: Mapping[str, float]
    not_collected: frozenset[str] = field(default_factory=frozenset)
    history: int = 18
    stories: frozenset[Story] = field(default_factory=lambda: frozenset(Story))

    @property
    def size_range(self) -> CompanySizeRange.ValueType:
        """Its size as its profile says it."""
        most = ((49, "1_TO_49"), (200, "50_TO_200"), (1000, "201_TO_1000"), (5000, "1001_TO_5000"), (math.inf, "5001_AND_MORE"))
        name = next(name for limit, name in most if self.employees <= limit)
        return CompanySizeRange.Value(f"COMPANY_SIZE_RANGE_{name}")

    @property
    def key_prefix(self) -> str:
        """Start of its employees' keys: `northwind-0001`."""
        return self.org_id.removeprefix("demo-")


JOBS = (
    Job("Sales", "Sales Representative", 0.9, 2400, 2, 0.55),
    Job("Sales", "Sales Executive", 2.0, 3100, 4, 0.10),
    Job("Sales", "Sales Manager", 0.4, 4200, 5, -0.35),
    Job("Research & Development", "Laboratory Technician", 1.2, 2500, 3, 0.35),
    Job("Research & Development", "Research Scientist", 1.6, 2900, 4, 0.0),
    Job("Research & Development", "Research Director", 0.3, 5200, 5, -0.60),
    Job("Engineering", "Software Engineer", 2.0, 3400, 4, 0.15),
    Job("Engineering", "Site Reliability Engineer", 0.7, 3600, 4, 0.20),
    Job("Engineering", "Engineering Manager", 0.4, 5000, 5, -0.30),
    Job("Operations", "Production Operator", 2.0, 2200, 2, 0.20),
    Job("Operations", "Warehouse Associate", 1.2, 2000, 2, 0.45),
    Job("Operations", "Operations Manager", 0.5, 4100, 5, -0.35),
    Job("Customer Care", "Care Agent", 1.5, 2100, 3, 0.50),
    Job("Customer Care", "Team Lead", 0.4, 3000, 4, -0.10),
    Job("Finance", "Accountant", 1.2, 2800, 4, -0.10),
    Job("Finance", "Financial Analyst", 0.9, 3200, 4, 0.05),
    Job("Human Resources", "Human Resources Partner", 0.7, 2700, 4, 0.0),
    Job("Human Resources", "Recruiter", 0.5, 2500, 3, 0.30),
)

ORGANIZATIONS = (
    DemoOrganization(
        "demo-northwind",
        "Northwind Traders",
        Industry.INDUSTRY_RETAIL,
        employees=340,
        pay=0.94,
        climate=0.20,
        shares={"Sales": 4, "Operations": 3, "Customer Care": 2, "Finance": 1, "Human Resources": 0.6},
    ),
    DemoOrganization(
        "demo-contoso",
        "Contoso",
        Industry.INDUSTRY_TECHNOLOGY,
        employees=390,
        pay=1.18,
        climate=0.0,
        shares={"Engineering": 5, "Sales": 2, "Customer Care": 1.5, "Research & Development": 1, "Finance": 0.6, "Human Resources": 0.6},
    ),
    DemoOrganization(
        "demo-fabrikam",
        "Fabrikam",
        Industry.INDUSTRY_MANUFACTURING,
        employees=370,
        pay=1.0,
        climate=-0.10,
        shares={"Operations": 5, "Research & Development": 2, "Sales": 1.5, "Finance": 0.8, "Human Resources": 0.5},
        not_collected=frozenset({"relationship_satisfaction"}),
    ),
    DemoOrganization(
        "demo-alderbrook",
        "Alderbrook Insurance",
        Industry.INDUSTRY_FINANCE,
        employees=300,
        pay=1.10,
        climate=-0.20,
        shares={"Finance": 4, "Customer Care": 2.5, "Sales": 2, "Engineering": 1, "Human Resources": 0.6},
    ),
    DemoOrganization(
        "demo-birchfield",
        "Birchfield Clinics",
        Industry.INDUSTRY_HEALTHCARE,
        employees=320,
        pay=0.97,
        climate=0.10,
        shares={"Research & Development": 4, "Customer Care": 3, "Operations": 1.5, "Finance": 0.8, "Human Resources": 0.8},
        not_collected=frozenset({"stock_option_level"}),
    ),
    DemoOrganization(
        "demo-cedarholm",
        "Cedarholm Consulting",
        Industry.INDUSTRY_PROFESSIONAL_SERVICES,
        employees=270,
        pay=1.08,
        climate=0.05,
        shares={"Engineering": 2, "Sales": 2.5, "Finance": 2, "Research & Development": 1.5, "Human Resources": 0.8},
    ),
)
