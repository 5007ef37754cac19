"""From a panel of monthly series to a forecasting model that can be stored: honest metrics, the final trees, margins.

One model learns from all series together. Held-out windows of months follow each other in time; the trees that forecast a window
were trained on the months before it, and its intervals were widened by what older windows showed. What always holds: nothing of a
window, or after it, takes part in its forecasts when metrics are measured, and the same panel, seed and thread count give the
same artifact and card.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from server.ml import forecast_card, intervals
from server.ml.forecast_card import ForecastCard
from server.ml.forecast_evaluation import ForecastEvaluation, of_forecasts, of_median
from server.ml.forecast_features import FARTHEST
from server.ml.forecast_metrics import ForecastMetrics, Points, Scales, inside
from server.ml.forecast_trials import Course, Trial, Trials, Windows
from server.ml.forecaster import finish
from server.ml.intervals import Margins, groups
from server.ml.training import Progress, TrainingDataInsufficient

if TYPE_CHECKING:
    from server.ml.series import Panel, Places, Values


@dataclass(frozen=True, slots=True)
class TrainedForecaster:
    """What a training leaves behind.

    Args:
        artifact: the trees, UBJSON.
        card: plain JSON value that `Forecaster.load` needs beside the artifact.
        metrics: of the held-out windows but the oldest, by models that had not seen them.
        evaluation: what there is to draw of the same forecasts.

    """

    artifact: bytes
    card: dict[str, object]
    metrics: ForecastMetrics
    evaluation: ForecastEvaluation


@dataclass(frozen=True, slots=True)
class _Judged:
    """Metrics and the points they are of with their months ahead, coverage by group, the share that margins of all windows aim at."""

    metrics: ForecastMetrics
    points: Points
    horizons: Places
    coverage: tuple[float, ...]
    aim: float


def train_forecaster(
    panel: Panel,
    *,
    seed: int,
    horizon: int = FARTHEST,
    threads: int = 1,
    progress: Progress = lambda _share, _step: None,
) -> TrainedForecaster:
    """Measure on held-out windows, then train on all months.

    Args:
        panel: the series; months that are not whole have been left out (`series.cleaned`).
        seed: of every random choice, 0 to 2**31 - 1.
        horizon: months ahead to train for, 1 to `FARTHEST`.
        threads: of XGBoost.
        progress: called with the share done (0 to 1, never falling) and what was done; what it raises ends the training.

    Raises:
        TrainingDataInsufficient: fewer than `forecast_trials.MINIMUM_SERIES` series have two years of data, none has them before
            the held-out months, or a part has too few values.
        ValueError: the horizon is out of range.

    """
    if not 1 <= horizon <= FARTHEST:
        msg = f"a horizon is 1 to {FARTHEST} months"
        raise ValueError(msg)
    course = Course(panel, Windows.of(panel, horizon), horizon, seed, threads)
    steps = course.windows.count + 1
    done = 0

    def tick(step: str) -> None:
        nonlocal done
        done += 1
        progress(done / steps, step)

    trials = course.trials(tick)
    card = _card(course, trials)
    judged = _judge(panel, card, trials)
    trees, rows = course.final(trials)
    card = replace(
        card,
        margins=_margins(trials.windows, judged.aim),
        coverage=judged.coverage,
        terciles=forecast_card.terciles(rows.views.matrix),
    )
    tick("training on all months")
    evaluation = of_forecasts(judged.points, judged.horizons, of_median(card, trees, rows.views))
    return TrainedForecaster(trees.to_bytes(), card.to_json(), judged.metrics, evaluation)


def _card(course: Course, trials: Trials) -> ForecastCard:
    shape = course.growth.shape
    settings: dict[str, str | int | float] = {
        "shape": shape.name,
        "depth": shape.depth,
        "rounds": trials.rounds,
        "seed": course.seed,
        "windows": course.windows.count,
        "window_months": course.windows.months,
    }
    nothing = (0.0,) * intervals.GROUPS
    return ForecastCard(course.horizon, trials.season_weight, course.categories, Margins(nothing, nothing), nothing, {}, settings)


def _margins(windows: tuple[Trial, ...], aim: float) -> Margins:
    """From all rows of windows."""
    raw = np.concatenate([trial.raw for trial in windows])
    outcome = np.concatenate([trial.rows.outcome for trial in windows])
    return intervals.fit(raw, outcome, np.concatenate([_groups(trial) for trial in windows]), aim)


def _groups(trial: Trial) -> Places:
    return groups(trial.rows.pairs.horizons, trial.rows.views.history)


def _judge(panel: Panel, card: ForecastCard, trials: Trials) -> _Judged:
    """Judge every window but the oldest; margins, and what they aim at, are from the windows before it."""
    points: list[Points] = []
    ahead: list[Places] = []
    hits: list[Values] = []
    aim = intervals.FIRST_AIM
    for place, trial in enumerate(trials.windows[1:], start=1):
        views, truth = trial.rows.views, trial.rows.truth
        then = replace(card, margins=_margins(trials.windows[:place], aim))
        found = finish(then, trial.raw, views, trial.rows.pairs.horizons)
        hits.append(inside(truth, found).astype(np.float64))
        aim = intervals.next_aim(aim, float(hits[-1].mean()))
        whole = np.nonzero(trial.rows.whole)[0]
        naive = (np.sinh(views.naive) * views.scale)[whole]
        scales = Scales.of(panel, trial.start)
        points.append(Points.of(trial.rows.pairs.series[whole], truth[whole], found[whole], naive, scales))
        ahead.append(trial.rows.pairs.horizons[whole][scales.judged(trial.rows.pairs.series[whole])])
    together = Points.together(points)
    try:
        metrics = together.measure()
    except ValueError as error:
        raise TrainingDataInsufficient(str(error)) from error
    group = np.concatenate([_groups(trial) for trial in trials.windows[1:]])
    return _Judged(metrics, together, np.concatenate(ahead), intervals.coverage(np.concatenate(hits), group), aim)
