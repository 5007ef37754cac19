"""Who counts in a release: sets of contributors that change by nobody or by at least three, whatever two releases are compared.

An organization belongs to one unit: the place of its industry (row) and size (column), or, where that place has fewer than
three, what is pooled over the sizes of its industry, or over all. Cells are made of whole units. As no organization is ever
in two units of the kept releases, the difference of two sets, of cells or of what is left of them after others were
subtracted, is put together from differences of single units, and each of those is empty or at least three. Nor do more than two
releases tell one or two organizations apart: nothing that is left of a unit's sets after any adding and subtracting is about fewer
than three.

Three, because of those who changed one may be the attacker, and two are then left that cannot be told apart (Hundepool et
al., "Statistical Disclosure Control", Wiley 2012, section 4.2: a threshold leaves two others to a respondent; differencing
of tables that share most of their respondents is section 1.2 and chapter 5).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

Tag: TypeAlias = bytes
Unit: TypeAlias = tuple[int, int]
"""Row and column; the number after the last is what is pooled."""
Members: TypeAlias = frozenset[bytes]
NOBODY: Members = frozenset()

_MOST_LEFT_OUT = 12
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Shape:
    """Numbers of rows (industries) and columns (sizes)."""

    rows: int
    columns: int

    def homes(self, row: int, column: int) -> tuple[Unit, Unit, Unit]:
        """Return the units that an organization of a row and a column may be in, the finest first."""
        return (row, column), (row, self.columns), (self.rows, self.columns)


@dataclass(frozen=True, slots=True)
class Admission:
    """Who counts now, and who waits: for others to come with (`few`), or until their old place is out of the kept releases (`moved`)."""

    members: Mapping[Unit, Members]
    waiting: Mapping[Tag, str] = field(default_factory=dict)


FEW = "few"
MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Least:
    """The smallest change of a unit, and the smallest unit: as many, or what `units` says of one."""

    change: int
    units: Mapping[tuple[int | None, int | None], int] = field(default_factory=dict)


def admit(  # noqa: PLR0913 - what is decided from
    places: Mapping[Tag, tuple[int, int]],
    shape: Shape,
    earlier: Sequence[Mapping[Unit, Members]],
    least: Least,
    salt: bytes,
    elsewhere: AbstractSet[Tag] = NOBODY,
) -> Admission:
    """Decide who counts.

    Args:
        places: row and column of everybody who may be counted.
        shape: of the table.
        earlier: members of the units at every kept release, the oldest first.
        least: the smallest changes and units.
        salt: of this release; decides who is left out where somebody has to be.
        elsewhere: who counted in another table of the same values, another currency say, in a kept release.

    """
    homes = {tag: unit for members in earlier for unit, tags in members.items() for tag in tags}
    wanted: dict[Unit, set[Tag]] = defaultdict(set)
    fresh: dict[Unit, set[Tag]] = defaultdict(set)
    waiting: dict[Tag, str] = {}
    for tag, (row, column) in places.items():
        home = homes.get(tag)
        if tag in elsewhere:
            waiting[tag] = MOVED
        elif home is None:
            fresh[row, column].add(tag)
        elif home in shape.homes(row, column):
            wanted[home].add(tag)
        else:
            waiting[tag] = MOVED
    last = earlier[-1] if earlier else {}
    for unit, tags in _pooled(fresh, shape, last, least.change).items():
        wanted[unit] |= tags
    members = {}
    for unit in sorted({*wanted, *chain.from_iterable(earlier)}):
        before = [past.get(unit, NOBODY) for past in earlier]
        smallest = max(least.change, least.units.get(unit, 0))
        counted = _settle(frozenset(wanted.get(unit, ())), before, (least.change, smallest), salt)
        members[unit] = counted
        waiting |= dict.fromkeys(wanted.get(unit, set()) - counted, FEW)
    return Admission(members, waiting)


def _pooled(fresh: Mapping[Unit, set[Tag]], shape: Shape, last: Mapping[Unit, Members], least: int) -> Mapping[Unit, set[Tag]]:
    """Return the newcomers by the finest unit that has members already, or gets as many as make a unit."""
    finest: dict[Unit, set[Tag]] = {}
    rows: dict[Unit, set[Tag]] = defaultdict(set)
    for (row, column), tags in fresh.items():
        if last.get((row, column)) or len(tags) >= least:
            finest[row, column] = tags
        else:
            rows[row, shape.columns] |= tags
    rest: set[Tag] = set()
    for unit, tags in rows.items():
        if last.get(unit) or len(tags) >= least:
            finest[unit] = tags
        else:
            rest |= tags
    return {**finest, (shape.rows, shape.columns): rest}


def _settle(wanted: Members, before: Sequence[Members], least: tuple[int, int], salt: bytes) -> Members:
    """Return the first choice that is large enough and differs enough from every earlier set, or not at all; nobody always does."""
    change, smallest = least
    kept = set(before) - {NOBODY}
    for choice in _choices(wanted, before[-1] if before else NOBODY, salt):
        if not choice or (len(choice) >= smallest and (choice in kept or _far(choice, kept, change))):
            return choice
    return NOBODY


def _far(choice: Members, kept: Collection[Members], change: int) -> bool:
    return all(len(choice ^ past) >= change for past in kept) and not tells_few([*kept, choice], change)


def tells_few(sets: Collection[Members], least: int) -> bool:
    """Whether adding and subtracting figures of the sets, as often as one likes, leaves one that is about fewer than `least`, 3 at most.

    Those who are in the same sets cannot be told apart and make a class. Let G be the projection onto the span of the sets
    over the classes. A combination about one class alone exists where its entry on the diagonal of G is 1; one about two
    classes where 1 is an eigenvalue of their 2 x 2 block.
    """
    signatures: dict[Tag, int] = defaultdict(int)
    for number, tags in enumerate(sets):
        for tag in tags:
            signatures[tag] |= 1 << number
    classes = Counter(signatures.values())
    few = np.array([count < least for count in classes.values()])
    if not few.any():
        return False
    rows = np.array([[signature >> number & 1 for signature in classes] for number in range(len(sets))], dtype=np.float64)
    _, sizes, right = np.linalg.svd(rows, full_matrices=False)
    span = right[sizes > _NOTHING * max(rows.shape)][:, few]
    view = span.T @ span
    alone = np.diagonal(view)
    if alone.max() > 1 - _NOTHING:
        return True
    counts = np.array(list(classes.values()))[few]
    half, apart = np.add.outer(alone, alone) / 2, np.subtract.outer(alone, alone) / 2
    pair = half + np.sqrt(apart**2 + view**2)
    both = (np.add.outer(counts, counts) < least) & ~np.eye(len(counts), dtype=np.bool_)
    return bool((pair[both] > 1 - _NOTHING).any())


def _choices(wanted: Members, last: Members, salt: bytes) -> Iterator[Members]:
    """Yield whom to count: all; those who stay, while newcomers wait; and with ever more who stay left out as a cover for who left."""
    staying = wanted & last
    yield wanted
    yield staying
    order = sorted(staying, key=lambda tag: hashlib.sha256(salt + tag).digest())
    for count in range(1, min(_MOST_LEFT_OUT, len(order)) + 1):
        yield wanted.difference(order[:count])
        yield staying.difference(order[:count])
