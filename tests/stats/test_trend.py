from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.stats.trend import TYPICAL_MOVE, Change, PeriodScores, change

unhurried = settings(deadline=None)
WIDTH = 4.0


def team(rng: np.random.Generator, moved: float, sizes: tuple[int, ...] = (12, 10, 14, 12)) -> list[PeriodScores]:
    """Scores around 3.5 with deviation 0.7; in the last period the true mean is `moved` deviations away."""
    drawn = [3.5 + 0.7 * rng.standard_normal(size) for size in sizes]
    drawn[-1] += 0.7 * moved
    return [PeriodScores(len(scores), float(scores.mean()), float(scores.std())) for scores in drawn]


def found(periods: list[PeriodScores]) -> Change:
    result = change(periods, WIDTH)
    assert result is not None
    return result


def test_a_fall_is_told_with_its_size_and_error() -> None:
    result = found([PeriodScores(20, 4.0, 0.5), PeriodScores(20, 4.0, 0.5), PeriodScores(20, 3.0, 0.5)])
    assert (result.recent, result.earlier, result.change) == (3.0, 4.0, -1.0)
    assert result.error == pytest.approx(math.sqrt(0.25 / 20 + 0.25 / 40))
    assert result.effect == pytest.approx(-2)
    assert result.slope == pytest.approx(-0.5)
    assert result.confidence > 0.98


def test_teams_that_did_not_change_are_seldom_suspected() -> None:
    rng = np.random.default_rng(5)
    suspected = [found(team(rng, 0.0)).confidence >= 0.9 for _ in range(1000)]
    print(f"of {len(suspected)} unchanged teams {np.mean(suspected):.2%} have a confidence of 0.9")
    assert np.mean(suspected) < 0.1


def test_the_confidence_is_the_share_of_teams_that_truly_fell() -> None:
    """Teams whose true means move as much as teams are taken to move, and twice or half as much."""
    rng = np.random.default_rng(6)
    for typical, allowed in ((TYPICAL_MOVE, 0.03), (2 * TYPICAL_MOVE, 0.12), (TYPICAL_MOVE / 2, 0.12)):
        moves = typical * rng.standard_normal(2000)
        said = np.array([found(team(rng, float(move))).confidence for move in moves])
        order = np.argsort(said)
        gaps = [abs(said[part].mean() - (moves[part] < 0).mean()) for part in np.array_split(order, 10)]
        print(f"true moves of {typical:.2f} deviations: largest gap of ten bins {max(gaps):.3f}, mean {np.mean(gaps):.3f}")
        assert np.mean(gaps) < allowed


def test_a_fall_of_one_deviation_is_mostly_seen() -> None:
    rng = np.random.default_rng(7)
    seen = [found(team(rng, -1.0)).confidence >= 0.9 for _ in range(300)]
    print(f"of {len(seen)} teams that fell by one deviation {np.mean(seen):.0%} are seen")
    assert np.mean(seen) > 0.7


@pytest.mark.parametrize(
    "periods",
    [
        [],
        [PeriodScores(20, 4.0, 0.5)],
        [PeriodScores(20, 4.0, 0.5), PeriodScores(4, 1.0, 0.1)],
        [PeriodScores(4, 4.0, 0.5), PeriodScores(20, 1.0, 0.1)],
        [PeriodScores(20, 4.0, 0.5), PeriodScores(20, math.nan, 0.5)],
        [PeriodScores(20, 4.0, -0.5), PeriodScores(20, 3.0, 0.5)],
        [PeriodScores(20, 1e200, 0.5), PeriodScores(20, 3.0, 0.5)],
    ],
)
def test_few_scores_and_impossible_figures_give_nothing(periods: list[PeriodScores]) -> None:
    assert change(periods, WIDTH) is None


@pytest.mark.parametrize("width", [1e-160, 1e-308, 5e-324])
def test_a_scale_so_small_that_its_squares_vanish_gives_nothing(width: float) -> None:
    assert change([PeriodScores(20, width, 0.0), PeriodScores(20, width / 2, 0.0)], width) is None


@unhurried
@given(st.floats(0, 1e100, exclude_min=True), st.integers(5, 10**6), st.integers(5, 10**6), *[st.floats(0, 1)] * 4)
def test_a_scale_of_any_width_gives_finite_figures_or_none(  # noqa: PLR0913 - both periods
    width: float, earlier: int, recent: int, high: float, low: float, spread: float, other: float
) -> None:
    periods = [PeriodScores(earlier, high * width, spread * width), PeriodScores(recent, low * width, other * width)]
    result = change(periods, width)
    if result is not None:
        assert all(math.isfinite(figure) for figure in (result.change, result.error, result.effect, result.confidence, result.slope))


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan, math.inf, 1e308])
def test_a_scale_without_a_width_gives_nothing(width: float) -> None:
    assert change([PeriodScores(20, 4.0, 0.5)] * 2, width) is None


def test_scores_that_all_agree_are_not_taken_as_exact() -> None:
    assert found([PeriodScores(8, 4.0, 0.0), PeriodScores(8, 3.95, 0.0)]).confidence < 0.9
    assert found([PeriodScores(8, 4.0, 0.0), PeriodScores(8, 3.0, 0.0)]).confidence > 0.9


@unhurried
@given(st.lists(st.builds(PeriodScores, st.integers(0, 10**6), st.floats(1, 5), st.floats(0, 2)), max_size=12))
def test_any_periods_give_finite_figures_and_a_worse_one_more_confidence(periods: list[PeriodScores]) -> None:
    result = change(periods, WIDTH)
    if result is not None:
        assert 0 <= result.confidence <= 1
        assert result.error > 0
        last = max(place for place, period in enumerate(periods) if period.count)
        worse = [*periods[:last], PeriodScores(periods[last].count, periods[last].mean - 0.5, periods[last].deviation)]
        assert found(worse).confidence >= result.confidence
