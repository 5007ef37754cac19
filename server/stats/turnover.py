"""How many leave: the trailing turnover rate.

Leavers of the window over the average headcount of the window, times 12 over its months: the definition of ISO 30414:2018
(turnover rate) and of SHRM ("separations / average number of employees"), annualized by SHRM's multiplication.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.stats.normal import QUANTILE_975

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW = 12
"""Months of the trailing window."""

FEWEST_MONTHS = 3
"""Fewer are not annualized: one bad month would become a year."""

_LARGEST = 10**10


@dataclass(frozen=True, slots=True)
class HeadcountMonth:
    """One complete month.

    Args:
        headcount: employees at its end, or their mean over it.
        leavers: who left in it.

    """

    headcount: float
    leavers: int


@dataclass(frozen=True, slots=True)
class TurnoverRate:
    """Turnover of a trailing window.

    Args:
        rate: leavers a year per employee, at least 0; above 1 when more left than work there on average.
        low: lower end of the 95 % interval; None when the rate is above 1, where leavers are no share of the employees.
        high: upper end.
        leavers: who left in the window.
        average_headcount: mean headcount of the known months.
        months: known months, `FEWEST_MONTHS` to `WINDOW`.

    """

    rate: float
    low: float | None
    high: float | None
    leavers: int
    average_headcount: float
    months: int

    @property
    def is_annualized(self) -> bool:
        """Whether it is drawn out from fewer than twelve months."""
        return self.months < WINDOW


def turnover_rate(months: Sequence[HeadcountMonth | None]) -> TurnoverRate | None:
    """Turnover rate of the last twelve of these consecutive complete months.

    Args:
        months: oldest first; None where nothing is known.

    Returns:
        None with fewer than `FEWEST_MONTHS` known months, a headcount that nothing has, or an average headcount
        of at most 1: one employee has no rate.

    """
    known = [month for month in months[-WINDOW:] if month is not None]
    if len(known) < FEWEST_MONTHS:
        return None
    if any(not 0 <= month.headcount <= _LARGEST or not 0 <= month.leavers <= _LARGEST for month in known):
        return None
    leavers = sum(month.leavers for month in known)
    average = sum(month.headcount / len(known) for month in known)
    if average <= 1:
        return None
    yearly = WINDOW / len(known)
    share = leavers / average
    low, high = wilson(share, average) if share <= 1 else (None, None)
    return TurnoverRate(
        share * yearly, None if low is None else low * yearly, None if high is None else high * yearly, leavers, average, len(known)
    )


def wilson(share: float, trials: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), which stays between 0 and 1 also for few trials.

    Args:
        share: observed share, 0 to 1.
        trials: of how many, above 0.

    """
    square = QUANTILE_975**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = QUANTILE_975 / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)
