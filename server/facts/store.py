"""All SQL of facts."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, Text, bindparam, delete, func, literal, select, text

from server.facts.model import CONTRACT_ATTRIBUTES, FactSet, FactSummary, KnownContract, LastReview, SpendMonth, Written, cells
from server.facts.tables import ATTRIBUTE_TYPES, STORAGES, employees

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Select
    from sqlalchemy.sql.elements import TextClause

    from server.db import ReadTx, Tx
    from server.facts.model import AttributeValue, Erasure, Fact
    from server.identity import OrgId

_employees = employees.c


@functools.cache
def _upsert_statement(fact_set: FactSet) -> TextClause:
    """One statement for any number of rows: arrays instead of a VALUES list, which ends at 32,767 parameters."""
    storage = STORAGES[fact_set]
    table, names = storage.table.name, storage.columns
    columns = ", ".join(names)
    values = [name for name in names if name not in storage.key]
    statement = text(
        f"""
        INSERT INTO {table} (org_id, {columns}, updated_at)
        SELECT :org, rows.*, analytics_now() FROM unnest({", ".join(f":{name}" for name in names)}) AS rows ({columns})
        ON CONFLICT (org_id, {", ".join(storage.key)}) DO UPDATE
        SET {", ".join(f"{name} = excluded.{name}" for name in values)}, updated_at = excluded.updated_at
        WHERE ({", ".join(f"{table}.{name}" for name in values)})
              IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in values)})
        RETURNING xmax = 0 AS inserted
        """  # noqa: S608 - names of our own tables, no input
    )
    arrays = (bindparam(name, type_=ARRAY(storage.table.c[name].type)) for name in names)
    return statement.bindparams(bindparam("org", type_=Text), *arrays)


async def upsert(tx: Tx, org: OrgId, fact_set: FactSet, rows: Sequence[Fact]) -> Written:
    """Write rows of different natural keys; a row whose content is there already is left alone.

    Rows are written in the order of their keys, whatever the order they come in: of two batches with rows in common one
    waits for the other, and neither in a circle.
    """
    storage = STORAGES[fact_set]
    key = storage.key
    contents = sorted((cells(row) for row in rows), key=lambda content: [str(content[name]) for name in key])
    arrays: dict[str, object] = {name: [content.get(name) for content in contents] for name in storage.columns}
    written = [row.inserted for row in await tx.all(_upsert_statement(fact_set), {"org": org, **arrays})]
    inserted = sum(written)
    return Written(inserted=inserted, updated=len(written) - inserted, unchanged=len(rows) - len(written))


async def latest_attributes(tx: ReadTx, org: OrgId, employee_key: str) -> Mapping[str, AttributeValue] | None:
    """Return what is known of an employee at the latest date, absent attributes left out; None for an unknown one."""
    row = await tx.first(
        select(*(_employees[name] for name in ATTRIBUTE_TYPES))
        .where(_employees.org_id == org, _employees.employee_key == employee_key)
        .order_by(_employees.as_of.desc())
        .limit(1)
    )
    if row is None:
        return None
    return {name: value for name, value in row.items() if value is not None}


_CONTRACT = text(
    f"""
    SELECT c.start_date, c.end_date, (
        SELECT min(o.start_date) FROM contracts o
        WHERE o.org_id = c.org_id AND o.counterparty_key = c.counterparty_key AND o.counterparty_key <> ''
    ) AS first_start, CAST(c.value AS double precision) AS value, {", ".join(f"c.{name}" for name in CONTRACT_ATTRIBUTES)}
    FROM contracts c WHERE c.org_id = :org AND c.contract_key = :key
    """  # noqa: S608 - names of our own columns
)
_LAST_REVIEW = text(
    """
    SELECT review_date, score, target, scale_max, count(*) OVER () AS reviews, CAST(analytics_now() AS date) AS today
    FROM performance_reviews WHERE org_id = :org AND employee_key = :key ORDER BY review_date DESC LIMIT 1
    """
)
_SPEND = text(
    """
    SELECT period, CAST(sum(amount) FILTER (WHERE period < date_trunc('month', analytics_now())) AS double precision) AS amount,
           CAST(sum(budget) AS double precision) AS budget, array_agg(DISTINCT currency) AS currencies
    FROM spend_entries WHERE org_id = :org AND unit = :unit AND (category = :category OR :category = '')
    GROUP BY period ORDER BY period
    """
)


async def contract_attributes(tx: ReadTx, org: OrgId, contract_key: str) -> KnownContract | None:
    """Return what is known of a contract before its outcome; None for an unknown one."""
    row = await tx.first(_CONTRACT, {"org": org, "key": contract_key})
    if row is None:
        return None
    present = {name: row[name] for name in ("value", *CONTRACT_ATTRIBUTES) if row[name] is not None}
    return KnownContract(present, row.start_date, row.end_date, row.first_start)


async def last_review(tx: ReadTx, org: OrgId, employee_key: str) -> LastReview | None:
    """Return the latest review of an employee or team; None when there is none."""
    row = await tx.first(_LAST_REVIEW, {"org": org, "key": employee_key})
    return None if row is None else LastReview(row.review_date, row.score, row.target, row.scale_max, row.reviews, row.today)


async def spend_months(tx: ReadTx, org: OrgId, unit: str, category: str) -> Sequence[SpendMonth]:
    """Return the months of a unit, of one category or with an empty one of all together."""
    rows = await tx.all(_SPEND, {"org": org, "unit": unit, "category": category})
    return [SpendMonth(row.period, row.amount, row.budget, frozenset(row.currencies)) for row in rows]


@functools.cache
def _summary_statement(fact_set: FactSet) -> Select[int, int, int, datetime]:
    storage = STORAGES[fact_set]
    columns = storage.table.c
    return select(
        func.count().label("rows"),
        func.count(columns[storage.counted].distinct()).label("subjects"),
        (func.count(columns[storage.outcome]) if storage.outcome else literal(0)).label("labelled"),
        func.max(columns.updated_at).label("updated_at"),
    ).where(columns.org_id == bindparam("org"))


async def summarize(tx: ReadTx, org: OrgId, fact_set: FactSet) -> FactSummary:
    """Count what is stored of a fact set."""
    row = await tx.one(_summary_statement(fact_set), {"org": org})
    return FactSummary(row.rows, row.subjects, row.labelled, row.updated_at)


async def contracts_with(tx: ReadTx, org: OrgId, counterparty_key: str) -> Sequence[str]:
    """Return the keys of the contracts with an other side."""
    contracts = STORAGES[FactSet.CONTRACTS].table.c
    mine = (contracts.org_id == org) & (contracts.counterparty_key == counterparty_key)
    return [row.contract_key for row in await tx.all(select(contracts.contract_key).where(mine))]


async def cost_centres_of(tx: ReadTx, org: OrgId, employee_key: str) -> Sequence[str]:
    """Return the cost centres that ever paid an employee."""
    payroll = STORAGES[FactSet.PAYROLL_ENTRIES].table.c
    mine = (payroll.org_id == org) & (payroll.employee_key == employee_key)
    return [row.cost_centre for row in await tx.all(select(payroll.cost_centre).where(mine).distinct())]


async def teams_of(tx: ReadTx, org: OrgId, employee_key: str) -> Sequence[str]:
    """Return the teams in which an employee was ever reviewed."""
    reviews = STORAGES[FactSet.PERFORMANCE_REVIEWS].table.c
    mine = (reviews.org_id == org) & (reviews.employee_key == employee_key)
    return [row.team for row in await tx.all(select(reviews.team).where(mine).distinct())]


async def erase(tx: Tx, org: OrgId, fact_set: FactSet, erasure: Erasure) -> int:
    """Erase the rows of a subject, or with none all of them; returns the number of rows."""
    table = STORAGES[fact_set].table
    statement = delete(table).where(table.c.org_id == org)
    if erasure.subject is not None:
        statement = statement.where(table.c[erasure.subject] == erasure.key)
    return await tx.run(statement)
