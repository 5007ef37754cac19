"""Spend: monthly series, forecast a year ahead."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import structlog

from server.ml.forecaster import Forecaster, evaluate
from server.ml.forecasting import train_forecaster
from server.ml.series import Panel, Series, SeriesInvalid, month_number, year_and_month
from server.ml.spend import SPEND
from server.ml.training import TrainingDataInsufficient
from server.training import store
from workers.strategies.model import Judged, Trained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from server.db import ReadTx
    from server.registry.model import Artifact, Json
    from server.training.model import PooledSeries, Read
    from workers.strategies.model import Progress, Rival

SEED = 20_260_101
HELD_OUT_MONTHS = 3
"""The newest months, by which versions are judged; the candidate is trained on the months before."""

MOST_JUDGED = 1_000
"""Series that judge; their median error would hardly be another with more. They are ordered by a hash: each so-manieth is a fair draw."""

COVERAGE_BAND = (0.70, 0.95)
"""Share of outcomes that an interval of 80 % may hold. Too narrow a one makes chance look like a finding, which is worse than too wide."""

ENOUGH_POINTS = 1_000
"""Forecasts from which the share is no chance: those of one series are so alike that a few hundred say little."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Forecasting:
    """Pooled series."""

    pooled: PooledSeries
    schema: Json
    rows: int
    contributors: int
    newest: date | None

    @property
    def cutoff(self) -> date | None:
        """The last month that is trained on."""
        if self.newest is None:
            return None
        year, month = year_and_month(_number(self.newest) - HELD_OUT_MONTHS)
        return self.newest.replace(year=year, month=month, day=1)

    def train(self, progress: Progress) -> Trained:
        """Train on all months but the held-out ones.

        Raises:
            TrainingDataInsufficient: too few series have two years of data.

        """
        known = [each.until(self._from - 1) for each in series_of(self.pooled)] if self.newest is not None else []
        panel = [each for each in known if each is not None]
        if not panel:
            msg = f"no series has an amount before the newest {HELD_OUT_MONTHS} months"
            raise TrainingDataInsufficient(msg)
        trained = train_forecaster(Panel.of(panel), seed=SEED, progress=progress)
        rows = sum(each.present for each in panel)
        return Trained(trained.artifact, trained.card, asdict(trained.metrics), rows, trained.evaluation.to_json())

    def objection(self, metrics: Json) -> str:
        """Compare with the seasonal naive forecast, and the share of outcomes within the interval with what is promised of it."""
        ours, naive = metrics["mase_median"], metrics["naive_mase_median"]
        if isinstance(ours, float) and isinstance(naive, float) and ours >= naive:
            return f"no better than the seasonal naive forecast: median MASE {ours:.4f}, naive {naive:.4f}"
        covered, points = metrics["coverage"], metrics["points"]
        low, high = COVERAGE_BAND
        if isinstance(covered, float) and isinstance(points, int) and points >= ENOUGH_POINTS and not low <= covered <= high:
            return f"the 80 % interval held {covered:.1%} of {points:,} outcomes it had not seen; {low:.0%} to {high:.0%} are allowed"
        return ""

    def judge(self, candidate: Artifact, active: Rival | None) -> Judged:
        """Compare by the median scaled error on the newest months, which the candidate was not trained on.

        Raises:
            TrainingDataInsufficient: no series with two years of amounts has one in these months.

        """
        count = len(set(self.pooled.series))
        series = list(series_of(self.pooled, -(-count // MOST_JUDGED)))
        if not series:
            msg = "there is no series to judge by"
            raise TrainingDataInsufficient(msg)
        panel = Panel.of(series)
        if np.all(np.isnan(panel.values[:, self._from - panel.first :])):
            msg = f"no series that judges has an amount in the newest {HELD_OUT_MONTHS} months"
            raise TrainingDataInsufficient(msg)
        forecaster = Forecaster.load(candidate.content, candidate.card)
        try:
            ours = evaluate(forecaster, panel, self._from)
        except ValueError as error:
            raise TrainingDataInsufficient(str(error)) from error
        drawn = f" of {len(panel.series):,} series" if count > MOST_JUDGED else ""
        rule = f"amounts of the newest {HELD_OUT_MONTHS} months{drawn}, on which the candidate was not trained"
        return Judged(
            rule=rule + self._of_the_active(active),
            rows=ours.points,
            measure="mase_median",
            candidate=ours.mase_median,
            baseline=ours.naive_mase_median,
            active=None if active is None else self._loss(active.artifact, panel),
        )

    def _of_the_active(self, active: Rival | None) -> str:
        """Say what the active version has seen of the held-out months; nothing where there is none."""
        if active is None:
            return ""
        return "; the active version has seen some of them" if _number(active.cutoff) >= self._from else ", nor the active version"

    def _loss(self, artifact: Artifact, panel: Panel) -> float | None:
        try:
            forecaster = Forecaster.load(artifact.content, artifact.card)
            return evaluate(forecaster, panel, self._from).mase_median
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def _from(self) -> int:
        """Number of the first held-out month."""
        return 0 if self.newest is None else _number(self.newest) - HELD_OUT_MONTHS + 1


async def read_series(tx: ReadTx, /) -> Callable[[], Forecasting]:
    """Read the series."""
    return partial(_course, await store.pooled_spend_series(tx))


def _course(rows: Read[PooledSeries]) -> Forecasting:
    pooled = rows()
    return Forecasting(pooled, SPEND.to_json(), len(pooled), pooled.contributors, pooled.cutoff)


def series_of(pooled: PooledSeries, every: int = 1) -> Iterator[Series]:
    """The series of pooled months, or each so-manieth; those without an amount are left out.

    So is, and is counted in the log, what is no series to learn from, as when the amounts of a unit's categories add up to more
    than `LARGEST`: nobody's sums may end the training for all.
    """
    invalid = 0
    numbers = {month: _number(month) for month in set(pooled.months)}
    marks = np.flatnonzero(np.diff(np.array(pooled.series, dtype=np.int64), prepend=-1)).tolist()
    for begin, end in list(zip(marks, [*marks[1:], len(pooled.months)], strict=True))[::every]:
        amounts = pooled.amounts[begin:end]
        if all(amount is None for amount in amounts):
            continue
        months = [numbers[month] for month in pooled.months[begin:end]]
        budgets = zip(months, pooled.budgets[begin:end], strict=True)
        plan = {month: budget for month, budget in budgets if budget is not None}
        try:
            made = Series.of(str(pooled.series[begin]), months, amounts, budget=plan, category=pooled.category[begin])
        except SeriesInvalid:
            invalid += 1
        else:
            yield made
    if invalid:
        _log.warning("spend.series_left_out", series=invalid)


def _number(day: date) -> int:
    return month_number(day.year, day.month)
