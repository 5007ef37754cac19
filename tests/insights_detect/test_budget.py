from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from server.insights.detect import budget
from server.insights.detect.inputs import BudgetFigures, ForecastMonth
from server.insights.detect.outcome import Detected
from tests.insights_detect.figures import BUDGET, JANUARY, MARCH, NOW

if TYPE_CHECKING:
    from server.insights.model import Finding


def found(figures: BudgetFigures) -> Finding:
    (finding,) = budget.detect([figures], NOW).findings
    return finding


def simulated(figures: BudgetFigures, correlation: float, draws: int = 200_000) -> float:
    """How often the year ends over budget when the months' errors have that correlation."""
    rng = np.random.default_rng(1)
    common = rng.standard_normal(draws)
    total = np.full(draws, figures.spent)
    for month in figures.forecast:
        own = rng.standard_normal(draws)
        deviation = max(month.high - month.median, month.median - month.low) / 1.2816
        total += month.median + deviation * (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)
    return float(np.mean(total > figures.budget))


def test_the_confidence_is_the_simulated_probability_of_ending_over_budget() -> None:
    for amount in (1_150_000.0, 1_200_000.0, 1_240_000.0):
        figures = replace(BUDGET, budget=amount)
        said, independent, equal = found(figures).confidence, simulated(figures, 0.0), simulated(figures, 1.0)
        print(f"budget {amount:,.0f}: said {said:.3f}; errors independent {independent:.3f}, equal {equal:.3f}")
        assert said == pytest.approx(simulated(figures, budget.CORRELATION), abs=0.01)
        assert equal - 0.01 <= said <= independent + 0.01


def test_a_smaller_budget_and_more_spending_are_more_severe() -> None:
    smaller = found(replace(BUDGET, budget=1_100_000.0))
    more = found(replace(BUDGET, spent=400_000.0))
    assert found(BUDGET).severity < min(smaller.severity, more.severity)
    assert found(BUDGET).confidence < min(smaller.confidence, more.confidence)


def test_a_budget_that_will_do_is_no_finding_and_no_skip() -> None:
    for amount in (1_254_000.0, 1_300_000.0, 5_000_000.0):
        assert budget.detect([replace(BUDGET, budget=amount)], NOW) == Detected()


def test_an_overrun_that_has_happened_is_certain() -> None:
    figures = replace(BUDGET, spent=1_300_000.0, spent_through=JANUARY + 11, forecast=())
    (finding,) = budget.detect([figures], datetime(2026, 12, 31, 3, tzinfo=UTC)).findings
    assert finding.confidence == pytest.approx(1)
    assert "No month of the year is left." in finding.description
    assert "The expected overrun is EUR 100,000 (8.3% of the budget)." in finding.description


def test_an_overrun_of_less_than_a_hundredth_of_the_budget_is_no_news_however_sure() -> None:
    ended = replace(BUDGET, budget=1_200_000.0, spent_through=JANUARY + 11, forecast=())
    december = datetime(2026, 12, 31, 3, tzinfo=UTC)
    assert budget.detect([replace(ended, spent=1_211_000.0)], december) == Detected()
    assert len(budget.detect([replace(ended, spent=1_213_000.0)], december).findings) == 1


def advice(figures: BudgetFigures) -> str:
    return found(figures).actions[0].estimated_impact


def test_what_is_said_to_end_the_year_on_budget_does() -> None:
    # 1,254,000 are expected; nine times 6,000 bring them to 1,200,000.
    assert advice(BUDGET) == "EUR 6,000 less a month than forecast, on average over the 9 months left, would end the year on budget."
    last = replace(
        BUDGET, spent=1_150_000.0, spent_through=JANUARY + 10, forecast=(ForecastMonth(JANUARY + 11, 90_000.0, 80_000.0, 99_000.0),)
    )
    assert advice(last) == "EUR 40,000 less than forecast in the month left would end the year on budget."


def test_more_than_is_forecast_cannot_be_saved_and_the_least_overrun_is_said() -> None:
    for spent, least in ((1_200_100.0, "100.00"), (1_300_000.0, "100,000")):
        said = advice(replace(BUDGET, spent=spent))
        assert said == f"The year cannot end on budget any more: the least overrun, with nothing more spent, is EUR {least}."
    assert "would end the year on budget" in advice(replace(BUDGET, spent=1_200_000.0))


def test_of_a_year_that_has_begun_with_nothing_spent_it_is_said_so() -> None:
    year = tuple(ForecastMonth(JANUARY + ahead, 110_000.0, 100_000.0, 120_000.0) for ahead in range(12))
    figures = replace(BUDGET, spent=0.0, spent_through=JANUARY - 1, forecast=year)
    assert "Nothing of the year is spent yet." in found(figures).description


def test_forecasts_before_and_after_the_year_do_not_count() -> None:
    extra = (*BUDGET.forecast, ForecastMonth(MARCH, 9e9, 9e9, 9e9), ForecastMonth(JANUARY + 12, 9e9, 9e9, 9e9))
    assert found(replace(BUDGET, forecast=extra)) == found(BUDGET)


def test_an_interval_with_swapped_ends_is_as_wide_as_it_reaches() -> None:
    swapped = tuple(ForecastMonth(month.month, month.median, month.high, month.low) for month in BUDGET.forecast)
    assert found(replace(BUDGET, forecast=swapped)).confidence == found(BUDGET).confidence


def test_the_data_points_add_up() -> None:
    points = found(BUDGET).data_points
    numbers = {name: value for name, value in points.items() if isinstance(value, float)}
    assert numbers["expectedTotalLow"] < numbers["expectedTotal"] == 1_254_000.0 < numbers["expectedTotalHigh"]
    assert numbers["expectedOverrun"] >= numbers["expectedTotal"] - numbers["budget"]
    assert cast("int", points["monthsLeft"]) == 9
    json.dumps(points, allow_nan=False)


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (replace(BUDGET, budget=0.0), "NO_BUDGET"),
        (replace(BUDGET, budget=5e-324), "NO_BUDGET"),
        (replace(BUDGET, budget=-1.0), "NO_BUDGET"),
        (replace(BUDGET, budget=float("nan")), "INVALID_FIGURES"),
        (replace(BUDGET, spent=-10.0), "NEGATIVE_TOTAL"),
        (replace(BUDGET, currency="eur"), "NO_CURRENCY"),
        (replace(BUDGET, forecast=()), "NO_FORECAST"),
        (replace(BUDGET, forecast=BUDGET.forecast[1:]), "INCOMPLETE_FORECAST"),
        (replace(BUDGET, forecast=(*BUDGET.forecast, BUDGET.forecast[0])), "INCOMPLETE_FORECAST"),
        (replace(BUDGET, forecast=(replace(BUDGET.forecast[0], high=float("inf")), *BUDGET.forecast[1:])), "INVALID_FIGURES"),
        (replace(BUDGET, last_month=MARCH), "YEAR_ENDED"),
    ],
)
def test_what_cannot_be_judged_is_counted_with_its_reason(figures: BudgetFigures, reason: str) -> None:
    detected = budget.detect([figures], NOW)
    assert (detected.findings, detected.skips) == ((), {reason: 1})
