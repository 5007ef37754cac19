"""What a report draws of forecasts: how good they are by months ahead, series by error, what moves them.

What always holds: figures are of the points that the metrics are of, each an aggregate over series that names none; numbers are
finite and rounded to six decimals; `to_json` is plain JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.ml.forecast_metrics import inside, pinball, ratio
from server.ml.forecaster import base
from server.ml.importance import importances, spread
from server.ml.quantile_trees import QUANTILES

if TYPE_CHECKING:
    from server.ml.forecast_card import ForecastCard
    from server.ml.forecast_features import Views
    from server.ml.forecast_metrics import Points
    from server.ml.importance import Importance
    from server.ml.quantile_trees import QuantileTrees
    from server.ml.series import Places, Values

ERROR_EDGES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
"""Edges of the bins of scaled errors; the last bin has no upper end."""

_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class HorizonFigures:
    """How good forecasts of so many months ahead were, each beside the seasonal naive forecast of the same points.

    Args:
        months: ahead, at least 1.
        points: forecasts that were compared with what came.
        mase: median over series of the mean absolute scaled error at this distance.
        naive_mase: the same of the seasonal naive forecast.
        coverage: share of points inside of the 80 % interval.
        naive_coverage: the same.
        pinball: mean pinball loss of the three quantiles, in units of each series' scale.
        naive_pinball: the same.

    """

    months: int
    points: int
    mase: float
    naive_mase: float
    coverage: float
    naive_coverage: float
    pinball: float
    naive_pinball: float


@dataclass(frozen=True, slots=True)
class ForecastEvaluation:
    """What there is to draw of forecasts, of held-out months.

    Args:
        series: how many were judged.
        points: forecasts that were compared with what came.
        horizons: by rising months ahead; those without a point are left out.
        series_by_error: how many series have a mean absolute scaled error in each bin of `ERROR_EDGES`.
        naive_by_error: the same of the seasonal naive forecast.
        importance: by feature, the most important first; of the final trees' median.

    """

    series: int
    points: int
    horizons: tuple[HorizonFigures, ...]
    series_by_error: tuple[int, ...]
    naive_by_error: tuple[int, ...]
    importance: tuple[Importance, ...]

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON."""
        return {"kind": "forecast", "error_edges": ERROR_EDGES, **asdict(self)}


def of_forecasts(points: Points, horizons: Places, importance: tuple[Importance, ...]) -> ForecastEvaluation:
    """Everything about at least one point; `horizons` are the months ahead of each (n,)."""
    errors, naive_errors = (ratio(np.abs(points.truth - found[:, 1]), points.scale) for found in (points.quantiles, points.naive))
    by_series = _means(points.series, errors)
    return ForecastEvaluation(
        series=len(by_series),
        points=len(points.truth),
        horizons=tuple(_figures(points.at(np.nonzero(horizons == months)[0]), int(months)) for months in np.unique(horizons)),
        series_by_error=_by_error(by_series),
        naive_by_error=_by_error(_means(points.series, naive_errors)),
        importance=importance,
    )


def of_median(card: ForecastCard, trees: QuantileTrees, views: Views) -> tuple[Importance, ...]:
    """How much each feature moves the median of a sample of forecasts away from the level of their series."""
    rows = spread(len(views.level))
    names = list(card.features)
    origin = np.empty(card.width, dtype=np.intp)
    for place, columns in enumerate(card.features.values()):
        origin[list(columns)] = place
    found = trees.contributions(views.matrix[rows])[:, :-1]
    # What the trees start from has been moved by the season, as in what single forecasts are explained by.
    season = card.features["same_month_last_year"][0]
    found[:, season] += (base(views, card.season_weight) - views.level)[rows]
    return importances(names, origin.tolist(), found)


def _figures(points: Points, months: int) -> HorizonFigures:
    ours, naive = (_of(points, found) for found in (points.quantiles, points.naive))
    return HorizonFigures(months, len(points.truth), ours[0], naive[0], ours[1], naive[1], ours[2], naive[2])


def _of(points: Points, quantiles: Values) -> tuple[float, float, float]:
    """Median scaled error, coverage and mean pinball loss of quantiles (n, 3)."""
    error = np.median(_means(points.series, ratio(np.abs(points.truth - quantiles[:, 1]), points.scale)))
    losses = [ratio(pinball(points.truth, quantiles[:, place], share), points.scale) for place, share in enumerate(QUANTILES)]
    found = (error, np.mean(inside(points.truth, quantiles)), np.mean(losses))
    return (round(float(found[0]), _DECIMALS), round(float(found[1]), _DECIMALS), round(float(found[2]), _DECIMALS))


def _means(series: Places, errors: Values) -> Values:
    """Mean of each series that has points."""
    _, place, counts = np.unique(series, return_inverse=True, return_counts=True)
    means: Values = np.bincount(place, weights=errors) / counts
    return means


def _by_error(errors: Values) -> tuple[int, ...]:
    bins = np.searchsorted(np.array(ERROR_EDGES), errors, side="right") - 1
    return tuple(int(count) for count in np.bincount(bins, minlength=len(ERROR_EDGES)))
