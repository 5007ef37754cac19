"""Classifiers: turnover, contract risk, performance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from server.ml.evaluation import brier_score
from server.ml.scoring import Scorer
from server.ml.training import TrainingDataInsufficient, train_classifier
from workers.strategies.model import Judged, Trained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import date

    from server.db import ReadTx
    from server.ml.encoding import Table
    from server.ml.evaluation import Labels, Scores
    from server.ml.schema import FeatureSchema
    from server.registry.model import Artifact, Json
    from server.training.model import PooledRows, Read
    from workers.strategies.model import Progress, Rival

SEED = 20_260_101
FEWEST_ROWS = 20
"""Held-out rows without which nobody can say which version is better."""


@dataclass(frozen=True, slots=True)
class Classifying:
    """Pooled rows with an outcome each."""

    features: FeatureSchema
    pooled: PooledRows
    schema: Json
    rows: int
    contributors: int
    cutoff: date | None

    def train(self, progress: Progress) -> Trained:
        """Train on the rows that are not held out."""
        pooled = self.pooled
        trained = train_classifier(self.features, pooled.columns, pooled.labels, seed=SEED, held_out=pooled.held_out, progress=progress)
        metrics = trained.metrics
        baseline = {"baseline_brier_score": metrics.base_rate * (1 - metrics.base_rate)}
        return Trained(trained.artifact, trained.card, {**asdict(metrics), **baseline}, trained.rows, trained.evaluation.to_json())

    def objection(self, metrics: Json) -> str:
        """Compare with knowing the base rate, on more rows than are held out where those are few."""
        ours, prior = metrics["brier_score"], metrics["baseline_brier_score"]
        if isinstance(ours, float) and isinstance(prior, float) and ours >= prior:
            return f"no better than the base rate: Brier score {ours:.4f}, base rate alone {prior:.4f}"
        return ""

    def judge(self, candidate: Artifact, active: Rival | None) -> Judged:
        """Compare by the Brier score on the rows of held-out subjects, on which no version is trained.

        Raises:
            TrainingDataInsufficient: fewer than `FEWEST_ROWS` rows are of held-out subjects, as when all rows are of a few subjects.

        """
        pooled = self.pooled
        chosen = np.nonzero(pooled.held_out)[0]
        if len(chosen) < FEWEST_ROWS:
            msg = f"{len(chosen)} of {len(pooled)} rows are of subjects that are held out; at least {FEWEST_ROWS} are needed to judge"
            raise TrainingDataInsufficient(msg)
        judging = pooled.at(chosen)
        truth, columns = judging.labels.astype(np.int8), judging.columns
        # What a version says that knows the base rate of the rows it may learn from.
        base_rate = float(pooled.labels[~pooled.held_out].mean())
        return Judged(
            rule="all rows of held-out subjects, on which no version is trained",
            rows=len(chosen),
            measure="brier_score",
            candidate=brier_score(truth, _probabilities(candidate, columns)),
            baseline=brier_score(truth, np.full(len(truth), base_rate)),
            active=None if active is None else _loss(active.artifact, columns, truth),
        )


def _loss(artifact: Artifact, columns: Table, truth: Labels) -> float | None:
    try:
        return brier_score(truth, _probabilities(artifact, columns))
    except (ValueError, KeyError, TypeError):
        return None


def _probabilities(artifact: Artifact, columns: Table) -> Scores:
    """A version of another schema sees the features that it knows."""
    scorer = Scorer.load(artifact.content, artifact.card)
    return scorer.batch({name: columns[name] for name in scorer.schema.names if name in columns}).probabilities


async def read_labelled(
    features: FeatureSchema, read: Callable[[ReadTx], Awaitable[Read[PooledRows]]], tx: ReadTx, /
) -> Callable[[], Classifying]:
    """Read the rows of a type."""
    return partial(_course, features, await read(tx))


def _course(features: FeatureSchema, rows: Read[PooledRows]) -> Classifying:
    pooled = rows()
    return Classifying(features, pooled, features.to_json(), len(pooled), pooled.contributors, pooled.cutoff)
