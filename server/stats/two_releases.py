"""What the figures of two releases tell together, by adding and subtracting all of them.

`server.stats.membership` sees to it that they tell no one or two organizations apart. What is left to find are sets smaller
than a cell may be that have been there all the time: a place that shrank and is withheld, where what its row lost is the
difference of the row's two figures. As every unit and every change of one is three organizations or more, such a set is
put together from three units at most, so that all of them can be tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from server.stats.disclosure import RULES, Verdict, ranked, units
from server.stats.membership import NOBODY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from server.stats.disclosure import Cell, Rules
    from server.stats.membership import Members, Shape, Unit

_NOTHING = 1e-9
_STAY, _CAME, _LEFT = range(3)
Part: TypeAlias = "tuple[Unit, int]"
"""Those of a unit who stayed, came or left."""


class _Piece(NamedTuple):
    """What of a unit may be part of a set: its parts, how many they are, and whether some of them are in both releases."""

    unit: Unit
    parts: tuple[Part, ...]
    size: int
    stays: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """A release: the members of its units, and the cells that have figures."""

    members: Mapping[Unit, Members]
    shown: frozenset[Cell]


def withhold(
    verdicts: Mapping[Cell, Verdict], members: Mapping[Unit, Members], earlier: Sequence[Figures], shape: Shape, rules: Rules = RULES
) -> Mapping[Cell, Verdict]:
    """Return the verdicts with as many more cells withheld as it takes that no kept release opens anything together with this one.

    Args:
        verdicts: of this release alone.
        members: of the units in this release.
        earlier: the kept releases.
        shape: of the table.
        rules: the bounds.

    """
    shown = frozenset(cell for cell, verdict in verdicts.items() if verdict is Verdict.SHOWN)
    for then in earlier:
        while shown and opens(then, Figures(members, shown), shape, rules):
            # One cell less may do; the coarse ones are tried first, and go first when one is not enough.
            order = [cell for cell in reversed(ranked(shown)) if cell in shown]
            enough = (cell for cell in order if not opens(then, Figures(members, shown - {cell}), shape, rules))
            shown -= {next(enough, order[0])}
    return {
        cell: Verdict.COMPLEMENTARY if verdict is Verdict.SHOWN and cell not in shown else verdict for cell, verdict in verdicts.items()
    }


def opens(then: Figures, now: Figures, shape: Shape, rules: Rules = RULES) -> bool:
    """Whether sums and differences of the figures of two releases tell a set apart that is smaller than a cell, and no mere change."""
    parts = _parts(then.members, now.members)
    small = list(_small(parts, rules))
    if not any(piece.stays for piece in small):
        return False
    places = {part: number for number, part in enumerate(parts)}
    rows = [*_rows(then, (_STAY, _LEFT), places, shape), *_rows(now, (_STAY, _CAME), places, shape)]
    if not rows:
        return False
    free = _not_told(np.array(rows))
    told = np.array([free[[places[part] for part in each.parts]].sum(axis=0) for each in small])
    return any(_adds_up(small, told, count, rules) for count in (1, 2, 3))


def _parts(then: Mapping[Unit, Members], now: Mapping[Unit, Members]) -> Mapping[Part, int]:
    """Return how many of each unit stayed, came and left, without what is empty."""
    found = {}
    for unit in sorted({*then, *now}):
        before, after = then.get(unit, NOBODY), now.get(unit, NOBODY)
        for kind, count in ((_STAY, len(before & after)), (_CAME, len(after - before)), (_LEFT, len(before - after))):
            if count:
                found[unit, kind] = count
    return found


def _small(parts: Mapping[Part, int], rules: Rules) -> Iterator[_Piece]:
    """Yield what of a unit a small set may hold: who was there, who is there, who came, who left."""
    made = ((_STAY, _LEFT), (_STAY, _CAME), (_CAME,), (_LEFT,))
    for unit in sorted({unit for unit, _ in parts}):
        pieces = {tuple((unit, kind) for kind in kinds if (unit, kind) in parts) for kinds in made}
        for piece in sorted(pieces - {()}):
            size = sum(parts[part] for part in piece)
            if size < rules.organizations:
                yield _Piece(unit, piece, size, (unit, _STAY) in piece)


def _adds_up(small: Sequence[_Piece], told: NDArray[np.float64], count: int, rules: Rules) -> bool:
    """Whether so many pieces make a small set that is told: what cannot be told of them then sums up to nothing.

    One random view of it is looked at first, for all sums at once.
    """
    # The others have at least as many as a change has.
    most = rules.organizations - 1 - (count - 1) * rules.change
    usable = [number for number, piece in enumerate(small) if piece.size <= most]
    view = told[usable] @ np.random.default_rng(0).standard_normal(told.shape[1])
    sums = np.abs(reduce(np.add.outer, [view] * count))
    for picks in np.argwhere(sums < _NOTHING * 100).tolist():
        if picks == sorted(set(picks)):
            chosen = [usable[pick] for pick in picks]
            if _is_small_set([small[each] for each in chosen], rules) and np.abs(told[chosen].sum(axis=0)).max(initial=0) < _NOTHING:
                return True
    return False


def _is_small_set(chosen: Sequence[_Piece], rules: Rules) -> bool:
    one_each = len({piece.unit for piece in chosen}) == len(chosen)
    return one_each and any(piece.stays for piece in chosen) and sum(piece.size for piece in chosen) < rules.organizations


def _rows(figures: Figures, kinds: Collection[int], places: Mapping[Part, int], shape: Shape) -> Iterator[NDArray[np.float64]]:
    for cell in sorted(figures.shown, key=str):
        row = np.zeros(len(places))
        row[[places[unit, kind] for unit in units(cell, shape) for kind in kinds if (unit, kind) in places]] = 1.0
        yield row


def _not_told(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what no combination of the rows tells, as columns: their null space."""
    _, sizes, right = np.linalg.svd(rows)
    free: NDArray[np.float64] = right[int((sizes > _NOTHING * max(rows.shape)).sum()) :].T
    return free
