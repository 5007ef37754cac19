from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest

from server.insights.detect import performance
from server.insights.detect.outcome import Detected, Skipped, SkipReason
from server.insights.model import Finding, Priority
from tests.insights_detect.figures import NOW, PERIODS, TEAM, with_last_mean

if TYPE_CHECKING:
    from server.insights.detect.inputs import ReviewPeriod, TeamReviews


def found(figures: TeamReviews) -> Finding:
    (finding,) = performance.detect([figures], NOW).findings
    return finding


def test_a_team_that_is_as_it_was_or_better_is_no_finding_and_no_skip() -> None:
    for mean in (3.8, 3.87, 4.6):
        assert performance.detect([with_last_mean(mean)], NOW) == Detected()


def test_worse_reviews_are_more_severe_and_surer() -> None:
    told = [found(with_last_mean(mean)) for mean in (3.3, 3.1, 2.5, 1.2)]
    assert [finding.severity for finding in told] == sorted(finding.severity for finding in told)
    assert [finding.confidence for finding in told] == sorted(finding.confidence for finding in told)
    assert told[-1].actions[0].priority is Priority.HIGH


def test_a_period_that_has_not_ended_is_not_looked_at() -> None:
    running = replace(PERIODS[-1], ended=date(2026, 6, 30), mean=1.0)
    assert found(replace(TEAM, periods=(*PERIODS, running))) == found(TEAM)


def test_the_order_of_the_periods_does_not_matter() -> None:
    assert found(replace(TEAM, periods=PERIODS[::-1])) == found(TEAM)


@pytest.mark.parametrize(
    "periods",
    [
        (*PERIODS[:-1], replace(PERIODS[-1], people=4)),
        (*PERIODS[:-1], replace(PERIODS[-1], people=1, reviews=40)),
        (*PERIODS[:-1], replace(PERIODS[-1], reviews=4)),
        tuple(replace(period, people=4) for period in PERIODS[:-1]) + PERIODS[-1:],
        (replace(PERIODS[0], reviews=4, people=4), PERIODS[-1]),
    ],
)
def test_a_team_of_fewer_than_five_on_either_side_is_never_spoken_of(periods: tuple[ReviewPeriod, ...]) -> None:
    detected = performance.detect([replace(TEAM, periods=periods)], NOW)
    assert (detected.findings, detected.skips) == ((), {"TOO_FEW_REVIEWS": 1})


def test_control_five_on_either_side_are_spoken_of() -> None:
    five = tuple(replace(period, people=5, reviews=5) for period in PERIODS)
    assert found(replace(TEAM, periods=(*five[:-1], replace(five[-1], mean=1.5)))).data_points["reviewedPeople"] == 5


def test_a_fall_is_told_for_a_year_after_its_newest_period_and_then_no_more() -> None:
    newest = PERIODS[-1].ended
    last = datetime.combine(newest, time(3), UTC) + performance.RECENT
    assert performance.detect([TEAM], last).findings
    assert performance.detect([TEAM], last + timedelta(days=1)) == Detected(
        (), (Skipped(SkipReason.NO_RECENT_PERIOD, f"team/{TEAM.team}"),)
    )


def test_periods_before_the_two_years_that_are_compared_make_no_difference() -> None:
    first = date(2024, 6, 30)
    quarters = [replace(PERIODS[0], ended=first + timedelta(days=91 * place)) for place in range(performance.MOST_PERIODS - 1)]
    fallen = replace(PERIODS[-1], ended=date(2026, 3, 31))
    older = replace(PERIODS[0], ended=date(2024, 3, 31), mean=1.5)
    assert found(replace(TEAM, periods=(older, *quarters, fallen))) == found(replace(TEAM, periods=(*quarters, fallen)))


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (replace(TEAM, periods=()), "NO_PERIODS"),
        (replace(TEAM, periods=PERIODS[:1]), "NO_PERIODS"),
        (with_last_mean(float("nan")), "INVALID_FIGURES"),
        (with_last_mean(7.0), "INVALID_FIGURES"),
        (replace(TEAM, lowest=5.0, highest=1.0), "INVALID_FIGURES"),
        (replace(TEAM, periods=(*PERIODS[:-1], replace(PERIODS[-1], deviation=float("nan")))), "INVALID_FIGURES"),
    ],
)
def test_what_cannot_be_judged_is_counted_with_its_reason(figures: TeamReviews, reason: str) -> None:
    detected = performance.detect([figures], NOW)
    assert (detected.findings, detected.skips) == ((), {reason: 1})


def test_the_data_points_are_plain_json_and_name_nobody() -> None:
    points = json.loads(json.dumps(found(TEAM).data_points, allow_nan=False))
    assert (points["recentReviewCount"], points["earlierReviewCount"], points["reviewedPeople"]) == (12, 36, 12)
    assert points["change"] == pytest.approx(-0.7667)
