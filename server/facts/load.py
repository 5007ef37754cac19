"""Load a batch of employees: all of it or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.audit import store as audit
from server.audit.model import Act, Origin
from server.facts import store
from server.tenants import store as tenants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.db import Tx
    from server.facts.model import Employee, Written


async def load_employees(tx: Tx, origin: Origin, rows: Sequence[Employee]) -> Written:
    """Write checked rows of different natural keys; audited as one act."""
    await tenants.remember(tx, origin.org)
    written = await store.upsert_employees(tx, origin.org, rows)
    details = {"inserted": str(written.inserted), "updated": str(written.updated), "unchanged": str(written.unchanged)}
    await audit.record(tx, origin, Act("facts.ingested", "fact_set", "employees", details))
    return written


async def erase_employees(tx: Tx, origin: Origin, employee_key: str | None) -> int:
    """Erase one employee (or all); audited without the key, which the erasure would otherwise outlive."""
    deleted = await store.delete_employees(tx, origin.org, employee_key)
    scope = "everything" if employee_key is None else "one employee"
    await audit.record(tx, origin, Act("facts.deleted", "fact_set", "employees", {"scope": scope, "rows": str(deleted)}))
    return deleted
