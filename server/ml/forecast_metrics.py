"""How good forecasts are on months that were held out, beside the seasonal naive forecast.

The seasonal naive forecast of a month is the value of the same month a year before (else two years before, else the level of the
last year). MASE, the mean absolute scaled error, divides a series' errors by the mean absolute error that the seasonal naive
forecast has within the training part, |y_t - y_(t-12)| over the months before the held-out ones (Hyndman & Koehler 2006,
with m = 12): 1 is what the naive forecast does there by construction. Held-out months may be harder than those before, so the
naive forecast's own MASE on the same months stands beside it, and the ratio of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.ml.quantile_trees import QUANTILES
from server.ml.series import YEAR, Panel, Places, Values, row_quantiles

if TYPE_CHECKING:
    import numpy.typing as npt

MINIMUM_CHANGES = YEAR
"""Pairs of months a year apart that the scale of a series needs: two years of data."""

BOUND = 1e6
"""The most that a ratio counts: where the other error is 0, as that of the naive forecast for a fixed rent, it would be infinite."""


@dataclass(frozen=True, slots=True)
class ForecastMetrics:
    """How good forecasts are on held-out months, each forecast from 1 to 12 months before.

    A series is judged when its training part has two years of data that are not all alike; the others have no scale. All are at
    least 0 and finite; smaller is better but for `coverage` (0.8 is right) and `better_share`. What is in units of a scale, of another
    error or of the values counts as `BOUND` at most, for each point or series.

    Args:
        series: how many series were judged.
        points: forecasts of judged series that were compared with what came.
        mase_median: over judged series; the median of each one's mean absolute scaled error.
        mase_mean: the mean of the same.
        relative_error_median: over judged series, its mean absolute error over that of the seasonal naive forecast on the same months.
        better_share: share of judged series with a smaller error than the seasonal naive forecast, 0 to 1.
        wape: sum of absolute errors over sum of absolute values; large series count most.
        pinball_low: mean pinball loss of the 10 % quantile, in units of the series' scale.
        pinball_median: the same of the 50 % quantile, half the mean absolute scaled error.
        pinball_high: the same of the 90 % quantile.
        coverage: share of points inside of the interval.
        width: mean width of the interval in units of the series' scale.
        naive_mase_median: of the seasonal naive forecast on the same points.
        naive_mase_mean: the same.
        naive_wape: the same.
        naive_coverage: share of points between the 10 % and 90 % quantile of the naive forecast's errors in the training part.
        naive_width: mean width of that interval.

    """

    series: int
    points: int
    mase_median: float
    mase_mean: float
    relative_error_median: float
    better_share: float
    wape: float
    pinball_low: float
    pinball_median: float
    pinball_high: float
    coverage: float
    width: float
    naive_mase_median: float
    naive_mase_mean: float
    naive_wape: float
    naive_coverage: float
    naive_width: float


@dataclass(frozen=True, slots=True)
class Scales:
    """What the seasonal naive forecast does within the training part, by series (n,); NaN where it cannot be said.

    Args:
        error: its mean absolute error.
        low: the 10 % quantile of truth less forecast.
        high: the 90 % quantile.

    """

    error: Values
    low: Values
    high: Values

    @classmethod
    def of(cls, panel: Panel, before: int) -> Scales:
        """From the months of a panel before a column."""
        known = panel.values[:, : max(before, 0)]
        changes = known[:, YEAR:] - known[:, :-YEAR]
        counts = np.sum(~np.isnan(changes), axis=1)
        error, low, high = (np.full(len(known), np.nan) for _ in range(3))
        judged = np.nonzero((counts >= MINIMUM_CHANGES) & np.any(np.abs(changes) > 0, axis=1))[0]
        if judged.size:
            some = changes[judged]
            error[judged] = np.nanmean(np.abs(some), axis=1)
            low[judged], high[judged] = (row_quantiles(some, share) for share in (QUANTILES[0], QUANTILES[2]))
        return cls(error, low, high)

    def judged(self, series: Places) -> Places:
        """Which of some rows (n,) of the panel have a scale, as positions in `series`."""
        found: Places = np.nonzero(~np.isnan(self.error[series]))[0]
        return found


@dataclass(frozen=True, slots=True)
class Points:
    """Forecasts of judged series beside what came; all (n,), in the units of the series but `series`.

    Args:
        series: row of the panel.
        truth: what came.
        quantiles: (n, 3): low, median, high.
        naive: (n, 3): the same of the seasonal naive forecast.
        scale: mean absolute error of the seasonal naive forecast in the training part.

    """

    series: Places
    truth: Values
    quantiles: Values
    naive: Values
    scale: Values

    @classmethod
    def of(cls, series: Places, truth: Values, quantiles: Values, naive: Values, scales: Scales) -> Points:
        """Those of the judged series."""
        judged = scales.judged(series)
        own = series[judged]
        middle = naive[judged]
        interval = np.stack([middle + scales.low[own], middle, middle + scales.high[own]], axis=1)
        return cls(own, truth[judged], quantiles[judged], interval, scales.error[own])

    @classmethod
    def together(cls, parts: list[Points]) -> Points:
        """All points of several held-out parts."""
        return cls(
            np.concatenate([part.series for part in parts]),
            np.concatenate([part.truth for part in parts]),
            np.concatenate([part.quantiles for part in parts]),
            np.concatenate([part.naive for part in parts]),
            np.concatenate([part.scale for part in parts]),
        )

    def at(self, places: Places) -> Points:
        """Those at some positions."""
        return Points(self.series[places], self.truth[places], self.quantiles[places], self.naive[places], self.scale[places])

    def measure(self) -> ForecastMetrics:
        """All metrics.

        Raises:
            ValueError: there is no point.

        """
        if not len(self.truth):
            msg = "no series with two years of data before has a value in the held-out months"
            raise ValueError(msg)
        error = np.abs(self.truth - self.quantiles[:, 1])
        naive_error = np.abs(self.truth - self.naive[:, 1])
        mase, naive_mase = self._by_series(ratio(error, self.scale)), self._by_series(ratio(naive_error, self.scale))
        absolute, naive_absolute = self._by_series(error), self._by_series(naive_error)
        low, middle, high = (ratio(pinball(self.truth, self.quantiles[:, at], share), self.scale) for at, share in enumerate(QUANTILES))
        size = np.sum(np.abs(self.truth))
        return ForecastMetrics(
            series=len(mase),
            points=len(self.truth),
            mase_median=float(np.median(mase)),
            mase_mean=float(np.mean(mase)),
            relative_error_median=float(np.median(_relative(absolute, naive_absolute))),
            better_share=float(np.mean(absolute < naive_absolute)),
            wape=float(ratio(np.sum(error), size)),
            pinball_low=float(np.mean(low)),
            pinball_median=float(np.mean(middle)),
            pinball_high=float(np.mean(high)),
            coverage=float(np.mean(inside(self.truth, self.quantiles))),
            width=float(np.mean(ratio(self.quantiles[:, 2] - self.quantiles[:, 0], self.scale))),
            naive_mase_median=float(np.median(naive_mase)),
            naive_mase_mean=float(np.mean(naive_mase)),
            naive_wape=float(ratio(np.sum(naive_error), size)),
            naive_coverage=float(np.mean(inside(self.truth, self.naive))),
            naive_width=float(np.mean(ratio(self.naive[:, 2] - self.naive[:, 0], self.scale))),
        )

    def _by_series(self, errors: Values) -> Values:
        """Mean of each series that has points."""
        _, place, counts = np.unique(self.series, return_inverse=True, return_counts=True)
        means: Values = np.bincount(place, weights=errors) / counts
        return means


def inside(truth: Values, quantiles: Values) -> npt.NDArray[np.bool_]:
    """Which outcomes (n,) lie in the interval of their quantiles (n, 3), ends included."""
    found: npt.NDArray[np.bool_] = (quantiles[:, 0] <= truth) & (truth <= quantiles[:, 2])
    return found


def pinball(truth: Values, quantile: Values, share: float) -> Values:
    """Pinball loss (Koenker & Bassett 1978): the error, weighed by `share` when the truth is above."""
    loss: Values = np.maximum(share * (truth - quantile), (share - 1) * (truth - quantile))
    return loss


def ratio(value: Values | np.float64, unit: Values | np.float64) -> Values:
    """Values of at least 0 in units of others, `BOUND` at most; 0 of any unit is 0."""
    within = value < BOUND * unit
    # A division that would overflow is not made.
    found: Values = np.where(within, value / np.where(within, unit, 1.0), np.where(value > 0, BOUND, 0.0))
    return found


def _relative(error: Values, other: Values) -> Values:
    """Error over the other's; two without any are alike."""
    found: Values = np.where((error > 0) | (other > 0), ratio(error, other), 1.0)
    return found
