"""Held-out windows of months, one after the other, and what trees that had not seen them forecast.

What always holds: trees that forecast a window were trained on months before it alone, and so was the number of rounds: the
oldest window chose it, and no metric is taken there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from server.ml.encoding import MINIMUM_ROWS
from server.ml.forecast_features import OF_BUDGET, Pairs, Views, enough, look
from server.ml.forecaster import base, held_out
from server.ml.intervals import LONG_HISTORY
from server.ml.quantile_trees import LARGE, SMALL, Growth, QuantileTrees
from server.ml.series import YEAR, Panel, Values
from server.ml.training import TrainingDataInsufficient

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.ml.series import Places

MINIMUM_SERIES = 5
"""Series with two years of data that a training needs."""

LARGE_PAIRS = 40_000
"""From so many pairs of origin and horizon on, trees grow deeper and learn faster: as good on published spend, in half the time."""

MOST_ROWS = 200_000
"""Rows a model learns from, drawn from more: pairs of one series are so alike that the others would add little."""

_ROWS_PER_MONTH = 5
_ENOUGH_ROWS = 100_000
"""Beyond these, so many rows for each month of a series, for the same reason."""

_MOST_JUDGING = 60_000
"""Rows of all trainings that judge together: less than a third of the most that the final one has, so that judging costs less than it."""

_MOST_HELD_OUT = 60_000
_MINIMUM_ROWS = 100
_MOST_WINDOWS = 6
_TWINS = 4
_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Windows:
    """Held-out windows of `months` columns each, `count` of them up to column `end`; `large` when there are very many rows."""

    end: int
    months: int
    count: int
    large: bool

    def bounds(self, age: int) -> tuple[int, int]:
        """First and last column of a window; 0 is the newest."""
        last = self.end - age * self.months
        return last - self.months + 1, last

    @classmethod
    def of(cls, panel: Panel, horizon: int) -> Windows:
        """Lay windows of 3 to 12 months over the second half of the time that most series cover.

        Raises:
            TrainingDataInsufficient: fewer than `MINIMUM_SERIES` series have two years of data, or they are of different times.

        """
        present = ~np.isnan(panel.values)
        long = np.nonzero(present.sum(axis=1) >= LONG_HISTORY)[0]
        if len(long) < MINIMUM_SERIES:
            msg = (
                f"training needs at least {MINIMUM_SERIES} series with {LONG_HISTORY} months of data; "
                f"there are {len(long)} among {len(panel.series)}"
            )
            raise TrainingDataInsufficient(msg)
        # A month that few series have reached, such as one with a wrong year, is no end for all.
        running = np.nonzero(present[long].sum(axis=0) >= len(long) / 4)[0]
        end = int(running[-1]) if running.size else 0
        span = end - int(np.median(panel.starts[long])) + 1
        if span < LONG_HISTORY:
            msg = f"training needs {LONG_HISTORY} months that the series have in common; there are {max(span, 0)}"
            raise TrainingDataInsufficient(msg)
        months = int(np.clip((span - YEAR) // 4, 3, YEAR))
        count = int(np.clip((span - YEAR) // (2 * months), 2, _MOST_WINDOWS))
        return cls(end, months, count, int(present.sum()) * horizon >= LARGE_PAIRS)


@dataclass(frozen=True, slots=True)
class Rows:
    """Pairs of a panel (n) with what is known of them and what came.

    Args:
        pairs: the pairs.
        views: what is known.
        truth: what came, in the units of the series.
        outcome: the same in the units of the views.
        whole: whether nothing of the history was taken away.

    """

    pairs: Pairs
    views: Views
    truth: Values
    outcome: Values
    whole: npt.NDArray[np.bool_]

    def residual(self, season_weight: float) -> Values:
        """What the trees learn (n,): how far the outcome lay from where they start."""
        found: Values = self.outcome - base(self.views, season_weight)
        return found


@dataclass(frozen=True, slots=True)
class Trial:
    """A held-out window from column `start` on: its rows beside the quantiles (n, 3) of trees that had not seen them."""

    start: int
    rows: Rows
    raw: Values


@dataclass(frozen=True, slots=True)
class Trials:
    """All held-out windows, the oldest first, and what was chosen on the way."""

    windows: tuple[Trial, ...]
    season_weight: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Course:
    """What a training works on.

    Args:
        panel: all series.
        windows: what is held out.
        horizon: the farthest months ahead.
        seed: of every random choice.
        threads: of XGBoost.

    """

    panel: Panel
    windows: Windows
    horizon: int
    seed: int
    threads: int

    @property
    def growth(self) -> Growth:
        """How trees grow."""
        return Growth(LARGE if self.windows.large else SMALL, self.seed, self.threads)

    @property
    def most_rows(self) -> int:
        """Rows that the final trees learn from."""
        months = int(np.sum(~np.isnan(self.panel.values)))
        return min(MOST_ROWS, max(_ENOUGH_ROWS, _ROWS_PER_MONTH * months))

    @property
    def categories(self) -> tuple[str, ...]:
        """Those of enough series; a rarer one would be memorized."""
        counts = Counter(series.category for series in self.panel.series if series.category is not None)
        return tuple(sorted(category for category, count in counts.items() if count >= MINIMUM_ROWS))

    def rows(self, low: int, high: int, most: int) -> Rows:
        """Rows of the forecast months `low` to `high`, at most so many.

        Every fourth comes a second time with only its last 6 to 23 months in view, so that what short histories mean is
        learned, and how wide their intervals have to be, from more than the beginnings of long ones. Where there are budgets every
        fourth comes once more without, so that a forecast for which nobody gives one is not taken for one with a usual budget.
        """
        generator = np.random.default_rng([self.seed, low, high])
        planned = not np.all(np.isnan(self.panel.budget))
        share = most * _TWINS // (_TWINS + 1 + planned)

        def some(count: int) -> Places:
            return np.arange(count) if count <= share else np.sort(generator.choice(count, share, replace=False))

        pairs = held_out(self.panel, low, high, self.horizon, some)
        chosen = pairs.at(np.arange(0, len(pairs), _TWINS))
        short = Pairs(chosen.series, chosen.origins, chosen.horizons, generator.integers(6, LONG_HISTORY, len(chosen)))
        short = short.at(enough(self.panel, short))
        unplanned = pairs.at(np.arange(1, len(pairs) if planned else 0, _TWINS))
        every = pairs.and_also(short).and_also(unplanned)
        views = look(self.panel, every, self.categories)
        views.matrix[len(every) - len(unplanned) :, OF_BUDGET] = np.nan
        truth = self.panel.values[every.series, every.targets]
        return Rows(every, views, truth, np.arcsinh(truth / views.scale), np.arange(len(every)) < len(pairs))

    def final(self, trials: Trials) -> tuple[QuantileTrees, Rows]:
        """Trees of all months, and the rows they learned from."""
        rows = self.rows(0, self.panel.values.shape[1] - 1, self.most_rows)
        return self.growth.train(rows.views.matrix, rows.residual(trials.season_weight), trials.rounds), rows

    def trials(self, tick: Callable[[str], None]) -> Trials:
        """Forecast each window with trees of the months before it.

        Raises:
            TrainingDataInsufficient: a window, or the months before the oldest, have too few values.

        """
        steps = [f"forecasting window {number} of {self.windows.count}" for number in range(1, self.windows.count + 1)]
        ages = range(self.windows.count - 1, -1, -1)
        oldest = self._window(ages[0])
        before = self._before(ages[0])
        weight = _season_weight(before)
        trees, rounds = self.growth.tune(before.views.matrix, before.residual(weight), oldest.views.matrix, oldest.residual(weight))
        found = [self._trial(ages[0], oldest, trees, weight)]
        tick(steps[0])
        for age, step in zip(ages[1:], steps[1:], strict=True):
            before = self._before(age)
            trees = self.growth.train(before.views.matrix, before.residual(weight), rounds)
            found.append(self._trial(age, self._window(age), trees, weight))
            tick(step)
        return Trials(tuple(found), weight, rounds)

    def _window(self, age: int) -> Rows:
        return self._enough(self.rows(*self.windows.bounds(age), _MOST_HELD_OUT // self.windows.count))

    def _before(self, age: int) -> Rows:
        return self._enough(self.rows(0, self.windows.bounds(age)[0] - 1, _MOST_JUDGING // self.windows.count))

    def _enough(self, rows: Rows) -> Rows:
        if len(rows.truth) < _MINIMUM_ROWS:
            msg = (
                f"training holds out {self.windows.count} times {self.windows.months} months, and each part needs "
                f"{_MINIMUM_ROWS} pairs of a month and an earlier one; one has {len(rows.truth)}"
            )
            raise TrainingDataInsufficient(msg)
        return rows

    def _trial(self, age: int, rows: Rows, trees: QuantileTrees, weight: float) -> Trial:
        raw = trees.quantiles(rows.views.matrix) + base(rows.views, weight)[:, None]
        return Trial(self.windows.bounds(age)[0], rows, raw)


def _season_weight(rows: Rows) -> float:
    """The share of the season that, added to the level, lies nearest to what came, by mean absolute error."""
    errors = [float(np.mean(np.abs(rows.residual(weight)))) for weight in _WEIGHTS]
    return _WEIGHTS[int(np.argmin(errors))]
