"""Answer what the benchmarks say, and where an organization's own values fall."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from server.benchmarks import store
from server.benchmarks.catalogue import BY_NAME, Unit
from server.benchmarks.model import INDUSTRIES, NO_CURRENCY, SIZES, Band, Place, Sheet, Shown, Withheld, coarser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.benchmarks.model import OrganizationMetric, Quartiles
    from server.db import ReadTx
    from server.identity import OrgId
    from server.tenants.model import Industry, SizeRange


class Position(StrEnum):
    """Where a value falls among the figures of a cell."""

    BELOW_25 = "below_25"
    FROM_25_TO_50 = "25_to_50"
    FROM_50_TO_75 = "50_to_75"
    FROM_75 = "from_75"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    No metric means all, an unspecified industry or size each, an empty currency the own one, or else the main one.
    """

    metrics: Sequence[str]
    industry: Industry
    size: SizeRange
    currency: str
    compare: bool


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A cell, for a withheld one the closest coarser one with figures, and the own value with its place among those figures."""

    cell: Shown
    offered: Shown | None = None
    own: float | None = None
    position: Position | None = None


async def look_up(tx: ReadTx, org: OrgId, question: Question) -> Sequence[Benchmark]:
    """Return a benchmark per metric, industry and size asked for, in the order of the catalogue."""
    names = [name for name in BY_NAME if not question.metrics or name in question.metrics]
    own = await store.own_metrics(tx, org)
    currencies = {question.currency, *(each.currency for each in own.values())}
    known = await store.shown_cells(tx, names, sorted(currencies))
    cells = {(cell.sheet, cell.place): cell for cell in known}
    sheets = {name: _sheet(name, question, own.get(name), known) for name in names}
    industries = [question.industry] if question.industry else INDUSTRIES
    sizes = [question.size] if question.size else SIZES
    places = [Place(industry, size) for industry in industries for size in sizes]
    return [_benchmark(cells, sheets[name], place, own.get(name) if question.compare else None) for name in names for place in places]


def position(value: float, figures: Quartiles, metric: str) -> Position:
    """Return where a value falls; it is brought to the same grid first, so a value at a figure counts as having reached it.

    It is made of the shown figures and the caller's own value alone, and so tells nothing beyond them.
    """
    (placed,) = BY_NAME[metric].grid.place([value])
    reached = sum(bool(placed >= figure) for figure in figures)
    return tuple(Position)[reached]


def _sheet(metric: str, question: Question, own: OrganizationMetric | None, known: Sequence[Shown]) -> Sheet:
    """Return the sheet to answer from: of money the currency asked for, else the own one if there are cells of it, else the main one."""
    if BY_NAME[metric].unit is not Unit.MONEY:
        return Sheet(metric, NO_CURRENCY)
    if question.currency:
        return Sheet(metric, question.currency)
    if own is not None and any(cell.sheet == (metric, own.currency) for cell in known):
        return Sheet(metric, own.currency)
    return next((cell.sheet for cell in known if cell.main and cell.sheet.metric == metric), Sheet(metric, NO_CURRENCY))


def _benchmark(cells: Mapping[tuple[Sheet, Place], Shown], sheet: Sheet, place: Place, own: OrganizationMetric | None) -> Benchmark:
    cell = cells.get((sheet, place)) or Shown(sheet, place, None, Band.NONE, Withheld.NOT_RELEASED)
    offered = None
    if cell.withheld:
        wider = (cells.get((sheet, each)) for each in coarser(place))
        offered = next((each for each in wider if each is not None and not each.withheld), None)
    value = own.value if own is not None and own.currency == sheet.currency else None
    figures = (offered or cell).quartiles
    where = position(value, figures, sheet.metric) if value is not None and figures is not None else None
    return Benchmark(cell, offered, value, where)
