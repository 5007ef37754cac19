"""Cells, the values that organizations contribute, and what a release is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from server.tenants.model import Industry, SizeRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime
    from uuid import UUID

    from server.stats.membership import Members, Unit

INDUSTRIES = tuple(industry for industry in Industry if industry)
SIZES = tuple(size for size in SizeRange if size)
KEPT_DAYS = 400
"""How long the members of a release are remembered: metrics look back twelve months, so figures further apart share no facts."""
FRESH_DAYS = 100
"""How old the period of a value may be: a quarter, and ten days to compute it."""
NO_CURRENCY = ""


class Sheet(NamedTuple):
    """What is compared with each other: one metric, in one currency if it is money."""

    metric: str
    currency: str


class Place(NamedTuple):
    """Industry and size of a cell; unspecified is all of them."""

    industry: Industry
    size: SizeRange


class Level(StrEnum):
    """How fine a cell is."""

    INDUSTRY_AND_SIZE = "industry_and_size"
    INDUSTRY = "industry"
    SIZE = "size"
    OVERALL = "overall"


class Withheld(StrEnum):
    """Why a cell has no figures; empty when it has some."""

    NO = ""
    TOO_FEW = "too_few"
    DOMINATED = "dominated"
    COMPLEMENTARY = "complementary"
    BUDGET_SPENT = "budget_spent"
    NOT_RELEASED = "not_released"


class Band(StrEnum):
    """How many organizations stand behind a cell, as closely as it is told."""

    NONE = ""
    FROM_10 = "10-19"
    FROM_20 = "20-49"
    FROM_50 = "50-99"
    FROM_100 = "100-499"
    FROM_500 = "500+"


Quartiles: TypeAlias = tuple[float, float, float]


class Contribution(NamedTuple):
    """An organization's latest value of a metric as role `benchmark` sees it: under a tag in the place of a name."""

    tag: bytes
    metric: str
    value: float
    weight: float
    currency: str
    industry: str
    size: str


@dataclass(frozen=True, slots=True)
class OrganizationMetric:
    """A value that the nightly run computed of one organization.

    Args:
        metric: a name of the catalogue.
        period: first day of the month that it belongs to.
        value: in the unit of the metric.
        weight: what the catalogue says that the weight counts; greater than 0, or the value is not compared.
        currency: ISO 4217, of money; empty otherwise.

    """

    metric: str
    period: date
    value: float
    weight: float
    currency: str = NO_CURRENCY


@dataclass(frozen=True, slots=True)
class Shown:
    """A cell as it is stored and read."""

    sheet: Sheet
    place: Place
    quartiles: Quartiles | None
    band: Band
    withheld: Withheld
    updated_at: datetime | None = None
    epsilon: float | None = None
    main: bool = True

    @property
    def level(self) -> Level:
        """How fine it is."""
        return level(self.place)


@dataclass(frozen=True, slots=True)
class Past:
    """A kept release of a sheet: the members of its units, and the places of the cells that had figures."""

    members: Mapping[Unit, Members]
    shown: frozenset[Place]


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of earlier releases: the number of the last one, 0 before the first, and the kept ones by sheet, the oldest first."""

    number: int = 0
    sheets: Mapping[Sheet, Sequence[Past]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SheetRelease:
    """What is to be stored of a sheet; `values` are those of the members of each cell that may be private."""

    sheet: Sheet
    members: Mapping[Unit, Members]
    cells: Sequence[Shown]
    private: Mapping[Place, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """What one run releases; `skipped` counts values that were left out by reason."""

    sheets: Sequence[SheetRelease]
    skipped: Mapping[str, int]
    counted: int

    def totals(self) -> Mapping[str, int]:
        """Return the figures of the run by name; what was left out is `skipped_` and the reason."""
        cells = [cell for sheet in self.sheets for cell in sheet.cells]
        return {
            "values": self.counted,
            "cells_released": sum(not cell.withheld for cell in cells),
            "cells_withheld": sum(bool(cell.withheld) for cell in cells),
            **{f"skipped_{reason}": number for reason, number in sorted(self.skipped.items())},
        }


@dataclass(frozen=True, slots=True)
class Released:
    """A release that is stored."""

    release_id: UUID
    number: int
    totals: Mapping[str, int]


def level(place: Place) -> Level:
    """Return how fine a cell is."""
    if place.industry:
        return Level.INDUSTRY_AND_SIZE if place.size else Level.INDUSTRY
    return Level.SIZE if place.size else Level.OVERALL


def coarser(place: Place) -> Sequence[Place]:
    """Return the cells that may stand in for a withheld one, the closest first."""
    wider = (
        Place(place.industry, SizeRange.UNSPECIFIED),
        Place(Industry.UNSPECIFIED, place.size),
        Place(Industry.UNSPECIFIED, SizeRange.UNSPECIFIED),
    )
    return [each for number, each in enumerate(wider) if each != place and each not in wider[:number]]


def band(organizations: int) -> Band:
    """Return the band of a number of organizations."""
    for least, found in ((500, Band.FROM_500), (100, Band.FROM_100), (50, Band.FROM_50), (20, Band.FROM_20), (10, Band.FROM_10)):
        if organizations >= least:
            return found
    return Band.NONE
