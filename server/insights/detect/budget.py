"""A budget that the year will probably exceed, by what is spent and what is forecast.

The confidence is the probability that the year ends over budget. Each month's forecast is taken as normal with the deviation
that its 80 % interval says (on the side away from the median that matters, the wider half), and the errors of any two months
as correlated by `CORRELATION`. Severity is the expected overrun as a share of the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from server.insights import wording
from server.insights.detect import outcome
from server.insights.detect.outcome import Detected, Skipped, SkipReason, gathered, is_amount, is_currency, month_number
from server.insights.model import Action, Finding, InsightType, Priority, Provenance
from server.stats.normal import QUANTILE_90, cumulative, overshoot

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from server.insights.detect.inputs import BudgetFigures, ForecastMonth

DETECTOR = "budget/1"
CORRELATION = 0.5
"""Of the errors of two months of one forecast. Independent errors (0) would make a year look surer than any year is, equal
ones (1) never let months make up for each other; a month that was missed is partly missed again."""

LEAST_PROBABILITY = 0.6
"""Below it the year is as likely to end well."""

LEAST_SHARE = 0.01
"""Of the budget: by how much the year is expected to end over it, at least. Less is no news, however sure."""

GRACE = timedelta(days=7)
_HIGH_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class _Outlook:
    """Where the year ends: median and deviation, the chance and the mean of an overrun, and what is forecast of the months left."""

    total: float
    deviation: float
    probability: float
    overrun: float
    months_left: int
    ahead: float


def detect(budgets: Iterable[BudgetFigures], now: datetime) -> Detected:
    """Judge every budget whose year is under way."""
    return gathered([_judged(budget, now) for budget in budgets])


def _judged(figures: BudgetFigures, now: datetime) -> Finding | Skipped | None:
    subject = f"budget/{figures.name}/{figures.currency}/{wording.iso_month(figures.last_month)}"
    ahead = [month for month in figures.forecast if figures.spent_through < month.month <= figures.last_month]
    reason = _flaw(figures, ahead) or _gap(figures, ahead, now)
    if reason is not None:
        return Skipped(reason, subject)
    outlook = _outlook(figures, ahead)
    likely, large = outlook.probability >= LEAST_PROBABILITY, outlook.overrun >= LEAST_SHARE * figures.budget
    return _finding(figures, outlook, subject, now) if likely and large else None


def _flaw(figures: BudgetFigures, ahead: list[ForecastMonth]) -> SkipReason | None:
    """What is wrong with the amounts."""
    if not is_currency(figures.currency):
        return SkipReason.NO_CURRENCY
    if not is_amount(figures.budget, figures.spent, *(part for month in ahead for part in (month.median, month.low, month.high))):
        return SkipReason.INVALID_FIGURES
    if figures.budget < outcome.LEAST_AMOUNT:
        return SkipReason.NO_BUDGET
    return SkipReason.NEGATIVE_TOTAL if figures.spent < 0 else None


def _gap(figures: BudgetFigures, ahead: list[ForecastMonth], now: datetime) -> SkipReason | None:
    """What is missing of the year."""
    if figures.last_month < month_number(now.date()):
        return SkipReason.YEAR_ENDED
    if not ahead and figures.spent_through < figures.last_month:
        return SkipReason.NO_FORECAST
    wanted = figures.last_month - figures.spent_through
    complete = len(ahead) == max(wanted, 0) and len({month.month for month in ahead}) == len(ahead)
    return None if complete else SkipReason.INCOMPLETE_FORECAST


def _outlook(figures: BudgetFigures, ahead: list[ForecastMonth]) -> _Outlook:
    total = figures.spent + sum(month.median for month in ahead)
    deviations = [_deviation(month) for month in ahead]
    squares, together = sum(deviation**2 for deviation in deviations), sum(deviations) ** 2
    deviation = math.sqrt((1 - CORRELATION) * squares + CORRELATION * together)
    over = total - figures.budget
    # Past 40 deviations the probability is 0 or 1 to the last digit, and the quotient may not be a float any more.
    score = math.copysign(40.0, over) if abs(over) >= 40 * deviation else over / deviation
    probability = cumulative(score) if over else 0.5
    # Of a year that is all spent it is known and no estimate.
    return _Outlook(
        total,
        deviation,
        outcome.estimated(probability) if ahead else probability,
        overshoot(over, deviation),
        len(ahead),
        total - figures.spent,
    )


def _deviation(month: ForecastMonth) -> float:
    """Of one month; an interval whose ends are swapped or miss the median is taken as wide as it reaches."""
    return max(abs(month.high - month.median), abs(month.median - month.low)) / QUANTILE_90


def _finding(figures: BudgetFigures, outlook: _Outlook, subject: str, now: datetime) -> Finding:
    share = outlook.overrun / figures.budget
    month_over = outcome.start_of_month(month_number(now.date()) + 1)
    reach = QUANTILE_90 * outlook.deviation
    return Finding(
        insight_type=InsightType.BUDGET_OVERRUN,
        subject=subject,
        severity=share,
        title=f"{wording.name(figures.name)} will probably exceed its budget by {wording.money(outlook.overrun, figures.currency)}",
        description=_description(figures, outlook, reach),
        confidence=outlook.probability,
        data_points={
            "budgetName": figures.name,
            "currency": figures.currency,
            "budget": round(figures.budget, 2),
            "spentToDate": round(figures.spent, 2),
            "spentThrough": wording.iso_month(figures.spent_through),
            "yearEnds": wording.iso_month(figures.last_month),
            "expectedTotal": round(outlook.total, 2),
            "expectedTotalLow": round(outlook.total - reach, 2),
            "expectedTotalHigh": round(outlook.total + reach, 2),
            "expectedOverrun": round(outlook.overrun, 2),
            "expectedOverrunShare": round(share, 4),
            "overrunProbability": round(outlook.probability, 4),
            "monthsLeft": outlook.months_left,
        },
        actions=_actions(figures, outlook, share),
        expires_at=outcome.end_of_day(month_over) - timedelta(days=1) + GRACE,
        provenance=Provenance(DETECTOR, figures.facts_as_of, figures.model.model_type, figures.model.version),
    )


def _description(figures: BudgetFigures, outlook: _Outlook, reach: float) -> str:
    def money(amount: float) -> str:
        return wording.money(amount, figures.currency)

    name, spent = wording.name(figures.name), figures.spent / figures.budget
    sentences = [
        f"{name} has a budget of {money(figures.budget)} for the year to {wording.month(figures.last_month)}.",
        f"{money(figures.spent)} ({wording.percent(spent)}) was spent by the end of {wording.month(figures.spent_through)}."
        if figures.spent_through > figures.last_month - 12
        else "Nothing of the year is spent yet.",
        (
            f"With the forecast for the {wording.count(outlook.months_left, 'month')} left, the year is expected to end at "
            f"{money(outlook.total)}, four times in five between {money(outlook.total - reach)} and {money(outlook.total + reach)}."
            if outlook.months_left
            else "No month of the year is left."
        ),
        f"The probability of ending over budget is {wording.percent(outlook.probability)}.",
        f"The expected overrun is {money(outlook.overrun)} ({wording.percent(outlook.overrun / figures.budget)} of the budget).",
    ]
    return " ".join(sentences)


def _actions(figures: BudgetFigures, outlook: _Outlook, share: float) -> tuple[Action, ...]:
    overrun = wording.money(outlook.overrun, figures.currency)
    urgent = Priority.HIGH if share >= _HIGH_SHARE else Priority.MEDIUM
    move = Action(
        "Decide early whether to move budget from elsewhere or to accept the overrun.", Priority.MEDIUM, f"{overrun} to be covered."
    )
    if not outlook.months_left:
        return (move,)
    hold = Action("Hold back spending that is not committed yet.", urgent, _saving(figures, outlook))
    return (hold, move, Action("Check the largest open orders against the forecast.", Priority.LOW))


def _saving(figures: BudgetFigures, outlook: _Outlook) -> str:
    """What would end the year on budget where that is still possible: what is not spent cannot be saved twice."""
    over = outlook.total - figures.budget
    if over > outlook.ahead:
        least = wording.money(min(over, figures.spent - figures.budget), figures.currency)
        return f"The year cannot end on budget any more: the least overrun, with nothing more spent, is {least}."
    monthly = wording.money(over / outlook.months_left, figures.currency)
    if outlook.months_left == 1:
        return f"{monthly} less than forecast in the month left would end the year on budget."
    left = wording.count(outlook.months_left, "month")
    return f"{monthly} less a month than forecast, on average over the {left} left, would end the year on budget."
