"""What a report consists of, whatever it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from matplotlib.axes import Axes

    from server.ctl.report.html import Html

    Draw: TypeAlias = Callable[[Axes], None]


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing.

    Args:
        title: what is drawn.
        draw: draws it, with labelled axes.
        note: how to read it, a sentence or two below the drawing.
        size: width and height in inches.

    """

    title: str
    draw: Draw
    note: str
    size: tuple[float, float] = (5.6, 4.3)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what is below it."""

    title: str
    content: Html


@dataclass(frozen=True, slots=True)
class Report:
    """A page and its picture.

    Args:
        title: what it is about.
        summary: the most important finding, in sentences.
        rows: how many there are of what, for example `1,470 rows`.
        facts: name and value, at the top.
        panels: drawings, the same in page and picture.
        sections: tables and texts below them.
        columns: of the picture.
        made: when, UTC.
        source: address of the server.

    """

    title: str
    summary: str
    rows: str
    facts: Sequence[tuple[str, str]]
    panels: Sequence[Panel]
    sections: Sequence[Section]
    made: datetime
    source: str
    columns: int = 3

    @property
    def footer(self) -> str:
        """Of how many rows it is, when it was made and from what."""
        return f"{self.rows}; made {self.made:%Y-%m-%d %H:%M} UTC from {self.source}"


def percent(share: float, decimals: int = 0) -> str:
    """A share for people: 0.125 is `12.5 %` with one decimal."""
    return f"{100 * share:.{decimals}f} %"
