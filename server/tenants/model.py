"""Profile and switches of an organization."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class Industry(StrEnum):
    """Branches that benchmarks group by."""

    UNSPECIFIED = ""
    TECHNOLOGY = "technology"
    HEALTHCARE = "healthcare"
    FINANCE = "finance"
    MANUFACTURING = "manufacturing"
    RETAIL = "retail"
    PROFESSIONAL_SERVICES = "professional_services"


class SizeRange(StrEnum):
    """Sizes by number of employees that benchmarks group by."""

    UNSPECIFIED = ""
    FROM_1 = "1-49"
    FROM_50 = "50-200"
    FROM_201 = "201-1000"
    FROM_1001 = "1001-5000"
    FROM_5001 = "5001+"


@dataclass(frozen=True, slots=True)
class Profile:
    """What an organization says of itself; revision 0 was never set."""

    display_name: str = ""
    industry: Industry = Industry.UNSPECIFIED
    size_range: SizeRange = SizeRange.UNSPECIFIED
    revision: int = 0
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Switches:
    """What an organization allows, with the defaults that hold until it says otherwise; revision 0 was never set."""

    pooled_training: bool = True
    benchmark_contribution: bool = True
    retain_prediction_inputs: bool = False
    revision: int = 0
    updated_at: datetime | None = None


PROFILE_FIELDS = ("display_name", "industry", "size_range")
SWITCH_FIELDS = ("pooled_training", "benchmark_contribution", "retain_prediction_inputs")
