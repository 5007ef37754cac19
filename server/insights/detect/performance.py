"""Teams whose newest reviews are worse than their earlier ones.

The confidence is the probability that the team's true mean fell (`server.stats.trend`). Severity is the fall as a share of the
scale. A team is spoken of from five reviewed people on in the newest period and five reviews before it, so that no finding
describes one person.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from server.insights import wording
from server.insights.detect.outcome import Detected, Skipped, SkipReason, estimated, gathered
from server.insights.model import Action, Finding, InsightType, Priority, Provenance
from server.stats import trend
from server.stats.trend import PeriodScores

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from server.insights.detect.inputs import ReviewPeriod, TeamReviews
    from server.stats.trend import Change

DETECTOR = "performance/1"
FEWEST_PEOPLE = 5
LEAST_CONFIDENCE = 0.9
LEAST_EFFECT = 0.3
"""Least fall in standard deviations of single scores: between a small and a medium effect (Cohen 1988)."""

MOST_PERIODS = 8
"""Periods that are compared, the newest among them: two years of quarters, which is what is read."""

RECENT = timedelta(days=366)
"""A fall whose newest period ended longer ago is history. Not less, for many teams are reviewed once a year."""

LIFETIME = timedelta(days=7)
_LARGE_EFFECT = 0.8


def detect(teams: Iterable[TeamReviews], now: datetime) -> Detected:
    """Judge every team's newest period that has ended."""
    return gathered([_judged(team, now) for team in teams])


def _judged(team: TeamReviews, now: datetime) -> Finding | Skipped | None:
    subject = f"team/{team.team}"
    ended = [period for period in team.periods if period.ended < now.date() and period.reviews > 0]
    periods = sorted(ended, key=lambda period: period.ended)[-MOST_PERIODS:]
    if len(periods) < 2:  # noqa: PLR2004 - a newest one and one to compare it with
        return Skipped(SkipReason.NO_PERIODS, subject)
    newest, before = periods[-1], periods[:-1]
    if now.date() - newest.ended > RECENT:
        return Skipped(SkipReason.NO_RECENT_PERIOD, subject)
    if _too_few(newest, before):
        return Skipped(SkipReason.TOO_FEW_REVIEWS, subject)
    if any(not team.lowest <= period.mean <= team.highest for period in periods):
        return Skipped(SkipReason.INVALID_FIGURES, subject)
    scores = [PeriodScores(period.reviews, period.mean, period.deviation) for period in periods]
    change = trend.change(scores, team.highest - team.lowest)
    if change is None:
        return Skipped(SkipReason.INVALID_FIGURES, subject)
    fell = change.confidence >= LEAST_CONFIDENCE and change.effect <= -LEAST_EFFECT
    return _finding(team, newest, change, now) if fell else None


def _too_few(newest: ReviewPeriod, before: list[ReviewPeriod]) -> bool:
    """Whether few people are behind either side; people of several periods may be the same."""
    return (
        min(newest.people, newest.reviews) < FEWEST_PEOPLE
        or max(period.people for period in before) < FEWEST_PEOPLE
        or sum(period.reviews for period in before) < trend.FEWEST_SCORES
    )


def _finding(team: TeamReviews, newest: ReviewPeriod, change: Change, now: datetime) -> Finding:
    name, width = wording.name(team.team), team.highest - team.lowest
    return Finding(
        insight_type=InsightType.PERFORMANCE_DECLINE,
        subject=f"team/{team.team}",
        severity=-change.change / width,
        title=f"Review scores of {name} fell by {wording.number(-change.change, 2)} points to {wording.number(change.recent, 2)}",
        description=_description(team, newest, change),
        confidence=estimated(change.confidence),
        data_points={
            "team": team.team,
            "periodEnded": newest.ended.isoformat(),
            "recentMean": round(change.recent, 4),
            "earlierMean": round(change.earlier, 4),
            "change": round(change.change, 4),
            "standardError": round(change.error, 4),
            "effectSize": round(change.effect, 4),
            "slopePerPeriod": round(change.slope, 4),
            "recentReviewCount": change.recent_count,
            "earlierReviewCount": change.earlier_count,
            "reviewedPeople": newest.people,
            "scale": [team.lowest, team.highest],
        },
        actions=(
            Action(
                f"Ask the team and its manager what changed since the reviews before the period to {wording.day(newest.ended)}.",
                Priority.HIGH if change.effect <= -_LARGE_EFFECT else Priority.MEDIUM,
                f"{wording.number(-change.change, 2)} points to win back for {wording.count(newest.people, 'person', 'people')}.",
            ),
            Action("Compare workload, staffing and goals of the two periods.", Priority.MEDIUM),
            Action("Check that the reviews were made by the same standards.", Priority.LOW),
        ),
        expires_at=now + LIFETIME,
        provenance=Provenance(DETECTOR, team.facts_as_of),
    )


def _description(team: TeamReviews, newest: ReviewPeriod, change: Change) -> str:
    people = wording.count(newest.people, "person", "people")
    scale = f"on a scale from {wording.number(team.lowest)} to {wording.number(team.highest)}"
    sentences = [
        (
            f"In the period to {wording.day(newest.ended)}, {wording.count(change.recent_count, 'review')} of {people} in "
            f"{wording.name(team.team)} average {wording.number(change.recent, 2)} {scale}."
        ),
        f"The {wording.count(change.earlier_count, 'review')} before averaged {wording.number(change.earlier, 2)}.",
        f"The probability that this is more than chance is {wording.percent(estimated(change.confidence))}.",
        _slope_sentence(change),
    ]
    return " ".join(sentences)


def _slope_sentence(change: Change) -> str:
    if change.slope >= 0:
        return "Over all periods there is no downward line: the fall is new."
    return f"Over all periods scores fell by {wording.number(-change.slope, 2)} points from one to the next."
