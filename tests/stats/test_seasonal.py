"""Months against the months before them, on series whose jumps are known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.insights.detect import payroll
from server.stats import seasonal
from server.stats.seasonal import Explanation, Judgement, MonthlySeries, Season, judge
from tests.stats import labelled_series
from tests.stats.labelled_series import Labelled, labelled_set

if TYPE_CHECKING:
    from collections.abc import Sequence

unhurried = settings(deadline=None)
FIRST = 2020 * 12
# The rule was made while looking at seeds 1 to 11; these were not looked at.
UNSEEN = 20_260
WAGES = [100.0 + (place % 3) for place in range(36)]


def judged(made: list[Labelled], first: int) -> list[tuple[Judgement, bool]]:
    """Every month from `first` on as the nightly run would have judged it, and whether it is labelled."""
    found = []
    for labelled in made:
        series = MonthlySeries(FIRST, labelled.values)
        judgements = (judge(series, FIRST + place) for place in range(first, len(labelled.values)))
        found += [(judgement, judgement.month - FIRST in labelled.jumps) for judgement in judgements if judgement is not None]
    return found


def figures(found: list[tuple[Judgement, bool]]) -> tuple[float, float, float]:
    """Precision, recall, and alarms per month without a jump."""
    alarms = [labelled for judgement, labelled in found if judgement.is_unusual]
    jumps = sum(labelled for _, labelled in found)
    false = len(alarms) - sum(alarms)
    return sum(alarms) / max(len(alarms), 1), sum(alarms) / max(jumps, 1), false / (len(found) - jumps)


def at(values: Sequence[float | None], place: int = -1) -> Judgement:
    found = judge(MonthlySeries(FIRST, tuple(values)), FIRST + place % len(values))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def unseen() -> list[tuple[Judgement, bool]]:
    return judged(labelled_set(UNSEEN, 85), 24)


def test_jumps_over_four_robust_sigmas_are_found_with_precision_and_recall_of_ninety_percent(unseen: list[tuple[Judgement, bool]]) -> None:
    precision, recall, false = figures(unseen)
    jumps = sum(labelled for _, labelled in unseen)
    print(
        f"{len(unseen)} months, {jumps} jumps: precision {precision:.3f}, recall {recall:.3f}, false alarms {false:.2%} of ordinary months"
    )
    assert len(unseen) > 1500
    assert jumps > 200
    assert precision >= 0.9
    assert recall >= 0.9


def test_series_without_jumps_raise_few_alarms() -> None:
    found = judged(labelled_set(UNSEEN + 1, 40, with_jumps=False), 24)
    _, _, false = figures(found)
    print(f"{len(found)} months without any jump: {false:.2%} raise an alarm")
    assert false <= 0.015


def test_short_histories_raise_few_alarms_too_and_find_less() -> None:
    found = judged(labelled_set(UNSEEN + 2, 90, first_judged=7, length=(12, 24)), 6)
    precision, recall, false = figures(found)
    print(f"6 to 23 months before: {len(found)} months, precision {precision:.3f}, recall {recall:.3f}, false alarms {false:.2%}")
    assert precision >= 0.8
    assert false <= 0.02


def test_control_a_plain_z_score_does_not_reach_that() -> None:
    """Mean and deviation of the months before: what season, trend and earlier jumps do to it."""
    hits = alarms = jumps = 0
    for labelled in labelled_set(UNSEEN, 85):
        for place in range(24, len(labelled.values)):
            before, value = [seen for seen in labelled.values[:place] if seen is not None], labelled.values[place]
            if value is not None:
                unusual = abs(value - np.mean(before)) > 3 * np.std(before)
                hits, alarms, jumps = (
                    hits + (unusual and place in labelled.jumps),
                    alarms + bool(unusual),
                    jumps + (place in labelled.jumps),
                )
    print(f"plain z-score: precision {hits / alarms:.3f}, recall {hits / jumps:.3f}")
    assert min(hits / alarms, hits / jumps) < 0.7


def test_the_confidence_of_a_spike_is_the_share_of_true_jumps(unseen: list[tuple[Judgement, bool]]) -> None:
    alarms = [(payroll.confidence(judgement.score), labelled) for judgement, labelled in unseen if judgement.is_unusual]
    said, seen = np.array(alarms, dtype=np.float64).T
    ordered = np.argsort(said, kind="stable")
    gaps = [abs(said[part].mean() - seen[part].mean()) for part in np.array_split(ordered, 5)]
    print(f"{len(alarms)} alarms: confidence {said.mean():.3f}, true jumps {seen.mean():.3f}, gap over five bins {np.mean(gaps):.3f}")
    assert abs(said.mean() - seen.mean()) < 0.05
    assert np.mean(gaps) < 0.08


@pytest.mark.parametrize("season", [Season.WAVE, Season.HEIGHTS])
def test_what_comes_every_year_is_no_jump_and_the_same_without_it_is(season: Season) -> None:
    rng = np.random.default_rng(3)
    yearly = 40 * np.sin(2 * np.pi * np.arange(12) / 12) if season is Season.WAVE else 25 * rng.standard_normal(12)
    values = list(1000 + np.resize(yearly, 49) + rng.standard_normal(49) * 3)
    ordinary = at(list(values))
    assert (ordinary.season, ordinary.is_unusual) == (season, False)
    assert at([*values[:-1], values[-1] + 40]).score > seasonal.UNUSUAL
    assert at([*values[:-1], values[-1] - 40]).score < -seasonal.UNUSUAL


def test_only_the_first_month_of_a_new_level_is_news() -> None:
    values: list[float | None] = [*WAGES[:30], *(value + 20 for value in WAGES[30:])]
    assert at(values, 30).is_unusual
    for place in range(31, 36):
        assert not at(values, place).is_unusual
    assert at(values, 31).explanation is Explanation.LEVEL_SHIFT
    assert at([*values, 160.0]).is_unusual


def test_a_bonus_that_was_paid_a_year_before_is_no_news() -> None:
    values: list[float | None] = [*WAGES[:6], 160.0, *WAGES[7:18], 160.0]
    assert at(values, 6).is_unusual
    assert at(values).explanation is Explanation.LAST_YEAR
    assert not at(values).is_unusual
    assert at([*values[:-1], 220.0]).is_unusual


def test_a_spike_does_not_hide_itself_nor_the_next_one() -> None:
    for spike in (150.0, 1e4, 1e9):
        values: list[float | None] = [*WAGES[:20], spike, *WAGES[21:28], 150.0]
        assert at(values, 20).sigma == at([*WAGES[:20], 101.0]).sigma
        assert at(values).is_unusual


def test_months_after_the_judged_one_change_nothing() -> None:
    values = [value for labelled in labelled_set(1, 1) for value in labelled.values]
    place = next(place for place in range(30, len(values)) if values[place] is not None)
    assert at([*values], place) == at([*values[: place + 1]], place)


def test_a_constant_series_has_a_scale() -> None:
    assert not at([100.0] * 12 + [101.0]).is_unusual
    assert at([100.0] * 12 + [104.0]).is_unusual
    assert math.isfinite(at([100.0] * 12 + [104.0]).score)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0],
        [1.0] * 6,
        [0.0] * 12 + [5.0],
        [None] * 12 + [5.0],
        [*WAGES, None],
        [*WAGES, math.nan],
        [math.inf, *WAGES],
        [1e-300] * 9 + [1e300],
    ],
)
def test_there_is_no_judgement_where_nothing_can_be_said(values: list[float | None]) -> None:
    assert judge(MonthlySeries(FIRST, tuple(values)), FIRST + max(len(values) - 1, 0)) is None


def test_six_months_are_enough_and_gaps_are_passed_over() -> None:
    assert judge(MonthlySeries(FIRST, (*WAGES[:6], 100.0)), FIRST + 6) is not None
    assert at([WAGES[0], None, None, *WAGES[3:8], None, 140.0]).history == 6
    assert judge(MonthlySeries(FIRST, tuple(WAGES)), FIRST - 1) is None
    assert judge(MonthlySeries(FIRST, tuple(WAGES)), FIRST + 36) is None


@unhurried
@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=40))
def test_any_finite_months_give_finite_figures_or_none(values: list[float | None]) -> None:
    series = MonthlySeries(FIRST, tuple(values))
    for judgement in filter(None, (judge(series, FIRST + place) for place in range(len(values)))):
        assert judgement.is_finite
        assert judgement.sigma > 0
        assert judgement.low <= judgement.expected <= judgement.high


@unhurried
@given(
    st.lists(st.floats(10, 1000), min_size=7, max_size=40),
    st.sampled_from([1e-3, 2.0, 1024.0, 1e6]),
)
def test_the_unit_of_the_amounts_does_not_matter(values: list[float], unit: float) -> None:
    one, other = at([*values]), at([value * unit for value in values])
    assert other.is_unusual == one.is_unusual or abs(abs(one.score) - seasonal.UNUSUAL) < 1e-6


def test_labels_are_planted_jumps_over_four_robust_sigmas() -> None:
    """Control of the generator: with the same draws and no jumps the labelled months are where the series differ first."""
    made = labelled_set(8, 30)
    sizes = []
    for labelled in made:
        for place in labelled.jumps:
            value, before = labelled.values[place], labelled.values[place - 1]
            if value is not None and before is not None:
                sizes.append(abs(value - before) / labelled.sigma)
    assert len(sizes) > 50
    assert np.median(sizes) > labelled_series.LABELLED
    assert any(value is None for labelled in made for value in labelled.values)
    assert {labelled.season for labelled in made} == set(labelled_series.Season)
    assert {jump for labelled in made for jump in labelled.jumps.values()} == set(labelled_series.Jump)
