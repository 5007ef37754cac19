"""One small model, trained once per test process."""

from __future__ import annotations

from functools import cache

from server.ml.scoring import Scorer
from server.ml.training import TrainedModel, train_classifier
from tests.ml.rows import SCHEMA, Sample, sample


@cache
def small() -> tuple[Sample, TrainedModel]:
    """400 rows and the model of them."""
    rows = sample(400)
    return rows, train_classifier(SCHEMA, rows.columns, rows.labels, seed=7, folds=2)


@cache
def scorer() -> Scorer:
    """The same model, as it is loaded."""
    _, model = small()
    return Scorer.load(model.artifact, model.card)
