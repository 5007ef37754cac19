"""The statements that guard a table: forced row-level security, one policy per role, column grants.

Used by migrations. The reviewed list of what the catalogue must hold is in `tests/contract/grants.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# `(SELECT ...)` makes the setting be read once per statement; a setting once SET LOCAL reads '' afterwards, hence NULLIF.
TENANT_ROWS = "org_id = (SELECT NULLIF(current_setting('app.org_id', true), ''))"


def guard(table: str, *, app: str, others: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """Statements that put a tenant table under row-level security.

    Args:
        table: its name.
        app: privileges of role `app`, for example `SELECT, INSERT`.
        others: per further role its column privileges, for example `{"dispatch": ["SELECT (org_id, job_id)"]}`; such a
            role sees the rows of all tenants, so the columns are the whole limit.

    """
    statements = [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant ON {table} TO app USING ({TENANT_ROWS}) WITH CHECK ({TENANT_ROWS})",
        f"CREATE POLICY migration ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)",
        f"GRANT {app} ON {table} TO app",
    ]
    for role, privileges in (others or {}).items():
        statements.append(f"CREATE POLICY {role} ON {table} TO {role} USING (true) WITH CHECK (true)")
        statements.extend(f"GRANT {privilege} ON {table} TO {role}" for privilege in privileges)
    return statements
