"""The card of a forecasting model version: all that forecasting needs beside the trees, as one plain JSON value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.ml import intervals
from server.ml.card import CardInvalid
from server.ml.encoding import Band
from server.ml.forecast_features import COLUMNS, FARTHEST, GROUPS
from server.ml.intervals import Margins

FORMAT = 1
KIND = "forecast"

_CATEGORY = "category"
_NAMES = frozenset({"month_of_year", _CATEGORY})
"""Features whose value is a name and not an amount."""


@dataclass(frozen=True, slots=True)
class ForecastCard:
    """What was fitted beside the trees.

    Args:
        horizon: the farthest months ahead that were trained.
        season_weight: how much of the season is added to the level before the trees start, 0 to 1.
        categories: those with a column of their own.
        margins: by which the intervals are widened.
        coverage: share of held-out outcomes in the interval, by group of `intervals.groups`.
        terciles: of each feature that is an amount, the values that part the training rows into thirds.
        settings: how the trees were grown, for the record only.

    """

    horizon: int
    season_weight: float
    categories: tuple[str, ...]
    margins: Margins
    coverage: tuple[float, ...]
    terciles: Mapping[str, tuple[float, float]]
    settings: Mapping[str, str | int | float]

    @property
    def width(self) -> int:
        """Number of matrix columns."""
        return len(COLUMNS) + len(self.categories)

    @property
    def features(self) -> dict[str, tuple[int, ...]]:
        """The matrix columns of each feature."""
        places = {name: tuple(COLUMNS.index(column) for column in columns) for name, columns in GROUPS.items()}
        return {**places, _CATEGORY: tuple(range(len(COLUMNS), self.width))} if self.categories else places

    def band(self, feature: str, row: npt.NDArray[np.float32]) -> Band:
        """Where a row (columns,) of the matrix lies in a feature."""
        value = float(row[self.features[feature][0]])
        if np.isnan(value):
            return Band.MISSING
        if feature in _NAMES:
            return Band.CATEGORY
        if feature not in self.terciles:
            return Band.MEDIUM
        lower, upper = self.terciles[feature]
        if value < lower or (value == lower and lower < upper):
            return Band.LOW
        return Band.HIGH if value > upper else Band.MEDIUM

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON; `from_json` reads it back."""
        return {
            "format": FORMAT,
            "kind": KIND,
            "columns": list(COLUMNS),
            "horizon": self.horizon,
            "season_weight": self.season_weight,
            "categories": list(self.categories),
            "margins": self.margins.to_json(),
            "coverage": list(self.coverage),
            "terciles": {name: list(borders) for name, borders in self.terciles.items()},
            "settings": dict(self.settings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> ForecastCard:
        """Read what `to_json` wrote.

        Raises:
            CardInvalid: it is of an unknown format or of other columns, or a part is missing.
            IntervalsInvalid: a list of numbers is not what it should be.

        """
        msg = f"only cards of kind {KIND} and format {FORMAT} with the present columns are known"
        if data.get("format") != FORMAT or data.get("kind") != KIND or data.get("columns") != list(COLUMNS):
            raise CardInvalid(msg)
        settings, categories, terciles = data.get("settings"), data.get("categories"), data.get("terciles")
        horizon, weight = data.get("horizon"), data.get("season_weight")
        if not isinstance(settings, Mapping) or not isinstance(categories, list) or not isinstance(terciles, Mapping):
            raise CardInvalid(msg)
        if not isinstance(horizon, int) or not 1 <= horizon <= FARTHEST or not isinstance(weight, int | float) or not 0 <= weight <= 1:
            raise CardInvalid(msg)
        if not all(isinstance(category, str) for category in categories):
            raise CardInvalid(msg)
        return cls(
            horizon,
            float(weight),
            tuple(categories),
            Margins.from_json(data.get("margins")),
            intervals.numbers(data.get("coverage"), intervals.GROUPS),
            {str(name): _borders(borders) for name, borders in terciles.items()},
            dict(settings),
        )


def terciles(matrix: npt.NDArray[np.float32]) -> dict[str, tuple[float, float]]:
    """The terciles of each feature that is an amount, of the column that stands for it, in a matrix (n, columns)."""
    found: dict[str, tuple[float, float]] = {}
    for name, columns in GROUPS.items():
        values = matrix[:, COLUMNS.index(columns[0])]
        present = values[~np.isnan(values)]
        if present.size and name not in _NAMES:
            lower, upper = np.quantile(present.astype(np.float64), [1 / 3, 2 / 3])
            found[name] = (float(lower), float(upper))
    return found


def _borders(value: object) -> tuple[float, float]:
    lower, upper = intervals.numbers(value, 2)
    return lower, upper
