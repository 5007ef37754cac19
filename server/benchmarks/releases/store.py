"""All SQL of releases, run as role `benchmark`."""

from __future__ import annotations

import json
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, DateTime, Double, Integer, LargeBinary, Text, bindparam, text

from server.benchmarks.model import KEPT_DAYS, Contribution, Earlier, Past, Place, Released, Sheet
from server.benchmarks.store import arrays
from server.stats.membership import NOBODY
from server.tenants.model import Industry, SizeRange
from server.tenants.store import SWITCHES_LOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from uuid import UUID

    from sqlalchemy.types import TypeEngine

    from server.benchmarks.model import SheetRelease
    from server.db import ReadTx, Tx
    from server.db.transaction import Record
    from server.stats.membership import Members, Unit

_TAG_BYTES = 16
_CONTRIBUTIONS = text("SELECT tag, metric, value, weight, currency, industry, size_range FROM benchmark_contributions")
# A statement of its own: one that locked and read at once would read a snapshot from before the lock.
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
_TAGS = text("SELECT tag FROM benchmark_contributions")
_RELEASED = text("SELECT release_id, number, totals FROM benchmark_releases WHERE release_id = :release_id")
_LAST = text("SELECT coalesce(max(number), 0) AS number FROM benchmark_releases")
_KEPT = text(
    f"""
    SELECT number, shown FROM benchmark_releases
    WHERE released_at > (SELECT analytics_now()) - interval '{KEPT_DAYS} days' ORDER BY number
    """  # noqa: S608 - a number of our own
)
_MEMBERS = text(
    "SELECT metric, currency, unit_row, unit_column, number, tags FROM benchmark_members"
    " ORDER BY metric, currency, unit_row, unit_column, number"
)
_ADD_RELEASE = text(
    """
    INSERT INTO benchmark_releases (number, release_id, released_at, shown, totals)
    VALUES (:number, :release_id, analytics_now(), CAST(:shown AS jsonb), CAST(:totals AS jsonb))
    ON CONFLICT DO NOTHING
    """
)
_ADD_MEMBERS = text(
    """
    INSERT INTO benchmark_members (metric, currency, unit_row, unit_column, number, tags)
    SELECT m.metric, m.currency, m.unit_row, m.unit_column, :number, m.tags
    FROM unnest(:metrics, :currencies, :rows, :columns, :tags) AS m (metric, currency, unit_row, unit_column, tags)
    """
).bindparams(*arrays(metrics=Text, currencies=Text, rows=Integer, columns=Integer, tags=LargeBinary))
# What no kept release refers to: a newer row was in force when the oldest of them was made, or nobody was left.
_FORGET_MEMBERS = text(
    f"""
    WITH oldest AS (
        SELECT min(number) AS number FROM benchmark_releases
        WHERE released_at > (SELECT analytics_now()) - interval '{KEPT_DAYS} days'
    )
    DELETE FROM benchmark_members m USING oldest
    WHERE m.number < oldest.number AND (m.tags = '' OR EXISTS (
        SELECT FROM benchmark_members n
        WHERE (n.metric, n.currency, n.unit_row, n.unit_column) = (m.metric, m.currency, m.unit_row, m.unit_column)
              AND n.number > m.number AND n.number <= oldest.number))
    """  # noqa: S608 - a number of our own
)
_CELL_TYPES: Mapping[str, type[TypeEngine[Any]] | TypeEngine[Any]] = {
    "metric": Text,
    "currency": Text,
    "industry": Text,
    "size_range": Text,
    "percentile25": Double,
    "percentile50": Double,
    "percentile75": Double,
    "contributors": Text,
    "withheld": Text,
    "epsilon": Double,
    "main_currency": Boolean,
    "updated": DateTime(timezone=True),
}
_PUT_CELLS = text(
    f"""
    INSERT INTO shared_benchmark_cells (metric, currency, industry, size_range, percentile25, percentile50, percentile75, contributors,
        withheld, epsilon, main_currency, last_updated)
    SELECT c.metric, c.currency, c.industry, c.size_range, c.percentile25, c.percentile50, c.percentile75, c.contributors, c.withheld,
        c.epsilon, c.main_currency, coalesce(c.updated, n.at)
    FROM unnest({", ".join(f":{name}" for name in _CELL_TYPES)}) AS c ({", ".join(_CELL_TYPES)}),
        (SELECT analytics_now() AS at OFFSET 0) n
    ON CONFLICT (metric, currency, industry, size_range) DO UPDATE
    SET percentile25 = excluded.percentile25, percentile50 = excluded.percentile50, percentile75 = excluded.percentile75,
        contributors = excluded.contributors, withheld = excluded.withheld, epsilon = excluded.epsilon,
        main_currency = excluded.main_currency, last_updated = excluded.last_updated
    """  # noqa: S608 - own names
).bindparams(*arrays(**_CELL_TYPES))
# A currency that nobody reports in any more, or the place of money before the first.
_RETIRE = text(
    """
    UPDATE shared_benchmark_cells
    SET percentile25 = NULL, percentile50 = NULL, percentile75 = NULL, contributors = '', withheld = 'too_few', epsilon = NULL,
        main_currency = false, last_updated = analytics_now()
    WHERE (metric, currency) NOT IN (SELECT s.metric, s.currency FROM unnest(:metrics, :currencies) AS s (metric, currency))
          AND (withheld = '' OR main_currency)
    """
).bindparams(*arrays(metrics=Text, currencies=Text))
# One statement takes each row's lock before it looks at the sum, so releases at once cannot spend the same rest.
_SPEND = text(
    """
    INSERT INTO benchmark_privacy_budget AS b (year, metric, currency, industry, size_range, epsilon)
    SELECT extract(year FROM n.at)::int, c.metric, c.currency, c.industry, c.size_range, CAST(:epsilon AS numeric(12, 6))
    FROM (
        SELECT * FROM unnest(:metrics, :currencies, :industries, :sizes) AS w (metric, currency, industry, size_range)
        ORDER BY metric, currency, industry, size_range
    ) c, (SELECT analytics_now() AT TIME ZONE 'UTC' AS at OFFSET 0) n
    WHERE CAST(:epsilon AS numeric(12, 6)) <= CAST(:most AS numeric(12, 6))
    ON CONFLICT (year, metric, currency, industry, size_range) DO UPDATE SET epsilon = b.epsilon + excluded.epsilon
    WHERE b.epsilon + excluded.epsilon <= CAST(:most AS numeric(12, 6))
    RETURNING metric, currency, industry, size_range
    """
).bindparams(
    bindparam("epsilon", type_=Double),
    bindparam("most", type_=Double),
    *arrays(metrics=Text, currencies=Text, industries=Text, sizes=Text),
)


async def contributions(tx: ReadTx) -> Sequence[Contribution]:
    """Return the latest fresh value of each metric of every organization that contributes at this moment."""
    return [Contribution(*row) for row in await tx.all(_CONTRIBUTIONS)]


async def contributors(tx: ReadTx) -> AbstractSet[bytes]:
    """Return the tags of who contributes, which stays so until the transaction ends: no switch is saved meanwhile.

    Those that are being saved are waited for.
    """
    await tx.first(_LOCK, {"key": SWITCHES_LOCK})
    return {row.tag for row in await tx.all(_TAGS)}


async def released(tx: ReadTx, release_id: UUID) -> Released | None:
    """Return a release by its id."""
    row = await tx.first(_RELEASED, {"release_id": release_id})
    return None if row is None else Released(row.release_id, row.number, row.totals)


async def earlier(tx: ReadTx) -> Callable[[], Earlier]:
    """Read the kept releases; the call returns them, and takes a while where there are many: not on the event loop."""
    return partial(_earlier, (await tx.one(_LAST)).number, await tx.all(_KEPT), await tx.all(_MEMBERS))


async def add_release(tx: Tx, made: Released, sheets: Sequence[SheetRelease], before: Earlier) -> bool:
    """Store a release: which cells show figures, and whose members changed; False when the number or the id is taken."""
    shown = {
        "|".join(sheet.sheet): [[cell.place.industry.value, cell.place.size.value] for cell in sheet.cells if not cell.withheld]
        for sheet in sheets
    }
    values = {"number": made.number, "release_id": made.release_id, "shown": json.dumps(shown), "totals": json.dumps(made.totals)}
    if not await tx.run(_ADD_RELEASE, values):
        return False
    changed = [
        (sheet.sheet, unit, members)
        for sheet in sheets
        for unit, members in sheet.members.items()
        if members != _last(before, sheet.sheet).get(unit, NOBODY)
    ]
    await tx.run(
        _ADD_MEMBERS,
        {
            "number": made.number,
            "metrics": [sheet.metric for sheet, _, _ in changed],
            "currencies": [sheet.currency for sheet, _, _ in changed],
            "rows": [unit[0] for _, unit, _ in changed],
            "columns": [unit[1] for _, unit, _ in changed],
            "tags": [b"".join(sorted(members)) for _, _, members in changed],
        },
    )
    await tx.run(_FORGET_MEMBERS)
    return True


async def put_cells(tx: Tx, sheets: Sequence[SheetRelease]) -> None:
    """Write the cells of a release in the place of those before; sheets that are not in it show nothing any more."""
    cells = [cell for sheet in sheets for cell in sheet.cells]
    none = (None, None, None)
    await tx.run(
        _PUT_CELLS,
        {
            "metric": [cell.sheet.metric for cell in cells],
            "currency": [cell.sheet.currency for cell in cells],
            "industry": [cell.place.industry.value for cell in cells],
            "size_range": [cell.place.size.value for cell in cells],
            "percentile25": [(cell.quartiles or none)[0] for cell in cells],
            "percentile50": [(cell.quartiles or none)[1] for cell in cells],
            "percentile75": [(cell.quartiles or none)[2] for cell in cells],
            "contributors": [cell.band.value for cell in cells],
            "withheld": [cell.withheld.value for cell in cells],
            "epsilon": [cell.epsilon for cell in cells],
            "main_currency": [cell.main for cell in cells],
            "updated": [cell.updated_at for cell in cells],
        },
    )
    names = [sheet.sheet for sheet in sheets]
    await tx.run(_RETIRE, {"metrics": [name.metric for name in names], "currencies": [name.currency for name in names]})


async def spend(tx: Tx, wanted: Sequence[tuple[Sheet, Place]], epsilon: float, most: float) -> set[tuple[Sheet, Place]]:
    """Spend `epsilon` of this year's budget of each cell, as far as it stays within `most`; returns the cells that had so much left."""
    rows = await tx.all(
        _SPEND,
        {
            "epsilon": epsilon,
            "most": most,
            "metrics": [sheet.metric for sheet, _ in wanted],
            "currencies": [sheet.currency for sheet, _ in wanted],
            "industries": [place.industry.value for _, place in wanted],
            "sizes": [place.size.value for _, place in wanted],
        },
    )
    return {(Sheet(row.metric, row.currency), Place(Industry(row.industry), SizeRange(row.size_range))) for row in rows}


def _last(before: Earlier, sheet: Sheet) -> Mapping[Unit, Members]:
    past = before.sheets.get(sheet)
    return past[-1].members if past else {}


def _earlier(last: int, kept: Sequence[Record], members: Sequence[Record]) -> Earlier:
    changes: dict[Sheet, dict[Unit, list[tuple[int, Members]]]] = {}
    for sheet, rows in groupby(members, lambda row: Sheet(row.metric, row.currency)):
        units = changes.setdefault(sheet, {})
        for row in rows:
            units.setdefault((row.unit_row, row.unit_column), []).append((row.number, _unpacked(row.tags)))
    sheets = {
        sheet: [_past(row, sheet, units) for row in kept if any(made[0][0] <= row.number for made in units.values())]
        for sheet, units in changes.items()
    }
    return Earlier(last, {sheet: past for sheet, past in sheets.items() if past})


def _past(release: Record, sheet: Sheet, units: Mapping[Unit, Sequence[tuple[int, Members]]]) -> Past:
    """Return the members at a release: of each unit those of the newest change up to it."""
    members = {}
    for unit, made in units.items():
        known = [tags for number, tags in made if number <= release.number]
        if known:
            members[unit] = known[-1]
    shown = release.shown.get("|".join(sheet), [])
    return Past(members, frozenset(Place(Industry(industry), SizeRange(size)) for industry, size in shown))


def _unpacked(tags: bytes) -> Members:
    return frozenset(tags[start : start + _TAG_BYTES] for start in range(0, len(tags), _TAG_BYTES))
