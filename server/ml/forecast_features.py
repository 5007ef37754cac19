"""What the forecasting trees see of a series: a row for each origin and horizon, without a unit.

An origin is the last month that is known, a horizon how many months ahead the forecast month lies. Everything is computed
from a window of the `WINDOW` months up to the origin, so a row cannot depend on a later month; the one thing looked up ahead is
the budget, which is set before the month. Values are divided by the usual size of the window's last year and pass through
asinh: nearly the value when small, its logarithm when large, so that an extreme month does not drown the others and a credit
keeps its sign (Burbidge, Magee & Robb 1988). All but the shape of the series cancels out, size and currency above all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from server.ml.series import YEAR, Panel, Places, Values, robust_scale, row_levels, row_medians

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.ml.encoding import Matrix

WINDOW = 3 * YEAR
FARTHEST = YEAR
"""Most months ahead: farther, the same month of the year before would not be known."""

MINIMUM_HISTORY = 6
"""Months of the window with a value that a forecast needs."""

_FEW_CHANGES = 3

GROUPS: dict[str, tuple[str, ...]] = {
    "recent_months": ("median_3", "median_6", *(f"lag_{lag}" for lag in range(1, YEAR + 1))),
    "same_month_last_year": ("season", "year_ago", "year_ago_around", "two_years_ago"),
    "trend": ("year_on_year", "half_on_half"),
    "variability": ("spread", "yearly_change_spread", "monthly_change_spread", "largest"),
    "zeros_and_credits": ("zero_share", "credit_share"),
    "month_of_year": ("month_of_year",),
    "horizon": ("horizon",),
    "history": ("history", "gap_share", "months_since_value"),
    "budget": ("budget", "budget_used"),
}
"""The features a caller is told of and the columns of each, the one that stands for it first; `category` comes on top."""

COLUMNS = tuple(name for names in GROUPS.values() for name in names)
_AT = {name: place for place, name in enumerate(COLUMNS)}
OF_BUDGET = tuple(_AT[name] for name in GROUPS["budget"])
"""Places of the columns that need a budget."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of an origin and a horizon.

    Args:
        series: (n,), rows of the panel.
        origins: (n,), columns of the panel.
        horizons: (n,), 1 to `FARTHEST`.
        visible: (n,), how many months up to the origin may be looked at, at most `WINDOW`.

    """

    series: Places
    origins: Places
    horizons: Places
    visible: Places

    def __len__(self) -> int:
        return len(self.series)

    @property
    def targets(self) -> Places:
        """Columns of the forecast months (n,)."""
        return self.origins + self.horizons

    def at(self, places: Places | npt.NDArray[np.bool_]) -> Pairs:
        """The given ones."""
        return Pairs(self.series[places], self.origins[places], self.horizons[places], self.visible[places])

    def and_also(self, others: Pairs) -> Pairs:
        """These, then others."""
        return Pairs(
            np.concatenate([self.series, others.series]),
            np.concatenate([self.origins, others.origins]),
            np.concatenate([self.horizons, others.horizons]),
            np.concatenate([self.visible, others.visible]),
        )


@dataclass(frozen=True, slots=True)
class Views:
    """What is known of pairs (n), in units of `scale` through asinh unless said.

    Args:
        matrix: (n, columns) for the trees; amounts relative to `level`, NaN for absent.
        scale: (n,), the unit: the usual size of a month of the series.
        level: (n,), the mean of the last year without its smallest and largest month.
        season: (n,), how far the month of the year usually lies from its year's level; 0 where that is not known.
        naive: (n,), the seasonal naive forecast: the same month of the last year, else of the year before, else the level.
        history: (n,), months of the window with a value.
        lowest: (n,), the smallest value of the window.
        zero: (n,), whether all values of the window are 0.

    """

    matrix: Matrix
    scale: Values
    level: Values
    season: Values
    naive: Values
    history: Places
    lowest: Values
    zero: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.scale)


def enough(panel: Panel, pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Which pairs (n,) have an origin with `MINIMUM_HISTORY` months in view."""
    counts = np.cumsum(~np.isnan(panel.values), axis=1)
    seen = counts[pairs.series, np.maximum(pairs.origins, 0)]
    unseen = pairs.origins - pairs.visible
    seen = seen - np.where(unseen >= 0, counts[pairs.series, np.maximum(unseen, 0)], 0)
    fits: npt.NDArray[np.bool_] = (pairs.origins >= 0) & (seen >= MINIMUM_HISTORY)
    return fits


def enough_at(panel: Panel) -> npt.NDArray[np.bool_]:
    """Which origins (series, months) have `MINIMUM_HISTORY` months in their window."""
    counts = np.cumsum(~np.isnan(panel.values), axis=1)
    counts[:, WINDOW:] -= counts[:, :-WINDOW].copy()
    fits: npt.NDArray[np.bool_] = counts >= MINIMUM_HISTORY
    return fits


def look(panel: Panel, pairs: Pairs, categories: Sequence[str] = ()) -> Views:
    """Compute what is known of pairs.

    Args:
        panel: the series.
        pairs: origins with at least one month in view.
        categories: those with a column of their own; another one is none of them, absent is NaN.

    """
    columns = panel.values.shape[1]
    key = (pairs.series * columns + pairs.origins) * (WINDOW + 1) + pairs.visible
    # Most features hold for every horizon of an origin: they are computed once.
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    once = pairs.at(first)
    raw = _windows(panel.values, once)
    scale = _scale(raw)
    window = np.arcsinh(raw / scale[:, None])
    level = _last_year(window)
    found = np.full((len(once), len(COLUMNS) + len(categories)), np.nan, dtype=np.float32)
    _fill_levels(found, window - level[:, None])
    _fill_counts(found, raw)
    _fill_budget_used(found, panel, once, raw)
    _fill_categories(found, panel, once, categories)
    matrix = found[place]
    season = _fill_season(matrix, window, level, place, pairs.horizons)
    naive = _naive(window, level, place, pairs.horizons)
    _fill_target(matrix, panel, pairs, scale[place], level[place])
    history = np.sum(~np.isnan(raw), axis=1)
    lowest = np.fmin.reduce(window, axis=1)
    zero = (lowest == 0) & (np.fmax.reduce(window, axis=1) == 0)
    return Views(matrix, scale[place], level[place], season, naive, history[place], lowest[place], zero[place])


def _windows(values: Values, pairs: Pairs) -> Values:
    padded = np.concatenate([np.full((len(values), WINDOW - 1), np.nan), values], axis=1)
    # The padding moves column c to c + WINDOW - 1, so the window that ends there begins at c.
    steps = np.arange(WINDOW)
    window: Values = padded[pairs.series[:, None], pairs.origins[:, None] + steps]
    window[steps[None, :] < WINDOW - pairs.visible[:, None]] = np.nan
    return window


def _scale(raw: Values) -> Values:
    year = raw[:, -YEAR:]
    scale = robust_scale(year)
    # A year of zeros or gaps has no size of its own.
    quiet = ~np.any(np.abs(year) > 0, axis=1)
    scale[quiet] = robust_scale(raw[quiet])
    return scale


def _last_year(window: Values) -> Values:
    level = row_levels(window[:, -YEAR:])
    silent = np.isnan(level)
    level[silent] = row_levels(window[silent])
    return level


def _fill_levels(found: Matrix, relative: Values) -> None:
    def put(name: str, value: Values) -> None:
        found[:, _AT[name]] = value

    for lag in range(1, YEAR + 1):
        put(f"lag_{lag}", relative[:, WINDOW - lag])
    year, before = relative[:, -YEAR:], relative[:, -2 * YEAR : -YEAR]
    half = row_medians(year[:, YEAR // 2 :])
    put("median_3", row_medians(year[:, -3:]))
    put("median_6", half)
    put("year_on_year", row_medians(year - before))
    put("half_on_half", half - row_medians(year[:, : YEAR // 2]))
    put("spread", row_medians(np.abs(year)))
    put("largest", np.fmax.reduce(np.abs(year), axis=1))
    put("yearly_change_spread", _spread(relative[:, YEAR:] - relative[:, :-YEAR]))
    put("monthly_change_spread", _spread(np.diff(relative[:, -2 * YEAR :], axis=1)))


def _spread(changes: Values) -> Values:
    """Median absolute change, where there are enough to call one usual."""
    spread = row_medians(np.abs(changes))
    spread[np.sum(~np.isnan(changes), axis=1) < _FEW_CHANGES] = np.nan
    return spread


def _fill_counts(found: Matrix, raw: Values) -> None:
    present = ~np.isnan(raw)
    count = np.maximum(present.sum(axis=1), 1)
    reach = WINDOW - np.argmax(present, axis=1)
    found[:, _AT["zero_share"]] = np.sum(raw == 0, axis=1) / count
    found[:, _AT["credit_share"]] = np.sum(raw < 0, axis=1) / count
    found[:, _AT["history"]] = count
    found[:, _AT["gap_share"]] = 1 - count / reach
    found[:, _AT["months_since_value"]] = np.argmax(present[:, ::-1], axis=1)


def _fill_budget_used(found: Matrix, panel: Panel, once: Pairs, raw: Values) -> None:
    if np.all(np.isnan(panel.budget)):
        return
    plan = _windows(panel.budget, once)[:, -YEAR:]
    spent = raw[:, -YEAR:]
    both = ~np.isnan(plan) & ~np.isnan(spent)
    planned = np.sum(plan, axis=1, where=both)
    some = planned > 0
    # Through asinh like the values: a budget of a penny makes a large ratio and no larger surprise.
    found[some, _AT["budget_used"]] = np.arcsinh(np.sum(spent, axis=1, where=both)[some] / planned[some])


def _fill_categories(found: Matrix, panel: Panel, once: Pairs, categories: Sequence[str]) -> None:
    own = np.array([series.category for series in panel.series], dtype=object)[once.series]
    for place, category in enumerate(categories, start=len(COLUMNS)):
        found[:, place] = np.where(own == None, np.nan, own == category)  # noqa: E711 - elementwise on an object array


def _fill_season(matrix: Matrix, window: Values, level: Values, place: Places, horizons: Places) -> Values:
    """Fill what the same month was like in years before, and return how far it usually lies from its year's level."""
    back = _year_ago(horizons)
    own = level[place]
    year_ago, two_ago = window[place, back], window[place, back - YEAR]
    after = np.where(horizons < YEAR, window[place, np.minimum(back + 1, WINDOW - 1)], np.nan)
    around = row_medians(np.stack([window[place, back - 1], year_ago, after], axis=1))
    # Each year less its own level: growth from year to year is no season.
    levels = np.stack([row_levels(window[:, start : start + YEAR]) for start in range(0, WINDOW, YEAR)], axis=1)
    distances = window[place[:, None], back[:, None] - YEAR * np.arange(WINDOW // YEAR)[::-1]] - levels[place]
    known = np.sum(~np.isnan(distances), axis=1)
    season: Values = np.nansum(distances, axis=1) / np.maximum(known, 1)
    matrix[:, _AT["season"]] = np.where(known > 0, season, np.nan)
    matrix[:, _AT["year_ago"]] = year_ago - own
    matrix[:, _AT["year_ago_around"]] = around - own
    matrix[:, _AT["two_years_ago"]] = two_ago - own
    return season


def _naive(window: Values, level: Values, place: Places, horizons: Places) -> Values:
    back = _year_ago(horizons)
    found = window[place, back]
    found = np.where(np.isnan(found), window[place, back - YEAR], found)
    naive: Values = np.where(np.isnan(found), level[place], found)
    return naive


def _year_ago(horizons: Places) -> Places:
    """The place in the window of the month a year before the forecast month."""
    return WINDOW - 1 + horizons - YEAR


def _fill_target(matrix: Matrix, panel: Panel, pairs: Pairs, scale: Values, level: Values) -> None:
    target = pairs.targets
    matrix[:, _AT["month_of_year"]] = (panel.first + target) % YEAR + 1
    matrix[:, _AT["horizon"]] = pairs.horizons
    matrix[:, _AT["budget"]] = np.arcsinh(panel.budget[pairs.series, target] / scale) - level
