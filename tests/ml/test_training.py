from __future__ import annotations

import json

import numpy as np
import pytest

from server.ml import boosting
from server.ml.evaluation import brier_score, calibration_error, roc_auc
from server.ml.features import FeatureKind, FeatureSpec
from server.ml.schema import FeatureSchema
from server.ml.scoring import Scorer
from server.ml.training import TrainingDataInsufficient, train_classifier
from tests.ml.rows import SCHEMA, sample
from tests.ml.trained import small


def test_metrics_of_cross_validation_agree_with_rows_never_seen() -> None:
    rows, fresh = sample(1500, seed=11), sample(20_000, seed=12)
    model = train_classifier(SCHEMA, rows.columns, rows.labels, seed=0)
    probabilities = np.array(Scorer.load(model.artifact, model.card).probabilities(fresh.columns))
    labels, truth = np.array(fresh.labels, dtype=np.int8), np.array(fresh.truth)
    assert roc_auc(labels, probabilities) == pytest.approx(model.metrics.roc_auc, abs=0.03)
    assert roc_auc(labels, probabilities) > roc_auc(labels, truth) - 0.02
    assert brier_score(labels, probabilities) == pytest.approx(model.metrics.brier_score, abs=0.02)
    assert calibration_error(labels, probabilities) < 0.04
    assert (model.metrics.rows, model.metrics.folds) == (1500, 5)


def test_labels_without_any_signal_measure_as_chance() -> None:
    rows = sample(500, seed=1)
    labels = (np.random.default_rng(2).random(500) < 0.3).tolist()
    metrics = train_classifier(SCHEMA, rows.columns, labels, seed=0).metrics
    assert 0.38 < metrics.roc_auc < 0.62
    assert metrics.brier_score == pytest.approx(metrics.base_rate * (1 - metrics.base_rate), abs=0.02)
    assert metrics.calibration_error < 0.08


def test_the_same_rows_and_seed_give_the_same_bytes() -> None:
    rows, model = small()
    again = train_classifier(SCHEMA, rows.columns, rows.labels, seed=7, folds=2)
    assert again.artifact == model.artifact
    assert json.dumps(again.card) == json.dumps(model.card)
    assert again.metrics == model.metrics


def test_control_another_seed_gives_other_bytes() -> None:
    rows, model = small()
    assert train_classifier(SCHEMA, rows.columns, rows.labels, seed=8, folds=2).artifact != model.artifact


def test_an_input_with_features_left_out_is_judged_by_what_is_known() -> None:
    rows, fresh = sample(1500, seed=11), sample(20_000, seed=12)
    model = train_classifier(SCHEMA, rows.columns, rows.labels, seed=0, folds=2)
    sparse = {"pay": fresh.columns["pay"], "over_time": fresh.columns["over_time"]}
    probabilities = np.array(Scorer.load(model.artifact, model.card).probabilities(sparse))
    labels = np.array(fresh.labels, dtype=np.int8)
    assert calibration_error(labels, probabilities) < 0.05
    assert roc_auc(labels, probabilities) > 0.6


@pytest.mark.parametrize("positives", [0, 9, 391, 400])
def test_too_few_rows_of_one_outcome_are_refused_with_their_counts(positives: int) -> None:
    rows = sample(400)
    labels = [position < positives for position in range(400)]
    with pytest.raises(TrainingDataInsufficient, match=f"there are {positives} with it and {400 - positives} without"):
        train_classifier(SCHEMA, rows.columns, labels, seed=0)


def test_the_fewest_allowed_rows_train() -> None:
    rows = sample(20)
    for folds in (2, 5):
        metrics = train_classifier(SCHEMA, rows.columns, [True, False] * 10, seed=0, folds=folds).metrics
        assert metrics.rows == 20


def test_more_folds_need_more_rows() -> None:
    rows = sample(20)
    with pytest.raises(TrainingDataInsufficient, match="at least 12 rows of each outcome"):
        train_classifier(SCHEMA, rows.columns, [True, False] * 10, seed=0, folds=6)


def test_features_without_any_frequent_value_are_refused() -> None:
    schema = FeatureSchema((FeatureSpec("unit", FeatureKind.CATEGORY),))
    with pytest.raises(TrainingDataInsufficient, match="no feature has a value that at least 20 rows share"):
        train_classifier(schema, {"unit": [str(row) for row in range(40)]}, [True, False] * 20, seed=0)


def test_labels_that_are_neither_true_nor_false_and_lengths_that_differ_are_refused() -> None:
    rows = sample(40)
    with pytest.raises(ValueError, match="a label is true or false"):
        train_classifier(SCHEMA, rows.columns, [True, None] * 20, seed=0)  # type: ignore[list-item]  # the wrong type is the point
    with pytest.raises(ValueError, match="the same length"):
        train_classifier(SCHEMA, rows.columns, [True, False] * 19, seed=0)


def test_progress_rises_to_1_and_names_what_it_is_at() -> None:
    rows = sample(100)
    seen: list[tuple[float, str]] = []
    train_classifier(SCHEMA, rows.columns, rows.labels, seed=0, folds=2, progress=lambda *step: seen.append(step))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert [name for _, name in seen[::3]] == ["cross-validation, fold 1 of 2", "cross-validation, fold 2 of 2", "training on all rows"]


class Stop(Exception):
    """What a cancelled run raises."""


def test_an_exception_from_progress_ends_the_training() -> None:
    rows = sample(100)
    seen: list[float] = []

    def progress(share: float, _step: str) -> None:
        seen.append(share)
        raise Stop

    with pytest.raises(Stop):
        train_classifier(SCHEMA, rows.columns, rows.labels, seed=0, progress=progress)
    assert len(seen) == 1


@pytest.fixture
def very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are treated as very many."""
    monkeypatch.setattr(boosting, "MANY_ROWS", 1)
    monkeypatch.setattr(boosting, "LARGE_ROWS", 1)


@pytest.mark.usefixtures("very_many")
def test_nothing_is_learned_from_held_out_rows_of_one_outcome_and_a_fifth_of_the_others_measures() -> None:
    rows = sample(600)
    out = np.array([not label and number % 2 == 0 for number, label in enumerate(rows.labels)])
    model = train_classifier(SCHEMA, rows.columns, rows.labels, seed=0, held_out=out)
    other = {name: list(column) for name, column in rows.columns.items()}
    for place in np.nonzero(out)[0]:
        other["pay"][place], other["over_time"][place] = 1.0, True
    again = train_classifier(SCHEMA, other, rows.labels, seed=0, held_out=out)
    assert (again.artifact, again.card, again.metrics) == (model.artifact, model.card, model.metrics)
    assert model.rows + model.metrics.rows == 600 - out.sum()
    # The control: what measures has both outcomes, and a row that is not held out matters.
    assert 0 < model.metrics.base_rate < 1
    other["over_time"] = [True] * 600
    assert train_classifier(SCHEMA, other, rows.labels, seed=0, held_out=out).artifact != model.artifact


@pytest.mark.usefixtures("very_many")
def test_too_few_rows_of_one_outcome_among_very_many_are_refused_with_their_counts() -> None:
    rows = sample(400)
    labels = [position < 10 for position in range(400)]
    with pytest.raises(TrainingDataInsufficient, match=r"at least 10 rows of each outcome beside .*; there are 8 with it and 312 without"):
        train_classifier(SCHEMA, rows.columns, labels, seed=0)
