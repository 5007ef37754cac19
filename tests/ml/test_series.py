from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ml.series import (
    Panel,
    Series,
    SeriesInvalid,
    cleaned,
    month_number,
    robust_scale,
    row_levels,
    row_medians,
    row_quantiles,
    year_and_month,
)
from tests.ml.panels import FIRST, series

unhurried = settings(deadline=None)  # the machine is shared; how long an example takes says nothing

amounts = st.integers(-(10**12), 10**12).map(lambda cents: cents / 100)
blocks = st.integers(1, 13).flatmap(
    lambda width: st.lists(st.lists(st.one_of(st.just(np.nan), amounts), min_size=width, max_size=width), min_size=1, max_size=5)
)


def test_months_are_numbered_one_after_the_other() -> None:
    assert month_number(1970, 1) == 1970 * 12
    assert month_number(2026, 1) == month_number(2025, 12) + 1
    assert [year_and_month(month_number(2024, month)) for month in range(1, 13)] == [(2024, month) for month in range(1, 13)]
    with pytest.raises(SeriesInvalid, match="1 to 12"):
        month_number(2024, 13)


def test_months_that_were_left_out_are_explicit_gaps_whatever_the_order() -> None:
    made = Series.of("a", [FIRST + 3, FIRST, FIRST + 5, FIRST + 6], [4.0, 1.0, 6.0, None])
    assert (made.first, made.last, made.present) == (FIRST, FIRST + 5, 3)
    np.testing.assert_array_equal(made.values, [1.0, np.nan, np.nan, 4.0, np.nan, 6.0])
    np.testing.assert_array_equal(made.months, np.arange(FIRST, FIRST + 6))


@pytest.mark.parametrize(
    ("months", "values", "words"),
    [
        ([FIRST, FIRST], [1.0, 2.0], "twice"),
        ([FIRST], [1.0, 2.0], "one value for each"),
        ([FIRST], [float("inf")], "finite"),
        ([FIRST], [-2e15], "at most"),
        ([FIRST], [None], "at least one value"),
        ([], [], "at least one value"),
        ([FIRST, FIRST + 1200], [1.0, 2.0], "span"),
    ],
)
def test_a_series_that_cannot_be_is_refused_with_what_is_allowed(months: list[int], values: list[float | None], words: str) -> None:
    with pytest.raises(SeriesInvalid, match=words):
        Series.of("a", months, values)


def test_a_budget_begins_with_the_series_and_may_reach_beyond_it() -> None:
    made = Series.of("a", [FIRST, FIRST + 1], [1.0, 2.0], budget={FIRST - 1: 9.0, FIRST + 1: 5.0, FIRST + 3: 7.0})
    assert made.budget is not None
    np.testing.assert_array_equal(made.budget, [np.nan, 5.0, np.nan, 7.0])
    assert Series.of("a", [FIRST], [1.0], budget={FIRST - 1: 9.0}).budget is None
    with pytest.raises(SeriesInvalid, match="budget"):
        Series.of("a", [FIRST], [1.0], budget={10**9: 1.0})


def test_cleaning_drops_what_does_not_mean_what_it_says() -> None:
    made = Series.of("a", list(range(FIRST, FIRST + 6)), [1.0, 0.0, 5.0, 0.0, -2.0, 3.0], budget={FIRST + 3: 8.0})
    whole = cleaned(made)
    assert whole is not None
    np.testing.assert_array_equal(whole.values, made.values)
    found = cleaned(made, partial_first=True, partial_last=True, zero_is_gap=True)
    assert found is not None
    assert found.budget is not None
    # The zero beside the first month is a gap too, so the series now begins with its third month, and so does its budget.
    assert found.first == FIRST + 2
    np.testing.assert_array_equal(found.values, [5.0, np.nan, -2.0])
    np.testing.assert_array_equal(found.budget, [np.nan, 8.0])
    assert cleaned(series([1.0, 2.0]), partial_first=True, partial_last=True) is None


def test_what_was_known_at_a_month_has_nothing_younger() -> None:
    made = series([1.0, 2.0, None, 4.0])
    known = made.until(FIRST + 2)
    assert known is not None
    np.testing.assert_array_equal(known.values, [1.0, 2.0])
    assert made.until(FIRST - 1) is None


def test_a_panel_lays_series_on_one_calendar() -> None:
    later = Series.of("b", [FIRST + 2], [9.0], budget={FIRST + 4: 3.0})
    panel = Panel.of([series([1.0, None, 3.0]), later])
    np.testing.assert_array_equal(panel.values, [[1.0, np.nan, 3.0], [np.nan, np.nan, 9.0]])
    assert (panel.first, panel.last, panel.starts.tolist(), panel.ends.tolist()) == (FIRST, FIRST + 2, [0, 2], [2, 2])
    assert panel.budget[1, 4] == 3.0
    assert np.isnan(panel.budget).sum() == panel.budget.size - 1
    for bad in ([], [later, later], [later, series([1.0], first=FIRST + 5000)]):
        with pytest.raises(SeriesInvalid):
            Panel.of(bad)


@unhurried
@given(blocks)
def test_row_medians_are_those_of_numpy(block: list[list[float]]) -> None:
    values = np.array(block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = np.nanmedian(values, axis=1)
    np.testing.assert_allclose(row_medians(values), expected)


@unhurried
@given(blocks, st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
def test_row_quantiles_are_those_of_numpy(block: list[list[float]], share: float) -> None:
    values = np.array(block)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = np.nanquantile(values, share, axis=1)
    np.testing.assert_allclose(row_quantiles(values, share), expected, rtol=1e-9, atol=1e-3)


@unhurried
@given(blocks, st.sampled_from([0.5, 2.0, 1024.0]))
def test_the_robust_scale_is_above_zero_and_grows_with_the_values(block: list[list[float]], factor: float) -> None:
    values = np.array(block)
    scale = robust_scale(values)
    assert np.all(scale > 0)
    plain = np.nanmax(np.abs(np.where(np.isnan(values), 0.0, values)), axis=1) > 1e-3
    np.testing.assert_allclose(robust_scale(values * factor)[plain], scale[plain] * factor)


def test_one_extreme_month_does_not_move_the_scale() -> None:
    usual = np.full((1, 12), 100.0)
    extreme = usual.copy()
    extreme[0, 4] = 1e9
    assert robust_scale(extreme) == robust_scale(usual) == 100.0
    assert np.abs(extreme).mean() > 1e7  # what a mean would have made of it
    np.testing.assert_array_equal(robust_scale(np.array([[0.0, 0.0, 0.0, 8.0], [0.0] * 4, [np.nan] * 4])), [2.0, 1.0, 1.0])


def test_a_level_leaves_out_the_smallest_and_the_largest_of_six_or_more() -> None:
    nothing = np.nan
    rows = np.array(
        [
            [1.0, 2.0, 3.0, 4.0, 5.0, 900.0, nothing],
            [1.0, 2.0, 3.0, 4.0, 90.0, nothing, nothing],
            [-7.0, *[nothing] * 6],
            [nothing] * 7,
        ]
    )
    np.testing.assert_array_equal(row_levels(rows), [3.5, 20.0, -7.0, nothing])
