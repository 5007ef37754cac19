"""From columns and labels to a model that can be stored: honest metrics, the final trees, encoding and calibration.

What always holds: nothing that touched a row (encoding, shape, number of trees, trees, calibration) takes part in that
row's score when metrics are measured, a row that is held out touches nothing, and the same rows, seed and thread count give
the same artifact and card.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from server.ml import boosting, calibration
from server.ml.boosting import Examples
from server.ml.card import Card
from server.ml.curves import ClassifierEvaluation, of_classifier
from server.ml.encoding import MINIMUM_ROWS, Encoder, Table, rows_of, table
from server.ml.evaluation import ClassificationMetrics, Labels, Scores, measure, stratified_folds
from server.ml.importance import of_trees
from server.ml.masking import mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.ml.boosting import Classifier, Shape
    from server.ml.calibration import Calibration
    from server.ml.encoding import Columns
    from server.ml.schema import FeatureSchema

INNER_FOLDS = 5
LARGE_VALIDATION = 10
"""Of very many rows one in so many decides when to stop and calibrates."""

SHAPE_ROWS = 10_000
"""So many of very many rows decide the shape."""

MINIMUM_PER_CLASS = 10
"""Enough for each inner part of each outer part to hold one."""

Progress = Callable[[float, str], None]
Flags: TypeAlias = npt.NDArray[np.bool_]


class TrainingDataInsufficient(ValueError):
    """There are too few rows, or too few of one outcome, to train and judge a model; the text gives the counts."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What a training leaves behind.

    Args:
        artifact: the trees, UBJSON.
        card: plain JSON value that `Scorer.load` needs beside the artifact: schema, encoding, calibration, settings.
        metrics: from cross-validation, or of very many rows from held-out ones (`folds` is 0 then).
        rows: how many the model was made of. From `boosting.LARGE_ROWS` on nine tenths of them grew the trees; the other tenth
            decided when to stop and calibrated.
        evaluation: what there is to draw of the same rows as the metrics.

    """

    artifact: bytes
    card: dict[str, object]
    metrics: ClassificationMetrics
    rows: int
    evaluation: ClassifierEvaluation


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
    columns: Columns,
    labels: Sequence[bool] | Flags,
    *,
    seed: int,
    held_out: Sequence[bool] | Flags = (),
    folds: int = 5,
    threads: int = 1,
    progress: Progress = lambda _share, _step: None,
) -> TrainedModel:
    """Measure and train; rows that are held out are for the caller to judge by, and nothing here learns from them.

    Measured by nested stratified cross-validation on the rows that are not held out; from `boosting.MANY_ROWS` of them on by
    the held-out rows, or where these lack an outcome by a stratified fifth of the others, which the trees then do not see either.

    Args:
        schema: the features.
        columns: clean values by feature, all as long as `labels`; None for absent, in an array of numbers NaN.
        labels: the outcome of each row.
        seed: of every random choice, 0 to 2**31 - 1.
        held_out: whether a row is held out, as long as `labels`; empty for none.
        folds: of the outer cross-validation, at least 2.
        threads: of XGBoost.
        progress: called with the share done (0 to 1, never falling) and what comes next; what it raises ends the training.

    Raises:
        TrainingDataInsufficient: fewer than `2 * folds`, `MINIMUM_PER_CLASS`, or of very many `LARGE_VALIDATION` rows of one outcome.
        ValueError: lengths differ, a column is not a feature, or there are fewer than 2 folds.

    """
    truth = _truth(labels)
    out = np.array(held_out, dtype=np.bool_) if len(held_out) else np.zeros(len(truth), dtype=np.bool_)
    data = table(schema, columns)
    if len(out) != len(truth) or any(len(column) != len(truth) for column in data.values()):
        msg = "columns, labels and what is held out have the same length"
        raise ValueError(msg)
    rest, own = np.nonzero(~out)[0], np.nonzero(out)[0]
    _require_both_classes(truth[rest], max(2 * folds, MINIMUM_PER_CLASS))
    chance = _Chance(seed, threads)
    if len(rest) < boosting.MANY_ROWS:
        metrics, evaluation, final = _cross_validated(schema, rows_of(data, rest), truth[rest], folds, chance, progress)
    else:
        if len(np.unique(truth[own])) < 2:  # noqa: PLR2004 - both outcomes
            rest, own = (rest[part] for part in stratified_folds(truth[rest], INNER_FOLDS, seed)[0])
        metrics, evaluation, final = _on_held_out(
            schema, (rows_of(data, rest), truth[rest]), (rows_of(data, own), truth[own]), chance, progress
        )
    return TrainedModel(final.classifier.to_bytes(), _card(schema, final, seed).to_json(), metrics, len(rest), evaluation)


def _cross_validated(  # noqa: PLR0913 - the data and what the result depends on
    schema: FeatureSchema, data: Table, labels: Labels, folds: int, chance: _Chance, progress: Progress
) -> tuple[ClassificationMetrics, ClassifierEvaluation, _Fitted]:
    steps = _Steps(progress, (folds + 1) * (len(boosting.SMALL_SHAPES) + 1))
    probabilities = np.empty(len(labels))
    for fold, (rest, own) in enumerate(stratified_folds(labels, folds, chance.seed), start=1):
        steps.name = f"cross-validation, fold {fold} of {folds}"
        fitted = _fit(schema, rows_of(data, rest), labels[rest], boosting.SMALL_SHAPES, chance, steps.tick)
        probabilities[own] = _probabilities(fitted, rows_of(data, own))
    metrics = measure(labels, probabilities, folds=folds)
    steps.name = "training on all rows"
    final = _fit(schema, data, labels, boosting.SMALL_SHAPES, chance, steps.tick)
    return metrics, _evaluation(labels, probabilities, final, data), final


def _on_held_out(
    schema: FeatureSchema, training: tuple[Table, Labels], held_out: tuple[Table, Labels], chance: _Chance, progress: Progress
) -> tuple[ClassificationMetrics, ClassifierEvaluation, _Fitted]:
    steps = _Steps(progress, len(boosting.LARGE_SHAPES) + 1)
    steps.name = "training"
    if len(training[1]) < boosting.LARGE_ROWS:
        fitted = _fit(schema, *training, boosting.LARGE_SHAPES, chance, steps.tick)
    else:
        fitted = _fit_many(schema, *training, chance, steps.tick)
    probabilities = _probabilities(fitted, held_out[0])
    return measure(held_out[1], probabilities, folds=0), _evaluation(held_out[1], probabilities, fitted, held_out[0]), fitted


def _evaluation(labels: Labels, probabilities: Scores, final: _Fitted, data: Table) -> ClassifierEvaluation:
    return of_classifier(labels, probabilities, of_trees(final.encoder, final.classifier, data))


def _probabilities(fitted: _Fitted, data: Table) -> Scores:
    return fitted.calibration.apply(fitted.classifier.margins(fitted.encoder.transform(data)))


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


def _fit(  # noqa: PLR0913 - the data and what the result depends on
    schema: FeatureSchema, data: Table, labels: Labels, shapes: Sequence[Shape], chance: _Chance, tick: Callable[[], None]
) -> _Fitted:
    encoder, examples = _examples(schema, data, labels, chance)
    seed, threads = chance.seed, chance.threads
    # Another seed than the outer one: the same would part the same rows in the same order again.
    splits = stratified_folds(labels, INNER_FOLDS, seed + 1)
    tuning = boosting.tune(examples, splits, shapes, seed=seed, threads=threads, tick=tick)
    curve = calibration.fit(tuning.margins, labels[tuning.rows])
    classifier = boosting.train(examples, tuning.shape, tuning.rounds, seed=seed, threads=threads)
    tick()
    return _Fitted(encoder, classifier, curve, tuning.shape, tuning.rounds)


def _fit_many(schema: FeatureSchema, data: Table, labels: Labels, chance: _Chance, tick: Callable[[], None]) -> _Fitted:
    """Of very many rows: the shape by a sample, then one run of the trees that stops by rows it does not learn from."""
    _require_both_classes(labels, LARGE_VALIDATION, " beside those that measure")
    encoder, examples = _examples(schema, data, labels, chance)
    seed, threads = chance.seed, chance.threads
    rest, own = stratified_folds(labels, LARGE_VALIDATION, seed + 1)[0]
    step = -(-len(labels) // SHAPE_ROWS)
    sample = (rest[::step], own[::step])
    shape = boosting.tune(examples, [sample], boosting.LARGE_SHAPES, seed=seed, threads=threads, tick=tick).shape
    tuning, classifier = boosting.grow(examples, (rest, own), shape, seed=seed, threads=threads)
    curve = calibration.fit(tuning.margins, labels[tuning.rows])
    tick()
    return _Fitted(encoder, classifier, curve, shape, tuning.rounds)


def _examples(schema: FeatureSchema, data: Table, labels: Labels, chance: _Chance) -> tuple[Encoder, Examples]:
    encoder = Encoder.fit(schema, data)
    if not encoder.width:
        msg = f"no feature has a value that at least {MINIMUM_ROWS} rows share"
        raise TrainingDataInsufficient(msg)
    matrix = encoder.transform(data)
    return encoder, Examples.of(matrix, labels, lambda rows: mask(rows, encoder, chance.seed))


def _card(schema: FeatureSchema, fitted: _Fitted, seed: int) -> Card:
    settings: dict[str, str | int | float] = {
        "shape": fitted.shape.name,
        "depth": fitted.shape.depth,
        "rounds": fitted.rounds,
        "seed": seed,
    }
    return Card(schema, fitted.encoder, fitted.calibration, settings)


def _truth(labels: Sequence[bool] | Flags) -> Labels:
    found = np.asarray(labels)
    if not np.all((found == 0) | (found == 1)):
        msg = "a label is true or false"
        raise ValueError(msg)
    return found.astype(np.int8)


def _require_both_classes(labels: Labels, needed: int, where: str = "") -> None:
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if min(positives, negatives) < needed:
        msg = f"training needs at least {needed} rows of each outcome{where}; there are {positives} with it and {negatives} without"
        raise TrainingDataInsufficient(msg)
