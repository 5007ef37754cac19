"""Whether the mean score of a group has truly fallen: the newest period against the earlier ones.

Two means are compared by the standard error of their difference (Welch 1947). The confidence is the probability of a fall
given the scores, under the prior that true means move between periods by `TYPICAL_MOVE` of the scores' deviation (normal
prior, normal likelihood: Gelman et al., Bayesian Data Analysis, section 2.5). Of many groups some look worse by chance; the
prior is what keeps a list of the worst ones honest. The slope over all periods (Theil-Sen) says how long it has gone on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.stats.normal import cumulative, from_student
from server.stats.robust import theil_sen

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_SCORES = 5
"""Scores on either side; fewer would speak of single people."""

TYPICAL_MOVE = 0.3
"""Standard deviation of true changes between periods, in standard deviations of single scores: between the small (0.2) and
the medium (0.5) effect of Cohen (1988)."""

LEAST_DEVIATION = 0.05
"""Least standard deviation of scores, as a share of the width of their scale: scores that all agree are rounded, not exact."""

_LARGEST = 1e100  # beyond it squares are no longer finite, and no review has such a score


@dataclass(frozen=True, slots=True)
class PeriodScores:
    """The scores of one period.

    Args:
        count: how many.
        mean: their mean.
        deviation: their standard deviation, at least 0.

    """

    count: int
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Change:
    """The newest period against the earlier ones.

    Args:
        recent: mean of the newest period.
        earlier: mean of all scores before.
        change: recent - earlier; negative when it fell.
        error: standard error of the change.
        effect: change in standard deviations of single scores.
        confidence: probability that the true mean fell, 0 to 1.
        slope: change per period over all periods, by Theil and Sen.
        recent_count: scores of the newest period.
        earlier_count: scores before.

    """

    recent: float
    earlier: float
    change: float
    error: float
    effect: float
    confidence: float
    slope: float
    recent_count: int
    earlier_count: int


def change(periods: Sequence[PeriodScores], width: float) -> Change | None:
    """Compare the last of these periods with those before it.

    Args:
        periods: oldest first; those without scores are passed over.
        width: highest minus lowest possible score, above 0.

    Returns:
        None without two periods, with fewer than `FEWEST_SCORES` scores on either side, or when a figure is not finite.

    """
    known = [period for period in periods if period.count > 0]
    before, recent = known[:-1], known[-1] if known else None
    if recent is None or recent.count < FEWEST_SCORES or sum(period.count for period in before) < FEWEST_SCORES:
        return None
    if not 0 < width <= _LARGEST or any(not _is_sound(period) for period in known):
        return None
    earlier = _pooled(before)
    least = LEAST_DEVIATION * width
    variances = [max(period.deviation, least) ** 2 / period.count for period in (recent, earlier)]
    single = math.sqrt((max(recent.deviation, least) ** 2 + max(earlier.deviation, least) ** 2) / 2)
    error = math.sqrt(sum(variances))
    if error == 0 or single == 0:
        # Of a tiny scale squares are too small for a number.
        return None
    # Welch and Satterthwaite; the parts are shares so that no square can overflow.
    shares = [variance / sum(variances) for variance in variances]
    free = 1 / sum(share**2 / (period.count - 1) for share, period in zip(shares, (recent, earlier), strict=True))
    moved = recent.mean - earlier.mean
    trust = 1 / math.hypot(1.0, error / (TYPICAL_MOVE * single))
    slope = theil_sen(np.arange(len(known), dtype=np.float64), np.array([period.mean for period in known]))
    confidence = cumulative(-from_student(moved / error, free) * trust)
    found = Change(recent.mean, earlier.mean, moved, error, moved / single, confidence, slope or 0.0, recent.count, earlier.count)
    return found if all(math.isfinite(figure) for figure in (error, moved, found.effect, confidence, found.slope)) else None


def _is_sound(period: PeriodScores) -> bool:
    return abs(period.mean) <= _LARGEST and 0 <= period.deviation <= _LARGEST


def _pooled(periods: Sequence[PeriodScores]) -> PeriodScores:
    """All scores together: their mean, and their deviation around it (within and between periods)."""
    count = sum(period.count for period in periods)
    mean = sum(period.count / count * period.mean for period in periods)
    variance = sum(period.count / count * (period.deviation**2 + (period.mean - mean) ** 2) for period in periods)
    return PeriodScores(count, mean, math.sqrt(variance))
