"""Drawings and tables of a classifier."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from server.ctl.report import charts
from server.ctl.report.drawing import BLUE, GREY, ORANGE, SKY
from server.ctl.report.html import table
from server.ctl.report.model import Panel, Section, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analytics.v1.models_pb2 import ClassifierEvaluation
    from matplotlib.axes import Axes

    from server.ctl.report.versions import Compared

METRICS = (
    ("roc_auc", "ROC AUC", True),
    ("pr_auc", "PR AUC (average precision)", True),
    ("brier_score", "Brier score", False),
    ("calibration_error", "calibration error", False),
    ("accuracy", "accuracy at 0.5", True),
    ("precision", "precision at 0.5", True),
    ("recall", "recall at 0.5", True),
    ("f1", "F1 at 0.5", True),
)
"""Field, name, whether larger is better."""

_BASE_RATE = "base rate\nalone"


def summary(found: Compared) -> str:
    """How good it is, in a sentence or two."""
    metrics = found.model.classification
    against = f" against {metrics.baseline_brier_score:.3f} for saying the base rate each time" if metrics.baseline_brier_score else ""
    return (
        f"On {metrics.rows:,} rows that it was not trained on, the model ranks a positive above a negative with probability "
        f"{metrics.roc_auc:.3f} (ROC AUC), and its probabilities have a Brier score of {metrics.brier_score:.3f}{against}."
    )


def panels(found: Compared) -> list[Panel]:
    """ROC, precision and recall, calibration, probabilities, importance, comparison."""
    ours = found.evaluation.classifier
    earlier = found.earlier.classifier if found.earlier is not None and found.earlier.HasField("classifier") else None
    then = found.previous.version if found.previous is not None else ""
    rule = found.model.evidence.rule
    beside = f" The dashed line is version {then}, on the rows of its own training." if earlier is not None else ""
    return [
        Panel(
            "ROC curve",
            partial(_roc, found, ours, earlier),
            f"How many positives are found (up) for how many false alarms (right); the diagonal is chance.{beside}",
        ),
        Panel(
            "Precision and recall",
            partial(_precision_recall, found, ours, earlier),
            f"Of those called positive, how many are (up), for how many of all positives are found (right).{beside}",
        ),
        Panel(
            "Calibration",
            partial(_calibration, ours),
            "What was said (right) and what came (up), in bins of about equal size; bars are 95 % intervals. On the diagonal a "
            "probability of 0.3 comes true 3 times in 10.",
        ),
        Panel(
            "Predicted probabilities",
            partial(_scores, ours),
            "How the probabilities of rows with and without the outcome are spread, each as a share of its own rows.",
        ),
        Panel(
            "Importance of features",
            partial(charts.importance, found=ours.importance, unit="log-odds"),
            f"By how much a feature moves the log-odds of a row, whichever way, in the mean over a sample of rows; the first "
            f"{min(charts.MOST_FEATURES, len(ours.importance))} of {len(ours.importance)}.",
        ),
        Panel(
            "Compared on the same rows",
            partial(charts.same_rows, evidence=found.model.evidence, version=found.model.version, baseline=_BASE_RATE),
            f"Why it became active, or did not: both versions on {found.model.evidence.rows:,} rows: {rule}."
            if rule
            else "It was not judged against another version.",
        ),
    ]


def sections(found: Compared) -> list[Section]:
    """Calibration and importance in numbers."""
    ours = found.evaluation.classifier
    bins = [
        (f"{each.rows:,}", f"{each.probability:.3f}", f"{each.share:.3f}", f"{each.lower:.3f} to {each.upper:.3f}")
        for each in ours.reliability
    ]
    features = [
        (str(place), charts.words(each.feature), f"{each.contribution:.3f}", percent(each.gain_share, 1))
        for place, each in enumerate(ours.importance, start=1)
    ]
    return [
        Section("Calibration in numbers", table(["rows #", "mean probability #", "share of positives #", "95 % interval #"], bins)),
        Section("Importance in numbers", table(["#", "feature", "contribution, log-odds #", "share of gain #"], features)),
    ]


def _roc(found: Compared, ours: ClassifierEvaluation, earlier: ClassifierEvaluation | None, axes: Axes) -> None:
    label = f"{found.model.version}, AUC {found.model.classification.roc_auc:.3f}"
    axes.plot(ours.roc.x, ours.roc.y, color=BLUE, label=label, zorder=3)
    if earlier is not None and found.previous is not None:
        label = f"{found.previous.version}, AUC {found.previous.classification.roc_auc:.3f}"
        # On top: where both are the same, the one shows between the dashes of the other.
        axes.plot(earlier.roc.x, earlier.roc.y, color=ORANGE, linestyle=(0, (5, 2)), linewidth=1.6, label=label, zorder=4)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.2, label="chance, AUC 0.5")
    _unit(axes, "false positive rate", "true positive rate")
    axes.legend(loc="lower right")


def _precision_recall(found: Compared, ours: ClassifierEvaluation, earlier: ClassifierEvaluation | None, axes: Axes) -> None:
    label = f"{found.model.version}, AUC {found.model.classification.pr_auc:.3f}"
    axes.step(*_steps(ours), where="pre", color=BLUE, label=label, zorder=3)
    if earlier is not None and found.previous is not None:
        label = f"{found.previous.version}, AUC {found.previous.classification.pr_auc:.3f}"
        axes.step(*_steps(earlier), where="pre", color=ORANGE, linestyle=(0, (5, 2)), linewidth=1.6, label=label, zorder=4)
    base = ours.positives / max(ours.rows, 1)
    axes.axhline(base, color=GREY, linestyle=":", linewidth=1.2, label=f"chance, base rate {base:.3f}")
    _unit(axes, "recall", "precision")
    axes.legend(loc="best")


def _steps(evaluation: ClassifierEvaluation) -> tuple[Sequence[float], Sequence[float]]:
    curve = evaluation.precision_recall
    return [0.0, *curve.x], [*list(curve.y)[:1], *curve.y]


def _calibration(ours: ClassifierEvaluation, axes: Axes) -> None:
    bins = ours.reliability
    said, came = [each.probability for each in bins], [each.share for each in bins]
    spans = [[each.share - each.lower for each in bins], [each.upper - each.share for each in bins]]
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.2, label="perfect")
    axes.errorbar(
        said, came, yerr=spans, color=BLUE, marker="o", markersize=5, linewidth=1.4, elinewidth=1.0, capsize=3, label="this version"
    )
    # Rare outcomes leave most of the unit square empty.
    top = min(max([*said, *(each.upper for each in bins), 0.05]) * 1.08, 1.02)
    axes.set_xlim(-0.01 * top, top)
    axes.set_ylim(-0.01 * top, top)
    axes.set_xlabel("mean predicted probability")
    axes.set_ylabel("share that has the outcome")
    axes.legend(loc="upper left")


def _scores(ours: ClassifierEvaluation, axes: Axes) -> None:
    for counts, colour, label, hatch in (
        (ours.negatives_by_score, SKY, "without the outcome", ""),
        (ours.positives_by_score, ORANGE, "with the outcome", "///"),
    ):
        total, width = max(sum(counts), 1), 1 / max(len(counts), 1)
        places = [place * width for place in range(len(counts))]
        shares = [count / total for count in counts]
        axes.bar(
            places,
            shares,
            width,
            align="edge",
            color=colour,
            alpha=0.6,
            edgecolor=colour,
            hatch=hatch,
            label=f"{label} ({sum(counts):,} rows)",
        )
    axes.set_xlim(0, 1)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("share of rows")
    axes.legend(loc="upper right")


def _unit(axes: Axes, x: str, y: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
