"""Contracts and teams as the detectors are given them."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from server.insights.detect.inputs import ContractFigures, ReviewPeriod, TeamReviews

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.insights.detect.inputs import ModelUsed, Reason
    from server.insights.evidence.model import OpenContract, TeamQuarter

LOWEST_SCORE, DEFAULT_SCALE = 1.0, 5.0


def contract_figures(contract: OpenContract, risk: tuple[float, tuple[Reason, ...], ModelUsed] | None) -> ContractFigures:
    """Return a contract with its risk, None when it was not scored."""
    probability, reasons, model = risk or (None, (), None)
    notice_by = None
    if contract.end_date is not None and contract.notice_days is not None:
        notice_by = contract.end_date - timedelta(days=contract.notice_days)
    return ContractFigures(
        key=contract.contract_key,
        ends=contract.end_date,
        facts_as_of=contract.known_on,
        starts=contract.start_date,
        notice_by=notice_by,
        renews_itself=contract.auto_renew,
        value=contract.value,
        currency=contract.currency,
        risk=probability,
        reasons=reasons,
        model=model,
    )


def team_reviews(rows: Sequence[TeamQuarter]) -> tuple[Sequence[TeamReviews], int]:
    """Return the reviews of every team on its newest scale, and how many teams have others, which are left out.

    Scores of two scales are not compared: 3 of 5 is no fall from 6 of 10, and nobody knows what it would have been there. A scale
    that is not told is one of its own, and taken to end at 5 or at the highest mean.
    """
    teams: dict[str, list[TeamQuarter]] = defaultdict(list)
    for row in rows:
        teams[row.team].append(row)
    kept = {team: _of_newest_scale(quarters) for team, quarters in teams.items()}
    found = [
        TeamReviews(
            team=team,
            periods=tuple(ReviewPeriod(row.ended, row.people, row.reviews, row.mean, row.deviation) for row in quarters),
            facts_as_of=max(row.ended for row in quarters),
            lowest=_lowest(quarters),
            highest=_highest(quarters),
        )
        for team, quarters in kept.items()
    ]
    return found, sum(len(kept[team]) < len(quarters) for team, quarters in teams.items())


def _of_newest_scale(quarters: Sequence[TeamQuarter]) -> Sequence[TeamQuarter]:
    """Return those of the scale that most reviews of the newest quarter are on."""
    newest = max(quarters, key=lambda row: (row.ended, row.reviews, row.scale_max or 0.0))
    return [row for row in quarters if row.scale_max == newest.scale_max]


def _lowest(quarters: Sequence[TeamQuarter]) -> float:
    """Return where the scale begins: at 0 when a mean or the whole scale lies below where others begin, never at a team's own mean."""
    told = quarters[0].scale_max
    begins_at_zero = (told is not None and told <= LOWEST_SCORE) or any(row.mean < LOWEST_SCORE for row in quarters)
    return 0.0 if begins_at_zero else LOWEST_SCORE


def _highest(quarters: Sequence[TeamQuarter]) -> float:
    told = quarters[0].scale_max
    return told if told is not None else max([DEFAULT_SCALE, *(row.mean for row in quarters)])
