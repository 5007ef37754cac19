"""Drawings of reports can be read: a legend lies over no bar, and no line hides another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from analytics.v1 import models_pb2 as pb
from analytics.v1.benchmarks_pb2 import Benchmark
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from server.ctl.report import classifier, forecast
from server.ctl.report.drawing import BLUE, ORANGE
from server.ctl.report.of_benchmarks import report
from server.ctl.report.versions import Compared

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from server.ctl.report.model import Panel

EDGES = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0]
SAME_AS_BEFORE = ["ROC curve", "Precision and recall", "Error by months ahead", "Coverage by months ahead", "Pinball loss by months ahead"]


def compared(evaluation: pb.GetModelEvaluationResponse) -> Compared:
    """A version that is the same as the one before."""
    return Compared(pb.Model(version="1.1.0"), evaluation, pb.Model(version="1.0.0"), evaluation)


def of_forecasts(counts: list[int]) -> list[Panel]:
    """Drawings of forecasts, with so many series by their error."""
    horizons = [pb.ForecastHorizon(months=month, mase=0.8, baseline_mase=1.0, coverage=0.8, pinball=0.1) for month in range(1, 13)]
    evaluation = pb.ForecastEvaluation(horizons=horizons, error_edges=EDGES, series_by_error=counts, baseline_by_error=counts[::-1])
    return forecast.panels(compared(pb.GetModelEvaluationResponse(forecast=evaluation)))


def of_classifier() -> list[Panel]:
    """Drawings of a classifier."""
    curve = pb.Curve(x=[0, 0.1, 0.4, 1], y=[0, 0.6, 0.9, 1])
    evaluation = pb.ClassifierEvaluation(rows=100, positives=20, roc=curve, precision_recall=curve)
    return classifier.panels(compared(pb.GetModelEvaluationResponse(classifier=evaluation)))


def drawn(panels: list[Panel], title: str) -> Axes:
    """Draw one of them."""
    panel = next(panel for panel in panels if panel.title == title)
    figure = Figure(figsize=panel.size, layout="constrained")
    axes = figure.add_subplot()
    panel.draw(axes)
    figure.draw_without_rendering()
    return axes


def covered(axes: Axes) -> int:
    """How many bars the legend lies over."""
    legend = axes.get_legend()
    assert legend is not None
    box = legend.get_window_extent()
    return sum(box.overlaps(bar.get_window_extent()) for bar in axes.patches)


@pytest.mark.parametrize("counts", [[1, 2, 3, 5, 8, 13, 21], [21, 13, 8, 5, 3, 2, 1], [9] * 7, [0] * 7])
def test_the_legend_of_the_series_lies_over_no_bar(counts: list[int]) -> None:
    assert covered(drawn(of_forecasts(counts), "Series by their error")) == 0


def test_control_a_legend_without_room_of_its_own_lies_over_bars() -> None:
    axes = drawn(of_forecasts([9] * 7), "Series by their error")
    axes.set_ylim(0, 9)
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # a whole figure
    assert covered(axes) > 0


@pytest.mark.parametrize("title", SAME_AS_BEFORE)
def test_the_dashed_line_of_the_version_before_is_seen_also_where_both_are_the_same(title: str) -> None:
    axes = drawn([*of_classifier(), *of_forecasts([1] * 7)], title)
    lines = {to_hex(line.get_color()).upper(): line for line in axes.lines}
    before, this = lines[ORANGE], lines[BLUE]
    assert before.get_xydata().tolist() == this.get_xydata().tolist()  # type: ignore[union-attr]  # an array
    assert before.is_dashed()
    assert not this.is_dashed()
    assert before.get_zorder() > this.get_zorder()


def test_the_summary_of_benchmarks_counts_cells_of_metric_industry_and_size() -> None:
    cells = [Benchmark(metric=metric, withheld=True) for metric in ("a", "a", "b")]
    assert report(cells, compare=False, made=datetime(2026, 1, 1, tzinfo=UTC), source="").summary.startswith(
        "3 cells of metric, industry and size. 3 cells are withheld"
    )
