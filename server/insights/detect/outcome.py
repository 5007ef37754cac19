"""What a detector gives back, and the checks that every detector makes of its figures."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from server.insights.model import Finding, InsightType

_CURRENCY = re.compile(r"[A-Z]{3}")
LARGEST_AMOUNT = 1e15
"""Larger amounts are a mistake: a thousand trillion of any currency, beyond which cents are no longer told apart."""

MOST_CERTAIN = 0.99
"""What an estimate shows at most: a model or a forecast does not know, and "100 %" would read as a fact."""

MOST_FINDINGS = 500
"""Findings of a type that are told of one organization, the worst ones: nobody reads more, and all of them are stored at once."""

LEAST_AMOUNT = 0.01
"""Smaller ones are none: a share of them says nothing."""


class SkipReason(StrEnum):
    """Why something was not judged."""

    NO_EMPLOYEES = "NO_EMPLOYEES"
    NO_EXITS = "NO_EXITS"
    UNKNOWN_LEAVER = "UNKNOWN_LEAVER"
    EXIT_BEFORE_START = "EXIT_BEFORE_START"
    TOO_FEW_EMPLOYEES = "TOO_FEW_EMPLOYEES"
    TOO_FEW_MONTHS = "TOO_FEW_MONTHS"
    NO_RECENT_MONTH = "NO_RECENT_MONTH"
    NO_PAYROLL = "NO_PAYROLL"
    PAYROLL_FELL = "PAYROLL_FELL"
    NO_BUDGET = "NO_BUDGET"
    INCOMPLETE_BUDGET = "INCOMPLETE_BUDGET"
    INCOMPLETE_SPEND = "INCOMPLETE_SPEND"
    NO_FORECAST = "NO_FORECAST"
    INCOMPLETE_FORECAST = "INCOMPLETE_FORECAST"
    YEAR_ENDED = "YEAR_ENDED"
    NO_CURRENCY = "NO_CURRENCY"
    MIXED_CURRENCIES = "MIXED_CURRENCIES"
    NO_AMOUNT = "NO_AMOUNT"
    NEGATIVE_TOTAL = "NEGATIVE_TOTAL"
    INVALID_FIGURES = "INVALID_FIGURES"
    NO_END_DATE = "NO_END_DATE"
    INVALID_DATES = "INVALID_DATES"
    CONTRACT_ENDED = "CONTRACT_ENDED"
    NO_PERIODS = "NO_PERIODS"
    NO_RECENT_PERIOD = "NO_RECENT_PERIOD"
    NO_SCALE = "NO_SCALE"
    OTHER_SCALE = "OTHER_SCALE"
    TOO_FEW_REVIEWS = "TOO_FEW_REVIEWS"
    TOO_MANY_FINDINGS = "TOO_MANY_FINDINGS"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was not judged; `subject` as in a finding."""

    reason: SkipReason
    subject: str


@dataclass(frozen=True, slots=True)
class Detected:
    """Findings, the worst first, and what was not judged."""

    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def skips(self) -> dict[str, int]:
        """How many were not judged, by reason."""
        return dict(sorted(Counter(skip.reason.value for skip in self.skipped).items()))


def gathered(outcomes: list[Finding | Skipped | None]) -> Detected:
    """Sort single outcomes into one; None is a case that was judged and is ordinary.

    Of each type the worst `MOST_FINDINGS` are kept, among equals always the same ones; the others are counted as skipped.
    """
    skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    findings = [outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, Skipped)]
    kept, told = list[Finding](), Counter[InsightType]()
    for finding in sorted(findings, key=lambda finding: rank(finding.severity, finding.expires_at, finding.subject)):
        told[finding.insight_type] += 1
        if told[finding.insight_type] <= MOST_FINDINGS:
            kept.append(finding)
        else:
            skipped.append(Skipped(SkipReason.TOO_MANY_FINDINGS, finding.subject))
    return Detected(tuple(kept), tuple(skipped))


def rank(severity: float, expires_at: datetime, subject: str) -> tuple[float, datetime, str]:
    """Return what sorts findings: the worst first, and of equals what is over first, such as the contract that ends first."""
    return -severity, expires_at, subject


def is_amount(*figures: float) -> bool:
    """Whether all are finite and no larger than an amount can be."""
    return all(math.isfinite(figure) and abs(figure) <= LARGEST_AMOUNT for figure in figures)


def roughly(amount: float) -> float:
    """Return an amount as far as an estimate goes: two digits, the rest is 0."""
    return float(f"{amount:.1e}")


def is_probability(figure: float) -> bool:
    """Whether it lies in 0 to 1."""
    return 0 <= figure <= 1


def estimated(probability: float) -> float:
    """Return an estimated probability as it may be shown."""
    return min(probability, MOST_CERTAIN)


def is_currency(code: str) -> bool:
    """Whether it has the form of an ISO 4217 code."""
    return _CURRENCY.fullmatch(code) is not None


def month_number(date_: date) -> int:
    """Number of the month a date is in: year x 12 + month - 1."""
    return date_.year * 12 + date_.month - 1


def start_of_month(number: int) -> date:
    """First day of a month."""
    return date(number // 12, number % 12 + 1, 1)


def end_of_day(date_: date) -> datetime:
    """The instant at which a date is over, UTC."""
    return datetime.combine(date_, time(), UTC) + timedelta(days=1)
