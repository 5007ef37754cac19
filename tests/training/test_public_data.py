"""How good the classifiers are on published data, from rows of the contract to metrics of rows never learned from.

Each test prints what it measured and holds it against saying the base rate for every row, and its probabilities against what
came. Files without a time are cross-validated; where there is one, the later rows judge. What is left out of each file, and why,
stands in `tests.support.public_data`; IBM's attrition file is in `tests/ml/test_ibm_attrition.py`, spend in the tests of forecasts.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from analytics.v1 import fact_service_pb2 as fs

from server.db.engines import DbRole
from server.ml import training
from server.ml.evaluation import brier_score, measure, stratified_folds
from server.ml.scoring import Scorer
from server.ml.training import train_classifier
from server.ml.turnover import TURNOVER
from server.registry.model import ModelType
from server.wire.employees import employee
from tests.support import live, public_data
from workers.strategies import STRATEGIES
from workers.strategies.classifying import Classifying

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from server.ml.evaluation import ClassificationMetrics
    from tests.support.live import Service

SEED = 0
FOLDS = 2
"""Each half is judged by the model of the other: what five parts would show is a little better, and takes longer."""

HALF = "8"
"""Keys of the Baltimore file are hexadecimal hashes; those before this one are every other person."""
LAST_TRAINED, JUDGED = date(2014, 6, 30), date(2015, 6, 30)
BATCH = 5_000


def better_than_the_prior(name: str, metrics: ClassificationMetrics, prior: float) -> float:
    """Print the figures; returns the share of the prior's Brier score that is gained."""
    gained = 1 - metrics.brier_score / prior
    print(
        f"{name}: {metrics.rows} rows, base rate {metrics.base_rate:.3f}, ROC AUC {metrics.roc_auc:.3f}, PR AUC {metrics.pr_auc:.3f}, "
        f"Brier {metrics.brier_score:.4f} (prior {prior:.4f}, {gained:.1%} gained), calibration error {metrics.calibration_error:.3f}"
    )
    return gained


async def load(service: Service, *batches: fs.IngestFactsRequest) -> None:
    """Load facts, all of whose rows are good."""

    async def stream() -> AsyncIterator[fs.IngestFactsRequest]:
        for batch in batches:
            yield batch

    answer = await service.facts.IngestFacts(stream(), metadata=live.bearer("acme"))
    assert [list(batch.errors) for batch in answer.batches] == [[]] * len(batches)


async def pooled(service: Service, kind: ModelType) -> Classifying:
    """Return the rows as a training reads them."""
    async with service.app.db.platform(DbRole.TRAINER) as tx:
        course = (await STRATEGIES[kind](tx))()
    assert isinstance(course, Classifying)
    return course


def cross_validated(course: Classifying, monkeypatch: pytest.MonkeyPatch) -> ClassificationMetrics:
    """Measure each half by the model of the other, as a scorer loads it."""
    monkeypatch.setattr(training, "INNER_FOLDS", FOLDS)
    truth = course.pooled.labels.astype(np.int8)
    probabilities = np.empty(len(truth))
    for rest, own in stratified_folds(truth, FOLDS, SEED):
        learned, judged = course.pooled.at(rest), course.pooled.at(own)
        model = train_classifier(course.features, learned.columns, learned.labels, seed=SEED, folds=FOLDS)
        probabilities[own] = Scorer.load(model.artifact, model.card).probabilities(judged.columns)
    return measure(truth, probabilities, folds=FOLDS)


def prior_of(metrics: ClassificationMetrics) -> float:
    """Brier score of the base rate of the very rows."""
    return metrics.base_rate * (1 - metrics.base_rate)


def test_turnover_of_a_city_is_ranked_a_year_ahead_with_roc_auc_of_at_least_0_70_and_calibrated() -> None:
    people = [person for person in map(employee, public_data.baltimore_employees(HALF)) if person.as_of <= JUDGED]
    columns = {name: [person.attributes.get(name) for person in people] for name in TURNOVER.names}
    labels, later = [bool(person.left_within_year) for person in people], [person.as_of > LAST_TRAINED for person in people]
    assert {person.as_of.year for person in people} == {2012, 2013, 2014, 2015}
    metrics = train_classifier(TURNOVER, columns, labels, seed=SEED, held_out=later).metrics
    assert (metrics.folds, metrics.rows) == (0, sum(later))
    before = np.mean([label for label, late in zip(labels, later, strict=True) if not late])
    truth = np.array([label for label, late in zip(labels, later, strict=True) if late], dtype=np.int8)
    gained = better_than_the_prior("Baltimore, FY2012-14 to FY2015", metrics, brier_score(truth, np.full(len(truth), before)))
    assert metrics.roc_auc >= 0.70
    assert metrics.pr_auc > 2 * metrics.base_rate
    assert gained > 0.04
    assert metrics.calibration_error <= 0.025


async def test_change_orders_of_defence_contracts_are_ranked_and_calibrated(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terminations alone are too few to learn from (20): the outcome is a change order, or the end of one of those few."""
    rows = list(public_data.csis_contracts())
    await load(idle, fs.IngestFactsRequest(contracts=fs.ContractBatch(contracts=rows)))
    metrics = cross_validated(await pooled(idle, ModelType.CONTRACT_RISK), monkeypatch)
    gained = better_than_the_prior("defence contracts", metrics, prior_of(metrics))
    assert metrics.rows == len(rows) == 4_334
    assert metrics.roc_auc >= 0.80
    assert metrics.pr_auc >= 4 * metrics.base_rate
    assert gained > 0.10
    assert metrics.calibration_error <= 0.02


async def test_telecom_contracts_that_lapse_are_ranked_and_calibrated(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(public_data.churn_contracts())
    parts = [rows[:BATCH], rows[BATCH:]]
    await load(idle, *(fs.IngestFactsRequest(contracts=fs.ContractBatch(contracts=part)) for part in parts))
    metrics = cross_validated(await pooled(idle, ModelType.CONTRACT_RISK), monkeypatch)
    gained = better_than_the_prior("telecom contracts", metrics, prior_of(metrics))
    assert metrics.rows == 7_043
    assert metrics.roc_auc >= 0.82
    assert gained > 0.25
    assert metrics.calibration_error <= 0.03


async def test_low_ratings_of_employees_are_ranked_and_calibrated(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    people = fs.IngestFactsRequest(employees=fs.EmployeeBatch(employees=public_data.inx_employees()))
    reviews = fs.IngestFactsRequest(performance_reviews=fs.PerformanceReviewBatch(reviews=public_data.inx_reviews()))
    await load(idle, people, reviews)
    course = await pooled(idle, ModelType.PERFORMANCE_PREDICTION)
    # Set after the rating, perhaps.
    assert "salary_hike_percent" not in course.features.names
    metrics = cross_validated(course, monkeypatch)
    gained = better_than_the_prior("ratings of INX", metrics, prior_of(metrics))
    assert (metrics.rows, sum(course.pooled.labels)) == (1_200, 194)
    assert metrics.roc_auc >= 0.95
    assert gained > 0.60
    assert metrics.calibration_error <= 0.03


async def test_sewing_teams_that_miss_their_target_are_ranked_on_the_days_after(idle: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plant changes within these ten weeks (more days are missed later on), so calibration is only as good as that allows."""
    reviews = fs.PerformanceReviewBatch(reviews=public_data.garments_reviews())
    await load(idle, fs.IngestFactsRequest(performance_reviews=reviews))
    monkeypatch.setattr(training, "INNER_FOLDS", FOLDS)
    course = await pooled(idle, ModelType.PERFORMANCE_PREDICTION)
    days = np.unique(course.pooled.dates)
    later = course.pooled.dates >= days[2 * len(days) // 3]
    before, after = (course.pooled.at(np.nonzero(later == which)[0]) for which in (False, True))
    model = train_classifier(course.features, before.columns, before.labels, seed=SEED, folds=FOLDS)
    probabilities = np.array(Scorer.load(model.artifact, model.card).probabilities(after.columns))
    truth = after.labels.astype(np.int8)
    metrics = measure(truth, probabilities, folds=0)
    gained = better_than_the_prior("sewing teams, later days", metrics, brier_score(truth, np.full(len(truth), np.mean(before.labels))))
    assert len(before) + len(after) == 1_197
    assert metrics.roc_auc >= 0.75
    assert gained > 0.15
    assert metrics.calibration_error <= 0.10


def test_control_labels_that_were_dealt_anew_gain_nothing() -> None:
    """What the tests above ask is not met by chance: with the labels of other rows the same data rank like a coin."""
    rows = list(public_data.inx_employees())[:600]
    labels = np.random.default_rng(SEED).permutation([review.score < review.target for review in public_data.inx_reviews()])[: len(rows)]
    people = [employee(row) for row in rows]
    columns = {name: [person.attributes.get(name) for person in people] for name in TURNOVER.names}
    metrics = train_classifier(TURNOVER, columns, labels.tolist(), seed=SEED, folds=FOLDS).metrics
    gained = better_than_the_prior("labels dealt anew", metrics, prior_of(metrics))
    assert abs(metrics.roc_auc - 0.5) < 0.1
    assert gained < 0.02
