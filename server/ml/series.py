"""Monthly series: one number a month, gaps explicit, and many of them side by side as one array.

A month is a whole number, `year * 12 + month - 1`, so that the next month is one more. What always holds: a series has a
value or an explicit gap (NaN) for every month from its first to its last, both of which have a value; a value may be negative
(credits); nothing of a series is younger than its last month but its budget, which is set ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Values = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

YEAR = 12
LONGEST = 100 * YEAR
LARGEST = 1e15
"""Beyond it cents are no longer told apart."""

_TRIMMED = 6

_NOTHING = 1e-8
"""Amounts are money, and a millionth of a cent is none; a much smaller unit would overflow what is measured in it."""


class SeriesInvalid(ValueError):
    """The months or values are not a monthly series; the text says what is allowed."""


def month_number(year: int, month: int) -> int:
    """The number of a month: `year * 12 + month - 1`, with `month` from 1 to 12."""
    if not 1 <= month <= YEAR:
        msg = "a month is a number from 1 to 12"
        raise SeriesInvalid(msg)
    return year * YEAR + month - 1


def year_and_month(number: int) -> tuple[int, int]:
    """The year and the month (1 to 12) of a month's number."""
    return number // YEAR, number % YEAR + 1


@dataclass(frozen=True, slots=True)
class Series:
    """One number a month.

    Args:
        key: whose numbers; never a feature.
        first: number of the first month.
        values: (n,), the months from `first` on without a break; NaN for a gap.
        budget: (m,), the planned value of the months from `first` on, NaN where there is none; it may reach beyond the values.
            A budget counts as known twelve months ahead, so it must be the one set before the month began.
        category: what is counted, such as a cost type; a category of too few series is not learned.

    """

    key: str
    first: int
    values: Values
    budget: Values | None = None
    category: str | None = None

    @classmethod
    def of(
        cls,
        key: str,
        months: Sequence[int],
        values: Sequence[float | None],
        *,
        budget: Mapping[int, float] | None = None,
        category: str | None = None,
    ) -> Series:
        """Build a series from months in any order; a month that is left out, and one without a value (None or NaN), is a gap.

        Args:
            key: whose numbers.
            months: numbers of months, none twice.
            values: as many, finite, at most `LARGEST` in size; negative ones are credits.
            budget: planned value by month; months before the first value are left out.
            category: what is counted.

        Raises:
            SeriesInvalid: a month comes twice, a value is not allowed, there is no value, or the months span over 100 years.

        """
        numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        places = np.array(months, dtype=np.int64)
        if places.shape != numbers.shape or len(np.unique(places)) != len(places):
            msg = "a series has one value for each of its months, and no month twice"
            raise SeriesInvalid(msg)
        _require_allowed(numbers)
        present = places[~np.isnan(numbers)]
        if not present.size:
            msg = "a series has at least one value"
            raise SeriesInvalid(msg)
        first, last = int(present.min()), int(present.max())
        if last - first >= LONGEST:
            msg = f"the months of a series span at most {LONGEST}"
            raise SeriesInvalid(msg)
        dense = np.full(last - first + 1, np.nan)
        within = (places >= first) & (places <= last)
        dense[places[within] - first] = numbers[within]
        return cls(key, first, dense, _plan(budget or {}, first), category)

    @property
    def last(self) -> int:
        """Number of the last month."""
        return self.first + len(self.values) - 1

    @property
    def months(self) -> Places:
        """Numbers of the months (n,), gaps included."""
        return np.arange(self.first, self.last + 1, dtype=np.intp)

    @property
    def present(self) -> int:
        """How many months have a value."""
        return int(np.sum(~np.isnan(self.values)))

    def until(self, month: int) -> Series | None:
        """What was known at the end of a month: the values up to it, the whole budget; None when there was none.

        A trailing gap is cut off, so the last month may lie before `month`.
        """
        known = self.values[: max(month - self.first + 1, 0)]
        present = np.nonzero(~np.isnan(known))[0]
        if not present.size:
            return None
        return Series(self.key, self.first, known[: int(present[-1]) + 1], self.budget, self.category)


def cleaned(series: Series, *, partial_first: bool = False, partial_last: bool = False, zero_is_gap: bool = False) -> Series | None:
    """A series without months that do not mean what they say; None when nothing is left.

    Args:
        series: as it was delivered.
        partial_first: the first month is not whole, as when records begin in its middle: leave it out.
        partial_last: the last month is not whole, as when not all of it has been booked: leave it out.
        zero_is_gap: exactly 0 means that nothing was delivered, as in the total of a large body, and not that nothing was spent.

    """
    values = series.values.copy()
    if partial_first:
        values[0] = np.nan
    if partial_last:
        values[-1] = np.nan
    if zero_is_gap:
        values[values == 0] = np.nan
    present = np.nonzero(~np.isnan(values))[0]
    if not present.size:
        return None
    low, high = int(present[0]), int(present[-1])
    budget = None if series.budget is None else series.budget[low:]
    return Series(series.key, series.first + low, values[low : high + 1], budget, series.category)


@dataclass(frozen=True, slots=True)
class Panel:
    """Many series on one calendar.

    Args:
        series: each key once.
        first: number of the month of the first column.
        values: (series, months), NaN for gaps and outside of a series.
        budget: the same for budgets; has `AHEAD` columns more.
        starts: (series,), column of each series' first month.
        ends: (series,), column of each series' last month.

    """

    series: tuple[Series, ...]
    first: int
    values: Values
    budget: Values
    starts: Places
    ends: Places

    AHEAD = YEAR

    @classmethod
    def of(cls, series: Sequence[Series]) -> Panel:
        """Lay series side by side.

        Raises:
            SeriesInvalid: there are none, a key comes twice, or together they span over 100 years.

        """
        if not series or len({each.key for each in series}) != len(series):
            msg = "a panel has at least one series, and none twice"
            raise SeriesInvalid(msg)
        first = min(each.first for each in series)
        columns = max(each.last for each in series) - first + 1
        if columns > LONGEST:
            msg = f"the months of a panel span at most {LONGEST}"
            raise SeriesInvalid(msg)
        values = np.full((len(series), columns), np.nan)
        budget = np.full((len(series), columns + cls.AHEAD), np.nan)
        for row, each in enumerate(series):
            start = each.first - first
            values[row, start : start + len(each.values)] = each.values
            if each.budget is not None:
                plan = each.budget[: columns + cls.AHEAD - start]
                budget[row, start : start + len(plan)] = plan
        starts = np.array([each.first - first for each in series], dtype=np.intp)
        ends = np.array([each.last - first for each in series], dtype=np.intp)
        return cls(tuple(series), first, values, budget, starts, ends)

    @property
    def last(self) -> int:
        """Number of the youngest month of any series."""
        return self.first + int(self.values.shape[1]) - 1


def row_medians(values: Values) -> Values:
    """Median of the present values of each row (n, m); NaN for a row without any.

    `numpy.nanmedian` warns of such rows and is many times slower on narrow ones.
    """
    ordered = np.sort(values, axis=1)  # NaN comes last
    counts = np.sum(~np.isnan(values), axis=1)
    rows = np.arange(len(values))
    # Without a value both are the first column's NaN.
    low = ordered[rows, np.maximum(counts - 1, 0) // 2]
    high = ordered[rows, np.minimum(counts // 2, values.shape[1] - 1)]
    middle: Values = (low + high) / 2
    return middle


def row_quantiles(values: Values, share: float) -> Values:
    """The quantile of the present values of each row (n, m), between two of them by proportion; NaN for a row without any."""
    ordered = np.sort(values, axis=1)  # NaN comes last
    place = np.maximum(np.sum(~np.isnan(values), axis=1) - 1, 0) * share
    rows, low = np.arange(len(values)), np.floor(place).astype(np.intp)
    below, above = ordered[rows, low], ordered[rows, np.ceil(place).astype(np.intp)]
    quantile: Values = below + (above - below) * (place - low)
    return quantile


def row_levels(values: Values) -> Values:
    """Mean of the present values of each row (n, m) without the smallest and the largest; NaN for a row without any.

    A mean keeps still where a median would jump: half of the months of a season lie far above, half far below. Of fewer than
    `_TRIMMED` values none is left out.
    """
    counts = np.sum(~np.isnan(values), axis=1)
    total = np.nansum(values, axis=1)
    ends = np.fmin.reduce(values, axis=1) + np.fmax.reduce(values, axis=1)
    trimmed = counts >= _TRIMMED
    sums = np.where(trimmed, total - np.where(trimmed, ends, 0.0), total)
    level: Values = np.where(counts > 0, sums / np.maximum(np.where(trimmed, counts - 2, counts), 1), np.nan)
    return level


def robust_scale(values: Values) -> Values:
    """The usual size of the present values of each row (n, m), always above 0.

    The median of their absolute values, which one extreme month does not move; where more than half are 0 their mean; 1 for a
    row of zeros or gaps.
    """
    size = np.abs(values)
    median = row_medians(size)
    counts = np.sum(~np.isnan(size), axis=1)
    mean = np.nansum(size, axis=1) / np.maximum(counts, 1)
    scale: Values = np.where(median > _NOTHING, median, mean)  # NaN is not above
    return np.where(scale > _NOTHING, scale, 1.0)


def _plan(budget: Mapping[int, float], first: int) -> Values | None:
    ahead = {month: value for month, value in budget.items() if month >= first}
    if not ahead:
        return None
    if max(ahead) - first >= LONGEST:
        msg = f"the months of a budget span at most {LONGEST}"
        raise SeriesInvalid(msg)
    plan = np.full(max(ahead) - first + 1, np.nan)
    for month, value in ahead.items():
        plan[month - first] = value
    _require_allowed(plan)
    return plan


def _require_allowed(values: Values) -> None:
    if np.any(np.isinf(values)) or np.any(np.abs(values[~np.isnan(values)]) > LARGEST):
        msg = f"a value is a finite number of at most {LARGEST:.0e} in size"
        raise SeriesInvalid(msg)
