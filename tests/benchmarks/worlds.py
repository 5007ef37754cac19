"""Made-up worlds of organizations that come, go and change, and what the releases over such a world show."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server.benchmarks.catalogue import BY_NAME
from server.benchmarks.model import INDUSTRIES, SIZES, Contribution, Earlier, Past, Sheet
from server.benchmarks.release import SHAPE, decide
from server.stats.disclosure import RULES, units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.benchmarks.model import Place, Quartiles, Release
    from server.stats.disclosure import Rules
    from server.stats.membership import Members, Unit

METRIC = BY_NAME["employee_turnover_rate"]
SHEET = Sheet(METRIC.name, "")


@dataclass(slots=True)
class Organization:
    """One organization of a world."""

    tag: bytes
    industry: int
    size: int
    weight: float
    value: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A release as the attacker's accomplice in the database sees it: who counts where, and what is shown."""

    members: Mapping[Unit, Members]
    shown: Mapping[Place, Members]
    figures: Mapping[Place, Quartiles]
    weights: Mapping[bytes, float]
    values: Mapping[bytes, float]


@dataclass
class World:
    """Organizations and the releases over them."""

    dice: random.Random
    organizations: dict[bytes, Organization] = field(default_factory=dict)
    releases: list[Seen] = field(default_factory=list)
    past: list[Past] = field(default_factory=list)

    @property
    def rows(self) -> list[Contribution]:
        """What the organizations contribute."""
        return [
            Contribution(each.tag, METRIC.name, each.value, each.weight, "", INDUSTRIES[each.industry].value, SIZES[each.size].value)
            for each in self.organizations.values()
        ]

    def add(self, industry: int, size: int, count: int, spread: float = 0.5) -> None:
        """Let organizations come."""
        for _ in range(count):
            made = Organization(
                self.dice.randbytes(16), industry, size, self.dice.lognormvariate(4, spread), self.dice.gammavariate(4, 0.05)
            )
            self.organizations[made.tag] = made

    def remove(self, count: int) -> None:
        """Let some go."""
        for tag in self.dice.sample(sorted(self.organizations), min(count, len(self.organizations))):
            del self.organizations[tag]

    def release(self, rules: Rules = RULES) -> Seen:
        """Release once."""
        made = decide(self.rows, Earlier(len(self.past), {SHEET: self.past} if self.past else {}), self.dice.randbytes(16), rules, [METRIC])
        seen = seen_of(made, self.organizations)
        self.releases.append(seen)
        self.past.append(Past(seen.members, frozenset(seen.shown)))
        return seen


def seen_of(made: Release, organizations: Mapping[bytes, Organization]) -> Seen:
    """Return what a release holds, all of it."""
    (sheet,) = made.sheets
    shown = {cell.place: members_of(cell.place, sheet.members) for cell in sheet.cells if not cell.withheld}
    return Seen(
        members=sheet.members,
        shown=shown,
        figures={cell.place: cell.quartiles for cell in sheet.cells if cell.quartiles is not None},
        weights={tag: each.weight for tag, each in organizations.items()},
        values={tag: each.value for tag, each in organizations.items()},
    )


def members_of(place: Place, members: Mapping[Unit, Members]) -> Members:
    """Return the organizations of a cell."""
    row = INDUSTRIES.index(place.industry) if place.industry else None
    column = SIZES.index(place.size) if place.size else None
    return frozenset().union(*(members.get(unit, frozenset()) for unit in units((row, column), SHAPE)))


def world(seed: int, releases: int | None = None, rules: Rules = RULES) -> World:
    """Return a seeded world after its releases."""
    dice = random.Random(seed)
    made = World(dice)
    spread = dice.choice((0.1, 0.6, 1.5))
    places = [(row, column) for row in range(dice.randint(1, 3)) for column in range(dice.randint(1, 3))]
    for row, column in places:
        made.add(row, column, dice.choice((0, 1, 2, 3, 5, 8, 9, 10, 11, 12, 14, 20)), spread)
    made.release(rules)
    for _ in range(dice.randint(0, 3) if releases is None else releases - 1):
        _change(made, places, spread)
        made.release(rules)
    return made


def _change(made: World, places: Sequence[tuple[int, int]], spread: float) -> None:
    """Let some time pass: values and weights move, a few come, go, grow, or many do."""
    dice = made.dice
    for each in made.organizations.values():
        each.value *= dice.uniform(0.9, 1.1)
        each.weight *= dice.uniform(0.8, 1.25)
    for _ in range(dice.randint(0, 3)):
        made.add(*dice.choice(places), dice.choice((1, 1, 2, 3, 6)), spread)
    made.remove(dice.choice((0, 0, 1, 1, 2, 3, 8)))
    for each in dice.sample(list(made.organizations.values()), min(dice.choice((0, 0, 1, 3)), len(made.organizations))):
        each.industry, each.size = dice.choice(places)
