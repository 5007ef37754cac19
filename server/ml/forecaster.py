"""A loaded forecasting model: monthly series to the coming months, a median and an 80 % interval for each.

A `Forecaster` is immutable and may be used by several threads at once. What always holds: low <= median <= high, all finite; a
forecast depends on the history alone, so a series forecast among others gets what it gets alone; multiplying a history by
a number above 0 multiplies its forecast (but for rounding); a history without credits is not forecast below 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.ml.forecast_card import ForecastCard
from server.ml.forecast_features import FARTHEST, MINIMUM_HISTORY, WINDOW, Pairs, Views, enough, enough_at, look
from server.ml.forecast_metrics import ForecastMetrics, Points, Scales
from server.ml.intervals import groups
from server.ml.quantile_trees import QuantileTrees
from server.ml.scoring import SHOWN, Contribution, Direction
from server.ml.series import Panel, Places, Series, Values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class HistoryTooShort(ValueError):
    """A history has too few months with a value within the last three years; the text says how many are needed."""


def is_long_enough(history: Series) -> bool:
    """Whether a series has as many months with a value within its last three years as a forecast needs."""
    return int(np.sum(~np.isnan(history.values[-WINDOW:]))) >= MINIMUM_HISTORY


@dataclass(frozen=True, slots=True)
class Forecast:
    """The coming months of a series; all (n,), in the units of the series.

    Args:
        months: numbers of the months, from the one after the last of the history.
        median: as likely too high as too low.
        low: the 10 % quantile.
        high: the 90 % quantile.
        confidence: share of held-out outcomes, forecast as far ahead from as much history, that lay between low and high.
        contributions: what moved the first month's median away from the series' level, the strongest first; values are relative
            to the usual size of a month. Empty unless asked for.

    """

    months: Places
    median: Values
    low: Values
    high: Values
    confidence: Values
    contributions: tuple[Contribution, ...] = ()


class Forecaster:
    """A loaded model version."""

    def __init__(self, card: ForecastCard, trees: QuantileTrees) -> None:
        """Put the parts together; `load` makes them from what is stored."""
        self.card = card
        self._trees = trees

    @classmethod
    def load(cls, artifact: bytes, card: Mapping[str, object]) -> Forecaster:
        """Read a stored model; the caller has verified the artifact's SHA-256.

        Raises:
            CardInvalid, IntervalsInvalid: the card is of another format, or a part is not what it should be.
            ArtifactInvalid: the artifact is not a model for this card.

        """
        read = ForecastCard.from_json(card)
        return cls(read, QuantileTrees.from_bytes(artifact, read.width))

    def forecast(self, history: Series, horizon: int = FARTHEST) -> Forecast:
        """Forecast one series with contributions, a few milliseconds.

        Args:
            history: at least `MINIMUM_HISTORY` months with a value within its last three years; it need not have been trained on.
            horizon: months ahead, 1 to what the model was trained for (`card.horizon`).

        Raises:
            HistoryTooShort: the history has too few months.
            ValueError: the horizon is out of range.

        """
        return self.forecasts([history], horizon, explain=True)[0]

    def forecasts(self, histories: Sequence[Series], horizon: int = FARTHEST, *, explain: bool = False) -> list[Forecast]:
        """Forecast many series together; contributions cost about a millisecond each.

        Raises:
            HistoryTooShort: a history has too few months; none is forecast.
            ValueError: the horizon is out of range, or a key comes twice.

        """
        if not 1 <= horizon <= self.card.horizon:
            msg = f"this model forecasts 1 to {self.card.horizon} months ahead"
            raise ValueError(msg)
        if not histories:
            return []
        panel = Panel.of(histories)
        count = len(histories)
        ahead = np.tile(np.arange(1, horizon + 1), count)
        pairs = Pairs(np.repeat(np.arange(count), horizon), np.repeat(panel.ends, horizon), ahead, np.full(count * horizon, WINDOW))
        if not np.all(enough(panel, pairs)):
            msg = f"a forecast needs at least {MINIMUM_HISTORY} months with a value within the last {WINDOW} months of a series"
            raise HistoryTooShort(msg)
        views = look(panel, pairs, self.card.categories)
        found = self.quantiles(views, ahead).reshape(count, horizon, 3)
        confidence = np.array(self.card.coverage)[groups(ahead, views.history)].reshape(count, horizon)
        reasons = self._contributions(views, np.arange(0, count * horizon, horizon)) if explain else [()] * count
        return [
            Forecast(
                np.arange(series.last + 1, series.last + 1 + horizon, dtype=np.intp),
                found[row, :, 1],
                found[row, :, 0],
                found[row, :, 2],
                confidence[row],
                reasons[row],
            )
            for row, series in enumerate(histories)
        ]

    def quantiles(self, views: Views, horizons: Places) -> Values:
        """Low, median and high (n, 3) of pairs in the units of their series."""
        return finish(self.card, self.raw(views), views, horizons)

    def raw(self, views: Views) -> Values:
        """The trees' quantiles (n, 3), in the units of the views, before the interval is widened."""
        return self._trees.quantiles(views.matrix) + base(views, self.card.season_weight)[:, None]

    def _contributions(self, views: Views, rows: Places) -> list[tuple[Contribution, ...]]:
        matrix = views.matrix[rows]
        by_column = self._trees.contributions(matrix)[:, :-1]
        names = self.card.features
        sums = np.stack([by_column[:, list(places)].sum(axis=1) for places in names.values()], axis=1)
        # What the trees start from has been moved by the season.
        sums[:, list(names).index("same_month_last_year")] += (base(views, self.card.season_weight) - views.level)[rows]
        return [self._strongest(values, row) for values, row in zip(sums, matrix, strict=True)]

    def _strongest(self, values: Values, row: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[Contribution, ...]:
        names = list(self.card.features)
        ordered = sorted(range(len(names)), key=lambda place: (-abs(float(values[place])), place))[:SHOWN]
        return tuple(
            Contribution(
                names[place],
                Direction.INCREASES if values[place] > 0 else Direction.DECREASES,
                float(values[place]),
                self.card.band(names[place], row),
            )
            for place in ordered
            if values[place] != 0
        )


def base(views: Views, season_weight: float) -> Values:
    """What the trees start from (n,): the level, moved by the season."""
    moved: Values = views.level + season_weight * views.season
    return moved


def finish(card: ForecastCard, raw: Values, views: Views, horizons: Places) -> Values:
    """From the trees' quantiles (n, 3) to low, median and high in the units of the series."""
    wide = card.margins.widen(raw, groups(horizons, views.history))
    wide[views.lowest >= 0] = np.maximum(wide[views.lowest >= 0], 0.0)
    # Nothing but zeros has no unit in which the trees could say more.
    wide[views.zero] = 0.0
    amounts: Values = np.sinh(wide) * views.scale[:, None]
    return amounts


def evaluate(forecaster: Forecaster, panel: Panel, from_month: int) -> ForecastMetrics:
    """Judge a model on the months of a panel from `from_month` on, each forecast from all origins up to a year before.

    Two models are compared on the same panel and month; neither may have been trained on months from there on.

    Raises:
        ValueError: no series with two years of data before has a value in these months.

    """
    column = from_month - panel.first
    pairs = held_out(panel, column, panel.values.shape[1] - 1, forecaster.card.horizon)
    views = look(panel, pairs, forecaster.card.categories)
    found = forecaster.quantiles(views, pairs.horizons)
    truth = panel.values[pairs.series, pairs.targets]
    naive = np.sinh(views.naive) * views.scale
    return Points.of(pairs.series, truth, found, naive, Scales.of(panel, column)).measure()


def held_out(panel: Panel, low: int, high: int, horizon: int = FARTHEST, chosen: Callable[[int], Places] = np.arange) -> Pairs:
    """Pairs whose forecast month is one of the columns `low` to `high` (inclusive) and has a value.

    Args:
        panel: the series.
        low: the first column.
        high: the last column, within the panel.
        horizon: the farthest months ahead.
        chosen: the places of those to take, of so many; all by default. There are a dozen times as many as there are months.

    """
    low = min(max(low, 0), high + 1)
    origins = enough_at(panel)
    fits = np.zeros((len(panel.series), high + 1 - low, horizon), dtype=np.bool_)
    for ahead in range(1, horizon + 1):
        first = max(low - ahead, 0)
        fits[:, first + ahead - low :, ahead - 1] = origins[:, first : max(high + 1 - ahead, 0)]
    fits &= ~np.isnan(panel.values[:, low : high + 1, None])
    places = np.flatnonzero(fits)
    series, target, ahead_less_1 = np.unravel_index(places[chosen(len(places))], fits.shape)
    return Pairs(series, target + low - ahead_less_1 - 1, ahead_less_1 + 1, np.full(len(series), WINDOW))
