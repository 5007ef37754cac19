from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from server.ml.boosting import LARGE_ROWS, SMALL_SHAPES, ArtifactInvalid, Classifier, Examples, train, tune
from server.ml.evaluation import log_loss, stratified_folds

if TYPE_CHECKING:
    from server.ml.encoding import Matrix

ADDITIVE, INTERACTING = SMALL_SHAPES


def as_they_are(matrix: Matrix) -> Matrix:
    return matrix


def examples(count: int, *, interaction: bool) -> Examples:
    generator = np.random.default_rng(5)
    matrix = generator.normal(size=(count, 4)).astype(np.float32)
    margins = 3 * np.sign(matrix[:, 0] * matrix[:, 1]) if interaction else 2 * matrix[:, 0] - matrix[:, 1]
    labels = (generator.random(count) < 1 / (1 + np.exp(-margins))).astype(np.int8)
    return Examples.of(matrix, labels, as_they_are)


ROWS = examples(600, interaction=False)


def test_the_shape_follows_the_data() -> None:
    for interaction, expected in ((False, ADDITIVE), (True, INTERACTING)):
        rows = examples(600, interaction=interaction)
        splits = stratified_folds(rows.labels, 3, 0)
        assert tune(rows, splits, SMALL_SHAPES, seed=0).shape == expected


def test_held_out_log_odds_are_those_of_models_trained_without_their_rows() -> None:
    splits = stratified_folds(ROWS.labels, 3, 0)
    tuning = tune(ROWS, splits, [ADDITIVE], seed=0)
    assert sorted(tuning.rows.tolist()) == list(range(600))
    assert tuning.loss == log_loss(ROWS.labels[tuning.rows], tuning.margins)
    start = 0
    for rest, own in splits:
        part = Examples.of(ROWS.matrix[rest], ROWS.labels[rest], as_they_are)
        alone = train(part, tuning.shape, tuning.rounds, seed=0).margins(ROWS.matrix[own])
        np.testing.assert_allclose(tuning.margins[start : start + len(own)], alone, atol=1e-5)
        start += len(own)


def test_the_number_of_trees_is_where_held_out_loss_is_smallest() -> None:
    splits = stratified_folds(ROWS.labels, 3, 0)
    tuning = tune(ROWS, splits, [ADDITIVE], seed=0)
    assert 1 < tuning.rounds < ADDITIVE.most_rounds
    for rounds in (tuning.rounds // 2, tuning.rounds + 20):
        margins = np.empty(600)
        for rest, own in splits:
            part = Examples.of(ROWS.matrix[rest], ROWS.labels[rest], as_they_are)
            margins[own] = train(part, ADDITIVE, rounds, seed=0).margins(ROWS.matrix[own])
        assert log_loss(ROWS.labels, margins) > tuning.loss


def test_an_artifact_loads_to_the_same_model_and_is_no_pickle() -> None:
    model = train(ROWS, INTERACTING, 20, seed=0)
    artifact = model.to_bytes()
    assert artifact[:1] == b"{"
    read = Classifier.from_bytes(artifact, 4)
    np.testing.assert_array_equal(read.margins(ROWS.matrix), model.margins(ROWS.matrix))
    assert read.to_bytes() == Classifier.from_bytes(read.to_bytes(), 4).to_bytes()


@pytest.mark.parametrize("artifact", [b"", b"{", b"no model", b"{}", b"{L}", b"{L" + b"\x7f" * 30 + b"}", bytes(64), b"\x80\x04K\x01."])
def test_bytes_that_are_no_model_are_refused(artifact: bytes) -> None:
    with pytest.raises(ArtifactInvalid, match="the artifact is not a model"):
        Classifier.from_bytes(artifact, 4)


def test_a_truncated_artifact_is_refused() -> None:
    artifact = train(ROWS, ADDITIVE, 5, seed=0).to_bytes()
    for length in (1, len(artifact) // 2, len(artifact) - 1):
        with pytest.raises(ArtifactInvalid):
            Classifier.from_bytes(artifact[:length], 4)


def test_an_artifact_of_another_width_is_refused() -> None:
    with pytest.raises(ArtifactInvalid, match="reads 4 columns, its card says 5"):
        Classifier.from_bytes(train(ROWS, ADDITIVE, 5, seed=0).to_bytes(), 5)


def test_of_very_many_rows_masked_twins_stay_few_and_stand_for_all() -> None:
    count = 2 * LARGE_ROWS + 1
    matrix = np.zeros((count, 1), dtype=np.float32)
    rows = Examples.of(matrix, np.zeros(count, dtype=np.int8), as_they_are)
    data = rows.data(np.arange(count), 1)
    assert data.num_row() < count + LARGE_ROWS
    weights = data.get_weight()
    assert weights[count:].sum() == pytest.approx(0.3 * count, rel=1e-3)
    # A part has those of its own rows, and they stand for the others of the part.
    part = rows.data(np.arange(count // 2), 1)
    assert part.get_weight()[count // 2 :].sum() == pytest.approx(0.3 * (count // 2), rel=1e-3)
