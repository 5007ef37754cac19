from __future__ import annotations

import json

import numpy as np
import pytest

from server.ml.intervals import COVERAGE, FIRST_AIM, GROUPS, MINIMUM_SCORES, IntervalsInvalid, Margins, coverage, fit, groups, next_aim


def drawn(count: int, seed: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles that promise far too narrow an interval, and outcomes."""
    generator = np.random.default_rng(seed)
    return np.tile([-0.3, 0.0, 0.2], (count, 1)), spread * generator.normal(size=count)


def covered(margins: Margins, quantiles: np.ndarray, outcomes: np.ndarray, group: np.ndarray) -> float:
    found = margins.widen(quantiles, group)
    return float(np.mean((found[:, 0] <= outcomes) & (outcomes <= found[:, 2])))


def test_an_interval_that_is_too_narrow_is_widened_to_what_it_promises() -> None:
    quantiles, outcomes = drawn(4000, 0)
    group = np.zeros(4000, dtype=np.intp)
    fresh = drawn(4000, 1)
    assert covered(Margins((0.0,) * GROUPS, (0.0,) * GROUPS), *fresh, group) < 0.3
    assert covered(fit(quantiles, outcomes, group, COVERAGE), *fresh, group) == pytest.approx(0.8, abs=0.02)
    assert covered(fit(quantiles, outcomes, group, 0.9), *fresh, group) == pytest.approx(0.9, abs=0.02)


def test_an_interval_that_is_too_wide_is_narrowed_but_keeps_its_median() -> None:
    quantiles, outcomes = drawn(4000, 0)
    group = np.zeros(4000, dtype=np.intp)
    margins = fit(quantiles * 100, outcomes, group, COVERAGE)
    assert covered(margins, quantiles * 100, outcomes, group) == pytest.approx(0.8, abs=0.01)
    found = Margins((5.0,) * GROUPS, (-9.0,) * GROUPS).widen(quantiles, group)
    assert np.all((found[:, 0] <= found[:, 1]) & (found[:, 1] <= found[:, 2]))
    np.testing.assert_array_equal(found[:, 1], 0.0)


def test_each_group_has_its_own_margin_and_a_small_one_that_of_all() -> None:
    calm, wild = drawn(1000, 0), drawn(1000, 1, spread=5)
    few = MINIMUM_SCORES - 1
    quantiles = np.concatenate([calm[0], wild[0], calm[0][:few]])
    outcomes = np.concatenate([calm[1], wild[1], calm[1][:few]])
    group = np.repeat([0, 3, 5], [1000, 1000, few])
    margins = fit(quantiles, outcomes, group, COVERAGE)
    assert margins.above[0] < margins.above[5] < margins.above[3]
    assert margins.above[5] == margins.above[1]
    inside = (np.abs(outcomes) < 1).astype(np.float64)
    found = coverage(inside, group)
    assert found[0] == inside[group == 0].mean()
    assert found[5] == inside.mean()


def test_rows_are_grouped_by_months_ahead_and_by_two_years_of_history() -> None:
    assert groups(np.array([1, 3, 4, 6, 7, 12]), np.full(6, 24)).tolist() == [0, 0, 1, 1, 2, 2]
    assert groups(np.array([1, 3, 4, 6, 7, 12]), np.full(6, 23)).tolist() == [3, 3, 4, 4, 5, 5]


def test_too_few_inside_raise_the_aim_and_too_many_lower_it_to_the_promise() -> None:
    assert next_aim(FIRST_AIM, 0.7) == pytest.approx(0.9)
    assert next_aim(FIRST_AIM, 0.8) == FIRST_AIM
    assert next_aim(FIRST_AIM, 1.0) == COVERAGE
    assert next_aim(0.9, 0.0) == pytest.approx(0.92)


def test_margins_survive_json_and_other_values_are_refused() -> None:
    margins = fit(*drawn(300, 2), np.zeros(300, dtype=np.intp), COVERAGE)
    assert Margins.from_json(json.loads(json.dumps(margins.to_json()))) == margins
    for bad in (None, {}, {"below": [0.0] * GROUPS}, {"below": [True] * GROUPS, "above": [0.0] * GROUPS}, {"below": "x", "above": 1}):
        with pytest.raises(IntervalsInvalid):
            Margins.from_json(bad)
