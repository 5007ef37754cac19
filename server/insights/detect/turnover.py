"""Employees who may leave: one finding per organization.

Severity is how many leavers to expect among the flagged. The confidence is the mean calibrated probability of the flagged:
of every hundred employees flagged like these, so many leave within twelve months.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from server.insights import wording
from server.insights.detect.drivers import Driver, drivers, sentence
from server.insights.detect.outcome import (
    LEAST_AMOUNT,
    Detected,
    Skipped,
    SkipReason,
    estimated,
    gathered,
    is_amount,
    is_currency,
    is_probability,
    roughly,
)
from server.insights.model import Action, Finding, InsightType, Priority, Provenance

if TYPE_CHECKING:
    from datetime import datetime

    from server.insights.detect.inputs import FlaggedEmployee, TurnoverFigures
    from server.stats.turnover import TurnoverRate

DETECTOR = "turnover/1"
SUBJECT = "organization"
FEWEST_EMPLOYEES = 5
"""In a smaller organization a figure about the flagged is a figure about somebody."""

MOST_EMPLOYEES = 50
MOST_EXPLAINED = 5
LIFETIME = timedelta(days=7)

REPLACEMENT_MONTHS = 6
"""Monthly pays that replacing somebody costs: the lower end of one half to two yearly pays (Gallup, "This Fixable Problem
Costs U.S. Businesses $1 Trillion", 2019). Studies of employers' own records find less, about a fifth (Boushey & Glynn, "There
Are Significant Business Costs to Replacing Employees", 2012), so it is an order of magnitude: two digits of it are
told and the texts say `about`. It is taken of everybody's pay, for that of the flagged would tell what one of them earns."""

_MANY = 0.1
_ROUNDED_FROM = 10.0


def detect(figures: TurnoverFigures, now: datetime) -> Detected:
    """At most one finding; none when nobody is flagged."""
    return gathered([_judged(figures, now)])


def _judged(figures: TurnoverFigures, now: datetime) -> Finding | Skipped | None:
    if figures.headcount <= 0:
        return Skipped(SkipReason.NO_EMPLOYEES, SUBJECT)
    if figures.headcount < FEWEST_EMPLOYEES:
        return Skipped(SkipReason.TOO_FEW_EMPLOYEES, SUBJECT)
    sound = is_probability(figures.threshold) and all(is_probability(employee.probability) for employee in figures.flagged)
    if not sound or len(figures.flagged) > figures.headcount:
        return Skipped(SkipReason.INVALID_FIGURES, SUBJECT)
    return _finding(figures, now) if figures.flagged else None


def _finding(figures: TurnoverFigures, now: datetime) -> Finding:
    worst = sorted(figures.flagged, key=lambda employee: (-employee.probability, employee.pseudonym))
    affected, leavers = len(worst), sum(employee.probability for employee in worst)
    explained = [employee for employee in worst if employee.reasons][:MOST_EXPLAINED]
    found = drivers(employee.reasons for employee in explained)
    cost = _replacement_cost(figures)
    rate = figures.rate
    return Finding(
        insight_type=InsightType.HIGH_TURNOVER_RISK,
        subject=SUBJECT,
        severity=leavers,
        title=_title(affected, figures.headcount),
        description=_description(figures, leavers, found, len(explained)),
        confidence=estimated(leavers / affected),
        data_points={
            "affectedEmployeeCount": affected,
            "headcount": figures.headcount,
            "affectedShare": round(affected / figures.headcount, 4),
            "expectedLeavers": round(leavers, 2),
            "threshold": figures.threshold,
            "turnoverRateTrailing12m": None if rate is None else round(rate.rate, 4),
            "turnoverRateInterval": None
            if rate is None or rate.low is None or rate.high is None
            else [round(rate.low, 4), round(rate.high, 4)],
            "turnoverMonthsKnown": 0 if rate is None else rate.months,
            "replacementCostPerLeaver": cost,
            "currency": figures.currency if cost is not None else "",
            "drivers": [driver.to_json() for driver in found],
            "explainedEmployeeCount": len(explained),
            "employees": [employee.pseudonym for employee in worst[:MOST_EMPLOYEES]],
        },
        actions=_actions(figures, worst, leavers, found, cost),
        expires_at=now + LIFETIME,
        provenance=Provenance(DETECTOR, figures.facts_as_of, figures.model.model_type, figures.model.version),
    )


def _title(affected: int, headcount: int) -> str:
    verb = "is" if affected == 1 else "are"
    return f"{affected:,} of {wording.count(headcount, 'employee')} {verb} at high risk of leaving"


def _description(figures: TurnoverFigures, leavers: float, found: list[Driver], explained: int) -> str:
    affected = len(figures.flagged)
    sentences = [
        (
            f"The model gives {wording.count(affected, 'employee')} ({wording.percent(affected / figures.headcount)} of "
            f"{figures.headcount:,}) a probability of {wording.percent(figures.threshold)} or more of leaving within twelve months."
        ),
        f"About {_whole(leavers)} of them can be expected to leave.",
        _rate_sentence(figures.rate),
        sentence(found, f"among the {explained:,} looked at closely" if explained > 1 else "in the case looked at closely"),
    ]
    return " ".join(filter(None, sentences))


def _rate_sentence(rate: TurnoverRate | None) -> str:
    if rate is None:
        return ""
    how = f"annualized from {rate.months} known months" if rate.is_annualized else "over the last twelve months"
    between = (
        f", 95% interval {wording.percent(rate.low)} to {wording.percent(rate.high)}"
        if rate.low is not None and rate.high is not None
        else ""
    )
    who = f"{wording.count(rate.leavers, 'leaver')}, {wording.number(rate.average_headcount)} employees on average"
    return f"Turnover {how} is {wording.percent(rate.rate)} ({who}{between})."


def _replacement_cost(figures: TurnoverFigures) -> float | None:
    pay = figures.monthly_pay
    if pay is None or not is_amount(pay) or pay < LEAST_AMOUNT or not is_currency(figures.currency):
        return None
    return roughly(REPLACEMENT_MONTHS * pay)


def _actions(
    figures: TurnoverFigures, worst: list[FlaggedEmployee], leavers: float, found: list[Driver], cost: float | None
) -> tuple[Action, ...]:
    urgent = Priority.HIGH if len(worst) / figures.headcount >= _MANY else Priority.MEDIUM
    saved = "" if cost is None else f" Each leaver kept saves about {wording.money(cost, figures.currency)} (half a year's pay)."
    talks = Action(
        f"Hold a conversation about staying with {_whom(len(worst))}, those at highest risk first.",
        urgent,
        f"About {_whole(leavers)} can be expected to leave otherwise.{saved}",
    )
    about = [
        Action(
            f"Look into {driver.label}, the strongest common driver.",
            Priority.MEDIUM,
            f"{wording.percent(driver.share)} of what raises the risk in the cases looked at closely.",
        )
        for driver in found[:1]
    ]
    total = (
        ""
        if cost is None
        else f"Replacing about {_whole(leavers)} leavers would cost about {wording.money(roughly(cost * leavers), figures.currency)}."
    )
    cover = Action("Plan cover and hand-over for the posts that would be hardest to fill.", Priority.LOW, total)
    return (talks, *about, cover)


def _whom(affected: int) -> str:
    return "the flagged employee" if affected == 1 else f"the {affected:,} flagged employees"


def _whole(leavers: float) -> str:
    return wording.number(leavers, 0 if leavers >= _ROUNDED_FROM else 1)
