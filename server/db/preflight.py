"""What a process checks of the database before it works with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from server.db import about

if TYPE_CHECKING:
    from server.db.database import Database

_UNDEFINED_TABLE = "42P01"
_log = structlog.get_logger(__name__)


class SchemaOutdated(Exception):
    """The database has an older schema than this code works with; the text says what to do."""


async def check_schema(db: Database, *, embedded: bool) -> None:
    """Compare the database's schema with the code's, which may be the older of the two, and warn of a known hole in an external PostgreSQL.

    A database that cannot be reached is no error: it may come back, and every call says so until then.

    Raises:
        SchemaOutdated: the database was not migrated, or by an earlier release only.

    """
    try:
        async with db.platform() as tx:
            schema, database = await about.revisions(tx)
    except (SQLAlchemyError, OSError) as error:
        if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", "") == _UNDEFINED_TABLE:
            schema, database = "", ""
        else:
            _log.warning("database.unreachable", error=type(error).__name__)
            return
    # A newer schema is one that the next release is being rolled out on: migrations leave what this code needs.
    if schema < about.REVISION:
        msg = f"the database has schema {schema or 'none'}, this code needs {about.REVISION}: run `python -m server.db setup`"
        raise SchemaOutdated(msg)
    if not embedded and about.has_row_security_hole(database):
        _log.warning("database.outdated", version=database, advisory="CVE-2026-120154")
