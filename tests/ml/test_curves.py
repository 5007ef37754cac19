from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from server.ml import curves, importance
from server.ml.boosting import SMALL_SHAPES, Examples, train
from server.ml.evaluation import Labels, Scores, average_precision, calibration_error, roc_auc
from server.ml.scoring import Scorer
from server.stats.normal import QUANTILE_975
from tests.ml.rows import SCHEMA
from tests.ml.trained import small

unhurried = settings(deadline=None)  # the machine is shared; how long an example takes says nothing

TOLERANCE = 0.001


def trapezoids(curve: curves.Curve) -> float:
    return float(np.trapezoid(curve.y, curve.x))


def steps(curve: curves.Curve) -> float:
    return float(np.sum(np.diff(curve.x, prepend=0.0) * np.array(curve.y)))


def drawn(seed: int, rows: int, strength: float, decimals: int, share: float) -> tuple[Labels, Scores]:
    """Rows whose score knows something of the outcome; few decimals make ties."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(rows) < share).astype(np.int8)
    labels[:2] = (0, 1)
    return labels, np.round(1 / (1 + np.exp(-(generator.normal(size=rows) + strength * labels))), decimals)


many_rows = st.builds(
    drawn,
    seed=st.integers(0, 2**31 - 1),
    rows=st.integers(2, 6000),
    strength=st.floats(-3, 6),
    decimals=st.integers(1, 12),
    share=st.floats(0.01, 0.99),
)


def teeth(count: int, width: int, height: int) -> tuple[Labels, Scores]:
    """A saw: in turns so many negatives and so many positives. No curve has more corners of one side."""
    labels = np.tile(np.repeat([0, 1], [width, height]), count).astype(np.int8)
    return labels, np.linspace(1, 0, len(labels))


saws = st.builds(teeth, count=st.integers(1, 1500), width=st.integers(1, 9), height=st.integers(1, 9))


@unhurried
@given(many_rows | saws)
@example(teeth(199, 1, 1))
@example(teeth(300, 7, 1))
@example(teeth(2000, 1, 1))
def test_the_area_under_a_thinned_roc_curve_is_that_of_scikit_learn(rows: tuple[Labels, Scores]) -> None:
    labels, scores = rows
    curve = curves.roc(labels, scores)
    assert len(curve.x) == len(curve.y) <= curves.POINTS
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert np.all(np.diff(curve.x) >= 0)
    assert np.all(np.diff(curve.y) >= 0)
    assert trapezoids(curve) == pytest.approx(reference.roc_auc_score(labels, scores), abs=TOLERANCE)


@unhurried
@given(many_rows | saws)
def test_the_area_under_a_thinned_precision_recall_curve_is_that_of_scikit_learn(rows: tuple[Labels, Scores]) -> None:
    labels, scores = rows
    curve = curves.precision_recall(labels, scores)
    assert len(curve.x) == len(curve.y) <= curves.POINTS
    assert curve.x[-1] == 1
    assert np.all(np.diff(curve.x) > 0)
    assert all(0 <= value <= 1 for value in curve.y)
    assert steps(curve) == pytest.approx(reference.average_precision_score(labels, scores), abs=TOLERANCE)


@pytest.mark.parametrize("seed", range(3))
def test_points_of_a_curve_that_needs_no_thinning_are_those_of_scikit_learn(seed: int) -> None:
    labels, scores = drawn(seed, 90, 1.0, 2, 0.4)
    false_positives, true_positives, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
    curve = curves.roc(labels, scores)
    theirs = {(round(x, 6), round(y, 6)) for x, y in zip(false_positives, true_positives, strict=True)}
    ours = set(zip(curve.x, curve.y, strict=True))
    assert ours <= theirs
    assert trapezoids(curve) == pytest.approx(roc_auc(labels, scores), abs=1e-5)
    precision, recall, _ = reference.precision_recall_curve(labels, scores)
    found = curves.precision_recall(labels, scores)
    assert set(zip(found.x, found.y, strict=True)) <= {(round(x, 6), round(y, 6)) for x, y in zip(recall, precision, strict=True)}
    assert steps(found) == pytest.approx(average_precision(labels, scores), abs=1e-5)


def test_a_point_of_a_thinned_roc_curve_is_one_of_the_exact_curve() -> None:
    labels, scores = drawn(5, 5000, 1.0, 12, 0.3)
    false_positives, true_positives, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
    exact = {(round(x, 6), round(y, 6)) for x, y in zip(false_positives, true_positives, strict=True)}
    curve = curves.roc(labels, scores)
    assert 100 < len(curve.x) <= curves.POINTS
    assert set(zip(curve.x, curve.y, strict=True)) <= exact


def test_control_a_curve_thinned_without_regard_to_its_area_is_too_far_off() -> None:
    """Every second corner of a saw: all errors have one sign."""
    labels, scores = teeth(199, 1, 1)
    hits, alarms = curves._running(labels, scores)
    x, y = np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1])
    assert abs(np.trapezoid(y[1::2], x[1::2]) - roc_auc(labels, scores)) > TOLERANCE


@unhurried
@given(many_rows)
def test_reliability_bins_hold_every_row_once_and_give_the_calibration_error(rows: tuple[Labels, Scores]) -> None:
    labels, probabilities = rows
    bins = curves.reliability(labels, probabilities)
    assert sum(each.rows for each in bins) == len(labels)
    assert [each.probability for each in bins] == sorted(each.probability for each in bins)
    assert all(0 <= each.lower <= each.share <= each.upper <= 1 for each in bins)
    error = sum(each.rows * abs(each.probability - each.share) for each in bins) / len(labels)
    assert error == pytest.approx(calibration_error(labels, probabilities), abs=1e-5)


def test_reliability_bins_have_equal_counts_where_probabilities_differ() -> None:
    labels, probabilities = drawn(1, 1000, 1.0, 12, 0.3)
    assert [each.rows for each in curves.reliability(labels, probabilities)] == [100] * 10


@pytest.mark.parametrize(
    ("positives", "rows", "lower", "upper"),
    # Newcombe 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_of_shares_are_wilsons(positives: int, rows: int, lower: float, upper: float) -> None:
    assert curves.wilson(positives, rows, QUANTILE_975) == pytest.approx((lower, upper), abs=5e-5)
    assert curves.wilson(rows - positives, rows) == pytest.approx((1 - upper, 1 - lower), abs=5e-5)


def test_an_evaluation_counts_scores_by_outcome_and_is_plain_json() -> None:
    labels = np.array([1, 0, 1, 0], dtype=np.int8)
    found = curves.of_classifier(labels, np.array([1.0, 0.0, 0.951, 0.049]), [])
    assert (found.rows, found.positives) == (4, 2)
    assert (found.positives_by_score[-1], sum(found.positives_by_score)) == (2, 2)
    assert (found.negatives_by_score[0], sum(found.negatives_by_score)) == (2, 2)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["roc"] == {"x": [0.0, 0.0, 1.0], "y": [0.0, 1.0, 1.0]}


@pytest.mark.parametrize("label", [0, 1])
def test_rows_of_one_outcome_have_no_roc_curve(label: int) -> None:
    with pytest.raises(ValueError, match="positives"):
        curves.of_classifier(np.full(5, label, dtype=np.int8), np.linspace(0, 1, 5), [])


def test_the_columns_of_a_category_count_together() -> None:
    found = importance.importances(["pay", "unit"], [0, 1, 1], np.array([[1.0, 2.0, -2.0], [-1.0, 3.0, 1.0]]), np.array([1.0, 1.0, 2.0]))
    assert [(each.feature, each.contribution, each.gain_share) for each in found] == [("unit", 2.0, 0.75), ("pay", 1.0, 0.25)]
    nothing = importance.importances(["pay", "age"], [0, 1], np.zeros((3, 2)), np.zeros(2))
    assert [(each.feature, each.gain_share) for each in nothing] == [("age", 0.0), ("pay", 0.0)]


def test_the_rows_that_are_explained_are_spread_over_all() -> None:
    assert importance.spread(3).tolist() == [0, 1, 2]
    assert importance.spread(1).tolist() == [0]
    many = importance.spread(100_000)
    assert (len(many), many[0], many[-1]) == (importance.EXPLAINED_ROWS, 0, 99_999)


def test_a_training_leaves_the_evaluation_of_the_rows_its_metrics_are_of() -> None:
    rows, model = small()
    found = model.evaluation
    assert (found.rows, found.positives) == (400, sum(rows.labels))
    assert trapezoids(found.roc) == pytest.approx(model.metrics.roc_auc, abs=TOLERANCE)
    assert steps(found.precision_recall) == pytest.approx(model.metrics.pr_auc, abs=TOLERANCE)
    assert {each.feature for each in found.importance} == set(SCHEMA.names)
    assert sum(each.gain_share or 0 for each in found.importance) == pytest.approx(1, abs=1e-4)
    assert found.importance[0].contribution >= found.importance[-1].contribution >= 0


def test_importances_are_the_means_of_what_single_rows_are_explained_by() -> None:
    rows, model = small()
    scorer = Scorer.load(model.artifact, model.card)
    names = list(rows.columns)
    places = importance.spread(400)
    explained = [
        scorer.explain({name: rows.columns[name][place] for name in names if rows.columns[name][place] is not None}) for place in places
    ]
    for each in model.evaluation.importance:
        assert each.contribution == pytest.approx(np.mean([abs(one.values[each.feature]) for one in explained]), abs=1e-5)


def test_a_column_that_no_tree_splits_on_gained_nothing() -> None:
    generator = np.random.default_rng(5)
    matrix = generator.normal(size=(300, 3)).astype(np.float32)
    labels = (matrix[:, 0] + generator.normal(size=300) > 0).astype(np.int8)
    matrix[:, 1] = 7
    gains = train(Examples.of(matrix, labels, lambda rows: rows), SMALL_SHAPES[0], 20, seed=0).gains()
    assert gains.shape == (3,)
    assert gains[1] == 0
    assert gains[0] > gains[2] > 0
