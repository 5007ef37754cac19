"""Where the year's spend is heading, unit by unit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from server.insights.detect import budget
from server.insights.detect.inputs import BudgetFigures, ForecastMonth
from server.insights.detect.outcome import SkipReason, start_of_month
from server.insights.figures import money
from server.insights.model import InsightType
from server.ml.forecaster import HistoryTooShort
from server.ml.series import Series

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.insights.evidence.model import Evidence
    from server.insights.figures.money import Budget
    from server.ml.forecaster import Forecaster
    from workers.nightly.judge import Night
    from workers.nightly.models import Models, Ready

_ONE_DAY = timedelta(days=1)


def judge_budgets(night: Night, evidence: Evidence, models: Models, now: datetime) -> None:
    """Forecast every unit that has a budget to the end of its year, and compare."""
    plans, skipped = money.budgets(evidence.spend, now.date())
    night.skipped.update(skipped)
    if models.spend is None:
        night.skipped["NO_ACTIVE_MODEL"] += 1 if plans else 0
        return
    figures = [found for plan in plans if (found := _figures(night, plan, models.spend)) is not None]
    night.take(budget.detect(figures, now), InsightType.BUDGET_OVERRUN)


def _figures(night: Night, plan: Budget, ready: Ready[Forecaster]) -> BudgetFigures | None:
    ahead = _ahead(plan, ready.model)
    if ahead is None:
        night.skipped[SkipReason.TOO_FEW_MONTHS.value] += 1
        return None
    return BudgetFigures(
        name=plan.unit,
        currency=plan.currency,
        budget=plan.budget,
        spent=plan.spent,
        spent_through=plan.spent_through,
        last_month=plan.last_month,
        forecast=tuple(ahead),
        model=ready.used,
        facts_as_of=start_of_month(plan.spent_through + 1) - _ONE_DAY,
    )


def _ahead(plan: Budget, forecaster: Forecaster) -> Sequence[ForecastMonth] | None:
    """Forecast the months that are left; None when the history is too short."""
    left = plan.last_month - plan.spent_through
    known = {plan.first + place: amount for place, amount in enumerate(plan.history) if amount is not None}
    # Of a year that has not begun to be spent the history ended before; it is forecast across the gap.
    gap = plan.spent_through - max(known)
    if left == 0:
        return []
    if left + gap > forecaster.card.horizon:
        return None
    # With its plan, as the models learn: of a feature that is never missing in training a model knows nothing where it is missing.
    try:
        forecast = forecaster.forecasts([Series.of(plan.unit, list(known), list(known.values()), budget=plan.plan)], left + gap)[0]
    except HistoryTooShort:
        return None
    months = zip(forecast.months.tolist(), forecast.median.tolist(), forecast.low.tolist(), forecast.high.tolist(), strict=True)
    return [ForecastMonth(*month) for month in months if month[0] > plan.spent_through]
