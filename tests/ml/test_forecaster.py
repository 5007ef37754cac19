from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.ml.encoding import Band
from server.ml.forecast_features import GROUPS, WINDOW, Pairs, look
from server.ml.forecaster import Forecast, HistoryTooShort
from server.ml.scoring import SHOWN, Direction
from server.ml.series import LARGEST, Panel, Series, SeriesInvalid
from tests.ml.panels import FIRST, forecaster, seasonal, series, small

unhurried = settings(deadline=None)  # the machine is shared; how long an example takes says nothing

amounts = st.one_of(
    st.just(0.0), st.integers(-(10**6), 10**9).map(lambda cents: cents / 100), st.sampled_from([1e-12, LARGEST, -LARGEST, 1e-300])
)
histories = st.lists(st.one_of(st.none(), amounts, amounts), min_size=6, max_size=50).filter(
    lambda values: next(value is not None for value in values[::-1]) and sum(value is not None for value in values[-WINDOW:]) >= 6
)


def sensible(forecast: Forecast, horizon: int = 12) -> None:
    assert len(forecast.months) == len(forecast.median) == len(forecast.confidence) == horizon
    assert np.isfinite([forecast.low, forecast.median, forecast.high]).all()
    assert np.all((forecast.low <= forecast.median) & (forecast.median <= forecast.high))
    assert np.all((forecast.confidence > 0.5) & (forecast.confidence < 1))


@unhurried
@given(histories)
def test_whatever_the_history_ends_are_in_order_and_finite(values: list[float | None]) -> None:
    history = series(values)
    forecast = forecaster().forecasts([history])[0]
    sensible(forecast)
    np.testing.assert_array_equal(forecast.months, np.arange(history.last + 1, history.last + 13))
    if min(value for value in values[-WINDOW:] if value is not None) >= 0:
        assert forecast.low.min() >= 0


@unhurried
@given(st.integers(36, 60), st.integers(0, 39), st.floats(-5, 5))
def test_changing_the_future_never_changes_a_forecast(month: int, row: int, factor: float) -> None:
    panel, _ = small()
    own = panel.series[row]
    values = own.values.copy()
    values[month + 1 :] *= factor
    known, other = own.until(own.first + month), Series(own.key, own.first, values).until(own.first + month)
    assert known is not None
    assert other is not None
    ours, theirs = forecaster().forecasts([known])[0], forecaster().forecasts([other])[0]
    np.testing.assert_array_equal(ours.median, theirs.median)
    np.testing.assert_array_equal(ours.low, theirs.low)
    np.testing.assert_array_equal(ours.high, theirs.high)
    # The control: one month more, and it does change.
    values[month] = own.values[month] * 2
    later = Series(own.key, own.first, values).until(own.first + month)
    assert later is not None
    assert not np.array_equal(forecaster().forecasts([later])[0].median, ours.median)


def test_a_series_forecast_among_others_gets_what_it_gets_alone() -> None:
    panel, _ = small()
    several = [*panel.series[:5], series([3.0, 9.0, 2.0, 7.0, 1.0, 8.0, 4.0], key="short", first=FIRST - 30)]
    for own, together in zip(several, forecaster().forecasts(several, explain=True), strict=True):
        alone = forecaster().forecast(own)
        np.testing.assert_array_equal(np.stack([alone.low, alone.median, alone.high]), [together.low, together.median, together.high])
        np.testing.assert_array_equal(alone.confidence, together.confidence)
        assert [each.feature for each in alone.contributions] == [each.feature for each in together.contributions]
    assert forecaster().forecasts([]) == []


def test_a_new_series_with_a_season_is_forecast_near_what_comes() -> None:
    fresh = seasonal(20, 72, seed=99)
    forecasts = forecaster().forecasts([each for each in (one.until(FIRST + 59) for one in fresh.series) if each is not None])
    truth, median = fresh.values[:, 60:], np.stack([forecast.median for forecast in forecasts])
    level = np.median(fresh.values, axis=1)
    assert np.mean(np.abs(truth - median) / level[:, None]) < 0.12  # the noise alone makes 0.08
    low, high = (np.stack([getattr(forecast, side) for forecast in forecasts]) for side in ("low", "high"))
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.8, abs=0.08)


def test_a_constant_series_is_forecast_as_it_is() -> None:
    for constant in (0.01, 100.0, 1e9):
        forecast = forecaster().forecast(series([constant] * 36))
        sensible(forecast)
        np.testing.assert_allclose(forecast.median, constant, rtol=0.1)
        assert np.all((forecast.low <= constant) & (constant <= forecast.high))


def test_nothing_but_zeros_goes_on_as_zero() -> None:
    forecast = forecaster().forecast(series([0.0] * 30))
    sensible(forecast)
    assert not np.any([forecast.low, forecast.median, forecast.high])


def test_credits_may_come_again_where_they_came_before() -> None:
    forecast = forecaster().forecast(series([-100.0, -110.0, -90.0, -105.0, -95.0, -100.0] * 5))
    sensible(forecast)
    assert forecast.median.max() < 0


def test_gaps_do_not_stop_a_forecast() -> None:
    whole = seasonal(1, 60, seed=4).series[0]
    values = whole.values.copy()
    values[[3, 17, 30, 31, 45, 52]] = np.nan
    gappy = forecaster().forecast(Series("gappy", FIRST, values))
    sensible(gappy)
    np.testing.assert_allclose(gappy.median, forecaster().forecast(whole).median, rtol=0.4)


def test_short_histories_are_forecast_from_six_months_on_and_less_surely() -> None:
    whole = seasonal(1, 60, seed=4).series[0]
    known = [whole.until(FIRST + months - 1) for months in (6, 60)]
    short, long = (forecaster().forecast(each) for each in known if each is not None)
    sensible(short)
    assert np.mean((short.high - short.low) / short.median) > np.mean((long.high - long.low) / long.median)
    too_short = series([1.0] * 5 + [None] * 40 + [1.0] * 5)
    with pytest.raises(HistoryTooShort, match="at least 6 months"):
        forecaster().forecasts([whole, too_short])


def test_the_unit_of_money_cancels_out() -> None:
    own = seasonal(1, 48, seed=8).series[0]
    ours, pence = (forecaster().forecast(Series("a", FIRST, own.values * factor)) for factor in (1, 100))
    np.testing.assert_allclose(pence.median, ours.median * 100, rtol=1e-3)
    np.testing.assert_allclose(pence.high, ours.high * 100, rtol=1e-3)


@pytest.mark.parametrize("horizon", [0, 13])
def test_a_horizon_the_model_was_not_trained_for_is_refused(horizon: int) -> None:
    with pytest.raises(ValueError, match="1 to 12"):
        forecaster().forecast(series([1.0] * 12), horizon)


def test_a_series_comes_once_in_a_batch() -> None:
    with pytest.raises(SeriesInvalid):
        forecaster().forecasts([series([1.0] * 12)] * 2)


def test_contributions_add_up_to_the_step_from_level_to_median() -> None:
    panel, _ = small()
    own = panel.series[3]
    one = Panel.of([own])
    views = look(one, Pairs(np.array([0]), one.ends, np.array([1]), np.array([WINDOW])))
    model = forecaster()
    found = model.forecast(own, 1).contributions
    bias = model._trees.contributions(views.matrix)[0, -1]
    left_out = 9 - SHOWN  # the weakest of the nine features
    assert len(GROUPS) == SHOWN + left_out
    step = model.raw(views)[0, 1] - views.level[0]
    smallest = abs(found[-1].value)
    assert sum(each.value for each in found) + bias == pytest.approx(step, abs=left_out * smallest + 1e-4)
    assert [abs(each.value) for each in found] == sorted((abs(each.value) for each in found), reverse=True)


def test_contributions_name_feature_direction_and_a_coarse_band() -> None:
    generator = np.random.default_rng(0)
    level = 100 + generator.normal(size=48)
    season = np.where((FIRST + np.arange(48)) % 12 == 0, 60.0, 0.0)  # every January is dear, and a January comes next
    found = forecaster().forecast(Series("a", FIRST, level + season)).contributions
    by_name = {each.feature: each for each in found}
    assert by_name["same_month_last_year"].direction is Direction.INCREASES
    assert by_name["same_month_last_year"].band is Band.HIGH
    assert by_name["month_of_year"].band is Band.CATEGORY
    assert set(by_name) <= set(GROUPS)
    short = {each.feature: each.band for each in forecaster().forecast(series([5.0, 9.0, 3.0, 8.0, 5.0, 6.0, 4.0])).contributions}
    assert short["same_month_last_year"] is Band.MISSING
    assert forecaster().forecasts([series([1.0] * 12)])[0].contributions == ()
