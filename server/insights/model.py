"""What an insight says, before and after it is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    # Parsed JSON of our own making: numbers, texts, lists and objects of them.
    Json = Mapping[str, object]


class Category(StrEnum):
    """Whom an insight concerns."""

    HR = "hr"
    FINANCE = "finance"
    LEGAL = "legal"
    OPERATIONS = "operations"


class Priority(StrEnum):
    """How soon an action is worth taking."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class InsightType(StrEnum):
    """What the nightly run looks for."""

    HIGH_TURNOVER_RISK = "high_turnover_risk"
    PAYROLL_COST_SPIKE = "payroll_cost_spike"
    BUDGET_OVERRUN = "budget_overrun"
    CONTRACT_EXPIRING = "contract_expiring"
    CONTRACT_AT_RISK = "contract_at_risk"
    PERFORMANCE_DECLINE = "performance_decline"


CATEGORY_OF = {
    InsightType.HIGH_TURNOVER_RISK: Category.HR,
    InsightType.PAYROLL_COST_SPIKE: Category.FINANCE,
    InsightType.BUDGET_OVERRUN: Category.FINANCE,
    InsightType.CONTRACT_EXPIRING: Category.LEGAL,
    InsightType.CONTRACT_AT_RISK: Category.LEGAL,
    InsightType.PERFORMANCE_DECLINE: Category.OPERATIONS,
}


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do about it; texts for people."""

    action: str
    priority: Priority
    estimated_impact: str = ""
    resource_url: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a finding comes from: the rule or model that made it, and the newest date of the facts it saw."""

    detector: str
    facts_as_of: date
    model_type: str = ""
    model_version: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector found about one subject.

    Args:
        insight_type: what it is.
        subject: what it is about, stable from run to run, for example `cost_centre/Sales`; never a name of a person.
        severity: how bad, in the detector's own unit; larger is worse. A dismissed insight comes back when this grows by
            more than the store's margin.
        title: short, for people, with the most important number in it.
        description: sentences for a manager, with the numbers in them.
        confidence: calibrated, 0 to 1.
        data_points: the numbers behind it, plain JSON.
        actions: in the order in which to take them.
        expires_at: when it is no longer shown unless found again.
        provenance: where it comes from.

    """

    insight_type: InsightType
    subject: str
    severity: float
    title: str
    description: str
    confidence: float
    data_points: Json
    actions: tuple[Action, ...]
    expires_at: datetime
    provenance: Provenance

    @property
    def category(self) -> Category:
        """Whom it concerns."""
        return CATEGORY_OF[self.insight_type]

    @property
    def fingerprint(self) -> bytes:
        """32 bytes by which a later run finds the same insight again."""
        return hashlib.sha256(f"{self.insight_type}\x00{self.subject}".encode()).digest()
