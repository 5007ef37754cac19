"""Somebody who kept every figure that was ever shown, and adds and subtracts.

It works on the sets of organizations behind the figures, as if figures could be subtracted as sums can, which is more than
anybody can do with percentiles. Its arithmetic is plain linear algebra and shares nothing with the code it attacks.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from server.stats.quartiles import quartiles
from tests.benchmarks.worlds import METRIC

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from server.stats.quartiles import Grid
    from tests.benchmarks.worlds import Seen

LEAST, SHARE, CHANGE = 10, 0.25, 3
_NOTHING = 1e-9
_FINE = 16


def attacks(releases: Sequence[Seen]) -> list[str]:
    """Return how it won by adding and subtracting."""
    won = [*_cells(releases), *_two_releases(releases)]
    for seen in releases:
        won += _subtraction(seen)
    for before, after in combinations(releases, 2):
        won += _across(before, after)
    return won


def _cells(releases: Sequence[Seen]) -> Iterator[str]:
    for seen in releases:
        for place, members in seen.shown.items():
            if len(members) < LEAST:
                yield f"small: {place} has {len(members)}"
            elif _dominated(members, seen.weights):
                yield f"dominated: {place}"


def _dominated(members: Collection[bytes], weights: Mapping[bytes, float]) -> bool:
    known = [weights[tag] for tag in members]
    return max(known) > SHARE * sum(known) * (1 + _NOTHING)


def _two_releases(releases: Sequence[Seen]) -> Iterator[str]:
    """The same cell in two releases, next to each other or not."""
    for before, after in combinations(releases, 2):
        for place in before.shown.keys() & after.shown.keys():
            if 0 < len(before.shown[place] ^ after.shown[place]) < CHANGE:
                yield f"two releases: {place} differs by {len(before.shown[place] ^ after.shown[place])}"


def _subtraction(seen: Seen) -> Iterator[str]:
    """Every sum and difference of the cells of a release, exactly: which unions of units are in the span of what is shown?"""
    atoms = [tags for tags in seen.members.values() if tags and tags not in seen.shown.values()]
    wide = [members for members in seen.shown.values() if any(tags <= members for tags in atoms)]
    if not atoms or not wide:
        return
    free = _not_told(np.array([[tags <= members for tags in atoms] for members in wide], dtype=np.float64))
    picks = (np.arange(1, 2 ** len(atoms))[:, None] >> np.arange(len(atoms))) & 1
    sizes = picks @ np.array([len(tags) for tags in atoms])
    total = picks @ np.array([sum(seen.weights[tag] for tag in tags) for tags in atoms])
    largest = (picks * np.array([max(seen.weights[tag] for tag in tags) for tags in atoms])).max(axis=1)
    bad = picks[(sizes < LEAST) | (largest > SHARE * total * (1 + _NOTHING))]
    for pick in bad[np.abs(bad @ free).max(axis=1, initial=0) < _NOTHING]:
        yield f"subtraction: {int(pick @ [len(tags) for tags in atoms])} organizations of {len(atoms)} withheld units"


def _not_told(shown: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what no combination of the rows of `shown` tells, as columns: its null space."""
    _, sizes, right = np.linalg.svd(shown)
    kept: NDArray[np.float64] = right[int((sizes > _NOTHING).sum()) :].T
    return kept


def _across(before: Seen, after: Seen) -> Iterator[str]:
    """Sums and differences of all cells of two releases: sets of one or two, and units that neither release shows."""
    unit_of = [{tag: unit for unit, tags in seen.members.items() for tag in tags} for seen in (before, after)]
    classes: dict[tuple[object, object], set[bytes]] = {}
    for tag in {*unit_of[0], *unit_of[1]}:
        classes.setdefault((unit_of[0].get(tag), unit_of[1].get(tag)), set()).add(tag)
    groups = list(classes.values())
    shown = [*before.shown.values(), *after.shown.values()]
    if not shown:
        return
    free = _not_told(np.array([[next(iter(group)) in members for group in groups] for members in shown], dtype=np.float64))

    def told(chosen: Collection[int]) -> bool:
        return bool(chosen) and bool(np.abs(free[list(chosen)].sum(axis=0)).max(initial=0) < _NOTHING)

    few = [number for number, group in enumerate(groups) if len(group) < CHANGE]
    pairs = [pair for pair in combinations(few, 2) if sum(len(groups[each]) for each in pair) < CHANGE]
    for chosen in [*((one,) for one in few), *pairs]:
        if told(chosen):
            yield f"across: {sum(len(groups[each]) for each in chosen)} told apart by two releases"
    small = {tags for seen in (before, after) for tags in seen.members.values() if 0 < len(tags) < LEAST}
    stay = {tag for tag in unit_of[0] if tag in unit_of[1]}
    for members in [*small, *(one | other for one, other in combinations(small, 2) if not one & other and len(one | other) < LEAST)]:
        if members & stay and told([number for number, group in enumerate(groups) if group <= members]):
            yield f"across: a withheld unit of {len(members)} opened by two releases"


def pinned(releases: Sequence[Seen], grid: Grid = METRIC.grid) -> Iterator[str]:
    """Return how it won with values.

    It knows every value but one, its own among them, and tries all values of the other that agree with all figures of the
    last release.
    """
    seen = releases[-1]
    if not seen.shown:
        return
    place = min(seen.shown, key=lambda each: len(seen.shown[each]))
    step = METRIC.grid.step
    for victim in sorted(seen.shown[place])[:2]:
        theirs = {name: members for name, members in seen.shown.items() if victim in members}
        lattice = seen.values[victim] + np.arange(-2 * _FINE, 2 * _FINE + 1) * step / _FINE
        agree = [
            value
            for value in lattice
            if all(
                quartiles([value if tag == victim else seen.values[tag] for tag in members], grid) == seen.figures[name]
                for name, members in theirs.items()
            )
        ]
        # The lattice misses up to a step of its own at either end.
        if not agree or max(agree) - min(agree) < step * (1 - 2 / _FINE):
            yield f"pinned: a value of {place} to {0 if not agree else max(agree) - min(agree):.5f}"
