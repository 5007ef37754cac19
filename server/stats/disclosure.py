"""Which cells of a table of organizations may be shown, so that no single one of them shows through.

The table has rows (industries) and columns (sizes); its cells are the places, the rows, the columns and the whole. The rules
and where they come from:

* threshold: a cell has at least ten organizations (Hundepool et al., "Statistical Disclosure Control", Wiley 2012, 4.2);
* dominance: none of them has more than a quarter of the cell's weight, the (1, 25 %) case of the (n, k) rule (4.2.1 there;
  Cox, "Linear sensitivity measures in statistical disclosure control", J. Statist. Plann. Inference 5, 1981);
* complementary suppression: nothing that shown cells leave after subtraction is smaller than a cell may be, or dominated
  (4.4 there; Fischetti and Salazar, "Solving the cell suppression problem on tabular data", Management Science 47, 2001);
* two releases: see `server.stats.membership`.

Percentiles do not add up as sums do. The rules hold for the sets of contributors all the same, as if they did: whoever can
tell a set apart can learn more about it than was meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from server.stats.membership import Shape, Unit

Cell: TypeAlias = tuple[int | None, int | None]
"""Row and column; None is all of them."""
WHOLE: Cell = (None, None)


@dataclass(frozen=True, slots=True)
class Rules:
    """The public bounds: organizations in a cell, the largest share of one, the smallest change between two releases."""

    organizations: int = 10
    largest_share: float = 0.25
    change: int = 3


RULES = Rules()


class Verdict(StrEnum):
    """What becomes of a cell; the texts are stored."""

    SHOWN = ""
    TOO_FEW = "too_few"
    DOMINATED = "dominated"
    COMPLEMENTARY = "complementary"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of every unit the organizations, the largest weight and the sum of the weights; three arrays of (rows + 1, columns + 1)."""

    organizations: NDArray[np.int64]
    largest: NDArray[np.float64]
    total: NDArray[np.float64]

    def of(self, where: tuple[slice | int | Sequence[int], slice | int]) -> tuple[int, float, float]:
        """Return the three of a part of the table."""
        return int(self.organizations[where].sum()), float(self.largest[where].max(initial=0)), float(self.total[where].sum())


def cells(shape: Shape) -> list[Cell]:
    """Return every cell: places first, then the whole, rows and columns."""
    rows, columns = range(shape.rows), range(shape.columns)
    return [*product(rows, columns), WHOLE, *((row, None) for row in rows), *((None, column) for column in columns)]


def units(cell: Cell, shape: Shape) -> Iterator[Unit]:
    """Return the units that a cell is made of; what is pooled counts in rows and in the whole, never in columns."""
    row, column = cell
    if cell == WHOLE:
        yield from product(range(shape.rows + 1), range(shape.columns + 1))
    elif column is None:
        yield from ((row or 0, each) for each in range(shape.columns + 1))
    elif row is None:
        yield from ((each, column) for each in range(shape.rows))
    else:
        yield row, column


def judge(sizes: Sizes, shape: Shape, earlier: Collection[Cell], rules: Rules = RULES) -> Mapping[Cell, Verdict]:
    """Decide about every cell: finest first, then the whole, then rows and columns, the larger first.

    Args:
        sizes: of the units.
        shape: of the table.
        earlier: cells that were shown with about the same organizations in a kept release; whoever kept the figures can
            subtract them now.
        rules: the bounds.

    """
    verdicts = {cell: _alone(sizes, cell, rules) for cell in cells(shape)}
    shown: set[Cell] = set()
    remembered = set(earlier)
    for cell in _by_rank(verdicts, sizes):
        if verdicts[cell] is not Verdict.SHOWN:
            continue
        if _opens(cell, shown, sizes, rules) or _opens(cell, remembered, sizes, rules):
            verdicts[cell] = Verdict.COMPLEMENTARY
        else:
            shown.add(cell)
            remembered.add(cell)
    return verdicts


def opened(shown: Collection[Cell], sizes: Sizes, rules: Rules = RULES) -> set[frozenset[Unit]]:
    """Return the sets of units that the shown cells tell apart by adding and subtracting, and that are no cell one may show.

    Exact for all sums and differences. Take away the places that are shown; what is left of the shown rows (and of the
    whole without them, if that is shown) are disjoint sets R, what is left of shown columns disjoint sets C. A combination
    gives a unit the sum of a number of its R and a number of its C, and tells a set apart where the sums are 0 and 1: a
    potential difference over a graph whose edges are the units. Cut at every level it falls apart into sets that are told
    apart themselves: some R, less all the C that lie inside of them; or some C, less the R inside of them. So it is enough
    to look at every choice of R, and at every choice of C.
    """
    rows, columns = sizes.organizations.shape
    here = Sizes(sizes.organizations.copy(), sizes.largest.copy(), sizes.total.copy())
    for row, column in shown:
        if row is not None and column is not None:
            here.organizations[row, column] = here.largest[row, column] = here.total[row, column] = 0
    shown_rows = [[row] for row in range(rows - 1) if (row, None) in shown]
    others = [row for row in range(rows) if (row, None) not in shown]
    groups = [*shown_rows, *([others] if WHOLE in shown else [])]
    fixed = [] if WHOLE in shown else [others]
    row_groups = [*groups, *fixed]
    column_groups = [[column] for column in range(columns)]
    narrow = _grouped(here, row_groups)
    free_columns = np.array([(None, column) in shown for column in range(columns - 1)] + [False])
    free_rows = np.array([True] * len(groups) + [False] * len(fixed))
    found = set()
    for chosen, closed in _bad_cuts(narrow, free_rows, free_columns, rules):
        found.add(_expanded(chosen, ~closed, row_groups, column_groups, here))
    turned = Sizes(narrow.organizations.T, narrow.largest.T, narrow.total.T)
    for chosen, closed in _bad_cuts(turned, free_columns, free_rows, rules):
        found.add(_expanded(~closed, chosen, row_groups, column_groups, here))
    return found


def _opens(cell: Cell, shown: set[Cell], sizes: Sizes, rules: Rules) -> bool:
    """Whether showing a cell beside others tells something apart that they do not tell apart already."""
    if cell in shown or not (None in cell or any(None in each for each in shown)):
        return False
    return bool(opened({*shown, cell}, sizes, rules) - opened(shown, sizes, rules))


def _alone(sizes: Sizes, cell: Cell, rules: Rules) -> Verdict:
    organizations, largest, total = sizes.of(_where(cell))
    if organizations < rules.organizations:
        return Verdict.TOO_FEW
    return Verdict.DOMINATED if largest > rules.largest_share * total else Verdict.SHOWN


def _where(cell: Cell) -> tuple[slice | int, slice | int]:
    row, column = cell
    if row is None:
        return (slice(None) if column is None else slice(-1)), slice(None) if column is None else column
    return row, slice(None) if column is None else column


def _by_rank(verdicts: Mapping[Cell, Verdict], sizes: Sizes) -> list[Cell]:
    """Return the cells in the order in which they are tried; of equals the first of the table comes first."""
    ranks = {(False, False): 0, (True, True): 1, (False, True): 2, (True, False): 3}
    return sorted(verdicts, key=lambda cell: (ranks[cell[0] is None, cell[1] is None], -sizes.of(_where(cell))[0]))


def _grouped(sizes: Sizes, groups: Sequence[Sequence[int]]) -> Sizes:
    counts, largest, total = sizes.organizations, sizes.largest, sizes.total
    return Sizes(
        np.array([counts[group].sum(axis=0) for group in groups]),
        np.array([largest[group].max(axis=0, initial=0) for group in groups]),
        np.array([total[group].sum(axis=0) for group in groups]),
    )


def _bad_cuts(
    sizes: Sizes, free: NDArray[np.bool_], closable: NDArray[np.bool_], rules: Rules
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield choices of `free` rows with the columns that lie inside of them, where what is left is too small or dominated."""
    numbers = np.flatnonzero(free)
    picks = np.arange(1, 2 ** len(numbers))
    chosen = np.zeros((len(picks), len(free)), dtype=np.bool_)
    chosen[:, numbers] = (picks[:, None] >> np.arange(len(numbers))) & 1 == 1
    inside = chosen @ sizes.organizations
    closed = closable & (inside == sizes.organizations.sum(axis=0))
    left = np.where(closed, 0, inside).sum(axis=1)
    total = np.where(closed, 0.0, chosen @ sizes.total).sum(axis=1)
    largest = np.where(closed, 0.0, (chosen[:, :, None] * sizes.largest).max(axis=1, initial=0)).max(axis=1, initial=0)
    bad = (left > 0) & ((left < rules.organizations) | (largest > rules.largest_share * total))
    for place in np.flatnonzero(bad):
        yield chosen[place], closed[place]


def _expanded(
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_],
    row_groups: Sequence[Sequence[int]],
    column_groups: Sequence[Sequence[int]],
    sizes: Sizes,
) -> frozenset[Unit]:
    chosen_rows = [row for place in np.flatnonzero(rows).tolist() for row in row_groups[place]]
    chosen_columns = [column for place in np.flatnonzero(columns).tolist() for column in column_groups[place]]
    return frozenset((row, column) for row in chosen_rows for column in chosen_columns if sizes.organizations[row, column])
