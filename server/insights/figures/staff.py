"""Who works here now, and how many did in the months before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from server.insights.detect.outcome import month_number, start_of_month
from server.insights.evidence.model import EPOCH_ORDINAL
from server.stats.turnover import WINDOW, HeadcountMonth, turnover_rate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    import numpy.typing as npt

    from server.insights.evidence.model import Workforce
    from server.stats.turnover import TurnoverRate

    Days = npt.NDArray[np.int64]
    Places = npt.NDArray[np.intp]

VANISHED_DAYS = 92
"""Somebody whose latest state is older than the newest one by more is no longer here, though no exit was told: states come by the
month, and two may be missed."""

FEWEST_PAID = 5
"""The mean pay of fewer is a figure about somebody."""

_NEVER = np.iinfo(np.int64).max
_NO_EXIT = np.iinfo(np.int64).min
_DAYS_PER_YEAR = 365.25


def present(workforce: Workforce) -> Places:
    """Return the positions of those who work here now and are not known to leave: neither an exit nor a state says so."""
    if not workforce.keys:
        return np.array([], np.intp)
    return np.flatnonzero((_ended(workforce) == _NEVER) & ~np.array(workforce.leaving, np.bool_))


def headcounts(workforce: Workforce, today: date) -> Sequence[HeadcountMonth | None]:
    """Return headcount at the end of, and leavers in, each of the last twelve complete months, oldest first.

    A month that ended before the first known state is None: of it only those are known who stayed. An exit from before
    somebody came makes no leaver (`early_exits`).
    """
    if not workforce.keys:
        return []
    newest = month_number(today)
    firsts = np.array([_day(start_of_month(month)) for month in range(newest - WINDOW, newest + 1)])
    lasts = firsts[1:] - 1
    began, ended = _began(workforce), _ended(workforce)
    heads = ((began <= lasts[:, None]) & (ended > lasts[:, None])).sum(axis=1)
    exits = _exits(workforce)
    leavers = np.diff(np.searchsorted(np.sort(exits[exits >= began]), firsts))
    known = lasts >= np.min(workforce.first_seen)
    counts = zip(known.tolist(), heads.tolist(), leavers.tolist(), strict=True)
    return [HeadcountMonth(headcount, left) if is_known else None for is_known, headcount, left in counts]


def rate(workforce: Workforce, months: Sequence[HeadcountMonth | None]) -> TurnoverRate | None:
    """Return the turnover of `months`; None where nobody's exit is known (`has_exits`): exits that nobody loads are no loyalty."""
    return turnover_rate(months) if has_exits(workforce) else None


def has_exits(workforce: Workforce) -> bool:
    """Whether the exit of anybody is known whose state is known too, on the day they came or later."""
    return bool(workforce.keys) and bool(np.any(_exits(workforce) >= _began(workforce)))


def early_exits(workforce: Workforce) -> int:
    """Return how many have no exit but one from before they came, which is of an earlier employment or wrong."""
    exits = _exits(workforce)
    return int(np.sum((exits != _NO_EXIT) & (exits < _began(workforce))))


def mean_headcount(months: Sequence[HeadcountMonth | None]) -> float | None:
    """Return the mean headcount of the known months."""
    known = [month.headcount for month in months if month is not None]
    return sum(known) / len(known) if known else None


def mean_pay(workforce: Workforce, places: Places) -> float | None:
    """Return the mean monthly pay of those at `places` whose pay is known; None when it is of fewer than `FEWEST_PAID`."""
    pay = np.asarray(workforce.attributes["monthly_income"], np.float64)[places]
    known = pay[~np.isnan(pay)]
    return float(known.mean()) if known.size >= FEWEST_PAID else None


def _began(workforce: Workforce) -> Days:
    """When each began: at the first state, or as long before the latest as its years say."""
    seen = np.array(workforce.last_seen, np.int64)
    years = np.nan_to_num(np.array(workforce.attributes["years_at_company"], np.float64))
    return np.minimum(np.array(workforce.first_seen, np.int64), seen - (years * _DAYS_PER_YEAR).astype(np.int64))


def _ended(workforce: Workforce) -> Days:
    """When each left or is to leave: by an exit, or by vanishing; `_NEVER` for those who do neither.

    An exit before the month of the latest state is over: they came back. In that month it counts, because a state at the end of a
    month also tells of those who were there in it.
    """
    seen = np.array(workforce.last_seen, np.int64)
    left = _exits(workforce)
    month_of_state = seen.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    told = np.where(left >= month_of_state, left, _NEVER)
    vanished = (told == _NEVER) & (seen < seen.max() - VANISHED_DAYS)
    return np.where(vanished, seen, told)


def _exits(workforce: Workforce) -> Days:
    days, exits = np.asarray(workforce.left, np.float64), np.full(len(workforce.left), _NO_EXIT)
    known = ~np.isnan(days)
    exits[known] = days[known].astype(np.int64)
    return exits


def _day(day: date) -> int:
    return day.toordinal() - EPOCH_ORDINAL
