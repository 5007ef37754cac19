"""Drawings that several reports have: importance, bars side by side, counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.ctl.report.drawing import BLUE, GREY, INK, ORANGE, bare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analytics.v1.models_pb2 import FeatureImportance, ModelEvidence
    from matplotlib.axes import Axes

MOST_FEATURES = 15
_MEASURES = {"brier_score": "Brier score", "mase_median": "median scaled error (MASE)"}


def importance(axes: Axes, found: Sequence[FeatureImportance], unit: str) -> None:
    """The most important features, the first on top."""
    shown = list(found)[:MOST_FEATURES][::-1]
    if not shown:
        bare(axes, "No feature was measured.")
        return
    values = [each.contribution for each in shown]
    axes.barh([words(each.feature) for each in shown], values, color=BLUE, height=0.7)
    for place, value in enumerate(values):
        axes.text(value, place, f" {value:.2g}", va="center", fontsize=8, color=INK)
    axes.set_xlim(0, max(*values, 1e-9) * 1.15)
    axes.set_xlabel(f"mean size of contribution, {unit}")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelsize=8.5)


def same_rows(axes: Axes, evidence: ModelEvidence, version: str, baseline: str) -> None:
    """Losses of a version, of the one that was active, and of the naive baseline on the same rows."""
    bars = [(f"this version\n{version}", evidence.loss, BLUE)]
    if evidence.HasField("active_loss"):
        bars.append((f"active before\n{evidence.active_version}", evidence.active_loss, ORANGE))
    if evidence.HasField("baseline_loss"):
        bars.append((baseline, evidence.baseline_loss, GREY))
    if not evidence.measure:
        bare(axes, "It was not judged yet.")
        return
    names, losses, colours = zip(*bars, strict=True)
    axes.bar(names, losses, color=colours, width=0.55)
    for place, loss in enumerate(losses):
        axes.annotate(f"{loss:.4f}", (place, loss), (0, 4), textcoords="offset points", ha="center", va="bottom", fontsize=9, color=INK)
    axes.set_ylim(0, max(*losses, 1e-9) * 1.18)
    axes.set_ylabel(f"{_MEASURES.get(evidence.measure, words(evidence.measure))} (smaller is better)")
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)


def words(name: str) -> str:
    """A name of the contract for people: `monthly_income` is `monthly income`."""
    return name.replace("_", " ")
