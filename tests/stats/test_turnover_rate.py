from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.stats.turnover import HeadcountMonth, turnover_rate, wilson


def test_the_rate_is_leavers_over_average_headcount() -> None:
    rate = turnover_rate([HeadcountMonth(100 + place, 1) for place in range(12)])
    assert rate is not None
    assert (rate.leavers, rate.average_headcount, rate.months, rate.is_annualized) == (12, 105.5, 12, False)
    assert rate.rate == pytest.approx(12 / 105.5)


def test_fewer_months_are_annualized_and_only_the_last_twelve_count() -> None:
    quarter = turnover_rate([HeadcountMonth(100, 2)] * 3)
    assert quarter is not None
    assert quarter.is_annualized
    assert quarter.rate == pytest.approx(0.24)
    assert turnover_rate([HeadcountMonth(7, 7)] * 5 + [HeadcountMonth(100, 1)] * 12) == turnover_rate([HeadcountMonth(100, 1)] * 12)
    gaps = turnover_rate([HeadcountMonth(100, 2), None, None, HeadcountMonth(100, 2), HeadcountMonth(100, 2)])
    assert gaps == quarter


@pytest.mark.parametrize(
    "months",
    [
        [],
        [HeadcountMonth(100, 1)] * 2,
        [None] * 12,
        [HeadcountMonth(0, 0)] * 12,
        [HeadcountMonth(1, 1)] * 12,
        [HeadcountMonth(-5, 1)] * 12,
        [HeadcountMonth(100, -1)] * 12,
        [HeadcountMonth(math.nan, 1)] * 12,
        [HeadcountMonth(math.inf, 1)] * 12,
        [HeadcountMonth(1e308, 1)] * 12,
    ],
)
def test_there_is_no_rate_where_it_would_be_nonsense(months: list[HeadcountMonth | None]) -> None:
    assert turnover_rate(months) is None


def test_more_leavers_than_employees_have_a_rate_and_no_interval() -> None:
    rate = turnover_rate([HeadcountMonth(10, 2)] * 12)
    assert rate is not None
    assert rate.rate == pytest.approx(2.4)
    assert (rate.low, rate.high) == (None, None)


def test_the_interval_is_the_published_one_of_wilson() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.lists(st.none() | st.builds(HeadcountMonth, st.floats(0, 1e6), st.integers(0, 10**6)), max_size=20))
def test_any_months_give_a_rate_inside_its_interval_or_none(months: list[HeadcountMonth | None]) -> None:
    rate = turnover_rate(months)
    if rate is not None:
        assert math.isfinite(rate.rate)
        assert rate.rate >= 0
        if rate.low is not None and rate.high is not None:
            assert rate.low - 1e-9 <= rate.rate <= rate.high + 1e-9
