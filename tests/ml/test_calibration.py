from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from server.ml.calibration import Calibration, CalibrationInvalid, fit
from server.ml.evaluation import calibration_error

unhurried = settings(deadline=None)  # the machine is shared; how long an example takes says nothing


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True log-odds and outcomes."""
    generator = np.random.default_rng(seed)
    margins = generator.normal(-1, 2, count)
    return margins, (generator.random(count) < 1 / (1 + np.exp(-margins))).astype(np.int8)


def test_log_odds_that_are_right_stay_as_they_are() -> None:
    margins, labels = drawn(50_000)
    curve = fit(margins, labels)
    assert (curve.low, curve.high, curve.intercept) == pytest.approx((1, 1, 0), abs=0.06)


def test_log_odds_that_were_stretched_and_shifted_are_mended() -> None:
    margins, labels = drawn(50_000)
    wrong = 3 * margins + 2
    assert calibration_error(labels, 1 / (1 + np.exp(-wrong))) > 0.08
    assert calibration_error(labels, fit(wrong, labels).apply(wrong)) < 0.015


def test_a_floor_of_risk_is_learned_where_one_slope_could_not() -> None:
    generator = np.random.default_rng(1)
    margins = generator.normal(-2, 2.5, 50_000)
    labels = (generator.random(50_000) < 0.08 + 0.92 / (1 + np.exp(-margins))).astype(np.int8)
    ours = calibration_error(labels, fit(margins, labels).apply(margins))
    one_slope = LogisticRegression(C=1e6).fit(margins[:, None], labels).predict_proba(margins[:, None])[:, 1]
    assert ours < 0.6 * calibration_error(labels, one_slope)


def test_the_fit_is_the_maximum_of_the_likelihood() -> None:
    margins, labels = drawn(5_000)
    curve = fit(margins, labels)
    features = np.column_stack([-np.logaddexp(0, -margins), np.logaddexp(0, margins)])
    reference = LogisticRegression(C=1e9, tol=1e-10, max_iter=10_000).fit(features, labels)
    assert (curve.low, curve.high) == pytest.approx(tuple(reference.coef_[0]), abs=0.01)
    assert curve.intercept == pytest.approx(float(reference.intercept_[0]), abs=0.01)


def test_log_odds_that_rank_backwards_give_everyone_the_base_rate() -> None:
    margins, labels = drawn(5_000)
    curve = fit(-margins, labels)
    assert (curve.low, curve.high) == (0, 0)
    np.testing.assert_allclose(curve.apply(-margins), labels.mean(), atol=0.001)


@unhurried
@given(st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=1, max_size=40))
def test_any_few_rows_give_a_finite_curve_that_keeps_the_ranking(rows: list[tuple[float, bool]]) -> None:
    margins = np.array([margin for margin, _ in rows])
    curve = fit(margins, np.array([label for _, label in rows], dtype=np.int8))
    assert Calibration.from_json(json.loads(json.dumps(curve.to_json()))) == curve
    probabilities = curve.apply(np.linspace(-1000, 1000, 101))
    assert np.isfinite(probabilities).all()
    assert (np.diff(probabilities) >= 0).all()
    assert probabilities.min() >= 0
    assert probabilities.max() <= 1


def test_a_perfect_ranking_gives_no_certainty() -> None:
    margins = np.concatenate([np.full(20, -3.0), np.full(20, 3.0)])
    probabilities = fit(margins, (margins > 0).astype(np.int8)).apply(margins)
    assert 0.01 < probabilities.min() < 0.1
    assert 0.9 < probabilities.max() < 0.99


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"low": -1, "high": 1, "intercept": 0},
        {"low": 1, "high": True, "intercept": 0},
        {"low": 1, "high": 1, "intercept": float("nan")},
        {"low": 1, "high": 1, "intercept": "0"},
    ],
)
def test_json_that_is_no_calibration_is_refused(data: object) -> None:
    with pytest.raises(CalibrationInvalid):
        Calibration.from_json(data)
