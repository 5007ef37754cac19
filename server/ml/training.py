"""From columns and labels to a model that can be stored: honest metrics, the final trees, encoding and calibration.

What always holds: nothing that touched a row (encoding, shape, number of trees, trees, calibration) takes part in that
row's score when metrics are measured, and the same rows, seed and thread count give the same artifact and card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.ml import boosting, calibration
from server.ml.boosting import Examples
from server.ml.card import Card
from server.ml.encoding import MINIMUM_ROWS, Encoder, Table, rows_of, table
from server.ml.evaluation import ClassificationMetrics, Labels, Rows, measure, stratified_folds
from server.ml.masking import mask

if TYPE_CHECKING:
    from server.ml.boosting import Classifier, Shape
    from server.ml.calibration import Calibration
    from server.ml.features import FeatureValue
    from server.ml.schema import FeatureSchema

INNER_FOLDS = 5
MINIMUM_PER_CLASS = 10
"""Enough for each inner part of each outer part to hold one."""

Progress = Callable[[float, str], None]


class TrainingDataInsufficient(ValueError):
    """There are too few rows, or too few of one outcome, to train and judge a model; the text gives the counts."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What a training leaves behind.

    Args:
        artifact: the trees, UBJSON.
        card: plain JSON value that `Scorer.load` needs beside the artifact: schema, encoding, calibration, settings.
        metrics: from cross-validation.

    """

    artifact: bytes
    card: dict[str, object]
    metrics: ClassificationMetrics


@dataclass(frozen=True, slots=True)
class _Chance:
    """What the result depends on beside the rows."""

    seed: int
    threads: int


@dataclass(frozen=True, slots=True)
class _Fitted:
    encoder: Encoder
    classifier: Classifier
    calibration: Calibration
    shape: Shape
    rounds: int


def train_classifier(  # noqa: PLR0913 - the data, and options passed by name
    schema: FeatureSchema,
    columns: Mapping[str, Sequence[FeatureValue | None]],
    labels: Sequence[bool],
    *,
    seed: int,
    folds: int = 5,
    threads: int = 1,
    progress: Progress = lambda _share, _step: None,
) -> TrainedModel:
    """Measure by nested stratified cross-validation, then train on all rows.

    Args:
        schema: the features.
        columns: clean values by feature, all as long as `labels`; None for absent.
        labels: the outcome of each row.
        seed: of every random choice, 0 to 2**31 - 1.
        folds: of the outer cross-validation, at least 2.
        threads: of XGBoost.
        progress: called with the share done (0 to 1, never falling) and what comes next; what it raises ends the training.

    Raises:
        TrainingDataInsufficient: fewer than `2 * folds`, or `MINIMUM_PER_CLASS`, rows of one outcome.
        ValueError: lengths differ, a column is not a feature, or there are fewer than 2 folds.

    """
    truth = np.array([_label(label) for label in labels], dtype=np.int8)
    _require_both_classes(truth, folds)
    data = table(schema, columns)
    if any(len(column) != len(truth) for column in data.values()):
        msg = "columns and labels have the same length"
        raise ValueError(msg)
    steps = _Steps(progress, (folds + 1) * (len(_shapes(len(truth))) + 1))
    chance = _Chance(seed, threads)
    probabilities = np.empty(len(truth))
    for fold, (rest, own) in enumerate(stratified_folds(truth, folds, seed), start=1):
        steps.name = f"cross-validation, fold {fold} of {folds}"
        fitted = _fit(schema, rows_of(data, rest), truth[rest], chance, steps.tick)
        margins = fitted.classifier.margins(fitted.encoder.transform(rows_of(data, own)))
        probabilities[own] = fitted.calibration.apply(margins)
    metrics = measure(truth, probabilities, folds=folds)
    steps.name = "training on all rows"
    final = _fit(schema, data, truth, chance, steps.tick)
    return TrainedModel(final.classifier.to_bytes(), _card(schema, final, seed).to_json(), metrics)


class _Steps:
    """Counts equal steps towards 1."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.name = ""
        self._progress = progress
        self._total = total
        self._done = 0

    def tick(self) -> None:
        self._done += 1
        self._progress(self._done / self._total, self.name)


def _fit(schema: FeatureSchema, data: Table, labels: Labels, chance: _Chance, tick: Callable[[], None]) -> _Fitted:
    encoder = Encoder.fit(schema, data)
    if not encoder.width:
        msg = f"no feature has a value that at least {MINIMUM_ROWS} rows share"
        raise TrainingDataInsufficient(msg)
    matrix = encoder.transform(data)
    seed, threads = chance.seed, chance.threads
    examples = Examples(matrix, mask(matrix, encoder, seed), labels)
    splits = _inner_splits(labels, seed)
    tuning = boosting.tune(examples, splits, _shapes(len(labels)), seed=seed, threads=threads, tick=tick)
    curve = calibration.fit(tuning.margins, labels[tuning.rows])
    classifier = boosting.train(examples, tuning.shape, tuning.rounds, seed=seed, threads=threads)
    tick()
    return _Fitted(encoder, classifier, curve, tuning.shape, tuning.rounds)


def _inner_splits(labels: Labels, seed: int) -> list[tuple[Rows, Rows]]:
    # Another seed than the outer one: the same would part the same rows in the same order again.
    splits = stratified_folds(labels, INNER_FOLDS, seed + 1)
    return splits[:1] if len(labels) >= boosting.LARGE_ROWS else splits


def _shapes(rows: int) -> Sequence[Shape]:
    return boosting.LARGE_SHAPES if rows >= boosting.LARGE_ROWS else boosting.SMALL_SHAPES


def _card(schema: FeatureSchema, fitted: _Fitted, seed: int) -> Card:
    settings: dict[str, str | int | float] = {
        "shape": fitted.shape.name,
        "depth": fitted.shape.depth,
        "rounds": fitted.rounds,
        "seed": seed,
    }
    return Card(schema, fitted.encoder, fitted.calibration, settings)


def _label(label: object) -> int:
    if label not in {0, 1}:
        msg = "a label is true or false"
        raise ValueError(msg)
    return int(label == 1)


def _require_both_classes(labels: Labels, folds: int) -> None:
    positives = int(labels.sum())
    negatives = len(labels) - positives
    needed = max(2 * folds, MINIMUM_PER_CLASS)
    if min(positives, negatives) < needed:
        msg = f"training needs at least {needed} rows of each outcome; there are {positives} with it and {negatives} without"
        raise TrainingDataInsufficient(msg)
