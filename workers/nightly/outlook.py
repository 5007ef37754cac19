"""Where the year's spend is heading, unit by unit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import compress
from typing import TYPE_CHECKING

from server.insights.detect import budget
from server.insights.detect.inputs import BudgetFigures, ForecastMonth
from server.insights.detect.outcome import SkipReason, start_of_month
from server.insights.figures import money
from server.insights.model import InsightType
from server.ml.forecaster import is_long_enough
from server.ml.series import Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from server.insights.detect.inputs import ModelUsed
    from server.insights.evidence.model import Evidence
    from server.insights.figures.money import Budget
    from server.ml.forecaster import Forecast, Forecaster
    from workers.nightly.judge import Night
    from workers.nightly.models import Models

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be forecast of a plan: so many months from the end of its history; none when no month is left."""

    history: Series
    months: int


def judge_budgets(night: Night, evidence: Evidence, models: Models, now: datetime) -> None:
    """Forecast every unit that has a budget to the end of its year, and compare."""
    plans, skipped = money.budgets(evidence.spend, now.date())
    night.skipped.update(skipped)
    if models.spend is None:
        night.skipped["NO_ACTIVE_MODEL"] += 1 if plans else 0
        return
    tasks = [_task(str(place), plan) for place, plan in enumerate(plans)]
    possible = [_is_possible(task, models.spend.model) for task in tasks]
    night.skipped.update(SkipReason.TOO_FEW_MONTHS.value for each in possible if not each)
    ahead = _ahead(list(compress(tasks, possible)), models.spend.model)
    figures = [_figures(plan, months, models.spend.used) for plan, months in zip(compress(plans, possible), ahead, strict=True)]
    night.take(budget.detect(figures, now), InsightType.BUDGET_OVERRUN)


def _task(key: str, plan: Budget) -> _Task:
    known = {plan.first + place: amount for place, amount in enumerate(plan.history) if amount is not None}
    left = plan.last_month - plan.spent_through
    # Of a year that has not begun to be spent the history ended before; it is forecast across the gap.
    gap = plan.spent_through - max(known)
    # With its plan, as the models learn: of a feature that is never missing in training a model knows nothing where it is missing.
    return _Task(Series.of(key, list(known), list(known.values()), budget=plan.plan), left + gap if left else 0)


def _is_possible(task: _Task, forecaster: Forecaster) -> bool:
    return not task.months or (task.months <= forecaster.card.horizon and is_long_enough(task.history))


def _ahead(tasks: Sequence[_Task], forecaster: Forecaster) -> Iterator[Sequence[ForecastMonth]]:
    """Forecast all together, as far as the longest needs."""
    asked = [task for task in tasks if task.months]
    found = iter(forecaster.forecasts([task.history for task in asked], max(task.months for task in asked)) if asked else ())
    for task in tasks:
        yield _months(next(found), task.months) if task.months else ()


def _months(forecast: Forecast, count: int) -> Sequence[ForecastMonth]:
    parts = (part[:count].tolist() for part in (forecast.months, forecast.median, forecast.low, forecast.high))
    return [ForecastMonth(*month) for month in zip(*parts, strict=True)]


def _figures(plan: Budget, ahead: Sequence[ForecastMonth], model: ModelUsed) -> BudgetFigures:
    return BudgetFigures(
        name=plan.unit,
        currency=plan.currency,
        budget=plan.budget,
        spent=plan.spent,
        spent_through=plan.spent_through,
        last_month=plan.last_month,
        forecast=tuple(month for month in ahead if month.month > plan.spent_through),
        model=model,
        facts_as_of=start_of_month(plan.spent_through + 1) - _ONE_DAY,
    )
