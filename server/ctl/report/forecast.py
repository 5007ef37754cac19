"""Drawings and tables of forecasts."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from server.ctl.report import charts
from server.ctl.report.drawing import BLUE, GREY, ORANGE, PALE
from server.ctl.report.html import table
from server.ctl.report.model import Panel, Section, percent

if TYPE_CHECKING:
    from analytics.v1.models_pb2 import ForecastEvaluation
    from matplotlib.axes import Axes

    from server.ctl.report.versions import Compared

METRICS = (
    ("mase_median", "MASE, median of series", False),
    ("mase_mean", "MASE, mean of series", False),
    ("better_share", "series better than the naive forecast", True),
    ("wape", "WAPE", False),
    ("width", "width of the interval", False),
)
"""Field, name, whether larger is better."""

AIM = 0.8
"""Share of amounts that belongs inside of the interval."""

_NAIVE = "seasonal naive"


def summary(found: Compared) -> str:
    """How good they are, in a sentence or two."""
    metrics = found.model.forecast
    return (
        f"On held-out months of {metrics.series:,} series the median scaled error (MASE) is {metrics.mase_median:.3f}, that of the "
        f"seasonal naive forecast {metrics.baseline_mase_median:.3f}; {percent(metrics.better_share)} of the series are forecast better "
        f"than naively, and {percent(metrics.coverage, 1)} of the amounts lay in the 80 % interval."
    )


def panels(found: Compared) -> list[Panel]:
    """Error, coverage and loss by months ahead, series by error, importance, comparison."""
    ours = found.evaluation.forecast
    earlier = found.earlier.forecast if found.earlier is not None and found.earlier.HasField("forecast") else None
    rule = found.model.evidence.rule
    beside = " The dashed line is the version before, on the months of its own training." if earlier is not None else ""
    return [
        Panel(
            "Error by months ahead",
            partial(_by_horizon, found, earlier, "mase", "median scaled error (MASE)"),
            "Error of the median forecast in units of each series' own past naive error; below the naive forecast is better than "
            f"repeating last year.{beside}",
        ),
        Panel(
            "Coverage by months ahead",
            partial(_by_horizon, found, earlier, "coverage", "share inside of the 80 % interval"),
            f"An interval that says 80 % should hold 8 of 10 amounts: above the line it is too wide, below it too narrow.{beside}",
        ),
        Panel(
            "Pinball loss by months ahead",
            partial(_by_horizon, found, earlier, "pinball", "mean pinball loss, scaled"),
            f"Error of the 10 %, 50 % and 90 % quantile together, so of median and interval at once; smaller is better.{beside}",
        ),
        Panel(
            "Series by their error",
            partial(_series, ours),
            "How many series have which scaled error; 1 is what the naive forecast did in their past.",
        ),
        Panel(
            "Importance of features",
            partial(charts.importance, found=ours.importance, unit="relative to a usual month"),
            "By how much a feature moves the median, whichever way, in the mean over a sample of forecasts.",
        ),
        Panel(
            "Compared on the same months",
            partial(charts.same_rows, evidence=found.model.evidence, version=found.model.version, baseline="seasonal\nnaive"),
            f"Why it became active, or did not: both versions on {found.model.evidence.rows:,} forecasts: {rule}."
            if rule
            else "It was not judged against another version.",
        ),
    ]


def sections(found: Compared) -> list[Section]:
    """The same by months ahead in numbers, and the importance."""
    ours = found.evaluation.forecast
    horizons = [
        (
            str(each.months), f"{each.points:,}", f"{each.mase:.3f}", f"{each.baseline_mase:.3f}", percent(each.coverage, 1),
            percent(each.baseline_coverage, 1), f"{each.pinball:.4f}", f"{each.baseline_pinball:.4f}",
        )
        for each in ours.horizons
    ]  # fmt: skip
    columns = ["months ahead #", "forecasts #", "MASE #", "naive #", "coverage #", "naive #", "pinball #", "naive #"]
    features = [(str(place), charts.words(each.feature), f"{each.contribution:.3f}") for place, each in enumerate(ours.importance, start=1)]
    return [
        Section("By months ahead in numbers", table(columns, horizons)),
        Section("Importance in numbers", table(["#", "feature", "contribution, relative to a usual month #"], features)),
    ]


def _by_horizon(found: Compared, earlier: ForecastEvaluation | None, field: str, label: str, axes: Axes) -> None:
    ours = found.evaluation.forecast.horizons
    months = [each.months for each in ours]
    figures, naive = ([getattr(each, name) for each in ours] for name in (field, f"baseline_{field}"))
    axes.plot(months, figures, color=BLUE, marker="o", markersize=5, label=f"this version, {found.model.version}", zorder=3)
    axes.plot(months, naive, color=GREY, marker="s", markersize=4, linewidth=1.4, label=_NAIVE)
    highest = max(*figures, *naive, 1e-9)
    if earlier is not None and found.previous is not None:
        then = [getattr(each, field) for each in earlier.horizons]
        highest = max(highest, *then)
        axes.plot(
            [each.months for each in earlier.horizons], then,
            color=ORANGE, marker="^", markersize=4, linestyle=(0, (5, 2)), linewidth=1.6, label=found.previous.version, zorder=4,
        )  # fmt: skip
    if field == "coverage":
        axes.axhline(AIM, color=GREY, linestyle=":", linewidth=1.2, label="80 %")
        axes.set_ylim(0, 1.03)
    else:
        axes.set_ylim(0, highest * 1.12)
    axes.set_xticks(months)
    axes.set_xlabel("months ahead")
    axes.set_ylabel(label)
    axes.legend(loc="lower right")


def _series(ours: ForecastEvaluation, axes: Axes) -> None:
    edges = list(ours.error_edges)
    names = [f"{low:g}-{high:g}" for low, high in pairwise(edges)] + [f"{edge:g} +" for edge in edges[-1:]]
    places = range(len(names))
    axes.bar([place - 0.2 for place in places], ours.series_by_error, 0.4, color=BLUE, label="this version")
    axes.bar([place + 0.2 for place in places], ours.baseline_by_error, 0.4, color=PALE, edgecolor=GREY, hatch="///", label=_NAIVE)
    axes.set_xticks(list(places), names, rotation=40, ha="right", fontsize=8.5)
    axes.set_xlabel("scaled error of a series (MASE)")
    axes.set_ylabel("series")
    axes.grid(visible=False, axis="x")
    # The legend has a strip above all bars to itself.
    axes.set_ylim(0, max(*ours.series_by_error, *ours.baseline_by_error, 1) * 1.2)
    axes.legend(loc="upper center", ncols=2)
