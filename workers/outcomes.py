"""Clean features and a loaded model to outcomes, for each type of model; pure, and for a thread."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from server.errors import Reason
from server.ml.forecaster import Forecaster
from server.ml.intervals import COVERAGE
from server.ml.series import year_and_month
from server.ml.spend_series import series_of
from server.predictions.model import (
    Band,
    ContractRiskResult,
    Contribution,
    Direction,
    JobFailure,
    PerformanceResult,
    SpendPoint,
    SpendResult,
    TurnoverResult,
)
from server.registry.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from server.ml import scoring
    from server.ml.forecaster import Forecast
    from server.ml.scoring import Score, Scorer
    from server.predictions.model import FeatureValue, Outcome

    Loaded: TypeAlias = Scorer | Forecaster
    Features: TypeAlias = Mapping[str, FeatureValue]

_MISMATCH = JobFailure(Reason.INPUT_SCHEMA_MISMATCH, "the input does not fit the model version of the job")

_LIKELIHOODS: Mapping[ModelType, type[TurnoverResult | ContractRiskResult | PerformanceResult]] = {
    ModelType.TURNOVER_PREDICTION: TurnoverResult,
    ModelType.CONTRACT_RISK: ContractRiskResult,
    ModelType.PERFORMANCE_PREDICTION: PerformanceResult,
}


def outcomes(loaded: Loaded, model_type: ModelType, rows: Sequence[Features]) -> Sequence[Outcome]:
    """Score rows together, and one by one where one of them does not fit: it takes no other along."""
    try:
        if isinstance(loaded, Forecaster):
            return [_forecast(loaded, row) for row in rows]
        return [_likelihood(model_type, score) for score in loaded.scores(rows)]
    except ValueError:
        # The text of the error could hold a value of the input; the reason is enough.
        return [_MISMATCH] if len(rows) == 1 else [outcomes(loaded, model_type, [row])[0] for row in rows]


def _likelihood(model_type: ModelType, score: Score) -> Outcome:
    made = _LIKELIHOODS[model_type]
    return made(score.probability, score.confidence, _contributions(score.contributions), model_was_drifting=False)


def _forecast(forecaster: Forecaster, row: Features) -> SpendResult:
    """One by one: a job's horizon is its own."""
    made = forecaster.forecast(series_of(row), int(row["horizon"]))
    return SpendResult(
        points=tuple(_points(made)),
        level=COVERAGE,
        confidence=float(np.mean(made.confidence)),
        contributions=_contributions(made.contributions),
        model_was_drifting=False,
    )


def _points(made: Forecast) -> Iterable[SpendPoint]:
    for month, median, low, high in zip(made.months, made.median, made.low, made.high, strict=True):
        year, number = year_and_month(int(month))
        yield SpendPoint(date(year, number, 1), float(median), float(low), float(high))


def _contributions(items: Sequence[scoring.Contribution]) -> tuple[Contribution, ...]:
    return tuple(Contribution(item.feature, Direction(item.direction.name), item.value, Band(item.band.name)) for item in items)
