"""Budgets of an organization are forecast together, and each is judged as if it were the only one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.insights.detect.inputs import ModelUsed
from server.insights.evidence.model import EndedContracts, Evidence, Scores, SpendMonth, Workforce
from server.ml.forecast_features import WINDOW, Pairs, enough
from server.ml.forecaster import Forecast, is_long_enough
from server.ml.series import Panel
from tests.ml.panels import series
from workers.nightly.judge import Night
from workers.nightly.models import Models, Ready
from workers.nightly.outlook import judge_budgets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.ml.forecaster import Forecaster
    from server.ml.series import Series

NOW = datetime(2026, 8, 15, tzinfo=UTC)
DECEMBER = 2026 * 12 + 11
UNITS = {"ends in July": (36, 5, 900.0), "two months behind": (36, 7, 700.0), "young": (8, 5, 500.0), "too young": (3, 5, 100.0)}
"""Months of history, months left of the year, and the budget of a month; each spends 1,000 or so."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a model says of itself."""

    horizon: int = 12


@dataclass(slots=True)
class Repeating:
    """Stands for a forecaster: every month is like the last one; counts how often it is asked."""

    card: Card = field(default_factory=Card)
    calls: int = 0

    def forecasts(self, histories: Sequence[Series], horizon: int) -> list[Forecast]:
        """Refuse what a forecaster would refuse."""
        self.calls += 1
        assert all(is_long_enough(history) for history in histories)
        assert len({history.key for history in histories}) == len(histories)
        assert 1 <= horizon <= self.card.horizon
        return [self._forecast(history, horizon) for history in histories]

    @staticmethod
    def _forecast(history: Series, horizon: int) -> Forecast:
        median = np.full(horizon, history.values[-1])
        months = np.arange(history.last + 1, history.last + 1 + horizon, dtype=np.intp)
        return Forecast(months, median, 0.9 * median, 1.1 * median, np.full(horizon, 0.8))


def spend(unit: str) -> list[SpendMonth]:
    """Return the months of a unit, its plan of the whole year included."""
    known, left, planned = UNITS[unit]
    last = DECEMBER - left
    spent = {month: 1000.0 + month % 7 * 20 for month in range(last - known + 1, last + 1)}
    months = sorted({*spent, *range(DECEMBER - 11, DECEMBER + 1)})
    return [SpendMonth(unit, "EUR", month, spent.get(month), planned if month > DECEMBER - 12 else None) for month in months]


def judged(model: Repeating, *units: str) -> Night:
    """Judge the budgets of some units."""
    return of_rows(model, [row for unit in units for row in spend(unit)])


def of_rows(model: Repeating, rows: Sequence[SpendMonth]) -> Night:
    """Judge the budgets of some facts."""
    night = Night()
    evidence = Evidence(Workforce((), (), (), (), (), {}, 0), [], [], EndedContracts(0, 0), rows, [], Scores(0, None))
    judge_budgets(night, evidence, Models(spend=Ready(cast("Forecaster", model), ModelUsed("spend_forecasting", "1.0.0"))), NOW)
    return night


def test_together_each_gets_what_it_gets_alone_by_one_forecast() -> None:
    model = Repeating()
    together = judged(model, *UNITS)
    assert model.calls == 1
    alone = [judged(Repeating(), unit) for unit in UNITS]
    assert len(together.findings) == 3
    assert {each.subject: each for each in together.findings} == {each.subject: each for night in alone for each in night.findings}
    assert together.skipped == {"INCOMPLETE_SPEND": 1}


@pytest.mark.parametrize("unit", UNITS)
def test_a_forecast_reaches_from_the_last_month_that_is_known_to_december(unit: str) -> None:
    found = [finding.data_points["monthsLeft"] for finding in judged(Repeating(), unit).findings]
    assert found == ([] if unit == "too young" else [UNITS[unit][1]])


@pytest.mark.parametrize("changes", [{"amount": 9e14}, {"amount": -9e14}, {"budget": 9e14}])
def test_a_unit_whose_categories_sum_to_more_than_an_amount_is_counted_and_takes_no_other_along(changes: dict[str, float]) -> None:
    def huge(category: str) -> list[SpendMonth]:
        rows = [replace(row, unit="huge", category=category) for row in spend("ends in July")]
        return [replace(row, **changes) if row.month == DECEMBER - 6 else row for row in rows]  # type: ignore[arg-type]  # by the names of the fields

    alone = judged(Repeating(), "ends in July")
    beside = of_rows(Repeating(), [*spend("ends in July"), *huge("a"), *huge("b")])
    assert (beside.findings, beside.skipped) == (alone.findings, alone.skipped + Counter({"INVALID_FIGURES": 1}))


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.just(5.0)), max_size=45))
def test_a_history_is_long_enough_exactly_when_a_forecaster_takes_it(earlier: list[float | None]) -> None:
    panel = Panel.of([series([*earlier, 5.0])])
    pair = Pairs(np.array([0]), panel.ends, np.array([1]), np.array([WINDOW]))
    assert enough(panel, pair).tolist() == [is_long_enough(panel.series[0])]
