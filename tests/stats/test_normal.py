from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from server.stats.normal import QUANTILE_90, QUANTILE_975, cumulative, density, from_student, overshoot
from server.stats.robust import mad_sigma, median, theil_sen

NORMAL = NormalDist()


def test_the_normal_distribution_is_that_of_the_standard_library() -> None:
    for score in (-8.0, -1.96, 0.0, 0.3, 3.0):
        assert cumulative(score) == pytest.approx(NORMAL.cdf(score), rel=1e-9, abs=1e-15)
        assert density(score) == pytest.approx(NORMAL.pdf(score))
    assert (cumulative(QUANTILE_90), cumulative(QUANTILE_975)) == pytest.approx((0.9, 0.975))


# Upper 0.5 % and 0.05 % points of Student's t (Fisher & Yates): as rare as normal scores of 2.576 and 3.291.
@pytest.mark.parametrize(
    ("free", "half_percent", "twentieth"), [(3, 5.841, 12.924), (5, 4.032, 6.869), (10, 3.169, 4.587), (30, 2.750, 3.646)]
)
def test_ratios_of_student_become_normal_scores_as_rare(free: float, half_percent: float, twentieth: float) -> None:
    assert from_student(half_percent, free) == pytest.approx(2.576, abs=0.05)
    assert from_student(-twentieth, free) == pytest.approx(-3.291, abs=0.07)
    assert math.isfinite(from_student(1e308, free))


def test_the_overshoot_is_the_mean_of_what_lies_above_zero() -> None:
    drawn = np.random.default_rng(1).standard_normal(400_000)
    for mean, deviation in ((0.0, 1.0), (2.0, 3.0), (-1.0, 1.0)):
        assert overshoot(mean, deviation) == pytest.approx(float(np.maximum(mean + deviation * drawn, 0).mean()), abs=0.01)
    assert (overshoot(5.0, 0.0), overshoot(-5.0, 0.0), overshoot(-1e9, 1.0)) == (5.0, 0.0, 0.0)


def test_robust_estimates_do_not_move_with_a_third_of_wild_values() -> None:
    drawn = np.random.default_rng(2).standard_normal(900)
    wild = np.concatenate([drawn[:700], np.full(200, 1e6)])
    assert mad_sigma(drawn) == pytest.approx(1, abs=0.08)
    assert mad_sigma(wild) < 1.6
    assert np.std(wild) > 1000
    times = np.arange(60.0)
    values = 3 * times + np.random.default_rng(3).standard_normal(60)
    values[::5] += 1e5
    assert theil_sen(times, values) == pytest.approx(3, abs=0.1)
    assert theil_sen(np.zeros(3), np.arange(3.0)) is None
    assert (median(np.array([3.0, 1.0, 2.0])), median(np.array([4.0, 1.0]))) == (2.0, 2.5)


def test_the_small_sample_correction_makes_the_scale_right_on_average() -> None:
    generator = np.random.default_rng(4)
    for count in (4, 6, 9, 15):
        drawn = [mad_sigma(generator.standard_normal(count)) for _ in range(4000)]
        assert np.mean(drawn) == pytest.approx(1, abs=0.06)
    assert (mad_sigma(np.zeros(0)), mad_sigma(np.ones(1))) == (0.0, 0.0)
