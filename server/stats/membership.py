"""Who counts in a release: sets of contributors that change by nobody or by at least three, whatever two releases are compared.

An organization belongs to one unit: the place of its industry (row) and size (column), or, where that place has fewer than
three, what is pooled over the sizes of its industry, or over all. Cells are made of whole units. As no organization is ever
in two units of the kept releases, the difference of two sets, of cells or of what is left of them after others were
subtracted, is put together from differences of single units, and each of those is empty or at least three.

Three, because of those who changed one may be the attacker, and two are then left that cannot be told apart (Hundepool et
al., "Statistical Disclosure Control", Wiley 2012, section 4.2: a threshold leaves two others to a respondent; differencing
of tables that share most of their respondents is section 1.2 and chapter 5).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Tag: TypeAlias = bytes
Unit: TypeAlias = tuple[int, int]
"""Row and column; the number after the last is what is pooled."""
Members: TypeAlias = frozenset[bytes]
NOBODY: Members = frozenset()

_MOST_LEFT_OUT = 12


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


def admit(
    places: Mapping[Tag, tuple[int, int]], shape: Shape, earlier: Sequence[Mapping[Unit, Members]], least: Least, salt: bytes
) -> Admission:
    """Decide who counts.

    Args:
        places: row and column of everybody who may be counted.
        shape: of the table.
        earlier: members of the units at every kept release, the oldest first.
        least: the smallest changes and units.
        salt: of this release; decides who is left out where somebody has to be.

    """
    homes = {tag: unit for members in earlier for unit, tags in members.items() for tag in tags}
    wanted: dict[Unit, set[Tag]] = defaultdict(set)
    fresh: dict[Unit, set[Tag]] = defaultdict(set)
    waiting: dict[Tag, str] = {}
    for tag, (row, column) in places.items():
        home = homes.get(tag)
        if home is None:
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
    kept = set(before)
    for choice in _choices(wanted, before[-1] if before else NOBODY, salt):
        if (not choice or len(choice) >= smallest) and all(choice == past or len(choice ^ past) >= change for past in kept):
            return choice
    return NOBODY


def _choices(wanted: Members, last: Members, salt: bytes) -> Iterator[Members]:
    """Yield whom to count: all; those who stay, while newcomers wait; and with ever more who stay left out as a cover for who left."""
    staying = wanted & last
    yield wanted
    yield staying
    order = sorted(staying, key=lambda tag: hashlib.sha256(salt + tag).digest())
    for count in range(1, min(_MOST_LEFT_OUT, len(order)) + 1):
        yield wanted.difference(order[:count])
        yield staying.difference(order[:count])
