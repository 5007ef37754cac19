"""Who works here now, and how many did in the months before."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from server.insights.detect.outcome import month_number, start_of_month
from server.insights.evidence.model import EPOCH_ORDINAL
from server.stats.turnover import WINDOW, HeadcountMonth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import numpy.typing as npt

    from server.insights.evidence.model import Workforce

    Days = npt.NDArray[np.float64]
    Places = npt.NDArray[np.intp]

VANISHED_DAYS = 92
"""Somebody whose latest state is older than the newest one by more is no longer here, though no exit was told: states come by the
month, and two may be missed."""

_NEVER = np.inf
_DAYS_PER_YEAR = 365.25
_ONE_DAY = timedelta(days=1)


def present(workforce: Workforce) -> Places:
    """Return the positions of those who work here now."""
    if not workforce.keys:
        return np.array([], np.intp)
    return np.flatnonzero(_ended(workforce) == _NEVER)


def headcounts(workforce: Workforce, today: date) -> Sequence[HeadcountMonth | None]:
    """Return headcount at the end of, and leavers in, each of the last twelve complete months, oldest first.

    A month that ended before the first known state is None: of it only those are known who stayed.
    """
    if not workforce.keys:
        return []
    newest = month_number(today)
    firsts = np.array([_day(start_of_month(month)) for month in range(newest - WINDOW, newest + 1)])
    lasts = firsts[1:] - 1
    began, ended = _began(workforce), _ended(workforce)
    heads = ((began <= lasts[:, None]) & (ended > lasts[:, None])).sum(axis=1)
    leavers = np.diff(np.searchsorted(np.sort(np.array(workforce.exits, np.int64)), firsts))
    known = lasts >= np.min(workforce.first_seen)
    counts = zip(known.tolist(), heads.tolist(), leavers.tolist(), strict=True)
    return [HeadcountMonth(headcount, left) if is_known else None for is_known, headcount, left in counts]


def mean_headcount(months: Sequence[HeadcountMonth | None]) -> float | None:
    """Return the mean headcount of the known months."""
    known = [month.headcount for month in months if month is not None]
    return sum(known) / len(known) if known else None


def newest_day(workforce: Workforce) -> int | None:
    """Return the newest day of any state."""
    return int(np.max(workforce.last_seen)) if workforce.keys else None


def mean_pay(workforce: Workforce, places: Places) -> float | None:
    """Return the mean monthly pay of those at `places` whose pay is known; None when nobody's is."""
    pay = np.asarray(workforce.attributes["monthly_income"], np.float64)[places]
    known = pay[~np.isnan(pay)]
    return float(known.mean()) if known.size else None


def _began(workforce: Workforce) -> Days:
    """When each began: at the first state, or as long before the latest as its years say."""
    years = np.nan_to_num(np.array(workforce.attributes["years_at_company"], np.float64))
    began: Days = np.minimum(np.asarray(workforce.first_seen), np.asarray(workforce.last_seen) - np.floor(years * _DAYS_PER_YEAR))
    return began


def _ended(workforce: Workforce) -> Days:
    """When each left: by an exit after the latest state, or by vanishing; `_NEVER` for those who did not."""
    seen, left = np.array(workforce.last_seen, np.float64), np.array(workforce.left, np.float64)
    vanished = np.where(seen < seen.max() - VANISHED_DAYS, seen, _NEVER)
    return np.where(left >= seen, left, vanished)


def _day(day: date) -> int:
    return day.toordinal() - EPOCH_ORDINAL
