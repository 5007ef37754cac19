"""What the database is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from server.db.transaction import ReadTx

_ABOUT = text("SELECT (SELECT max(version_num) FROM alembic_version) AS schema, current_setting('server_version') AS database")


async def revisions(tx: ReadTx) -> tuple[str, str]:
    """Return the revision of the schema and the version of PostgreSQL."""
    row = await tx.one(_ABOUT)
    return row.schema or "", row.database
