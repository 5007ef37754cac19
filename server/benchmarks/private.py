"""Put noise into the cells of a release that are large enough for it, as far as their budget goes; pure but for the noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from server.benchmarks.catalogue import BY_NAME
from server.benchmarks.model import Band, Withheld
from server.stats.private_quantiles import private_quartiles

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from server.benchmarks.model import Place, Release, Sheet, Shown


def large_cells(release: Release) -> Sequence[tuple[Sheet, Place]]:
    """Return the cells that are released with noise, if at all."""
    return [(sheet.sheet, place) for sheet in release.sheets for place in sheet.private]


def with_noise(
    release: Release, paid: Collection[tuple[Sheet, Place]], kept: Mapping[tuple[Sheet, Place], Shown], epsilon: float
) -> Release:
    """Return the release with private figures in its large cells.

    Args:
        release: as it was decided.
        paid: the large cells whose budget was charged with `epsilon`; no other gets new figures.
        kept: the cells that show a private release now; it stays where the budget is spent.
        epsilon: what the three figures of a cell cost together.

    """

    def private(cell: Shown, values: Sequence[float]) -> Shown:
        name = (cell.sheet, cell.place)
        if name in paid:
            return replace(cell, quartiles=private_quartiles(values, BY_NAME[cell.sheet.metric].grid, epsilon), epsilon=epsilon)
        if name in kept:
            return replace(kept[name], main=cell.main)
        return replace(cell, quartiles=None, band=Band.NONE, withheld=Withheld.BUDGET_SPENT)

    sheets = [
        replace(sheet, cells=[private(cell, sheet.private[cell.place]) if cell.place in sheet.private else cell for cell in sheet.cells])
        for sheet in release.sheets
    ]
    return replace(release, sheets=sheets)
