"""What a report draws of a classifier: curves, reliability bins, a histogram of scores.

What always holds: everything is an aggregate over at least the rows of a bin and names no row; numbers are finite and rounded to
six decimals; the areas under thinned curves differ from the exact ones by less than 0.001; `to_json` is plain JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.ml.evaluation import BINS, Labels, Scores, midranks
from server.stats.normal import QUANTILE_975

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.ml.evaluation import Rows
    from server.ml.importance import Importance

POINTS = 1000
"""The most points of a curve."""

STEP = 0.004
"""Points of a thinned ROC curve are at most this far apart, false and true positive rate added, but for straight parts.

A chord over (dx, dy) of a rising curve is off by dx dy / 2 at most, so by `STEP`^2 / 8; all chords together, `STEP` / 4 = 0.001.
"""

SCORE_BINS = 20
"""Bins of the histogram, of equal width, from 0 to 1."""

_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (x, y) of a curve in the order of rising x, both 0 to 1."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of about the same probability: what was said (mean probability), and what came (share of positives).

    `lower` and `upper` are the 95 % interval of that share by Wilson's score (Wilson 1927).
    """

    rows: int
    probability: float
    share: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class ClassifierEvaluation:
    """What there is to draw of a classifier, of rows it was not trained on.

    Args:
        rows: how many rows.
        positives: how many of them have the outcome.
        roc: false positive rate and true positive rate; straight between points.
        precision_recall: recall, and the mean precision on the way to it from the point before; a step from point to point, so
            that the area is the average precision exactly.
        reliability: bins of about equal counts, by rising probability.
        negatives_by_score: rows without the outcome in each of `SCORE_BINS` bins of probability.
        positives_by_score: rows with it.
        importance: by feature, the most important first; of the final trees.

    """

    rows: int
    positives: int
    roc: Curve
    precision_recall: Curve
    reliability: tuple[ReliabilityBin, ...]
    negatives_by_score: tuple[int, ...]
    positives_by_score: tuple[int, ...]
    importance: tuple[Importance, ...]

    def to_json(self) -> dict[str, object]:
        """A plain value for JSON."""
        return {"kind": "classifier", **asdict(self)}


def of_classifier(labels: Labels, probabilities: Scores, importance: Sequence[Importance]) -> ClassifierEvaluation:
    """Everything about calibrated probabilities (n,) of rows that were not trained on.

    Raises:
        ValueError: the labels are all alike.

    """
    positive = labels == 1
    place = np.minimum((probabilities * SCORE_BINS).astype(np.intp), SCORE_BINS - 1)
    return ClassifierEvaluation(
        rows=len(labels),
        positives=int(positive.sum()),
        roc=roc(labels, probabilities),
        precision_recall=precision_recall(labels, probabilities),
        reliability=reliability(labels, probabilities),
        negatives_by_score=_counts(place[~positive], SCORE_BINS),
        positives_by_score=_counts(place[positive], SCORE_BINS),
        importance=tuple(importance),
    )


def roc(labels: Labels, scores: Scores) -> Curve:
    """The receiver operating characteristic from (0, 0) to (1, 1), at most `POINTS` points of it.

    Raises:
        ValueError: the labels are all alike.

    """
    hits, alarms = _running(labels, scores)
    if not hits[-1] or not alarms[-1]:
        msg = "a ROC curve needs positives and negatives"
        raise ValueError(msg)
    x, y = np.append(0.0, alarms / alarms[-1]), np.append(0.0, hits / hits[-1])
    kept = _corners(x, y)
    x, y = x[kept], y[kept]
    chosen = _thinned(x + y)
    return _curve(x[chosen], y[chosen])


def precision_recall(labels: Labels, scores: Scores) -> Curve:
    """Recall and precision, at most `POINTS` points by rising recall.

    Where there are more thresholds, a point has the mean precision over the recall since the point before.

    Raises:
        ValueError: there is no positive.

    """
    hits, alarms = _running(labels, scores)
    if not len(hits) or not hits[-1]:
        msg = "precision and recall need positives"
        raise ValueError(msg)
    rising = np.nonzero(np.diff(hits, prepend=0.0))[0]
    recall, precision = hits[rising] / hits[-1], hits[rising] / (hits[rising] + alarms[rising])
    ends = np.unique(np.ceil(np.linspace(0, len(rising), min(POINTS, len(rising)) + 1)[1:]).astype(np.intp)) - 1
    area = np.cumsum(np.diff(recall, prepend=0.0) * precision)[ends]
    return _curve(recall[ends], np.diff(area, prepend=0.0) / np.diff(recall[ends], prepend=0.0))


def reliability(labels: Labels, probabilities: Scores, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Bins of about equal counts, by rising probability; equal probabilities share one, and empty ones are left out."""
    rows = len(labels)
    bin_of = np.minimum(((midranks(probabilities) - 0.5) * bins / rows).astype(np.intp), bins - 1)
    found = []
    for number in np.unique(bin_of):
        own = bin_of == number
        count, positives = int(own.sum()), int(np.sum(labels[own] == 1))
        lower, upper = wilson(positives, count)
        said = float(probabilities[own].mean())
        found.append(ReliabilityBin(count, _round(said), _round(positives / count), _round(lower), _round(upper)))
    return tuple(found)


def wilson(positives: int, rows: int, quantile: float = QUANTILE_975) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927), 95 % unless told otherwise; `rows` at least 1."""
    share, squared = positives / rows, quantile**2
    middle = (share + squared / (2 * rows)) / (1 + squared / rows)
    half = quantile / (1 + squared / rows) * float(np.sqrt(share * (1 - share) / rows + squared / (4 * rows**2)))
    # Rounding may put the bound of 0 or of all a hair beyond the share.
    return max(min(middle - half, share), 0.0), min(max(middle + half, share), 1.0)


def _running(labels: Labels, scores: Scores) -> tuple[Scores, Scores]:
    """Positives and negatives at or above each distinct score, from the highest score on."""
    order = np.argsort(-scores, kind="stable")
    ordered, hit = scores[order], labels[order] == 1
    last_of_ties = np.append(np.nonzero(ordered[1:] != ordered[:-1])[0], len(ordered) - 1)
    return np.cumsum(hit)[last_of_ties].astype(np.float64), np.cumsum(~hit)[last_of_ties].astype(np.float64)


def _corners(x: Scores, y: Scores) -> Rows:
    """Points where a line turns; those between are on it."""
    dx, dy = np.diff(x), np.diff(y)
    turns = np.abs(dx[:-1] * dy[1:] - dx[1:] * dy[:-1]) > np.finfo(np.float64).eps * (np.abs(dx[:-1] * dy[1:]) + np.abs(dx[1:] * dy[:-1]))
    return np.concatenate([[0], np.nonzero(turns)[0] + 1, [len(x) - 1]]).astype(np.intp)


def _thinned(along: Scores) -> Rows:
    """Places of the first and last point and of those between that no chord of `STEP` spares; two steps pass more than `STEP`."""
    chosen = [0]
    while chosen[-1] < len(along) - 1:
        here = chosen[-1]
        farthest = int(np.searchsorted(along, along[here] + STEP, side="right")) - 1
        chosen.append(max(farthest, here + 1))
    return np.array(chosen, dtype=np.intp)


def _curve(x: Scores, y: Scores) -> Curve:
    return Curve(tuple(_round(value) for value in x), tuple(_round(value) for value in y))


def _counts(places: Rows, length: int) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(places, minlength=length))


def _round(value: float) -> float:
    return round(float(value), _DECIMALS)
