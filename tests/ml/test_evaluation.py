from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from server.ml.evaluation import (
    average_precision,
    brier_score,
    calibration_error,
    log_loss,
    measure,
    midranks,
    roc_auc,
    stratified_folds,
)

if TYPE_CHECKING:
    from random import Random

    from server.ml.evaluation import Labels, Scores

unhurried = settings(deadline=None)  # the machine is shared; how long an example takes says nothing

# Few distinct values on purpose: ties are where implementations differ.
probability = st.sampled_from([0.0, 0.1, 0.1000001, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)


def arrays(pairs: list[tuple[bool, float]]) -> tuple[Labels, Scores]:
    return np.array([label for label, _ in pairs], dtype=np.int8), np.array([score for _, score in pairs])


both_classes = (
    st.lists(st.tuples(st.booleans(), probability), min_size=2, max_size=60)
    .filter(lambda pairs: len({label for label, _ in pairs}) == 2)
    .map(arrays)
)


@unhurried
@given(both_classes)
def test_roc_auc_is_that_of_scikit_learn(drawn: tuple[Labels, Scores]) -> None:
    labels, scores = drawn
    assert roc_auc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores), abs=1e-12)


@unhurried
@given(both_classes)
def test_average_precision_is_that_of_scikit_learn(drawn: tuple[Labels, Scores]) -> None:
    labels, scores = drawn
    assert average_precision(labels, scores) == pytest.approx(reference.average_precision_score(labels, scores), abs=1e-12)


@unhurried
@given(both_classes)
def test_the_other_measures_are_those_of_scikit_learn(drawn: tuple[Labels, Scores]) -> None:
    labels, scores = drawn
    measured = measure(labels, scores, folds=5)
    predicted = scores >= 0.5
    assert measured.brier_score == pytest.approx(reference.brier_score_loss(labels, scores), abs=1e-12)
    assert measured.accuracy == pytest.approx(reference.accuracy_score(labels, predicted), abs=1e-12)
    assert measured.precision == pytest.approx(reference.precision_score(labels, predicted, zero_division=0), abs=1e-12)
    assert measured.recall == pytest.approx(reference.recall_score(labels, predicted, zero_division=0), abs=1e-12)
    assert measured.f1 == pytest.approx(reference.f1_score(labels, predicted, zero_division=0), abs=1e-12)
    assert measured.base_rate == pytest.approx(labels.mean(), abs=1e-12)
    assert (measured.folds, measured.rows) == (5, len(labels))


@unhurried
@given(both_classes)
def test_log_loss_of_log_odds_is_that_of_scikit_learn(drawn: tuple[Labels, Scores]) -> None:
    labels, scores = drawn
    margins = 12 * scores - 6
    assert log_loss(labels, margins) == pytest.approx(reference.log_loss(labels, 1 / (1 + np.exp(-margins))), abs=1e-9)


@unhurried
@given(st.integers(0, 2**32 - 1))
def test_calibration_error_is_that_of_equal_quantile_bins(seed: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.random(200)
    labels = (generator.random(200) < probabilities**2).astype(np.int8)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=10, strategy="quantile")
    assert calibration_error(labels, probabilities) == pytest.approx(float(np.abs(observed - predicted).mean()), abs=1e-12)


@unhurried
@given(both_classes, st.randoms(use_true_random=False))
def test_no_measure_depends_on_the_order_of_the_rows(drawn: tuple[Labels, Scores], random: Random) -> None:
    labels, scores = drawn
    order = np.argsort([random.random() for _ in labels])
    for measured in (roc_auc, average_precision, brier_score, calibration_error):
        assert measured(labels[order], scores[order]) == pytest.approx(measured(labels, scores), abs=1e-12)


@unhurried
@given(both_classes)
def test_every_measure_lies_between_0_and_1(drawn: tuple[Labels, Scores]) -> None:
    labels, scores = drawn
    for measured in (roc_auc, average_precision, brier_score, calibration_error):
        assert 0 <= measured(labels, scores) <= 1


def test_calibration_error_of_one_probability_for_all_is_its_distance_from_the_base_rate() -> None:
    labels = np.array([1] * 3 + [0] * 7, dtype=np.int8)
    assert calibration_error(labels, np.full(10, 0.5)) == pytest.approx(0.2)
    assert calibration_error(labels, np.full(10, 0.3)) == pytest.approx(0.0)


def test_calibration_error_finds_overconfidence_and_not_its_absence() -> None:
    generator = np.random.default_rng(3)
    truth = generator.uniform(0.2, 0.8, 20_000)
    labels = (generator.random(20_000) < truth).astype(np.int8)
    overconfident = 1 / (1 + np.exp(-3 * np.log(truth / (1 - truth))))
    assert calibration_error(labels, truth) < 0.02
    assert calibration_error(labels, overconfident) > 0.1


def test_equal_scores_share_the_mean_of_their_ranks() -> None:
    assert midranks(np.array([5.0, 1.0, 5.0, 9.0])).tolist() == [2.5, 1.0, 2.5, 4.0]


def test_labels_that_are_all_alike_are_refused() -> None:
    with pytest.raises(ValueError, match="positives and negatives"):
        roc_auc(np.zeros(3, dtype=np.int8), np.arange(3.0))
    with pytest.raises(ValueError, match="needs positives"):
        average_precision(np.zeros(3, dtype=np.int8), np.arange(3.0))


@unhurried
@given(st.integers(2, 6), st.integers(0, 2**31 - 1), st.lists(st.booleans(), min_size=12, max_size=80))
def test_folds_part_the_rows_evenly_and_by_class(folds: int, seed: int, drawn: list[bool]) -> None:
    labels = np.array(drawn, dtype=np.int8)
    if min(labels.sum(), len(labels) - labels.sum()) < folds:
        with pytest.raises(ValueError, match="rows of both classes"):
            stratified_folds(labels, folds, seed)
        return
    splits = stratified_folds(labels, folds, seed)
    assert sorted(np.concatenate([own for _, own in splits]).tolist()) == list(range(len(labels)))
    for rest, own in splits:
        assert sorted([*rest.tolist(), *own.tolist()]) == list(range(len(labels)))
    positives = [int(labels[own].sum()) for _, own in splits]
    sizes = [len(own) for _, own in splits]
    assert max(positives) - min(positives) <= 1
    assert max(sizes) - min(sizes) <= 1


def test_the_seed_decides_the_folds() -> None:
    labels = np.array([0, 1] * 30, dtype=np.int8)
    first, again, other = (stratified_folds(labels, 5, seed) for seed in (1, 1, 2))
    assert [own.tolist() for _, own in first] == [own.tolist() for _, own in again]
    assert [own.tolist() for _, own in first] != [own.tolist() for _, own in other]


def test_fewer_than_two_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 folds"):
        stratified_folds(np.array([0, 1] * 30, dtype=np.int8), 1, 0)
