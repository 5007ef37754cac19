"""What an insight says, before and after it is stored."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import date, datetime

    from server.identity import InsightId

    # Parsed JSON of our own making: numbers, texts, lists and objects of them.
    Json = Mapping[str, object]

KEPT = timedelta(days=180)
"""For how long an expired insight is remembered: as long, a dismissal holds of a subject that is no longer found."""

CONFIDENCE_DECIMALS = 3
MOST_DEPTH = 16
MOST_NODES = 10_000
LARGEST_INTEGER = 2**53
"""What a JSON number holds exactly everywhere."""


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

    def to_json(self) -> Json:
        """Return what is stored."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a finding comes from: the rule or model that made it, and the newest date of the facts it saw."""

    detector: str
    facts_as_of: date
    model_type: str = ""
    model_version: str = ""

    def to_json(self) -> Json:
        """Return what is stored."""
        return {name: getattr(self, name) for name in self.__slots__} | {"facts_as_of": self.facts_as_of.isoformat()}


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
        fingerprint: 32 bytes by which a later run finds the same insight again.
        digest: 32 bytes that change with what the finding says: not with its expiry, and not with the facts' newest date.

    The last two are made with the finding, so that nobody computes them while a transaction is open.

    Raises:
        ValueError: a number is not finite or out of its range, a time has no zone, or the data points are no plain JSON or
            more than a client takes.

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
    fingerprint: bytes = field(init=False, repr=False, compare=False)
    digest: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what could not be stored or shown, and make the bytes that stand for it."""
        if not 0.0 <= self.confidence <= 1.0:
            raise _nonsense(self, f"confidence {self.confidence} is not within 0 to 1")
        if not math.isfinite(self.severity):
            raise _nonsense(self, f"severity {self.severity} is not finite")
        if self.expires_at.tzinfo is None:
            raise _nonsense(self, "expires_at has no time zone")
        if (nodes := _nodes(self.data_points, MOST_DEPTH)) > MOST_NODES:
            raise _nonsense(self, f"data_points have {nodes} parts, {MOST_NODES} are allowed")
        texts = [self.title, self.description, self.provenance.detector, self.provenance.model_type, self.provenance.model_version]
        texts += [text for action in self.actions for text in (action.action, action.estimated_impact, action.resource_url)]
        if any("\0" in text for text in texts):
            raise _nonsense(self, "a text has a NUL character")
        object.__setattr__(self, "fingerprint", fingerprint(self.insight_type, self.subject))
        object.__setattr__(self, "digest", _digest(self))

    @property
    def category(self) -> Category:
        """Whom it concerns."""
        return CATEGORY_OF[self.insight_type]

    @property
    def shown_confidence(self) -> float:
        """The confidence as callers see and filter it."""
        return round(self.confidence, CONFIDENCE_DECIMALS)


@dataclass(frozen=True, slots=True)
class Insight:
    """A finding as it is stored while it is active: what its message is made of."""

    insight_id: InsightId
    finding: Finding
    created_at: datetime
    updated_at: datetime
    reopened_at: datetime | None
    revision: int


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to write insights of an organization until the transaction ends.

    Args:
        now: when it was given.
        ripe: whether insights have expired that are still listed, or expired longer than `KEPT` ago.
        listed: whether there are insights in the lists, active or ripe.
        erasures: how often facts were erased; whoever erases takes a turn too, so none comes before this one ends.

    """

    now: datetime
    ripe: bool
    listed: bool
    erasures: int


Encode: TypeAlias = Callable[[Insight], bytes]
"""Makes the message of an insight, without what differs from caller to caller; the edges have the contract's form of it."""


def fingerprint(insight_type: InsightType, subject: str) -> bytes:
    """Return the 32 bytes that stand for a subject of a type."""
    return hashlib.sha256(f"{insight_type}\x00{subject}".encode()).digest()


def _digest(finding: Finding) -> bytes:
    says = [finding.title, finding.description, finding.shown_confidence, finding.severity, finding.data_points]
    says += [[action.action, action.priority, action.estimated_impact, action.resource_url] for action in finding.actions]
    return hashlib.sha256(json.dumps(says, sort_keys=True, allow_nan=False).encode()).digest()


def _nonsense(finding: Finding, fault: str) -> ValueError:
    """The subject is left out: it may name somebody's department, and the text of an error is logged."""
    return ValueError(f"{finding.insight_type}: {fault}")


def _nodes(value: object, depth: int) -> int:
    """Count the parts of plain JSON."""
    if depth < 0:
        msg = f"data_points are nested more than {MOST_DEPTH} deep"
        raise ValueError(msg)
    match value:
        case str():
            plain = "\0" not in value
        case bool() | None:
            plain = True
        case int():
            plain = abs(value) <= LARGEST_INTEGER
        case float():
            plain = math.isfinite(value)
        case list() | tuple():
            return 1 + sum(_nodes(item, depth - 1) for item in value)
        case Mapping() if all(isinstance(key, str) and "\0" not in key for key in value):
            return 1 + sum(_nodes(item, depth - 1) for item in value.values())
        case _:
            plain = False
    if not plain:
        msg = f"data_points hold a value of type {type(value).__name__} that is no plain JSON"
        raise ValueError(msg)
    return 1
