"""Which cells of a table of organizations may be shown, so that no single one of them shows through.

The table has rows (industries) and columns (sizes); its cells are the places, the rows, the columns and the whole. The rules
and where they come from:

* threshold: a cell has at least ten organizations (Hundepool et al., "Statistical Disclosure Control", Wiley 2012, 4.2);
* dominance: none of them has more than a quarter of the cell's weight, the (1, 25 %) case of the (n, k) rule (4.2.1 there;
  Cox, "Linear sensitivity measures in statistical disclosure control", J. Statist. Plann. Inference 5, 1981);
* complementary suppression: nothing that shown cells leave after subtraction is smaller than a cell may be, or dominated
  (4.4 there; Fischetti and Salazar, "Solving the cell suppression problem on tabular data", Management Science 47, 2001);
* two releases: `server.stats.membership` and `server.stats.two_releases`.

Percentiles do not add up as sums do. The rules hold for the sets of contributors all the same, as if they did: whoever can
tell a set apart can learn more about it than was meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
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


@cache
def cells(shape: Shape) -> tuple[Cell, ...]:
    """Return every cell: places first, then the whole, rows and columns."""
    rows, columns = range(shape.rows), range(shape.columns)
    return (*product(rows, columns), WHOLE, *((row, None) for row in rows), *((None, column) for column in columns))


@cache
def units(cell: Cell, shape: Shape) -> tuple[Unit, ...]:
    """Return the units that a cell is made of; what is pooled counts in rows and in the whole, never in columns."""
    row, column = cell
    if row is None:
        rows = range(shape.rows + (column is None))
        return tuple(product(rows, range(shape.columns + 1) if column is None else [column]))
    return tuple((row, each) for each in (range(shape.columns + 1) if column is None else [column]))


def judge(sizes: Sizes, shape: Shape, rules: Rules = RULES) -> Mapping[Cell, Verdict]:
    """Decide about every cell of one release: finest first, then the whole, then rows and columns, the larger first.

    Args:
        sizes: of the units.
        shape: of the table.
        rules: the bounds.

    """
    figures = _figures(sizes, shape)
    verdicts = {cell: _alone(*figures[cell], rules) for cell in cells(shape)}
    wanted = {cell for cell, verdict in verdicts.items() if verdict is Verdict.SHOWN}
    if not opened(wanted, sizes, rules):
        return verdicts
    shown: set[Cell] = set()
    for cell in ranked(wanted, {cell: -figures[cell][0] for cell in wanted}):
        if None in cell and opened({*shown, cell}, sizes, rules):
            verdicts[cell] = Verdict.COMPLEMENTARY
        else:
            shown.add(cell)
    return verdicts


def ranked(wanted: Collection[Cell], order: Mapping[Cell, int] | None = None) -> list[Cell]:
    """Return cells from the first to the last that is worth showing; `order` decides among those of one kind."""
    ranks = {(False, False): 0, (True, True): 1, (False, True): 2, (True, False): 3}
    return sorted(wanted, key=lambda cell: (ranks[cell[0] is None, cell[1] is None], (order or {}).get(cell, 0), str(cell)))


def opened(shown: Collection[Cell], sizes: Sizes, rules: Rules = RULES) -> set[frozenset[Unit]]:
    """Return the sets of units that the shown cells tell apart by adding and subtracting, and that are no cell one may show.

    Exact for all sums and differences. Take away the places that are shown; what is left of the shown rows (and of the
    whole without them, if that is shown) are disjoint sets R, what is left of shown columns disjoint sets C. A combination
    gives a unit the sum of a number of its R and a number of its C, and tells a set apart where the sums are 0 and 1: a
    potential difference over a graph whose edges are the units. Cut at every level it falls apart into sets that are told
    apart themselves: some R, less some C that lie inside of them; or some C, less some R inside of them. What is left in
    the first case is a set where all such C are gone, and the C that are not. So it is enough to look at every R and C
    alone, at every choice of R less all C inside, and at every choice of C less all R inside.
    """
    if not any(None in cell for cell in shown):
        return set()
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


def _figures(sizes: Sizes, shape: Shape) -> Mapping[Cell, tuple[int, float, float]]:
    """Return of every cell what `Sizes` has of every unit."""
    organizations, largest, total = sizes.organizations.tolist(), sizes.largest.tolist(), sizes.total.tolist()

    def of(cell: Cell) -> tuple[int, float, float]:
        inside = units(cell, shape)
        return (
            sum(organizations[row][column] for row, column in inside),
            max(largest[row][column] for row, column in inside),
            sum(total[row][column] for row, column in inside),
        )

    return {cell: of(cell) for cell in cells(shape)}


def _alone(organizations: int, largest: float, total: float, rules: Rules) -> Verdict:
    if organizations < rules.organizations:
        return Verdict.TOO_FEW
    return Verdict.DOMINATED if largest > rules.largest_share * total else Verdict.SHOWN


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
    nothing = np.zeros_like(closable)
    for row in numbers:
        alone, theirs, heaviest = sizes.organizations[row].sum(), sizes.total[row].sum(), sizes.largest[row].max()
        if alone and (alone < rules.organizations or heaviest > rules.largest_share * theirs):
            yield np.arange(len(free)) == row, nothing


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
