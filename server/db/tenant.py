"""Parts of statements for `Database.at_once`, which set their tenant and do their work in one round trip.

What always holds: the setting is local to the statement's own transaction. Row-level security reads it when a table is
first touched, so the tenant has to be set before; `of_tenant` holds the planner to that order, and where it were not kept
the setting would be empty and no row visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, literal_column, select

if TYPE_CHECKING:
    from sqlalchemy import CTE, Select
    from sqlalchemy.sql.selectable import LateralFromClause

TENANT = "tenant_org_id"
"""Name of the parameter that holds the organization."""


def tenant() -> CTE:
    """Return the part that sets the tenant; its one row has the column `org_id`."""
    setting = func.set_config("app.org_id", bindparam(TENANT), literal_column("true"))
    return select(setting.label("org_id")).cte("tenant").prefix_with("MATERIALIZED")


def of_tenant(rows: Select[Any], name: str) -> LateralFromClause:
    """Return rows that are looked for only when the tenant is set; they must be filtered by the column of `tenant()`.

    A LATERAL part comes after what it refers to, and OFFSET keeps it from being taken apart.
    """
    return rows.offset(literal_column("0")).lateral(name)
