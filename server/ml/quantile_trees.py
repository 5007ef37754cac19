"""Trees for three quantiles at once (XGBoost, `reg:quantileerror`): 10 %, 50 % and 90 %.

What always holds: the same rows, seed and thread count give the same bytes, an artifact is UBJSON and never pickle, and the
quantiles of a row come out in order: crossing ones are sorted, which is never farther from the truth (Chernozhukov,
Fernandez-Val & Galichon 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xgboost

from server.ml.boosting import booster_of
from server.ml.importance import spread

if TYPE_CHECKING:
    from server.ml.encoding import Matrix
    from server.ml.series import Values

QUANTILES = (0.1, 0.5, 0.9)
_BINS = 64
_STOPPING = 10_000
"""So many of the later rows decide when to stop: they are scored after every round, and more would not tell another one."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the trees grow; every round adds one per quantile.

    Args:
        name: for the record.
        depth: splits on the way to a leaf.
        learning_rate: shrinkage of each tree's leaves.
        column_share: share of columns a tree may use.
        leaf_rows: fewest rows of a leaf, of which its quantiles are taken.
        most_rounds: largest number of rounds.
        patience: rounds without improvement after which tuning stops.

    """

    name: str
    depth: int
    learning_rate: float
    column_share: float
    leaf_rows: int
    most_rounds: int
    patience: int


SMALL = Shape("small", 3, 0.1, 0.5, 40, 300, 20)
LARGE = Shape("large", 4, 0.25, 0.5, 60, 60, 8)


class QuantileTrees:
    """Trained trees. Safe to use from several threads."""

    def __init__(self, booster: xgboost.Booster, columns: int) -> None:
        """Take a trained booster over `columns` columns."""
        booster.set_param({"nthread": 1})
        self._booster = booster
        # XGBoost configures itself at the first prediction, which two threads must not do at once.
        self.quantiles(np.zeros((1, columns), dtype=np.float32))
        self.contributions(np.zeros((1, columns), dtype=np.float32))

    def quantiles(self, matrix: Matrix) -> Values:
        """The quantiles (n, 3), in order, of the rows of a matrix (n, columns)."""
        found = np.asarray(self._booster.inplace_predict(matrix), dtype=np.float64).reshape(len(matrix), len(QUANTILES))
        return np.sort(found, axis=1)

    def contributions(self, matrix: Matrix) -> Values:
        """Shapley values (n, columns + 1) of the median's trees, the last column the bias; a row adds up to its median.

        Exact for trees (Lundberg, Erion & Lee 2018); before sorting, which rarely moves the median.
        """
        found = self._booster.predict(xgboost.DMatrix(matrix, nthread=1), pred_contribs=True)
        return np.asarray(found, dtype=np.float64).reshape(len(matrix), len(QUANTILES), -1)[:, 1, :]

    def to_bytes(self) -> bytes:
        """The trees as UBJSON."""
        return bytes(self._booster.save_raw("ubj"))

    @classmethod
    def from_bytes(cls, artifact: bytes, columns: int) -> QuantileTrees:
        """Read what `to_bytes` wrote.

        Raises:
            ArtifactInvalid: it is something else, or reads another number of columns.

        """
        return cls(booster_of(artifact, columns, outputs=len(QUANTILES)), columns)


@dataclass(frozen=True, slots=True)
class Growth:
    """What training depends on beside the rows."""

    shape: Shape
    seed: int
    threads: int

    def train(self, matrix: Matrix, target: Values, rounds: int) -> QuantileTrees:
        """Train so many rounds."""
        data = xgboost.QuantileDMatrix(matrix, target, max_bin=_BINS, nthread=self.threads)
        return QuantileTrees(xgboost.train(self._parameters(), data, rounds), matrix.shape[1])

    def tune(self, matrix: Matrix, target: Values, later: Matrix, outcomes: Values) -> tuple[QuantileTrees, int]:
        """Train as many rounds as forecast later rows best, by the mean pinball loss of the three quantiles.

        Returns:
            the trees of those rounds, and how many there are.

        """
        data = xgboost.QuantileDMatrix(matrix, target, max_bin=_BINS, nthread=self.threads)
        some = spread(len(later), _STOPPING)
        held_out = xgboost.QuantileDMatrix(later[some], outcomes[some], max_bin=_BINS, nthread=self.threads, ref=data)
        booster = xgboost.train(
            self._parameters(),
            data,
            self.shape.most_rounds,
            evals=[(held_out, "later")],
            early_stopping_rounds=self.shape.patience,
            verbose_eval=False,
        )
        rounds = booster.best_iteration + 1
        return QuantileTrees(booster[:rounds], matrix.shape[1]), rounds

    def _parameters(self) -> dict[str, str | int | float | bool | list[float]]:
        return {
            "objective": "reg:quantileerror",
            "quantile_alpha": list(QUANTILES),
            "tree_method": "hist",
            "max_bin": _BINS,
            "max_depth": self.shape.depth,
            "learning_rate": self.shape.learning_rate,
            "colsample_bytree": self.shape.column_share,
            "subsample": 0.6,
            "min_child_weight": self.shape.leaf_rows,
            "seed": self.seed,
            "seed_per_iteration": True,
            "nthread": self.threads,
            "verbosity": 0,
        }
