"""A cost centre of which one of the two newest complete months of payroll is higher than its past leads one to expect.

Severity is the robust score. The confidence is the share of months with such a score that are true jumps, measured on made-up
series whose jumps are known (`CONFIDENCE_SLOPE`). Only rises are findings: a fall is mostly a booking that is still missing, is
no cost, and is counted as skipped.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from server.insights import wording
from server.insights.detect import outcome
from server.insights.detect.outcome import Detected, Skipped, SkipReason, gathered, is_amount, is_currency, month_number
from server.insights.model import Action, Finding, InsightType, Priority, Provenance
from server.stats import seasonal
from server.stats.seasonal import Explanation, MonthlySeries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from server.insights.detect.inputs import CostCentrePayroll
    from server.stats.seasonal import Judgement

DETECTOR = "payroll/1"
GRACE = timedelta(days=7)
"""How long after the month of the run a finding stays: until the next month has been closed and judged."""

NEWEST = 2
"""The newest month may be so old: payroll of the last one may not be booked yet when the run comes."""

FEWEST_PEOPLE = 5
"""What fewer were paid in a month is a figure about somebody: it is neither judged nor compared with."""

CONFIDENCE_SLOPE = 2.3
CONFIDENCE_AT_ZERO = -6.6
MOST_CONFIDENT = 0.98
"""Log-odds that a month with a score is a true jump, read off the labelled series of the tests (seeds 1, 3, 5, 6), where one
judged month in eight had a jump; at most what was seen at the highest scores. Other seeds check it."""

_URGENT_SHARE = 0.1


def detect(payrolls: Iterable[CostCentrePayroll], now: datetime) -> Detected:
    """Judge the newest complete month of every cost centre and the one before it, each by the months before it.

    The month that `now` is in is not over and not looked at. The month before the newest is judged anew because it may have been
    corrected meanwhile; what cannot be judged of it was counted when it was the newest, and is not counted again.
    """
    return gathered([outcome for payroll in payrolls for outcome in _outcomes(payroll, now)])


def confidence(score: float) -> float:
    """Share of months with this score or one as far on the other side that are true jumps, 0 to `MOST_CONFIDENT`."""
    log_odds = CONFIDENCE_AT_ZERO + CONFIDENCE_SLOPE * min(abs(score), 10.0)
    return min(1 / (1 + math.exp(-log_odds)), MOST_CONFIDENT)


def _outcomes(payroll: CostCentrePayroll, now: datetime) -> list[Finding | Skipped | None]:
    centre = f"cost_centre/{payroll.cost_centre}/{payroll.currency}"
    known = {payroll.months.first + place: value for place, value in enumerate(payroll.months.values) if value is not None}
    newest = max((month for month in known if month < month_number(now.date())), default=0)
    reason = _flaw(payroll, known, newest, now)
    if reason is not None:
        return [Skipped(reason, centre)]
    before = _judged(payroll, known, newest - 1, now) if newest - 1 in known else None
    return [_judged(payroll, known, newest, now), None if isinstance(before, Skipped) else before]


def _judged(payroll: CostCentrePayroll, known: Mapping[int, float], month: int, now: datetime) -> Finding | Skipped | None:
    centre = f"cost_centre/{payroll.cost_centre}/{payroll.currency}"
    if known[month] < 0:
        return Skipped(SkipReason.NEGATIVE_TOTAL, centre)
    if payroll.people.get(month, 0) < FEWEST_PEOPLE:
        return Skipped(SkipReason.TOO_FEW_EMPLOYEES, centre)
    of_enough = {each: value for each, value in known.items() if payroll.people.get(each, 0) >= FEWEST_PEOPLE}
    first = payroll.months.first
    judgement = seasonal.judge(MonthlySeries(first, tuple(of_enough.get(each) for each in range(first, month + 1))), month)
    if judgement is None:
        before = [each for each in of_enough if month - seasonal.WINDOW <= each < month]
        return Skipped(SkipReason.TOO_FEW_MONTHS if len(before) < seasonal.FEWEST_MONTHS else SkipReason.NO_PAYROLL, centre)
    if not judgement.is_unusual:
        return None
    if judgement.score < 0:
        return Skipped(SkipReason.PAYROLL_FELL, centre)
    return _finding(payroll, judgement, now) if judgement.expected >= outcome.LEAST_AMOUNT else Skipped(SkipReason.NEGATIVE_TOTAL, centre)


def _flaw(payroll: CostCentrePayroll, known: Mapping[int, float], newest: int, now: datetime) -> SkipReason | None:
    """What keeps any month from being judged."""
    if not is_currency(payroll.currency):
        return SkipReason.NO_CURRENCY
    if not is_amount(*known.values()):
        return SkipReason.INVALID_FIGURES
    return SkipReason.NO_RECENT_MONTH if newest < month_number(now.date()) - NEWEST else None


def _finding(payroll: CostCentrePayroll, judgement: Judgement, now: datetime) -> Finding:
    share = judgement.residual / judgement.expected
    centre, when = wording.name(payroll.cost_centre), wording.month(judgement.month)
    month_over = outcome.start_of_month(month_number(now.date()) + 1)
    return Finding(
        insight_type=InsightType.PAYROLL_COST_SPIKE,
        subject=f"cost_centre/{payroll.cost_centre}/{payroll.currency}/{wording.iso_month(judgement.month)}",
        severity=judgement.score,
        title=f"Payroll of {centre} in {when} is {wording.percent(share)} above what was expected",
        description=_description(payroll, judgement),
        confidence=confidence(judgement.score),
        data_points={
            "costCentre": payroll.cost_centre,
            "currency": payroll.currency,
            "month": wording.iso_month(judgement.month),
            "amount": round(judgement.value, 2),
            "expectedAmount": round(judgement.expected, 2),
            "expectedLow": round(judgement.low, 2),
            "expectedHigh": round(judgement.high, 2),
            "excessAmount": round(judgement.residual, 2),
            "excessShare": round(share, 4),
            "robustScore": round(judgement.score, 2),
            "robustSigma": round(judgement.sigma, 2),
            "monthsOfHistory": judgement.history,
            "season": judgement.season.value,
            "allowedFor": judgement.explanation.value,
        },
        actions=_actions(payroll, judgement, share),
        expires_at=outcome.end_of_day(month_over) - timedelta(days=1) + GRACE,
        provenance=Provenance(DETECTOR, payroll.facts_as_of),
    )


def _description(payroll: CostCentrePayroll, judgement: Judgement) -> str:
    def money(amount: float) -> str:
        return wording.money(amount, payroll.currency)

    sentences = [
        f"{wording.name(payroll.cost_centre)} paid {money(judgement.value)} in {wording.month(judgement.month)}.",
        (
            f"The {wording.count(judgement.history, 'month')} known before lead one to expect {money(judgement.expected)}, "
            f"and as a rule something between {money(judgement.low)} and {money(judgement.high)}."
        ),
        (
            f"The difference of {money(judgement.residual)} is {wording.number(judgement.residual / judgement.sigma)} times "
            f"the usual scatter of {money(judgement.sigma)} a month."
        ),
        _ALLOWED[judgement.explanation],
    ]
    return " ".join(filter(None, sentences))


_ALLOWED = {
    Explanation.NOTHING: "",
    Explanation.LEVEL_SHIFT: "The new level that began one or two months before is already allowed for.",
    Explanation.LAST_YEAR: "What stood out in the same month of an earlier year is already allowed for.",
}


def _actions(payroll: CostCentrePayroll, judgement: Judgement, share: float) -> tuple[Action, ...]:
    excess = wording.money(judgement.residual, payroll.currency)
    return (
        Action(
            "Check the payroll entries of the month for double bookings, back pay, bonuses and overtime.",
            Priority.HIGH if share >= _URGENT_SHARE else Priority.MEDIUM,
            f"{excess} to be explained or recovered.",
        ),
        Action(
            "Compare hires and pay changes of the month with what was approved.",
            Priority.MEDIUM,
            f"If it is a new level, {wording.money(12 * judgement.residual, payroll.currency)} a year.",
        ),
        Action("Bring the forecast of the cost centre up to date if the increase is meant to stay.", Priority.LOW),
    )
