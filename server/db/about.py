"""What the database is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from server.db.transaction import ReadTx

REVISION = "0011"
"""The schema that this code works with: the newest migration, as a test checks."""

# CVE-2026-120154: row security is reported to have a hole in INSERT ... ON CONFLICT DO UPDATE before these releases.
_REPAIRED = {15: 20, 16: 16, 17: 12, 18: 7}

_ABOUT = text("SELECT (SELECT max(version_num) FROM alembic_version) AS schema, current_setting('server_version') AS database")


async def revisions(tx: ReadTx) -> tuple[str, str]:
    """Return the revision of the schema and the version of PostgreSQL."""
    row = await tx.one(_ABOUT)
    return row.schema or "", row.database


def has_row_security_hole(database_version: str) -> bool:
    """Whether a release of PostgreSQL (`18.6`) is older than the repair of CVE-2026-120154."""
    release = re.match(r"(\d+)\.(\d+)", database_version)
    if release is None:
        return False
    major, minor = int(release[1]), int(release[2])
    return major < min(_REPAIRED) or minor < _REPAIRED.get(major, 0)
