"""How good a probability is: ranking, calibration, and the splits on which both are measured.

Labels are 0 and 1, scores are any finite numbers, probabilities lie in 0 to 1. Equal scores are always treated alike,
so that no measure depends on the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int8]
Scores = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

THRESHOLD = 0.5
BINS = 10


@dataclass(frozen=True, slots=True)
class ClassificationMetrics:
    """How good a classifier is on rows it was not trained on.

    All are 0 to 1 but `folds` and `rows`. `accuracy`, `precision`, `recall` and `f1` are at probability 0.5; a ratio
    with nothing below the line is 0. `base_rate` is the share of positives.
    """

    roc_auc: float
    pr_auc: float
    brier_score: float
    calibration_error: float
    accuracy: float
    precision: float
    recall: float
    f1: float
    base_rate: float
    folds: int
    rows: int


def measure(labels: Labels, probabilities: Scores, *, folds: int) -> ClassificationMetrics:
    """All metrics of out-of-fold probabilities.

    Raises:
        ValueError: the labels are all alike.

    """
    positive = labels == 1
    predicted = probabilities >= THRESHOLD
    hits = int(np.sum(predicted & positive))
    precision = hits / int(predicted.sum()) if predicted.any() else 0.0
    recall = hits / int(positive.sum()) if positive.any() else 0.0
    return ClassificationMetrics(
        roc_auc=roc_auc(labels, probabilities),
        pr_auc=average_precision(labels, probabilities),
        brier_score=brier_score(labels, probabilities),
        calibration_error=calibration_error(labels, probabilities),
        accuracy=float(np.mean(predicted == positive)),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if hits else 0.0,
        base_rate=float(positive.mean()),
        folds=folds,
        rows=len(labels),
    )


def roc_auc(labels: Labels, scores: Scores) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, a tie counting half.

    By the Mann-Whitney statistic over midranks, AUC = (R - P(P + 1)/2) / (P N), with R the sum of the positives' ranks
    (Hanley & McNeil 1982).

    Raises:
        ValueError: the labels are all alike.

    """
    positives = int(np.sum(labels == 1))
    negatives = len(labels) - positives
    if not positives or not negatives:
        msg = "ROC AUC needs positives and negatives"
        raise ValueError(msg)
    rank_sum = float(midranks(scores)[labels == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(labels: Labels, scores: Scores) -> float:
    """Area under the precision-recall curve as the step sum of (R_n - R_{n-1}) P_n over falling distinct scores.

    The definition of scikit-learn's `average_precision_score`; no interpolation, which would be too optimistic
    (Davis & Goadrich 2006).

    Raises:
        ValueError: there is no positive.

    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    hits = np.cumsum(labels[order] == 1)
    if not len(hits) or not hits[-1]:
        msg = "average precision needs positives"
        raise ValueError(msg)
    last_of_ties = np.append(np.nonzero(ordered[1:] != ordered[:-1])[0], len(ordered) - 1)
    precision = hits[last_of_ties] / (last_of_ties + 1)
    recall = hits[last_of_ties] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def brier_score(labels: Labels, probabilities: Scores) -> float:
    """Mean squared difference of probability and outcome (Brier 1950)."""
    return float(np.mean((probabilities - labels) ** 2))


def log_loss(labels: Labels, margins: Scores) -> float:
    """Mean negative log-likelihood of log-odds: log(1 + exp(m)) - y m."""
    return float(np.mean(np.logaddexp(0.0, margins) - labels * margins))


def calibration_error(labels: Labels, probabilities: Scores, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal mass: the mean over rows of |mean probability - share of positives| of their bin.

    Naeini, Cooper & Hauskrecht 2015, with quantile bins (Nixon et al. 2019). A row's bin follows from the midrank of
    its probability, so equal probabilities share a bin whatever the order of the rows.
    """
    rows = len(labels)
    bin_of = np.minimum(((midranks(probabilities) - 0.5) * bins / rows).astype(np.intp), bins - 1)
    gaps = np.bincount(bin_of, weights=probabilities, minlength=bins) - np.bincount(bin_of, weights=labels == 1, minlength=bins)
    return float(np.abs(gaps).sum() / rows)


def midranks(scores: Scores) -> Scores:
    """Rank of each score from 1, equal scores sharing the mean of theirs."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: Scores = (last - (counts - 1) / 2)[inverse]
    return middle


def stratified_folds(labels: Labels, folds: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Split rows into `folds` parts with the same share of positives, give or take one row.

    Returns:
        for each part the other rows and its own rows, both ascending.

    Raises:
        ValueError: a class has fewer rows than there are folds, or there are fewer than 2 folds.

    """
    part = _parts(labels, folds, seed)
    return [(np.nonzero(part != fold)[0], np.nonzero(part == fold)[0]) for fold in range(folds)]


def _parts(labels: Labels, folds: int, seed: int) -> Rows:
    generator = np.random.default_rng(seed)
    part = np.empty(len(labels), dtype=np.intp)
    dealt = 0
    for value in (0, 1):
        rows = np.nonzero(labels == value)[0]
        if folds < 2 or len(rows) < folds:  # noqa: PLR2004 - one part leaves nothing to train on
            msg = "every fold needs rows of both classes, and there are at least 2 folds"
            raise ValueError(msg)
        # The second class is dealt on from where the first ended: no fold is two rows larger than another.
        part[generator.permutation(rows)] = (np.arange(len(rows)) + dealt) % folds
        dealt += len(rows)
    return part
