"""Panels as SVG for the page, and all of them as one PNG.

What always holds: the same report gives the same bytes; text is drawn as it is, never as formulas.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from server.ctl.render import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from server.ctl.report.model import Panel, Report

# Okabe & Ito 2008: told apart with every kind of colour vision; shapes and dashes say it again.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE = "#56B4E9", "#CC79A7"
INK, GREY, PALE = "#1F2933", "#6B7480", "#DDE2E8"

_DPI = 120
_GAP = 0.55
_HEADER = 0.85
_LINE = 0.24
_FOOTER = 0.45
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 2.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "analyticsctl",
}


def svg(panel: Panel) -> bytes:
    """One panel, without its title, which stands above it on the page."""
    with _styled():
        figure = _figure(panel.size)
        panel.draw(figure.add_subplot())
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def png(report: Report) -> bytes:
    """All panels of a report under its title."""
    rows = math.ceil(len(report.panels) / report.columns)
    columns = min(report.columns, len(report.panels))
    width = sum(max(panel.size[0] for panel in report.panels[column::columns]) for column in range(columns))
    heights = [max(panel.size[1] for panel in report.panels[row * columns : (row + 1) * columns]) + _GAP for row in range(rows)]
    words = textwrap.wrap(plain(report.summary), int(width * 11.5))
    header = _HEADER + _LINE * len(words)
    total = sum(heights) + header + _FOOTER
    with _styled():
        figure = _figure((width, total))
        within = (0.005, _FOOTER / total, 0.99, 1 - (header + _FOOTER) / total)
        figure.set_layout_engine("constrained", rect=within, w_pad=0.15, h_pad=0.15)
        grid = figure.add_gridspec(rows, columns, height_ratios=heights)
        for place, panel in enumerate(report.panels):
            axes = figure.add_subplot(grid[divmod(place, columns)])
            panel.draw(axes)
            axes.set_title(panel.title, loc="left", fontsize=11.5, fontweight="bold", pad=10)
        figure.text(0.012, 1 - 0.32 / total, report.title, fontsize=17, fontweight="bold", va="center")
        figure.text(0.012, 1 - 0.62 / total, "\n".join(words), fontsize=10.5, color=GREY, va="top", linespacing=1.45)
        figure.text(0.012, 0.2 / total, report.footer, fontsize=9, color=GREY, va="center")
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()


def bare(axes: Axes, words: str) -> None:
    """Say in place of a drawing why there is none."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", color=GREY, fontsize=11, wrap=True, transform=axes.transAxes)


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second, and only reports need it

    return Figure(figsize=size, layout="constrained", facecolor="white")


@contextmanager
def _styled() -> Iterator[None]:
    from matplotlib import rc_context  # noqa: PLC0415 - as above

    with rc_context(_STYLE), warnings.catch_warnings():
        # A letter that the font does not have is drawn as a box; the page below has it as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
