"""The report of the benchmarks."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from analytics.v1.benchmarks_pb2 import (
    Benchmark,
    BenchmarkDirection,
    BenchmarkLevel,
    BenchmarkPosition,
    BenchmarkUnit,
    ContributorBand,
    WithheldReason,
)
from analytics.v1.tenant_service_pb2 import CompanySizeRange, Industry

from server.ctl.render import when
from server.ctl.report import charts
from server.ctl.report.drawing import BLUE, GREY, INK, ORANGE, RED, bare
from server.ctl.report.html import Html, joined, table, tag
from server.ctl.report.model import Panel, Report, Section
from server.ctl.values import named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from matplotlib.axes import Axes

_ROW_INCHES, _FRAME_INCHES, _WIDTH_INCHES = 0.26, 1.5, 8.2

_WHY = {
    WithheldReason.WITHHELD_REASON_TOO_FEW_ORGANIZATIONS: "fewer than ten organizations",
    WithheldReason.WITHHELD_REASON_DOMINATED: "one organization has more than a quarter of the weight",
    WithheldReason.WITHHELD_REASON_COMPLEMENTARY: "with the cells that are shown it would open one that is withheld",
    WithheldReason.WITHHELD_REASON_BUDGET_SPENT: "this year's privacy budget is spent",
    WithheldReason.WITHHELD_REASON_NOT_RELEASED: "not released yet, or not in this currency",
}

_SHORT = {
    WithheldReason.WITHHELD_REASON_DOMINATED: "one weighs too much",
    WithheldReason.WITHHELD_REASON_COMPLEMENTARY: "would open another",
}

_NOTE = (
    "Bars reach from the 25th to the 75th percentile of the organizations, the mark is the median. A dashed outline is of a withheld "
    "cell: the closest coarser cell that may be shown stands in its place. "
)

_NOTHING = Panel("Benchmarks", partial(bare, words="There is no cell to draw."), "What was asked for has no cell.")


def report(found: Sequence[Benchmark], *, compare: bool, made: datetime, source: str) -> Report:
    """Everything about the cells that were asked for."""
    metrics = [(metric, list(cells)) for metric, cells in groupby(found, key=lambda cell: cell.metric)]
    withheld = sum(cell.withheld for cell in found)
    updated = [when(cell.last_updated) for cell in found if cell.HasField("last_updated")]
    return Report(
        title="Benchmarks",
        summary=_summary(len(found), withheld),
        rows=f"{len(found)} cells, {withheld} withheld",
        facts=[
            ("metrics", ", ".join(charts.words(metric) for metric, _ in metrics)),
            ("cells", str(len(found))),
            ("withheld", str(withheld)),
            ("released", max(updated, default="not yet")),
        ],
        panels=[_panel(metric, cells, compare=compare) for metric, cells in metrics] or [_NOTHING],
        sections=[*_why(found), *(Section(_title(metric, cells), _table(cells, compare=compare)) for metric, cells in metrics)],
        made=made,
        source=source,
    )


def figure(cell: Benchmark, value: float) -> str:
    """A value in the unit of its cell."""
    if cell.unit == BenchmarkUnit.BENCHMARK_UNIT_SHARE:
        return f"{100 * value:.2f} %"
    if cell.unit == BenchmarkUnit.BENCHMARK_UNIT_PERCENT:
        return f"{value:.2f} %"
    return f"{value:,.0f}" if cell.unit == BenchmarkUnit.BENCHMARK_UNIT_MONEY else f"{value:.2f}"


def reason(cell: Benchmark) -> str:
    """Why a cell has no figures."""
    return _WHY.get(cell.withheld_reason, _word(cell))


def _word(cell: Benchmark) -> str:
    """The same as short as there is room for in a drawing."""
    return _SHORT.get(cell.withheld_reason, charts.words(named(WithheldReason.DESCRIPTOR, cell.withheld_reason)))


def shown(cell: Benchmark) -> Benchmark | None:
    """The figures for a cell: its own, of the coarser one, or none."""
    if not cell.withheld:
        return cell
    return cell.coarser if cell.HasField("coarser") else None


def _summary(cells: int, withheld: int) -> str:
    if not cells:
        return "No cell was asked for that there is."
    words = f"{cells} cells of metric, industry and size. "
    if not withheld:
        return words + "None is withheld."
    return words + f"{withheld} cells are withheld: they could tell something of a single organization, or were not released."


def _why(found: Sequence[Benchmark]) -> list[Section]:
    counts: dict[str, int] = {}
    for cell in found:
        if cell.withheld:
            counts[reason(cell)] = counts.get(reason(cell), 0) + 1
    if not counts:
        return []
    rows = [(name, str(count)) for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return [Section("Why cells are withheld", table(["reason", "cells #"], rows))]


def _title(metric: str, cells: Sequence[Benchmark]) -> str:
    better = {
        BenchmarkDirection.BENCHMARK_DIRECTION_HIGHER_IS_BETTER: ", higher is better",
        BenchmarkDirection.BENCHMARK_DIRECTION_LOWER_IS_BETTER: ", lower is better",
    }.get(cells[0].direction, "")
    return f"{charts.words(metric).capitalize()}{better}"


def _unit(cells: Sequence[Benchmark]) -> str:
    first = cells[0]
    if first.unit in {BenchmarkUnit.BENCHMARK_UNIT_SHARE, BenchmarkUnit.BENCHMARK_UNIT_PERCENT}:
        return "%"
    return first.currency or charts.words(named(BenchmarkUnit.DESCRIPTOR, first.unit))


def _place(cell: Benchmark) -> str:
    industry = charts.words(named(Industry.DESCRIPTOR, cell.industry)) if cell.industry else "all industries"
    return f"{industry}, {_size(cell)}"


def _size(cell: Benchmark) -> str:
    if not cell.company_size_range:
        return "all sizes"
    return named(CompanySizeRange.DESCRIPTOR, cell.company_size_range).replace("_to_", "-").replace("_and_more", "+")


def _table(cells: Sequence[Benchmark], *, compare: bool) -> Html:
    columns = ["industry", "size", "figures of", "25th #", "median #", "75th #", "organizations", "updated"]
    columns += ["own #", "falls"] if compare else []
    return joined(tag("p", f"In {_unit(cells)}."), table(columns, [_row(cell, compare=compare) for cell in cells]))


def _row(cell: Benchmark, *, compare: bool) -> list[str | Html]:
    figures = shown(cell)
    industry = charts.words(named(Industry.DESCRIPTOR, cell.industry)) if cell.industry else "all"
    row: list[str | Html] = [industry, _size(cell)]
    held = tag("span", f"withheld: {reason(cell)}", class_="withheld")
    if figures is None:
        row += [held, "", "", "", "", when(cell.last_updated)[:10]]
    else:
        level = charts.words(named(BenchmarkLevel.DESCRIPTOR, figures.level)) + (", with noise" if figures.private else "")
        row.append(joined(held, tag("p", f"instead: {level}")) if cell.withheld else level)
        row += [figure(figures, value) for value in (figures.percentile_25, figures.percentile_50, figures.percentile_75)]
        row += [charts.words(named(ContributorBand.DESCRIPTOR, figures.contributors)), when(figures.last_updated)[:10]]
    if compare:
        falls = charts.words(named(BenchmarkPosition.DESCRIPTOR, cell.position)) if cell.position else ""
        row += [figure(cell, cell.own_value) if cell.HasField("own_value") else "", falls]
    return row


def _panel(metric: str, cells: Sequence[Benchmark], *, compare: bool) -> Panel:
    own = "The vertical line is the organization's own value." if compare and any(cell.HasField("own_value") for cell in cells) else ""
    size = (_WIDTH_INCHES, _FRAME_INCHES + _ROW_INCHES * len(cells))
    return Panel(_title(metric, cells), partial(_draw, cells, compare), _NOTE + own, size)


def _draw(cells: Sequence[Benchmark], compare: bool, axes: Axes) -> None:  # noqa: FBT001 - bound by `partial`
    if not any(shown(cell) for cell in cells):
        bare(axes, f"Nothing may be shown: {', '.join(sorted({reason(cell) for cell in cells}))}.")
        return
    factor = 100 if cells[0].unit == BenchmarkUnit.BENCHMARK_UNIT_SHARE else 1
    labels = set[str]()

    def once(label: str) -> str:
        """Each kind of mark comes once in the legend."""
        new = label not in labels
        labels.add(label)
        return label if new else "_nolegend_"

    for place, cell in enumerate(cells):
        found = shown(cell)
        if found is not None:
            low, middle, high = (factor * value for value in (found.percentile_25, found.percentile_50, found.percentile_75))
            if cell.withheld:
                label = once("withheld, coarser cell instead")
                axes.barh(place, high - low, left=low, height=0.5, facecolor="none", edgecolor=GREY, linestyle="--", label=label)
                axes.plot(middle, place, "|", color=GREY, markersize=7, markeredgewidth=1.4)
            else:
                axes.barh(place, high - low, left=low, height=0.58, color=BLUE, alpha=0.45, label=once("25th to 75th percentile"))
                axes.plot(middle, place, "|", color=INK, markersize=9, markeredgewidth=2.2, linestyle="", label=once("median"))
        if cell.withheld:
            words = f"  {_word(cell)}" if found is not None else f"  withheld: {_word(cell)}"
            axes.text(1.0, place, words, transform=axes.get_yaxis_transform(), va="center", fontsize=7.5, color=GREY, style="italic")
    own = [cell.own_value for cell in cells if cell.HasField("own_value")]
    if compare and own:
        axes.axvline(factor * own[0], color=RED, linestyle="-.", linewidth=1.6, label="own value")
    _frame(axes, cells)


def _frame(axes: Axes, cells: Sequence[Benchmark]) -> None:
    axes.set_yticks(range(len(cells)), [_place(cell) for cell in cells], fontsize=8)
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    for place in range(1, len(cells)):
        if cells[place].industry != cells[place - 1].industry:
            axes.axhline(place - 0.5, color=ORANGE, linewidth=0.6, alpha=0.7)
    axes.use_sticky_edges = False
    axes.margins(x=0.04)
    axes.locator_params(axis="x", nbins=6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.set_xlabel(_unit(cells))
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.045 - 0.5 / max(len(cells), 1)), ncols=2)
