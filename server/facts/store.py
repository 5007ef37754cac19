"""All SQL of facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, Boolean, Date, Text, bindparam, delete, func, select, text

from server.facts.model import Employee, FactSummary, Written
from server.facts.tables import ATTRIBUTE_TYPES, employees

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.sql.elements import TextClause

    from server.db import ReadTx, Tx
    from server.facts.model import AttributeValue
    from server.identity import OrgId

_columns = employees.c
_SQL_TYPES = {
    "employee_key": Text,
    "as_of": Date,
    **ATTRIBUTE_TYPES,
    "left_within_year": Boolean,
}


def _upsert_statement() -> TextClause:
    """One statement for any number of rows: arrays instead of a VALUES list, which ends at 32,767 parameters."""
    names = list(_SQL_TYPES)
    columns = ", ".join(names)
    values = [name for name in names if name not in ("employee_key", "as_of")]
    statement = text(
        f"""
        INSERT INTO employees (org_id, {columns}, updated_at)
        SELECT :org, rows.*, analytics_now() FROM unnest({", ".join(f":{name}" for name in names)}) AS rows ({columns})
        ON CONFLICT (org_id, employee_key, as_of) DO UPDATE
        SET {", ".join(f"{name} = excluded.{name}" for name in values)}, updated_at = excluded.updated_at
        WHERE ({", ".join(f"employees.{name}" for name in values)})
              IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in values)})
        RETURNING xmax = 0 AS inserted
        """  # noqa: S608 - column names of our own table, no input
    )
    return statement.bindparams(bindparam("org", type_=Text), *(bindparam(name, type_=ARRAY(type_)) for name, type_ in _SQL_TYPES.items()))


_UPSERT = _upsert_statement()


async def upsert_employees(tx: Tx, org: OrgId, rows: Sequence[Employee]) -> Written:
    """Write rows of different natural keys; a row whose content is there already is left alone.

    Rows are written in the order of their keys, whatever the order they come in: of two batches with rows in common one
    waits for the other, and neither in a circle.
    """
    rows = sorted(rows, key=lambda row: (row.employee_key, row.as_of))
    arrays: dict[str, object] = {
        "org": org,
        "employee_key": [row.employee_key for row in rows],
        "as_of": [row.as_of for row in rows],
        "left_within_year": [row.left_within_year for row in rows],
    }
    for name in ATTRIBUTE_TYPES:
        arrays[name] = [row.attributes.get(name) for row in rows]
    written = [row.inserted for row in await tx.all(_UPSERT, arrays)]
    inserted = sum(written)
    return Written(inserted=inserted, updated=len(written) - inserted, unchanged=len(rows) - len(written))


async def latest_attributes(tx: ReadTx, org: OrgId, employee_key: str) -> Mapping[str, AttributeValue] | None:
    """Return what is known of an employee at the latest date, absent attributes left out; None for an unknown one."""
    row = await tx.first(
        select(*(_columns[name] for name in ATTRIBUTE_TYPES))
        .where(_columns.org_id == org, _columns.employee_key == employee_key)
        .order_by(_columns.as_of.desc())
        .limit(1)
    )
    if row is None:
        return None
    return {name: value for name, value in row.items() if value is not None}


async def summarize_employees(tx: ReadTx, org: OrgId) -> FactSummary:
    """Count what is stored."""
    row = await tx.one(
        select(
            func.count().label("rows"),
            func.count(_columns.employee_key.distinct()).label("subjects"),
            func.count(_columns.left_within_year).label("labelled"),
            func.max(_columns.updated_at).label("updated_at"),
        ).where(_columns.org_id == org)
    )
    return FactSummary(row.rows, row.subjects, row.labelled, row.updated_at)


async def delete_employees(tx: Tx, org: OrgId, employee_key: str | None) -> int:
    """Erase one employee, or with None all of them; returns the number of rows."""
    statement = delete(employees).where(_columns.org_id == org)
    if employee_key is not None:
        statement = statement.where(_columns.employee_key == employee_key)
    return await tx.run(statement)
