from __future__ import annotations

import json

import numpy as np
import pytest

from server.ml.forecast_card import ForecastCard
from server.ml.forecast_evaluation import ERROR_EDGES, of_forecasts
from server.ml.forecast_metrics import Points
from tests.ml.panels import small


def flat(truth: list[float], series: list[int]) -> Points:
    """Forecasts of 10, interval 8 to 12, a naive forecast of 12 with 11 to 13; scale 2."""
    count = len(truth)
    return Points(
        np.array(series, dtype=np.intp),
        np.array(truth),
        np.tile([8.0, 10.0, 12.0], (count, 1)),
        np.tile([11.0, 12.0, 13.0], (count, 1)),
        np.full(count, 2.0),
    )


def test_forecasts_are_measured_by_months_ahead_beside_the_naive_ones() -> None:
    found = of_forecasts(flat([10, 12, 16, 10], [0, 1, 1, 0]), np.array([1, 1, 12, 12], dtype=np.intp), ())
    first, last = found.horizons
    assert (first.months, first.points, first.coverage, first.naive_coverage) == (1, 2, 1.0, 0.5)
    # Scaled errors 0 and 1 of two series; the naive forecast's are 1 and 0.
    assert (first.mase, first.naive_mase) == (0.5, 0.5)
    assert (last.months, last.points, last.coverage, last.naive_coverage) == (12, 2, 0.5, 0.0)
    assert (last.mase, last.naive_mase) == (1.5, 1.5)


def test_a_pinball_loss_is_the_mean_of_three_quantiles_in_units_of_the_scale() -> None:
    found = of_forecasts(flat([10], [0]), np.array([3], dtype=np.intp), ())
    # 0.1 * 2 of the low quantile, nothing of the median, 0.1 * 2 of the high one; over three, over the scale.
    assert found.horizons[0].pinball == pytest.approx(0.4 / 3 / 2, abs=1e-6)


def test_series_are_counted_by_their_error() -> None:
    found = of_forecasts(flat([10, 10, 12, 40], [0, 0, 1, 2]), np.ones(4, dtype=np.intp), ())
    assert (found.series, found.points, len(found.series_by_error)) == (3, 4, len(ERROR_EDGES))
    assert found.series_by_error == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert sum(found.naive_by_error) == 3
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["kind"] == "forecast"


def test_a_training_leaves_the_evaluation_of_the_points_its_metrics_are_of() -> None:
    _, model = small()
    found, metrics = model.evaluation, model.metrics
    assert (found.series, found.points) == (metrics.series, metrics.points)
    assert [each.months for each in found.horizons] == list(range(1, 13))
    points = np.array([each.points for each in found.horizons])
    assert points.sum() == metrics.points
    for ours, whole in (("coverage", metrics.coverage), ("naive_coverage", metrics.naive_coverage)):
        assert np.dot(points, [getattr(each, ours) for each in found.horizons]) / points.sum() == pytest.approx(whole, abs=1e-5)
    loss = (metrics.pinball_low + metrics.pinball_median + metrics.pinball_high) / 3
    assert np.dot(points, [each.pinball for each in found.horizons]) / points.sum() == pytest.approx(loss, abs=1e-5)
    assert sum(found.series_by_error) == sum(found.naive_by_error) == metrics.series


def test_what_moves_forecasts_is_said_by_feature_and_a_yearly_season_moves_them_most() -> None:
    _, model = small()
    found = model.evaluation.importance
    assert {each.feature for each in found} == set(ForecastCard.from_json(model.card).features)
    assert found[0].feature == "same_month_last_year"
    assert found[0].contribution > 0
    assert all(each.gain_share is None for each in found)
