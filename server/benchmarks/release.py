"""Decide what a release shows; pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import accumulate, chain
from typing import TYPE_CHECKING

import numpy as np

from server.benchmarks.catalogue import BY_NAME, METRICS, Unit
from server.benchmarks.model import INDUSTRIES, NO_CURRENCY, SIZES, Earlier, Place, Release, Sheet, SheetRelease, Shown, Withheld, band
from server.stats.disclosure import RULES, Rules, Sizes, Verdict, judge, units
from server.stats.membership import Least, Shape, admit
from server.stats.quartiles import quartiles
from server.stats.two_releases import Figures, withhold
from server.tenants.model import Industry, SizeRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from server.benchmarks.catalogue import Metric
    from server.benchmarks.model import Contribution, Past
    from server.stats.disclosure import Cell
    from server.stats.membership import Members
    from server.stats.membership import Unit as UnitOfTable

SHAPE = Shape(len(INDUSTRIES), len(SIZES))
LEAST_PRIVATE = 100
"""Organizations from which on noise is small beside the differences between them."""
_ROWS = {industry.value: number for number, industry in enumerate(INDUSTRIES)}
_COLUMNS = {size.value: number for number, size in enumerate(SIZES)}
_CURRENCY_LETTERS = 3


def decide(
    rows: Iterable[Contribution], earlier: Earlier, salt: bytes, rules: Rules = RULES, metrics: Sequence[Metric] = METRICS
) -> Release:
    """Decide about every cell of every metric and currency.

    Args:
        rows: the latest value of each organization and metric, of those that contribute.
        earlier: what is kept of earlier releases.
        salt: of this release; decides who is left out where somebody has to be.
        rules: the bounds.
        metrics: of the catalogue.

    """
    skipped: Counter[str] = Counter()
    sheets: dict[Sheet, dict[bytes, Contribution]] = defaultdict(dict)
    for row in rows:
        reason = _unusable(row)
        if reason:
            skipped[reason] += 1
        else:
            sheets[Sheet(row.metric, row.currency)][row.tag] = row
    made: list[SheetRelease] = []
    for metric in metrics:
        for sheet, main in _sheets_of(metric.name, sheets, earlier, skipped, rules):
            held = _elsewhere(sheet, earlier)
            rows_of = outweighed(sheets.get(sheet, {}), rules)
            skipped["dominating"] += len(sheets.get(sheet, {})) - len(rows_of)
            made.append(_sheet(sheet, rows_of, earlier.sheets.get(sheet, ()), held, salt, rules, skipped, main=main))
    counted = sum(len(members) for sheet in made for members in sheet.members.values())
    return Release(made, +skipped, counted)


def outweighed(rows: Mapping[bytes, Contribution], rules: Rules) -> Mapping[bytes, Contribution]:
    """Leave out who has more of the weight of all than one may, the heaviest first, as long as enough others stay for a cell.

    No cell that such an organization is in could be shown, the whole included: one contract that is entered with too many zeros
    would take the figures from everybody. Who is left out has left, as far as earlier releases go, and is covered like others who do.
    """
    ranked = sorted(rows.values(), key=lambda row: (-row.weight, row.tag))
    totals = list(accumulate(row.weight for row in reversed(ranked)))[::-1]
    heavy = 0
    while heavy < len(ranked) and ranked[heavy].weight > rules.largest_share * totals[heavy]:
        heavy += 1
    if len(ranked) - heavy < rules.organizations:
        return rows
    return {row.tag: row for row in ranked[heavy:]}


def place_of(cell: Cell) -> Place:
    """Return industry and size of a cell of the table."""
    row, column = cell
    return Place(Industry.UNSPECIFIED if row is None else INDUSTRIES[row], SizeRange.UNSPECIFIED if column is None else SIZES[column])


def _cell_of(place: Place) -> Cell:
    return _ROWS.get(place.industry.value), _COLUMNS.get(place.size.value)


def _unusable(row: Contribution) -> str:
    """Why a value is left out; empty when it counts."""
    metric = BY_NAME.get(row.metric)
    if metric is None:
        return "unknown_metric"
    if row.industry not in _ROWS:
        return "no_industry"
    if row.size not in _COLUMNS:
        return "no_size"
    if not (math.isfinite(row.value) and math.isfinite(row.weight) and row.weight > 0):
        return "bad_value"
    money = metric.unit is Unit.MONEY
    return "bad_currency" if (len(row.currency) == _CURRENCY_LETTERS) is not money or (not money and row.currency) else ""


def _sheets_of(
    metric: str, sheets: Mapping[Sheet, Mapping[bytes, Contribution]], earlier: Earlier, skipped: Counter[str], rules: Rules
) -> Sequence[tuple[Sheet, bool]]:
    """Return the sheets of a metric, the main one (most organizations) first; rare currencies are left out, and counted."""
    found = {sheet: len(rows) for sheet, rows in sheets.items() if sheet.metric == metric}
    wanted = {sheet for sheet, organizations in found.items() if organizations >= rules.organizations}
    wanted |= {sheet for sheet in earlier.sheets if sheet.metric == metric}
    ranked = sorted(wanted or {Sheet(metric, NO_CURRENCY)}, key=lambda sheet: (-found.get(sheet, 0), sheet))
    for sheet in found.keys() - set(ranked):
        skipped["rare_currency"] += found[sheet]
    return [(sheet, number == 0) for number, sheet in enumerate(ranked)]


def _elsewhere(sheet: Sheet, earlier: Earlier) -> Members:
    """Return who counted in another currency of the same metric: money can be converted, and so subtracted across currencies."""
    others = (each for other, past in earlier.sheets.items() if other.metric == sheet.metric and other != sheet for each in past)
    return frozenset(chain.from_iterable(tags for each in others for tags in each.members.values()))


def _sheet(  # noqa: PLR0913 - what a sheet is decided from
    sheet: Sheet,
    rows: Mapping[bytes, Contribution],
    past: Sequence[Past],
    elsewhere: Members,
    salt: bytes,
    rules: Rules,
    skipped: Counter[str],
    *,
    main: bool,
) -> SheetRelease:
    places = {tag: (_ROWS[row.industry], _COLUMNS[row.size]) for tag, row in rows.items()}
    admission = admit(places, SHAPE, [each.members for each in past], _least(past, rules), salt, elsewhere)
    skipped.update(admission.waiting.values())
    members = admission.members
    sizes = _sizes(members, rows)
    verdicts = withhold(judge(sizes, SHAPE, rules), members, _kept(past), SHAPE, rules)
    known = {unit: [rows[tag].value for tag in tags] for unit, tags in members.items()}
    made, private = [], {}
    for cell, verdict in verdicts.items():
        place, figures, counted = place_of(cell), None, 0
        if verdict is Verdict.SHOWN:
            values = [value for unit in units(cell, SHAPE) for value in known.get(unit, ())]
            counted = len(values)
            figures = quartiles(values, BY_NAME[sheet.metric].grid)
            if counted >= LEAST_PRIVATE:
                private[place] = values
        made.append(Shown(sheet, place, figures, band(counted), Withheld(verdict.value), main=main))
    return SheetRelease(sheet, members, made, private)


def _least(past: Sequence[Past], rules: Rules) -> Least:
    """Return the smallest units; a place that was shown and shrank below a cell would show what its row and column lost."""
    shown = {_cell_of(place) for each in past for place in each.shown}
    return Least(rules.change, dict.fromkeys(shown, rules.organizations))


def _sizes(members: Mapping[UnitOfTable, Members], rows: Mapping[bytes, Contribution]) -> Sizes:
    shape = (SHAPE.rows + 1, SHAPE.columns + 1)
    sizes = Sizes(np.zeros(shape, dtype=np.int64), np.zeros(shape), np.zeros(shape))
    for unit, tags in members.items():
        weights = [rows[tag].weight for tag in tags]
        sizes.organizations[unit], sizes.largest[unit], sizes.total[unit] = len(weights), max(weights, default=0.0), math.fsum(weights)
    return sizes


def _kept(past: Sequence[Past]) -> Sequence[Figures]:
    """Return the kept releases, what is the same in several once."""
    found = {}
    for each in past:
        key = (frozenset((unit, tags) for unit, tags in each.members.items() if tags), each.shown)
        found[key] = Figures(each.members, frozenset(map(_cell_of, each.shown)))
    return list(found.values())
