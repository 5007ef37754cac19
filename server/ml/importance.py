"""How much each feature matters to a trained model: by what it adds to scores, and by what its splits gained.

What always holds: a figure belongs to a whole feature, all columns of a category together, and is a mean over many rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.ml.encoding import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.ml.boosting import Classifier
    from server.ml.encoding import Encoder, Table
    from server.ml.evaluation import Rows, Scores

EXPLAINED_ROWS = 256
"""So many rows are explained; about 1 ms each."""

_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Importance:
    """How much a feature matters.

    Args:
        feature: its name.
        contribution: mean absolute Shapley value over a sample of rows: of a classifier in log-odds before calibration, of forecasts
            relative to the usual size of a month.
        gain_share: share of the loss reduction of all splits that are its own, 0 to 1, 0 when nothing was gained at all; None of
            forecasts, whose trees start from a season that no split gained.

    """

    feature: str
    contribution: float
    gain_share: float | None


def of_trees(encoder: Encoder, classifier: Classifier, data: Table) -> tuple[Importance, ...]:
    """How much each feature of the trees matters on rows of a table, of which a sample is explained."""
    rows = len(next(iter(data.values())))
    contributions = classifier.contributions(encoder.transform(rows_of(data, spread(rows))))[:, :-1]
    names = [encoding.feature.name for encoding in encoder.features]
    return importances(names, encoder.origin, contributions, classifier.gains())


def importances(names: Sequence[str], origin: Sequence[int], contributions: Scores, gains: Scores | None = None) -> tuple[Importance, ...]:
    """How much each feature matters, the most important first; equal ones by name.

    Args:
        names: of the features.
        origin: for each matrix column the position of its feature in `names`.
        contributions: Shapley values (rows, columns).
        gains: loss reduction of the splits on each column (columns,), at least 0; None when it says nothing.

    """
    count = len(names)
    member = np.zeros((len(origin), count))
    member[np.arange(len(origin)), np.array(origin, dtype=np.intp)] = 1.0
    # A category's columns belong together: their contributions to a row add up before their size is taken.
    sizes = np.abs(contributions @ member).mean(axis=0)
    shares = [None] * count if gains is None else _shares(gains @ member)
    found = [Importance(name, round(float(size), _DECIMALS), share) for name, size, share in zip(names, sizes, shares, strict=True)]
    return tuple(sorted(found, key=lambda item: (-item.contribution, -(item.gain_share or 0.0), item.feature)))


def spread(rows: int, most: int = EXPLAINED_ROWS) -> Rows:
    """Places of at most `most` of so many rows, evenly apart."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.intp))


def _shares(gains: Scores) -> list[float]:
    total = float(gains.sum())
    return [round(float(gain) / total, _DECIMALS) if total > 0 else 0.0 for gain in gains]
